package budget

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/measure"
)

const (
	account   = "05261f923e80d3890f33c0056e9b3f80" // that of the samples
	secMaster = "service.SecMaster"
	cts       = "service.CTS"
)

// row is an event in an organization that is as it shall be, but for what is said here.
type row struct {
	name   string // begins with the outcome
	data   string
	env    map[string]string
	change func(*measure.Organization)
}

// rowsOf are the rows of a function, and the type of its events.
func rowsOf(function string) (eventType string, rows []row) {
	two := map[string]string{
		"TRUSTED_SERVICES": secMaster + "," + cts,
		"ADMINISTRATORS":   rule(secMaster, account) + "," + rule(cts, account),
	}
	created := `{"account_id":"` + account + `"}`
	noRegion := func(o *measure.Organization) { o.SetRegion("") }
	untrusted := func(o *measure.Organization) { o.Distrust(secMaster) }
	nobody := func(o *measure.Organization) { o.Undelegate(account, secMaster) }
	hundred := func(o *measure.Organization) { delegate(o, 100) }

	switch function {
	case "audit-organization":
		return "org.audit", []row{
			{"passed", `{}`, nil, nil},
			{"passed, 100 administrators", `{}`, map[string]string{"ADMINISTRATORS": rules(100)}, hundred},
			{"passed, 1,001 accounts", `{}`, nil, func(o *measure.Organization) {
				for i := range 1000 {
					o.AddAccount(another(i), "active")
				}
			}},
			{"drifted, nobody administers anything", `{}`, nil, nobody},
			{"drifted, 100 administrators, and a rule for one", `{}`, nil, hundred},
		}
	case "register-admin":
		named := map[string]string{"ADMINISTRATORS": secMaster + "=name:security"}
		return "account.created", []row{
			{"registered", created, nil, nobody},
			{"registered, two services", created, two, func(o *measure.Organization) {
				nobody(o)
				o.TrustService(cts)
			}},
			{"unchanged", created, nil, nil},
			{"unchanged, a rule goes by a name", created, named, func(o *measure.Organization) {
				o.NameAccount(account, "security")
			}},
			{"planned", `{"dry_run":true,"account_id":"` + account + `"}`, nil, nobody},
			{"rejected, the account is suspended", created, nil, func(o *measure.Organization) {
				nobody(o)
				o.AddAccount(account, "suspended")
			}},
			{"rejected, not allowed", `{"account_id":"another","service_principal":"` + secMaster + `"}`, nil, nil},
			{"skipped", `{"account_id":"another"}`, nil, nil},
		}
	case "register-region":
		return "org.bootstrap", []row{
			{"registered", `{}`, nil, noRegion},
			{"unchanged", `{}`, nil, nil},
			{"planned", `{"dry_run":true}`, nil, noRegion},
			{"rejected, another region is registered", `{}`, nil, func(o *measure.Organization) {
				o.SetRegion("cn-south-1")
			}},
			{"rejected, not allowed", `{"region_id":"cn-south-1"}`, nil, noRegion},
			{"skipped", `{}`, map[string]string{"REGION_ID": "*"}, noRegion},
		}
	case "register-service":
		open := map[string]string{"TRUSTED_SERVICES": "*", "ADMINISTRATORS": ""}
		return "org.bootstrap", []row{
			{"registered", `{}`, nil, untrusted},
			{"registered, two services", `{}`, two, untrusted},
			{"unchanged", `{}`, nil, nil},
			{"planned", `{"dry_run":true}`, nil, untrusted},
			{"rejected, unknown service", `{"service_principals":["service.Unknown"]}`, open, nil},
			{"rejected, not allowed", `{"service_principals":["` + cts + `"]}`, nil, untrusted},
			{"skipped", `{}`, open, untrusted},
		}
	}
	return "", nil
}

func rule(service, account string) string { return service + "=id:" + account }

func another(i int) string { return fmt.Sprintf("%032d", i) }

// rules give the service to n accounts, with that of the samples.
func rules(n int) string {
	all := []string{rule(secMaster, account)}
	for i := range n - 1 {
		all = append(all, rule(secMaster, another(i)))
	}
	return strings.Join(all, ",")
}

// delegate makes the accounts of so many rules administrators.
func delegate(o *measure.Organization, n int) {
	for i := range n - 1 {
		o.Delegate(another(i), secMaster)
	}
}

func TestEachOutcomeTakesAsManyCallsAsItMust(t *testing.T) {
	t.Parallel()
	for _, f := range functions {
		eventType, rows := rowsOf(f.Name)
		require.NotEmpty(t, rows, "rowsOf doesn't know %s", f.Name)
		assert.Len(t, limits.Calls[f.Name], len(rows), "budget.yaml has the calls of each row of %s", f.Name)
		for _, row := range rows {
			t.Run(f.Name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				o := organization(t)
				o.KeepRequests(0) // which is all
				if row.change != nil {
					row.change(o)
				}
				p, _ := start(t, f, here, o, row.env)
				answer, _, err := p.Invoke([]byte(event(eventType, row.data)))
				require.NoError(t, err)
				var result struct{ Data struct{ Outcome string } }
				require.NoError(t, json.Unmarshal(answer, &result))
				outcome, _, _ := strings.Cut(row.name, ",")
				require.Equal(t, outcome, result.Data.Outcome)
				calls := 0
				for _, r := range o.Requests() {
					if r.Method != http.MethodHead { // which warms the connection
						calls++
					}
				}
				require.Contains(t, limits.Calls[f.Name], row.name)
				holdExactly(t, "calls, "+f.Name+", "+row.name, calls, limits.Calls[f.Name][row.name])
			})
		}
	}
}

func event(eventType, data string) string {
	return `{"specversion":"1.0","id":"1","source":"/landing-zone","type":"` + eventType + `","data":` + data + `}`
}
