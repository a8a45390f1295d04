package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/credentials"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const bootstrap = `{"specversion":"1.0","id":"1","source":"/s","type":"org.bootstrap"}`

// platform is FunctionGraph as the document describes it: constructed. It gives the events out one
// after another, and ends the program when all are answered.
type platform struct {
	events []delivery
	polls  int // so far
	stop   context.CancelFunc
	got    []answered
}

// delivery is what a poll is answered with: without a status an event, whose id is its index.
type delivery struct {
	status  int
	header  http.Header
	payload string
	id      string // another id
	cut     bool   // the connection breaks in the middle of the event
	answer  int    // the status that the answer to it gets, if that isn't 200
}

// answered is what was posted.
type answered struct{ path, body string }

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1/runtime/invocation/")
		p.got = append(p.got, answered{path, string(body)})
		if status := p.events[p.polls-1].answer; status != 0 && strings.Contains(r.URL.Path, "/response/") {
			w.WriteHeader(status)
		}
		return
	}
	if p.polls == len(p.events) {
		p.stop()
		<-r.Context().Done()
		return
	}
	d := p.events[p.polls]
	p.polls++
	maps.Copy(w.Header(), d.header)
	if d.status == 0 {
		d.status = http.StatusOK
		w.Header().Set("X-Cff-Request-Id", cmp.Or(d.id, fmt.Sprint("request-", p.polls)))
	}
	if d.cut {
		w.Header().Set("Content-Length", "500")
	}
	w.WriteHeader(d.status)
	_, _ = io.WriteString(w, d.payload)
}

// onFunctionGraph lets h answer the deliveries, and returns what it posts.
func onFunctionGraph(t *testing.T, fg functionGraph, h *handler.Handler, deliveries ...delivery) []answered {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &platform{events: deliveries, stop: stop}
	server := httptest.NewServer(p)
	defer server.Close()
	fg.Address = strings.TrimPrefix(server.URL, "http://")
	fg.serve(ctx, h)
	return p.got
}

// failing makes a handler whose function fails with err, or succeeds.
func failing(err error, call func(context.Context) error) *handler.Handler {
	return &handler.Handler{Name: "register-region", Function: handler.NewFunction(events.BootstrapRegionInput(),
		func(ctx context.Context, _ events.Event, _ events.BootstrapRegion) (events.Result, error) {
			if err == nil && call != nil {
				err = call(ctx)
			}
			return events.RegionResult{Registration: events.Registration{Outcome: events.Skipped}}, err
		})}
}

func TestFunctionGraphGetsAnAnswerForEachEvent(t *testing.T) {
	t.Parallel()
	fg := functionGraph{Timeout: 60}
	event := delivery{payload: bootstrap}
	got := onFunctionGraph(t, fg, failing(nil, nil),
		delivery{status: http.StatusNoContent}, event,
		delivery{status: http.StatusInternalServerError, header: http.Header{"X-Cff-Request-Id": {"x"}}},
		delivery{status: http.StatusOK, payload: bootstrap}, // without an id
		event, delivery{payload: `hello`}, delivery{payload: bootstrap, answer: http.StatusRequestEntityTooLarge},
		delivery{payload: bootstrap, cut: true}, delivery{payload: strings.Repeat(" ", maxPayload+1)},
		delivery{payload: bootstrap, answer: http.StatusAccepted}, delivery{payload: bootstrap, id: ".."},
		delivery{payload: bootstrap, id: "a/b?c#d%e"})
	require.Len(t, got, 10)
	for i, path := range []string{
		"response/request-2", "response/request-5", "error/request-6", "response/request-7", "error/request-7",
		"error/request-8", "error/request-9", "response/request-10", "response/..", "response/a%2Fb%3Fc%23d%25e",
	} {
		assert.Equal(t, path, got[i].path)
	}
	assert.Contains(t, got[0].body, `"type":"org.region.skipped"`)
	assert.JSONEq(t, `{"errorType":"TransientError",
		"errorMessage":"FunctionGraph didn't take the response: status 413"}`, got[4].body)
	assert.JSONEq(t, `{"errorType":"TransientError",
		"errorMessage":"the event didn't come whole: unexpected EOF"}`, got[5].body)
	assert.Contains(t, got[6].body, "it has more than 6291456 bytes")
}

func TestFunctionGraphIsToldFailuresByTheirNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err, broken error
		timeout     uint32
		payload     string
		want        string
	}{
		"transient":                {errors.New("away"), nil, 60, bootstrap, "TransientError away"},
		"invalid":                  {nil, nil, 60, "hello", "InvalidEventError payload is not JSON"},
		"no time for any call":     {nil, nil, 0, bootstrap, "MisconfiguredError an invocation has"},
		"the configuration is bad": {nil, errors.New("X: no"), 60, bootstrap, "MisconfiguredError X: no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := failing(c.err, nil)
			h.Broken = c.broken
			got := onFunctionGraph(t, functionGraph{Timeout: c.timeout}, h, delivery{payload: c.payload})
			require.Len(t, got, 1)
			assert.Equal(t, "error/request-1", got[0].path)
			var failure struct{ ErrorType, ErrorMessage string }
			require.NoError(t, json.Unmarshal([]byte(got[0].body), &failure))
			assert.Contains(t, failure.ErrorType+" "+failure.ErrorMessage, c.want)
		})
	}
}

