package frontdoor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// batch is an event of SQS with some messages.
func batch(messages ...string) string { return `{"Records":[` + strings.Join(messages, ",") + `]}` }

// queued is an event of SQS with the message m-1.
func queued(body string) string { return batch(message("m-1", body)) }

// message is a message of SQS.
func message(id, body string) string {
	return `{"messageId":` + quoted(id) + `,"body":` + quoted(body) + `,"attributes":{},` +
		`"eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:q"}`
}

// urlRequest is a request to a function URL.
func urlRequest(contentType, body string) string {
	return `{"version":"2.0","rawPath":"/","headers":{"content-type":` + quoted(contentType) + `},` +
		`"requestContext":{"http":{"method":"POST"}},"isBase64Encoded":true,` +
		`"body":` + quoted(base64.StdEncoding.EncodeToString([]byte(body))) + `}`
}

// Each way for an event to arrive has its answers, when it succeeds and when Huawei Cloud is away.
func TestEachWayToArriveHasItsAnswer(t *testing.T) {
	t.Parallel()
	in := bootstrap(north)
	eventBridge := func(id, eventType, detail string) string {
		return `{"version":"0","id":"` + id + `","detail-type":"` + eventType + `","source":"com.example",` +
			`"time":"2026-01-02T03:04:05Z","detail":` + detail + `}`
	}
	mapped := eventBridge("in-1", "org.bootstrap", north)
	notification := `{"Type":"Notification","MessageId":"n","TopicArn":"arn","Message":` + quoted(in) + `}`
	const (
		event       = `{"specversion":"1.0"`
		failedWhole = "TransientError"
		none        = `{"batchItemFailures":[]}`
		m1          = `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`
	)
	for name, c := range map[string]struct {
		payload   string
		succeeded string // a part of the answer
		failed    string // a part of the answer, or failedWhole
	}{
		"a CloudEvent":                  {in, event, failedWhole},
		"an array":                      {"[" + in + "]", "[" + event, failedWhole},
		"EventBridge with data":         {mapped, event, failedWhole},
		"EventBridge with a CloudEvent": {eventBridge("x", "x", in), event, failedWhole},
		"SQS":                           {queued(in), none, m1},
		"EventBridge in SQS":            {queued(mapped), none, m1},
		"SNS in SQS":                    {queued(notification), none, m1},
		"SNS": {
			`{"Records":[{"EventSource":"aws:sns","Sns":` + notification + `}]}`, event, failedWhole,
		},
		"a failed asynchronous event to replay": {
			`{"version":"1.0","requestContext":{"condition":"RetriesExhausted"},` +
				`"requestPayload":` + in + `,"responsePayload":{}}`,
			event, failedWhole,
		},
		"the same, from its dead-letter queue": {
			queued(`{"requestContext":{"condition":"EventAgeExceeded"},"requestPayload":` + mapped + `}`), none, m1,
		},
		"the answer of a function in a chain": {
			`{"requestContext":{"condition":"Success"},"requestPayload":{},"responsePayload":` + in + `}`,
			event, failedWhole,
		},
		"a function URL": {
			urlRequest("application/cloudevents+json", in), `"statusCode":200`, `"statusCode":503`,
		},
		"a function URL with a batch": {
			urlRequest("application/cloudevents-batch+json", "["+in+"]"), `"statusCode":200`, `"statusCode":503`,
		},
		"a function URL with something else": {
			urlRequest("application/json", in), `"statusCode":415`, `"statusCode":415`,
		},
		"a function URL with an invalid event": {
			urlRequest("application/cloudevents+json", "{}"), `"statusCode":400`, `"statusCode":400`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.env["MAX_ATTEMPTS"] = "1"
			f := s.start(t, "register-region")
			answer, err := f.Invoke(t.Context(), []byte(c.payload))
			require.NoError(t, err)
			assert.Empty(t, answer.FunctionError, "%s", answer.Payload)
			assert.Contains(t, string(answer.Payload), c.succeeded)
			if strings.Contains(c.succeeded, "specversion") {
				resultsIn(t, answer.Payload)
			}
			if !strings.Contains(name, "something else") && !strings.Contains(name, "invalid") {
				assert.Equal(t, "cn-north-4", s.Region())
			}

			s.Script("GET", "", huaweitest.Fault{Status: 503, Times: huaweitest.Forever})
			answer, err = f.Invoke(t.Context(), []byte(c.payload))
			require.NoError(t, err)
			assert.Equal(t, c.failed == failedWhole, answer.FunctionError != "")
			assert.Contains(t, string(answer.Payload), c.failed)
		})
	}
}

func TestABatchIsAnsweredInPart(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.eventsChoose()
	s.Script("GET", "/v1/organizations/accounts/forbidden/delegated-services",
		huaweitest.Fault{Status: 403, Code: "Organizations.1007", Times: huaweitest.Forever})
	var messages []string
	add := func(id, body string) { messages = append(messages, message(id, body)) }
	for i := range 5 {
		id := fmt.Sprintf("good-%d", i)
		s.AddAccount(id, "active")
		add(id, adopt(id))
	}
	add("truncated", adopt("x")[:30])
	add("empty", "")
	add("foreign", bootstrap(north))
	add("forbidden", adopt("forbidden"))
	answer, err := s.start(t, "register-admin").Invoke(t.Context(), []byte(batch(messages...)))
	require.NoError(t, err)
	require.Empty(t, answer.FunctionError)
	assert.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"truncated"},{"itemIdentifier":"empty"},`+
		`{"itemIdentifier":"foreign"},{"itemIdentifier":"forbidden"}]}`, string(answer.Payload))
	for i := range 5 {
		assert.Equal(t, []string{secMaster}, s.Delegations(fmt.Sprintf("good-%d", i)))
	}
	assert.Equal(t, 5, s.writes())
}
