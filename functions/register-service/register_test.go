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

	trustedPath  = "/v1/organizations/trusted-services"
	servicesPath = "/v1/organizations/services"
	writePath    = "/v1/organizations/trusted-services/enable"

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

func answers(method, path string, faults ...huaweitest.Fault) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Script(method, path, faults...) }
}

func refuses(times, status int) func(*huaweitest.Cloud) {
	return answers("POST", writePath, huaweitest.Fault{
		Times: times, Status: status, Code: "Organizations.9999", Message: "for reasons",
	})
}

// raced is a cloud in which the service was trusted just after it was read that it isn't.
func raced(c *huaweitest.Cloud) {
	c.TrustService("service.Config")
	c.Script("GET", trustedPath, huaweitest.Fault{Status: 200, Body: []byte(`{"trusted_services":[]}`)})
}

var rows = map[string]decisions.Row{
	"nothing is trusted": {
		Data: one, Cloud: known(), Want: "registered", Each: "registered",
		Calls: calls(trusted, services, write), State: trusts, WantState: "service.Config",
	},
	"two services, nothing is trusted": {
		Data: two, Cloud: known(), Want: "registered", Each: "registered, registered",
		Calls: calls(trusted, services, write, write), State: trusts, WantState: "service.Config service.RAM",
	},
	"one of two is trusted": {
		Data: two, Cloud: known(trust("service.Config")), Want: "registered", Each: "unchanged, registered",
		Calls: calls(trusted, services, write),
	},
	"all is trusted": {
		Data: two, Cloud: known(trust("service.RAM", "service.Config")),
		Want: "unchanged", Each: "unchanged, unchanged",
		Calls: trusted,
	},
	"a dry run, one of two is trusted": {
		Data: strings.Replace(two, "{", `{"dry_run":true,`, 1), Cloud: known(trust("service.Config")),
		Want: "planned", Each: "unchanged, planned", Calls: calls(trusted, services),
	},
	"one of two doesn't exist": {
		Data: `{"service_principals":["service.config","service.RAM"]}`, Cloud: known(),
		Want: "rejected", Each: "rejected unknown_service, registered", Text: "knows no service service.config",
		Calls: calls(trusted, services, write), State: trusts, WantState: "service.RAM",
	},
	"a dry run, and it doesn't exist": {
		Data: `{"dry_run":true,"service_principals":["service.config"]}`, Cloud: known(),
		Want: "rejected", Each: "rejected unknown_service", Calls: calls(trusted, services),
	},
	"the list of services is empty, which proves nothing": {
		Data: one, Want: "registered", Each: "registered", Calls: calls(trusted, services, write),
		Cloud: known(answers("GET", servicesPath, huaweitest.Fault{Status: 200, Body: []byte(`{"services":[]}`)})),
	},
	"the list of services is refused, which proves nothing": {
		Data: one, Want: "registered", Each: "registered", Calls: calls(trusted, services, write),
		Cloud: known(answers("GET", servicesPath, huaweitest.Fault{Status: 400, Code: "Organizations.9999"})),
	},
	"the list of services may not be read": {
		Data: one, Want: "MisconfiguredError", Text: "403", Calls: calls(trusted, services),
		Cloud: known(answers("GET", servicesPath, huaweitest.Fault{Status: 403, Code: "Organizations.1007"})),
	},
	"every call is answered by a success that says nothing": {
		Data: one, Want: "TransientError", Text: "it has no list of trusted_services",
		Calls: calls(trusted, trusted, trusted, trusted),
		Cloud: answers("", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"status":"ok"}`), Times: huaweitest.Forever,
		}),
	},
	"what is trusted can't be read": {
		Data: one, Want: "TransientError", Text: "503", Calls: calls(trusted, trusted, trusted, trusted),
		Cloud: known(answers("GET", trustedPath, huaweitest.Fault{Status: 503, Times: huaweitest.Forever})),
	},

	"trusted between read and write": {
		Data: one, Cloud: known(raced), Want: "unchanged", Each: "unchanged",
		Calls: calls(trusted, services, write, trusted),
	},
	"the write worked, and its answer was lost": {
		Data: one, Want: "unchanged", Each: "unchanged", Calls: calls(trusted, services, write, write, trusted),
		Cloud: known(answers("POST", writePath, huaweitest.Fault{When: huaweitest.AfterWrite, Reset: true})),
	},
	"refused once by a 400, and nothing explains it": {
		Data: one, Cloud: known(refuses(1, 400)), Want: "registered", Each: "registered",
		Calls: calls(trusted, services, write, trusted, write),
	},
	"refused twice": {
		Data: two, Cloud: known(refuses(2, 400)), Want: "rejected", Each: "rejected refused, registered",
		Text:  "enable trusted access for service.Config: status 400 Organizations.9999 for reasons",
		Calls: calls(trusted, services, write, trusted, write, trusted, write), State: trusts, WantState: "service.RAM",
	},
	"refused by a 409, and it isn't trusted": {
		Data: one, Cloud: known(refuses(1, 409)), Want: "TransientError", Text: "409 Organizations.9999",
		Calls: calls(trusted, services, write, trusted),
	},
	"refused by a 403": {
		Data: two, Cloud: known(refuses(1, 403)), Want: "MisconfiguredError",
		Text: "enable trusted access for service.Config: " +
			"EnableTrustedService: status 403 Organizations.9999 for reasons",
		Calls: calls(trusted, services, write),
	},

	"the event names no service":         {Data: `{"region_id":"cn-north-4"}`, Want: "skipped"},
	"the event names a service wrongly":  {Data: `{"service_principals":["a b"]}`, Want: "rejected invalid_data"},
	"the event names the region wrongly": {Data: `{"region_id":5}`, Want: "skipped"},
	"the event names what isn't a list":  {Data: `{"service_principals":"a"}`, Want: "rejected invalid_data"},
	"the event names more than 20": {
		Data: `{"service_principals":[` + numbered(21) + `]}`, Want: "rejected invalid_data", Text: "more than 20",
	},
	"a field of another event is ignored":   {Data: `{"service_principal":"service.Config"}`, Want: "skipped"},
	"the data of the event isn't an object": {Data: `[]`, Want: "rejected invalid_data"},
}

func numbered(n int) string {
	var names strings.Builder
	for i := range n {
		names.WriteString(`"service.` + string(rune('A'+i)) + `",`)
	}
	return strings.TrimSuffix(names.String(), ",")
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	decisions.Run(t, "org.bootstrap", func(api *client.Client) handler.Function {
		f := newFunction(api, register.Trusted{Services: register.Principals{Any: true}})
		return handler.NewFunction(events.BootstrapServicesInput(), f.register)
	}, rows)
}

func TestDecisionsWithinABound(t *testing.T) {
	t.Parallel()
	decisions.Run(t, "org.bootstrap", func(api *client.Client) handler.Function {
		bound := register.Principals{Names: []events.ServicePrincipal{"service.Config"}}
		f := newFunction(api, register.Trusted{Services: bound})
		return handler.NewFunction(events.BootstrapServicesInput(), f.register)
	}, map[string]decisions.Row{
		"the event names no service": {
			Data: `{}`, Cloud: known(), Want: "registered", Each: "registered", Calls: calls(trusted, services, write),
		},
		"the event names the service": {
			Data: one, Cloud: known(), Want: "registered", Each: "registered", Calls: calls(trusted, services, write),
		},
		"the event names one that isn't allowed": {
			Data: two, Cloud: known(), Want: "rejected", Each: "registered, rejected not_allowed",
			Text:  "Neither TRUSTED_SERVICES nor ADMINISTRATORS names service.RAM.",
			Calls: calls(trusted, services, write),
			State: trusts, WantState: "service.Config",
		},
		"the event names only what isn't allowed": {
			Data: `{"service_principals":["service.RAM"]}`, Cloud: known(),
			Want: "rejected", Each: "rejected not_allowed",
		},
		"an audit found that the service is missing": {
			Type: "org.service.missing", Data: one, Cloud: known(), Want: "registered", Each: "registered",
			Calls: calls(trusted, services, write),
		},
		"an audit asks for what isn't allowed": {
			Type: "org.service.missing", Data: `{"service_principals":["service.RAM"]}`, Cloud: known(),
			Want: "rejected", Each: "rejected not_allowed",
		},
	})
}

func TestDecisionsByTheServicesThatHaveAnAdministrator(t *testing.T) {
	t.Parallel()
	rules := register.Administrators{{ServicePrincipal: "service.Config", AccountID: decisions.Account}}
	rows := map[string]decisions.Row{
		"the event names no service": {
			Data: `{}`, Cloud: known(), Want: "registered", Each: "registered", Calls: calls(trusted, services, write),
		},
		"the event names one without an administrator": {
			Data: `{"service_principals":["service.RAM"]}`, Cloud: known(), Want: "rejected",
			Each: "rejected not_allowed",
		},
	}
	decisions.Run(t, "org.bootstrap", func(api *client.Client) handler.Function {
		f := newFunction(api, register.Trusted{Administrators: rules})
		return handler.NewFunction(events.BootstrapServicesInput(), f.register)
	}, rows)
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
