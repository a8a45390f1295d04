package attempt_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
)

func TestTheOutermostKindCounts(t *testing.T) {
	t.Parallel()
	refused := attempt.Refused.Errorf("no: %w", errBusy)
	require.EqualError(t, refused, "no: status 503")
	require.ErrorIs(t, refused, errBusy)
	for want, errs := range map[attempt.Kind][]error{
		attempt.Transient: {
			nil, errBusy, &attempt.Failure{Err: errBusy}, &attempt.Failure{Err: refused},
			fmt.Errorf("%w, read after %w", &attempt.Failure{Err: errSilent}, refused),
		},
		attempt.Misconfigured: {attempt.Misconfigured.Errorf("enable it first: %w", refused)},
		attempt.Refused:       {refused, fmt.Errorf("wrapped: %w", refused)},
	} {
		for _, err := range errs {
			assert.Equal(t, want, attempt.KindOf(err), "%v", err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const now = "Fri, 02 Jan 2026 03:04:05 GMT" // by the server's clock
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "1.5": 0, " 7": 0, "99999999999999": (1<<31 - 1) * time.Second,
		"0": time.Second, "1": time.Second, "7": 7 * time.Second, "3600": time.Hour,
		"Fri, 02 Jan 2026 03:04:15 GMT":  10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT":  time.Second,
		"Friday, 02-Jan-26 03:04:15 GMT": 10 * time.Second,
		"Fri Jan  2 03:04:15 2026":       10 * time.Second,
		"Fri, 31 Dec 9999 23:59:59 GMT":  (1<<31 - 1) * time.Second,
	} {
		assert.Equal(t, want, attempt.RetryAfter(http.Header{"Retry-After": {header}, "Date": {now}}), "%q", header)
	}
	soon := time.Now().Add(10 * time.Second).UTC().Format(http.TimeFormat)
	for _, date := range [][]string{nil, {"today"}} {
		after := attempt.RetryAfter(http.Header{"Retry-After": {soon}, "Date": date})
		assert.InDelta(t, 10, after.Seconds(), 2, "without a clock of the server, by ours")
	}
	assert.Zero(t, attempt.RetryAfter(nil))
}
