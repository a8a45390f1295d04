package frontdoor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

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
