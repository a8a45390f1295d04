package attempt_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"registrar/pkg/attempt"
)

func FuzzRetryAfter(f *testing.F) {
	const date = "Fri, 02 Jan 2026 03:04:05 GMT"
	for _, after := range []string{
		"", "0", "5", "-1", "1e9", "99999999999999999999", "soon", date, "Fri, 31 Dec 9999 23:59:59 GMT", "+5", "5 ",
		"٥",
		"Mon, 01 Jan 0001 00:00:00 GMT", "Friday, 02-Jan-26 03:04:05 GMT", "Fri Jan  2 03:04:05 2026", "\x00",
	} {
		f.Add(after, date)
		f.Add(after, after)
	}
	f.Fuzz(func(t *testing.T, after, date string) {
		wait := attempt.RetryAfter(http.Header{"Retry-After": {after}, "Date": {date}})
		assert.True(t, wait == 0 || wait >= time.Second, "%s", wait)
		if after == "" {
			assert.Zero(t, wait)
		}
	})
}
