package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/decisions"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	region         = "GET registered-regions"
	trusted        = "GET trusted-services"
	accounts       = "GET accounts"
	administrators = "GET delegated-administrators"
	services       = "GET accounts/{id}/delegated-services"

	// What every audit reads, before it reads what each administrator administers.
	lists = region + ", " + trusted + ", " + accounts + ", " + administrators

	dry = `{"dry_run":true}`
)

func calls(all ...string) string { return strings.Join(all, ", ") }

func all(changes ...func(*huaweitest.Cloud)) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.SetRegion("cn-north-4")
		for _, change := range changes {
			change(c)
		}
	}
}

func delegates(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Delegate(decisions.Account, principals...) }
}

func answers(path string, fault huaweitest.Fault) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Script("GET", path, fault) }
}

// asWanted is a cloud that is as the rules of the table say.
func asWanted(c *huaweitest.Cloud) { all(delegates("service.SecMaster", "service.CTS"))(c) }

const askForBoth = "account.admin.missing " + decisions.Account + " service.SecMaster service.CTS"

var rows = map[string]decisions.Row{
	"all is as it shall be": {Data: `{}`, Cloud: asWanted, Want: "passed", Calls: calls(lists, services)},
	"the event has no data": {Data: `null`, Cloud: asWanted, Want: "passed", Calls: calls(lists, services)},
	"no region is registered": {
		Data: `{}`, Cloud: delegates("service.SecMaster", "service.CTS"), Want: "drifted",
		Calls: calls(lists, services), State: (*huaweitest.Cloud).Region,
	},
	"another region is registered, and is left alone": {
		Data: `{}`, Want: "drifted", Calls: calls(lists, services),
		Cloud: all(asWanted, func(c *huaweitest.Cloud) { c.SetRegion("cn-south-1") }),
		State: (*huaweitest.Cloud).Region, WantState: "cn-south-1",
	},
	"an administrator is missing": {
		Data: `{}`, Cloud: all(delegates("service.CTS")), Want: "drifted", Calls: calls(lists, services),
		Sent:  "account.admin.missing " + decisions.Account + " service.SecMaster",
		State: administers, WantState: "service.CTS",
	},
	"two are missing, of one account": {Data: `{}`, Cloud: all(), Want: "drifted", Calls: lists, Sent: askForBoth},
	"a dry run":                       {Data: dry, Cloud: all(), Want: "drifted", Calls: lists},
	"trusted access is missing, and the administrator has to wait for it": {
		Data: `{}`, Want: "drifted", Calls: lists,
		Cloud: all(func(c *huaweitest.Cloud) { c.Distrust("service.CTS") }),
		Sent:  "org.service.missing service.CTS, account.admin.missing " + decisions.Account + " service.SecMaster",
	},
	"trusted access is missing, but what needs it is registered": {
		Data: `{}`, Want: "drifted", Calls: calls(lists, services),
		Cloud: all(asWanted, func(c *huaweitest.Cloud) { c.Distrust("service.CTS") }),
		Sent:  "org.service.missing service.CTS",
	},
	"the account administers what no rule gives it": {
		Data: `{}`, Cloud: all(asWanted, delegates("service.RAM")), Want: "drifted", Calls: calls(lists, services),
		State: administers, WantState: "service.SecMaster service.CTS service.RAM",
	},
	"another account administers what a rule gives this one": {
		Data: `{}`, Want: "drifted", Calls: calls(lists, "GET accounts/other/delegated-services"), Sent: askForBoth,
		Cloud: all(func(c *huaweitest.Cloud) { c.Delegate("other", "service.SecMaster") }),
	},
	"the account is suspended": {
		Data: `{}`, Want: "drifted", Calls: lists,
		Cloud: all(func(c *huaweitest.Cloud) { c.AddAccount(decisions.Account, "suspended") }),
	},
	"the account is suspended, and still administers": {
		Data: `{}`, Want: "drifted", Calls: calls(lists, services),
		Cloud: all(asWanted, func(c *huaweitest.Cloud) { c.AddAccount(decisions.Account, "suspended") }),
	},
	"the account isn't in the organization": {
		Data: `{}`, Want: "drifted", Calls: lists,
		Cloud: all(func(c *huaweitest.Cloud) {
			c.RemoveAccount(decisions.Account)
			c.AddAccount("other", "active")
		}),
	},

	"there is no account, which can't be true": {
		Data: `{}`, Want: "TransientError", Text: "lists no account", Calls: calls(region, trusted, accounts),
		Cloud: all(func(c *huaweitest.Cloud) { c.RemoveAccount(decisions.Account) }),
	},
	"the region can't be read": {
		Data: `{}`, Want: "MisconfiguredError", Text: "403", Calls: region,
		Cloud: answers("/v1/registered-regions", huaweitest.Fault{Status: 403}),
	},
	"trusted services can't be read": {
		Data: `{}`, Want: "MisconfiguredError", Text: "403", Calls: calls(region, trusted),
		Cloud: answers("/v1/organizations/trusted-services", huaweitest.Fault{Status: 403}),
	},
	"accounts can't be read": {
		Data: `{}`, Want: "TransientError", Text: "429", Calls: calls(region, trusted, accounts),
		Cloud: answers("/v1/organizations/accounts", huaweitest.Fault{Status: 429, Code: "APIGW.0308"}),
	},
	"administrators can't be read": {
		Data: `{}`, Want: "TransientError", Text: "Organizations.9999", Calls: lists,
		Cloud: answers("/v1/organizations/delegated-administrators",
			huaweitest.Fault{Status: 400, Code: "Organizations.9999"}),
	},
	"what an administrator administers can't be read": {
		Data: `{}`, Want: "TransientError", Text: "Organizations.9999", Calls: calls(lists, services),
		Cloud: all(asWanted, answers("/v1/organizations/accounts/{account_id}/delegated-services",
			huaweitest.Fault{Status: 404, Code: "Organizations.9999"})),
	},

	"the event says dry_run with a number": {
		Data: `{"dry_run":3}`, Want: "rejected invalid_data", Text: "dry_run: must not be a JSON number",
	},
	"the data of the event isn't an object": {Data: `[]`, Want: "rejected invalid_data"},
}

