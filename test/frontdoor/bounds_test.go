package frontdoor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Without a bound a function registers nothing, and says which variable is missing.
func TestNoBoundIsMissingSilently(t *testing.T) {
	t.Parallel()
	const rules = "service.SecMaster=id:" + account
	for name, c := range map[string]struct {
		function string
		env      string   // NAME=value, separated by spaces, in place of all bounds
		want     []string // what the error says
	}{
		"a region": {"register-region", "", []string{"REGION_ID: is not set"}},
		"services": {"register-service", "", []string{"TRUSTED_SERVICES: is not set, and neither is ADMINISTRATORS"}},
		"administrators": {
			"register-admin", "", []string{"ADMINISTRATORS: is not set", "set SERVICE_PRINCIPALS instead"},
		},
		"administrators of the audit": {
			"audit-organization", "REGION_ID=cn-north-4 TRUSTED_SERVICES=service.SecMaster",
			[]string{"ADMINISTRATORS: is not set"},
		},
		"two bounds of administrators": {
			"register-admin", "ADMINISTRATORS=" + rules + " SERVICE_PRINCIPALS=*",
			[]string{"SERVICE_PRINCIPALS: must not be set together with ADMINISTRATORS"},
		},
		"a rule that isn't one": {
			"register-admin", "ADMINISTRATORS=service.SecMaster=" + account,
			[]string{"ADMINISTRATORS: ", "must be like service.SecMaster=id:<account id>"},
		},
		"rules that are the same": {
			"audit-organization", "ADMINISTRATORS=" + rules + "," + rules,
			[]string{"ADMINISTRATORS: names " + rules + " twice"},
		},
		"services that lack one": {
			"register-service", "TRUSTED_SERVICES=service.CTS ADMINISTRATORS=" + rules,
			[]string{"TRUSTED_SERVICES: lacks service.SecMaster, which ADMINISTRATORS needs"},
		},
		"services of the audit that lack one": {
			"audit-organization", "TRUSTED_SERVICES=service.CTS ADMINISTRATORS=" + rules,
			[]string{"TRUSTED_SERVICES: lacks service.SecMaster, which ADMINISTRATORS needs"},
		},
		"any region":         {"register-region", "REGION_ID=*", nil},
		"any service":        {"register-service", "TRUSTED_SERVICES=*", nil},
		"services of rules":  {"register-service", "ADMINISTRATORS=" + rules, nil},
		"events that choose": {"register-admin", "SERVICE_PRINCIPALS=*", nil},
		"rules":              {"register-admin", "ADMINISTRATORS=" + rules, nil},
		"rules to audit":     {"audit-organization", "REGION_ID=* TRUSTED_SERVICES=* ADMINISTRATORS=" + rules, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			for _, bound := range []string{"REGION_ID", "TRUSTED_SERVICES", "ADMINISTRATORS", "SERVICE_PRINCIPALS"} {
				delete(s.env, bound)
			}
			for variable := range strings.FieldsSeq(c.env) {
				name, value, _ := strings.Cut(variable, "=")
				s.env[name] = value
			}
			event := map[string]string{
				"register-region": bootstrap(`{}`), "register-service": bootstrap(`{}`),
				"register-admin":     created(both),
				"audit-organization": sample(t, "org-audit.json"),
			}[c.function]
			if c.want == nil {
				s.succeed(t, c.function, event)
				return
			}
			failed := s.fail(t, c.function, event)
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			for _, text := range c.want {
				assert.Contains(t, failed.ErrorMessage, text)
			}
			assert.Empty(t, s.calls())
		})
	}
}

// Whoever may send events, or put them on the bus, gets nothing that ADMINISTRATORS doesn't say.
func TestAForgedEventRegistersNothingThatTheRulesDontSay(t *testing.T) {
	t.Parallel()
	const (
		thief = "0b6e2d41c58f4a3796d0e1f2a3b4c5d6"
		asks  = `"service_principal":"` + secMaster + `"`
	)
	base := map[string]string{
		"by its id":   "service.SecMaster=id:" + account,
		"by its name": "service.SecMaster=name:security",
	}
	for how, rules := range base {
		for name, data := range map[string]string{
			"for itself":                  `"account_id":"` + thief + `"`,
			"for itself, naming services": `"account_id":"` + thief + `","service_principals":["service.CTS"],` + asks,
			"with somebody else's name":   `"account_id":"` + thief + `","account_name":"security",` + asks,
			"with somebody else's id":     `"account_id":"` + account + `","service_principals":["` + cts + `"]`,
			"with its own creation":       `"create_account_status_id":"car-0001",` + asks,
		} {
			for _, eventType := range []string{"account.created", "account.admin.missing"} {
				t.Run(how+" "+name+" "+eventType, func(t *testing.T) {
					t.Parallel()
					s := newStage(t)
					s.env["ADMINISTRATORS"] = rules
					s.NameAccount(account, "security")
					s.InviteAccount(thief, "security") // it calls itself what it likes
					s.SetCreateAccountStatus("car-0001", "succeeded", thief)
					event := strings.Replace(created("{"+data+"}"), "account.created", eventType, 1)
					r := s.succeed(t, "register-admin", event)
					assert.Contains(t, []string{"skipped", "rejected"}, r.Data.Outcome)
					assert.Empty(t, s.Delegations(thief))
					assert.Empty(t, s.Delegations(account))
					assert.Zero(t, s.writes())
				})
			}
		}
	}
}
