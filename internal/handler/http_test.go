package handler_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json"
)

func TestEachRequestHasItsAnswerByHTTP(t *testing.T) {
	t.Parallel()
	binary := post("application/json", `{"region_id":"cn-north-4"}`)
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/landing-zone", "Ce-Type": "org.bootstrap",
	} {
		binary.Header.Set(name, value)
	}
	compressed, plain := post(structured, "\x1f\x8b\x08"), post(structured, bootstrap("1"))
	compressed.Header.Set("Content-Encoding", "gzip")
	plain.Header.Set("Content-Encoding", "Identity")
	const problem = "application/problem+json"
	rejected := strings.Replace(bootstrap("1"), "cn-north-4", "x", 1)
	anotherType := strings.Replace(bootstrap("1"), "org.bootstrap", "x", 1)
	large := strings.Replace(bootstrap("1"), "cn-north-4", strings.Repeat("x", 256<<10), 1)
	throttled := &attempt.Failure{Err: errors.New("429"), Throttled: true, RetryAfter: 90 * time.Second}
	cases := map[string]struct {
		request    *http.Request
		register   registerFunc // nil registers
		status     int
		mediaType  string
		body       string
		retryAfter string
		encoding   string // Accept-Encoding, only where the encoding is the reason
	}{
		"structured": {
			request: post(structured, bootstrap("1")), status: 200, mediaType: structured,
			body: `"type":"org.region.registered"`,
		},
		"binary": {
			request: binary, status: 200, mediaType: structured, body: `"type":"org.region.registered"`,
		},
		"batched": {
			request: post(batched, "["+bootstrap("1")+"]"), status: 200, mediaType: batched,
			body: `[{"specversion":"1.0"`,
		},
		"an empty batch": {
			request: post(batched, "[]"), status: 200, mediaType: batched, body: `[]`,
		},
		"rejected": {
			request: post(structured, rejected), status: 200, mediaType: structured, body: `"org.region.rejected"`,
		},
		"an object that is not an event": {
			request: post(structured, "{}"), status: 400, mediaType: problem, body: `"error_type":"InvalidEventError"`,
		},
		"another type": {
			request: post(structured, anotherType), status: 400, mediaType: problem,
			body: `takes events of type org.bootstrap`,
		},
		"not a CloudEvent": {
			request: post("application/json", "{}"), status: 415, mediaType: problem, body: structured,
		},
		"compressed": {
			request: compressed, status: 415, mediaType: problem, body: "Content-Encoding", encoding: "identity",
		},
		"encoded as it is": {
			request: plain, status: 200, mediaType: structured, body: `"type":"org.region.registered"`,
		},
		"too large": {
			request: post(structured, strings.Repeat(" ", 1<<20+1)), status: 413, mediaType: problem,
			body: `larger than 1048576 bytes`,
		},
		"an event that is too large": {
			request: post(structured, large), status: 413, mediaType: problem, body: `at most 262144 are taken`,
		},
		"transient": {
			request: post(structured, bootstrap("1")), register: fails(errors.New("away")),
			status: 503, mediaType: problem, body: `"error_type":"TransientError"`, retryAfter: "30",
		},
		"throttled": {
			request: post(structured, bootstrap("1")), register: fails(throttled),
			status: 503, mediaType: problem, body: `429`, retryAfter: "90",
		},
		"misconfigured": {
			request: post(structured, bootstrap("1")), register: fails(attempt.Misconfigured.Errorf("no rights")),
			status: 500, mediaType: problem, body: `"error_type":"MisconfiguredError"`,
		},
		"a batch that fails in part": {
			request: post(batched, "["+bootstrap("1")+",{}]"), status: 400, mediaType: problem,
			body: `1 of 2 events failed`,
		},
		"GET": {
			request: httptest.NewRequest(http.MethodGet, "/", nil), status: 405, mediaType: problem,
			body: `"status":405`,
		},
		"health": {request: httptest.NewRequest(http.MethodGet, "/healthz", nil), status: 200},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			if c.register == nil {
				c.register = registered
			}
			newHandler(c.register).ServeHTTP(w, c.request)
			assert.Equal(t, c.status, w.Code)
			assert.Equal(t, c.mediaType, w.Header().Get("Content-Type"))
			assert.Contains(t, w.Body.String(), c.body)
			assert.Equal(t, c.retryAfter, w.Header().Get("Retry-After"))
			assert.Equal(t, c.encoding, w.Header().Get("Accept-Encoding"))
		})
	}
}

