package sink_test

import (
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/sink"
	"registrar/pkg/attempt"
)

// answering makes a sink of each kind that answers its first attempt with a status and a header,
// and takes the event then.
func answering(t *testing.T, status int, header http.Header) map[string]sink.Sink {
	bus := new(awstest.EventBridge)
	bus.Script(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		awstest.Refuse(status, "InternalFailure")(w, r)
	}, nil)
	return map[string]sink.Sink{
		"eventbridge": bridge(t, bus),
		"https": toHook(t, func(_ *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return response(status, "", header), nil
			}
			return response(http.StatusAccepted, "", nil), nil
		}),
	}
}

func TestRetryAfterIsHonouredByEverySink(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{ // 0: a wait of our own
		"": 0, "soon": 0, "-1": 0, "1.5": 0, "0": time.Second, "007": 7 * time.Second, "20": 20 * time.Second,
		"21": 21 * time.Second, "3600": time.Hour,
		"Sat, 01 Jan 2000 01:00:07 GMT": 7 * time.Second, "Saturday, 01-Jan-00 02:00:00 GMT": time.Hour,
	} {
		header := http.Header{"Retry-After": {value}, "Date": {"Sat, 01 Jan 2000 01:00:00 GMT"}} // an hour ahead
		for _, status := range []int{429, 500, 503} {
			synctest.Test(t, func(t *testing.T) {
				for kind, send := range answering(t, status, header) {
					start := time.Now()
					err := send(t.Context(), resultEvent())
					took := time.Since(start)
					what := []any{"%s, status %d, %q: %v", kind, status, value, err}
					wait, asked := attempt.AskedToWait(err)
					switch {
					case want > attempt.LongestWait:
						assertKind(t, err, attempt.Transient)
						assert.Zero(t, took, what...)
						assert.True(t, asked, what...)
						assert.Equal(t, want, wait, what...)
					case want > 0:
						require.NoError(t, err, what...)
						assert.Equal(t, want, took, what...)
					default:
						require.NoError(t, err, what...)
						assert.Less(t, took, 200*time.Millisecond, what...)
					}
				}
			})
		}
	}
}

func TestASinkThatRefusesForGoodIsNotAskedToWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		header := http.Header{"Retry-After": {"3600"}}
		for _, status := range []int{301, 401, 403, 404} {
			send := toHook(t, func(*http.Request, int) (*http.Response, error) {
				return response(status, "", header), nil
			})
			bus := new(awstest.EventBridge)
			bus.Script(func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(w.Header(), header)
				awstest.Refuse(status, "AccessDeniedException")(w, r)
			})
			for _, send := range []sink.Sink{send, bridge(t, bus)} {
				err := send(t.Context(), resultEvent())
				assertKind(t, err, attempt.Misconfigured)
				_, asked := attempt.AskedToWait(err)
				assert.False(t, asked, "status %d", status)
				assert.NotContains(t, err.Error(), "retry after")
			}
			assert.Equal(t, 1, bus.Attempts())
		}
	})
}

func TestEventBridgeTakesEventsWhateverOurClockSays(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, off := range []time.Duration{
		time.Minute, -time.Minute, 10 * time.Minute, -10 * time.Minute, day, -day, 3650 * day, -3650 * day,
	} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus, ahead := new(awstest.EventBridge), off
				send := bridge(t, awstest.ByClock(func() time.Time { return time.Now().Add(ahead) }, bus))
				for range 2 {
					require.NoError(t, send(t.Context(), resultEvent()))
				}
				ahead = 0 // our clock is right again
				for range 2 {
					require.NoError(t, send(t.Context(), resultEvent()))
				}
				assert.Len(t, bus.Entries(), 4)
			})
		})
	}
}
