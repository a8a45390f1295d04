package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type own struct {
	RegionID events.RegionID `env:"REGION_ID"`
}

func (o own) Validate() error {
	if o.RegionID == "" {
		return errors.New("REGION_ID: is not set")
	}
	return nil
}

// ownProgram finds the region unchanged that it is configured with.
func ownProgram(environment map[string]string) *program[own] {
	return &program[own]{
		name:   "register-region",
		policy: `{"Version":"5.0"}`,
		function: func(_ *client.Client, o own) handler.Function {
			unchanged := events.Registration{RegionID: o.RegionID, Outcome: events.Unchanged}
			return handler.NewFunction(events.BootstrapRegionInput(),
				func(context.Context, events.Event, events.BootstrapRegion) (events.Result, error) {
					return events.RegionResult{Registration: unchanged}, nil
				})
		},
		environment: envconfig.MapLookuper(environment),
		level:       new(slog.LevelVar),
	}
}

func buildOwn(t *testing.T, environment map[string]string) (*handler.Handler, error) {
	t.Helper()
	h, _, err := ownProgram(environment).build(t.Context(), new(address))
	return h, err
}

func TestAFunctionIsBuiltFromItsEnvironment(t *testing.T) {
	t.Parallel()
	h, err := buildOwn(t, map[string]string{
		"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": "sk", "REGION_ID": "cn-north-4",
	})
	require.NoError(t, err)
	answer, err := h.Invoke(t.Context(), []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"org.bootstrap"}`))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"subject":"cn-north-4"`)
	assert.Contains(t, string(answer), `"source":"/registrar/register-region"`)
}

func TestErrorsOfTheCommonAndTheOwnConfigurationAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := buildOwn(t, map[string]string{"RESULT_SINK": "ftp://x", "HUAWEICLOUD_SDK_AK": "ak", "PORT": "70000"})
	require.ErrorContains(t, err, "configuration: ")
	for _, want := range []string{
		"RESULT_SINK: must", "HUAWEICLOUD_SDK_SK: is not set", "REGION_ID: is not set",
		"PORT: is too large or too small a number",
	} {
		assert.ErrorContains(t, err, want)
	}
}

// What AWS would have to say about it would only confuse.
func TestHalfAConfigurationOfCredentialsIsAllThatIsNamed(t *testing.T) {
	t.Parallel()
	for want, environment := range map[string]map[string]string{
		"HUAWEICLOUD_OIDC_AGENCY_URN: is not set, but other HUAWEICLOUD_OIDC_ variables are": {
			"HUAWEICLOUD_OIDC_PROVIDER_URN": "iam::a1:oidcProvider:aws", "HUAWEICLOUD_OIDC_AUDIENCE": "huaweicloud",
		},
		"HUAWEICLOUD_SDK_AK: is set, and so is HUAWEICLOUD_CREDENTIALS_SECRET; unset one of them": {
			"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_CREDENTIALS_SECRET": "registrar",
		},
	} {
		environment["REGION_ID"] = "cn-north-4"
		_, _, err := ownProgram(environment).build(t.Context()) // there is no AWS region
		require.EqualError(t, err, "configuration: "+want)
	}
}

func TestTheServerListensOnThisMachineOnlyUnlessItIsAService(t *testing.T) {
	t.Parallel()
	for want, environment := range map[string]map[string]string{
		"127.0.0.1:8080": {},
		"127.0.0.1:9000": {"PORT": "9000"},
		":8080":          {"K_SERVICE": "registrar"},
		"0.0.0.0:8080":   {"HOST": "0.0.0.0"},
		"127.0.0.2:8080": {"HOST": "127.0.0.2", "K_SERVICE": "registrar"},
		"[::1]:8080":     {"HOST": "::1"},
	} {
		var at address
		require.Empty(t, load(t.Context(), &at, envconfig.MapLookuper(environment)))
		assert.Equal(t, want, at.String())
	}
}

func TestAServerThatCantListenSaysWhy(t *testing.T) {
	t.Parallel()
	err := serve(t.Context(), address{Host: "256.0.0.1"}, nil, func(context.Context) {})
	require.ErrorContains(t, err, "HOST, PORT: ")
}

// server serves h on a free port of this machine until ctx ends. What serveOn returns then is sent
// to ended.
func server(t *testing.T, ctx context.Context, h http.Handler) (url string, ended chan error) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended = make(chan error, 1)
	go func() { ended <- serveOn(ctx, listener, h) }()
	return "http://" + listener.Addr().String(), ended
}

func TestTheServerFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	url, ended := server(t, ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "done")
	}))
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Post(url, "text/plain", strings.NewReader("x"))
		if err != nil {
			answered <- err.Error()
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		answered <- string(body)
	}()
	select {
	case <-begun:
	case early := <-answered:
		require.FailNow(t, "answered before it was begun", early)
	}
	stop()
	for { // until the server takes no other connections
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
	}
	close(finish)
	assert.Equal(t, "done", <-answered)
	require.NoError(t, <-ended)
}

// pipes is a listener whose connections are in memory, so that their time is a bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.UnixAddr{} }

func TestASlowOrLongRequestIsCutOff(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		request string
		after   time.Duration
		answer  string
	}{
		"a head that doesn't end":  {head, 5 * time.Second, ""},
		"a body that doesn't come": {head + "Content-Length: 2\r\n\r\nx", 30 * time.Second, "i/o timeout"},
		"a head of 40 KiB": {
			head + "X: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 0, "431 Request Header Fields Too Large",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				listener, ended := make(pipes), make(chan error)
				go func() {
					ended <- serveOn(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, err := io.ReadAll(r.Body)
						_, _ = fmt.Fprint(w, err)
					}))
				}()
				conn, theirs := net.Pipe()
				defer conn.Close()
				listener <- theirs
				begun := time.Now()
				go func() { _, _ = io.WriteString(conn, c.request) }()
				line := make([]byte, 1<<10)
				n, _ := conn.Read(line)
				assert.Equal(t, c.after, time.Since(begun))
				assert.Contains(t, string(line[:n]), c.answer)
				assert.Equal(t, c.answer == "", n == 0, "%s", line[:n])
				conn.Close()
				stop()
				require.NoError(t, <-ended)
			})
		})
	}
}

// It replaces the default logger, so it can't run beside others.
func TestTheLinesOfLibrariesAreOursAndQuoteNobody(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	for _, line := range []string{
		`{"errorMessage":"away","errorType":"TransientError"}`,
		"Unsolicited response received on idle HTTP channel starting with \"HTTP/1.1 200 SECRET\"; err=<nil>\n",
		"failed to get the next invocation\n",
	} {
		_, err := libraryLog{}.Write([]byte(line))
		require.NoError(t, err)
	}
	assert.Equal(t, 2, strings.Count(out.String(), "\n"), "the error of an invocation is logged by the handler")
	assert.Contains(t, out.String(), `"err":"Unsolicited response received on idle HTTP channel"`)
	assert.NotContains(t, out.String(), "SECRET")
}
