//go:build unix

package functiongraphlocal

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func post(t *testing.T, url, payload string, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(payload))
	require.NoError(t, err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func serve(t *testing.T, api InvokeAPI) string {
	t.Helper()
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestTheInvocationAPIAnswers(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{})
	url := serve(t, InvokeAPI{Functions: []*Function{f}})
	large := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	way := f.InvocationPath()
	assert.Equal(t, "/v2/"+projectID+"/fgs/functions/"+f.URN()+"/invocations", way)
	const v1 = "v1"
	later := way + "-async"
	other := func(part, by string) string { return strings.Replace(way, part, by, 1) }
	for name, tt := range map[string]struct {
		path, version, payload string

		status    int
		errorCode string // what the API answers instead of invoking
		failed    bool
		body      string // with <id>; "" isn't compared
	}{
		"answer":          {path: way, payload: `{"a":1}`, status: 200, body: `{"a":1}`},
		"without version": {path: other(":latest", ""), payload: `1`, status: 200, body: `1`},
		"escaped":         {path: strings.ReplaceAll(way, ":", "%3A"), payload: `1`, status: 200, body: `1`},
		"answer in JSON": {
			path: way, version: v1, payload: `{"a":1}`, status: 200,
			body: `{"log":"","request_id":"<id>","result":"{\"a\":1}","status":200}`,
		},
		"failure": {
			path: way, payload: `{"do":"error","text":"later"}`, status: 200, failed: true,
			body: `{"errorMessage":"later","errorType":"BusyError"}`,
		},
		"failure in JSON": {
			path: way, version: v1, payload: `{"do":"exit"}`, status: 200, failed: true,
			body: `{"log":"","request_id":"<id>","result":"{\"errorMessage\":\"the function exited: exit status 0\",` +
				`\"errorType\":\"FunctionExited\"}","status":500}`,
		},
		"as large as it may":  {path: way, payload: large(6 << 20), status: 200},
		"too large":           {path: way, payload: large(6<<20 + 1), status: 413, errorCode: "FSS.0413"},
		"too large for later": {path: later, payload: large(256<<10 + 1), status: 413, errorCode: "FSS.0413"},
		"later":               {path: later, payload: large(256 << 10), status: 202, body: `{"request_id":"<id>"}`},
		"not JSON":            {path: way, payload: `{"a":`, status: 406, errorCode: "FSS.0406"},
		"nothing":             {path: way, status: 406, errorCode: "FSS.0406"},
		"other function":      {path: other("echo", "x"), payload: `1`, status: 404, errorCode: "FSS.0404"},
		"other version":       {path: other("latest", "v1"), payload: `1`, status: 404, errorCode: "FSS.0404"},
		"other operation":     {path: other("invocations", "config"), status: 404, errorCode: "FSS.0404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := post(t, url+tt.path, tt.payload, map[string]string{"X-CFF-Request-Version": tt.version})
			assert.Equal(t, tt.status, resp.StatusCode)
			id := resp.Header.Get("X-CFF-Request-Id")
			assert.Len(t, id, 36)
			if tt.errorCode != "" {
				assert.Contains(t, body, `{"error_code":"`+tt.errorCode+`","error_msg":"`)
				return
			}
			if tt.body != "" {
				assert.JSONEq(t, strings.ReplaceAll(tt.body, "<id>", id), body)
			}
			if tt.status == 200 {
				isError, code := "false", "0"
				if tt.failed {
					isError, code = "true", "500"
				}
				assert.Equal(t, isError, resp.Header.Get("X-Is-Func-Err"))
				assert.Equal(t, code, resp.Header.Get("X-Func-Err-Code"))
			}
		})
	}
	resp, err := http.Get(url + way)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 404, resp.StatusCode)
}

func TestAnAsynchronousInvocationEndsAtADestination(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		waits           []time.Duration
		payload         string
		succeeds        bool
		condition, text string
		attempts        int
		response        string
	}{
		"success": {
			payload: `{"do":"other"}`, succeeds: true, attempts: 1, response: `{"do":"other"}`,
		},
		"failure after retries": {
			waits: []time.Duration{0, 0}, payload: `{"do":"error","text":"later"}`, attempts: 3,
			condition: "BusyError", text: "later", response: `{"errorMessage":"later","errorType":"BusyError"}`,
		},
		"failure without a retry": {
			waits: []time.Duration{}, payload: `{"do":"exit"}`, attempts: 1,
			condition: "FunctionExited", text: "the function exited: exit status 0",
			response: `{"errorMessage":"the function exited: exit status 0","errorType":"FunctionExited"}`,
		},
		"an answer too long to pass on": {payload: `{"do":"long"}`, succeeds: true, attempts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newEcho(t, Config{})
			records := make(chan Record, 1)
			other := func(Record) { assert.Fail(t, "the other destination") }
			api := InvokeAPI{Functions: []*Function{f}, RetryWaits: tt.waits, OnSuccess: other, OnFailure: other}
			if tt.succeeds {
				api.OnSuccess = func(r Record) { records <- r }
			} else {
				api.OnFailure = func(r Record) { records <- r }
			}
			resp, _ := post(t, serve(t, api)+f.InvocationPath()+"-async", tt.payload, nil)
			require.Equal(t, http.StatusAccepted, resp.StatusCode)
			got := <-records
			assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\+08:00$`, got.Timestamp)
			b, err := json.Marshal(got)
			require.NoError(t, err)
			want, err := json.Marshal(map[string]any{
				"timestamp": got.Timestamp,
				"request_context": map[string]any{
					"request_id":   resp.Header.Get("X-CFF-Request-Id"),
					"function_urn": "urn:fss:cn-north-4:" + projectID + ":function:default:echo:latest",
					"condition":    tt.condition, "approximate_invoke_count": tt.attempts,
				},
				"request_payload":  tt.payload,
				"response_context": map[string]any{"status_code": 200, "function_error": tt.text},
				"response_payload": tt.response,
			})
			require.NoError(t, err)
			assert.JSONEq(t, string(want), string(b))
		})
	}
}

func TestAnEventSaysThatNobodyWaits(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{})
	records := make(chan Record, 1)
	url := serve(t, InvokeAPI{Functions: []*Function{f}, OnSuccess: func(r Record) { records <- r }})
	resp, _ := post(t, url+f.InvocationPath()+"-async", `{"do":"headers"}`, nil)
	got := <-records
	assert.Contains(t, got.ResponsePayload, `"X-Cff-Invoke-Type":["async"]`)
	assert.Contains(t, got.ResponsePayload, `"X-Cff-Request-Id":["`+resp.Header.Get("X-CFF-Request-Id")+`"]`)
}

func TestCloseCutsOffEvents(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out, Timeout: time.Hour})
	url := serve(t, InvokeAPI{
		Functions: []*Function{f},
		OnFailure: func(Record) { assert.Fail(t, "it has not ended") },
	})
	post(t, url+f.InvocationPath()+"-async", `{"do":"hang"}`, nil)
	post(t, url+f.InvocationPath()+"-async", `{"do":"error"}`, nil) // then waits a minute
	out.await(t, "hanging")
	f.Close()
	for _, way := range []string{"", "-async"} {
		resp, body := post(t, url+f.InvocationPath()+way, `1`, nil)
		assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
		assert.Contains(t, body, `"FSS.0500"`)
	}
}
