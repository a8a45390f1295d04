package deploy

import (
	"slices"
	"testing"
)

func TestEachFunctionRunsItsOwnBootstrapOnArm64AsMakeBuildLeftIt(t *testing.T) {
	names, err := functionNames()
	rule{
		func(s *stack, r *report) {
			r.want(err == nil, "%v", err)
			var deployed []string
			for id, name := range s.functions() {
				deployed = append(deployed, name)
				r.want(s.get(id, "CodeUri") == "dist/"+name, "%s: code from %s", id, s.get(id, "CodeUri"))
				r.want(s.get(id, "FunctionName") == "registrar-dev-"+name, "%s: isn't named for stack and folder", id)
				r.want(s.function(id, "Runtime") == "provided.al2023", "%s: runtime", id)
				r.want(s.function(id, "Handler") == "bootstrap", "%s: handler", id)
				r.want(slices.Equal(list(s.function(id, "Architectures")), []any{"arm64"}), "%s: architecture", id)
				r.want(dig(s.Resources, id, "Metadata", "SkipBuild") == true, "%s: SAM would build it", id)
				r.want(number(s.function(id, "Timeout")) == 60, "%s: timeout", id)
				r.want(number(s.function(id, "MemorySize")) == 256, "%s: memory", id)
			}
			slices.Sort(deployed)
			r.want(slices.Equal(deployed, names), "functions are %v, deployed are %v", names, deployed)
		},
		map[string]func(any){
			"amd64":                      set("Globals/Function/Architectures", []any{"x86_64"}),
			"another handler":            set("Resources/RegisterAdmin/Properties/Handler", "main"),
			"another runtime":            set("Globals/Function/Runtime", "go1.x"),
			"the code of another":        set("Resources/RegisterAdmin/Properties/CodeUri", "dist/register-region"),
			"a function that SAM builds": drop("Resources/RegisterRegion/Metadata"),
			"a function that is missing": drop("Resources/RegisterRegion"),
			"a short timeout":            set("Globals/Function/Timeout", 3),
		},
	}.test(t)
}
