package deploy

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestEveryQueueFunctionAndWorkflowHasItsAlarmsOfItsOwnStage(t *testing.T) {
	rejected, audited := needed+"RejectedAlarm/Properties/", auditNeeds+"UnexpectedAlarm/Properties/"
	rule{
		func(s *stack, r *report) {
			alarmed := s.alarmed()
			for _, id := range s.ofType("AWS::SQS::Queue") {
				metric := "ApproximateAgeOfOldestMessage"
				if s.get(id, "RedrivePolicy") == nil {
					metric = "ApproximateNumberOfMessagesVisible"
				}
				r.want(len(alarmed["AWS/SQS "+metric+" QueueName "+id+".QueueName"]) == 1, "%s: has no alarm", id)
			}
			for id, name := range s.onBus() {
				deployed := "registrar-dev-" + name
				for _, metric := range []string{
					"AWS/Lambda Errors FunctionName", "AWS/Lambda Throttles FunctionName",
					"AWS/Lambda DestinationDeliveryFailures FunctionName",
					"AWS/Events InvocationsFailedToBeSentToDlq RuleName",
					"Registrar Misconfigured FunctionName", "Registrar Rejected FunctionName",
				} {
					r.want(len(alarmed[metric+" "+deployed]) == 1, "no alarm on %s %s", metric, deployed)
				}
				for _, atOnce := range []string{"Misconfigured", "Rejected"} {
					for _, alarm := range alarmed["Registrar "+atOnce+" FunctionName "+deployed] {
						at := number(s.get(alarm, "Period")) == 60 && number(s.get(alarm, "EvaluationPeriods")) == 1
						r.want(at && s.get(alarm, "Statistic") == "Sum", "%s: doesn't fire at once", alarm)
					}
				}
				r.want(s.get(id+"Resources/Rule", "Name") == deployed, "%s: its alarm has another rule", id)
			}
			for _, metric := range []string{"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"} {
				r.want(len(alarmed["AWS/States "+metric+" StateMachineArn Onboarding"]) == 1, "no alarm on %s", metric)
			}
			for _, metric := range []string{"Unexpected", "Missing", "Misconfigured"} {
				metric += " FunctionName registrar-dev-" + audit
				r.want(alarmed["Registrar "+metric] != nil, "no alarm on %s", metric)
			}
			for metric := range alarmed {
				if ours := strings.Fields(metric); ours[0] == "Registrar" {
					function := strings.TrimPrefix(ours[3], "registrar-dev-")
					r.want(slices.Contains(metrics(function), ours[1]), "there is no metric %s", metric)
					r.want(ours[1] != "RejectedRequest", "%s: the audit tells of what is missing", metric)
				}
			}
		},
		map[string]func(any){
			"dead letters without":  drop(needed + "DeadLettersAlarm"),
			"a queue without":       drop(needed + "OldestMessageAlarm"),
			"errors without":        drop(needed + "ErrorsAlarm"),
			"throttles without":     drop(needed + "ThrottlesAlarm"),
			"misconfigured without": drop(needed + "MisconfiguredAlarm"),
			"rejected without":      drop(needed + "RejectedAlarm"),
			"lost events without":   drop(needed + "LostAlarm"),
			"executions without":    drop("Resources/OnboardingFailedAlarm"),
			"a rejection told late": set(rejected+"Period", 3600),
			"a misspelt metric":     set(rejected+"MetricName", "Reject"),
			"a rejected request": func(tree any) {
				added := map[string]any{}
				alarm, _ := walk(tree, needed+"RejectedAlarm/Properties")
				maps.Copy(added, object(alarm["Properties"]))
				added["MetricName"] = "RejectedRequest"
				set(needed+"AnotherAlarm", map[string]any{"Type": "AWS::CloudWatch::Alarm", "Properties": added})(tree)
			},
			"unexpected without": drop(auditNeeds + "UnexpectedAlarm"),
			"missing without": func(tree any) {
				drop(auditNeeds + "MissingAlarm")(tree)
				drop(auditNeeds + "NoAuditAlarm")(tree)
			},
			"an audit misconfigured without": drop(auditNeeds + "MisconfiguredAlarm"),
			"a metric of others":             set(audited+"MetricName", "HeldBack"),
			"another dimension":              set(rejected+"Dimensions/0/Name", "function"),
			"one alarm for all stages":       set(rejected+"Dimensions/0/Value", map[string]any{"Ref": "Function"}),
			"a rule of another name":         drop(needed + "Rule/Properties/Name"),
			"a metric that nobody makes":     set(needed+"ErrorsAlarm/Properties/Namespace", "Registrar"),
		},
	}.test(t)
}
