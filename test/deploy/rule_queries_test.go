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
			var logs []any
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
				logs = append(logs, id+"Resources/Logs")
				want := []string{"changed", "needs-a-person", "slow", "what-happened"}
				if name == audit {
					want = []string{"audits", "needs-a-person", "slow"}
				}
				r.want(slices.Equal(saved, want), "%s: its queries are %v", id, saved)
			}
			account := "what-happened-to-account"
			r.want(s.get("WhatHappenedToAccount", "Name") == "registrar-dev/"+account, "no %s", account)
			r.want(strings.Contains(script, account), "deploy/logs.sh doesn't know %s", account)
			asked := list(s.get("WhatHappenedToAccount", "LogGroupNames"))
			r.want(sameItems(asked, logs), "%s asks %v of %v", account, asked, logs)
			query := text(s.get("WhatHappenedToAccount", "QueryString"))
			for _, part := range []string{`"SUBJECT"`, "registrations", "function", "outcome", "err", "| limit "} {
				r.want(strings.Contains(query, part), "%s: says nothing of %s", account, part)
			}
		},
		map[string]func(any){
			"one of the audit's that is missing": drop(auditNeeds + "Audits"),
			"one that is missing":                drop(needed + "Changed"),
			"none of an account":                 drop("Resources/WhatHappenedToAccount"),
			"the account asked of some": set("Resources/WhatHappenedToAccount/Properties/LogGroupNames",
				[]any{attribute("RegisterAdminResources", "Outputs.LogGroup")}),
			"no account":               drop("Resources/WhatHappenedToAccount/Properties/QueryString"),
			"the log of another":       set(needed+"Changed/Properties/LogGroupNames", []any{"another"}),
			"a name for all functions": set(needed+"SlowCalls/Properties/Name", "slow"),
			"no place for the subject": replace(needed+"WhatHappened/Properties/QueryString", "SUBJECT", "it"),
			"no end":                   replace(needed+"SlowCalls/Properties/QueryString", "| limit 50", ""),
			"no explanation":           set(needed+"SlowCalls/Properties/QueryString", "fields @message | limit 5"),
		},
	}.test(t)
}
