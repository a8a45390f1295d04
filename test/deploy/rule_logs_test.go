package deploy

import (
	"slices"
	"strings"
	"testing"
)

func TestLogsAreJSONKeptForATimeEncryptedAndTraced(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			for _, id := range s.ofType("AWS::Logs::LogGroup") {
				r.want(number(s.get(id, "RetentionInDays")) > 0, "%s: is kept for ever", id)
				r.want(s.get(id, "KmsKeyId") == "Key.Arn", "%s: isn't encrypted with our key", id)
				arn := "arn:aws:logs:eu-central-1:123456789012:log-group:" + text(s.get(id, "LogGroupName"))
				r.want(slices.ContainsFunc(s.may("Key", "kms:Encrypt"), func(st statement) bool {
					groups := list(dig(st.Condition, "ArnLike", "kms:EncryptionContext:aws:logs:arn"))
					return slices.ContainsFunc(groups, func(group any) bool {
						return strings.HasPrefix(arn, strings.TrimSuffix(text(group), "*"))
					})
				}), "%s: may not be encrypted with our key", id)
			}
			for id, name := range s.functions() {
				logs := id + "Resources/Logs"
				r.want(s.get(id, "LoggingConfig", "LogGroup") == logs, "%s: has no log group of its own", id)
				named := s.get(logs, "LogGroupName") == "/aws/lambda/registrar-dev-"+name
				r.want(named, "%s: isn't named as Lambda names it", logs)
				r.want(s.function(id, "LoggingConfig", "LogFormat") == "JSON", "%s: doesn't log JSON", id)
				r.want(s.function(id, "Tracing") == "Active", "%s: isn't traced", id)
			}
			for _, level := range list(dig(s.tree["Parameters"], "LogLevel", "AllowedValues")) {
				r.want(level == "DEBUG" || level == "INFO", "at %v Lambda would drop the metrics", level)
			}
			level := dig(s.tree, "Globals", "Function", "LoggingConfig", "ApplicationLogLevel", "Ref")
			r.want(level == "LogLevel", "the level isn't a parameter")
			destination := s.get("Onboarding", "Logging", "Destinations", 0, "CloudWatchLogsLogGroup", "LogGroupArn")
			r.want(destination == "OnboardingLogs.Arn", "the workflow isn't logged")
			r.want(s.get("Onboarding", "Tracing", "Enabled") == true, "the workflow isn't traced")
			r.want(s.get("Key", "EnableKeyRotation") == true, "the key stays the same for ever")
		},
		map[string]func(any){
			"kept for ever":        drop(needed + "Logs/Properties/RetentionInDays"),
			"another key":          drop("Resources/OnboardingLogs/Properties/KmsKeyId"),
			"a key closed to logs": drop("Resources/Key/Properties/KeyPolicy/Statement/1/Condition"),
			"another log group":    drop("Resources/RegisterAdmin/Properties/LoggingConfig"),
			"text":                 set("Globals/Function/LoggingConfig/LogFormat", "Text"),
			"no metrics":           set("Parameters/LogLevel/AllowedValues", []any{"INFO", "WARN"}),
			"no traces":            set("Globals/Function/Tracing", "PassThrough"),
			"a silent workflow":    drop("Resources/Onboarding/Properties/Logging"),
			"the key for ever":     drop("Resources/Key/Properties/EnableKeyRotation"),
		},
	}.test(t)
}
