package client_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// drifting is a cloud whose clock is set before each request comes, which is then signed already.
type drifting struct {
	*huaweitest.Cloud
	mu      sync.Mutex
	offsets []time.Duration // how far it is ahead of ours, for each request; the last one stays
	busy    map[int]bool    // the numbers of the requests that are answered with 503, from 1
	sent    int
}

func (d *drifting) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	off := d.offsets[min(d.sent, len(d.offsets)-1)]
	d.sent++
	d.SetClock(func() time.Time { return time.Now().Add(off) })
	if d.busy[d.sent] {
		d.Script("", "", huaweitest.Fault{When: huaweitest.AfterSignature, Status: 503})
	}
	d.mu.Unlock()
	return d.Cloud.RoundTrip(r)
}

// A clock in a bubble can't be set, so it is the other's that is: only the difference counts.
func TestAClockMayBeWrongAndSetRightWhileACallIsUnderWay(t *testing.T) {
	t.Parallel()
	type offsets []time.Duration
	for name, c := range map[string]struct {
		offsets  offsets
		busy     map[int]bool
		requests int
		fails    bool // as misconfigured, and the next call succeeds with one request more
	}{
		"right":              {offsets{0}, nil, 1, false},
		"a minute behind":    {offsets{time.Minute}, nil, 1, false},
		"a minute ahead":     {offsets{-time.Minute}, nil, 1, false},
		"ten minutes behind": {offsets{10 * time.Minute}, nil, 1, false}, // the gateway takes 15
		"ten minutes ahead":  {offsets{-10 * time.Minute}, nil, 1, false},
		"a day behind":       {offsets{day}, nil, 2, false},
		"a day ahead":        {offsets{-day}, nil, 2, false},
		"ten years behind":   {offsets{10 * year}, nil, 2, false},
		"ten years ahead":    {offsets{-10 * year}, nil, 2, false},

		"set right between attempts":  {offsets{day, day, 0}, map[int]bool{2: true}, 4, false},
		"set right, and wrong again":  {offsets{day, day, 0, 0, day}, map[int]bool{2: true, 4: true}, 6, false},
		"goes wrong between attempts": {offsets{0, -day}, map[int]bool{1: true}, 3, false},
		"set right in two steps": {
			offsets{40 * time.Minute, 40 * time.Minute, 20 * time.Minute, 0}, map[int]bool{2: true}, 4, true,
		},
		"another one each time": {offsets{day, -day, year, 0}, nil, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cloud := &drifting{Cloud: huaweitest.New(keys()), offsets: c.offsets, busy: c.busy}
				api := client.New(config(cloud), client.Static(credentials(keys())))
				sent, err := api.RegisterRegion(t.Context(), "cn-north-4")
				assert.Equal(t, c.requests, sent.Attempts)
				if c.fails {
					assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
				} else {
					require.NoError(t, err)
				}
				cloud.mu.Lock()
				cloud.offsets = offsets{0}
				cloud.mu.Unlock()
				_, err = api.RegisteredRegions(t.Context())
				require.NoError(t, err)
				assert.Len(t, cloud.Requests(), c.requests+1, "nothing is left of the offset")
			})
		})
	}
}

// sleepy sends the first request a day after it was signed, as a machine does that was suspended.
type sleepy struct {
	*huaweitest.Cloud
	once sync.Once
}

func (s *sleepy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.once.Do(func() { time.Sleep(day) })
	return s.Cloud.RoundTrip(r)
}

func TestTheTimeThatWasSignedCountsNotThatOfTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config(&sleepy{Cloud: huaweitest.New(keys())})
		c.RequestTimeout = year // a suspended machine doesn't count the time
		sent, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, 2, sent.Attempts)
	})
}

