package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json"
)

func TestAnswersByHTTP(t *testing.T) {
	t.Parallel()
	fails := func(err error) registerFunc {
		return func(context.Context, events.Event, events.BootstrapRegion) (events.Result, error) { return nil, err }
	}
	binary := post("application/json", `{"region_id":"cn-north-4"}`)
	for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/landing-zone", "Ce-Type": "org.bootstrap"} {
		binary.Header.Set(name, value)
	}
	cases := map[string]struct {
		request     *http.Request
		register    registerFunc
		status      int
		contentType string
		body        string
		header      string
	}{
		"structured":         {post(structured, bootstrap("1")), registered, 200, structured, `"type":"org.region.registered"`, ""},
		"binary":             {binary, registered, 200, structured, `"type":"org.region.registered"`, ""},
		"batched":            {post(batched, "["+bootstrap("1")+"]"), registered, 200, batched, `[{"specversion":"1.0"`, ""},
		"an empty batch":     {post(batched, "[]"), registered, 200, batched, `[]`, ""},
		"rejected":           {post(structured, strings.Replace(bootstrap("1"), "cn-north-4", "x", 1)), registered, 200, structured, `"org.region.rejected"`, ""},
		"no event":           {post(structured, "{}"), registered, 400, "application/problem+json", `"error_type":"InvalidEventError"`, ""},
		"another type":       {post(structured, strings.Replace(bootstrap("1"), "org.bootstrap", "x", 1)), registered, 400, "application/problem+json", `takes events of type org.bootstrap`, ""},
		"no CloudEvent":      {post("application/json", "{}"), registered, 415, "application/problem+json", `application/cloudevents+json`, ""},
		"too large":          {post(structured, strings.Repeat(" ", 1<<20+1)), registered, 413, "application/problem+json", `larger than 1048576 bytes`, ""},
		"an event too large": {post(structured, strings.Replace(bootstrap("1"), "cn-north-4", strings.Repeat("x", 256<<10), 1)), registered, 413, "application/problem+json", `at most 262144 are taken`, ""},
		"transient":          {post(structured, bootstrap("1")), fails(errors.New("away")), 503, "application/problem+json", `"error_type":"TransientError"`, "30"},
		"throttled":          {post(structured, bootstrap("1")), fails(&attempt.Failure{Err: errors.New("429"), Throttled: true, RetryAfter: 90 * time.Second}), 503, "application/problem+json", `429`, "90"},
		"misconfigured":      {post(structured, bootstrap("1")), fails(attempt.Misconfigured.Errorf("no rights")), 500, "application/problem+json", `"error_type":"MisconfiguredError"`, ""},
		"a batch in part":    {post(batched, "["+bootstrap("1")+",{}]"), registered, 400, "application/problem+json", `1 of 2 events failed`, ""},
		"GET":                {httptest.NewRequest(http.MethodGet, "/", nil), registered, 405, "application/problem+json", `"status":405`, ""},
		"health":             {httptest.NewRequest(http.MethodGet, "/healthz", nil), registered, 200, "", ``, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			newHandler(c.register).ServeHTTP(w, c.request)
			assert.Equal(t, c.status, w.Code)
			assert.Equal(t, c.contentType, w.Header().Get("Content-Type"))
			assert.Contains(t, w.Body.String(), c.body)
			assert.Equal(t, c.header, w.Header().Get("Retry-After"))
		})
	}
}

func TestFunctionURLs(t *testing.T) {
	t.Parallel()
	request := func(body string, encoded bool) lambdaevents.LambdaFunctionURLRequest {
		r := lambdaevents.LambdaFunctionURLRequest{Version: "2.0", RawPath: "/", Headers: map[string]string{"content-type": structured}, Body: body, IsBase64Encoded: encoded}
		r.RequestContext.HTTP.Method = http.MethodPost
		return r
	}
	invoke := func(r lambdaevents.LambdaFunctionURLRequest) lambdaevents.LambdaFunctionURLResponse {
		payload, err := json.Marshal(r)
		require.NoError(t, err)
		answer, err := newHandler(registered).Invoke(t.Context(), payload)
		require.NoError(t, err)
		var out lambdaevents.LambdaFunctionURLResponse
		require.NoError(t, json.Unmarshal(answer, &out))
		return out
	}
	for _, r := range []lambdaevents.LambdaFunctionURLRequest{
		request(bootstrap("1"), false), request(base64.StdEncoding.EncodeToString([]byte(bootstrap("1"))), true),
	} {
		out := invoke(r)
		assert.Equal(t, 200, out.StatusCode)
		assert.Equal(t, structured, out.Headers["Content-Type"])
		assert.Contains(t, out.Body, "org.region.registered")
	}
	assert.Equal(t, 400, invoke(request("{}", false)).StatusCode)
	r := request("", false)
	r.RequestContext.HTTP.Method, r.RawPath = http.MethodGet, "/healthz"
	assert.Equal(t, 200, invoke(r).StatusCode)

	for _, payload := range []string{
		`{"requestContext":{"http":5}}`, `{"requestContext":{"http":{"method":"A B"}}}`, `{"requestContext":{"http":{"method":"POST"}},"body":"!","isBase64Encoded":true}`,
	} {
		_, err := newHandler(registered).Invoke(t.Context(), []byte(payload))
		require.ErrorAs(t, err, new(*events.InvalidEventError), payload)
	}
}

func TestABodyThatBreaksOffIsNotTheEventsFault(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(errors.New("broken off")))
	r.Header.Set("Content-Type", structured)
	w := httptest.NewRecorder()
	newHandler(registered).ServeHTTP(w, r)
	assert.Equal(t, 503, w.Code)
	assert.Contains(t, w.Body.String(), "broken off")
}

// The sender is the CloudEvents SDK's own, in each of its modes.
func TestTheCloudEventsSDKUnderstandsUs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHandler(registered))
	t.Cleanup(server.Close)
	in := event.New()
	in.SetID("1 € %")
	in.SetSource("/landing-zone")
	in.SetType("org.bootstrap")
	require.NoError(t, in.SetData(event.ApplicationJSON, map[string]string{"region_id": "cn-north-4"}))

	for name, encode := range map[string]func(context.Context) context.Context{
		"binary": binding.WithForceBinary, "structured": binding.WithForceStructured,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := in.Clone()
			if name == "binary" {
				in.SetID("1") // this SDK sends headers as they are, without percent-encoding
			}
			sender, err := cehttp.New(cehttp.WithTarget(server.URL))
			require.NoError(t, err)
			message, acknowledged := sender.Request(encode(t.Context()), (*binding.EventMessage)(&in))
			require.True(t, protocol.IsACK(acknowledged), "%v", acknowledged)
			result, err := binding.ToEvent(t.Context(), message)
			require.NoError(t, err)
			require.NoError(t, result.Validate())
			assert.Equal(t, "org.region.registered", result.Type())
			assert.Equal(t, in.ID(), result.Extensions()["causationid"])
		})
	}
	t.Run("batched", func(t *testing.T) {
		t.Parallel()
		req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), server.URL, []event.Event{in, in})
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		results, err := cehttp.NewEventsFromHTTPResponse(resp)
		require.NoError(t, err)
		require.Len(t, results, 2)
		assert.Equal(t, "org.region.registered", results[1].Type())
	})
}
