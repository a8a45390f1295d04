package deploy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStagesGiveParametersThatExistValuesThatTheyTakeAndProdLeavesTheChoiceToAPerson(t *testing.T) {
	var sample any
	require.NoError(t, json.Unmarshal(read(t, "events/account-created.json"), &sample))
	rule{
		func(s *stack, r *report) {
			stages := object(s.tree["Stages"])
			rules := strings.Split(text(dig(stages, "dev", "Administrators")), ",")
			for _, service := range list(dig(sample, "data", "service_principals")) {
				wanted := text(service) + "=id:" + text(dig(sample, "data", "account_id"))
				r.want(slices.Contains(rules, wanted), "dev: the sample asks for %s", wanted)
			}
			trusted := strings.Split(text(dig(stages, "dev", "TrustedServices")), ",")
			for _, rule := range rules {
				service, _, _ := strings.Cut(rule, "=")
				r.want(slices.Contains(trusted, service), "dev: %s gets no trusted access", service)
			}
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
			"one that is missing":         drop("Stages/prod/Administrators"),
			"a sample that is refused":    set("Stages/dev/Administrators", "service.SecMaster=id:1"),
			"a service not trusted":       replace("Stages/dev/TrustedServices", "SecMaster", "HSS"),
			"a stage that is missing":     drop("Stages/prod"),
			"trying things for real":      drop("Stages/dev/DryRun"),
			"prod that has chosen":        set("Stages/prod/RegionId", "cn-north-4"),
			"dev that can't be tried":     set("Stages/dev/RegionId", "<a region>"),
			"a placeholder that is taken": set("Parameters/RegionId/AllowedPattern", "."),
		},
	}.test(t)
}