func TestTheClockIsCorrectedForSomeCodesAndADateOnly(t *testing.T) {
	t.Parallel()
	far := func(off time.Duration) []string {
		return []string{time.Now().Add(off).UTC().Format(http.TimeFormat)}
	}
	for name, c := range map[string]struct {
		status    int
		code      string
		date      func() []string
		corrected bool
	}{
		"0301":                 {401, "APIGW.0301", func() []string { return far(day) }, true},
		"0303":                 {401, "APIGW.0303", func() []string { return far(-day) }, true},
		"0305":                 {401, "APIGW.0305", func() []string { return far(10 * year) }, true},
		"0307":                 {401, "APIGW.0307", func() []string { return far(-10 * year) }, true},
		"six minutes":          {401, "APIGW.0301", func() []string { return far(6 * time.Minute) }, true},
		"four minutes":         {401, "APIGW.0301", func() []string { return far(4 * time.Minute) }, false},
		"another code":         {401, "APIGW.0302", func() []string { return far(day) }, false},
		"no code":              {401, "", func() []string { return far(day) }, false},
		"Organizations speaks": {401, "Organizations.1001", func() []string { return far(day) }, false},
		"forbidden":            {403, "APIGW.0301", func() []string { return far(day) }, false},
		"no date":              {401, "APIGW.0301", func() []string { return nil }, false},
		"a date of nobody":     {401, "APIGW.0301", func() []string { return []string{"yesterday"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, api *client.Client) {
				cloud.Script("", "", huaweitest.Fault{
					Status: c.status, Code: c.code, Header: http.Header{"Date": c.date()},
				})
				if c.corrected { // the next request comes in time
					cloud.SetClock(func() time.Time {
						date, err := http.ParseTime(c.date()[0])
						assert.NoError(t, err)
						return date
					})
				}
				sent, err := api.RegisterRegion(t.Context(), "cn-north-4")
				if c.corrected {
					require.NoError(t, err)
					assert.Equal(t, 2, sent.Attempts)
					return
				}
				assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
				assert.Equal(t, 1, sent.Attempts)
			})
		})
	}
}

func TestCallsAtTheSameTimeCorrectTheClockEachForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers = 20
		cloud := huaweitest.New(keys())
		cloud.SetClock(func() time.Time { return time.Now().Add(-day) })
		cloud.Script("", "", huaweitest.Fault{When: huaweitest.AfterSignature, Status: 503, Times: callers / 2})
		time.AfterFunc(time.Millisecond, func() { cloud.SetClock(nil) }) // before the first wait ends
		api := client.New(config(cloud), client.Static(credentials(keys())))
		var calls sync.WaitGroup
		for range callers {
			calls.Go(func() {
				_, err := api.RegisteredRegions(t.Context())
				assert.NoError(t, err)
			})
		}
		calls.Wait()
		assert.Len(t, cloud.Requests(), 2*callers+2*callers/2, "refused, and half of them busy, refused and read")
	})
}

