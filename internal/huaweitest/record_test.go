package huaweitest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"registrar/internal/huaweitest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(temporary)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.SetClock(func() time.Time { return at })
	var seen []huaweitest.Request
	c.OnRequest(func(r huaweitest.Request) { seen = append(seen, r) })
	cl := newClient(t, c)
	cl.creds, cl.at = temporary, at

	first := cl.call("POST", regions, `{"region_id": "cn-north-4"}`)
	cl.call("GET", accounts+"a%2Fb/delegated-services?limit=7", "")
	cl.creds.SecretKey = "wrong"
	cl.call("POST", regions, "")

	all := c.Requests()
	require.Len(t, all, 3)
	assert.Equal(t, all, seen)
	r := all[0]
	assert.Equal(t, "POST", r.Method)
	assert.Equal(t, "huawei.example", r.Host)
	assert.Equal(t, regions, r.Path)
	assert.JSONEq(t, `{"region_id": "cn-north-4"}`, string(r.Body))
	assert.Equal(t, `{"region_id": "cn-north-4"}`, string(r.Body), "byte for byte")
	assert.Equal(t, at, r.Time)
	assert.Equal(t, 200, r.Status)
	assert.Empty(t, r.ErrorCode)
	assert.True(t, r.Verified)
	assert.Equal(t, first.header.Get("X-Request-Id"), r.ID)
	assert.Equal(t, "TOKEN2==", r.Header.Get("X-Security-Token"))
	assert.Contains(t, r.Header.Get("Authorization"), "Access=AK2")

	r = all[1]
	assert.Equal(t, accounts+"a%2Fb/delegated-services", r.Path)
	assert.Equal(t, "limit=7", r.RawQuery)
	assert.Equal(t, 404, r.Status)
	assert.Equal(t, "Organizations.9902", r.ErrorCode)

	r = all[2]
	assert.Equal(t, 401, r.Status)
	assert.Equal(t, "APIGW.0301", r.ErrorCode)
	assert.False(t, r.Verified)

	all[0].Status = 1
	assert.Equal(t, 200, c.Requests()[0].Status, "Requests returns a copy")
	c.OnRequest(nil)
	c.SetClock(nil)
	cl.call("POST", regions, "")
	assert.Len(t, seen, 3)
	assert.WithinDuration(t, time.Now(), last(c).Time, time.Minute)
}

func TestRecordShowsNoSecrets(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(temporary)
	cl := newClient(t, c)
	cl.creds = temporary
	cl.call("GET", trusted+"?limit=7", "")
	r := last(c)

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("call", "request", r, "all", c.Requests())
	slog.New(slog.NewTextHandler(&log, nil)).Info("call", "request", r, "all", c.Requests(), "pointer", &r)
	asJSON, err := json.Marshal(r)
	require.NoError(t, err)
	texts := []string{r.String(), log.String(), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, r), fmt.Sprintf(verb, &r), fmt.Sprintf(verb, c.Requests()))
	}
	for _, text := range texts {
		for _, secret := range []string{
			"TOKEN2", "SK2", "Signature", fmt.Sprintf("%x", "TOKEN2"), fmt.Sprintf("%X", "TOKEN2"),
		} {
			assert.NotContains(t, text, secret)
		}
	}
	assert.Contains(t, log.String(), `"path":"`+trusted+`"`)
}

func TestRecordAsLine(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]huaweitest.Request{
		"POST /v1/x 200": {Method: "POST", Path: "/v1/x", Status: 200, Verified: true},
		"GET /v1/x?limit=1 404 IIC.1254": {
			Method: "GET", Path: "/v1/x", RawQuery: "limit=1", Status: 404, ErrorCode: "IIC.1254", Verified: true,
		},
		"HEAD / 401 APIGW.0301 (unverified)": {Method: "HEAD", Path: "/", Status: 401, ErrorCode: "APIGW.0301"},
		"POST /v1/x no answer":               {Method: "POST", Path: "/v1/x", Verified: true},
	} {
		assert.Equal(t, want, r.String())
		assert.Equal(t, want, fmt.Sprintf("%+v", r))
	}
}

func TestRecordIsCompleteOnceAnswered(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	cl := overServer(t)(c)
	for range 50 {
		got := cl.call("GET", registered, "")
		assert.Equal(t, got.status, last(c).Status)
	}
	resp, err := cl.transport.RoundTrip(newRequest(t, http.MethodHead, cl.base))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 404, resp.StatusCode)
	assert.Equal(t, "/", last(c).Path)
}

func TestOnlyTheLastRequestsAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := huaweitest.New()
		c.KeepRequests(2)
		c.Script("GET", "/slow", huaweitest.Fault{Delay: time.Minute, Status: 500})
		send := func(path string) {
			resp, err := c.RoundTrip(newRequest(t, "GET", "https://huawei.example"+path))
			if assert.NoError(t, err) {
				assert.Equal(t, fmt.Sprintf("%032x", len(path)), resp.Header.Get("X-Request-Id"), "its place")
			}
		}
		var slow sync.WaitGroup
		slow.Go(func() {
			resp, err := c.RoundTrip(newRequest(t, "GET", "https://huawei.example/slow"))
			if assert.NoError(t, err) {
				assert.Equal(t, 500, resp.StatusCode, "an answer to a request that is forgotten")
			}
		})
		synctest.Wait()
		for n := 2; n <= 10; n++ {
			send("/" + strings.Repeat("x", n-1))
		}
		kept := c.Requests()
		assert.Less(t, len(kept), 5)
		slow.Wait()
		kept = c.Requests()
		last := kept[len(kept)-1]
		assert.Equal(t, "/xxxxxxxxx", last.Path)
		assert.Equal(t, 404, last.Status)
	})
}

func newRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	return req
}
