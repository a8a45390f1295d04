package deploy

import (
	"slices"
	"strings"
	"testing"
)

func TestEachFunctionHasSavedQueriesOfItsLogThatMakeLogsRuns(t *testing.T) {
	script := string(read(t, "deploy/logs.sh"))
	rule{
		func(s *stack, r *report) {
			for id, name := range s.functions() {
				var saved []string
				for _, query := range s.ofType("AWS::Logs::QueryDefinition") {
					short, ours := strings.CutPrefix(text(s.get(query, "Name")), "registrar-dev/"+name+"/")
					if !ours {
						continue
					}
					saved = append(saved, short)
					groups := list(s.get(query, "LogGroupNames"))
					r.want(slices.Equal(groups, []any{id + "Resources/Logs"}), "%s: asks %v", query, groups)
					r.want(strings.Contains(script, short), "deploy/logs.sh doesn't know %s", short)
					asked := text(s.get(query, "QueryString"))
					r.want(strings.HasPrefix(asked, "# "), "%s: doesn't say what it is for", query)
					r.want(strings.Contains(asked, "| limit "), "%s: has no limit", query)
					if short == "what-happened" {
						r.want(strings.Contains(asked, `"SUBJECT"`), "%s: asks for nothing", query)
					}
				}
				slices.Sort(saved)
				want := []string{"changed", "needs-a-person", "slow", "what-happened"}
				if name == audit {
					want = []string{"audits", "needs-a-person", "slow"}
				}
				r.want(slices.Equal(saved, want), "%s: its queries are %v", id, saved)
			}
		},
		map[string]func(any){
			"one that is missing":      drop(needed + "Changed"),
			"one of the audit's":       drop(auditNeeds + "Audits"),
			"the log of another":       set(needed+"Changed/Properties/LogGroupNames", []any{"another"}),
			"a name for all functions": set(needed+"SlowCalls/Properties/Name", "slow"),
			"no place for the subject": replace(needed+"WhatHappened/Properties/QueryString", "SUBJECT", "it"),
			"no end":                   replace(needed+"SlowCalls/Properties/QueryString", "| limit 50", ""),
			"no explanation":           set(needed+"SlowCalls/Properties/QueryString", "fields @message | limit 5"),
		},
	}.test(t)
}