// What Retry-After asks for, by what a client does who reads it.
func TestRetryAfterInAllItsForms(t *testing.T) {
	t.Parallel()
	const (
		backoff = -1 * time.Second // the next attempt comes after a wait of our own
		longest = (1<<31 - 1) * time.Second
	)
	date := func(layout string, off time.Duration) func(time.Time) []string {
		return func(now time.Time) []string { return []string{now.Add(off).UTC().Format(layout)} }
	}
	text := func(values ...string) func(time.Time) []string {
		return func(time.Time) []string { return values }
	}
	forms := map[string]struct {
		header func(now time.Time) []string
		wait   time.Duration
	}{
		"0":                     {text("0"), time.Second},
		"1":                     {text("1"), time.Second},
		"007":                   {text("007"), 7 * time.Second},
		"20":                    {text("20"), 20 * time.Second},
		"21":                    {text("21"), 21 * time.Second},
		"3600":                  {text("3600"), time.Hour},
		"10^30":                 {text("1000000000000000000000000000000"), longest},
		"-1":                    {text("-1"), backoff},
		"+5":                    {text("+5"), backoff},
		"1.5":                   {text("1.5"), backoff},
		"1e3":                   {text("1e3"), backoff},
		"empty":                 {text(""), backoff},
		"absent":                {text(), backoff},
		"a list":                {text("1, 2"), backoff},
		"two headers":           {text("2", "3600"), 2 * time.Second},
		"words":                 {text("soon"), backoff},
		"a date near":           {date(http.TimeFormat, 7*time.Second), 7 * time.Second},
		"a date of RFC 850":     {date("Monday, 02-Jan-06 15:04:05 GMT", 7*time.Second), 7 * time.Second},
		"a date of asctime":     {date(time.ANSIC, 7*time.Second), 7 * time.Second},
		"a date past":           {date(http.TimeFormat, -time.Hour), time.Second},
		"a date long past":      {date(http.TimeFormat, -10*year), time.Second},
		"a date in a while":     {date(http.TimeFormat, 21*time.Second), 21 * time.Second},
		"a date in a century":   {text("Fri, 31 Dec 9999 23:59:59 GMT"), longest},
		"a date in a time zone": {date("Mon, 02 Jan 2006 15:04:05 +0100", 7*time.Second), backoff},
		"a date of RFC 3339":    {date(time.RFC3339, 7*time.Second), backoff},
	}
	for name, f := range forms {
		for _, skew := range []time.Duration{0, 4 * time.Minute, -10 * year} { // the server's clock
			for _, status := range []int{429, 503, 409} {
				for _, method := range []string{"GET", "POST"} {
					inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, api *client.Client) {
						code := map[int]string{409: "IIC.1006"}[status]
						start := time.Now()
						cloud.SetClock(func() time.Time { return time.Now().Add(skew) })
						cloud.Script(method, "", huaweitest.Fault{
							Status: status, Code: code, Header: http.Header{"Retry-After": f.header(start.Add(skew))},
						})
						call := func(ctx context.Context) error {
							if method == "GET" {
								_, err := api.RegisteredRegions(ctx)
								return err
							}
							_, err := api.RegisterRegion(ctx, "cn-north-4")
							return err
						}
						err := call(t.Context())
						took := time.Since(start)
						what := []any{"%s, status %d, %s, skew %s: %v", name, status, method, skew, err}
						silent := status == 429 && f.wait == backoff
						if f.wait <= attempt.LongestWait && !silent {
							require.NoError(t, err, what...)
							if f.wait == backoff {
								assert.Less(t, took, 200*time.Millisecond, what...)
							} else {
								assert.Equal(t, f.wait, took, what...)
							}
							return
						}
						require.Error(t, err, what...)
						assert.Equal(t, attempt.Transient, attempt.KindOf(err), what...)
						assert.Zero(t, took, what...)
						assert.Len(t, cloud.Requests(), 1, what...)
						wait, asked := attempt.AskedToWait(err)
						assert.True(t, asked, what...)
						assert.Equal(t, max(f.wait, 0), wait, what...)
					})
				}
			}
		}
	}
}

// A success needs no wait, and what only an operator or the state can change isn't tried again.
func TestRetryAfterCountsForTransientFailuresOnly(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 301, 307, 400, 401, 403, 405, 413} {
		for _, value := range []string{"1", "3600"} {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, api *client.Client) {
				start := time.Now()
				cloud.Script("", "", huaweitest.Fault{Status: status, Code: "IIC.400", Header: after(value)})
				sent, err := api.RegisterRegion(t.Context(), "cn-north-4")
				assert.Equal(t, status/100 == 2, err == nil, "%d: %v", status, err)
				assert.Equal(t, 1, sent.Attempts, "%d", status)
				assert.Zero(t, time.Since(start), "%d", status)
				_, asked := attempt.AskedToWait(err)
				assert.False(t, asked, "%d", status)
				if failure, ok := errors.AsType[*attempt.Failure](err); ok {
					assert.NotEqual(t, attempt.Transient, attempt.KindOf(failure), "%d", status)
				}
			})
		}
	}
}
