package processes

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func answered(payload string) Answer { return Answer{Payload: []byte(payload)} }

func failed(payload string) Answer {
	return Answer{Payload: []byte(payload), FunctionError: "Unhandled"}
}

func TestAnAnswerSaysWhatFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer Answer
		want   string
	}{
		"a result":              {answered(`{"specversion":"1.0"}`), ""},
		"an array of results":   {answered(`[{"specversion":"1.0"}]`), ""},
		"nothing":               {answered(`null`), ""},
		"all messages are done": {answered(`{"batchItemFailures":[]}`), ""},
		"a message goes back":   {answered(`{"batchItemFailures":[{"itemIdentifier":"1"}]}`), "BatchItemFailures"},
		"an HTTP success":       {answered(`{"statusCode":200,"body":"{}"}`), ""},
		"an HTTP problem": {
			answered(`{"statusCode":503,"body":"{\"error_type\":\"BusyError\"}"}`), "BusyError",
		},
		"another HTTP failure":    {answered(`{"statusCode":413,"body":"too large"}`), "HTTP 413"},
		"an error":                {failed(`{"errorType":"BusyError"}`), "BusyError"},
		"an error without type":   {failed(`null`), "Unhandled"},
		"data that looks like it": {answered(`{"errorType":"BusyError"}`), ""},
	} {
		assert.Equal(t, tt.want, tt.answer.Failure(), name)
	}
}
