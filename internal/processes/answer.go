package processes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Answer is what an invocation came to.
type Answer struct {
	// Payload is what the function returned, or with FunctionError the JSON object with errorType
	// and errorMessage.
	Payload []byte
	// FunctionError is "" for success, and a word of the cloud's for an error, panic, exit or
	// timeout of the function.
	FunctionError string
	RequestID     string
	// Duration is the time from handing over the event until the process was free again, or gone;
	// zero if it never took the event. ColdStart tells that the process was started for this
	// invocation.
	Duration  time.Duration
	ColdStart bool
}

// Failure says what failed: "" if nothing did, "BatchItemFailures" if messages go back to their
// queue (why, only the log of the function says), else the errorType of the function's error, or of
// an HTTP answer the error_type of its problem.
func (a Answer) Failure() string {
	var failed struct {
		ErrorType         string
		BatchItemFailures []any
		StatusCode        int
		Body              string
	}
	_ = json.Unmarshal(a.Payload, &failed) // an array is an answer without any of them
	switch {
	case a.FunctionError != "":
		return cmp.Or(failed.ErrorType, a.FunctionError)
	case len(failed.BatchItemFailures) > 0:
		return "BatchItemFailures"
	case failed.StatusCode >= http.StatusBadRequest:
		var problem struct {
			ErrorType string `json:"error_type"`
		}
		_ = json.Unmarshal([]byte(failed.Body), &problem)
		return cmp.Or(problem.ErrorType, fmt.Sprintf("HTTP %d", failed.StatusCode))
	}
	return ""
}
