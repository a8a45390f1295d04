package deploy

import "testing"

func TestAFunctionHasAURLOnlyIfAskedForAndOnlyForCallersWithIAMSignatures(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			r.want(!s.holds("HasFunctionUrls"), "URLs are made by default")
			asked := s.deploy(map[string]any{"FunctionUrls": "true"})
			r.want(asked.holds("HasFunctionUrls"), "the parameter doesn't decide")
			for id := range s.onBus() {
				r.want(s.function(id, "FunctionUrlConfig") == nil, "%s: has a URL unasked", id)
				r.want(s.get(id+"Url", "TargetFunctionArn") == id+".Arn", "%s: can have no URL", id)
				output := dig(s.tree["Outputs"], id+"Url")
				r.want(s.eval(dig(output, "Value")) == id+"Url.FunctionUrl", "%s: nobody is told its URL", id)
				r.want(dig(output, "Condition") == "HasFunctionUrls", "%s: its URL is told unasked", id)
			}
			for _, id := range s.ofType("AWS::Lambda::Url") {
				r.want(s.get(id, "AuthType") == "AWS_IAM", "%s: is open to all", id)
				r.want(dig(s.Resources, id, "Condition") == "HasFunctionUrls", "%s: is there unasked", id)
			}
		},
		map[string]func(any){
			"open to all":        set("Resources/RegisterAdminUrl/Properties/AuthType", "NONE"),
			"unasked":            drop("Resources/RegisterAdminUrl/Condition"),
			"by default":         set("Parameters/FunctionUrls/Default", "true"),
			"beside":             set("Resources/RegisterAdmin/Properties/FunctionUrlConfig", map[string]any{}),
			"that of another":    set("Resources/RegisterAdminUrl/Properties/TargetFunctionArn", "x"),
			"never at all":       drop("Resources/RegisterAdminUrl"),
			"not asked for":      set("Conditions/HasFunctionUrls", map[string]any{"Fn::Equals": []any{"a", "b"}}),
			"a secret URL":       drop("Outputs/RegisterAdminUrl"),
			"a URL that fails":   drop("Outputs/RegisterAdminUrl/Condition"),
			"the URL of another": set("Outputs/RegisterAdminUrl/Value", attribute("RegisterRegionUrl", "FunctionUrl")),
		},
	}.test(t)
}