func TestRequestsOfFunctionURLsAreAnsweredLikeAnyOther(t *testing.T) {
	t.Parallel()
	request := func(body string, encoded bool) lambdaevents.LambdaFunctionURLRequest {
		r := lambdaevents.LambdaFunctionURLRequest{
			Version: "2.0", RawPath: "/", Headers: map[string]string{"content-type": structured},
			Body: body, IsBase64Encoded: encoded,
		}
		r.RequestContext.HTTP.Method = http.MethodPost
		return r
	}
	invoke := func(r lambdaevents.LambdaFunctionURLRequest) lambdaevents.LambdaFunctionURLResponse {
		payload, err := json.Marshal(r)
		require.NoError(t, err)
		answer, err := newHandler(registered).Invoke(t.Context(), payload)
		require.NoError(t, err)
		var out lambdaevents.LambdaFunctionURLResponse
		require.NoError(t, json.Unmarshal(answer, &out))
		return out
	}
	for _, r := range []lambdaevents.LambdaFunctionURLRequest{
		request(bootstrap("1"), false), request(base64.StdEncoding.EncodeToString([]byte(bootstrap("1"))), true),
	} {
		out := invoke(r)
		assert.Equal(t, 200, out.StatusCode)
		assert.Equal(t, structured, out.Headers["Content-Type"])
		assert.Contains(t, out.Body, "org.region.registered")
	}
	assert.Equal(t, 400, invoke(request("{}", false)).StatusCode)
	marked, err := json.Marshal(request(bootstrap("1"), false))
	require.NoError(t, err)
	answer, err := newHandler(registered).Invoke(t.Context(), []byte("\ufeff"+string(marked)))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"statusCode":200`, "a byte order mark is ignored")
	r := request("", false)
	r.RequestContext.HTTP.Method, r.RawPath = http.MethodGet, "/healthz"
	assert.Equal(t, 200, invoke(r).StatusCode)

	for _, payload := range []string{
		`{"requestContext":{"http":5}}`,
		`{"requestContext":{"http":{"method":"A B"}}}`,
		`{"requestContext":{"http":{"method":"POST"}},"body":"!","isBase64Encoded":true}`,
	} {
		answer, err := newHandler(registered).Invoke(t.Context(), []byte(payload))
		require.NoError(t, err)
		assert.Contains(t, string(answer), `"statusCode":400`, payload)
		assert.NotContains(t, string(answer), "Go struct field", payload)
	}
}

// Where nobody would read the status of an answer, an answer acknowledges the event.
func TestARequestIsNoEventWhereThereAreNoFunctionURLs(t *testing.T) {
	t.Parallel()
	payload := `{"requestContext":{"http":{"method":"POST"}},"rawPath":"/","headers":{"content-type":"` + structured +
		`"},"body":` + strconv.Quote(bootstrap("1")) + `}`
	h := newHandler(fails(errors.New("away")))
	answer, err := h.Invoke(t.Context(), []byte(payload))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"statusCode":503`)

	h.NoURL = true
	_, err = h.Invoke(t.Context(), []byte(payload))
	require.ErrorAs(t, err, new(*events.InvalidEventError))
	require.ErrorContains(t, err, "send the event itself")

	h = &handler.Handler{Name: "register-region", Broken: errors.New("X: is not set"), NoURL: true}
	_, err = h.Invoke(t.Context(), []byte(payload))
	require.ErrorAs(t, err, new(*handler.MisconfiguredError))
}

// Whoever sends bad requests must not be able to fill the log.
func TestEachRefusedRequestIsOneShortLine(t *testing.T) { //nolint:paralleltest // sets the default logger
	long, half := strings.Repeat("x", 30_000), strings.Repeat("x", 1<<19)
	request := func(method, mediaType, body string) *http.Request {
		r := httptest.NewRequest(method, "/"+long, strings.NewReader(body))
		r.Header.Set("Content-Type", mediaType)
		return r
	}
	encoded := request(http.MethodPost, structured, "x")
	encoded.Header.Set("Content-Encoding", long)
	binary := request(http.MethodPost, "application/json", "{}")
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/" + long, "Ce-Type": long,
	} {
		binary.Header.Set(name, value)
	}
	url := func(payload string) func(*handler.Handler) {
		return func(h *handler.Handler) {
			_, err := h.Invoke(t.Context(), []byte(payload))
			assert.NoError(t, err)
		}
	}
	serve := func(r *http.Request) func(*handler.Handler) {
		return func(h *handler.Handler) { h.ServeHTTP(httptest.NewRecorder(), r) }
	}
	for name, send := range map[string]func(*handler.Handler){
		"GET":                      serve(request(http.MethodGet, structured, "x")),
		"an unknown method":        serve(request(long, structured, "x")),
		"a body too large":         serve(request(http.MethodPost, structured, strings.Repeat("x", 1<<20+1))),
		"an event too large":       serve(request(http.MethodPost, structured, `{"specversion":"`+half+`"}`)),
		"another media type":       serve(request(http.MethodPost, "text/"+long, "x")),
		"another charset":          serve(request(http.MethodPost, structured+"; charset="+long, "x")),
		"a compressed body":        serve(encoded),
		"a body that isn't UTF-8":  serve(request(http.MethodPost, structured, "\xff")),
		"a body that isn't JSON":   serve(request(http.MethodPost, structured, long)),
		"many that aren't events":  serve(request(http.MethodPost, batched, "["+strings.Repeat("0,", 9_000)+"0]")),
		"attributes that are long": serve(binary),
		"GET of a function URL":    url(`{"requestContext":{"http":{"method":"GET"}},"rawPath":"/` + long + `"}`),
		"a method that isn't one":  url(`{"requestContext":{"http":{"method":"` + long + ` x"}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
			t.Cleanup(func() { slog.SetDefault(before) })
			send(newHandler(registered))
			assert.Equal(t, 1, strings.Count(out.String(), "\n"), "%.2000s", out.String())
			assert.Contains(t, out.String(), `"error_type":"InvalidEventError"`)
			assert.Less(t, out.Len(), 1000)
		})
	}
}

// The events are handled all the same: payloads with fewer of them find all done.
func TestAnAnswerThatNoHostTakesIsAFailure(t *testing.T) {
	t.Parallel()
	list := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = bootstrap(strconv.Itoa(i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	var count atomic.Int64
	result := returns(events.Registration{
		RegionID: "cn-north-4", Outcome: events.Registered, RequestID: strings.Repeat("r", 7000),
	})
	h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
		count.Add(1)
		return result(ctx, e, asked)
	})
	const advice = "handled, but the results have more bytes than the 6291456 of an answer"
	_, err := h.Invoke(t.Context(), []byte(list(999)))
	require.ErrorAs(t, err, new(*events.InvalidEventError))
	require.ErrorContains(t, err, advice)
	assert.EqualValues(t, 999, count.Load())
	half, err := h.Invoke(t.Context(), []byte(list(500)))
	require.NoError(t, err)
	assert.Greater(t, len(half), 3<<20)

	request, err := json.Marshal(map[string]any{
		"requestContext": map[string]any{"http": map[string]any{"method": "POST"}}, "rawPath": "/",
		"headers": map[string]string{"content-type": batched}, "body": list(999),
	})
	require.NoError(t, err)
	answer, err := h.Invoke(t.Context(), request)
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"statusCode":413`)
	assert.Contains(t, string(answer), advice)
	assert.Less(t, len(answer), 1000)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, post(batched, list(999)))
	assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	assert.Contains(t, w.Body.String(), advice)
}

func TestABodyThatBreaksOffIsATransientFailure(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(io.ErrUnexpectedEOF))
	r.Header.Set("Content-Type", structured)
	w := httptest.NewRecorder()
	newHandler(registered).ServeHTTP(w, r)
	assert.Equal(t, 503, w.Code)
	assert.Contains(t, w.Body.String(), "unexpected EOF")
}

// The CloudEvents SDK sends the event, in each of its modes.
func TestTheCloudEventsSDKUnderstandsUs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHandler(registered))
	t.Cleanup(server.Close)
	in := event.New()
	in.SetID("1 € %")
	in.SetSource("/landing-zone")
	in.SetType("org.bootstrap")
	require.NoError(t, in.SetData(event.ApplicationJSON, map[string]string{"region_id": "cn-north-4"}))

	for name, encode := range map[string]func(context.Context) context.Context{
		"binary": binding.WithForceBinary, "structured": binding.WithForceStructured,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := in.Clone()
			if name == "binary" {
				in.SetID("1") // this SDK sends headers as they are, without percent-encoding
			}
			sender, err := cehttp.New(cehttp.WithTarget(server.URL))
			require.NoError(t, err)
			message, acknowledged := sender.Request(encode(t.Context()), (*binding.EventMessage)(&in))
			require.True(t, protocol.IsACK(acknowledged), "%v", acknowledged)
			out, err := binding.ToEvent(t.Context(), message)
			require.NoError(t, err)
			require.NoError(t, out.Validate())
			assert.Equal(t, "org.region.registered", out.Type())
			assert.Equal(t, in.ID(), out.Extensions()["causationid"])
		})
	}
	t.Run("batched", func(t *testing.T) {
		t.Parallel()
		req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), server.URL, []event.Event{in, in})
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		out, err := cehttp.NewEventsFromHTTPResponse(resp)
		require.NoError(t, err)
		require.Len(t, out, 2)
		assert.Equal(t, "org.region.registered", out[1].Type())
	})
}

func TestABrokenConfigurationIsAnsweredByHTTPToo(t *testing.T) {
	t.Parallel()
	h := &handler.Handler{Name: "register-region", Broken: errors.New("configuration: X: is not set")}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, post(structured, bootstrap("1")))
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Contains(t, w.Body.String(), `"error_type":"MisconfiguredError"`)

	payload := `{"requestContext":{"http":{"method":"POST"}},"rawPath":"/","body":"x"}`
	answer, err := h.Invoke(t.Context(), []byte(payload))
	require.NoError(t, err, "the caller of a function URL gets an answer, not a function error")
	assert.Contains(t, string(answer), `"statusCode":500`)
}

func TestSoManyRequestsAreHandledAtOnce(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*handler.Handler){
		"by their number": func(h *handler.Handler) { h.MaxRequests = 2 },
		"by their bytes":  func(h *handler.Handler) { h.MaxBytes = 2 * len(bootstrap("1")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			boundsRequests(t, bound)
		})
	}
}

func boundsRequests(t *testing.T, bound func(*handler.Handler)) {
	t.Helper()
	begun, finish := make(chan struct{}), make(chan struct{})
	h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
		begun <- struct{}{}
		<-finish
		return registered(ctx, e, asked)
	})
	bound(h)
	send := func(answered chan<- *httptest.ResponseRecorder) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, post(structured, bootstrap("1")))
		answered <- w
	}
	for range 2 { // the second round shows that a place is given back
		answered, refused := make(chan *httptest.ResponseRecorder, 2), make(chan *httptest.ResponseRecorder, 1)
		for range 2 {
			go send(answered)
			<-begun
		}
		go send(refused)
		select {
		case w := <-refused:
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
			assert.Equal(t, "1", w.Header().Get("Retry-After"))
			assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		case <-begun:
			require.FailNow(t, "one too many is handled")
		}
		health := httptest.NewRecorder()
		h.ServeHTTP(health, httptest.NewRequest(http.MethodGet, "/healthz", strings.NewReader("x")))
		assert.Equal(t, http.StatusOK, health.Code, "a busy server is healthy")
		finish <- struct{}{}
		finish <- struct{}{}
		assert.Equal(t, []int{200, 200}, []int{(<-answered).Code, (<-answered).Code})
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("boom") }

func TestAPanicOutsideOfAnEventIsATransientFailure(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", panicking{})
	r.Header.Set("Content-Type", structured)
	w := httptest.NewRecorder()
	newHandler(registered).ServeHTTP(w, r)
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, w.Body.String(), "panic: boom")
}
