package lambdalocal

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnAnswerSaysWhatFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer Answer
		want   string
	}{
		"a result":                {Answer{Payload: []byte(`{"specversion":"1.0"}`)}, ""},
		"an array of results":     {Answer{Payload: []byte(`[{"specversion":"1.0"}]`)}, ""},
		"nothing":                 {Answer{Payload: []byte(`null`)}, ""},
		"all messages are done":   {Answer{Payload: []byte(`{"batchItemFailures":[]}`)}, ""},
		"a message goes back":     {Answer{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"1"}]}`)}, "BatchItemFailures"},
		"an HTTP success":         {Answer{Payload: []byte(`{"statusCode":200,"body":"{}"}`)}, ""},
		"an HTTP problem":         {Answer{Payload: []byte(`{"statusCode":503,"body":"{\"error_type\":\"TransientError\"}"}`)}, "TransientError"},
		"another HTTP failure":    {Answer{Payload: []byte(`{"statusCode":413,"body":"too large"}`)}, "HTTP 413"},
		"an error":                {Answer{Payload: []byte(`{"errorType":"BusyError"}`), FunctionError: "Unhandled"}, "BusyError"},
		"an error without type":   {Answer{Payload: []byte(`null`), FunctionError: "Unhandled"}, "Unhandled"},
		"data that looks like it": {Answer{Payload: []byte(`{"errorType":"BusyError"}`)}, ""},
	} {
		assert.Equal(t, tt.want, tt.answer.Failure(), name)
	}
}
