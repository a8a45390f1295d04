package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"registrar/internal/decisions"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	creation  = "GET create-account-status/car-0001"
	delegated = "GET accounts/{id}/delegated-services"
	account   = "GET accounts/{id}"
	trusted   = "GET trusted-services"
	services  = "GET services"
	write     = "POST delegated-administrators/register"
	others    = "GET delegated-administrators"

	// What is read before the first write, and again after a refusal.
	reads = delegated + ", " + account + ", " + trusted

	writePath     = "/v1/organizations/delegated-administrators/register"
	delegatedPath = "/v1/organizations/accounts/" + decisions.Account + "/delegated-services"
	othersPath    = "/v1/organizations/delegated-administrators"

	one      = `{"account_id":"` + decisions.Account + `","service_principal":"service.SecMaster"}`
	two      = `{"account_id":"` + decisions.Account + `","service_principals":["service.SecMaster","service.CTS"]}`
	bare     = `{"account_id":"` + decisions.Account + `"}`
	creating = `{"create_account_status_id":"car-0001"}`

	request = "account.admin.missing"
)

func calls(all ...string) string { return strings.Join(all, ", ") }

func administers(c *huaweitest.Cloud) string {
	return strings.Join(c.Delegations(decisions.Account), " ")
}

func delegates(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Delegate(decisions.Account, principals...) }
}

func status(status string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.AddAccount(decisions.Account, status) }
}

// unknown is a cloud that doesn't know the account, and refuses with the status and an unpublished
// code.
func unknown(status int) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.SetUnpublished(huaweitest.Unpublished{UnknownAccount: huaweitest.Error{
			Status: status, Code: "Organizations.9999", Message: "for reasons",
		}})
		c.RemoveAccount(decisions.Account)
	}
}

func answers(method, path string, faults ...huaweitest.Fault) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Script(method, path, faults...) }
}

func refuses(times, status int) func(*huaweitest.Cloud) {
	return answers("POST", writePath, huaweitest.Fault{
		Times: times, Status: status, Code: "Organizations.9999", Message: "for reasons",
	})
}

// raced is a cloud in which the account became administrator just after the list was read.
func raced(status int) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.SetUnpublished(huaweitest.Unpublished{
			AlreadyDelegated: huaweitest.Error{Status: status, Code: "Organizations.9999"},
		})
		c.Delegate(decisions.Account, "service.SecMaster")
		c.Script("GET", delegatedPath, huaweitest.Fault{Status: 200, Body: []byte(`{"delegated_services":[]}`)})
	}
}

// changed is a cloud in which the account had another status when it was first read.
func changed(from, to string) func(*huaweitest.Cloud) {
	return all(status(to), answers("GET", "/v1/organizations/accounts/{account_id}", huaweitest.Fault{
		Status: 200, Body: []byte(`{"account":{"id":"` + decisions.Account + `","status":"` + from + `"}}`),
	}))
}

func all(changes ...func(*huaweitest.Cloud)) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		for _, change := range changes {
			change(c)
		}
	}
}

// known is a cloud in which service.Config could have trusted access, and hasn't.
func known(c *huaweitest.Cloud) { c.AddService("service.Config") }

// dry is the event as a dry run.
func dry(data string) string { return strings.Replace(data, "{", `{"dry_run":true,`, 1) }

// asking is an event that names the services.
func asking(principals ...string) string {
	return `{"account_id":"` + decisions.Account + `","service_principals":["` + strings.Join(principals, `","`) + `"]}`
}

// creates is a cloud in which the creation of the account has come so far.
func creates(state, accountID string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.SetCreateAccountStatus("car-0001", state, accountID) }
}

