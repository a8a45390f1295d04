package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"registrar/internal/decisions"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	trusted  = "GET trusted-services"
	services = "GET services"
	write    = "POST trusted-services/enable"

	one = `{"service_principals":["service.Config"]}`
	two = `{"service_principals":["service.Config","service.RAM"]}`
)

func calls(all ...string) string { return strings.Join(all, ", ") }

// trusts are the services with trusted access, besides those that every row begins with.
func trusts(c *huaweitest.Cloud) string {
	all := c.Trusted()
	for usual := range strings.FieldsSeq(decisions.Trusted) {
		all = slices.DeleteFunc(all, func(principal string) bool { return principal == usual })
	}
	return strings.Join(all, " ")
}

// known is a cloud with the services of the rows, of which none is trusted, and what else happens
// in it.
func known(more ...func(*huaweitest.Cloud)) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.AddService("service.Config", "service.RAM")
		for _, f := range more {
			f(c)
		}
	}
}

func trust(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.TrustService(principals...) }
}

func distrust(principals ...string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Distrust(principals...) }
}

func refuses(times, status int) func(*huaweitest.Cloud) {
	return decisions.Script(write, huaweitest.Fault{
		Times: times, Status: status, Code: "Organizations.9999", Message: "for reasons",
	})
}

var tables = []decisions.Table{
	{Title: "Which services have trusted access", Rows: []decisions.Row{
		{
			Name: "not the wanted one",
			Data: one, Cloud: known(), Want: "registered", Each: "registered",
			Calls: calls(trusted, services, write), State: trusts, WantState: "service.Config", Built: true,
		},
		{
			Name: "none of two",
			Data: two, Cloud: known(), Want: "registered", Each: "registered, registered",
			Calls: calls(trusted, services, write, write), State: trusts, WantState: "service.Config service.RAM",
		},
		{
			Name: "one of two",
			Data: two, Cloud: known(trust("service.Config")), Want: "registered", Each: "unchanged, registered",
			Calls: calls(trusted, services, write),
		},
		{
			Name: "both",
			Data: two, Cloud: known(trust("service.RAM", "service.Config")),
			Want: "unchanged", Each: "unchanged, unchanged", Calls: trusted, Built: true,
		},
		{
			Name: "both, and the second stands on the third page of the list",
			Data: two, Want: "unchanged", Each: "unchanged, unchanged", Calls: calls(trusted, trusted, trusted),
			Cloud: known(trust("service.Config", "service.A", "service.RAM"),
				func(c *huaweitest.Cloud) { c.PageSize(2) }),
		},
		{
			Name: "one of two, in a dry run",
			Data: strings.Replace(two, "{", `{"dry_run":true,`, 1), Cloud: known(trust("service.Config")),
			Want: "planned", Each: "unchanged, planned", Calls: calls(trusted, services),
			State: trusts, WantState: "service.Config", Built: true,
		},
	}},
	{Title: "Which services there are", Rows: []decisions.Row{
		{
			Name: "one of two",
			Data: `{"service_principals":["service.config","service.RAM"]}`, Cloud: known(),
			Want: "rejected", Each: "rejected unknown_service, registered", Text: "knows no service service.config",
			Calls: calls(trusted, services, write), State: trusts, WantState: "service.RAM", Built: true,
		},
		{
			Name: "not the wanted one, in a dry run",
			Data: `{"dry_run":true,"service_principals":["service.config"]}`, Cloud: known(),
			Want: "rejected", Each: "rejected unknown_service", Calls: calls(trusted, services),
		},
		{
			Name: "none, by an empty list, which proves nothing",
			Data: one, Want: "registered", Each: "registered", Calls: calls(trusted, services, write),
			Cloud: known(decisions.Script(services,
				huaweitest.Fault{Status: 200, Body: []byte(`{"services":[]}`)})),
		},
	}},
	{Title: "When the services change meanwhile", Rows: []decisions.Row{
		{
			Name: "somebody trusts it before the write",
			Data: one, Cloud: known(), After: services, Meanwhile: trust("service.Config"),
			Want: "unchanged", Each: "unchanged", Calls: calls(trusted, services, write, trusted),
		},
		{
			Name: "somebody trusts it after the write is refused",
			Data: one, Cloud: known(refuses(1, 409)), After: write, Meanwhile: trust("service.Config"),
			Want: "unchanged", Each: "unchanged", Calls: calls(trusted, services, write, trusted),
		},
		{
			Name: "somebody trusts the second of two while the first is written",
			Data: two, Cloud: known(), After: write, Meanwhile: trust("service.RAM"),
			Want: "registered", Each: "registered, unchanged", Calls: calls(trusted, services, write, write, trusted),
		},
		{
			Name: "somebody distrusts it after it was read",
			Data: one, Cloud: known(trust("service.Config")), After: trusted, Meanwhile: distrust("service.Config"),
			Want: "unchanged", Each: "unchanged", Calls: trusted,
		},
		{
			Name: "refused once by a 400, and nothing explains it",
			Data: one, Cloud: known(refuses(1, 400)), Want: "registered", Each: "registered",
			Calls: calls(trusted, services, write, trusted, write), State: trusts, WantState: "service.Config",
		},
		{
			Name: "the first of two is refused twice",
			Data: two, Cloud: known(refuses(2, 400)), Want: "rejected", Each: "rejected refused, registered",
			Text:  "enable trusted access for service.Config: status 400 Organizations.9999 for reasons",
			Calls: calls(trusted, services, write, trusted, write, trusted, write),
			State: trusts, WantState: "service.RAM", Built: true,
		},
	}},
	{Title: "Failures", Rows: []decisions.Row{
		{
			Name: "the first of two may not be written, and so the second isn't tried",
			Data: two, Cloud: known(refuses(1, 403)), Want: "MisconfiguredError",
			Text: "enable trusted access for service.Config: " +
				"EnableTrustedService: status 403 Organizations.9999 for reasons",
			Calls: calls(trusted, services, write), State: trusts, Built: true,
		},
		{
			Name: "the second of two is throttled, after the first was written",
			Data: two, Want: "TransientError", Calls: calls(trusted, services, write, write),
			Text: "enable trusted access for service.RAM: EnableTrustedService: status 429 APIGW.0308",
			Cloud: known(decisions.Script(write,
				huaweitest.Fault{Skip: 1, Status: 429, Code: "APIGW.0308"})),
			State: trusts, WantState: "service.Config", Built: true,
		},
		{
			Name: "the read after a refusal fails, and the refusal is told as well",
			Data: one, Cloud: known(refuses(1, 400)), After: write,
			Meanwhile: decisions.Script(trusted, huaweitest.Fault{Status: 403}),
			Want:      "MisconfiguredError", Text: "Organizations.9999",
			Calls: calls(trusted, services, write, trusted),
		},
	}},
	{Title: "What the event asks for, if `TRUSTED_SERVICES` is `*`", Rows: []decisions.Row{
		{Name: "no service", Data: `{"region_id":"cn-north-4"}`, Want: "skipped", Built: true},
		{
			Name: "what isn't a service",
			Data: `{"service_principals":["a b"]}`, Want: "rejected invalid_data", Built: true,
		},
		{Name: "what isn't a region, which doesn't matter", Data: `{"region_id":5}`, Want: "skipped"},
		{Name: "what isn't a list", Data: `{"service_principals":"a"}`, Want: "rejected invalid_data"},
		{
			Name: "more than 20 services",
			Data: `{"service_principals":[` + numbered(21) + `]}`, Want: "rejected invalid_data", Text: "more than 20",
		},
		{
			Name: "a service, by a field of another event",
			Data: `{"service_principal":"service.Config"}`, Want: "skipped",
		},
		{Name: "nothing that is an object", Data: `[]`, Want: "rejected invalid_data"},
	}},
	{
		Title: "What the event asks for, if `TRUSTED_SERVICES` names a service",
		Env:   map[string]string{"TRUSTED_SERVICES": "service.Config"},
		Rows: []decisions.Row{
			{
				Name: "no service",
				Data: `{}`, Cloud: known(), Want: "registered", Each: "registered",
				Calls: calls(trusted, services, write),
			},
			{
				Name: "that service",
				Data: one, Cloud: known(), Want: "registered", Each: "registered",
				Calls: calls(trusted, services, write),
			},
			{
				Name: "that service and another one",
				Data: two, Cloud: known(), Want: "rejected", Each: "registered, rejected not_allowed",
				Text:  "Neither TRUSTED_SERVICES nor ADMINISTRATORS names service.RAM.",
				Calls: calls(trusted, services, write), State: trusts, WantState: "service.Config", Built: true,
			},
			{
				Name: "only another one",
				Data: `{"service_principals":["service.RAM"]}`, Cloud: known(),
				Want: "rejected", Each: "rejected not_allowed",
			},
			{
				Name: "that service, which an audit found to be missing",
				Type: "org.service.missing", Data: one, Cloud: known(), Want: "registered", Each: "registered",
				Calls: calls(trusted, services, write),
			},
			{
				Name: "another one, by a request that isn't the audit's",
				Type: "org.service.missing", Data: `{"service_principals":["service.RAM"]}`, Cloud: known(),
				Want: "rejected", Each: "rejected not_allowed",
			},
		},
	},
	{
		Title: "What the event asks for, if `ADMINISTRATORS` alone names a service",
		Env:   map[string]string{"ADMINISTRATORS": "service.Config=id:" + decisions.Account},
		Rows: []decisions.Row{
			{
				Name: "no service, so that one is meant",
				Data: `{}`, Cloud: known(), Want: "registered", Each: "registered",
				Calls: calls(trusted, services, write),
			},
			{
				Name: "another one, which has no administrator",
				Data: `{"service_principals":["service.RAM"]}`, Cloud: known(), Want: "rejected",
				Each: "rejected not_allowed",
			},
		},
	},
}

