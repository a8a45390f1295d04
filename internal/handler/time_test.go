package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

// takes is a register func that needs so much time, and registers if it gets it.
func takes(d time.Duration) registerFunc {
	return func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
		select {
		case <-time.After(d):
			return registered(ctx, e, asked)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// A client may go away, or close its half of the connection only: net/http tells no difference.
func TestAClientThatGoesAwayDoesntEndTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(takes(10 * time.Second))
		var delivered []event.Event
		h.Sink = func(ctx context.Context, all ...event.Event) error {
			delivered = append(delivered, all...)
			return ctx.Err()
		}
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, post(batched, "["+bootstrap("1")+","+bootstrap("2")+"]").WithContext(ctx))
		require.Error(t, ctx.Err())
		assert.Equal(t, 200, w.Code)
		assert.Len(t, delivered, 2)
	})
}

func TestARequestHasAMinuteWhateverItsClientAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client time.Duration // when it goes away
		sink   bool
		end    time.Duration
	}{
		"a patient client":             {time.Hour, false, handler.HTTPTime - 500*time.Millisecond},
		"a patient client and a sink":  {time.Hour, true, handler.HTTPTime - 2*time.Second},
		"a client that leaves at once": {0, false, handler.HTTPTime - 500*time.Millisecond},
		"a client that leaves, a sink": {time.Second, true, handler.HTTPTime - 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHandler(takes(time.Hour))
				if c.sink {
					h.Sink = func(context.Context, ...event.Event) error { return nil }
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				time.AfterFunc(c.client, leave)
				start, w := time.Now(), httptest.NewRecorder()
				h.ServeHTTP(w, post(structured, bootstrap("1")).WithContext(ctx))
				assert.Equal(t, c.end, time.Since(start))
				assert.Equal(t, 503, w.Code)
			})
		})
	}
}

// The deadline of a function URL is that of its function.
func TestARequestOfAFunctionURLEndsWithItsInvocation(t *testing.T) {
	t.Parallel()
	r := lambdaevents.LambdaFunctionURLRequest{
		Version: "2.0", RawPath: "/", Headers: map[string]string{"content-type": structured}, Body: bootstrap("1"),
	}
	r.RequestContext.HTTP.Method = http.MethodPost
	payload, err := json.Marshal(r)
	require.NoError(t, err)
	for timeout, end := range map[time.Duration]time.Duration{
		500 * time.Millisecond: 0, // misconfigured
		3 * time.Second:        2500 * time.Millisecond,
		time.Minute:            59500 * time.Millisecond,
		15 * time.Minute:       59500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			start := time.Now()
			answer, err := newHandler(takes(time.Hour)).Invoke(ctx, payload)
			require.NoError(t, err)
			assert.Equal(t, end, time.Since(start), "timeout %s", timeout)
			status := map[bool]string{true: `"statusCode":500`, false: `"statusCode":503`}[end == 0]
			assert.Contains(t, string(answer), status)
		})
	}
}

// Other callers may count in whole seconds only.
func TestRetryAfterIsPassedOnInWholeSeconds(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		0: "30", time.Nanosecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 20 * time.Second: "20",
		time.Hour: "3600", (1<<31 - 1) * time.Second: "2147483647",
	} {
		for _, throttled := range []bool{false, true} {
			err := fmt.Errorf("wrapped: %w", &attempt.Failure{
				Err: errors.New("busy"), Answered: true, RetryAfter: wait, Throttled: throttled,
			})
			w := httptest.NewRecorder()
			newHandler(fails(err)).ServeHTTP(w, post(structured, bootstrap("1")))
			assert.Equal(t, 503, w.Code)
			assert.Equal(t, []string{want}, w.Header()["Retry-After"], "%s", wait)
		}
	}
	for kind, status := range map[attempt.Kind]int{attempt.Misconfigured: 500, attempt.Refused: 503} {
		w := httptest.NewRecorder()
		err := &attempt.Failure{Kind: kind, Err: errors.New("no"), RetryAfter: time.Hour}
		newHandler(fails(err)).ServeHTTP(w, post(structured, bootstrap("1")))
		assert.Equal(t, status, w.Code)
		assert.Equal(t, status == 503, w.Header().Get("Retry-After") != "")
	}
}

