package main

import (
	"net/http"
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

func distrust(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Distrust(principals...) }
}

func trust(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.TrustService(principals...) }
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

func removed(c *huaweitest.Cloud) { c.RemoveAccount(decisions.Account) }

func refuses(times, status int) func(*huaweitest.Cloud) {
	return decisions.Script(write, huaweitest.Fault{
		Times: times, Status: status, Code: "Organizations.9999", Message: "for reasons",
	})
}

// dated is a cloud that refuses a call, on the date that its clock shows, if it shows one.
func dated(call string, date ...string) func(*huaweitest.Cloud) {
	return decisions.Script(call, huaweitest.Fault{
		Times: huaweitest.Forever, Status: 404, Code: "Organizations.9999", Message: "for reasons",
		Header: http.Header{"Date": date},
	})
}

// already is a cloud that refuses with the status to register what is registered.
func already(status int) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.SetUnpublished(huaweitest.Unpublished{
			AlreadyDelegated: huaweitest.Error{Status: status, Code: "Organizations.9999"},
		})
	}
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

// rules is an environment with ADMINISTRATORS.
func rules(all ...string) map[string]string {
	return map[string]string{"ADMINISTRATORS": strings.Join(all, ",")}
}

const id = "id:" + decisions.Account

// listsSecMaster is an answer that says that a service has trusted access.
var listsSecMaster = huaweitest.Fault{
	Status: 200, Body: []byte(`{"trusted_services":[{"service_principal":"service.SecMaster"}]}`),
}

