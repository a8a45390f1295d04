package deploy

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTheWorkflowRetriesWhatMayPassAndNothingElse(t *testing.T) {
	passing := []string{
		"TransientError",
		// AWS's recommendation for tasks that call Lambda, and throttling
		"Lambda.ClientExecutionTimeoutException", "Lambda.ServiceException", "Lambda.AWSLambdaException",
		"Lambda.SdkClientException", "Lambda.TooManyRequestsException",
		// a function that ran out of time or crashed
		"States.Timeout", "Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown",
	}
	rule{
		func(s *stack, r *report) {
			lists := map[string]bool{}
			for name, task := range s.functionTasks() {
				for _, failure := range passing {
					r.want(retriesFor(task, failure) > time.Minute, "%s: %s isn't tried again", name, failure)
				}
				for _, final := range []string{"MisconfiguredError", "InvalidEventError", "States.ALL"} {
					r.want(retriesFor(task, final) == 0, "%s: %s is tried again", name, final)
				}
				encoded, _ := json.Marshal(dig(task, "Retry"))
				lists[string(encoded)] = true
			}
			r.want(len(lists) == 1,
				"tasks retry differently: the language has no way to say it once, so keep them equal")
		},
		map[string]func(any){
			"all":                      set(adminTask+"Retry/0/ErrorEquals", []any{"States.ALL"}),
			"nothing":                  drop("Workflow/States/RegisterRegion/Retry"),
			"only what functions say":  set(adminTask+"Retry/0/ErrorEquals", []any{"TransientError"}),
			"each task in its own way": set(adminTask+"Retry/0/IntervalSeconds", 20.0),
			"each for its own failures": set(
				adminTask+"Retry/0/ErrorEquals", []any{"TransientError", "States.Timeout"}),
		},
	}.test(t)
}
