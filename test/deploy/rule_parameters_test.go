package deploy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"registrar/internal/register"
)

func TestParametersSayWhatTheyAreTakeNothingElseAndHaveDefaultsThatWork(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			var grouped []any
			for _, group := range list(dig(s.tree, "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups")) {
				grouped = append(grouped, list(dig(group, "Parameters"))...)
			}
			r.want(len(grouped) == len(object(s.tree["Parameters"])), "%d parameters are grouped", len(grouped))
			for name, declared := range object(s.tree["Parameters"]) {
				description := text(dig(declared, "Description"))
				r.want(len(description) > 20, "%s: says nothing", name)
				r.want(uses(s.tree, name), "%s: isn't used", name)
				r.want(slices.Contains(grouped, any(name)), "%s: is in no group", name)
				byDefault, ok := object(declared)["Default"]
				why := strings.Contains(description, "There is no default, because ")
				r.want(ok != why, "%s: has no default and doesn't say why, or has one although it says why not", name)
				if ok {
					problem := accepts(declared, byDefault)
					r.want(problem == "", "%s: its default %s", name, problem)
				}
				if dig(declared, "Type") == "Number" {
					bounded := dig(declared, "MinValue") != nil && dig(declared, "MaxValue") != nil
					r.want(dig(declared, "AllowedValues") != nil || bounded, "%s: takes any number", name)
				}
				for _, wrong := range []string{"\x00", "*", "a b\n", "%"} {
					r.want(accepts(declared, wrong) != "", "%s: takes %q", name, wrong)
				}
			}
		},
		map[string]func(any){
			"no description":          drop("Parameters/LogDays/Description"),
			"any value":               drop("Parameters/RegionId/AllowedPattern"),
			"any number":              drop("Parameters/MaximumConcurrency/MinValue"),
			"no default":              drop("Parameters/DryRun/Default"),
			"a default for a region":  set("Parameters/RegionId/Default", "cn-north-4"),
			"a default that is wrong": set("Parameters/RequestTimeout/Default", "0s"),
			"a default not allowed":   set("Parameters/LogDays/Default", 91),
			"unused":                  drop("Globals/Function/Environment/Variables/MAX_ATTEMPTS"),
			"not grouped": set(
				"Metadata/AWS::CloudFormation::Interface/ParameterGroups/0/Parameters", []any{}),
		},
	}.test(t)
}

func TestTheParameterTakesWhatTheFunctionsTakeForAdministrators(t *testing.T) {
	t.Parallel()
	declared := dig(load(t).tree["Parameters"], "Administrators")
	for text, want := range map[string]bool{
		"service.A=id:1a": true,
		"service.A=id:1_a-B,service.A=id:2,service.B=id:1":     true,
		"service.A=name:x,service.B=name:landing zone (é) = 1": true,
		"service.A=name:" + strings.Repeat("x", 128):           true,
		"service.A=name:" + strings.Repeat("x", 129):           false,
		"service.A=id:" + strings.Repeat("1", 65):              false,
		"":                       false,
		"*":                      false,
		"service.A":              false,
		"service.A=1a":           false,
		"service.A=id:":          false,
		"service.A=name:":        false,
		"service.A=urn:1a":       false,
		"=id:1a":                 false,
		"service.A=id:1a,":       false,
		"service.A=name: x":      false,
		"service.A=id:1,service": false,
		"<which account administers which service, such as service.A=id:1>": false,
	} {
		assert.Equal(t, want, accepts(declared, text) == "", "the parameter: %q", text)
		var rules register.Administrators
		err := rules.UnmarshalText([]byte(text))
		assert.Equal(t, want, err == nil && rules != nil, "the functions: %q: %v", text, err)
	}
}

// uses says whether a template uses one of its parameters.
func uses(tree map[string]any, parameter string) bool {
	encoded, _ := json.Marshal([]any{tree["Resources"], tree["Globals"], tree["Conditions"]})
	all := string(encoded)
	return strings.Contains(all, `"Ref":"`+parameter+`"`) || strings.Contains(all, "${"+parameter+"}")
}
