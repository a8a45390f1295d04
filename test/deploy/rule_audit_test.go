package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

func TestAScheduleInvokesTheAuditWithAnEventOfItsOwnAndNobodyTriesItAgain(t *testing.T) {
	const own = "AuditOrganizationResources/"
	schedule := auditNeeds + "Schedule/Properties/"
	input, invokeConfig := schedule+"Target/Input/Fn::Sub", "Resources/AuditOrganization/Properties/EventInvokeConfig"
	trusted := auditNeeds + "ScheduleRole/Properties/AssumeRolePolicyDocument/Statement/0/"
	script := string(read(t, "deploy/pause.sh"))
	rule{
		func(s *stack, r *report) {
			for property := range object(s.get(own + "Schedule")) {
				kept := property == "State" || strings.Contains(script, property+": "+property)
				r.want(kept, "make pause takes %s away from the schedule", property)
			}
			r.want(s.get(own+"Schedule", "Name") == "registrar-dev-"+audit, "make pause doesn't find the schedule")
			r.want(s.get(own+"Schedule", "State") == "ENABLED", "the schedule doesn't run")
			r.want(s.get(own+"Schedule", "FlexibleTimeWindow", "Mode") == "OFF", "it isn't punctual")
			target := s.get(own+"Schedule", "Target")
			named := ":function:" + text(s.get("AuditOrganization", "FunctionName"))
			arn := dig(target, "Arn")
			r.want(arn == "arn:aws:lambda:eu-central-1:123456789012"+named, "it invokes %v", arn)
			r.want(dig(target, "RoleArn") == own+"ScheduleRole.Arn", "it has the role %v", dig(target, "RoleArn"))
			trust := s.get(own+"ScheduleRole", "AssumeRolePolicyDocument", "Statement", 0)
			r.want(dig(trust, "Principal", "Service") == "scheduler.amazonaws.com", "no schedule may have its role")
			account := dig(trust, "Condition", "StringEquals", "aws:SourceAccount")
			r.want(account == "123456789012", "schedules of other accounts may have its role")

			var e event.Event
			sent := text(dig(target, "Input"))
			sent = strings.ReplaceAll(sent, "<aws.scheduler.scheduled-time>", "2026-01-02T03:15:00Z")
			err := json.Unmarshal([]byte(sent), &e)
			r.want(err == nil && e.Validate() == nil, "it sends no CloudEvent: %v", err)
			r.want(e.Type() == "org.audit" && strings.TrimSpace(string(e.Data())) == "{}", "it sends %s", e)
			r.want(e.ID() == "audit/2026-01-02T03:15:00Z", "each audit has the id %s", e.ID())
			r.want(e.Source() == "/registrar/schedule/registrar-dev", "it sends from %s", e.Source())
			r.want(e.Time().Equal(time.Date(2026, 1, 2, 3, 15, 0, 0, time.UTC)), "it sends the time %s", e.Time())

			r.want(dig(target, "RetryPolicy", "MaximumRetryAttempts") == 0, "the schedule tries again")
			r.want(dig(target, "DeadLetterConfig") == nil, "the schedule keeps letters")
			invoked := s.get("AuditOrganization", "EventInvokeConfig")
			r.want(dig(invoked, "MaximumRetryAttempts") == 0, "Lambda tries again")
			r.want(dig(invoked, "DestinationConfig") == nil, "Lambda keeps letters")
			for _, late := range []any{
				dig(target, "RetryPolicy", "MaximumEventAgeInSeconds"),
				dig(invoked, "MaximumEventAgeInSeconds"),
			} {
				r.want(number(late) >= 60 && number(late) <= 300, "an audit may be %v seconds late", late)
			}
			r.want(s.get("AuditOrganization", "Events") == nil, "something else starts the audit")
			for _, kind := range []string{"AWS::SQS::Queue", "AWS::Events::Rule"} {
				extra := slices.ContainsFunc(s.ofType(kind), func(id string) bool { return strings.HasPrefix(id, own) })
				r.want(!extra, "the audit has a %s", kind)
			}
		},
		map[string]func(any){
			"a name that nobody finds":    set(schedule+"Name", "audit"),
			"what make pause forgets":     set(schedule+"ScheduleExpressionTimezone", "Asia/Shanghai"),
			"a schedule that rests":       set(schedule+"State", "DISABLED"),
			"some time":                   set(schedule+"FlexibleTimeWindow/Mode", "FLEXIBLE"),
			"another function":            replace(schedule+"Target/Arn/Fn::Sub", "audit", "other"),
			"another role":                set(schedule+"Target/RoleArn", attribute("Role", "Arn")),
			"no CloudEvent":               replace(input, "specversion", "version"),
			"another type":                replace(input, "org.audit", "org.bootstrap"),
			"always the same id":          replace(input, "audit/<aws.scheduler.scheduled-time>", "audit/1"),
			"the time of nothing":         replace(input, `"<aws.scheduler.scheduled-time>"`, `"2020-01-01T00:00:00Z"`),
			"a source for all stages":     replace(input, "/${Stack}", ""),
			"a schedule that tries again": drop(schedule + "Target/RetryPolicy/MaximumRetryAttempts"),
			"letters of the schedule": set(
				schedule+"Target/DeadLetterConfig", map[string]any{"Arn": attribute("DeadLetters", "Arn")}),
			"Lambda that tries again": drop(invokeConfig),
			"letters of Lambda": set(
				invokeConfig+"/DestinationConfig", map[string]any{"OnFailure": map[string]any{"Type": "SQS"}}),
			"an audit that is late":     set(invokeConfig+"/MaximumEventAgeInSeconds", 21600),
			"an audit of its own":       set("Resources/AuditOrganization/Properties/Events", map[string]any{}),
			"a queue":                   set(auditNeeds+"Queue", map[string]any{"Type": "AWS::SQS::Queue"}),
			"a role for anybody":        drop(trusted + "Principal"),
			"a role for other accounts": drop(trusted + "Condition"),
		},
	}.test(t)
}

