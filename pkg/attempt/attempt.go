// Package attempt holds the kinds of failure, and the one loop that makes attempts. Whatever calls
// something that may fail shares both: the Huawei Cloud client, the sinks, the secret.
package attempt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// LongestWait is the longest wait between two attempts. What asks for more patience than that is
// left to the caller.
const LongestWait = 20 * time.Second

const firstWait = 200 * time.Millisecond

// Do calls try until it returns nil, at most so many times. Only a transient failure is tried
// again, after an exponential wait with full jitter that begins at 200 ms. A RetryAfter of up to
// LongestWait is honoured. After a longer one, and after a quota that is used up without a word on
// how long to wait, Do returns at once: waiting is then the caller's business.
//
// No wait is begun that the deadline of ctx would cut, and no attempt after it. When ctx ends, the
// error is transient and has in it the last failure that was answered, or else the last one.
func Do(ctx context.Context, attempts int, try func(context.Context) *Failure) error {
	var last *Failure
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return cut(ctx, n-1, last)
		}
		f := try(ctx)
		switch {
		case f == nil:
			return nil
		case ctx.Err() != nil && !f.Answered && last != nil:
			return cut(ctx, n, last)
		case n >= attempts, KindOf(f) != Transient, f.RetryAfter > LongestWait, f.Throttled && f.RetryAfter == 0:
			return f
		}
		pause := max(f.RetryAfter, rand.N(min(firstWait<<min(n-1, 10), LongestWait)))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
			return f
		}
		if f.Answered || last == nil || !last.Answered {
			last = f
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// cut is the failure of a call whose context ended, with the last failure of an attempt if there
// was one.
func cut(ctx context.Context, attempts int, last *Failure) error {
	if last == nil {
		return Transient.Errorf("no time left: %w", context.Cause(ctx))
	}
	return Transient.Errorf("%w after %d attempts: %w", context.Cause(ctx), attempts, last)
}

// Timeout bounds one attempt. If the limit ends it, the cause of the context says so.
func Timeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, lateError(limit))
}

// lateError says that no answer came within so long.
type lateError time.Duration

func (e lateError) Error() string {
	return fmt.Sprintf("no answer within %s: %s", time.Duration(e), context.DeadlineExceeded)
}

func (lateError) Unwrap() error { return context.DeadlineExceeded }
