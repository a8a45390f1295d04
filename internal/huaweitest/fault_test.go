package huaweitest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"registrar/internal/huaweitest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const body = `{"region_id":"cn-north-4"}`

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  huaweitest.Fault
		status int
		raw    string
		header map[string]string
		code   string // recorded
	}{
		"an error": {
			fault:  huaweitest.Fault{Status: 503, Code: "APIGW.0201", Message: "Backend unavailable"},
			status: 503, code: "APIGW.0201",
			raw: `{"error_code":"APIGW.0201","error_msg":"Backend unavailable",` +
				`"request_id":"00000000000000000000000000000001"}`,
			header: map[string]string{
				"Content-Type": "application/json", "X-Request-Id": "00000000000000000000000000000001",
			},
		},
		"headers": {
			fault: huaweitest.Fault{
				Status: 429, Body: []byte{},
				Header: http.Header{"retry-after": {"7"}, "Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}},
			},
			status: 429, header: map[string]string{"Retry-After": "7", "Date": "Thu, 01 Jan 1970 00:00:00 GMT"},
		},
		"a header left out": {
			fault: huaweitest.Fault{
				Status: 401, Body: []byte{}, Header: http.Header{"Date": nil, "X-Request-Id": nil},
			},
			status: 401, header: map[string]string{"Date": "", "X-Request-Id": ""},
		},
		"a redirect": {
			fault: huaweitest.Fault{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}}, status: 302,
			header: map[string]string{"Location": "/elsewhere"},
		},
		"HTML": {
			fault: huaweitest.Fault{Status: 502, Body: []byte("<html>Bad Gateway")}, status: 502,
			raw: "<html>Bad Gateway", header: map[string]string{"Content-Type": "text/html; charset=utf-8"},
		},
		"not UTF-8": {
			fault: huaweitest.Fault{Status: 500, Body: []byte("\xff\xfe\x80")}, status: 500,
			raw: "\xff\xfe\x80",
		},
		"empty": {fault: huaweitest.Fault{Status: 500, Body: []byte{}}, status: 500},
		"nested JSON": {
			fault:  huaweitest.Fault{Status: 400, Code: "IIC.1", Body: []byte(`{"error":{"code":"IIC.1"}}`)},
			status: 400, raw: `{"error":{"code":"IIC.1"}}`, code: "IIC.1",
		},
		"a success":  {fault: huaweitest.Fault{Status: 200, Body: []byte("no JSON")}, status: 200, raw: "no JSON"},
		"no content": {fault: huaweitest.Fault{Status: 204}, status: 204},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, over := range bothWays(t) {
				c := huaweitest.New(permanent)
				c.Script("POST", regions, tt.fault)
				cl := over(c)
				got := cl.call("POST", regions, body)
				assert.Equal(t, tt.status, got.status, name)
				assert.Equal(t, tt.raw, got.raw, name)
				for h, want := range tt.header {
					assert.Equal(t, want, got.header.Get(h), name+" "+h)
				}
				assert.Equal(t, tt.status, last(c).Status, name)
				assert.Equal(t, tt.code, last(c).ErrorCode, name)
				assert.Empty(t, c.Region(), "nothing was written")
				assert.Equal(t, 200, cl.call("POST", regions, body).status, "once is the default")
			}
		})
	}
}

func bothWays(t *testing.T) map[string]func(*huaweitest.Cloud) client {
	t.Helper()
	return map[string]func(*huaweitest.Cloud) client{
		"a server":   overServer(t),
		"no network": func(c *huaweitest.Cloud) client { return newClient(t, c) },
	}
}

func overServer(t *testing.T) func(*huaweitest.Cloud) client {
	t.Helper()
	return func(c *huaweitest.Cloud) client {
		srv := httptest.NewServer(c)
		t.Cleanup(srv.Close)
		return client{t: t, transport: srv.Client().Transport, base: srv.URL, creds: permanent}
	}
}

func TestFaultTruncatesAnswer(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.Script(
		"GET", registered,
		huaweitest.Fault{Status: 200, Body: []byte(`{"regions":[{"reg`), Header: http.Header{"Content-Length": {"44"}}},
	)
	got, err := overServer(t)(c).try("GET", registered, "")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 200, got.status)
	assert.Equal(t, `{"regions":[{"reg`, got.raw)
}

