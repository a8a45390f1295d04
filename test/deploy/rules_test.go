package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// report collects what is wrong with a template.
type report []string

func (r *report) want(ok bool, format string, args ...any) {
	if !ok {
		*r = append(*r, fmt.Sprintf(format, args...))
	}
}

// rule is something that must be true of the template, and ways to break it, each of which must be reported.
type rule struct {
	check  func(s *stack, r *report)
	broken map[string]func(tree any)
}

// set and drop change the template at a path such as "Resources/Bus/Type". They panic if nothing is there, so that no broken copy is whole.
func set(path string, v any) func(any) {
	return func(tree any) {
		steps := strings.Split(path, "/")
		parent := walk(tree, steps[:len(steps)-1])
		parent[steps[len(steps)-1]] = v
	}
}

func drop(path string) func(any) {
	return func(tree any) {
		steps := strings.Split(path, "/")
		parent, last := walk(tree, steps[:len(steps)-1]), steps[len(steps)-1]
		if _, ok := parent[last]; !ok {
			panic("nothing at " + path)
		}
		delete(parent, last)
	}
}

func walk(v any, steps []string) map[string]any {
	for _, step := range steps {
		if items, ok := v.([]any); ok {
			v = items[number(step)]
		} else {
			v = dig(v, step)
		}
	}
	m, ok := v.(map[string]any)
	if !ok {
		panic("nothing at " + strings.Join(steps, "/"))
	}
	return m
}

const (
	queueEvent = "Resources/RegisterAdmin/Properties/Events/Messages/Properties/"
	adminRole  = "Resources/RegisterAdminRole/Properties/Policies/0/PolicyDocument/Statement/"
	adminTask  = "Workflow/States/RegisterAdministrators/ItemProcessor/States/RegisterAdmin/"
)

// What may act on "*", by where it stands, because AWS takes nothing narrower.
var wildcards = map[string]string{
	"RegisterRegionRole Trace": "X-Ray's actions have no resource",
	"RegisterAdminRole Trace":  "X-Ray's actions have no resource",
	"OnboardingRole Trace":     "X-Ray's actions have no resource",
	"OnboardingRole Log":       "log delivery's actions have no resource",
	"Key Administer":           "in a key's policy it is the key, and without this line nobody can administer it",
	"Key EncryptLogs":          "in a key's policy it is the key",
	"Key EncryptAlarms":        "in a key's policy it is the key",
}

// What functions read from their environment and the template doesn't set.
var notInTemplate = map[string]string{
	"HUAWEICLOUD_SDK_AK":             "in the secret",
	"HUAWEICLOUD_SDK_SK":             "in the secret",
	"HUAWEICLOUD_SDK_SECURITY_TOKEN": "in the secret",
	"HUAWEICLOUD_SDK_DOMAIN_ID":      "in the secret",
	"EVENT_SOURCE":                   "the rules and the roles know results by its default",
	"K_SINK":                         "RESULT_SINK goes first",
	"PORT":                           "for servers",
}

// Parameters without a default, and why.
var noDefault = map[string]string{
	"RegionId":          "it can't be undone",
	"ServicePrincipals": "it decides who administers the organization",
}

// The metrics that functions put into namespace Registrar, with the dimension function.
var metrics = []string{"Registered", "Unchanged", "Planned", "Rejected", "Transient", "Misconfigured", "InvalidEvent", "Duration", "HuaweiCloudLatency", "HuaweiCloudAttempts", "ColdStart"}