var tables = []decisions.Table{
	{
		Title: "What the account administers",
		Rows: []decisions.Row{
			{
				Name: "nothing",
				Data: one, Want: "registered", Each: "registered", Calls: calls(reads, write), State: administers,
				WantState: "service.SecMaster", Built: true,
			},
			{
				Name: "nothing, and two services are wanted",
				Data: two, Want: "registered", Each: "registered, registered", Calls: calls(reads, write, write),
				State: administers, WantState: "service.SecMaster service.CTS",
			},
			{
				Name: "one of two wanted",
				Data: two, Cloud: delegates("service.SecMaster"), Want: "registered", Each: "unchanged, registered",
				Calls: calls(reads, write),
			},
			{
				Name: "both of two wanted",
				Data: two, Cloud: delegates("service.CTS", "service.SecMaster"),
				Want: "unchanged", Each: "unchanged, unchanged",
				Calls: delegated, Built: true,
			},
			{
				Name: "the wanted service, which stands on the last of three pages",
				Data: one, Want: "unchanged", Each: "unchanged", Calls: calls(delegated, delegated, delegated),
				Cloud: func(c *huaweitest.Cloud) {
					c.Delegate(decisions.Account,
						"service.A", "service.B", "service.C", "service.D", "service.SecMaster")
					c.PageSize(2)
				},
			},
			{
				Name: "nothing, as an audit found",
				Type: request, Data: one, Want: "registered", Each: "registered", Calls: calls(reads, write),
			},
			{
				Name: "one of two wanted, in a dry run",
				Data: dry(two), Cloud: delegates("service.CTS"), Want: "planned", Each: "planned, unchanged",
				Calls: reads, Built: true,
			},
		},
	},
	{
		Title: "Whether the account is there",
		Rows: []decisions.Row{
			{
				Name: "unknown, the event young",
				Data: one, Cloud: unknown(404), Want: "TransientError", Text: "is not ready in the organization",
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, the event from the future",
				Data: one, Age: -time.Hour, Cloud: unknown(409), Want: "TransientError", Text: "for reasons",
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, the event without a time",
				Data: one, Age: decisions.Timeless, Cloud: unknown(400), Want: "rejected",
				Each:  "rejected account_not_found",
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, the event old",
				Data: two, Age: time.Hour, Cloud: unknown(404), Want: "rejected",
				Each: "rejected account_not_found, rejected account_not_found", Text: "check the account id",
				Calls: calls(delegated, account), Built: true,
			},
			{
				Name: "unknown, the event exactly as old as may be",
				Data: one, Age: 15 * time.Minute, Cloud: unknown(404), Want: "rejected",
				Each:  "rejected account_not_found",
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, the event old by our clock, which is ahead, and young by Huawei Cloud's",
				Data: one, Age: time.Hour, Want: "TransientError", Text: "is not ready in the organization",
				Cloud: dated(account, "Fri, 31 Dec 1999 23:14:58 GMT"),
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, the event young by our clock, and old by Huawei Cloud's, which is ahead",
				Data: one, Want: "TransientError", Text: "is not ready in the organization",
				Cloud: dated(account, "Sat, 01 Jan 2000 01:00:00 GMT"),
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, the event old, in an answer without a `Date`",
				Data: one, Age: time.Hour, Want: "rejected", Each: "rejected account_not_found",
				Cloud: dated(account),
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, though an audit read it",
				Type: request, Data: one, Cloud: unknown(404), Want: "rejected", Each: "rejected account_not_found",
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, in a dry run",
				Data: dry(one), Age: time.Hour, Cloud: unknown(404), Want: "rejected",
				Each:  "rejected account_not_found",
				Calls: calls(delegated, account),
			},
			{
				Name: "unknown, and asking isn't allowed",
				Data: one, Age: time.Hour, Cloud: unknown(403), Want: "MisconfiguredError", Calls: delegated,
			},
			{
				Name: "suspended",
				Data: two, Cloud: status("suspended"), Want: "rejected",
				Each:  "rejected account_not_active, rejected account_not_active",
				Text:  "is suspended; only an active account can administer a service. suspended",
				Calls: calls(delegated, account), Built: true,
			},
			{
				Name: "suspended, in a dry run",
				Data: dry(one), Cloud: status("suspended"), Want: "rejected", Each: "rejected account_not_active",
				Calls: calls(delegated, account),
			},
			{
				Name: "read, but the answer is about another one",
				Data: one, Age: time.Hour, Want: "TransientError", Text: "not about the account",
				Cloud: decisions.Script(account, huaweitest.Fault{
					Status: 200, Times: huaweitest.Forever,
					Body: []byte(`{"account":{"id":"other","status":"active"}}`),
				}),
				Calls: calls(delegated, account, account, account, account),
			},
			{
				Name: "being closed",
				Data: one, Cloud: status("pending_closure"), Want: "rejected", Each: "rejected account_not_active",
				Calls: calls(delegated, account),
			},
			{
				Name: "suspended, and administers the service",
				Data: one, Cloud: all(status("suspended"), delegates("service.SecMaster")), Want: "unchanged",
				Each:  "unchanged",
				Calls: delegated,
			},
			{
				Name: "in a status that nobody documented, and refused, the event young",
				Data: one, Cloud: status("creating"), Want: "TransientError", Text: "is not ready",
				Calls: calls(reads, write, reads),
			},
			{
				Name: "in a status that nobody documented, and refused, the event young by Huawei Cloud's clock",
				Data: one, Age: time.Hour, Want: "TransientError", Text: "is not ready",
				Cloud: all(status("creating"), dated(write, "Fri, 31 Dec 1999 23:14:58 GMT")),
				Calls: calls(reads, write, reads),
			},
			{
				Name: "in a status that nobody documented, and refused, the event old",
				Data: one, Age: time.Hour, Cloud: status("creating"), Want: "rejected",
				Each: "rejected account_not_active",
				Text: "can administer a service. creating", Calls: calls(reads, write, delegated, account),
			},
			{
				Name: "in a status that nobody documented, and it works",
				Data: one, Cloud: status("verified"), After: account, Meanwhile: status("active"),
				Want: "registered", Each: "registered", Calls: calls(reads, write),
			},
		},
	},
	{
		Title: "Whether the services have trusted access",
		Rows: []decisions.Row{
			{
				Name: "one of two hasn't",
				Data: asking("service.Config", "service.SecMaster"), Cloud: known, Want: "MisconfiguredError",
				Text:  "enable trusted access for service.Config first",
				Calls: calls(reads, services, write), State: administers, WantState: "service.SecMaster", Built: true,
			},
			{
				Name: "one of two hasn't, in a dry run",
				Data: dry(asking("service.SecMaster", "service.Config")), Cloud: known, Want: "MisconfiguredError",
				Text: "enable trusted access for service.Config first", Calls: calls(reads, services),
			},
			{
				Name: "one of two hasn't, and writing the other fails",
				Data: asking("service.Config", "service.SecMaster"), Want: "MisconfiguredError",
				Text:  "enable trusted access for service.Config first; besides, make account " + decisions.Account,
				Calls: calls(reads, services, write, write, write, write),
				Cloud: all(known, decisions.Script(write, huaweitest.Fault{Status: 503, Times: huaweitest.Forever})),
			},
			{
				Name: "one of two hasn't, and writing the other is throttled",
				Data: asking("service.Config", "service.SecMaster"), Want: "TransientError", Text: "429 APIGW.0308",
				Calls: calls(reads, services, write),
				Cloud: all(known, decisions.Script(write, huaweitest.Fault{Status: 429, Code: "APIGW.0308"})),
				Built: true,
			},
			{
				Name: "one of two hasn't, and the other is rejected for good",
				Data: asking("service.Config", "service.SecMaster"), Age: time.Hour,
				Cloud: all(known, refuses(2, 400)),
				Want:  "MisconfiguredError", Text: "enable trusted access for service.Config first",
				Calls: calls(reads, services, write, reads, write, reads, others), State: administers,
			},
			{
				Name: "one of two doesn't exist",
				Data: asking("service.Config", "service.SecMaster"), Want: "rejected",
				Each: "rejected unknown_service, registered", Text: "knows no service service.Config",
				Calls: calls(reads, services, write), State: administers, WantState: "service.SecMaster", Built: true,
			},
			{
				Name: "one of two doesn't exist, in a dry run",
				Data: dry(asking("service.Config", "service.SecMaster")),
				Want: "rejected", Each: "rejected unknown_service, planned", Calls: calls(reads, services),
			},
			{
				Name: "it hasn't, and the list of services is empty, which proves nothing",
				Data: asking("service.Config"), Want: "MisconfiguredError",
				Text:  "enable trusted access for service.Config first",
				Calls: calls(reads, services),
				Cloud: decisions.Script(services,
					huaweitest.Fault{Status: 200, Body: []byte(`{"services":[]}`)}),
			},
		},
	},
	{
		Title: "When somebody changes the account before the write",
		Rows: []decisions.Row{
			{
				Name: "it is registered, and the write refused by a 400",
				Data: one, Cloud: already(400),
				After: trusted, Meanwhile: delegates("service.SecMaster"),
				Want: "unchanged", Each: "unchanged",
				Calls: calls(reads, write, delegated), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it is registered, and the write refused by a 404",
				Data: one, Cloud: already(404),
				After: trusted, Meanwhile: delegates("service.SecMaster"),
				Want: "unchanged", Each: "unchanged",
				Calls: calls(reads, write, delegated), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it is registered, and the write refused by a 409",
				Data: one, Cloud: already(409),
				After: trusted, Meanwhile: delegates("service.SecMaster"),
				Want: "unchanged", Each: "unchanged",
				Calls: calls(reads, write, delegated), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it is registered, and the write refused by a 403",
				Data: one, Cloud: already(403),
				After: trusted, Meanwhile: delegates("service.SecMaster"),
				Want:  "MisconfiguredError",
				Calls: calls(reads, write), State: administers, WantState: "service.SecMaster",
			},
			{
				Name:  "it is suspended",
				Data:  one,
				After: trusted, Meanwhile: status("suspended"),
				Want: "rejected", Each: "rejected account_not_active",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name:  "it is removed, the event young",
				Data:  one,
				After: trusted, Meanwhile: removed,
				Want:  "TransientError",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name: "it is removed, the event old",
				Data: one, Age: time.Hour,
				After: trusted, Meanwhile: removed,
				Want: "rejected", Each: "rejected account_not_found",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name: "it leaves a status that nobody documented, and is removed",
				Data: one, Age: time.Hour, Cloud: status("leaving"),
				After: trusted, Meanwhile: removed,
				Want: "rejected", Each: "rejected account_not_found",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name:  "one of two services loses its trusted access",
				Data:  two,
				After: trusted, Meanwhile: distrust("service.SecMaster"),
				Want: "MisconfiguredError", Text: "enable trusted access for service.SecMaster first",
				Calls: calls(reads, write, reads, services, write), State: administers, WantState: "service.CTS",
			},
			{
				Name: "a service without trusted access gets it",
				Data: asking("service.Config", "service.SecMaster"), Cloud: known,
				After: services, Meanwhile: trust("service.Config"),
				Want: "MisconfiguredError", Text: "enable trusted access for service.Config first",
				Calls: calls(reads, services, write), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it stops being what is wanted after the list was read",
				Data: one, Cloud: delegates("service.SecMaster"),
				After:     delegated,
				Meanwhile: func(c *huaweitest.Cloud) { c.Undelegate(decisions.Account, "service.SecMaster") },
				Want:      "unchanged", Each: "unchanged",
				Calls: calls(delegated), State: administers,
			},
		},
	},
	{
		Title: "When somebody changes the account after the write is refused",
		Rows: []decisions.Row{
			{
				Name: "it becomes active, the event young",
				Data: one, Cloud: status("creating"),
				After: write, Meanwhile: status("active"),
				Want: "TransientError", Text: "is not ready",
				Calls: calls(reads, write, reads), State: administers,
			},
			{
				Name: "it becomes active, the event old",
				Data: one, Age: time.Hour, Cloud: status("creating"),
				After: write, Meanwhile: status("active"),
				Want: "registered", Each: "registered",
				Calls: calls(reads, write, reads, write), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it is registered",
				Data: one, Age: time.Hour, Cloud: refuses(1, 400),
				After: write, Meanwhile: delegates("service.SecMaster"),
				Want: "unchanged", Each: "unchanged",
				Calls: calls(reads, write, delegated), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it is suspended",
				Data: one, Cloud: refuses(1, 400),
				After: write, Meanwhile: status("suspended"),
				Want: "rejected", Each: "rejected account_not_active", Text: "is suspended; only an active account",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name: "it is removed, the event young",
				Data: one, Cloud: refuses(1, 400),
				After: write, Meanwhile: removed,
				Want:  "TransientError",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name: "it is removed, the event old",
				Data: one, Age: time.Hour, Cloud: refuses(1, 409),
				After: write, Meanwhile: removed,
				Want: "rejected", Each: "rejected account_not_found",
				Calls: calls(reads, write, delegated, account), State: administers,
			},
			{
				Name: "the service loses its trusted access",
				Data: one, Age: time.Hour, Cloud: refuses(1, 400),
				After: write, Meanwhile: distrust("service.SecMaster"),
				Want: "MisconfiguredError", Text: "enable trusted access for service.SecMaster first",
				Calls: calls(reads, write, reads, services), State: administers,
			},
			{
				Name: "the service gets its trusted access, the event young",
				Data: one, Cloud: all(distrust("service.SecMaster"), decisions.Script(trusted, listsSecMaster)),
				After: write, Meanwhile: trust("service.SecMaster"),
				Want:  "TransientError",
				Calls: calls(reads, write, reads), State: administers,
			},
			{
				Name: "the service gets its trusted access, the event old",
				Data: one, Age: time.Hour,
				Cloud: all(distrust("service.SecMaster"), decisions.Script(trusted, listsSecMaster)),
				After: write, Meanwhile: trust("service.SecMaster"),
				Want: "registered", Each: "registered",
				Calls: calls(reads, write, reads, write), State: administers, WantState: "service.SecMaster",
			},
		},
	},
	{
		Title: "When a refusal isn't explained",
		Rows: []decisions.Row{
			{
				Name: "once, the event old",
				Data: one, Age: time.Hour, Cloud: refuses(1, 400), Want: "registered", Each: "registered",
				Calls: calls(reads, write, reads, write),
			},
			{
				Name: "once, the event young",
				Data: two, Cloud: refuses(1, 400), Want: "TransientError", Text: "Organizations.9999 for reasons",
				Calls: calls(reads, write, reads),
			},
			{
				Name: "once, though an audit asks",
				Type: request, Data: one, Cloud: refuses(1, 400), Want: "registered", Each: "registered",
				Calls: calls(reads, write, reads, write), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "twice, and then the next service works",
				Data: two, Age: time.Hour, Cloud: refuses(2, 400), Want: "rejected",
				Each:  "rejected refused, registered",
				Text:  "service.SecMaster: status 400 Organizations.9999 for reasons",
				Calls: calls(reads, write, reads, write, reads, others, write), State: administers,
				WantState: "service.CTS", Built: true,
			},
			{
				Name: "twice, and another account administers the service",
				Data: one, Age: time.Hour, Want: "rejected", Each: "rejected refused", Text: "for reasons  other",
				Calls: calls(reads, write, reads, write, reads, others),
				Cloud: all(refuses(2, 400), func(c *huaweitest.Cloud) {
					c.Delegate("third", "service.CTS")
					c.Delegate("other", "service.SecMaster")
				}),
			},
			{
				Name: "by a 409",
				Data: one, Age: time.Hour, Cloud: refuses(1, 409), Want: "TransientError",
				Text:  "409 Organizations.9999",
				Calls: calls(reads, write, reads),
			},
			{
				Name: "by a 403, which is not a refusal, and so the next service isn't tried",
				Data: two, Cloud: refuses(1, 403), Want: "MisconfiguredError",
				Text:  "of service.SecMaster: RegisterDelegatedAdministrator: status 403 Organizations.9999",
				Calls: calls(reads, write),
			},
		},
	},
	{
		Title: "When the event names the creation of the account",
		Rows: []decisions.Row{
			{
				Name: "it goes on",
				Data: creating, Age: time.Hour, Cloud: creates("in_progress", ""), Want: "TransientError",
				Text: "the creation car-0001 of an account is in_progress", Calls: creation,
			},
			{
				Name: "it succeeded",
				Data: `{"create_account_status_id":"car-0001","service_principal":"service.SecMaster"}`,
				Want: "registered", Each: "registered", Cloud: creates("succeeded", decisions.Account),
				Calls: calls(creation, reads, write), State: administers, WantState: "service.SecMaster",
			},
			{
				Name: "it failed",
				Data: creating, Cloud: creates("failed", ""), Want: "rejected creation_failed",
				Text:  "EMAIL_ALREADY_EXISTS",
				Calls: creation, Built: true,
			},
			{
				Name: "it is in a state that nobody documented",
				Data: creating, Cloud: creates("paused", ""), Want: "TransientError", Text: "is paused",
				Calls: creation,
			},
			{
				Name: "it is unknown, the event young",
				Data: creating, Want: "TransientError", Text: "not known yet", Calls: creation,
			},
			{
				Name: "it is unknown, the event old by our clock, which is ahead, and young by Huawei Cloud's",
				Data: creating, Age: time.Hour, Want: "TransientError", Text: "not known yet", Calls: creation,
				Cloud: dated(creation, "Fri, 31 Dec 1999 23:14:58 GMT"),
			},
			{
				Name: "it is unknown, the event old",
				Data: creating, Age: time.Hour, Want: "rejected account_not_found", Text: "check its id",
				Calls: creation,
			},
		},
	},
	{
		Title: "What the event asks for, and `ADMINISTRATORS` gives or not",
		Rows: []decisions.Row{
			{
				Name: "a service that they give, and one that they don't",
				Data: asking("service.SecMaster", "service.RAM"), Want: "rejected",
				Each:  "registered, rejected not_allowed",
				Text:  "ADMINISTRATORS doesn't make account " + decisions.Account + " an administrator of service.RAM.",
				Calls: calls(reads, write), State: administers, WantState: "service.SecMaster", Built: true,
			},
			{
				Name: "a service that they don't give",
				Data: asking("service.RAM"), Want: "rejected", Each: "rejected not_allowed",
			},
			{
				Name: "a service in another case",
				Data: asking("service.secmaster"), Want: "rejected", Each: "rejected not_allowed",
			},
			{
				Name: "a service that they don't give, by a request that isn't the audit's",
				Type: request, Data: asking("service.RAM"), Want: "rejected", Each: "rejected not_allowed",
			},
			{
				Name: "another account",
				Data: `{"account_id":"somebody"}`, Want: "skipped", State: administers, Built: true,
			},
			{
				Name: "another account and a service",
				Data: `{"account_id":"somebody","service_principal":"service.SecMaster"}`,
				Want: "rejected", Each: "rejected not_allowed",
			},
			{
				Name: "another account and a name, which is never believed",
				Data: `{"account_id":"somebody","account_name":"security","name":"security"}`, Want: "skipped",
			},
			{
				Name: "no account",
				Data: `{"service_principal":"x"}`, Want: "rejected invalid_data", Text: "account_id: is missing",
				Built: true,
			},
			{
				Name: "what isn't an account",
				Data: `{"account_id":"../x","service_principal":"x"}`, Want: "rejected invalid_data",
			},
			{
				Name: "what isn't a creation",
				Data: `{"create_account_status_id":"../x"}`, Want: "rejected invalid_data",
				Text: "create_account_status_id",
			},
			{
				Name: "an account and a creation",
				Data: `{"account_id":"a","create_account_status_id":"b"}`, Want: "rejected invalid_data",
				Text: "must not stand beside account_id",
			},
			{
				Name: "what isn't a service",
				Data: `{"account_id":"a","service_principal":"x y"}`, Want: "rejected invalid_data",
			},
			{
				Name: "an account that is null",
				Data: `{"account_id":null,"service_principal":"x"}`, Want: "rejected invalid_data",
			},
		},
	},
	{
		Title: "What `ADMINISTRATORS` gives, if the event names no service",
		Env:   rules("service.RAM=id:somebody", "service.SecMaster="+id, "service.CTS="+id),
		Rows: []decisions.Row{
			{
				Name: "two services",
				Data: bare, Want: "registered", Each: "registered, registered", Calls: calls(reads, write, write),
				State: administers, WantState: "service.SecMaster service.CTS",
			},
			{
				Name: "none, and nothing is read",
				Data: `{"account_id":"ordinary"}`,
				Want: "skipped",
			},
		},
	},
	{
		Title: "If a rule has the name of the account",
		Env:   rules("service.SecMaster=name:security", "service.CTS="+id),
		Rows: []decisions.Row{
			{
				Name: "it is the name",
				Data: bare, Cloud: named("security", false), Want: "registered", Each: "registered, registered",
				Calls: calls(account, delegated, trusted, write, write), State: administers,
				WantState: "service.SecMaster service.CTS",
			},
			{
				Name: "it is another name",
				Data: bare, Cloud: named("Security", false), Want: "registered", Each: "registered",
				Calls: calls(account, delegated, trusted, write), State: administers, WantState: "service.CTS",
			},
			{
				Name: "an invited account has the name",
				Data: bare, Cloud: named("security", true), Want: "registered", Each: "registered",
				Calls: calls(account, delegated, trusted, write), State: administers, WantState: "service.CTS",
			},
			{
				Name: "an invited account has the name, and the event names the service",
				Data: one, Cloud: named("security", true), Want: "rejected", Each: "rejected not_allowed",
				Calls: account,
				State: administers,
			},
			{
				Name: "the account had the name, and was renamed",
				Data: one, Cloud: all(named("security", false), named("retired", false)),
				Want: "rejected", Each: "rejected not_allowed", Calls: account, State: administers,
			},
			{
				Name: "the event says the name",
				Data: strings.Replace(one, "{", `{"account_name":"security","name":"security",`, 1),
				Want: "rejected", Each: "rejected not_allowed", Calls: account, State: administers,
			},
			{
				Name: "the name doesn't matter for what the event names",
				Data: asking("service.CTS"), Want: "registered", Each: "registered", Calls: calls(reads, write),
			},
			{
				Name: "all is registered",
				Data: one, Cloud: all(named("security", false), delegates("service.SecMaster")),
				Want: "unchanged", Each: "unchanged", Calls: calls(account, delegated),
			},
			{
				Name: "the account is suspended",
				Data: one, Cloud: all(named("security", false), status("suspended")),
				Want: "rejected", Each: "rejected account_not_active", Calls: calls(account, delegated),
			},
			{
				Name: "the account is unknown, the event young",
				Data: bare, Cloud: unknown(404), Want: "TransientError", Text: "is not ready", Calls: account,
			},
			{
				Name: "the account is unknown, the event old",
				Data: bare, Age: time.Hour, Cloud: unknown(404), Want: "rejected account_not_found", Calls: account,
				Built: true,
			},
			{
				Name: "the creation made an account that is unknown, the event old",
				Data: creating, Age: time.Hour, Cloud: creates("succeeded", decisions.Account), After: creation,
				Meanwhile: removed, Want: "rejected account_not_found", Text: "of account " + decisions.Account,
				Calls: calls(creation, account),
			},
			{
				Name: "the account may not be read",
				Data: bare, Want: "MisconfiguredError", Text: "403", Calls: account,
				Cloud: decisions.Script(account, huaweitest.Fault{Status: 403}),
			},
		},
	},
	{
		Title: "If `SERVICE_PRINCIPALS` names a service, and the event decides about the account",
		Env:   map[string]string{"SERVICE_PRINCIPALS": "service.SecMaster"},
		Rows: []decisions.Row{
			{
				Name: "the event names no service, and the bound is not a default",
				Data: bare, Want: "skipped", State: administers,
			},
			{
				Name: "the event names one that is allowed",
				Data: one, Want: "registered", Each: "registered", Calls: calls(reads, write),
			},
			{
				Name: "the event names one that isn't",
				Data: two, Want: "rejected", Each: "registered, rejected not_allowed", Calls: calls(reads, write),
				Text: "SERVICE_PRINCIPALS doesn't allow service.CTS.", State: administers,
				WantState: "service.SecMaster",
			},
			{
				Name: "the event names one in another case",
				Data: asking("service.secmaster"), Want: "rejected", Each: "rejected not_allowed",
			},
		},
	},
	{
		Title: "If `SERVICE_PRINCIPALS` is `*`",
		Env:   map[string]string{"SERVICE_PRINCIPALS": "*"},
		Rows: []decisions.Row{
			{
				Name: "the event names services",
				Data: two, Want: "registered", Each: "registered, registered", Calls: calls(reads, write, write),
			},
			{
				Name: "the event names none",
				Data: bare, Want: "skipped",
			},
		},
	},
	{
		Title: "Without any bound, as no function starts",
		Env:   map[string]string{},
		Rows: []decisions.Row{
			{
				Name: "the event names services",
				Data: two, Want: "rejected", Each: "rejected not_allowed, rejected not_allowed",
			},
		},
	},
}