var rows = map[string]decisions.Row{
	"nothing is registered": {
		Data: one, Want: "registered", Each: "registered", Calls: calls(reads, write), State: administers,
		WantState: "service.SecMaster",
	},
	"two services, nothing is registered": {
		Data: two, Want: "registered", Each: "registered, registered", Calls: calls(reads, write, write),
		State: administers, WantState: "service.SecMaster service.CTS",
	},
	"one of two is registered": {
		Data: two, Cloud: delegates("service.SecMaster"), Want: "registered", Each: "unchanged, registered",
		Calls: calls(reads, write),
	},
	"all is registered": {
		Data: two, Cloud: delegates("service.CTS", "service.SecMaster"),
		Want: "unchanged", Each: "unchanged, unchanged",
		Calls: delegated,
	},
	"what is registered stands on the last of three pages": {
		Data: one, Want: "unchanged", Each: "unchanged", Calls: calls(delegated, delegated, delegated),
		Cloud: func(c *huaweitest.Cloud) {
			c.Delegate(decisions.Account, "service.A", "service.B", "service.C", "service.D", "service.SecMaster")
			c.PageSize(2)
		},
	},
	"an audit found that it is missing": {
		Type: request, Data: one, Want: "registered", Each: "registered", Calls: calls(reads, write),
	},

	"a dry run, one of two is registered": {
		Data: dry(two), Cloud: delegates("service.CTS"), Want: "planned", Each: "planned, unchanged", Calls: reads,
	},
	"a dry run, the account is unknown": {
		Data: dry(one), Age: time.Hour, Cloud: unknown(404), Want: "rejected", Each: "rejected account_not_found",
		Calls: calls(delegated, account),
	},
	"a dry run, the account is suspended": {
		Data: dry(one), Cloud: status("suspended"), Want: "rejected", Each: "rejected account_not_active",
		Calls: calls(delegated, account),
	},
	"a dry run, one of two services isn't trusted": {
		Data: dry(asking("service.SecMaster", "service.Config")), Cloud: known, Want: "MisconfiguredError",
		Text: "enable trusted access for service.Config first", Calls: calls(reads, services),
	},
	"a dry run, one of two services doesn't exist": {
		Data: dry(asking("service.Config", "service.SecMaster")),
		Want: "rejected", Each: "rejected unknown_service, planned", Calls: calls(reads, services),
	},

	"registered between read and write, refused by a 400": {
		Data: one, Cloud: raced(400), Want: "unchanged", Each: "unchanged", Calls: calls(reads, write, delegated),
	},
	"registered between read and write, refused by a 404": {
		Data: one, Cloud: raced(404), Want: "unchanged", Each: "unchanged", Calls: calls(reads, write, delegated),
	},
	"registered between read and write, refused by a 409": {
		Data: one, Cloud: raced(409), Want: "unchanged", Each: "unchanged", Calls: calls(reads, write, delegated),
	},
	"registered between read and write, refused by a 403": {
		Data: one, Cloud: raced(403), Want: "MisconfiguredError", Calls: calls(reads, write),
	},
	"the write worked, and its answer was lost": {
		Data: one, Want: "unchanged", Each: "unchanged", Calls: calls(reads, write, write, delegated),
		Cloud: answers("POST", writePath, huaweitest.Fault{When: huaweitest.AfterWrite, Reset: true}),
	},

	"the account is unknown, the event young": {
		Data: one, Cloud: unknown(404), Want: "TransientError", Text: "is not ready in the organization",
		Calls: calls(delegated, account),
	},
	"the account is unknown, the event from the future": {
		Data: one, Age: -time.Hour, Cloud: unknown(409), Want: "TransientError", Text: "for reasons",
		Calls: calls(delegated, account),
	},
	"the account is unknown, the event without a time": {
		Data: one, Age: decisions.Timeless, Cloud: unknown(400), Want: "rejected", Each: "rejected account_not_found",
		Calls: calls(delegated, account),
	},
	"the account is unknown, the event old": {
		Data: two, Age: time.Hour, Cloud: unknown(404), Want: "rejected",
		Each: "rejected account_not_found, rejected account_not_found", Text: "check the account id",
		Calls: calls(delegated, account),
	},
	"the account is unknown, the event exactly as old as may be": {
		Data: one, Age: 15 * time.Minute, Cloud: unknown(404), Want: "rejected", Each: "rejected account_not_found",
		Calls: calls(delegated, account),
	},
	"the account that an audit read is unknown": {
		Type: request, Data: one, Cloud: unknown(404), Want: "rejected", Each: "rejected account_not_found",
		Calls: calls(delegated, account),
	},
	"the account is unknown, and asking isn't allowed": {
		Data: one, Age: time.Hour, Cloud: unknown(403), Want: "MisconfiguredError", Calls: delegated,
	},
	"the account is suspended": {
		Data: two, Cloud: status("suspended"), Want: "rejected",
		Each:  "rejected account_not_active, rejected account_not_active",
		Text:  "is suspended; only an active account can administer a service. suspended",
		Calls: calls(delegated, account),
	},
	"the account is being closed": {
		Data: one, Cloud: status("pending_closure"), Want: "rejected", Each: "rejected account_not_active",
		Calls: calls(delegated, account),
	},
	"the account is suspended between read and write": {
		Data: one, Cloud: changed("active", "suspended"), Want: "rejected", Each: "rejected account_not_active",
		Calls: calls(reads, write, delegated, account),
	},
	"the account is suspended, and administers the service": {
		Data: one, Cloud: all(status("suspended"), delegates("service.SecMaster")), Want: "unchanged",
		Each:  "unchanged",
		Calls: delegated,
	},
	"the account has an undocumented status, with which it can be registered": {
		Data: one, Cloud: changed("verified", "active"), Want: "registered", Each: "registered",
		Calls: calls(reads, write),
	},
	"the account has an undocumented status and is refused, the event is young": {
		Data: one, Cloud: status("creating"), Want: "TransientError", Text: "is not ready",
		Calls: calls(reads, write, reads),
	},
	"the account has an undocumented status and is refused, the event is old": {
		Data: one, Age: time.Hour, Cloud: status("creating"), Want: "rejected", Each: "rejected account_not_active",
		Text: "can administer a service. creating", Calls: calls(reads, write, delegated, account),
	},

	"the account has an undocumented status, and leaves before the write": {
		Data: one, Age: time.Hour, Want: "rejected", Each: "rejected account_not_found",
		Calls: calls(reads, write, delegated, account),
		Cloud: all(unknown(404), answers("GET", "/v1/organizations/accounts/{account_id}", huaweitest.Fault{
			Status: 200, Body: []byte(`{"account":{"id":"` + decisions.Account + `","status":"leaving"}}`),
		})),
	},

	"one of two services isn't trusted": {
		Data: asking("service.Config", "service.SecMaster"), Cloud: known, Want: "MisconfiguredError",
		Text:  "enable trusted access for service.Config first",
		Calls: calls(reads, services, write), State: administers, WantState: "service.SecMaster",
	},
	"one of two services isn't trusted, and writing the other fails": {
		Data: asking("service.Config", "service.SecMaster"), Want: "MisconfiguredError",
		Text:  "enable trusted access for service.Config first; besides, make account " + decisions.Account,
		Calls: calls(reads, services, write, write, write, write),
		Cloud: all(known, answers("POST", writePath, huaweitest.Fault{Status: 503, Times: huaweitest.Forever})),
	},
	"one of two services isn't trusted, and writing the other is throttled": {
		Data: asking("service.Config", "service.SecMaster"), Want: "TransientError", Text: "429 APIGW.0308",
		Calls: calls(reads, services, write),
		Cloud: all(known, answers("POST", writePath, huaweitest.Fault{Status: 429, Code: "APIGW.0308"})),
	},
	"one of two services doesn't exist": {
		Data: asking("service.Config", "service.SecMaster"), Want: "rejected",
		Each: "rejected unknown_service, registered", Text: "knows no service service.Config",
		Calls: calls(reads, services, write), State: administers, WantState: "service.SecMaster",
	},
	"a service isn't trusted, and the list of services is empty, which proves nothing": {
		Data: asking("service.Config"), Want: "MisconfiguredError",
		Text:  "enable trusted access for service.Config first",
		Calls: calls(reads, services),
		Cloud: answers("GET", "/v1/organizations/services",
			huaweitest.Fault{Status: 200, Body: []byte(`{"services":[]}`)}),
	},
	"a service isn't trusted, and the list of services is refused, which proves nothing": {
		Data: asking("service.Config"), Want: "MisconfiguredError",
		Text:  "enable trusted access for service.Config first",
		Calls: calls(reads, services),
		Cloud: answers("GET", "/v1/organizations/services", huaweitest.Fault{Status: 400, Code: "Organizations.9999"}),
	},
	"a service isn't trusted, and the list of services can't be read": {
		Data: asking("service.Config"), Want: "TransientError", Text: "429", Calls: calls(reads, services),
		Cloud: answers("GET", "/v1/organizations/services", huaweitest.Fault{Status: 429, Code: "APIGW.0308"}),
	},
	"one of two services loses its trusted access between read and write": {
		Data: two, Want: "MisconfiguredError", Text: "enable trusted access for service.SecMaster first",
		Calls: calls(reads, write, reads, services, write), State: administers, WantState: "service.CTS",
		Cloud: func(c *huaweitest.Cloud) {
			c.Distrust("service.SecMaster")
			c.Script("GET", "/v1/organizations/trusted-services", huaweitest.Fault{Status: 200, Body: []byte(
				`{"trusted_services":[{"service_principal":"service.SecMaster"},` +
					`{"service_principal":"service.CTS"}]}`,
			)})
		},
	},

	"refused once, and nothing explains it, the event old": {
		Data: one, Age: time.Hour, Cloud: refuses(1, 400), Want: "registered", Each: "registered",
		Calls: calls(reads, write, reads, write),
	},
	"refused once, and nothing explains it, the event young": {
		Data: two, Cloud: refuses(1, 400), Want: "TransientError", Text: "Organizations.9999 for reasons",
		Calls: calls(reads, write, reads),
	},
	"refused twice": {
		Data: two, Age: time.Hour, Cloud: refuses(2, 400), Want: "rejected", Each: "rejected refused, registered",
		Text:  "service.SecMaster: status 400 Organizations.9999 for reasons",
		Calls: calls(reads, write, reads, write, reads, others, write), State: administers, WantState: "service.CTS",
	},
	"refused twice, and another account administers the service": {
		Data: one, Age: time.Hour, Want: "rejected", Each: "rejected refused", Text: "for reasons  other",
		Calls: calls(reads, write, reads, write, reads, others),
		Cloud: all(refuses(2, 400), func(c *huaweitest.Cloud) {
			c.Delegate("third", "service.CTS")
			c.Delegate("other", "service.SecMaster")
		}),
	},
	"refused twice, and who administers the service can't be read": {
		Data: one, Age: time.Hour, Want: "rejected", Each: "rejected refused",
		Calls: calls(reads, write, reads, write, reads, others),
		Cloud: all(refuses(2, 400), answers("GET", othersPath, huaweitest.Fault{Status: 403})),
	},
	"refused by a 409, and nothing explains it": {
		Data: one, Age: time.Hour, Cloud: refuses(1, 409), Want: "TransientError", Text: "409 Organizations.9999",
		Calls: calls(reads, write, reads),
	},
	"refused by a 403": {
		Data: two, Cloud: refuses(1, 403), Want: "MisconfiguredError",
		Text:  "of service.SecMaster: RegisterDelegatedAdministrator: status 403 Organizations.9999 for reasons",
		Calls: calls(reads, write),
	},
	"every call is answered by a wrong endpoint, the event old": {
		Data: one, Age: 2 * time.Hour,
		Cloud: answers("", "", huaweitest.Fault{Status: 404, Body: []byte("<html>"), Times: huaweitest.Forever}),
		Want:  "MisconfiguredError", Text: "404", Calls: delegated,
	},
	"every call is answered by a success that says nothing": {
		Data: one, Want: "TransientError", Text: "it has no list of delegated_services",
		Calls: calls(delegated, delegated, delegated, delegated),
		Cloud: answers("", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"status":"ok"}`), Times: huaweitest.Forever,
		}),
	},
	"every call is answered by a gateway with a code of its own, the event old": {
		Data: one, Age: 2 * time.Hour, Want: "MisconfiguredError", Text: "404 no Route matched", Calls: delegated,
		Cloud: answers("", "", huaweitest.Fault{
			Status: 404, Body: []byte(`{"code":404,"message":"no Route matched"}`), Times: huaweitest.Forever,
		}),
	},
	"every call is answered by a bad request of nobody, the event old": {
		Data: one, Age: 2 * time.Hour, Want: "TransientError", Text: "400 BadRequest",
		Calls: calls(delegated, delegated, delegated, delegated),
		Cloud: answers("", "", huaweitest.Fault{
			Status: 400, Body: []byte(`{"code":"BadRequest"}`), Times: huaweitest.Forever,
		}),
	},
	"every call is answered by a firewall, the event old": {
		Data: one, Age: 2 * time.Hour,
		Cloud: answers("", "", huaweitest.Fault{Status: 418, Body: []byte("<html>"), Times: huaweitest.Forever}),
		Want:  "TransientError", Text: "418", Calls: calls(delegated, delegated, delegated, delegated),
	},
	"reading what is delegated is refused": {
		Data: one, Cloud: answers("GET", delegatedPath, huaweitest.Fault{Status: 400, Code: "Organizations.9999"}),
		Want: "registered", Each: "registered", Calls: calls(reads, write),
	},
	"reading what is delegated fails after a refusal": {
		Data: one, Want: "TransientError", Text: "Organizations.9999",
		Calls: calls(reads, write, delegated, delegated, delegated, delegated),
		Cloud: all(refuses(1, 400),
			answers("GET", delegatedPath, huaweitest.Fault{Skip: 1, Status: 503, Times: huaweitest.Forever})),
	},
	"reading the account fails": {
		Data: one, Want: "TransientError", Text: "503", Calls: calls(delegated, account, account, account, account),
		Cloud: answers("GET", "/v1/organizations/accounts/{account_id}",
			huaweitest.Fault{Status: 503, Times: huaweitest.Forever}),
	},
	"reading the account fails after a refusal": {
		Data: one, Want: "TransientError", Text: "Organizations.9999",
		Calls: calls(reads, write, delegated, account, account, account, account),
		Cloud: all(refuses(1, 400), answers("GET", "/v1/organizations/accounts/{account_id}",
			huaweitest.Fault{Skip: 1, Status: 503, Times: huaweitest.Forever})),
	},
	"reading what is trusted fails": {
		Data: one, Want: "MisconfiguredError", Text: "403", Calls: reads,
		Cloud: answers("GET", "/v1/organizations/trusted-services", huaweitest.Fault{Status: 403}),
	},
	"reading what is trusted fails after a refusal": {
		Data: one, Want: "TransientError", Text: "Organizations.9999",
		Calls: calls(reads, write, reads, trusted, trusted, trusted),
		Cloud: all(refuses(1, 400), answers("GET", "/v1/organizations/trusted-services",
			huaweitest.Fault{Skip: 1, Status: 503, Times: huaweitest.Forever})),
	},

	"the account is being created": {
		Data: creating, Age: time.Hour, Cloud: creates("in_progress", ""), Want: "TransientError",
		Text: "the creation car-0001 of an account is in_progress", Calls: creation,
	},
	"the account is created": {
		Data: `{"create_account_status_id":"car-0001","service_principal":"service.SecMaster"}`,
		Want: "registered", Each: "registered", Cloud: creates("succeeded", decisions.Account),
		Calls: calls(creation, reads, write), State: administers, WantState: "service.SecMaster",
	},
	"the account could not be created": {
		Data: creating, Cloud: creates("failed", ""), Want: "rejected creation_failed", Text: "EMAIL_ALREADY_EXISTS",
		Calls: creation,
	},
	"the creation is in an undocumented state": {
		Data: creating, Cloud: creates("paused", ""), Want: "TransientError", Text: "is paused", Calls: creation,
	},
	"the creation is unknown, the event young": {
		Data: creating, Want: "TransientError", Text: "not known yet", Calls: creation,
	},
	"the creation is unknown, the event old": {
		Data: creating, Age: time.Hour, Want: "rejected account_not_found", Text: "check its id", Calls: creation,
	},
	"the creation may not be read": {
		Data: creating, Want: "MisconfiguredError", Text: "403", Calls: creation,
		Cloud: answers("GET", "", huaweitest.Fault{Status: 403}),
	},

	"the event names what the rules don't give": {
		Data: asking("service.SecMaster", "service.RAM"), Want: "rejected", Each: "registered, rejected not_allowed",
		Text:  "ADMINISTRATORS doesn't make account " + decisions.Account + " an administrator of service.RAM.",
		Calls: calls(reads, write), State: administers, WantState: "service.SecMaster",
	},
	"the event names only what the rules don't give": {
		Data: asking("service.RAM"), Want: "rejected", Each: "rejected not_allowed",
	},
	"the event names a service in another case": {
		Data: asking("service.secmaster"), Want: "rejected", Each: "rejected not_allowed",
	},
	"an audit that isn't ours names what the rules don't give": {
		Type: request, Data: asking("service.RAM"), Want: "rejected", Each: "rejected not_allowed",
	},
	"the event names another account": {
		Data: `{"account_id":"somebody"}`, Want: "skipped", State: administers,
	},
	"the event names another account and a service": {
		Data: `{"account_id":"somebody","service_principal":"service.SecMaster"}`,
		Want: "rejected", Each: "rejected not_allowed",
	},
	"the event names a name, which is never believed": {
		Data: `{"account_id":"somebody","account_name":"security","name":"security"}`, Want: "skipped",
	},

	"the event names no account": {
		Data: `{"service_principal":"x"}`, Want: "rejected invalid_data", Text: "account_id: is missing",
	},
	"the event names an account wrongly": {
		Data: `{"account_id":"../x","service_principal":"x"}`, Want: "rejected invalid_data",
	},
	"the event names a creation wrongly": {
		Data: `{"create_account_status_id":"../x"}`, Want: "rejected invalid_data", Text: "create_account_status_id",
	},
	"the event names an account and a creation": {
		Data: `{"account_id":"a","create_account_status_id":"b"}`, Want: "rejected invalid_data",
		Text: "must not stand beside account_id",
	},
	"the event names a service wrongly": {
		Data: `{"account_id":"a","service_principal":"x y"}`, Want: "rejected invalid_data",
	},
	"the event gives the account as null": {
		Data: `{"account_id":null,"service_principal":"x"}`, Want: "rejected invalid_data",
	},
}

// run runs rows with an ACCOUNT_READY_WITHIN of 15 minutes.
func run(t *testing.T, administrators string, allowed register.Principals, rows map[string]decisions.Row) {
	t.Helper()
	var rules register.Administrators
	require.NoError(t, rules.UnmarshalText([]byte(administrators)))
	decisions.Run(t, "account.created", func(api *client.Client) handler.Function {
		f := function{api, rules, allowed, 15 * time.Minute}
		return handler.NewFunction(events.AccountCreatedInput(), f.register)
	}, rows)
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	const id = "=id:" + decisions.Account
	run(t, "service.SecMaster"+id+",service.CTS"+id+",service.Config"+id, register.Principals{}, rows)
}

func TestDecisionsAboutEventsThatNameNoService(t *testing.T) {
	t.Parallel()
	const id = "=id:" + decisions.Account
	run(t, "service.RAM=id:somebody,service.SecMaster"+id+",service.CTS"+id, register.Principals{},
		map[string]decisions.Row{
			"the rules give the account two": {
				Data: bare, Want: "registered", Each: "registered, registered", Calls: calls(reads, write, write),
				State: administers, WantState: "service.SecMaster service.CTS",
			},
			"the rules give the account none, and nothing is read": {
				Data: `{"account_id":"ordinary"}`,
				Want: "skipped",
			},
		})
}

// named is a cloud in which the account has the name, and joined so.
func named(name string, invited bool) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.NameAccount(decisions.Account, name)
		if invited {
			c.RemoveAccount(decisions.Account)
			c.InviteAccount(decisions.Account, name)
		}
	}
}

func TestDecisionsByTheNameOfTheAccount(t *testing.T) {
	t.Parallel()
	const rest = delegated + ", " + trusted // the account is read already
	run(t, "service.SecMaster=name:security,service.CTS=id:"+decisions.Account, register.Principals{},
		map[string]decisions.Row{
			"it is the name": {
				Data: bare, Cloud: named("security", false), Want: "registered", Each: "registered, registered",
				Calls: calls(account, rest, write, write), State: administers,
				WantState: "service.SecMaster service.CTS",
			},
			"it is another name": {
				Data: bare, Cloud: named("Security", false), Want: "registered", Each: "registered",
				Calls: calls(account, rest, write), State: administers, WantState: "service.CTS",
			},
			"an invited account has the name": {
				Data: bare, Cloud: named("security", true), Want: "registered", Each: "registered",
				Calls: calls(account, rest, write), State: administers, WantState: "service.CTS",
			},
			"an invited account has the name, and the event names the service": {
				Data: one, Cloud: named("security", true), Want: "rejected", Each: "rejected not_allowed",
				Calls: account,
				State: administers,
			},
			"the account had the name, and was renamed": {
				Data: one, Cloud: all(named("security", false), named("retired", false)),
				Want: "rejected", Each: "rejected not_allowed", Calls: account, State: administers,
			},
			"the event says the name": {
				Data: strings.Replace(one, "{", `{"account_name":"security","name":"security",`, 1),
				Want: "rejected", Each: "rejected not_allowed", Calls: account, State: administers,
			},
			"the name doesn't matter for what the event names": {
				Data: asking("service.CTS"), Want: "registered", Each: "registered", Calls: calls(reads, write),
			},
			"all is registered": {
				Data: one, Cloud: all(named("security", false), delegates("service.SecMaster")),
				Want: "unchanged", Each: "unchanged", Calls: calls(account, delegated),
			},
			"the account is suspended": {
				Data: one, Cloud: all(named("security", false), status("suspended")),
				Want: "rejected", Each: "rejected account_not_active", Calls: calls(account, delegated),
			},
			"the account is unknown, the event young": {
				Data: bare, Cloud: unknown(404), Want: "TransientError", Text: "is not ready", Calls: account,
			},
			"the account is unknown, the event old": {
				Data: bare, Age: time.Hour, Cloud: unknown(404), Want: "rejected account_not_found", Calls: account,
			},
			"the account can't be read": {
				Data: bare, Want: "MisconfiguredError", Text: "403", Calls: account,
				Cloud: answers("GET", "", huaweitest.Fault{Status: 403}),
			},
		})
}

func TestDecisionsByTheServicesThatEventsMayName(t *testing.T) {
	t.Parallel()
	run(t, "", register.Principals{Names: []events.ServicePrincipal{"service.SecMaster"}}, map[string]decisions.Row{
		"the event names no service, and the bound is not a default": {Data: bare, Want: "skipped", State: administers},
		"the event names one that is allowed": {
			Data: one, Want: "registered", Each: "registered", Calls: calls(reads, write),
		},
		"the event names one that isn't": {
			Data: two, Want: "rejected", Each: "registered, rejected not_allowed", Calls: calls(reads, write),
			Text: "SERVICE_PRINCIPALS doesn't allow service.CTS.", State: administers, WantState: "service.SecMaster",
		},
		"the event names one in another case": {
			Data: asking("service.secmaster"), Want: "rejected", Each: "rejected not_allowed",
		},
	})
	run(t, "", register.Principals{Any: true}, map[string]decisions.Row{
		"with any service, the event decides": {
			Data: two, Want: "registered", Each: "registered, registered", Calls: calls(reads, write, write),
		},
		"with any service, an event that names none wants none": {Data: bare, Want: "skipped"},
	})
	run(t, "", register.Principals{}, map[string]decisions.Row{
		"without any bound nothing is registered": {
			Data: two, Want: "rejected", Each: "rejected not_allowed, rejected not_allowed",
		},
	})
}

func TestABoundIsNeverMissingSilently(t *testing.T) {
	t.Parallel()
	var (
		rules = register.Administrators{{ServicePrincipal: "service.SecMaster", AccountID: decisions.Account}}
		bound = register.Principals{Names: []events.ServicePrincipal{"service.SecMaster"}}
	)
	require.ErrorContains(t, config{}.Validate(), "ADMINISTRATORS: is not set")
	require.ErrorContains(t, config{}.Validate(), "set SERVICE_PRINCIPALS instead")
	require.ErrorContains(t, config{Rules: rules, Allowed: bound}.Validate(),
		"SERVICE_PRINCIPALS: must not be set together with ADMINISTRATORS")
	require.NoError(t, config{Rules: rules}.Validate())
	require.NoError(t, config{Allowed: bound}.Validate())
	require.NoError(t, config{Allowed: register.Principals{Any: true}}.Validate())
}
