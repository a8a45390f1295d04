package attempt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
)

var (
	errSilent = errors.New("connection reset")
	errBusy   = errors.New("status 503")
)

func silent() *attempt.Failure { return &attempt.Failure{Err: errSilent} }

func answered() *attempt.Failure { return &attempt.Failure{Err: errBusy, Answered: true} }

// script answers each attempt with the next of the failures, and then with success. It counts.
func script(n *int, failures ...*attempt.Failure) func(context.Context) *attempt.Failure {
	return func(context.Context) *attempt.Failure {
		*n++
		if *n > len(failures) {
			return nil
		}
		return failures[*n-1]
	}
}

func TestOnlyTransientFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failures []*attempt.Failure
		attempts int // made, of 4
		fails    bool
	}{
		"a success":                     {nil, 1, false},
		"a failure that cures itself":   {[]*attempt.Failure{silent(), answered()}, 3, false},
		"the last attempt succeeds":     {[]*attempt.Failure{silent(), silent(), silent()}, 4, false},
		"all attempts fail":             {[]*attempt.Failure{silent(), silent(), silent(), silent()}, 4, true},
		"misconfigured":                 {[]*attempt.Failure{{Kind: attempt.Misconfigured, Err: errBusy}}, 1, true},
		"refused":                       {[]*attempt.Failure{{Kind: attempt.Refused, Err: errBusy}}, 1, true},
		"a transient one, then refused": {[]*attempt.Failure{silent(), {Kind: attempt.Refused, Err: errBusy}}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := attempt.Do(t.Context(), 4, script(&n, c.failures...))
				assert.Equal(t, c.attempts, n)
				if !c.fails {
					require.NoError(t, err)
					return
				}
				assert.Same(t, c.failures[len(c.failures)-1], err, "as it came")
			})
		})
	}
}

func TestWaitsGrowWithFullJitterUpToTheLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rounds = 300
		var longest [12]time.Duration
		for range rounds {
			last, n := time.Now(), 0
			err := attempt.Do(t.Context(), len(longest)+1, func(context.Context) *attempt.Failure {
				if n > 0 {
					longest[n-1] = max(longest[n-1], time.Since(last))
				}
				last, n = time.Now(), n+1
				return silent()
			})
			require.ErrorIs(t, err, errSilent)
		}
		limit := 200 * time.Millisecond
		for i, longest := range longest {
			assert.Less(t, longest, limit, "wait %d", i+1)
			assert.Greater(t, longest, limit*3/4, "wait %d", i+1)
			limit = min(2*limit, attempt.LongestWait)
		}
	})
}

func TestRetryAfterIsTheLeastWait(t *testing.T) {
	t.Parallel()
	for _, throttled := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start, n := time.Now(), 0
			require.NoError(t, attempt.Do(t.Context(), 4, script(&n,
				&attempt.Failure{Err: errBusy, RetryAfter: attempt.LongestWait, Throttled: throttled})))
			assert.Equal(t, 20*time.Second, time.Since(start))
		})
	}
}

func TestMorePatienceThanTheLongestWaitIsLeftToTheCaller(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failure attempt.Failure
		asked   bool
		wait    time.Duration
		waits   bool // Do waits by itself
	}{
		"a longer wait":             {attempt.Failure{RetryAfter: 21 * time.Second}, true, 21 * time.Second, false},
		"a quota that says nothing": {attempt.Failure{Throttled: true}, true, 0, false},
		"a quota and a long wait":   {attempt.Failure{Throttled: true, RetryAfter: time.Hour}, true, time.Hour, false},
		"a quota and a short wait": {
			attempt.Failure{Throttled: true, RetryAfter: time.Second}, true, time.Second, true,
		},
		"the longest wait":     {attempt.Failure{RetryAfter: attempt.LongestWait}, false, 0, true},
		"nothing is asked for": {attempt.Failure{}, false, 0, true},
		"misconfigured, in an hour": {
			attempt.Failure{Kind: attempt.Misconfigured, RetryAfter: time.Hour}, false, 0, false,
		},
		"refused, as a quota is out": {attempt.Failure{Kind: attempt.Refused, Throttled: true}, false, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.failure.Err = errBusy
			wait, asked := attempt.AskedToWait(fmt.Errorf("wrapped: %w", &c.failure))
			assert.Equal(t, c.asked, asked)
			assert.Equal(t, c.wait, wait)
			synctest.Test(t, func(t *testing.T) {
				start, n := time.Now(), 0
				err := attempt.Do(t.Context(), 2, script(&n, &c.failure))
				if c.waits {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, errBusy)
				assert.Zero(t, time.Since(start))
			})
		})
	}
	_, asked := attempt.AskedToWait(errBusy)
	assert.False(t, asked)
	_, asked = attempt.AskedToWait(nil)
	assert.False(t, asked)
}