func TestABatchPassesOnTheLongestWait(t *testing.T) {
	t.Parallel()
	busy := func(wait time.Duration) error {
		return &attempt.Failure{Err: errors.New("busy"), Answered: true, RetryAfter: wait}
	}
	for name, c := range map[string]struct {
		failures map[string]error
		want     string
	}{
		"the second":              {map[string]error{"1": errors.New("away"), "2": busy(time.Hour)}, "3600"},
		"the first":               {map[string]error{"1": busy(2 * time.Second), "2": errors.New("away")}, "2"},
		"the longer":              {map[string]error{"1": busy(2 * time.Second), "2": busy(9 * time.Second)}, "9"},
		"nobody says":             {map[string]error{"1": errors.New("away")}, "30"},
		"an operator comes first": {map[string]error{"1": attempt.Misconfigured.Errorf("no"), "2": busy(9)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			newHandler(failing(c.failures, new([]string))).ServeHTTP(
				w, post(batched, "["+bootstrap("1")+","+bootstrap("2")+","+bootstrap("3")+"]"))
			assert.Equal(t, c.want, w.Header().Get("Retry-After"), w.Body)
		})
	}
}

// What is asked to wait isn't asked again before the invocation ends.
func TestOtherRecordsAreHeldBackIfTheWaitOutlastsTheInvocation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wait, timeout time.Duration // no timeout: 0
		sink          bool
		asked         int
	}{
		"it is short":                {9 * time.Second, 10 * time.Second, false, 3},
		"it reaches the margin":      {9500 * time.Millisecond, 10 * time.Second, false, 1},
		"it outlasts the invocation": {15 * time.Second, 10 * time.Second, false, 1},
		"it reaches that of a sink":  {8 * time.Second, 10 * time.Second, true, 1},
		"the invocation has no end":  {20 * time.Second, 0, false, 3},
		"it is longer than any is":   {21 * time.Second, 0, false, 1},
		"there is none":              {0, 10 * time.Second, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				busy := &attempt.Failure{Err: errors.New("busy"), Answered: true, RetryAfter: c.wait}
				h := newHandler(failing(map[string]error{"1": busy, "2": busy, "3": busy}, &asked))
				if c.sink {
					h.Sink = func(context.Context, ...event.Event) error { return nil }
				}
				ctx := t.Context()
				if c.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				_, err := h.Invoke(ctx, []byte("["+bootstrap("1")+","+bootstrap("2")+","+bootstrap("3")+"]"))
				require.ErrorContains(t, err, "3 of 3 events failed")
				assert.Len(t, asked, c.asked)
			})
		})
	}
}

// A body that comes slowly takes from the time of its events, and one that ends in the middle says
// nothing about them.
func TestTheTimeOfARequestBeginsBeforeItsBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowReader{strings.NewReader(bootstrap("1")), 29 * time.Second}
		r := httptest.NewRequest(http.MethodPost, "/", slow)
		r.Header.Set("Content-Type", structured)
		start, w := time.Now(), httptest.NewRecorder()
		newHandler(takes(time.Hour)).ServeHTTP(w, r)
		assert.Equal(t, handler.HTTPTime-500*time.Millisecond, time.Since(start))
		assert.Equal(t, 503, w.Code)

		r = httptest.NewRequest(http.MethodPost, "/", iotest.TimeoutReader(strings.NewReader(bootstrap("1"))))
		r.Header.Set("Content-Type", structured)
		w = httptest.NewRecorder()
		newHandler(registered).ServeHTTP(w, r)
		assert.Equal(t, 503, w.Code)
		assert.Contains(t, w.Body.String(), "the body can't be read")
	})
}

// slowReader waits before it reads for the first time.
type slowReader struct {
	*strings.Reader
	wait time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.wait)
	s.wait = 0
	return s.Reader.Read(p)
}
