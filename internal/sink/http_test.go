package sink_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	ceclient "github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/sink"
	"registrar/pkg/attempt"
)

const (
	pathSecret  = "s3cr3t-path"
	querySecret = "s3cr3t-query"
	// The value of k is a part of that of code.
	hook = "https://hooks.example/in/" + pathSecret + "?k=s3cr3t&code=" + querySecret
)

type countingListener struct {
	net.Listener
	accepted *atomic.Int32
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

func response(status int, text string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text))}
}

func body(r *http.Request) string {
	text, _ := io.ReadAll(r.Body)
	return string(text)
}

// toHook is a sink that answer answers for; n is the number of the attempt, from 1.
func toHook(t *testing.T, answer func(r *http.Request, n int) (*http.Response, error)) sink.Sink {
	t.Helper()
	attempts := 0
	c := to(t, hook)
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		attempts++
		return answer(r, attempts)
	})
	send, err := sink.New(c)
	require.NoError(t, err)
	return send
}

// serve is a sink at a real server, through the transport that the sink makes for itself.
func serve(t *testing.T, h http.Handler, start func(*httptest.Server)) (sink.Sink, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(server)
	t.Cleanup(server.Close)
	send, err := sink.New(to(t, server.URL+"/in?code="+querySecret))
	require.NoError(t, err)
	return send, server
}

func TestTheReceiverOfTheCloudEventsSDKTakesTheEvent(t *testing.T) {
	t.Parallel()
	protocol, err := cehttp.New()
	require.NoError(t, err)
	received := make(chan event.Event, 1)
	receiver, err := ceclient.NewHTTPReceiveHandler(t.Context(), protocol, func(e event.Event) { received <- e })
	require.NoError(t, err)
	send, _ := serve(t, receiver, (*httptest.Server).Start)
	require.NoError(t, send(t.Context(), resultEvent()))
	got := <-received
	require.NoError(t, got.Validate())
	assert.JSONEq(t, encoded(t, resultEvent()), encoded(t, got))
	assert.JSONEq(t, string(resultEvent().Data()), string(got.Data()))
}

func TestTheEventIsPostedAsItIs(t *testing.T) {
	t.Parallel()
	send, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodPost, r.Method)
		assert.Equal(t, "/in?code="+querySecret, r.RequestURI)
		assert.Equal(t, "HTTP/1.1", r.Proto)
		assert.Equal(t, "application/cloudevents+json", r.Header.Get("Content-Type"))
		assert.Equal(t, encoded(t, resultEvent()), body(r))
		w.WriteHeader(http.StatusNoContent)
	}), (*httptest.Server).Start)
	require.NoError(t, send(t.Context(), resultEvent()))
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var connections, requests atomic.Int32
	send, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable) // its body must be read, too
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
	}), func(s *httptest.Server) {
		s.Listener = countingListener{s.Listener, &connections}
		s.Start()
	})
	require.NoError(t, send(t.Context(), resultEvent()))
	assert.EqualValues(t, 3, requests.Load())
	assert.EqualValues(t, 1, connections.Load())
}

func TestEachStatusHasItsKind(t *testing.T) {
	t.Parallel()
	kinds := map[attempt.Kind][]int{
		"":                    {200, 201, 202, 204},
		attempt.Misconfigured: {300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 407, 410, 413, 415, 422},
		attempt.Transient:     {402, 406, 409, 425, 451, 408, 429, 500, 501, 502, 503, 504, 599},
	}
	for kind, statuses := range kinds {
		for _, status := range statuses {
			t.Run(fmt.Sprint(status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					attempts := 0
					send := toHook(t, func(_ *http.Request, n int) (*http.Response, error) {
						attempts = n
						header := http.Header{"Location": {"https://elsewhere.example/" + querySecret}}
						return response(status, "", header), nil
					})
					err := send(t.Context(), resultEvent())
					want := 1
					if kind == attempt.Transient {
						want = 4
					}
					assert.Equal(t, want, attempts)
					if kind == "" {
						require.NoError(t, err)
						return
					}
					assertKind(t, err, kind, fmt.Sprintf("the sink https://hooks.example: status %d", status))
				})
			})
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	send, server := serve(t, http.RedirectHandler(other.URL, http.StatusPermanentRedirect), (*httptest.Server).Start)
	assertKind(t, send(t.Context(), resultEvent()), attempt.Misconfigured,
		"the sink "+server.URL+": status 308 Permanent Redirect")
	assert.Zero(t, elsewhere.Load())
}

func TestAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	send, server := serve(t, h, (*httptest.Server).StartTLS)
	assertKind(t, send(t.Context(), resultEvent()), attempt.Misconfigured,
		"the sink "+server.URL+": tls: failed to verify certificate")
	assert.Zero(t, requests.Load())
}

func TestAConnectionThatIsRefusedIsTransient(t *testing.T) {
	t.Parallel()
	send, err := sink.New(to(t, nobody))
	require.NoError(t, err)
	assertKind(t, send(t.Context(), resultEvent()), attempt.Transient,
		"the sink "+nobody+": dial tcp", "connection refused")
}

func TestNothingThatTheServerSaysIsQuoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for status, want := range map[int]attempt.Kind{400: attempt.Misconfigured, 503: attempt.Transient} {
			err := toHook(t, func(r *http.Request, _ int) (*http.Response, error) {
				header := http.Header{"Content-Type": {querySecret}}
				answer := response(status, "Cannot POST "+r.URL.RequestURI(), header)
				answer.Status = "400 " + querySecret
				return answer, nil
			})(t.Context(), resultEvent())
			assertKind(t, err, want)
			require.EqualError(t, err,
				fmt.Sprintf("the sink https://hooks.example: status %d %s", status, http.StatusText(status)))
		}
	})
}

func TestAServerThatEchoesTheRequestDoesNotShowTheURL(t *testing.T) {
	t.Parallel()
	for name, echo := range map[string]string{
		"the request line":    "POST /in/" + pathSecret + "?k=s3cr3t&code=" + querySecret + " HTTP/1.1",
		"the path":            "/in/" + pathSecret,
		"a value":             querySecret,
		"a value, as base64":  base64.StdEncoding.EncodeToString([]byte(`{"code":"` + querySecret + `"}`)),
		"a line without end":  strings.Repeat(querySecret+" ", 200),
		"a value, in a quote": `"` + querySecret + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 64<<10))
					_, _ = io.WriteString(conn, echo+"\r\n\r\n")
					conn.Close()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			url := "http://" + listener.Addr().String() + "/in/" + pathSecret + "?k=s3cr3t&code=" + querySecret
			send, err := sink.New(to(t, url))
			require.NoError(t, err)
			err = send(ctx, resultEvent())
			assertKind(t, err, attempt.Transient)
			require.EqualError(t, err, "the sink http://"+listener.Addr().String()+": malformed HTTP [redacted]")
		})
	}
}

func TestALongErrorIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := toHook(t, func(*http.Request, int) (*http.Response, error) {
			return nil, attempt.Transient.Errorf("%s", strings.Repeat("x\n", 5000))
		})(t.Context(), resultEvent())
		assertKind(t, err, attempt.Transient, "the sink https://hooks.example: x x x ", "…")
	})
}

func TestTransientFailuresAreTriedAgainAfterAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		last := time.Now()
		send := toHook(t, func(r *http.Request, n int) (*http.Response, error) {
			waits, last = append(waits, time.Since(last)), time.Now()
			assert.Equal(t, encoded(t, resultEvent()), body(r), "every attempt carries the event")
			switch n {
			case 1:
				return nil, syscall.ECONNRESET
			case 2:
				return response(503, "", http.Header{"Retry-After": {"7"}}), nil
			case 3:
				date := time.Now().Add(-time.Hour) // the clock of the server is slow
				return response(429, "", http.Header{
					"Date":        {date.UTC().Format(http.TimeFormat)},
					"Retry-After": {date.Add(20 * time.Second).UTC().Format(http.TimeFormat)},
				}), nil
			}
			return response(202, "", nil), nil
		})
		require.NoError(t, send(t.Context(), resultEvent()))
		require.Len(t, waits, 4)
		assert.Less(t, waits[1], 200*time.Millisecond)
		assert.Equal(t, 7*time.Second, waits[2])
		assert.Equal(t, 20*time.Second, waits[3])
	})
}

func TestAWaitThatIsTooLongIsNotBegun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retryAfter string
		time       time.Duration // until the deadline; 0 if there is none
		want       string
	}{
		"the sink asks for more than 20 s": {
			"21", 0, "the sink https://hooks.example: status 429 Too Many Requests, retry after 21s",
		},
		"the sink asks for more than time left": {
			"5", 4 * time.Second, "the sink https://hooks.example: status 429 Too Many Requests, retry after 5s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, start := t.Context(), time.Now()
				if c.time > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.time)
					defer cancel()
				}
				send := toHook(t, func(*http.Request, int) (*http.Response, error) {
					return response(429, "", http.Header{"Retry-After": {c.retryAfter}}), nil
				})
				err := send(ctx, resultEvent())
				assertKind(t, err, attempt.Transient)
				require.EqualError(t, err, c.want)
				assert.Zero(t, time.Since(start))
			})
		})
	}
}

func slow(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func TestAnAttemptTakesAtMostTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		send := toHook(t, func(r *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return slow(r)
			}
			assert.GreaterOrEqual(t, time.Since(start), 10*time.Second)
			assert.Less(t, time.Since(start), 11*time.Second)
			return response(202, "", nil), nil
		})
		require.NoError(t, send(t.Context(), resultEvent()))
		start = time.Now()
		send = toHook(t, func(r *http.Request, _ int) (*http.Response, error) { return slow(r) })
		assertKind(t, send(t.Context(), resultEvent()), attempt.Transient,
			"the sink https://hooks.example: no answer within 10s")
		assert.GreaterOrEqual(t, time.Since(start), 40*time.Second)
	})
}

func TestTheLastRealErrorIsKeptWhenTheDeadlineCuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := toHook(t, func(r *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return response(503, "overloaded", nil), nil
			}
			return slow(r)
		})(ctx, resultEvent())
		assertKind(t, err, attempt.Transient)
		require.EqualError(t, err, "the sink https://hooks.example: context deadline exceeded after 2 attempts: "+
			"status 503 Service Unavailable")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		err := toHook(t, func(*http.Request, int) (*http.Response, error) {
			time.AfterFunc(time.Nanosecond, func() { cancel(errors.New("stopped")) })
			return response(503, "", http.Header{"Retry-After": {"9"}}), nil
		})(ctx, resultEvent())
		assertKind(t, err, attempt.Transient)
		require.EqualError(t, err, "the sink https://hooks.example: stopped after 1 attempts: "+
			"status 503 Service Unavailable, retry after 9s")
	})
}

func TestNothingIsSentWhenNoTimeIsLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	err := toHook(t, func(*http.Request, int) (*http.Response, error) {
		t.Error("an attempt was made")
		return response(202, "", nil), nil
	})(ctx, resultEvent())
	assertKind(t, err, attempt.Transient, "the sink https://hooks.example: no time left: context deadline exceeded")
}

func TestASuccessCountsEvenIfItsBodyCantBeRead(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]io.Reader{
		"a body that breaks off": errorReader{},
		"a body without an end":  endless{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := toHook(t, func(*http.Request, int) (*http.Response, error) {
				r := response(202, "", nil)
				r.Body = io.NopCloser(answer)
				return r, nil
			})(t.Context(), resultEvent())
			require.NoError(t, err)
		})
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
