package main

import (
	"strings"
	"testing"
	"time"

	"registrar/internal/decisions"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	delegated = "GET accounts/{id}/delegated-services"
	account   = "GET accounts/{id}"
	trusted   = "GET trusted-services"
	write     = "POST delegated-administrators/register"
	why       = delegated + ", " + account + ", " + trusted // what is read after a refusal that nothing explains

	writePath     = "/v1/organizations/delegated-administrators/register"
	delegatedPath = "/v1/organizations/accounts/" + decisions.Account + "/delegated-services"

	one  = `{"account_id":"` + decisions.Account + `","service_principal":"service.SecMaster"}`
	two  = `{"account_id":"` + decisions.Account + `","service_principals":["service.SecMaster","service.CTS"]}`
	bare = `{"account_id":"` + decisions.Account + `"}`
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

var rows = map[string]decisions.Row{
	"nothing is registered": {
		Data: one, Want: "registered", Each: "registered", Calls: calls(delegated, write), State: administers,
		WantState: "service.SecMaster",
	},
	"two services, nothing is registered": {
		Data: two, Want: "registered", Each: "registered, registered", Calls: calls(delegated, write, write),
		State: administers, WantState: "service.SecMaster service.CTS",
	},
	"one of two is registered": {
		Data: two, Cloud: delegates("service.SecMaster"), Want: "registered", Each: "unchanged, registered",
		Calls: calls(delegated, write),
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
	"a dry run, one of two is registered": {
		Data: strings.Replace(two, "{", `{"dry_run":true,`, 1), Cloud: delegates("service.CTS"),
		Want: "planned", Each: "planned, unchanged", Calls: delegated,
	},

	"registered between read and write, refused by a 400": {
		Data: one, Cloud: raced(400), Want: "unchanged", Each: "unchanged", Calls: calls(delegated, write, delegated),
	},
	"registered between read and write, refused by a 404": {
		Data: one, Cloud: raced(404), Want: "unchanged", Each: "unchanged", Calls: calls(delegated, write, delegated),
	},
	"registered between read and write, refused by a 409": {
		Data: one, Cloud: raced(409), Want: "unchanged", Each: "unchanged", Calls: calls(delegated, write, delegated),
	},
	"registered between read and write, refused by a 403": {
		Data: one, Cloud: raced(403), Want: "MisconfiguredError", Calls: calls(delegated, write),
	},

	"the account is unknown, the event young": {
		Data: one, Cloud: unknown(404), Want: "TransientError", Text: "is not ready in the organization",
		Calls: calls(delegated, write, delegated, account),
	},
	"the account is unknown, the event without a time": {
		Data: one, Age: decisions.Timeless, Cloud: unknown(400), Want: "TransientError", Text: "for reasons",
		Calls: calls(delegated, write, delegated, account),
	},
	"the account is unknown, the event from the future": {
		Data: one, Age: -time.Hour, Cloud: unknown(409), Want: "TransientError",
		Calls: calls(delegated, write, delegated, account),
	},
	"the account is unknown, the event old": {
		Data: one, Age: time.Hour, Cloud: unknown(404), Want: "rejected", Each: "rejected account_not_found",
		Text: "check the account id", Calls: calls(delegated, write, delegated, account),
	},
	"the account is unknown, and asking isn't allowed": {
		Data: one, Age: time.Hour, Cloud: unknown(403), Want: "MisconfiguredError", Calls: delegated,
	},
	"the account is suspended": {
		Data: two, Cloud: status("suspended"), Want: "rejected",
		Each: "rejected account_not_active, rejected account_not_active", Text: "is suspended",
		Calls: calls(delegated, write, delegated, account, write, delegated, account),
	},
	"the account is being closed": {
		Data: one, Cloud: status("pending_closure"), Want: "rejected", Each: "rejected account_not_active",
		Calls: calls(delegated, write, delegated, account),
	},
	"the account has an undocumented status, the event is young": {
		Data: one, Cloud: status("creating"), Want: "TransientError",
		Calls: calls(delegated, write, delegated, account),
	},
	"the account has an undocumented status, the event is old": {
		Data: one, Age: time.Hour, Cloud: status("creating"), Want: "rejected", Each: "rejected account_not_found",
		Calls: calls(delegated, write, delegated, account),
	},
	"the account becomes active between the write and the reads that explain it": {
		Data: one, Age: time.Hour, Cloud: refuses(1, 400), Want: "registered", Each: "registered",
		Calls: calls(delegated, write, why, write),
	},

	"a service isn't trusted": {
		Data: `{"account_id":"` + decisions.Account + `","service_principals":["service.SecMaster","service.Config"]}`,
		Want: "MisconfiguredError", Text: "enable trusted access for service.Config first",
		Calls: calls(delegated, write, write, why), State: administers, WantState: "service.SecMaster",
	},

	"refused twice": {
		Data: two, Cloud: refuses(2, 400), Want: "rejected", Each: "rejected refused, registered",
		Text:  "service.SecMaster: status 400 Organizations.9999 for reasons",
		Calls: calls(delegated, write, why, write, why, write), State: administers, WantState: "service.CTS",
	},
	"refused by a 409, and nothing explains it": {
		Data: one, Cloud: refuses(1, 409), Want: "TransientError", Text: "409 Organizations.9999",
		Calls: calls(delegated, write, why),
	},
	"refused by a 403": {
		Data: two, Cloud: refuses(1, 403), Want: "MisconfiguredError",
		Text:  "of service.SecMaster: RegisterDelegatedAdministrator: status 403 Organizations.9999 for reasons",
		Calls: calls(delegated, write),
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
		Want: "registered", Each: "registered", Calls: calls(delegated, write),
	},
	"reading what is delegated fails after a refusal": {
		Data: one, Want: "TransientError", Text: "Organizations.9999",
		Calls: calls(delegated, write, delegated, delegated, delegated, delegated),
		Cloud: func(c *huaweitest.Cloud) {
			refuses(1, 400)(c)
			c.Script("GET", delegatedPath, huaweitest.Fault{Skip: 1, Status: 503, Times: huaweitest.Forever})
		},
	},
	"reading the account fails after a refusal": {
		Data: one, Want: "TransientError", Text: "Organizations.9999",
		Calls: calls(delegated, write, delegated, account, account, account, account),
		Cloud: func(c *huaweitest.Cloud) {
			refuses(1, 400)(c)
			c.Script("GET", "/v1/organizations/accounts/{account_id}",
				huaweitest.Fault{Status: 503, Times: huaweitest.Forever})
		},
	},
	"reading what is trusted fails after a refusal": {
		Data: one, Want: "TransientError", Text: "Organizations.9999",
		Calls: calls(delegated, write, why, trusted, trusted, trusted),
		Cloud: func(c *huaweitest.Cloud) {
			refuses(1, 400)(c)
			c.Script("GET", "/v1/organizations/trusted-services",
				huaweitest.Fault{Status: 503, Times: huaweitest.Forever})
		},
	},

	"the event names no service": {
		Data: bare, Want: "rejected invalid_data", Text: "SERVICE_PRINCIPALS names no default",
	},
	"the event names no account": {
		Data: `{"service_principal":"x"}`, Want: "rejected invalid_data", Text: "account_id: is missing",
	},
	"the event names an account wrongly": {
		Data: `{"account_id":"../x","service_principal":"x"}`, Want: "rejected invalid_data",
	},
	"the event names a service wrongly": {
		Data: `{"account_id":"a","service_principal":"x y"}`, Want: "rejected invalid_data",
	},
	"the event gives the account as null": {
		Data: `{"account_id":null,"service_principal":"x"}`, Want: "rejected invalid_data",
	},
}

// ready15m is the function with an ACCOUNT_READY_WITHIN of 15 minutes.
func ready15m(api *client.Client, allowed register.Principals) handler.Function {
	return handler.NewFunction(events.AccountCreatedInput(), function{api, allowed, 15 * time.Minute}.register)
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	decisions.Run(t, "account.created", func(api *client.Client) handler.Function {
		return ready15m(api, register.Principals{Any: true})
	}, rows)
}

func TestDecisionsWithinABound(t *testing.T) {
	t.Parallel()
	decisions.Run(t, "account.created", func(api *client.Client) handler.Function {
		return ready15m(api, register.Principals{Names: []events.ServicePrincipal{"service.SecMaster"}})
	}, map[string]decisions.Row{
		"the event names no service": {
			Data: bare, Want: "registered", Each: "registered", Calls: calls(delegated, write),
		},
		"the event names one that is allowed": {
			Data: one, Want: "registered", Each: "registered", Calls: calls(delegated, write),
		},
		"the event names one that isn't": {Data: two, Want: "rejected not_allowed", Text: "doesn't allow service.CTS."},
		"the event names one in another case": {
			Data: strings.Replace(one, "SecMaster", "secmaster", 1), Want: "rejected not_allowed",
		},
	})
}