func administers(c *huaweitest.Cloud) string {
	return strings.Join(c.Delegations(decisions.Account), " ")
}

func build(t *testing.T, rules string) func(*client.Client) handler.Function {
	t.Helper()
	var c config
	require.NoError(t, c.Trusted.Administrators.UnmarshalText([]byte(rules)))
	c.Region.ID = "cn-north-4"
	require.NoError(t, c.Validate())
	return func(api *client.Client) handler.Function {
		return handler.NewFunction(events.AuditInput(), newFunction(api, c).audit)
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	const id = "=id:" + decisions.Account
	decisions.Run(t, "org.audit", build(t, "service.SecMaster"+id+",service.CTS"+id), rows)
}

func TestDecisionsByTheNameOfTheAccount(t *testing.T) {
	t.Parallel()
	named := func(name string) func(*huaweitest.Cloud) {
		return func(c *huaweitest.Cloud) { c.NameAccount(decisions.Account, name) }
	}
	decisions.Run(t, "org.audit", build(t, "service.SecMaster=name:security,service.CTS=name:security"),
		map[string]decisions.Row{
			"the account has the name": {
				Data: `{}`, Cloud: all(named("security")), Want: "drifted", Calls: lists, Sent: askForBoth,
			},
			"the account has the name, and administers": {
				Data: `{}`, Cloud: all(named("security"), asWanted), Want: "passed", Calls: calls(lists, services),
			},
			"the account was renamed, and administers": {
				Data: `{}`, Cloud: all(named("retired"), asWanted), Want: "drifted", Calls: calls(lists, services),
			},
			"an invited account has the name": {
				Data: `{}`, Want: "drifted", Calls: lists,
				Cloud: all(func(c *huaweitest.Cloud) { c.InviteAccount("guest", "security") }),
			},
		})
}

func TestABoundIsNeverMissingSilently(t *testing.T) {
	t.Parallel()
	rules := register.Administrators{{ServicePrincipal: "service.SecMaster", AccountID: decisions.Account}}
	require.ErrorContains(t, config{}.Validate(), "ADMINISTRATORS: is not set")
	require.NoError(t, config{Trusted: register.Trusted{Administrators: rules}}.Validate())
	bound := register.Principals{Names: []events.ServicePrincipal{"service.RAM"}}
	require.EqualError(t, config{Trusted: register.Trusted{Services: bound, Administrators: rules}}.Validate(),
		"TRUSTED_SERVICES: lacks service.SecMaster, which ADMINISTRATORS needs")
}

// account is an account that was created, and is active.
func account(id, name string) client.Account {
	return client.Account{ID: id, Name: name, JoinMethod: "created", Status: "active"}
}

func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	var c config
	require.NoError(t,
		c.Trusted.Administrators.UnmarshalText([]byte("service.A=id:1,service.B=name:ops,service.C=name:ops,"+
			"service.A=name:ops,service.A=id:2,service.B=id:gone,"+
			"service.C=name:guest,service.C=name:nobody,service.B=id:3")))
	c.Region.ID = "cn-north-4"
	invited := account("4", "guest")
	invited.JoinMethod = "invited"
	closing, paused := account("2", "two"), account("3", "three")
	closing.Status, paused.Status = "pending_closure", "paused"
	got := newFunction(nil, c).compare(organization{
		region: "cn-south-1", trusted: []string{"service.A", "service.C", "service.Z"},
		accounts: []client.Account{
			account("1", "one"), closing, paused, invited, account("5", "ops"),
			account("6", "six"),
		},
		administrators: []client.Administrator{
			{AccountID: "1", AccountName: "one"},
			{AccountID: "2", AccountName: "two"},
			{AccountID: "5", AccountName: "ops"},
			{AccountID: "4", AccountName: "guest"},
			{AccountID: "left", AccountName: "left"},
		},
		services: [][]string{{"service.Z", "service.A"}, {"service.A"}, {"service.A"}, {"service.C"}, {"service.B"}},
	})
	assert.Equal(t, &events.AuditFindings{
		Region:             events.AuditedRegion{Wanted: "cn-north-4", Observed: "cn-south-1"},
		MissingServices:    []events.ServicePrincipal{"service.B"},
		RegisteredServices: []events.ServicePrincipal{"service.A", "service.C"},
		Missing: []events.Administrator{
			{AccountID: "5", ServicePrincipal: "service.B"}, {AccountID: "5", ServicePrincipal: "service.C"},
		},
		Registered: []events.Administrator{
			{AccountID: "1", ServicePrincipal: "service.A"}, {AccountID: "5", ServicePrincipal: "service.A"},
		},
		Unexpected: []events.Administrator{
			{AccountID: "1", AccountName: "one", ServicePrincipal: "service.Z"},
			{AccountID: "4", AccountName: "guest", ServicePrincipal: "service.C"},
			{AccountID: "left", AccountName: "left", ServicePrincipal: "service.B"},
		},
		Inactive: []events.Administrator{
			{AccountID: "2", ServicePrincipal: "service.A", Status: "pending_closure"},
			{AccountID: "3", ServicePrincipal: "service.B", Status: "paused"},
		},
		Unmatched: []events.UnmatchedSelector{
			{ServicePrincipal: "service.B", Selector: "id:gone"},
			{ServicePrincipal: "service.C", Selector: "name:guest", InvitedAccountID: "4"},
			{ServicePrincipal: "service.C", Selector: "name:nobody"},
		},
		Resolved: []events.ResolvedSelector{{Selector: "name:ops", AccountID: "5"}},
		Counts: events.AuditCounts{
			Accounts: 6, MissingServices: 1, RegisteredServices: 2, Missing: 2, Registered: 2, Unexpected: 3,
			Inactive:  2,
			Unmatched: 3, Resolved: 1,
		},
	}, got)
	assert.Equal(t, 9, got.Absent(), "all lists but unexpected, and the region")
	assert.Equal(t, []events.Request{
		{ServicePrincipals: []events.ServicePrincipal{"service.B"}},
		{AccountID: "5", ServicePrincipals: []events.ServicePrincipal{"service.C"}}, // service.B isn't trusted yet
	}, requests(got, []string{"service.A", "service.C"}))
}

