package deploy

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestResultsGoToTheBusAndEachFunctionMayPutOnlyItsOwn(t *testing.T) {
	put, err := putByFunctions(t, load(t).deploy(nil))
	onboarding := "Resources/OnboardingRole/Properties/Policies/0/PolicyDocument/Statement/1/"
	rule{
		func(s *stack, r *report) {
			r.want(err == nil, "%v", err)
			may := map[string]result{"OnboardingRole": {"/registrar/onboarding", []any{"org.onboarding.*"}}}
			for id, name := range s.functions() {
				own := put[name]
				if name == audit {
					own.types = append(own.types, requests["register-service"], requests["register-admin"])
				}
				may[id+"Resources/Role"] = own
				sink := s.environment(id)["RESULT_SINK"]
				r.want(sink == "eventbridge://Bus.Arn", "%s: puts results to %v", id, sink)
			}
			for _, role := range slices.Sorted(maps.Keys(may)) {
				statements := s.may(role, "events:PutEvents")
				r.want(len(statements) == 1, "%s: %d statements let it put results", role, len(statements))
				for _, st := range statements {
					bus := strings.HasSuffix(text(st.Resources[0]), ":event-bus/Bus.Name") ||
						st.Resources[0] == "Bus.Arn"
					r.want(len(st.Resources) == 1 && bus, "%s: may put on %v", role, st.Resources)
					source := dig(st.Condition, "StringEquals", "events:source")
					types := list(dig(st.Condition, "StringLike", "events:detail-type"))
					r.want(source == may[role].source,
						"%s: may put from %v, puts from %s", role, source, may[role].source)
					r.want(sameItems(types, may[role].types), "%s: may put %v, puts %v", role, types, may[role].types)
				}
			}
			r.want(len(s.workflowResults()) == 4, "the workflow ends as %v", s.workflowResults())
			for _, eventType := range s.workflowResults() {
				r.want(strings.HasPrefix(eventType, "org.onboarding."), "the workflow puts %s", eventType)
			}
		},
		map[string]func(any){
			"another sink": set("Globals/Function/Environment/Variables/RESULT_SINK", "https://example.com"),
			"any bus":      set(roleRights+"2/Resource", "*"),
			"any source":   drop(roleRights + "2/Condition/StringEquals"),
			"any type":     set("Resources/RegisterAdminResources/Properties/Parameters/ResultTypes", "*"),
			"the types of another": set(
				"Resources/RegisterAdminResources/Properties/Parameters/ResultTypes", "org.region.*"),
			"an audit that may ask for anything": set(auditRights+"0/Condition/StringLike/events:detail-type",
				[]any{"org.audit.*", "org.service.*", "account.admin.*"}),
			"an audit that can't ask": set(auditRights+"0/Condition/StringLike/events:detail-type", "org.audit.*"),
			"no right":                drop(roleRights + "2/Action"),
			"another than it puts":    set(onboarding+"Condition/StringLike/events:detail-type", "org.onboarded"),
			"no result of failure":    drop("Workflow/States/Failed"),
		},
	}.test(t)
}
