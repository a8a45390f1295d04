package attempt

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// longest is the longest wait that is understood, as many seconds as HTTP asks of everybody.
const longest = (1<<31 - 1) * time.Second

// RetryAfter returns how long the header Retry-After of an answer asks to wait, given in seconds or
// as a date on the clock of the header Date. It is at least a second, and 0 if there is no such
// header.
func RetryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if value == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range, seconds is the largest
		return max(time.Duration(seconds)*time.Second, time.Second)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(until.Sub(now), time.Second), longest)
}