func TestAnAuditMakesAHundredRequestsAndTheNextOneOthers(t *testing.T) {
	t.Parallel()
	found := &events.AuditFindings{MissingServices: []events.ServicePrincipal{"service.B"}}
	for i := range 120 {
		for _, principal := range []events.ServicePrincipal{"service.A", "service.C"} {
			found.Missing = append(found.Missing, events.Administrator{
				AccountID: events.AccountID(fmt.Sprint(i)), ServicePrincipal: principal,
			})
		}
	}
	all := requests(found, []string{"service.A", "service.C"})
	require.Len(t, all, 121)
	assert.Len(t, all[120].ServicePrincipals, 2, "an account's services stay together")
	assert.Equal(t, all[:100], turn(all[:100], time.Unix(90, 0)), "as many as may be stay in their order")

	made := map[events.AccountID]bool{}
	for audit := range 10 {
		some := turn(all, time.Unix(0, 0).Add(time.Duration(audit)*15*time.Minute))
		require.Len(t, some, 100)
		once := map[events.AccountID]bool{}
		for _, r := range some {
			once[r.AccountID], made[r.AccountID] = true, true
		}
		assert.Len(t, once, 100)
	}
	assert.Len(t, made, 121, "each gets its turn")
	assert.Len(t, turn(all, time.Time{}), 100, "also without a time")
}
