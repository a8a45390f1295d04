package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDashboardsShowWhatBecameOfEventsHowLongItTookAndWhichAlarmsFire(t *testing.T) {
	body := needed + "Dashboard/Properties/DashboardBody"
	widgets := body + "/Fn::Sub"
	rule{
		func(s *stack, r *report) {
			shown := map[string]bool{}
			for _, id := range s.ofType("AWS::CloudWatch::Dashboard") {
				named := text(s.get(id, "DashboardName"))
				r.want(strings.HasPrefix(named, "registrar-dev-"), "%s: isn't named for the stack", id)
				var body map[string]any
				err := json.Unmarshal([]byte(text(s.get(id, "DashboardBody"))), &body)
				r.want(err == nil, "%s: isn't JSON: %v", id, err)
				for _, widget := range list(body["widgets"]) {
					widget := dig(widget, "properties")
					r.want(dig(widget, "title") != nil, "%s: a widget without a title", id)
					region := dig(widget, "alarms") != nil || dig(widget, "region") == "eu-central-1"
					r.want(region, "%s: a widget without a region", id)
					for _, alarm := range list(dig(widget, "alarms")) {
						shown[text(alarm)] = true
					}
					for _, metric := range list(dig(widget, "metrics")) {
						name := fmt.Sprintf("%v %v %v %v",
							dig(metric, 0), dig(metric, 1), dig(metric, 2), dig(metric, 3))
						shown[name] = true
						ours := dig(metric, 0) == "Registrar"
						known := metrics(strings.TrimPrefix(text(dig(metric, 3)), "registrar-dev-"))
						r.want(!ours || slices.Contains(known, text(dig(metric, 1))), "there is no metric %s", name)
					}
				}
			}
			for _, name := range s.functions() {
				for _, metric := range metrics(name) {
					measured := "Registrar " + metric + " FunctionName registrar-dev-" + name
					r.want(shown[measured], "%s of %s isn't shown", metric, name)
				}
			}
			for id, name := range s.onBus() {
				letters := "AWS/SQS ApproximateNumberOfMessagesVisible QueueName " +
					id + "Resources/DeadLetters.QueueName"
				r.want(shown[letters], "the dead letters of %s aren't shown", name)
			}
			for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
				alarm := "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:" + text(s.get(id, "AlarmName"))
				r.want(shown[alarm], "%s isn't shown", alarm)
			}
		},
		map[string]func(any){
			"no JSON":                 set(body, "{"),
			"no widgets":              set(body, `{"widgets": []}`),
			"a misspelt metric":       replace(widgets, `"Rejected"`, `"Reject"`),
			"another dimension":       replace(widgets, `"FunctionName"`, `"function"`),
			"an alarm not shown":      replace(widgets, `"${Alarm}-lost", `, ""),
			"an alarm that isn't":     set(needed+"LostAlarm/Properties/AlarmName", "registrar-dev-away"),
			"a dashboard for all":     set(needed+"Dashboard/Properties/DashboardName", "registrar"),
			"the workflow's left out": drop("Resources/Dashboard"),
			"the audit's left out":    drop(auditNeeds + "Dashboard"),
			"what isn't of the audit": replace(
				auditNeeds+"Dashboard/Properties/DashboardBody/Fn::Sub", `"Drifted"`, `"Planned"`),
		},
	}.test(t)
}