// Which headers come is the one thing about them that is not sure. Whatever comes, keys are never
// mixed.
func TestCredentialsOfAnInvocationAreWholeOrNone(t *testing.T) {
	t.Parallel()
	const part = "FunctionGraph gave only a part of the credentials of the function's agency, without "
	for name, c := range map[string]struct {
		headers, agency, want, err string
	}{
		"none":                   {},
		"the token of IAM alone": {headers: "Auth-Token"},
		"the documented names": {
			headers: "Access-Key Secret-Key Security-Token", want: "Access-Key Secret-Key Security-Token",
		},
		"those of other runtimes": {
			headers: "Security-Access-Key Security-Secret-Key Security-Token Auth-Token",
			want:    "Security-Access-Key Security-Secret-Key Security-Token",
		},
		"both": {
			headers: "Access-Key Secret-Key Security-Access-Key Security-Secret-Key Security-Token",
			want:    "Security-Access-Key Security-Secret-Key Security-Token",
		},
		"keys without a token": {
			headers: "Access-Key Secret-Key", err: part + "X-CFF-Security-Token: check the agency",
		},
		"a token without keys": {
			headers: "Security-Token", err: part + "X-CFF-Access-Key and X-CFF-Secret-Key: check the agency",
		},
		"halves of both": {
			headers: "Access-Key Security-Secret-Key Security-Token",
			err:     part + "X-CFF-Security-Access-Key: check the agency",
		},
		"an agency to be assumed, too": {
			headers: "Access-Key Secret-Key Security-Token", agency: "iam::a:agency:b",
			err: "HUAWEICLOUD_AGENCY_URN: must not be set where the function has an agency of its own, " +
				"whose credentials come with each event; unset one of them",
		},
		"an agency for other keys": {agency: "iam::a:agency:b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"X-Cff-Access-Key": {""}}
			for name := range strings.FieldsSeq(c.headers) {
				header.Set("X-CFF-"+name, name)
			}
			configured := credentials.Config{AgencyURN: credentials.AgencyURN(c.agency)}
			configured.Keys.DomainID = "domain"
			got, err := functionGraph{configured: configured}.credentials(header)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				assert.Zero(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, strings.TrimSpace(
				string(got.AccessKey)+" "+string(got.SecretKey)+" "+string(got.SecurityToken)))
			assert.Equal(t, c.want != "", got.DomainID == "domain")
		})
	}
}

// What comes with one event signs its calls, and no others.
func TestEachEventIsHandledWithItsOwnCredentials(t *testing.T) {
	t.Parallel()
	cloud := huaweitest.New()
	var c everything
	require.Empty(t, load(t.Context(), &c, envconfig.MapLookuper(nil)))
	c.Client.Transport = cloud
	api := client.New(c.Client, func(context.Context) (client.Credentials, error) {
		return client.Credentials{}, errors.New("none")
	})
	h := failing(nil, nil)
	h.Function = handler.NewFunction(events.BootstrapRegionInput(),
		func(ctx context.Context, _ events.Event, _ events.BootstrapRegion) (events.Result, error) {
			_, err := api.RegisteredRegions(ctx)
			return events.RegionResult{Registration: events.Registration{Outcome: events.Skipped}}, err
		})
	with := func(key string) delivery {
		cloud.AddCredentials(huaweitest.Credentials{AccessKey: key, SecretKey: "SK", SecurityToken: "T"})
		return delivery{payload: bootstrap, header: http.Header{
			"X-Cff-Access-Key": {key}, "X-Cff-Secret-Key": {"SK"}, "X-Cff-Security-Token": {"T"},
		}}
	}
	part := with("AK3")
	part.header.Del("X-Cff-Secret-Key")
	got := onFunctionGraph(t, functionGraph{Timeout: 60}, h,
		with("AK1"), with("AK2"), delivery{payload: bootstrap}, part)
	require.Len(t, got, 4)
	assert.Equal(t, "response/request-1", got[0].path)
	assert.Equal(t, "response/request-2", got[1].path)
	assert.Contains(t, got[2].body, "none", "those of the event before aren't kept")
	assert.Contains(t, got[3].body, "MisconfiguredError")
	requests := cloud.Requests()
	require.Len(t, requests, 2)
	assert.Contains(t, requests[0].Header.Get("Authorization"), "AK1")
	assert.Contains(t, requests[1].Header.Get("Authorization"), "AK2")
}

func TestTheEventUnderWayIsAnsweredBeforeTheProgramEnds(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	p := &platform{events: []delivery{{payload: bootstrap}}, stop: func() {}}
	server := httptest.NewServer(p)
	defer server.Close()
	h := failing(nil, func(ctx context.Context) error {
		stop() // as SIGTERM does
		return ctx.Err()
	})
	functionGraph{Address: strings.TrimPrefix(server.URL, "http://"), Timeout: 60}.serve(ctx, h)
	require.Len(t, p.got, 1)
	assert.Equal(t, "response/request-1", p.got[0].path)
}

// It replaces the default logger, so it can't run beside others.
func TestWhatGoesWrongWithFunctionGraphIsLogged(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	nothing := delivery{status: http.StatusNoContent}
	onFunctionGraph(t, functionGraph{Timeout: 60}, failing(nil, nil),
		nothing, nothing, nothing, delivery{payload: bootstrap, answer: http.StatusRequestEntityTooLarge},
		nothing, nothing, delivery{payload: bootstrap, cut: true})
	var lines []string
	for line := range strings.Lines(out.String()) {
		var fields struct{ Level, Msg, Err, RequestID string }
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		lines = append(lines, strings.TrimSpace(fields.Level+" "+fields.Msg+" "+fields.RequestID+" "+fields.Err))
	}
	assert.Equal(t, []string{
		`WARN runtime  no event came: status 204, and the request id ""`,
		"INFO event handled request-4",
		"ERROR runtime request-4 FunctionGraph didn't take the response: status 413",
		`WARN runtime  no event came: status 204, and the request id ""`,
		"ERROR runtime request-7 the event didn't come whole: unexpected EOF",
	}, lines)
}
