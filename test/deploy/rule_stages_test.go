package deploy

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestStagesGiveParametersThatExistValuesThatTheyTakeAndProdLeavesTheChoiceToAPerson(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			stages := object(s.tree["Stages"])
			r.want(stages["dev"] != nil && stages["prod"] != nil, "there are %v", slices.Sorted(maps.Keys(stages)))
			r.want(dig(stages, "dev", "DryRun") == "true", "the stage for trying things registers")
			for stage, given := range stages {
				for name, v := range object(given) {
					declared := dig(s.tree["Parameters"], name)
					r.want(declared != nil, "%s: there is no %s", stage, name)
					problem, placeholder := accepts(declared, v), strings.HasPrefix(text(v), "<")
					r.want(declared == nil || (problem != "") == placeholder, "%s: %s %s", stage, name, problem)
					r.want(stage == "prod" || !placeholder, "%s: can't be deployed as it is", stage)
				}
				for name, declared := range object(s.tree["Parameters"]) {
					if dig(declared, "Default") == nil {
						r.want(dig(given, name) != nil, "%s: doesn't give %s", stage, name)
						chosen := stage == "prod" && !strings.HasPrefix(text(dig(given, name)), "<")
						r.want(!chosen, "%s: chooses %s itself", stage, name)
					}
				}
			}
		},
		map[string]func(any){
			"a misspelt parameter":        set("Stages/dev/Regionid", "cn-north-4"),
			"a wrong value":               set("Stages/dev/RegionId", "Beijing"),
			"a value not allowed":         set("Stages/prod/LogDays", "366"),
			"one that is missing":         drop("Stages/prod/ServicePrincipals"),
			"a stage that is missing":     drop("Stages/prod"),
			"trying things for real":      drop("Stages/dev/DryRun"),
			"prod that has chosen":        set("Stages/prod/RegionId", "cn-north-4"),
			"dev that can't be tried":     set("Stages/dev/RegionId", "<a region>"),
			"a placeholder that is taken": set("Parameters/RegionId/AllowedPattern", "."),
		},
	}.test(t)
}
