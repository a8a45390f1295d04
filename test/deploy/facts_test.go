package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// audit is the function that no event of the bus starts, by its folder.
const audit = "audit-organization"

// requests are the types of the audit's requests, by the function that takes them.
var requests = map[string]string{"register-service": "org.service.missing", "register-admin": "account.admin.missing"}

// metrics are those that a function puts into namespace Registrar, with the dimension FunctionName.
func metrics(function string) []string {
	own := []string{"Registered", "Unchanged", "Planned", "Skipped", "RejectedRequest", "HeldBack", "Ignored"}
	if function == audit {
		own = []string{"Passed", "Drifted", "Missing", "Unexpected"}
	}
	return append(own, "Rejected", "Transient", "Misconfigured", "InvalidEvent",
		"Duration", "HuaweiCloudLatency", "HuaweiCloudAttempts", "ColdStart")
}

// alarmed are the metrics with an alarm, and their alarms: "<namespace> <metric> <last dimension>
// <its value>".
func (s *stack) alarmed() map[string][]string {
	found := map[string][]string{}
	for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
		measured := []any{s.get(id)}
		for _, query := range list(s.get(id, "Metrics")) {
			measured = append(measured, dig(query, "MetricStat", "Metric"))
		}
		for _, metric := range measured {
			if dimensions := list(dig(metric, "Dimensions")); len(dimensions) > 0 {
				last := dimensions[len(dimensions)-1]
				name := fmt.Sprintf("%v %v %v %v",
					dig(metric, "Namespace"), dig(metric, "MetricName"), dig(last, "Name"), dig(last, "Value"))
				found[name] = append(found[name], id)
			}
		}
	}
	return found
}

// functionTasks are the states of the workflow that call functions.
func (s *stack) functionTasks() map[string]any {
	found := map[string]any{}
	var search func(states any)
	search = func(states any) {
		for name, state := range object(states) {
			if dig(state, "Resource") == "arn:aws:states:::lambda:invoke" {
				found[name] = state
			}
			search(dig(state, "ItemProcessor", "States"))
		}
	}
	search(dig(s.tree, "Workflow", "States"))
	return found
}

// calledByWorkflow are the functions that the tasks of the workflow call.
func (s *stack) calledByWorkflow() []any {
	given := object(s.get("Onboarding", "DefinitionSubstitutions"))
	var called []any
	for _, task := range s.functionTasks() {
		name := strings.Trim(text(dig(task, "Parameters", "FunctionName")), "${}")
		if arn := given[name]; !slices.Contains(called, arn) {
			called = append(called, arn)
		}
	}
	return called
}

// workflowResults are the types of the results that the workflow ends with.
func (s *stack) workflowResults() []string {
	var types []string
	for _, state := range object(dig(s.tree, "Workflow", "States")) {
		if outcome, ok := dig(state, "Result").(string); ok && dig(state, "ResultPath") == "$.outcome" {
			types = append(types, "org.onboarding."+outcome)
		}
	}
	return types
}

func sameItems(a, b []any) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(item any) bool { return !slices.Contains(b, item) })
}

// retriesFor is how long a task waits at least between its first and last attempt, when they all
// fail with an error.
func retriesFor(task any, failure string) time.Duration {
	for _, retrier := range list(dig(task, "Retry")) {
		names := list(dig(retrier, "ErrorEquals"))
		if !slices.Contains(names, any(failure)) && !slices.Contains(names, any("States.ALL")) {
			continue
		}
		if dig(retrier, "JitterStrategy") == "FULL" {
			return 0
		}
		var sum time.Duration
		wait := time.Duration(number(dig(retrier, "IntervalSeconds"))) * time.Second
		for range number(dig(retrier, "MaxAttempts")) {
			sum += wait
			longest := time.Duration(number(dig(retrier, "MaxDelaySeconds"))) * time.Second
			wait = min(wait*time.Duration(number(dig(retrier, "BackoffRate"))), longest)
		}
		return sum
	}
	return 0
}

// accepts says what CloudFormation would object to in the value of a parameter, "" for nothing.
func accepts(declared, v any) string {
	given := fmt.Sprint(v)
	allowed := list(dig(declared, "AllowedValues"))
	if allowed != nil && !slices.ContainsFunc(allowed, func(one any) bool { return fmt.Sprint(one) == given }) {
		return "isn't allowed"
	}
	values := []string{given}
	if dig(declared, "Type") == "CommaDelimitedList" {
		values = strings.Split(given, ",")
	}
	pattern := regexp.MustCompile(text(dig(declared, "AllowedPattern")))
	if slices.ContainsFunc(values, func(one string) bool { return !pattern.MatchString(one) }) {
		return "doesn't match"
	}
	if dig(declared, "Type") == "Number" && allowed == nil {
		n, err := strconv.Atoi(given)
		least, most := dig(declared, "MinValue"), dig(declared, "MaxValue")
		if err != nil || least != nil && n < number(least) || most != nil && n > number(most) {
			return "isn't between its bounds"
		}
	}
	return ""
}