func TestTheDeadlineCutsAttemptsAndWaits(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) *attempt.Failure {
		<-ctx.Done()
		return &attempt.Failure{Err: context.Cause(ctx)}
	}
	slow := func(f *attempt.Failure) func(context.Context) *attempt.Failure {
		return func(ctx context.Context) *attempt.Failure {
			<-ctx.Done()
			return f
		}
	}
	now := func(f *attempt.Failure) func(context.Context) *attempt.Failure {
		return func(context.Context) *attempt.Failure { return f }
	}
	short := time.Second // the Retry-After of what is tried again
	busy := &attempt.Failure{Err: errBusy, Answered: true, RetryAfter: short}
	reset := &attempt.Failure{Err: errSilent, RetryAfter: short}
	for name, c := range map[string]struct {
		tries []func(context.Context) *attempt.Failure
		want  string
		took  time.Duration
	}{
		"the first attempt is cut": {
			[]func(context.Context) *attempt.Failure{hang}, "context deadline exceeded", 5 * time.Second,
		},
		"the second attempt is cut, and the answer before it kept": {
			[]func(context.Context) *attempt.Failure{now(busy), hang},
			"context deadline exceeded after 2 attempts: status 503", 5 * time.Second,
		},
		"silence is kept too, if nobody ever answered": {
			[]func(context.Context) *attempt.Failure{now(reset), hang},
			"context deadline exceeded after 2 attempts: connection reset", 5 * time.Second,
		},
		"an answer is kept rather than the silence after it": {
			[]func(context.Context) *attempt.Failure{now(busy), now(reset), hang},
			"context deadline exceeded after 3 attempts: status 503", 5 * time.Second,
		},
		"an answer that came at the last moment counts": {
			[]func(context.Context) *attempt.Failure{now(reset), slow(busy)}, "status 503", 5 * time.Second,
		},
		"a wait that would reach it isn't begun": {
			[]func(context.Context) *attempt.Failure{now(&attempt.Failure{Err: errBusy, RetryAfter: 5 * time.Second})},
			"status 503", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start, n := time.Now(), 0
				err := attempt.Do(ctx, 9, func(ctx context.Context) *attempt.Failure {
					n++
					return c.tries[n-1](ctx)
				})
				require.EqualError(t, err, c.want)
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Equal(t, c.took, time.Since(start))
				assert.Len(t, c.tries, n)
			})
		})
	}
}

func TestAContextThatEndedStartsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBusy)
	n := 0
	err := attempt.Do(ctx, 4, script(&n))
	require.EqualError(t, err, "no time left: status 503")
	require.ErrorIs(t, err, errBusy)
	assert.Equal(t, attempt.Transient, attempt.KindOf(err))
	assert.Zero(t, n)
}

func TestAWaitEndsWhenTheCallerGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start, n := time.Now(), 0
		err := attempt.Do(ctx, 4, script(&n, &attempt.Failure{Err: errBusy, RetryAfter: 10 * time.Second}))
		require.EqualError(t, err, "context canceled after 1 attempts: status 503")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errBusy)
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestATimeoutSaysWhatItLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := attempt.Timeout(t.Context(), 10*time.Second)
		defer cancel()
		<-ctx.Done()
		require.EqualError(t, context.Cause(ctx), "no answer within 10s: context deadline exceeded")
		require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBusy)
	limited, stop := attempt.Timeout(ctx, time.Hour)
	defer stop()
	require.ErrorIs(t, context.Cause(limited), errBusy, "the cause from outside stays")
}