var (
	registered = decisions.End{Want: "registered", Each: "registered", State: "service.SecMaster"}
	unchanged  = decisions.End{Want: "unchanged", Each: "unchanged", Calls: delegated, State: "service.SecMaster"}
	notFound   = decisions.End{Want: "rejected", Each: "rejected account_not_found"}
	refused    = decisions.End{Want: "rejected", Each: "rejected refused"}
	untrusted  = decisions.End{Want: "MisconfiguredError", Text: "enable trusted access for service.SecMaster first"}

	young = decisions.Row{Data: one, State: administers}
	old   = decisions.Row{Data: one, Age: time.Hour, State: administers}

	// Each of these is refused once, and nothing but what is read then may explain it.
	youngOnce = decisions.Row{Data: one, Cloud: refuses(1, 400), State: administers}
	oldOnce   = decisions.Row{Data: one, Age: time.Hour, Cloud: refuses(1, 400), State: administers}
)

// then is an end after more calls.
func then(end decisions.End, all ...string) decisions.End {
	end.Calls = calls(all...)
	return end
}

var apiCalls = []decisions.Call{
	{
		Call: creation, When: "for a young event",
		Row: decisions.Row{Data: creating, Cloud: creates("succeeded", "somebody")},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: {Want: "skipped"},
		},
	},
	{
		Call: creation, When: "for an old event",
		Row: decisions.Row{Data: creating, Age: time.Hour, Cloud: creates("succeeded", "somebody")},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   {Want: "skipped"},
			decisions.Refused: {Want: "rejected account_not_found"},
		},
	},
	{
		Call: delegated, Row: old,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   then(registered, account, trusted, write),
			decisions.Refused: then(registered, account, trusted, write),
		},
	},
	{
		Call: account, When: "for a young event", Before: delegated, Row: young,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: then(registered, trusted, write),
		},
	},
	{
		Call: account, When: "for an old event", Before: delegated, Row: old,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   then(registered, trusted, write),
			decisions.Refused: notFound,
		},
	},
	{
		Call: trusted, Before: calls(delegated, account), Row: old,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: then(registered, write),
		},
	},
	{
		Call: services, When: "for a service without trusted access", Before: reads,
		Row: decisions.Row{Data: one, Age: time.Hour, Cloud: distrust("service.SecMaster"), State: administers},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   untrusted,
			decisions.Refused: untrusted,
		},
	},
	{
		Call: write, When: "for a young event", Before: reads, Row: young,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   registered,
			decisions.Lost:    unchanged,
			decisions.Refused: {Want: "TransientError", Calls: reads},
		},
	},
	{
		Call: write, When: "for an old event", Before: reads, Row: old,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    registered,
			decisions.Lost:     unchanged,
			decisions.Refused:  then(refused, reads, write, reads, others),
			decisions.Conflict: {Want: "TransientError", Calls: reads},
		},
	},
	{
		Call: delegated, When: "after a refusal", Before: calls(reads, write), Row: oldOnce,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   then(registered, account, trusted, write),
			decisions.Refused: then(registered, account, trusted, write),
		},
	},
	{
		Call: account, When: "after a refusal, for a young event", Before: calls(reads, write, delegated),
		Row: youngOnce,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: {Want: "TransientError", Calls: trusted},
		},
	},
	{
		Call: account, When: "after a refusal, for an old event", Before: calls(reads, write, delegated), Row: oldOnce,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   then(registered, trusted, write),
			decisions.Refused: notFound,
		},
	},
	{
		Call: trusted, When: "after a refusal", Before: calls(reads, write, delegated, account), Row: oldOnce,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: then(registered, write),
		},
	},
	{
		Call: services, When: "after a refusal, for a service that lost its trusted access",
		Before: calls(reads, write, reads),
		Row: decisions.Row{
			Data: one, Age: time.Hour, State: administers, After: write, Meanwhile: distrust("service.SecMaster"),
			Cloud: refuses(1, 400),
		},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   untrusted,
			decisions.Refused: untrusted,
		},
	},
	{
		Call: write, When: "once more", Before: calls(reads, write, reads), Scripted: 1, Row: oldOnce,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    registered,
			decisions.Lost:     unchanged,
			decisions.Refused:  then(refused, reads, others),
			decisions.Conflict: {Want: "TransientError", Calls: reads},
		},
	},
	{
		Call: others, When: "after two refusals", Before: calls(reads, write, reads, write, reads),
		Row:  decisions.Row{Data: one, Age: time.Hour, Cloud: refuses(2, 400), State: administers},
		Ends: decisions.Any(refused),
	},
	{
		Call: account, When: "for its name, and a young event",
		Row: decisions.Row{Data: bare, Cloud: named("security", false), State: administers},
		Env: rules("service.SecMaster=name:security"),
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: then(registered, delegated, trusted, write),
		},
	},
	{
		Call: account, When: "for its name, and an old event",
		Row: decisions.Row{Data: bare, Age: time.Hour, Cloud: named("security", false), State: administers},
		Env: rules("service.SecMaster=name:security"),
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   then(registered, delegated, trusted, write),
			decisions.Refused: {Want: "rejected account_not_found"},
		},
	},
}

func TestDecisions(t *testing.T) { //nolint:paralleltest // takes all lines that are logged
	decisions.Run(t, decisions.Function[config]{
		Type: "account.created", Env: rules("service.SecMaster="+id, "service.CTS="+id, "service.Config="+id),
		Tables: tables, Calls: apiCalls,
		Words: map[string]string{
			creation: "creation", delegated: "administered", account: "account", trusted: "trusted",
			services: "services", write: "**write**", others: "administrators",
		},
		Build: func(api *client.Client, c config) handler.Function {
			f := function{api, c.Rules, c.Allowed, c.ReadyWithin}
			return handler.NewFunction(events.AccountCreatedInput(), f.register)
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