var rules = map[string]rule{
	"each function runs its own bootstrap on arm64, as make build left it": {
		func(s *stack, r *report) {
			names, err := functionNames()
			r.want(err == nil, "%v", err)
			var deployed []string
			for _, id := range s.of("AWS::Serverless::Function") {
				code := text(s.get(id, "CodeUri"))
				deployed = append(deployed, filepath.Base(code))
				r.want(code == "dist/"+filepath.Base(code), "%s: code from %s", id, code)
				r.want(s.get(id, "FunctionName") == "registrar-dev-"+filepath.Base(code), "%s: isn't named for stack and folder", id)
				r.want(s.function(id, "Runtime") == "provided.al2023", "%s: runtime", id)
				r.want(s.function(id, "Handler") == "bootstrap", "%s: handler", id)
				r.want(slices.Equal(list(s.function(id, "Architectures")), []any{"arm64"}), "%s: architecture", id)
				r.want(dig(s.Resources, id, "Metadata", "SkipBuild") == true, "%s: SAM would build it", id)
				r.want(number(s.function(id, "Timeout")) == 60 && number(s.function(id, "MemorySize")) == 256, "%s: timeout or memory", id)
			}
			slices.Sort(deployed)
			r.want(slices.Equal(deployed, names), "functions are %v, deployed are %v", names, deployed)
		},
		map[string]func(any){
			"amd64":            set("Globals/Function/Architectures", []any{"x86_64"}),
			"another handler":  set("Resources/RegisterAdmin/Properties/Handler", "main"),
			"another runtime":  set("Globals/Function/Runtime", "go1.x"),
			"the other's code": set("Resources/RegisterAdmin/Properties/CodeUri", "dist/register-region"),
			"built by SAM":     drop("Resources/RegisterRegion/Metadata"),
			"left out":         drop("Resources/RegisterRegion"),
			"a short timeout":  set("Globals/Function/Timeout", 3),
		},
	},

	"no resource has an id that SAM's transform makes for another": {
		func(s *stack, r *report) {
			for _, id := range s.of("AWS::Serverless::Function") {
				made := []string{id + "Role", id + "Url", id + "UrlPublicPermissions", id + "EventInvokeConfig", id + "Version"}
				for event := range object(s.get(id, "Events")) {
					made = append(made, id+event, id+event+"Permission")
				}
				for _, name := range made {
					own := name == id+"Role" && s.get(id, "Role") != nil || name == id+"Url" && s.get(id, "FunctionUrlConfig") == nil
					r.want(own || s.Resources[name] == nil, "%s: SAM would make %s, and there is one", id, name)
				}
			}
		},
		map[string]func(any){
			"an event named like the queue": func(tree any) {
				events := walk(tree, []string{"Resources", "RegisterAdmin", "Properties", "Events"})
				events["Queue"] = events["Messages"]
			},
			"a role that SAM makes as well": drop("Resources/RegisterAdmin/Properties/Role"),
		},
	},

	"each function takes batches from its queue, answers them in part, and is bounded": {
		func(s *stack, r *report) {
			for _, id := range s.of("AWS::Serverless::Function") {
				queues := 0
				for _, event := range object(s.get(id, "Events")) {
					if dig(event, "Type") != "SQS" {
						continue
					}
					queues++
					r.want(dig(event, "Properties", "Queue") == id+"Queue.Arn", "%s: takes from %v", id, dig(event, "Properties", "Queue"))
					r.want(slices.Equal(list(dig(event, "Properties", "FunctionResponseTypes")), []any{"ReportBatchItemFailures"}), "%s: partial answers are ignored, so failed events are lost", id)
					r.want(number(dig(event, "Properties", "BatchSize")) == 5, "%s: batch size", id)
					declared := dig(s.tree["Resources"], id, "Properties", "Events", "Messages", "Properties", "ScalingConfig", "MaximumConcurrency", "Ref")
					r.want(declared == "MaximumConcurrency", "%s: maximum concurrency is no parameter", id)
				}
				r.want(queues == 1, "%s: takes from %d queues", id, queues)
			}
		},
		map[string]func(any){
			"no partial answers":     drop(queueEvent + "FunctionResponseTypes"),
			"a misspelt answer":      set(queueEvent+"FunctionResponseTypes", []any{"ReportBatchItemFailure"}),
			"the other's queue":      set(queueEvent+"Queue", map[string]any{"Fn::GetAtt": []any{"RegisterRegionQueue", "Arn"}}),
			"large batches":          set(queueEvent+"BatchSize", 10),
			"no maximum concurrency": drop(queueEvent + "ScalingConfig"),
			"no queue":               drop("Resources/RegisterAdmin/Properties/Events"),
		},
	},

	"whatever fails waits in the function's dead letter queue, whichever way it came": {
		func(s *stack, r *report) {
			for _, id := range s.of("AWS::Serverless::Function") {
				dead := id + "DeadLetters.Arn"
				r.want(s.get(id+"Queue", "RedrivePolicy", "deadLetterTargetArn") == dead, "%s: its queue has no dead letters", id)
				onFailure := s.get(id, "EventInvokeConfig", "DestinationConfig", "OnFailure")
				r.want(dig(onFailure, "Type") == "SQS" && dig(onFailure, "Destination") == dead, "%s: failed asynchronous events are lost", id)
				r.want(slices.ContainsFunc(s.may(id+"Role", "sqs:SendMessage"), func(st statement) bool { return slices.Contains(st.Resources, any(dead)) }),
					"%s: its role may not keep failed asynchronous events", id)
				r.want(number(s.get(id+"DeadLetters", "MessageRetentionPeriod")) == 14*24*3600, "%s: dead letters go before 14 days", id)
			}
			for _, id := range s.of("AWS::Events::Rule") {
				for _, target := range list(s.get(id, "Targets")) {
					dead := strings.Replace(text(dig(target, "Arn")), "Queue.Arn", "DeadLetters.Arn", 1)
					r.want(dig(target, "DeadLetterConfig", "Arn") == dead, "%s: what it can't deliver is lost", id)
				}
			}
		},
		map[string]func(any){
			"a queue without":                    drop("Resources/RegisterAdminQueue/Properties/RedrivePolicy"),
			"a rule without":                     drop("Resources/RegisterAdminRule/Properties/Targets/0/DeadLetterConfig"),
			"a rule with the other's":            set("Resources/RegisterAdminRule/Properties/Targets/0/DeadLetterConfig/Arn", map[string]any{"Fn::GetAtt": []any{"RegisterRegionDeadLetters", "Arn"}}),
			"asynchronous events without":        drop("Resources/RegisterAdmin/Properties/EventInvokeConfig"),
			"no right to keep them":              drop(adminRole + "1/Action"),
			"dead letters that go after 4 days":  drop("Resources/RegisterAdminDeadLetters/Properties/MessageRetentionPeriod"),
			"asynchronous events of the other's": set("Resources/RegisterAdmin/Properties/EventInvokeConfig/DestinationConfig/OnFailure/Destination", map[string]any{"Fn::GetAtt": []any{"RegisterRegionDeadLetters", "Arn"}}),
		},
	},

	"queues take from the rule that delivers to them, from no other, and only encrypted": {
		func(s *stack, r *report) {
			for _, id := range s.of("AWS::Events::Rule") {
				for _, target := range list(s.get(id, "Targets")) {
					for _, arn := range []any{dig(target, "Arn"), dig(target, "DeadLetterConfig", "Arn")} {
						queue := strings.TrimSuffix(text(arn), ".Arn")
						r.want(slices.Contains(list(s.get(queue+"Policy", "Queues")), any(queue)), "%s: has no policy", queue)
						allowed := s.may(queue+"Policy", "sqs:SendMessage")
						r.want(len(allowed) == 1, "%s: lets %d senders in", queue, len(allowed))
						for _, st := range allowed {
							r.want(st.Service == "events.amazonaws.com" && slices.Contains(st.Resources, arn), "%s: doesn't let the bus in", queue)
							r.want(dig(st.Condition, "ArnEquals", "aws:SourceArn") == id+".Arn", "%s: lets in more than %s", queue, id)
						}
					}
				}
			}
			for _, id := range s.of("AWS::SQS::Queue") {
				r.want(s.get(id, "SqsManagedSseEnabled") == true, "%s: isn't encrypted", id)
				r.want(slices.ContainsFunc(s.statements(), func(st statement) bool {
					return st.Where == id+"Policy OnlyEncrypted" && st.Effect == "Deny" && dig(st.Condition, "Bool", "aws:SecureTransport") == "false"
				}), "%s: takes what isn't encrypted", id)
			}
		},
		map[string]func(any){
			"a queue without a policy":         drop("Resources/RegisterAdminQueuePolicy"),
			"dead letters without a policy":    drop("Resources/RegisterAdminDeadLettersPolicy"),
			"a policy of another queue":        set("Resources/RegisterAdminDeadLettersPolicy/Properties/Queues", []any{map[string]any{"Ref": "RegisterAdminQueue"}}),
			"any rule":                         drop("Resources/RegisterAdminQueuePolicy/Properties/PolicyDocument/Statement/0/Condition"),
			"the other's rule":                 set("Resources/RegisterAdminDeadLettersPolicy/Properties/PolicyDocument/Statement/0/Condition/ArnEquals/aws:SourceArn", map[string]any{"Fn::GetAtt": []any{"RegisterRegionRule", "Arn"}}),
			"a queue that isn't encrypted":     set("Resources/RegisterAdminQueue/Properties/SqsManagedSseEnabled", false),
			"messages that aren't encrypted":   set("Resources/RegisterAdminDeadLettersPolicy/Properties/PolicyDocument/Statement/1/Effect", "Allow"),
			"another service than EventBridge": set("Resources/RegisterAdminQueuePolicy/Properties/PolicyDocument/Statement/0/Principal", map[string]any{"Service": "sns.amazonaws.com"}),
		},
	},

	"an event about a young account is tried for longer than the account may take": {
		func(s *stack, r *report) {
			parameter := dig(s.tree["Parameters"], "AccountReadyWithin")
			allowed := list(dig(parameter, "AllowedValues"))
			r.want(slices.Contains(allowed, dig(parameter, "Default")), "the default isn't allowed")
			r.want(len(allowed) == len(object(dig(s.tree["Mappings"], "Waiting"))), "allowed are %v, the mapping knows others", allowed)
			var longest time.Duration
			for _, within := range allowed {
				ready, err := time.ParseDuration(text(within))
				r.want(err == nil, "%v", err)
				longest = max(longest, ready)
				deployed := s.deploy(map[string]any{"AccountReadyWithin": within, "RegionId": "cn-north-4", "ServicePrincipals": "service.CTS"})
				for _, id := range deployed.of("AWS::Serverless::Function") {
					visibility := time.Duration(number(deployed.get(id+"Queue", "VisibilityTimeout"))) * time.Second
					receives := number(deployed.get(id+"Queue", "RedrivePolicy", "maxReceiveCount"))
					timeout := time.Duration(number(deployed.function(id, "Timeout"))) * time.Second
					oldest := time.Duration(number(deployed.get(id+"OldestMessageAlarm", "Threshold"))) * time.Second
					tried := visibility * time.Duration(receives-1)
					r.want(tried > ready+5*time.Minute, "%s, %s: is tried for %s", id, within, tried)
					r.want(visibility >= 6*timeout, "%s, %s: visibility timeout %s is less than six times %s", id, within, visibility, timeout)
					r.want(oldest > visibility*time.Duration(receives), "%s, %s: the alarm calls at %s", id, within, oldest)
				}
			}
			for name, task := range s.functionTasks() {
				r.want(retriesFor(task, "TransientError") > longest, "%s: is tried for %s", name, retriesFor(task, "TransientError"))
				for _, transient := range []string{"States.Timeout", "Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown", "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.TooManyRequestsException"} {
					r.want(retriesFor(task, transient) > time.Minute, "%s: %s isn't tried again", name, transient)
				}
				for _, final := range []string{"MisconfiguredError", "InvalidEventError", "States.ALL"} {
					r.want(retriesFor(task, final) == 0, "%s: %s is tried again", name, final)
				}
			}
		},
		map[string]func(any){
			"a short visibility timeout":      set("Mappings/Waiting/15m/VisibilityTimeout", 300),
			"few receives":                    set("Mappings/Waiting/30m/MaxReceiveCount", 4),
			"an alarm that calls early":       set("Mappings/Waiting/60m/OldestMessage", 3600),
			"a fixed visibility timeout":      set("Resources/RegisterAdminQueue/Properties/VisibilityTimeout", 30),
			"a fixed receive count":           set("Resources/RegisterRegionQueue/Properties/RedrivePolicy/maxReceiveCount", 3),
			"a value the mapping hasn't":      set("Parameters/AccountReadyWithin/AllowedValues", []any{"15m", "30m", "60m", "90m"}),
			"a longer timeout":                set("Globals/Function/Timeout", 90),
			"a workflow that gives up early":  set(adminTask+"Retry/0/MaxAttempts", 10.0),
			"a workflow that waits by chance": set(adminTask+"Retry/0/JitterStrategy", "FULL"),
			"a workflow that doesn't retry":   drop("Workflow/States/RegisterRegion/Retry"),
			"a workflow that retries all":     set(adminTask+"Retry/0/ErrorEquals", []any{"States.ALL"}),
		},
	},

	"each input event reaches one queue, and no result comes back": {
		func(s *stack, r *report) {
			events, err := samples()
			r.want(err == nil && len(events) >= 2, "samples: %v", err)
			reached := map[string]bool{}
			for name, event := range events {
				var by []string
				for _, id := range s.of("AWS::Events::Rule") {
					if matches(s.get(id, "EventPattern"), event) {
						by = append(by, id)
						reached[id] = true
					}
				}
				r.want(len(by) == 1, "%s is matched by %v", name, by)
			}
			for _, id := range s.of("AWS::Events::Rule") {
				r.want(reached[id], "%s matches no sample", id)
				r.want(s.get(id, "EventBusName") == "Bus", "%s isn't on the bus", id)
				r.want(len(list(s.get(id, "Targets"))) == 1 && s.get(id, "Targets", 0, "Arn") == strings.TrimSuffix(id, "Rule")+"Queue.Arn", "%s doesn't deliver to its queue", id)
				r.want(s.get(id, "Targets", 0, "InputPath") == nil && s.get(id, "Targets", 0, "InputTransformer") == nil, "%s changes events", id)
				for function, types := range results() {
					for _, eventType := range types {
						r.want(!matches(s.get(id, "EventPattern"), envelope("/registrar/"+function, eventType, nil)), "%s matches the result %s", id, eventType)
						r.want(!matches(s.get(id, "EventPattern"), envelope("/elsewhere", eventType, nil)), "%s matches %s of another source", id, eventType)
					}
					for _, taken := range list(s.get(id, "EventPattern", "detail-type")) {
						r.want(!matches(s.get(id, "EventPattern"), envelope("/registrar/"+function, text(taken), nil)), "%s matches what %s puts", id, function)
					}
				}
				function := strings.TrimSuffix(id, "Rule")
				var types []string
				for _, taken := range list(s.get(id, "EventPattern", "detail-type")) {
					types = append(types, text(taken))
				}
				r.want(s.environment(function)["EVENT_TYPES"] == strings.Join(types, ","), "%s and %s take different types", id, function)
			}
			r.want(s.get("Archive", "SourceArn") == "Bus.Arn", "the bus has no archive")
			r.want(len(s.of("AWS::Events::EventBus")) == 1, "the bus isn't the stack's own")
		},
		map[string]func(any){
			"a misspelt type":         set("Parameters/AccountEventTypes/Default", "accounts.created"),
			"a rule for results":      set("Parameters/BootstrapEventTypes/Default", "org.bootstrap,org.region.registered"),
			"results may come back":   drop("Resources/RegisterAdminRule/Properties/EventPattern/source"),
			"two rules for one type":  set("Resources/RegisterRegionRule/Properties/EventPattern/detail-type", []any{"org.bootstrap", "account.created"}),
			"everything":              set("Resources/RegisterRegionRule/Properties/EventPattern", map[string]any{"source": []any{map[string]any{"prefix": "/"}}}),
			"the default bus":         drop("Resources/RegisterRegionRule/Properties/EventBusName"),
			"the other's queue":       set("Resources/RegisterRegionRule/Properties/Targets/0/Arn", map[string]any{"Fn::GetAtt": []any{"RegisterAdminQueue", "Arn"}}),
			"a changed event":         set("Resources/RegisterRegionRule/Properties/Targets/0/InputPath", "$.detail.data"),
			"another type than known": set("Resources/RegisterRegion/Properties/Environment/Variables/EVENT_TYPES", "org.created"),
			"no archive":              drop("Resources/Archive"),
			"a bus of somebody else":  drop("Resources/Bus"),
		},
	},

	"results go to the bus, and each function may put only its own": {
		func(s *stack, r *report) {
			for id, name := range s.putters() {
				if id != "Onboarding" {
					r.want(s.environment(id)["RESULT_SINK"] == "eventbridge://Bus.Arn", "%s: puts results to %v", id, s.environment(id)["RESULT_SINK"])
				}
				put := s.may(id+"Role", "events:PutEvents")
				r.want(len(put) == 1, "%s: %d statements let it put results", id, len(put))
				for _, st := range put {
					r.want(slices.Equal(st.Resources, []any{"Bus.Arn"}), "%s: may put on %v", id, st.Resources)
					r.want(dig(st.Condition, "StringEquals", "events:source") == "/registrar/"+name, "%s: may put from %v", id, dig(st.Condition, "StringEquals"))
					like := text(dig(st.Condition, "StringLike", "events:detail-type"))
					for _, eventType := range results()[name] {
						ok, _ := filepath.Match(like, eventType)
						r.want(ok && like != "*", "%s: may put %q, puts %s", id, like, eventType)
					}
				}
			}
		},
		map[string]func(any){
			"another sink":            set("Globals/Function/Environment/Variables/RESULT_SINK", "https://example.com"),
			"any bus":                 set(adminRole+"2/Resource", "*"),
			"any source":              drop(adminRole + "2/Condition/StringEquals"),
			"any type":                set(adminRole+"2/Condition/StringLike/events:detail-type", "*"),
			"the other's types":       set(adminRole+"2/Condition/StringLike/events:detail-type", "org.region.*"),
			"no right":                drop(adminRole + "2/Action"),
			"the workflow's own type": set("Resources/OnboardingRole/Properties/Policies/0/PolicyDocument/Statement/1/Condition/StringLike/events:detail-type", "org.onboarded"),
		},
	},

	"every queue, function and workflow has its alarms, and somebody is told": {
		func(s *stack, r *report) {
			alarmed := map[string][]string{} // "<namespace> <metric> <value of the last dimension>": alarms
			for _, id := range s.of("AWS::CloudWatch::Alarm") {
				for _, action := range []string{"AlarmActions", "OKActions"} {
					r.want(slices.Equal(list(s.get(id, action)), []any{"AlarmTopic"}), "%s: tells nobody", id)
				}
				r.want(s.get(id, "TreatMissingData") == "notBreaching", "%s: calls when nothing happens", id)
				r.want(number(s.get(id, "Threshold")) >= 1 && s.get(id, "ComparisonOperator") == "GreaterThanOrEqualToThreshold", "%s: compares otherwise", id)
				name := strings.TrimPrefix(text(s.get(id, "AlarmName")), "registrar-dev-")
				r.want(name != text(s.get(id, "AlarmName")), "%s: isn't named for the stack", id)
				for _, metric := range s.alarmMetrics(id) {
					alarmed[metric] = append(alarmed[metric], id)
					if namespace, rest, _ := strings.Cut(metric, " "); namespace == "Registrar" {
						r.want(slices.Contains(metrics, strings.Fields(rest)[0]), "%s: there is no metric %s", id, rest)
					}
				}
			}
			for _, id := range s.of("AWS::SQS::Queue") {
				metric := "ApproximateAgeOfOldestMessage"
				if s.get(id, "RedrivePolicy") == nil {
					metric = "ApproximateNumberOfMessagesVisible"
				}
				r.want(len(alarmed["AWS/SQS "+metric+" "+id+".QueueName"]) == 1, "%s: has no alarm", id)
			}
			for _, id := range s.of("AWS::Serverless::Function") {
				name := filepath.Base(text(s.get(id, "CodeUri")))
				for _, metric := range []string{
					"AWS/Lambda Errors " + id, "AWS/Lambda Throttles " + id, "AWS/Lambda DestinationDeliveryFailures " + id,
					"AWS/Events InvocationsFailedToBeSentToDlq registrar-dev-" + name,
					"Registrar Misconfigured " + name, "Registrar Rejected " + name,
				} {
					r.want(len(alarmed[metric]) == 1, "no alarm on %s", metric)
				}
				for _, atOnce := range []string{"Misconfigured", "Rejected"} {
					for _, alarm := range alarmed["Registrar "+atOnce+" "+name] {
						r.want(number(s.get(alarm, "Period")) == 60 && number(s.get(alarm, "EvaluationPeriods")) == 1 && number(s.get(alarm, "Threshold")) == 1 && s.get(alarm, "Statistic") == "Sum",
							"%s: doesn't call at once", alarm)
					}
				}
				r.want(s.get(id+"Rule", "Name") == "registrar-dev-"+name, "%sRule: isn't named as its alarm has it", id)
			}
			for _, metric := range []string{"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"} {
				r.want(len(alarmed["AWS/States "+metric+" Onboarding"]) == 1, "no alarm on %s", metric)
			}
			r.want(s.get("AlarmTopic", "KmsMasterKeyId") == "Key", "the topic isn't encrypted")
			r.want(len(s.may("AlarmTopicPolicy", "sns:Publish")) == 1 && s.may("AlarmTopicPolicy", "sns:Publish")[0].Service == "cloudwatch.amazonaws.com", "alarms may not publish")
			r.want(slices.ContainsFunc(s.may("Key", "kms:GenerateDataKey*"), func(st statement) bool { return st.Service == "cloudwatch.amazonaws.com" }), "alarms may not encrypt")
		},
		map[string]func(any){
			"dead letters without":        drop("Resources/RegisterAdminDeadLettersAlarm"),
			"a queue without":             drop("Resources/RegisterRegionOldestMessageAlarm"),
			"errors without":              drop("Resources/RegisterRegionErrorsAlarm"),
			"throttles without":           drop("Resources/RegisterAdminThrottlesAlarm"),
			"misconfigured without":       drop("Resources/RegisterAdminMisconfiguredAlarm"),
			"rejected without":            drop("Resources/RegisterAdminRejectedAlarm"),
			"lost events without":         drop("Resources/RegisterAdminLostAlarm"),
			"executions without":          drop("Resources/OnboardingFailedAlarm"),
			"nobody told":                 drop("Resources/RegisterAdminErrorsAlarm/Properties/AlarmActions"),
			"a rejection told late":       set("Resources/RegisterAdminRejectedAlarm/Properties/Period", 3600),
			"a misspelt metric":           set("Resources/RegisterAdminRejectedAlarm/Properties/MetricName", "Reject"),
			"another dimension":           set("Resources/RegisterAdminRejectedAlarm/Properties/Dimensions/0/Name", "Function"),
			"no metric calls":             set("Resources/RegisterAdminRejectedAlarm/Properties/TreatMissingData", "breaching"),
			"a topic in the clear":        drop("Resources/AlarmTopic/Properties/KmsMasterKeyId"),
			"a topic closed to alarms":    drop("Resources/AlarmTopicPolicy"),
			"a key closed to alarms":      drop("Resources/Key/Properties/KeyPolicy/Statement/2/Principal"),
			"a rule of a name of its own": drop("Resources/RegisterAdminRule/Properties/Name"),
			"no threshold":                drop("Resources/RegisterAdminErrorsAlarm/Properties/Threshold"),
		},
	},

	"nothing may do more than it needs": {
		func(s *stack, r *report) {
			used := map[string]bool{}
			for _, st := range s.statements() {
				if st.Effect != "Allow" {
					continue
				}
				for _, resource := range st.Resources {
					if strings.HasSuffix(text(resource), "*") && !strings.Contains(text(resource), "registrar-dev") {
						used[st.Where] = true
						r.want(wildcards[st.Where] != "", "%s: any resource", st.Where)
					}
				}
				for _, action := range st.Actions {
					r.want(!strings.HasSuffix(text(action), "*") || strings.HasPrefix(st.Where, "Key "), "%s: any action", st.Where)
				}
				r.want(len(st.Actions) > 0, "%s: says no actions", st.Where)
			}
			for where := range wildcards {
				r.want(used[where], "%s: has no wildcard any more", where)
			}
			for _, id := range s.of("AWS::IAM::Role") {
				r.want(s.get(id, "ManagedPolicyArns") == nil, "%s: managed policies act on anything", id)
			}
			for _, id := range append(s.of("AWS::Serverless::Function"), s.of("AWS::Serverless::StateMachine")...) {
				r.want(s.get(id, "Role") == id+"Role.Arn", "%s: SAM would give it managed policies", id)
				r.want(s.get(id, "Policies") == nil, "%s: has policies beside its role", id)
			}
			for _, id := range s.of("AWS::Serverless::Function") {
				for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
					may := s.may(id+"Role", action)
					r.want(len(may) == 1 && slices.Equal(may[0].Resources, []any{id + "Queue.Arn"}), "%s: %s", id, action)
				}
				for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
					may := s.may(id+"Role", action)
					r.want(len(may) == 1 && slices.Equal(may[0].Resources, []any{id + "Logs.Arn"}), "%s: %s", id, action)
				}
			}
			invoke := s.may("OnboardingRole", "lambda:InvokeFunction")
			r.want(len(invoke) == 1 && len(invoke[0].Resources) == len(s.of("AWS::Serverless::Function")), "the workflow may not call the functions")
		},
		map[string]func(any){
			"any queue":             set(adminRole+"0/Resource", "*"),
			"any function":          set("Resources/OnboardingRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource", "*"),
			"any queue of a region": set(adminRole+"0/Resource", "arn:aws:sqs:eu-central-1:123456789012:*"),
			"any action":            set(adminRole+"0/Action", "sqs:*"),
			"a managed policy":      set("Resources/RegisterAdminRole/Properties/ManagedPolicyArns", []any{"arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"}),
			"SAM's role":            drop("Resources/RegisterAdmin/Properties/Role"),
			"policies beside":       set("Resources/RegisterAdmin/Properties/Policies", []any{"AmazonSQSFullAccess"}),
			"no right to its queue": drop(adminRole + "0/Action"),
			"the other's logs":      set(adminRole+"5/Resource", map[string]any{"Fn::GetAtt": []any{"RegisterRegionLogs", "Arn"}}),
			"a reason left over":    set(adminRole+"6/Resource", map[string]any{"Fn::GetAtt": []any{"RegisterAdminLogs", "Arn"}}),
		},
	},

	"functions are told what they read, and nothing else": {
		func(s *stack, r *report) {
			known, err := variables()
			r.want(err == nil, "%v", err)
			for _, id := range s.of("AWS::Serverless::Function") {
				reads, told := known[filepath.Base(text(s.get(id, "CodeUri")))], s.environment(id)
				for name, byDefault := range reads {
					value, set := told[name]
					switch {
					case notInTemplate[name] != "":
						r.want(!set, "%s: %s is set: %s", id, name, notInTemplate[name])
					case !set:
						r.want(false, "%s: %s isn't set", id, name)
					case byDefault != "":
						r.want(fmt.Sprint(value) == byDefault, "%s: %s is %v, by default it is %s", id, name, value, byDefault)
					}
				}
				for name := range told {
					_, ok := reads[name]
					r.want(ok, "%s: doesn't read %s", id, name)
				}
				r.want(told["REGION_ID"] == nil || told["REGION_ID"] == "cn-north-4", "%s: REGION_ID isn't bound by its parameter", id)
				r.want(told["SERVICE_PRINCIPALS"] == nil || told["SERVICE_PRINCIPALS"] == "service.SecMaster,service.CTS", "%s: SERVICE_PRINCIPALS isn't bound by its parameter", id)
			}
		},
		map[string]func(any){
			"one is left out":         drop("Resources/RegisterAdmin/Properties/Environment/Variables/ACCOUNT_READY_WITHIN"),
			"one is misspelt":         set("Globals/Function/Environment/Variables/DRYRUN", "true"),
			"the other's":             set("Resources/RegisterAdmin/Properties/Environment/Variables/REGION_ID", "cn-north-4"),
			"a key":                   set("Globals/Function/Environment/Variables/HUAWEICLOUD_SDK_SK", "secret"),
			"another default":         set("Parameters/MaxAttempts/Default", 5),
			"what may be is open":     set("Resources/RegisterRegion/Properties/Environment/Variables/REGION_ID", ""),
			"who may be is elsewhere": set("Resources/RegisterAdmin/Properties/Environment/Variables/SERVICE_PRINCIPALS", "service.HSS"),
		},
	},

	"the credentials are in a secret, and functions may read just that one": {
		func(s *stack, r *report) {
			encoded, _ := json.Marshal(s.tree)
			r.want(!strings.Contains(string(encoded), "resolve:secretsmanager"), "a secret's value gets into the stack")
			own := "arn:aws:secretsmanager:eu-central-1:123456789012:secret:registrar-AbCdEf"
			key := "arn:aws:kms:eu-central-1:123456789012:key/1"
			for want, parameters := range map[string]map[string]any{"Credentials": {}, own: {"CredentialsSecretArn": own, "CredentialsKeyArn": key}} {
				deployed := s.deploy(parameters)
				for _, id := range deployed.of("AWS::Serverless::Function") {
					r.want(deployed.environment(id)["HUAWEICLOUD_CREDENTIALS_SECRET"] == want, "%s: is told another secret than %s", id, want)
					read := deployed.may(id+"Role", "secretsmanager:GetSecretValue")
					r.want(len(read) == 1 && slices.Equal(read[0].Resources, []any{want}), "%s: may not read %s alone", id, want)
					decrypt := deployed.may(id+"Role", "kms:Decrypt")
					if want == own {
						r.want(len(decrypt) == 1 && slices.Equal(decrypt[0].Resources, []any{key}), "%s: may not decrypt the secret", id)
					} else {
						r.want(len(decrypt) == 0, "%s: may decrypt", id)
					}
				}
				r.want(deployed.holds(text(dig(s.tree["Resources"], "Credentials", "Condition"))) == (want != own), "the stack has a secret nobody needs, or none")
			}
			r.want(s.get("Credentials", "SecretString") == nil && s.get("Credentials", "GenerateSecretString") == nil, "the secret's value stands in the template")
		},
		map[string]func(any){
			"its value in the template":    set("Resources/Credentials/Properties/SecretString", "{}"),
			"its value in the environment": set("Resources/RegisterAdmin/Properties/Environment/Variables/CREDENTIALS", "{{resolve:secretsmanager:registrar}}"),
			"any secret":                   set(adminRole+"3/Resource", "*"),
			"no right":                     drop(adminRole + "3/Action"),
			"always the stack's":           set("Globals/Function/Environment/Variables/HUAWEICLOUD_CREDENTIALS_SECRET", map[string]any{"Ref": "Credentials"}),
			"a secret nobody needs":        drop("Resources/Credentials/Condition"),
		},
	},

	"logs are JSON, kept for a time, encrypted, and traced": {
		func(s *stack, r *report) {
			for _, id := range s.of("AWS::Logs::LogGroup") {
				r.want(number(s.get(id, "RetentionInDays")) > 0, "%s: is kept for ever", id)
				r.want(s.get(id, "KmsKeyId") == "Key.Arn", "%s: isn't encrypted with our key", id)
				arn := "arn:aws:logs:eu-central-1:123456789012:log-group:" + text(s.get(id, "LogGroupName"))
				r.want(slices.ContainsFunc(s.may("Key", "kms:Encrypt"), func(st statement) bool {
					return slices.ContainsFunc(list(dig(st.Condition, "ArnLike", "kms:EncryptionContext:aws:logs:arn")), func(pattern any) bool {
						return strings.HasPrefix(arn, strings.TrimSuffix(text(pattern), "*"))
					})
				}), "%s: may not be encrypted with our key", id)
			}
			for _, id := range s.of("AWS::Serverless::Function") {
				name := filepath.Base(text(s.get(id, "CodeUri")))
				r.want(s.get(id, "LoggingConfig", "LogGroup") == id+"Logs" && s.get(id+"Logs", "LogGroupName") == "/aws/lambda/registrar-dev-"+name, "%s: has no log group of its own", id)
				r.want(s.function(id, "LoggingConfig", "LogFormat") == "JSON", "%s: doesn't log JSON", id)
				r.want(s.function(id, "Tracing") == "Active", "%s: isn't traced", id)
			}
			for _, level := range list(dig(s.tree["Parameters"], "LogLevel", "AllowedValues")) {
				r.want(level == "DEBUG" || level == "INFO", "at %v there would be no metrics", level)
			}
			r.want(dig(s.tree, "Globals", "Function", "LoggingConfig", "ApplicationLogLevel", "Ref") == "LogLevel", "the level is no parameter")
			r.want(s.get("Onboarding", "Tracing", "Enabled") == true && s.get("Onboarding", "Logging", "Destinations", 0, "CloudWatchLogsLogGroup", "LogGroupArn") == "OnboardingLogs.Arn", "the workflow isn't logged or traced")
			r.want(s.get("Key", "EnableKeyRotation") == true, "the key stays the same for ever")
		},
		map[string]func(any){
			"kept for ever":        drop("Resources/RegisterAdminLogs/Properties/RetentionInDays"),
			"another key":          drop("Resources/OnboardingLogs/Properties/KmsKeyId"),
			"a key closed to logs": drop("Resources/Key/Properties/KeyPolicy/Statement/1/Condition"),
			"another log group":    drop("Resources/RegisterAdmin/Properties/LoggingConfig"),
			"text":                 set("Globals/Function/LoggingConfig/LogFormat", "Text"),
			"no metrics":           set("Parameters/LogLevel/AllowedValues", []any{"INFO", "WARN"}),
			"no traces":            set("Globals/Function/Tracing", "PassThrough"),
			"a silent workflow":    drop("Resources/Onboarding/Properties/Logging"),
			"the key for ever":     drop("Resources/Key/Properties/EnableKeyRotation"),
		},
	},

	"a function has a URL only if asked for, and only for callers with IAM signatures": {
		func(s *stack, r *report) {
			r.want(!s.holds("HasFunctionUrls") && s.deploy(map[string]any{"FunctionUrls": "true"}).holds("HasFunctionUrls"), "the parameter doesn't decide")
			for _, id := range s.of("AWS::Serverless::Function") {
				r.want(s.get(id, "FunctionUrlConfig") == nil && dig(s.Globals, "Function", "FunctionUrlConfig") == nil, "%s: has a URL unasked", id)
				r.want(s.get(id+"Url", "TargetFunctionArn") == id+".Arn", "%s: can have no URL", id)
			}
			for _, id := range s.of("AWS::Lambda::Url") {
				r.want(s.get(id, "AuthType") == "AWS_IAM", "%s: is open to all", id)
				r.want(dig(s.Resources, id, "Condition") == "HasFunctionUrls", "%s: is there unasked", id)
			}
		},
		map[string]func(any){
			"open to all":   set("Resources/RegisterAdminUrl/Properties/AuthType", "NONE"),
			"unasked":       drop("Resources/RegisterAdminUrl/Condition"),
			"by default":    set("Parameters/FunctionUrls/Default", "true"),
			"beside":        set("Resources/RegisterAdmin/Properties/FunctionUrlConfig", map[string]any{"AuthType": "NONE"}),
			"the other's":   set("Resources/RegisterAdminUrl/Properties/TargetFunctionArn", "x"),
			"never at all":  drop("Resources/RegisterAdminUrl"),
			"not asked for": set("Conditions/HasFunctionUrls", map[string]any{"Fn::Equals": []any{"a", "b"}}),
		},
	},

	"parameters say what they are, take nothing else, and have defaults that work": {
		func(s *stack, r *report) {
			encoded, _ := json.Marshal([]any{s.tree["Resources"], s.tree["Globals"], s.tree["Conditions"]})
			var grouped []any
			for _, group := range list(dig(s.tree, "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups")) {
				grouped = append(grouped, list(dig(group, "Parameters"))...)
			}
			r.want(len(grouped) == len(object(s.tree["Parameters"])), "%d parameters are grouped", len(grouped))
			for name, declared := range object(s.tree["Parameters"]) {
				r.want(len(text(dig(declared, "Description"))) > 20, "%s: says nothing", name)
				r.want(strings.Contains(string(encoded), `"Ref":"`+name+`"`), "%s: isn't used", name)
				r.want(slices.Contains(grouped, any(name)), "%s: is in no group", name)
				byDefault, ok := object(declared)["Default"]
				r.want(ok || noDefault[name] != "", "%s: has no default", name)
				if ok {
					r.want(noDefault[name] == "", "%s: must not have a default: %s", name, noDefault[name])
					if problem := accepts(declared, byDefault); problem != "" {
						r.want(false, "%s: its default %s", name, problem)
					}
				}
				if dig(declared, "Type") == "Number" {
					r.want(dig(declared, "AllowedValues") != nil || dig(declared, "MinValue") != nil && dig(declared, "MaxValue") != nil, "%s: takes any number", name)
				}
				for _, wrong := range []string{"\x00", "*", "a b\n", "%"} {
					r.want(accepts(declared, wrong) != "", "%s: takes %q", name, wrong)
				}
			}
		},
		map[string]func(any){
			"no description":          drop("Parameters/LogDays/Description"),
			"any value":               drop("Parameters/RegionId/AllowedPattern"),
			"any number":              drop("Parameters/MaximumConcurrency/MinValue"),
			"no default":              drop("Parameters/DryRun/Default"),
			"a default for a region":  set("Parameters/RegionId/Default", "cn-north-4"),
			"a default that is wrong": set("Parameters/RequestTimeout/Default", "0s"),
			"a default not allowed":   set("Parameters/LogDays/Default", 91),
			"unused":                  set("Parameters/Another", map[string]any{"Description": "Something nobody ever asks for", "Default": "a", "AllowedPattern": "a", "Type": "String"}),
			"not grouped":             set("Metadata/AWS::CloudFormation::Interface/ParameterGroups/0/Parameters", []any{}),
		},
	},

	"stages give parameters that exist values that they take": {
		func(s *stack, r *report) {
			stages := object(s.tree["Stages"])
			r.want(stages["dev"] != nil && stages["prod"] != nil, "there are %v", slices.Sorted(maps.Keys(stages)))
			r.want(dig(stages, "dev", "DryRun") == "true", "the stage for trying things registers")
			for stage, given := range stages {
				for name, v := range object(given) {
					declared := dig(s.tree["Parameters"], name)
					r.want(declared != nil, "%s: there is no %s", stage, name)
					if problem := accepts(declared, v); declared != nil && problem != "" {
						r.want(false, "%s: %s %s", stage, name, problem)
					}
				}
				for name := range noDefault {
					r.want(dig(given, name) != nil, "%s: doesn't give %s", stage, name)
				}
			}
		},
		map[string]func(any){
			"a misspelt parameter":   set("Stages/dev/Regionid", "cn-north-4"),
			"a wrong value":          set("Stages/prod/RegionId", "Beijing"),
			"a value not allowed":    set("Stages/prod/LogDays", "366"),
			"one is missing":         drop("Stages/prod/ServicePrincipals"),
			"a stage is missing":     drop("Stages/prod"),
			"trying things for real": drop("Stages/dev/DryRun"),
		},
	},

	"the dashboard shows what came of events, and how long it took": {
		func(s *stack, r *report) {
			var body map[string]any
			err := json.Unmarshal([]byte(text(s.get("Dashboard", "DashboardBody"))), &body)
			r.want(err == nil, "it is no JSON: %v", err)
			shown := map[string]bool{}
			for _, widget := range list(body["widgets"]) {
				for _, metric := range list(dig(widget, "properties", "metrics")) {
					shown[fmt.Sprintf("%v %v %v", dig(metric, 0), dig(metric, 1), dig(metric, 3))] = true
					if dig(metric, 0) == "Registrar" {
						r.want(slices.Contains(metrics, text(dig(metric, 1))) && dig(metric, 2) == "function", "there is no metric %v", metric)
					}
				}
				r.want(dig(widget, "properties", "title") != nil && dig(widget, "properties", "region") == "eu-central-1", "a widget without title or region")
			}
			names, _ := functionNames()
			for _, name := range names {
				for _, metric := range []string{"Registered", "Unchanged", "Rejected", "Transient", "Misconfigured", "Duration", "HuaweiCloudLatency"} {
					r.want(shown["Registrar "+metric+" "+name], "%s of %s isn't shown", metric, name)
				}
				r.want(shown["AWS/SQS ApproximateNumberOfMessagesVisible registrar-dev-"+name+"-dead-letters"], "the dead letters of %s aren't shown", name)
			}
		},
		map[string]func(any){
			"no JSON":           set("Resources/Dashboard/Properties/DashboardBody", "{"),
			"no widgets":        set("Resources/Dashboard/Properties/DashboardBody", `{"widgets": []}`),
			"a misspelt metric": replace("Resources/Dashboard/Properties/DashboardBody/Fn::Sub", `"Rejected"`, `"Reject"`),
			"another dimension": replace("Resources/Dashboard/Properties/DashboardBody/Fn::Sub", `"function", "register-admin"`, `"Function", "register-admin"`),
		},
	},

	"the workflow is deployed as it is run here, and whatever happens there it ends with a result": {
		func(s *stack, r *report) {
			r.want(s.get("Onboarding", "DefinitionUri") == definition, "another definition is deployed")
			r.want(s.get("Onboarding", "Type") == "STANDARD", "only a standard workflow can be redriven")
			encoded, _ := json.Marshal(s.tree["Workflow"])
			needed := map[string]bool{}
			for _, found := range reference.FindAllStringSubmatch(string(encoded), -1) {
				needed[found[1]] = true
			}
			given := object(s.get("Onboarding", "DefinitionSubstitutions"))
			r.want(slices.Equal(slices.Sorted(maps.Keys(needed)), slices.Sorted(maps.Keys(given))), "it needs %v, and is given %v", needed, given)
			for name, want := range map[string]string{
				"RegisterRegionArn": "RegisterRegion.Arn", "RegisterAdminArn": "RegisterAdmin.Arn", "BusName": "Bus", "Source": "/registrar/onboarding",
				"BootstrapType": "org.bootstrap", "AccountType": "account.created",
			} {
				r.want(given[name] == want, "%s is %v", name, given[name])
			}
			tasks := s.functionTasks()
			r.want(len(tasks) == 2, "it calls %d functions", len(tasks))
			for name, task := range tasks {
				r.want(slices.Contains(list(dig(task, "Catch", 0, "ErrorEquals")), any("States.ALL")), "%s: what fails otherwise leaves no result", name)
				r.want(strings.Contains(text(dig(task, "Parameters", "Payload", "id.$")), "$$.Execution.Name"), "%s: its events' ids aren't the execution's", name)
				r.want(number(dig(task, "TimeoutSeconds")) > 60, "%s: waits for ever, or less than the function takes", name)
			}
			r.want(number(dig(s.tree, "Workflow", "States", "RegisterAdministrators", "MaxConcurrency")) > 0, "any number of accounts at once")
			r.want(dig(s.tree, "Workflow", "QueryLanguage") == nil, "it must be JSONPath: what runs it here knows no other")
			for _, eventType := range results()["onboarding"] {
				_, outcome, _ := strings.Cut(eventType, "org.onboarding.")
				r.want(strings.Contains(string(encoded), `"Result":"`+outcome+`"`), "no state ends as %s", outcome)
			}
		},
		map[string]func(any){
			"another definition":      set("Resources/Onboarding/Properties/DefinitionUri", "onboarding.json"),
			"express":                 set("Resources/Onboarding/Properties/Type", "EXPRESS"),
			"a substitution missing":  drop("Resources/Onboarding/Properties/DefinitionSubstitutions/BusName"),
			"a substitution too many": set("Resources/Onboarding/Properties/DefinitionSubstitutions/Topic", "x"),
			"the functions swapped":   set("Resources/Onboarding/Properties/DefinitionSubstitutions/RegisterAdminArn", map[string]any{"Fn::GetAtt": []any{"RegisterRegion", "Arn"}}),
			"a failure not caught":    drop(adminTask + "Catch"),
			"ids by chance":           set(adminTask+"Parameters/Payload/id.$", "States.UUID()"),
			"waiting for ever":        drop("Workflow/States/RegisterRegion/TimeoutSeconds"),
			"all accounts at once":    drop("Workflow/States/RegisterAdministrators/MaxConcurrency"),
			"JSONata":                 set("Workflow/QueryLanguage", "JSONata"),
			"no result of a failure":  drop("Workflow/States/Failed"),
		},
	},

	"the runbook knows every alarm and every right": {
		func(s *stack, r *report) {
			runbook := text(s.tree["Runbook"])
			for _, id := range s.of("AWS::CloudWatch::Alarm") {
				name := strings.TrimPrefix(text(s.get(id, "AlarmName")), "registrar-dev-")
				for _, function := range list(anyNames()) {
					name = strings.Replace(name, text(function)+"-", "<function>-", 1)
				}
				r.want(strings.Contains(runbook, "### `<stack>-"+name+"`"), "it doesn't know <stack>-%s", name)
				r.want(strings.Contains(text(s.get(id, "AlarmDescription")), "docs/operations.md"), "%s doesn't lead to it", id)
			}
			for _, st := range s.statements() {
				for _, action := range st.Actions {
					if strings.Contains(st.Where, "Role ") && text(action) != "sts:AssumeRole" {
						r.want(strings.Contains(runbook, "`"+text(action)+"`"), "it doesn't know %s", action)
					}
				}
			}
		},
		map[string]func(any){
			"an alarm it doesn't know":   set("Resources/RegisterAdminErrorsAlarm/Properties/AlarmName", "registrar-dev-register-admin-trouble"),
			"an alarm that leads away":   set("Resources/RegisterAdminErrorsAlarm/Properties/AlarmDescription", "trouble"),
			"a right it doesn't know":    set(adminRole+"0/Action", []any{"sqs:PurgeQueue"}),
			"an alarm that isn't in it":  replace("Runbook", "-dead-letters`", "-letters`"),
			"a right that isn't in it":   replace("Runbook", "`sqs:DeleteMessage`", ""),
			"the workflow's isn't in it": replace("Runbook", "-onboarding-failed`", "`"),
		},
	},

	"people are told where things are": {
		func(s *stack, r *report) {
			for _, output := range []string{"BusName", "BusArn", "CredentialsSecret", "OnboardingArn", "AlarmTopicArn", "DashboardUrl"} {
				r.want(dig(s.tree["Outputs"], output, "Value") != nil, "no output %s", output)
			}
			for _, id := range s.of("AWS::Serverless::Function") {
				for output, want := range map[string]string{"Function": id + ".Arn", "Queue": id + "Queue", "DeadLetters": id + "DeadLetters", "Url": id + "Url.FunctionUrl"} {
					r.want(s.eval(dig(s.tree["Outputs"], id+output, "Value")) == want, "no output %s%s", id, output)
				}
			}
			for name, output := range object(s.tree["Outputs"]) {
				r.want(text(dig(output, "Description")) != "", "%s: says nothing", name)
			}
		},
		map[string]func(any){
			"not the bus":      drop("Outputs/BusName"),
			"not the queue":    drop("Outputs/RegisterAdminQueue"),
			"the other's":      set("Outputs/RegisterAdminDeadLetters/Value", map[string]any{"Ref": "RegisterRegionDeadLetters"}),
			"not what it is":   drop("Outputs/DashboardUrl/Description"),
			"not the workflow": drop("Outputs/OnboardingArn"),
		},
	},
}

