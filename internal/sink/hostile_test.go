package sink_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/sink"
	"registrar/pkg/attempt"
)

// trickle is a body that doesn't end. Each read of it waits, and is counted.
type trickle struct {
	ctx  context.Context
	wait time.Duration
	read *int
}

func (e trickle) Read(p []byte) (int, error) {
	if e.wait > 0 {
		p = p[:1]
		select {
		case <-e.ctx.Done():
			return 0, e.ctx.Err()
		case <-time.After(e.wait):
		}
	}
	*e.read += len(p)
	return copy(p, strings.Repeat(" ", len(p))), nil
}

func (trickle) Close() error { return nil }

func TestNoAnswerOfAReceiverCostsMoreThanItsShare(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		status int
		header http.Header
		wait   time.Duration // between two bytes of the body
		want   attempt.Kind  // "" is a success
		took   time.Duration
	}{
		"an endless body of a success": {status: 200},
		"an endless body of an error":  {status: 400, want: attempt.Misconfigured},
		"a byte a second of a success": {status: 202, wait: time.Second, took: 10 * time.Second},
		"a byte a second of an error": {
			status: 503, wait: time.Second, want: attempt.Transient, took: 45 * time.Second,
		},
		"long headers": {
			status: 404, header: http.Header{"Content-Type": {long}, "X-Request-Id": {long}},
			want: attempt.Misconfigured,
		},
		"a redirect": {status: 307, header: http.Header{"Location": {long}}, want: attempt.Misconfigured},
		"status 0":   {status: 0, want: attempt.Transient, took: 5 * time.Second},
		"status 99":  {status: 99, want: attempt.Transient, took: 5 * time.Second},
		"status 600": {status: 600, want: attempt.Transient, took: 5 * time.Second},
		"status 999": {status: 999, want: attempt.Transient, took: 5 * time.Second},
		"to wait junk": {
			status: 429, header: http.Header{"Retry-After": {long}},
			want: attempt.Transient, took: 5 * time.Second,
		},
		"to wait ages": {
			status: 429, header: http.Header{"Retry-After": {strings.Repeat("9", 100)}},
			want: attempt.Transient,
		},
		"to wait below": {
			status: 503, header: http.Header{"Retry-After": {"-1"}},
			want: attempt.Transient, took: 5 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls, read := 0, 0
				send := toHook(t, func(r *http.Request, n int) (*http.Response, error) {
					calls = n
					header := c.header.Clone()
					if header == nil {
						header = http.Header{}
					}
					body := trickle{r.Context(), c.wait, &read}
					return &http.Response{StatusCode: c.status, Header: header, Body: body}, nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				err := send(ctx, resultEvent())
				assert.LessOrEqual(t, time.Since(start), c.took)
				assert.LessOrEqual(t, calls, 4)
				assert.LessOrEqual(t, read, 4*64<<10)
				if c.want == "" {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				assert.Equal(t, c.want, attempt.KindOf(err))
				assert.Less(t, len(err.Error()), 200, "%.300s", err)
			})
		})
	}
}

func TestNoAnswerOfEventBridgeCostsMoreThanItsShare(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<19)
	entry := func(members string) string { return `{"FailedEntryCount":1,"Entries":[{` + members + `}]}` }
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		want   attempt.Kind // "" is a success
	}{
		"arrays in arrays": {status: 200, body: strings.Repeat("[", 1<<19), want: attempt.Transient},
		"null":             {status: 200, body: "null", want: attempt.Transient},
		"entries of null": {
			status: 200,
			body:   `{"FailedEntryCount":null,"Entries":null}`, want: attempt.Transient,
		},
		"an entry of null": {
			status: 200,
			body:   `{"FailedEntryCount":0,"Entries":[null]}`, want: attempt.Transient,
		},
		"a count below zero": {
			status: 200,
			body:   `{"FailedEntryCount":-9,"Entries":[]}`, want: attempt.Transient,
		},
		"more entries than sent": {
			status: 200,
			body: `{"FailedEntryCount":0,"Entries":[` + strings.Repeat(`{"EventId":"e"},`, 9_999) +
				`{"EventId":"e"}]}`,
		},
		"a long code of an entry": {
			status: 200,
			body:   entry(`"ErrorCode":"` + long + `"`), want: attempt.Transient,
		},
		"a long message of an entry": {
			status: 200,
			body:   entry(`"ErrorCode":"InternalFailure","ErrorMessage":"` + long + `"`), want: attempt.Transient,
		},
		"a long code": {
			status: 400,
			body:   `{"__type":"` + long + `","message":"` + long + `"}`, want: attempt.Transient,
		},
		"a code to a terminal": {
			status: 400,
			body:   `{"__type":"\u001b[31mAccess\u2028Denied"}`, want: attempt.Transient,
		},
		"a long id": {
			status: 403, header: http.Header{"X-Amzn-Requestid": {long}},
			body: `{"__type":"AccessDenied"}`, want: attempt.Misconfigured,
		},
		"a redirect": {
			status: 302, header: http.Header{"Location": {"http://169.254.169.254/"}},
			want: attempt.Misconfigured,
		},
		"status 999": {status: 999, body: "x", want: attempt.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				config := to(t, "eventbridge://default")
				config.AWS = awstest.Config(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					calls++
					maps.Copy(w.Header(), c.header)
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.body)
				}))
				send, err := sink.New(config)
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err = send(ctx, resultEvent())
				assert.LessOrEqual(t, calls, 4)
				if c.want == "" {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				assert.Equal(t, c.want, attempt.KindOf(err), "%.300s", err)
				assert.Less(t, len(err.Error()), 200, "%.300s", err)
				assert.NotContains(t, fmt.Sprint(err), "\x1b")
			})
		})
	}
}

func TestNoMoreThanAMegabyteOfAnAnswerOfEventBridgeIsRead(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 503} {
		synctest.Test(t, func(t *testing.T) {
			read, calls := 0, 0
			config := to(t, "eventbridge://default")
			config.AWS = awstest.Config(nil)
			config.AWS.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				calls++
				body := trickle{r.Context(), 0, &read}
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: body}, nil
			})
			send, err := sink.New(config)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = send(ctx, resultEvent())
			require.Error(t, err)
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.LessOrEqual(t, read/calls, 1<<20+1)
		})
	}
}
