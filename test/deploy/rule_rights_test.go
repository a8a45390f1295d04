package deploy

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestNothingMayDoMoreThanItNeeds(t *testing.T) {
	// What may act on "*", because AWS takes nothing narrower.
	wildcards := map[string]string{
		"Role GetToken":             "the action has no resource, and the token is about whoever asks",
		"Role Trace":                "X-Ray's actions have no resource",
		"OnboardingRole Trace":      "X-Ray's actions have no resource",
		"OnboardingRole Log":        "log delivery's actions have no resource",
		"Key Administer":            "in a key's policy it is the key, and without this line nobody can administer it",
		"CredentialsKey Administer": "in a key's policy it is the key, and without this line nobody can administer it",
		"Key EncryptLogs":           "in a key's policy it is the key",
		"Key EncryptAlarms":         "in a key's policy it is the key",
	}
	invoke := "Resources/OnboardingRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource"
	rule{
		func(s *stack, r *report) {
			used := map[string]bool{}
			for _, st := range slices.Concat(s.statements(), s.deploy(byToken).statements()) {
				if st.Effect != "Allow" {
					continue
				}
				where := path.Base(st.Where)
				for _, resource := range st.Resources {
					if strings.HasSuffix(text(resource), "*") && !strings.Contains(text(resource), "registrar-dev") {
						used[where] = true
						r.want(wildcards[where] != "", "%s: any resource", st.Where)
					}
				}
				for _, action := range st.Actions {
					any := strings.HasSuffix(text(action), "*") && !strings.Contains(where, "Key ")
					r.want(!any, "%s: any action", st.Where)
				}
				r.want(len(st.Actions) > 0, "%s: says no actions", st.Where)
			}
			for where := range wildcards {
				r.want(used[where], "%s: has no wildcard any more", where)
			}
			for _, id := range s.ofType("AWS::IAM::Role") {
				r.want(s.get(id, "ManagedPolicyArns") == nil, "%s: managed policies act on anything", id)
			}
			may := func(role, on string, actions ...string) {
				for _, action := range actions {
					may := s.may(role, action)
					r.want(len(may) == 1 && slices.Equal(may[0].Resources, []any{on}), "%s: %s", role, action)
				}
			}
			for id, name := range s.functions() {
				own := id + "Resources/"
				r.want(s.get(id, "Policies") == nil, "%s: has policies beside its role", id)
				may(own+"Role", own+"Logs.Arn", "logs:CreateLogStream", "logs:PutLogEvents")
				for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
					if name == audit {
						r.want(s.may(own+"Role", action) == nil, "%s: may %s, and has no queue", id, action)
					} else {
						may(own+"Role", own+"Queue.Arn", action)
					}
				}
			}
			may("AuditOrganizationResources/ScheduleRole",
				"arn:aws:lambda:eu-central-1:123456789012:function:registrar-dev-"+audit, "lambda:InvokeFunction")
			r.want(s.get("Onboarding", "Role") == "OnboardingRole.Arn", "SAM would give the workflow a role")
			called := s.calledByWorkflow()
			invoke := s.may("OnboardingRole", "lambda:InvokeFunction")
			only := len(invoke) == 1 && sameItems(invoke[0].Resources, called)
			r.want(only, "the workflow calls %v, may call %v", called, invoke)
		},
		map[string]func(any){
			"any queue":             set(roleRights+"0/Resource", "*"),
			"any queue of a region": set(roleRights+"0/Resource", "arn:aws:sqs:eu-central-1:123456789012:*"),
			"any action":            set(roleRights+"0/Action", "sqs:*"),
			"a managed policy": set(
				needed+"Role/Properties/ManagedPolicyArns", []any{"PowerUserAccess"}),
			"policies beside": set(
				"Resources/RegisterAdmin/Properties/Policies", []any{"AmazonSQSFullAccess"}),
			"no right to its queue": drop(roleRights + "0/Action"),
			"the letters as queue":  set(roleRights+"0/Resource", attribute("DeadLetters", "Arn")),
			"the logs of another":   set(roleRights+"5/Resource", "another"),
			"a reason left over": func(tree any) {
				set(roleRights+"6/Resource", attribute("Logs", "Arn"))(tree)
				set(auditRights+"4/Resource", attribute("Logs", "Arn"))(tree)
			},
			"an audit that takes events": set(auditRights+"0/Action", []any{"events:PutEvents", "sqs:ReceiveMessage"}),
			"a schedule calling any function": set(
				auditNeeds+"ScheduleRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource", "*"),
			"a workflow calling any function": set(invoke, "*"),
			"a workflow with a right too few": set(invoke, []any{attribute("RegisterAdmin", "Arn")}),
			"a workflow with a right too many": func(tree any) {
				states, _ := walk(tree, "Workflow/States/RegisterRegion")
				delete(states, "RegisterRegion")
			},
		},
	}.test(t)
}
