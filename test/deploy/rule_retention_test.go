package deploy

import "testing"

func TestWhatHoldsEventsOrLogsOutlivesTheStackButNotThatForTrying(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			for stage, retains := range map[string]string{"dev": "false", "prod": "true"} {
				r.want(dig(s.tree, "Stages", stage, "Retain") == retains, "%s: it is to say %s", stage, retains)
			}
			r.want(s.own["Transform"].([]any)[0] == "AWS::LanguageExtensions", "the first transform is another")
			const kept = "RetainExceptOnCreate" // else a creation that fails couldn't be repeated
			for given, want := range map[string]string{"": kept, "true": kept, "false": "Delete"} {
				parameters := map[string]any{}
				if given != "" {
					parameters["Retain"] = given
				}
				deployed := s.deploy(parameters)
				ids := []string{"Key"} // without it, nobody could read the logs
				for _, kind := range []string{
					"AWS::Events::EventBus", "AWS::Events::Archive", "AWS::SQS::Queue", "AWS::Logs::LogGroup",
				} {
					r.want(len(deployed.ofType(kind)) > 0, "there is no %s", kind)
					ids = append(ids, deployed.ofType(kind)...)
				}
				for _, id := range ids {
					policy := dig(deployed.Resources, id, "DeletionPolicy")
					r.want(policy == want, "%s: with Retain=%q, it is to %v", id, given, policy)
					policy = dig(deployed.Resources, id, "UpdateReplacePolicy")
					r.want(policy == "Retain", "%s: a change may take it away", id)
				}
			}
		},
		map[string]func(any){
			"a creation that can't be repeated": set("Resources/Archive/DeletionPolicy", "Retain"),
			"an archive that goes":              set("Resources/Archive/DeletionPolicy", "Delete"),
			"letters that go":                   drop(needed + "DeadLetters/DeletionPolicy"),
			"logs that go":                      set(auditNeeds+"Logs/DeletionPolicy", "Delete"),
			"a bus that goes":                   drop("Resources/Bus/DeletionPolicy"),
			"a key that goes":                   set("Resources/Key/DeletionPolicy", "Delete"),
			"a queue that is changed":           drop(needed + "Queue/UpdateReplacePolicy"),
			"dev that stays":                    drop("Stages/dev/Retain"),
			"prod that goes":                    set("Stages/prod/Retain", "false"),
			"another default":                   set("Parameters/Retain/Default", "false"),
			"not told": set(
				"Resources/RegisterAdminResources/Properties/Parameters/Retain", "false"),
			"what nobody understands": set("Transform", []any{"AWS::Serverless-2016-10-31"}),
		},
	}.test(t)
}