func TestTheAlarmsOfTheAuditCountInItsInterval(t *testing.T) {
	const own = "AuditOrganizationResources/"
	interval := "Nested/audit.yaml/Mappings/Interval/"
	rule{
		func(s *stack, r *report) {
			allowed := list(dig(s.tree["Parameters"], "AuditEvery", "AllowedValues"))
			r.want(slices.Equal(allowed, []any{"5m", "15m", "30m", "60m"}), "audits every %v", allowed)
			mapped := object(dig(s.tree["Nested"], "audit.yaml", "Mappings", "Interval"))
			r.want(len(mapped) == len(allowed), "the mapping has others than %v", allowed)
			for _, every := range allowed {
				interval, err := time.ParseDuration(text(every))
				r.want(err == nil, "%v", err)
				seconds := int(interval.Seconds())
				deployed := s.deploy(map[string]any{"AuditEvery": every})
				rate := deployed.get(own+"Schedule", "ScheduleExpression")
				r.want(rate == fmt.Sprintf("rate(%d minutes)", seconds/60), "%s: the schedule is %s", every, rate)

				unexpected := object(deployed.get(own + "UnexpectedAlarm"))
				r.want(unexpected["Statistic"] == "Maximum", "%s: not everything unexpected counts", every)
				atOnce := number(unexpected["Period"]) == 60 && number(unexpected["EvaluationPeriods"]) == 1
				r.want(atOnce, "%s: what is unexpected is told late", every)

				missing := object(deployed.get(own + "MissingAlarm"))
				r.want(missing["Statistic"] == "Minimum", "%s: what was missing once counts", every)
				four := number(missing["Period"]) == seconds && number(missing["EvaluationPeriods"]) == 4
				r.want(four, "%s: not four audits count", every)

				none := object(deployed.get(own + "NoAuditAlarm"))
				r.want(number(none["EvaluationPeriods"]) == 3, "%s: not three audits count", every)
				for i, outcome := range []string{"Passed", "Drifted"} {
					counted := dig(none, "Metrics", i, "MetricStat")
					r.want(dig(counted, "Metric", "MetricName") == outcome, "%s: %s isn't counted", every, outcome)
					r.want(dig(counted, "Stat") == "Sum", "%s: %s isn't added up", every, outcome)
					r.want(number(dig(counted, "Period")) == seconds, "%s: not one audit in a period", every)
				}
				expression := dig(none, "Metrics", 2, "Expression")
				r.want(expression == "FILL(passed, 0) + FILL(drifted, 0)",
					"%s: the alarm is the later, since it counts %s", every, expression)

				for _, id := range deployed.ofType("AWS::CloudWatch::Alarm") {
					periods := []any{deployed.get(id, "Period")}
					for _, query := range list(deployed.get(id, "Metrics")) {
						periods = append(periods, dig(query, "MetricStat", "Period"))
					}
					most := 24 * 3600 // what CloudWatch takes for periods below an hour
					if number(slices.MaxFunc(periods, func(a, b any) int { return number(a) - number(b) })) >= 3600 {
						most *= 7
					}
					for _, period := range periods {
						looksBack := number(period) * number(deployed.get(id, "EvaluationPeriods"))
						r.want(number(period)%60 == 0 && looksBack <= most, "%s: CloudWatch doesn't take it", id)
					}
				}
			}
		},
		map[string]func(any){
			"another interval":          set(interval+"30m/Seconds", 900),
			"another schedule":          set(interval+"5m/Schedule", "rate(1 hour)"),
			"an interval left out":      drop(interval + "60m"),
			"an interval too many":      set("Parameters/AuditEvery/AllowedValues", []any{"15m", "24h"}),
			"the unexpected on average": set(auditNeeds+"UnexpectedAlarm/Properties/Statistic", "Average"),
			"the unexpected late":       set(auditNeeds+"UnexpectedAlarm/Properties/EvaluationPeriods", 4),
			"a missing one at once":     set(auditNeeds+"MissingAlarm/Properties/EvaluationPeriods", 1),
			"a missing one once":        set(auditNeeds+"MissingAlarm/Properties/Statistic", "Maximum"),
			"none of the interval":      set(auditNeeds+"MissingAlarm/Properties/Period", 60),
			"audits on average":         set(auditNeeds+"NoAuditAlarm/Properties/Metrics/0/MetricStat/Stat", "Average"),
			"audits whose results were lost": set(
				auditNeeds+"NoAuditAlarm/Properties/Metrics/0/MetricStat/Metric/MetricName", "Missing"),
			"audits of a minute":   set(auditNeeds+"NoAuditAlarm/Properties/Metrics/1/MetricStat/Period", 60),
			"no audit told late":   set(auditNeeds+"NoAuditAlarm/Properties/EvaluationPeriods", 30),
			"data that is missing": set(auditNeeds+"NoAuditAlarm/Properties/Metrics/2/Expression", "passed + drifted"),
			"an alarm that CloudWatch refuses": set(
				needed+"ThrottlesAlarm/Properties/EvaluationPeriods", 300),
		},
	}.test(t)
}