func TestFaultStages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  huaweitest.Fault
		status int // what a request that is signed well gets, 0 if the connection is cut
		region string
		bad    int // status of a request signed badly, with the fault still queued
	}{
		"an answer before the signature check": {huaweitest.Fault{Status: 503}, 503, "", 503},
		"an answer after the signature check": {
			huaweitest.Fault{Status: 503, When: huaweitest.AfterSignature}, 503, "", 401,
		},
		"an answer after the write": {
			huaweitest.Fault{Status: 504, When: huaweitest.AfterWrite}, 504, "cn-north-4", 401,
		},
		"a reset before the signature check": {huaweitest.Fault{Reset: true}, 0, "", 0},
		"a reset after the signature check": {
			huaweitest.Fault{Reset: true, When: huaweitest.AfterSignature}, 0, "", 401,
		},
		"a reset after the write": {
			huaweitest.Fault{Reset: true, When: huaweitest.AfterWrite}, 0, "cn-north-4", 401,
		},
		"a reset with a status is still one": {huaweitest.Fault{Reset: true, Status: 503}, 0, "", 0},
		"headers alone let it be served": {
			huaweitest.Fault{Header: http.Header{"X": {"y"}}}, 200, "cn-north-4", 401,
		},
		"headers alone after the write as well": {
			huaweitest.Fault{Header: http.Header{"X": {"y"}}, When: huaweitest.AfterWrite}, 200, "cn-north-4", 401,
		},
		"the zero fault does nothing": {huaweitest.Fault{}, 200, "cn-north-4", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, over := range bothWays(t) {
				check := func(got reply, err error, want int) {
					if want == 0 {
						require.ErrorIs(t, err, io.EOF, name)
					} else {
						require.NoError(t, err, name)
					}
					assert.Equal(t, want, got.status, name)
					assert.Equal(t, tt.fault.Header.Get("X"), got.header.Get("X"), name)
				}
				c := huaweitest.New(permanent)
				c.Script("POST", regions, tt.fault)
				got, err := over(c).try("POST", regions, body)
				check(got, err, tt.status)
				assert.Equal(t, tt.region, c.Region(), name)
				require.Len(t, c.Requests(), 1)
				assert.Equal(t, tt.status, last(c).Status, name)
				assert.True(t, last(c).Verified, name)

				c = huaweitest.New(permanent)
				c.Script("POST", regions, tt.fault)
				cl := over(c)
				cl.creds.SecretKey = "wrong"
				got, err = cl.try("POST", regions, body)
				if tt.bad == 401 && tt.fault.When != huaweitest.BeforeSignature {
					require.NoError(t, err, name)
					assert.Equal(t, "APIGW.0301", got.Code, name)
					cl.creds = permanent
					got, err = cl.try("POST", regions, body)
					check(got, err, tt.status) // the fault was not used up
					return
				}
				check(got, err, tt.bad)
				assert.Empty(t, c.Region(), name)
				assert.False(t, last(c).Verified, name)
			}
		})
	}
}

func TestFaultsQueue(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.Script("GET", registered,
		huaweitest.Fault{Skip: 2, Status: 500},
		huaweitest.Fault{Times: 2, Status: 502},
		huaweitest.Fault{},
		huaweitest.Fault{Skip: 1, Times: huaweitest.Forever, Status: 503},
		huaweitest.Fault{Status: 504},
	)
	c.Script("GET", trusted, huaweitest.Fault{Status: 418})
	cl := newClient(t, c)
	var got []int
	for range 10 {
		got = append(got, cl.call("GET", registered, "").status)
		cl.call("POST", registered, "")
	}
	assert.Equal(t, []int{404, 404, 500, 502, 502, 404, 404, 503, 503, 503}, got)
	assert.Equal(t, 418, cl.call("GET", trusted, "").status, "another path has its own faults")
	assert.Equal(t, 200, cl.call("GET", trusted, "").status)
}

func TestFaultMatching(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method, path string
		hit          []string // "GET path" requests hit
		missed       []string
	}{
		"a path": {
			"GET", accounts + "a1",
			[]string{"GET " + accounts + "a1"},
			[]string{"GET " + accounts + "a2", "GET " + accounts + "a1/delegated-services"},
		},
		"a path's query": {"GET", trusted, []string{"GET " + trusted + "?limit=1"}, nil},
		"an escaped path": {
			"GET", accounts + "a%20b", []string{"GET " + accounts + "a%20b"}, []string{"GET " + accounts + "a"},
		},
		"an API's pattern": {
			"GET", accounts + "{account_id}",
			[]string{"GET " + accounts + "a1", "GET " + accounts + "a2"},
			[]string{"GET " + accounts + "a1/delegated-services"},
		},
		"any method": {
			"", registered, []string{"GET " + registered, "POST " + registered}, []string{"GET " + trusted},
		},
		"any path":           {"GET", "", []string{"GET " + registered, "GET /nowhere"}, []string{"POST " + regions}},
		"everything":         {"", "", []string{"GET " + registered, "POST " + regions, "HEAD /"}, nil},
		"no API of the fake": {"PUT", "/v9/x", []string{"PUT /v9/x"}, []string{"GET /v9/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			c.Script(tt.method, tt.path, huaweitest.Fault{Status: 418, Times: huaweitest.Forever})
			for want, targets := range map[bool][]string{true: tt.hit, false: tt.missed} {
				for _, target := range targets {
					method, path, _ := strings.Cut(target, " ")
					assert.Equal(t, want, newClient(t, c).call(method, path, "").status == 418, target)
				}
			}
		})
	}
}

