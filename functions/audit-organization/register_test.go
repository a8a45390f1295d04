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
	lists = region + ", " + trusted + ", " + administrators + ", " + accounts

	askForBoth = "account.admin.missing " + decisions.Account + " service.SecMaster service.CTS"
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

// asWanted is a cloud that is as the rules of the tables say.
func asWanted(c *huaweitest.Cloud) { all(delegates("service.SecMaster", "service.CTS"))(c) }

func distrust(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Distrust(principals...) }
}

func has(region string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.SetRegion(region) }
}

func status(status string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.AddAccount(decisions.Account, status) }
}

func named(name string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.NameAccount(decisions.Account, name) }
}

func administers(c *huaweitest.Cloud) string {
	return strings.Join(c.Delegations(decisions.Account), " ")
}

var tables = []decisions.Table{
	{Title: "What is as it shall be", Rows: []decisions.Row{
		{Name: "all", Data: `{}`, Cloud: asWanted, Want: "passed", Calls: calls(lists, services), Built: true},
		{
			Name: "all, and the event has no data",
			Data: `null`, Cloud: asWanted, Want: "passed", Calls: calls(lists, services),
		},
		{
			Name: "all but the region: none is registered",
			Data: `{}`, Cloud: delegates("service.SecMaster", "service.CTS"), Want: "drifted", Found: "region none",
			Calls: calls(lists, services), State: (*huaweitest.Cloud).Region,
		},
		{
			Name: "all but the region: another is registered, and is left alone",
			Data: `{}`, Want: "drifted", Found: "region cn-south-1", Calls: calls(lists, services),
			Cloud: all(asWanted, has("cn-south-1")),
			State: (*huaweitest.Cloud).Region, WantState: "cn-south-1",
		},
		{
			Name: "all but one administrator",
			Data: `{}`, Cloud: all(delegates("service.CTS")), Want: "drifted", Found: "missing 1",
			Calls: calls(lists, services),
			Sent:  "account.admin.missing " + decisions.Account + " service.SecMaster",
			State: administers, WantState: "service.CTS", Built: true,
		},
		{
			Name: "all but two administrators, which are one account",
			Data: `{}`, Cloud: all(), Want: "drifted", Found: "missing 2", Calls: lists, Sent: askForBoth,
		},
		{
			Name: "the same, in a dry run", Data: `{"dry_run":true}`, Cloud: all(), Want: "drifted", Found: "missing 2",
			Calls: lists,
		},
		{
			Name: "neither trusted access nor the administrator, who has to wait for it",
			Data: `{}`, Want: "drifted", Found: "missing_services 1, missing 2", Calls: lists,
			Cloud: all(distrust("service.CTS")),
			Sent:  "org.service.missing service.CTS, account.admin.missing " + decisions.Account + " service.SecMaster",
		},
		{
			Name: "all but trusted access, though what needs it is registered",
			Data: `{}`, Want: "drifted", Found: "missing_services 1", Calls: calls(lists, services),
			Cloud: all(asWanted, distrust("service.CTS")),
			Sent:  "org.service.missing service.CTS",
		},
		{
			Name: "all, and the account administers what no rule gives it",
			Data: `{}`, Cloud: all(asWanted, delegates("service.RAM")), Want: "drifted", Found: "unexpected 1",
			Calls: calls(lists, services),
			State: administers, WantState: "service.SecMaster service.CTS service.RAM",
		},
		{
			Name: "another account administers what a rule gives this one",
			Data: `{}`, Want: "drifted", Found: "missing 2, unexpected 1",
			Calls: calls(lists, "GET accounts/other/delegated-services"), Sent: askForBoth,
			Cloud: all(func(c *huaweitest.Cloud) { c.Delegate("other", "service.SecMaster") }),
		},
		{
			Name: "the account is suspended",
			Data: `{}`, Want: "drifted", Found: "inactive 2", Calls: lists, Cloud: all(status("suspended")),
		},
		{
			Name: "the account is suspended, and still administers",
			Data: `{}`, Want: "drifted", Found: "inactive 2", Calls: calls(lists, services),
			Cloud: all(asWanted, status("suspended")),
		},
		{
			Name: "the account isn't in the organization",
			Data: `{}`, Want: "drifted", Found: "unmatched 2", Calls: lists,
			Cloud: all(func(c *huaweitest.Cloud) {
				c.RemoveAccount(decisions.Account)
				c.AddAccount("other", "active")
			}),
		},
		{
			Name: "there is no account at all, which can't be true",
			Data: `{}`, Want: "TransientError", Text: "lists no account", Calls: lists,
			Cloud: all(func(c *huaweitest.Cloud) { c.RemoveAccount(decisions.Account) }),
		},
		{
			Name: "all, on many pages",
			Data: `{}`, Want: "passed", Calls: calls(region, trusted, trusted, administrators, accounts, accounts,
				services, services),
			Cloud: all(asWanted, func(c *huaweitest.Cloud) {
				c.AddAccount("other", "active")
				c.PageSize(1)
			}),
		},
	}},
	{
		Title: "If the rules go by the name of the account",
		Env: map[string]string{
			"REGION_ID": "cn-north-4", "ADMINISTRATORS": "service.SecMaster=name:security,service.CTS=name:security",
		},
		Rows: []decisions.Row{
			{
				Name: "the account has the name",
				Data: `{}`, Cloud: all(named("security")), Want: "drifted", Found: "missing 2", Calls: lists,
				Sent: askForBoth,
			},
			{
				Name: "the account has the name, and administers",
				Data: `{}`, Cloud: all(named("security"), asWanted), Want: "passed", Calls: calls(lists, services),
			},
			{
				Name: "the account was renamed, and administers",
				Data: `{}`, Cloud: all(named("retired"), asWanted), Want: "drifted",
				Found: "unmatched 2, unexpected 2", Calls: calls(lists, services),
			},
			{
				Name: "an invited account has the name",
				Data: `{}`, Want: "drifted", Found: "unmatched 2", Calls: lists,
				Cloud: all(func(c *huaweitest.Cloud) { c.InviteAccount("guest", "security") }),
			},
			{
				Name: "another of the name joins and administers, after the accounts were read",
				Data: `{}`, Cloud: all(named("security"), asWanted), After: accounts,
				Meanwhile: func(c *huaweitest.Cloud) {
					c.NameAccount("new", "security")
					c.Delegate("new", "service.SecMaster", "service.CTS")
				},
				Want: "passed", Calls: calls(lists, services),
			},
		},
	},
	{
		Title: "If the region doesn't matter",
		Env:   map[string]string{"REGION_ID": "*", "ADMINISTRATORS": rules},
		Rows: []decisions.Row{
			{Name: "any is registered", Data: `{}`, Cloud: asWanted, Want: "passed", Calls: calls(lists, services)},
			{
				Name: "none is registered",
				Data: `{}`, Cloud: delegates("service.SecMaster", "service.CTS"), Want: "passed",
				Calls: calls(lists, services),
			},
		},
	},
	{Title: "When somebody changes it meanwhile", Rows: []decisions.Row{
		{
			Name: "an administrator is removed before the administrators are read",
			Data: `{}`, Cloud: asWanted, After: trusted, Meanwhile: func(c *huaweitest.Cloud) {
				c.Undelegate(decisions.Account, "service.SecMaster")
			},
			Want: "drifted", Found: "missing 1", Calls: calls(lists, services),
			Sent: "account.admin.missing " + decisions.Account + " service.SecMaster",
		},
		{
			Name: "an administrator is registered before the administrators are read",
			Data: `{}`, Cloud: all(delegates("service.CTS")), After: trusted,
			Meanwhile: delegates("service.SecMaster"),
			Want:      "passed", Calls: calls(lists, services),
		},
		{
			Name: "the account is removed before its services are read",
			Data: `{}`, Cloud: asWanted, After: accounts, Meanwhile: func(c *huaweitest.Cloud) {
				c.RemoveAccount(decisions.Account)
			},
			Want: "TransientError", Text: "404", Calls: calls(lists, services),
		},
	}},
	{Title: "Failures", Rows: []decisions.Row{
		{
			Name: "the region may not be read",
			Data: `{}`, Want: "MisconfiguredError", Text: "403", Calls: region,
			Cloud: decisions.Script(region, huaweitest.Fault{Status: 403}), Built: true,
		},
		{
			Name: "the accounts are throttled",
			Data: `{}`, Want: "TransientError", Text: "429", Calls: lists,
			Cloud: decisions.Script(accounts, huaweitest.Fault{Status: 429, Code: "APIGW.0308"}), Built: true,
		},
	}},
	{Title: "What the event says", Rows: []decisions.Row{
		{
			Name: "a dry run, by a number",
			Data: `{"dry_run":3}`, Want: "rejected invalid_data", Text: "dry_run: must not be a JSON number",
			Built: true,
		},
		{Name: "nothing that is an object", Data: `[]`, Want: "rejected invalid_data"},
	}},
}

