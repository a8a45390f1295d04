//go:build unix

package lambdalocal

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func serve(t *testing.T, api InvokeAPI) string {
	t.Helper()
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return srv.URL + "/2015-03-31/functions/"
}

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

func TestTheInvokeAPIAnswersAsLambda(t *testing.T) {
	t.Parallel()
	url := serve(t, InvokeAPI{Functions: []*Function{newEcho(t, Config{})}})
	type header = map[string]string
	large := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	arn := "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aecho"
	tests := map[string]struct {
		path    string
		header  header
		payload string

		status        int
		errorType     string // what the API answers instead of invoking
		functionError string
		body          string // "" isn't compared
	}{
		"answer":     {path: "echo/invocations", payload: `{"a":1}`, status: 200, body: `{"a":1}`},
		"no payload": {path: "echo/invocations", status: 200, body: `{}`},
		"request response": {
			path:    "echo/invocations",
			header:  header{"X-Amz-Invocation-Type": "RequestResponse"},
			payload: `1`,
			status:  200,
			body:    `1`,
		},
		"latest":             {path: "echo:$LATEST/invocations", payload: `1`, status: 200, body: `1`},
		"escaped latest":     {path: "echo%3A%24LATEST/invocations", payload: `1`, status: 200, body: `1`},
		"latest in query":    {path: "echo/invocations?Qualifier=%24LATEST", payload: `1`, status: 200, body: `1`},
		"ARN":                {path: arn + "/invocations", payload: `1`, status: 200, body: `1`},
		"ARN with latest":    {path: arn + "%3A$LATEST/invocations", payload: `1`, status: 200, body: `1`},
		"partial ARN":        {path: "123456789012:function:echo/invocations", payload: `1`, status: 200, body: `1`},
		"as large as it may": {path: "echo/invocations", payload: large(6 << 20), status: 200, body: large(6 << 20)},
		"error of the function": {
			path: "echo/invocations", payload: `{"do":"error","text":"later"}`,
			status: 200, functionError: "Unhandled", body: `{"errorType":"BusyError","errorMessage":"later"}`,
		},
		"dry run": {
			path:    "echo/invocations",
			header:  header{"X-Amz-Invocation-Type": "DryRun"},
			payload: `{"do":"exit"}`,
			status:  204,
		},
		"event": {
			path:    "echo/invocations",
			header:  header{"X-Amz-Invocation-Type": "Event"},
			payload: `1`,
			status:  202,
		},
		"unknown type": {
			path:      "echo/invocations",
			header:    header{"X-Amz-Invocation-Type": "Maybe"},
			payload:   `1`,
			status:    400,
			errorType: "InvalidParameterValueException",
		},
		"unknown function": {
			path:      "other/invocations",
			payload:   `1`,
			status:    404,
			errorType: "ResourceNotFoundException",
		},
		"unknown version": {
			path:      "echo:7/invocations",
			payload:   `1`,
			status:    404,
			errorType: "ResourceNotFoundException",
		},
		"unknown operation": {
			path:      "echo/configuration",
			payload:   `1`,
			status:    404,
			errorType: "UnknownOperationException",
		},
		"not JSON": {
			path:      "echo/invocations",
			payload:   `{"a":`,
			status:    400,
			errorType: "InvalidRequestContentException",
		},
		"too large": {
			path:      "echo/invocations",
			payload:   large(6<<20 + 1),
			status:    413,
			errorType: "RequestTooLargeException",
		},
		"event too large": {
			path: "echo/invocations", header: header{"X-Amz-Invocation-Type": "Event"}, payload: large(1<<20 + 1),
			status: 413, errorType: "RequestTooLargeException",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := post(t, url+tt.path, tt.payload, tt.header)
			assert.Equal(t, tt.status, resp.StatusCode)
			assert.Len(t, resp.Header.Get("X-Amzn-RequestId"), 36)
			assert.Equal(t, tt.errorType, resp.Header.Get("X-Amzn-ErrorType"))
			assert.Equal(t, tt.functionError, resp.Header.Get("X-Amz-Function-Error"))
			switch {
			case tt.status == 200:
				assert.Equal(t, "$LATEST", resp.Header.Get("X-Amz-Executed-Version"))
				assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
				assertJSON(t, tt.body, body)
			case tt.status > 299:
				assert.Regexp(t, `^\{"Message":".+","Type":"User"\}\n$`, body)
			default:
				assert.Empty(t, body)
			}
		})
	}
}

func TestTheRequestIDReachesTheFunction(t *testing.T) {
	t.Parallel()
	url := serve(t, InvokeAPI{Functions: []*Function{newEcho(t, Config{})}})
	resp, body := post(t, url+"echo/invocations", `{"do":"context"}`, nil)
	assert.Contains(t, body, `"id":"`+resp.Header.Get("X-Amzn-RequestId")+`"`)
}

func TestAnEventIsTriedAgain(t *testing.T) {
	t.Parallel()
	type ending struct {
		function, payload string
		answer            Answer
		attempts          int
	}
	tests := map[string]struct {
		waits         []time.Duration
		payload       string
		attempts      int
		functionError string
	}{
		"not after success":       {nil, `{"do":"pid"}`, 1, ""},
		"twice after errors":      {[]time.Duration{0, 0}, `{"do":"error"}`, 3, "Unhandled"},
		"not if there is no wait": {[]time.Duration{}, `{"do":"error"}`, 1, "Unhandled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan ending, 1)
			url := serve(t, InvokeAPI{
				Functions:  []*Function{newEcho(t, Config{})},
				RetryWaits: tt.waits,
				OnAsync: func(function string, payload []byte, a Answer, attempts int) {
					ended <- ending{function, string(payload), a, attempts}
				},
			})
			resp, _ := post(t, url+"echo/invocations", tt.payload, map[string]string{"X-Amz-Invocation-Type": "Event"})
			require.Equal(t, http.StatusAccepted, resp.StatusCode)
			got := <-ended
			assert.Equal(t, "echo", got.function)
			assert.Equal(t, tt.payload, got.payload)
			assert.Equal(t, tt.attempts, got.attempts)
			assert.Equal(t, tt.functionError, got.answer.FunctionError)
			assert.Equal(t, resp.Header.Get("X-Amzn-RequestId"), got.answer.RequestID)
		})
	}
}

func TestCloseCutsOffEvents(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out, Timeout: time.Hour})
	url := serve(t, InvokeAPI{
		Functions: []*Function{f},
		OnAsync:   func(string, []byte, Answer, int) { assert.Fail(t, "it has not ended") },
	})
	event := map[string]string{"X-Amz-Invocation-Type": "Event"}
	post(t, url+"echo/invocations", `{"do":"hang"}`, event)
	post(t, url+"echo/invocations", `{"do":"error"}`, event) // then waits a minute
	out.hanging(t)
	f.Close()
	for _, way := range []string{"Event", "RequestResponse"} {
		resp, body := post(t, url+"echo/invocations", `1`, map[string]string{"X-Amz-Invocation-Type": way})
		assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
		assert.Equal(t, "ServiceException", resp.Header.Get("X-Amzn-ErrorType"))
		assert.Contains(t, body, `"Type":"Service"`)
	}
}
