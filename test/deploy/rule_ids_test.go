package deploy

import "testing"

func TestNoResourceHasAnIDThatTheTransformOfSAMMakesForAnother(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			for id := range s.functions() {
				made := []string{
					id + "Url", id + "UrlPublicPermissions", id + "EventInvokeConfig", id + "Version", id + "Role",
				}
				for event := range object(s.get(id, "Events")) {
					made = append(made, id+event, id+event+"Permission")
				}
				for _, name := range made {
					own := name == id+"Role" && s.get(id, "Role") != nil ||
						name == id+"Url" && s.get(id, "FunctionUrlConfig") == nil
					r.want(own || s.Resources[name] == nil, "%s: SAM would make %s, and there is one", id, name)
				}
			}
		},
		map[string]func(any){
			"an event named like a resource": func(tree any) {
				events, _ := walk(tree, "Resources/RegisterAdmin/Properties/Events/Messages")
				events["Resources"] = events["Messages"]
			},
			"a URL that SAM makes as well": set(
				"Resources/RegisterAdmin/Properties/FunctionUrlConfig", map[string]any{}),
		},
	}.test(t)
}
