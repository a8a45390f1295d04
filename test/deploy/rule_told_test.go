package deploy

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestAlarmsAreEncryptedAndTellSomebodyWhenTheyFireAndWhenItIsOver(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
				for _, action := range []string{"AlarmActions", "OKActions"} {
					r.want(slices.Equal(list(s.get(id, action)), []any{"AlarmTopic"}), "%s: tells nobody", id)
				}
				r.want(number(s.get(id, "Threshold")) >= 1, "%s: has no threshold", id)
				compares, otherwise := "GreaterThanOrEqualToThreshold notBreaching", "fires when nothing happens"
				compared := text(s.get(id, "ComparisonOperator")) + " " + text(s.get(id, "TreatMissingData"))
				switch path.Base(id) {
				case "UnexpectedAlarm", "MissingAlarm": // between two audits
					compares, otherwise = "GreaterThanOrEqualToThreshold ignore", "forgets the last audit"
				case "NoAuditAlarm":
					compares, otherwise = "LessThanThreshold breaching", "is quiet when nothing happens"
				}
				r.want(compared == compares, "%s: %s", id, otherwise)
				name := text(s.get(id, "AlarmName"))
				r.want(strings.HasPrefix(name, "registrar-dev-"), "%s: isn't named for the stack", id)
			}
			r.want(s.get("AlarmTopic", "KmsMasterKeyId") == "Key", "the topic isn't encrypted")
			publish := s.may("AlarmTopicPolicy", "sns:Publish")
			r.want(len(publish) == 1 && publish[0].Service == "cloudwatch.amazonaws.com", "alarms may not publish")
			r.want(slices.ContainsFunc(s.may("Key", "kms:GenerateDataKey*"), func(st statement) bool {
				return st.Service == "cloudwatch.amazonaws.com"
			}), "alarms may not encrypt")
		},
		map[string]func(any){
			"nobody told":                    drop(needed + "ErrorsAlarm/Properties/AlarmActions"),
			"nobody told that it is over":    drop("Resources/OnboardingFailedAlarm/Properties/OKActions"),
			"an alarm while nothing happens": set(needed+"RejectedAlarm/Properties/TreatMissingData", "breaching"),
			"no threshold":                   drop(needed + "ErrorsAlarm/Properties/Threshold"),
			"the other way round": set(
				needed+"LostAlarm/Properties/ComparisonOperator", "LessThanThreshold"),
			"an audit forgotten":       set(auditNeeds+"UnexpectedAlarm/Properties/TreatMissingData", "notBreaching"),
			"no audits are good":       set(auditNeeds+"NoAuditAlarm/Properties/TreatMissingData", "notBreaching"),
			"a name for all stages":    set(needed+"LostAlarm/Properties/AlarmName", "lost"),
			"a topic in the clear":     drop("Resources/AlarmTopic/Properties/KmsMasterKeyId"),
			"a topic closed to alarms": drop("Resources/AlarmTopicPolicy"),
			"a key closed to alarms":   drop("Resources/Key/Properties/KeyPolicy/Statement/2/Principal"),
		},
	}.test(t)
}
