package deploy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestTheWorkflowIsDeployedAsItRunsHereAndWhateverHappensItEndsWithAResult(t *testing.T) {
	onboarding := "Resources/Onboarding/Properties/"
	rule{
		func(s *stack, r *report) {
			r.want(s.get("Onboarding", "DefinitionUri") == definition, "another definition is deployed")
			r.want(s.get("Onboarding", "Type") == "STANDARD", "only a standard workflow can be redriven")
			encoded, _ := json.Marshal(s.tree["Workflow"])
			var needed []string
			for _, found := range reference.FindAllStringSubmatch(string(encoded), -1) {
				needed = append(needed, found[1])
			}
			slices.Sort(needed)
			given := object(s.get("Onboarding", "DefinitionSubstitutions"))
			names := slices.Sorted(maps.Keys(given))
			r.want(slices.Equal(slices.Compact(needed), names), "it needs %v, and is given %v", needed, names)
			for name, want := range map[string]string{
				"BusName": "Bus", "Source": "/registrar/onboarding",
				"BootstrapType": "org.bootstrap", "AccountType": "account.created", "AuditType": "org.audit",
			} {
				r.want(given[name] == want, "%s is %v", name, given[name])
			}
			for name, v := range given { // an ARN is named for its function
				if id, ok := strings.CutSuffix(name, "Arn"); ok {
					r.want(v == id+".Arn", "%s is %v", name, v)
				}
			}
			for name, task := range s.functionTasks() {
				caught := list(dig(task, "Catch", 0, "ErrorEquals"))
				r.want(slices.Contains(caught, any("States.ALL")), "%s: what fails otherwise leaves no result", name)
				id := text(dig(task, "Parameters", "Payload", "id.$"))
				r.want(strings.Contains(id, "$$.Execution.Name"), "%s: its events' ids aren't the execution's", name)
				timeout := number(dig(task, "TimeoutSeconds"))
				r.want(timeout > 60, "%s: waits for ever, or less than the function takes", name)
			}
			called, functions := len(s.calledByWorkflow()), len(s.functions())
			r.want(called == functions, "it calls %d of %d functions", called, functions)
			audit := dig(s.tree, "Workflow", "States", "AuditOrganization")
			dryRun := dig(audit, "Parameters", "Payload", "data", "dry_run")
			r.want(dryRun == true, "its audits ask the functions that it asks itself")
			most := dig(s.tree, "Workflow", "States", "RegisterAdministrators", "MaxConcurrency")
			r.want(number(most) > 0, "any number of accounts at once")
			r.want(dig(s.tree, "Workflow", "QueryLanguage") == nil, "it isn't JSONPath, the only one that runs here")
		},
		map[string]func(any){
			"another definition":      set(onboarding+"DefinitionUri", "onboarding.json"),
			"express":                 set(onboarding+"Type", "EXPRESS"),
			"a substitution missing":  drop(onboarding + "DefinitionSubstitutions/BusName"),
			"a substitution too many": set(onboarding+"DefinitionSubstitutions/Topic", "x"),
			"the functions swapped": set(onboarding+"DefinitionSubstitutions/RegisterAdminArn",
				attribute("RegisterRegion", "Arn")),
			"a failure not caught":  drop(adminTask + "Catch"),
			"ids by chance":         set(adminTask+"Parameters/Payload/id.$", "States.UUID()"),
			"one function left out": drop("Workflow/States/RegisterServices"),
			"an audit that heals":   drop("Workflow/States/AuditOrganization/Parameters/Payload/data/dry_run"),
			"waiting for ever":      drop("Workflow/States/RegisterRegion/TimeoutSeconds"),
			"all accounts at once":  drop("Workflow/States/RegisterAdministrators/MaxConcurrency"),
			"JSONata":               set("Workflow/QueryLanguage", "JSONata"),
		},
	}.test(t)
}