func numbered(n int) string {
	var names strings.Builder
	for i := range n {
		names.WriteString(`"service.` + string(rune('A'+i)) + `",`)
	}
	return strings.TrimSuffix(names.String(), ",")
}

var (
	registered = decisions.End{Want: "registered", Each: "registered", State: "service.Config"}
	unchanged  = decisions.End{Want: "unchanged", Each: "unchanged", Calls: trusted, State: "service.Config"}

	// once is a cloud that refuses the first write.
	once = decisions.Row{Data: one, Cloud: known(refuses(1, 400)), State: trusts}
)

var apiCalls = []decisions.Call{
	{
		Call: trusted, Row: decisions.Row{Data: one, Cloud: known(), State: trusts},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: {
				Want: "registered", Each: "registered", Calls: calls(services, write),
				State: "service.Config",
			},
		},
	},
	{
		Call: services, Before: trusted, Row: decisions.Row{Data: one, Cloud: known(), State: trusts},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:   {Want: "registered", Each: "registered", Calls: write, State: "service.Config"},
			decisions.Refused: {Want: "registered", Each: "registered", Calls: write, State: "service.Config"},
		},
	},
	{
		Call: write, Before: calls(trusted, services),
		Row: decisions.Row{Data: one, Cloud: known(), State: trusts},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    registered,
			decisions.Lost:     unchanged,
			decisions.Refused:  {Want: "rejected", Each: "rejected refused", Calls: calls(trusted, write, trusted)},
			decisions.Conflict: {Want: "TransientError", Calls: trusted},
		},
	},
	{
		Call: trusted, When: "after a refusal", Before: calls(trusted, services, write), Row: once,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works: {Want: "registered", Each: "registered", Calls: write, State: "service.Config"},
		},
	},
	{
		Call: write, When: "once more", Before: calls(trusted, services, write, trusted), Scripted: 1, Row: once,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    registered,
			decisions.Lost:     unchanged,
			decisions.Refused:  {Want: "rejected", Each: "rejected refused", Calls: trusted},
			decisions.Conflict: {Want: "TransientError", Calls: trusted},
		},
	},
}

func TestDecisions(t *testing.T) { //nolint:paralleltest // takes all lines that are logged
	decisions.Run(t, decisions.Function[config]{
		Type: "org.bootstrap", Env: map[string]string{"TRUSTED_SERVICES": "*"}, Tables: tables, Calls: apiCalls,
		Words: map[string]string{trusted: "trusted", services: "services", write: "**write**"},
		Build: func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.BootstrapServicesInput(), newFunction(api, c.Trusted).register)
		},
	})
}

func TestABoundIsNeverMissingSilently(t *testing.T) {
	t.Parallel()
	rules := register.Administrators{{ServicePrincipal: "service.Config", AccountID: decisions.Account}}
	require.ErrorContains(t, config{}.Validate(), "TRUSTED_SERVICES: is not set, and neither is ADMINISTRATORS")
	require.NoError(t, config{register.Trusted{Services: register.Principals{Any: true}}}.Validate())
	require.NoError(t, config{register.Trusted{Administrators: rules}}.Validate())
	require.EqualError(t, config{register.Trusted{
		Administrators: rules, Services: register.Principals{Names: []events.ServicePrincipal{"service.RAM"}},
	}}.Validate(), "TRUSTED_SERVICES: lacks service.Config, which ADMINISTRATORS needs")
}
