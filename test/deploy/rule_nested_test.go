package deploy

import (
	"maps"
	"slices"
	"testing"
)

// Rules know what a function needs by this: it is in the nested stack <function>Resources.
func TestEachFunctionHasWhatItNeedsFromItsOwnNestedStack(t *testing.T) {
	given := "Resources/RegisterAdminResources/Properties/Parameters/"
	rule{
		func(s *stack, r *report) {
			for id, name := range s.functions() {
				own := id + "Resources"
				file := "deploy/function.yaml"
				if name == audit {
					file = "deploy/audit.yaml"
				} else {
					function := s.get(own, "Parameters", "Function")
					r.want(function == name, "%s is for %v", own, function)
				}
				r.want(s.get(own, "TemplateURL") == file, "%s isn't made of %s", own, file)
				r.want(s.get(own, "Parameters", "Stack") == "registrar-dev", "%s isn't named for the stack", own)
				r.want(s.get(id, "Role") == own+"/Role.Arn", "%s: has the role %v", id, s.get(id, "Role"))
			}
			r.want(len(s.ofType("AWS::CloudFormation::Stack")) == len(s.functions()), "there are other nested stacks")
			for _, id := range s.ofType("AWS::CloudFormation::Stack") {
				nested := s.nestedStack(id)
				declared := slices.Sorted(maps.Keys(object(nested.own["Parameters"])))
				given := slices.Sorted(maps.Keys(object(s.get(id, "Parameters"))))
				r.want(slices.Equal(declared, given), "%s: takes %v, is given %v", id, declared, given)
				for name, declared := range object(nested.own["Parameters"]) {
					r.want(uses(nested.own, name), "%s: %s isn't used", id, name)
					r.want(text(dig(declared, "Description")) != "", "%s: %s says nothing", id, name)
					r.want(dig(declared, "Default") == nil, "%s: %s has a second default", id, name)
				}
				r.want(nested.own["Transform"] == "AWS::LanguageExtensions", "%s: needs another transform", id)
			}
		},
		map[string]func(any){
			"a function without":      drop("Resources/RegisterAdminResources"),
			"the name of another":     set(given+"Function", "register-region"),
			"names without the stack": set(given+"Stack", "registrar"),
			"the role of another":     set("Resources/RegisterAdmin/Properties/Role", theOthers("RoleArn")),
			"an audit like the others": set(
				"Resources/AuditOrganizationResources/Properties/TemplateURL", "deploy/function.yaml"),
			"another template": set(
				"Resources/RegisterAdminResources/Properties/TemplateURL", "deploy/other.yaml"),
			"a parameter that isn't":     set(given+"Fnction", "x"),
			"a parameter not given":      drop(given + "LogDays"),
			"a parameter nobody uses":    drop(needed + "Logs/Properties/RetentionInDays"),
			"another transform":          set("Nested/audit.yaml/Transform", "AWS::Serverless-2016-10-31"),
			"a default that hides a gap": set("Nested/function.yaml/Parameters/LogDays/Default", 30),
		},
	}.test(t)
}
