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

// queued is a batch of SQS with one message.
func queued(id, body string) string {
	return `{"Records":[{"messageId":` + quoted(id) + `,"body":` + quoted(body) + `,"eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:q","attributes":{}}]}`
}

// urlRequest is a request to a function URL.
func urlRequest(contentType, body string) string {
	return `{"version":"2.0","rawPath":"/","headers":{"content-type":` + quoted(contentType) + `},"requestContext":{"http":{"method":"POST"}},"body":` +
		quoted(base64.StdEncoding.EncodeToString([]byte(body))) + `,"isBase64Encoded":true}`
}

// Each way for an event to arrive, with its answer when it succeeds and when Huawei Cloud is away.
func TestEachWayToArriveHasItsAnswer(t *testing.T) {
	t.Parallel()
	one := bootstrap(north)
	const failedWhole = "TransientError"
	eventBridge := `{"version":"0","id":"in-1","detail-type":"org.bootstrap","source":"com.example","time":"2026-01-02T03:04:05Z","detail":` + north + `}`
	notification := `{"Type":"Notification","MessageId":"n","TopicArn":"arn","Message":` + quoted(one) + `}`
	for name, c := range map[string]struct {
		payload   string
		succeeded string // in the answer
		failed    string // in the answer, or failedWhole
	}{
		"a CloudEvent":                          {one, `{"specversion":"1.0"`, failedWhole},
		"an array":                              {"[" + one + "]", `[{"specversion":"1.0"`, failedWhole},
		"EventBridge with data":                 {eventBridge, `{"specversion":"1.0"`, failedWhole},
		"EventBridge with a CloudEvent":         {`{"version":"0","id":"x","detail-type":"x","source":"x","time":"2026-01-02T03:04:05Z","detail":` + one + `}`, `{"specversion":"1.0"`, failedWhole},
		"SQS":                                   {queued("m-1", one), `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`},
		"EventBridge in SQS":                    {queued("m-1", eventBridge), `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`},
		"SNS in SQS":                            {queued("m-1", notification), `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`},
		"SNS":                                   {`{"Records":[{"EventSource":"aws:sns","Sns":` + notification + `}]}`, `{"specversion":"1.0"`, failedWhole},
		"a failed asynchronous event to replay": {`{"version":"1.0","requestContext":{"condition":"RetriesExhausted"},"requestPayload":` + one + `,"responsePayload":{}}`, `{"specversion":"1.0"`, failedWhole},
		"the same, from its dead-letter queue":  {queued("m-1", `{"requestContext":{"condition":"EventAgeExceeded"},"requestPayload":`+eventBridge+`}`), `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`},
		"the answer of a function in a chain":   {`{"requestContext":{"condition":"Success"},"requestPayload":{},"responsePayload":` + one + `}`, `{"specversion":"1.0"`, failedWhole},
		"a function URL":                        {urlRequest("application/cloudevents+json", one), `"statusCode":200`, `"statusCode":503`},
		"a function URL with a batch":           {urlRequest("application/cloudevents-batch+json", "["+one+"]"), `"statusCode":200`, `"statusCode":503`},
		"a function URL with something else":    {urlRequest("application/json", one), `"statusCode":415`, `"statusCode":415`},
		"a function URL with an invalid event":  {urlRequest("application/cloudevents+json", "{}"), `"statusCode":400`, `"statusCode":400`},
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
	s.Script("GET", "/v1/organizations/accounts/forbidden/delegated-services",
		huaweitest.Fault{Status: 403, Code: "Organizations.1007", Times: huaweitest.Forever})
	event := func(account string) string {
		return strings.Replace(created(`{"account_id":"`+account+`","service_principal":"`+secMaster+`"}`), "in-1", account, 1)
	}
	var records []string
	add := func(id, body string) {
		records = append(records, strings.TrimSuffix(strings.TrimPrefix(queued(id, body), `{"Records":[`), `]}`))
	}
	for i := range 5 {
		id := fmt.Sprintf("good-%d", i)
		s.AddAccount(id, "active")
		add(id, event(id))
	}
	add("truncated", event("x")[:30])
	add("empty", "")
	add("foreign", bootstrap(north))
	add("forbidden", event("forbidden"))
	answer, err := s.start(t, "register-admin").Invoke(t.Context(), []byte(`{"Records":[`+strings.Join(records, ",")+`]}`))
	require.NoError(t, err)
	require.Empty(t, answer.FunctionError)
	assert.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"truncated"},{"itemIdentifier":"empty"},`+
		`{"itemIdentifier":"foreign"},{"itemIdentifier":"forbidden"}]}`, string(answer.Payload))
	for i := range 5 {
		assert.Equal(t, []string{secMaster}, s.Delegations(fmt.Sprintf("good-%d", i)))
	}
	assert.Equal(t, 5, s.writes())
}