func TestFaultWithoutStatusMustNotAnswer(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]huaweitest.Fault{
		"code":    {Code: "IIC.1"},
		"message": {Message: "m"},
		"body":    {Body: []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New()
			assert.Panics(t, func() { c.Script("GET", "/", f) })
			c.SetRegion("still unlocked")
		})
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault   huaweitest.Fault
		timeout time.Duration
		took    time.Duration
		status  int
		region  string
	}{
		"then served": {
			huaweitest.Fault{Delay: 3 * time.Second}, time.Minute, 3 * time.Second, 200, "cn-north-4",
		},
		"then refused": {
			huaweitest.Fault{Delay: 3 * time.Second, Status: 503}, time.Minute, 3 * time.Second, 503, "",
		},
		"after the write": {
			huaweitest.Fault{Delay: 3 * time.Second, When: huaweitest.AfterWrite},
			time.Minute, 3 * time.Second, 200,
			"cn-north-4",
		},
		"cut short": {huaweitest.Fault{Delay: time.Hour}, 2 * time.Second, 2 * time.Second, 0, ""},
		"cut short after the write": {
			huaweitest.Fault{Delay: time.Hour, When: huaweitest.AfterWrite},
			2 * time.Second, 2 * time.Second, 0,
			"cn-north-4",
		},
		"longer than the clock skew": {huaweitest.Fault{Delay: time.Hour}, 2 * time.Hour, time.Hour, 200, "cn-north-4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := huaweitest.New(permanent)
				c.Script("POST", regions, tt.fault)
				cl := newClient(t, c)
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				req := cl.request("POST", regions, body).WithContext(ctx)
				start := time.Now()
				done := make(chan struct{})
				go func() {
					defer close(done)
					got, err := cl.do(req)
					assert.Equal(t, tt.status, got.status)
					if tt.status == 0 {
						assert.ErrorIs(t, err, context.DeadlineExceeded)
					}
				}()
				synctest.Wait()
				assert.Len(t, c.Requests(), 1, "recorded before it is answered, and the cloud is not locked meanwhile")
				assert.Zero(t, last(c).Status)
				<-done
				assert.Equal(t, tt.took, time.Since(start))
				assert.Equal(t, tt.region, c.Region())
				assert.Equal(t, tt.status, last(c).Status)
			})
		})
	}
}

func TestDelayEndsWithConnection(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.Script("", "", huaweitest.Fault{Delay: time.Hour})
	answered := make(chan huaweitest.Request, 1)
	c.OnRequest(func(r huaweitest.Request) { answered <- r })
	cl := overServer(t)(c)
	ctx, cancel := context.WithCancel(t.Context())
	c.SetClock(func() time.Time { cancel(); return time.Now() }) // asked as the request arrives
	_, err := cl.do(cl.request("POST", regions, body).WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, (<-answered).Status)
	assert.Empty(t, c.Region())
}

func TestBodyCutShortIsNotServed(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.Script("", "", huaweitest.Fault{Status: 503})
	cl := newClient(t, c)
	req := cl.request("POST", regions, body)
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), iotest.ErrReader(io.ErrUnexpectedEOF)))
	_, err := cl.do(req)
	require.ErrorIs(t, err, io.EOF)
	assert.Empty(t, c.Region())
	assert.Zero(t, last(c).Status)
	assert.Equal(t, 503, cl.call("POST", regions, body).status, "the fault waits for a whole request")
}

func TestServeHTTPInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := huaweitest.New(permanent)
		c.Script("POST", regions, huaweitest.Fault{Delay: time.Minute, Status: 503})
		cl := newClient(t, transport(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			return w.Result(), nil
		}))
		assert.Equal(t, 503, cl.call("POST", regions, body).status)
		assert.Equal(t, 200, cl.call("POST", regions, body).status)
		assert.Equal(t, "huawei.example", last(c).Host)
		c.Script("POST", regions, huaweitest.Fault{Reset: true})
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { _, _ = cl.try("POST", regions, body) })
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := huaweitest.New(permanent)
		c.RateLimit(2, time.Minute)
		cl := newClient(t, c)
		assert.Equal(t, 200, cl.call("POST", regions, body).status)
		time.Sleep(59 * time.Second) // by the clock of the bubble
		assert.Equal(t, 409, cl.call("POST", regions, body).status)
		got := cl.call("POST", regions, body)
		assert.Equal(t, 429, got.status)
		assert.Equal(t, "APIGW.0308", got.Code)
		assert.Equal(t, 200, cl.call("GET", registered, "").status, "every API has its own quota")
		cl.creds.SecretKey = "wrong"
		assert.Equal(t, 401, cl.call("POST", regions, body).status)
		cl.creds = permanent
		time.Sleep(time.Second)
		assert.Equal(t, 409, cl.call("POST", regions, body).status)
		assert.Equal(t, 409, cl.call("POST", regions, body).status)
		assert.Equal(t, 429, cl.call("POST", regions, body).status)
		c.RateLimit(0, 0)
		assert.Equal(t, 409, cl.call("POST", regions, body).status)
	})
}