// replace changes the text at a path.
func replace(path, before, after string) func(any) {
	return func(tree any) {
		steps := strings.Split(path, "/")
		parent, last := walk(tree, steps[:len(steps)-1]), steps[len(steps)-1]
		changed := strings.ReplaceAll(text(parent[last]), before, after)
		if changed == parent[last] {
			panic("no " + before + " at " + path)
		}
		parent[last] = changed
	}
}

func anyNames() any {
	names, _ := functionNames()
	items := []any{}
	for _, name := range names {
		items = append(items, name)
	}
	return items
}

// putters are what puts results on the bus, by logical id, with the last part of the source.
func (s *stack) putters() map[string]string {
	found := map[string]string{"Onboarding": "onboarding"}
	for _, id := range s.of("AWS::Serverless::Function") {
		found[id] = filepath.Base(text(s.get(id, "CodeUri")))
	}
	return found
}

// alarmMetrics are what an alarm is on: "<namespace> <metric> <value of the last dimension>". Those of ours must have the dimension function.
func (s *stack) alarmMetrics(id string) []string {
	var found []string
	add := func(metric any) {
		dimensions := list(dig(metric, "Dimensions"))
		if len(dimensions) == 0 {
			return
		}
		last := dimensions[len(dimensions)-1]
		wanted := map[string]string{"Registrar": "function", "AWS/Lambda": "FunctionName", "AWS/SQS": "QueueName", "AWS/Events": "RuleName", "AWS/States": "StateMachineArn"}
		if dig(last, "Name") == wanted[text(dig(metric, "Namespace"))] {
			found = append(found, fmt.Sprintf("%v %v %v", dig(metric, "Namespace"), dig(metric, "MetricName"), dig(last, "Value")))
		}
	}
	add(s.get(id))
	for _, query := range list(s.get(id, "Metrics")) {
		add(dig(query, "MetricStat", "Metric"))
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

// retriesFor is how long a task waits at least between its first and last attempt, when they all fail with an error.
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
			wait = min(wait*time.Duration(number(dig(retrier, "BackoffRate"))), time.Duration(number(dig(retrier, "MaxDelaySeconds")))*time.Second)
		}
		return sum
	}
	return 0
}

// accepts says what CloudFormation would object to in the value of a parameter, "" for nothing.
func accepts(declared, v any) string {
	given := fmt.Sprint(v)
	values := []string{given}
	if dig(declared, "Type") == "CommaDelimitedList" {
		values = strings.Split(given, ",")
	}
	if allowed := list(dig(declared, "AllowedValues")); allowed != nil && !slices.ContainsFunc(allowed, func(one any) bool { return fmt.Sprint(one) == given }) {
		return "isn't allowed"
	}
	if pattern := text(dig(declared, "AllowedPattern")); pattern != "" {
		for _, one := range values {
			if !regexp.MustCompile(pattern).MatchString(one) {
				return "doesn't match"
			}
		}
	}
	if dig(declared, "Type") == "Number" && dig(declared, "AllowedValues") == nil {
		least, most := dig(declared, "MinValue"), dig(declared, "MaxValue")
		if n := number(v); least != nil && n < number(least) || most != nil && n > number(most) || !regexp.MustCompile(`\A[0-9]+\z`).MatchString(given) && given != fmt.Sprint(number(v)) {
			return "isn't between its bounds"
		}
	}
	return ""
}