// passes is a call of an audit that passes if it works. Nothing else than a whole answer will do.
func passes(call, before, after string) decisions.Call {
	return decisions.Call{
		Call: call, Before: before, Row: decisions.Row{Data: `{}`, Cloud: asWanted},
		Ends: map[decisions.Meaning]decisions.End{decisions.Works: {Want: "passed", Calls: after}},
	}
}

func apiCalls() []decisions.Call {
	first := passes(region, "", calls(trusted, administrators, accounts, services))
	first.Ends[decisions.NoRegion] = decisions.End{
		Want: "drifted", Found: "region none", Calls: calls(trusted, administrators, accounts, services),
	}
	return []decisions.Call{
		first,
		passes(trusted, region, calls(administrators, accounts, services)),
		passes(administrators, calls(region, trusted), calls(accounts, services)),
		passes(accounts, calls(region, trusted, administrators), services),
		passes(services, lists, ""),
	}
}

const rules = "service.SecMaster=id:" + decisions.Account + ",service.CTS=id:" + decisions.Account

func TestDecisions(t *testing.T) { //nolint:paralleltest // takes all lines that are logged
	decisions.Run(t, decisions.Function[config]{
		Type:   "org.audit",
		Env:    map[string]string{"REGION_ID": "cn-north-4", "ADMINISTRATORS": rules},
		Tables: tables, Calls: apiCalls(),
		Words: map[string]string{
			region: "region", trusted: "trusted", accounts: "accounts", administrators: "administrators",
			services: "administered",
		},
		Build: func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.AuditInput(), newFunction(api, c).audit)
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
