package frontdoor

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// bare is an event for each function, which names nothing but the account.
var bare = map[string]string{
	"register-region":    input("org.bootstrap", `{}`, ""),
	"register-service":   input("org.service.missing", `{}`, ""),
	"register-admin":     input("account.admin.missing", `{"account_id":"`+account+`"}`, ""),
	"audit-organization": input("org.audit", `{}`, ""),
}

// withoutBounds are the variables of a stage that say what events may ask for, unset.
var withoutBounds = map[string]string{
	"REGION_ID": "", "TRUSTED_SERVICES": "", "ADMINISTRATORS": "", "SERVICE_PRINCIPALS": "",
}

func TestABoundIsNeverMissingSilently(t *testing.T) {
	t.Parallel()
	const rule = secMaster + "=id:" + account
	for name, c := range map[string]struct {
		function string
		env      map[string]string // beside withoutBounds
		want     []string          // what the error says, each at the beginning of a line
	}{
		"no region": {"register-region", map[string]string{"ADMINISTRATORS": rule}, []string{
			"REGION_ID: is not set; name the region that events may ask for, or * for any",
		}},
		"no services": {"register-service", map[string]string{"REGION_ID": "*", "SERVICE_PRINCIPALS": "*"}, []string{
			"TRUSTED_SERVICES: is not set, and neither is ADMINISTRATORS; ",
		}},
		"no administrators": {"register-admin", map[string]string{"TRUSTED_SERVICES": "*"}, []string{
			"ADMINISTRATORS: is not set; say which account administers what, " +
				"such as service.SecMaster=id:<account id>. If your events choose the accounts, " +
				"set SERVICE_PRINCIPALS instead: the services that they may name",
		}},
		"a bound that can't be read isn't also missing": {
			"register-admin", map[string]string{"SERVICE_PRINCIPALS": "a b"}, []string{
				`SERVICE_PRINCIPALS: "a b" is not a service principal`,
			},
		},
		"nothing to audit": {
			"audit-organization",
			map[string]string{"REGION_ID": "*", "TRUSTED_SERVICES": "*", "SERVICE_PRINCIPALS": "*"},
			[]string{"ADMINISTRATORS: is not set; say which account administers what, "},
		},
		"blank administrators": {"audit-organization", map[string]string{"ADMINISTRATORS": " "}, []string{
			"ADMINISTRATORS: is not set; ",
		}},
		"two bounds of administrators": {
			"register-admin", map[string]string{"ADMINISTRATORS": rule, "SERVICE_PRINCIPALS": secMaster}, []string{
				"SERVICE_PRINCIPALS: must not be set together with ADMINISTRATORS, ",
			},
		},
		"two bounds of administrators, one of them *": {
			"register-admin", map[string]string{"ADMINISTRATORS": rule, "SERVICE_PRINCIPALS": "*"}, []string{
				"SERVICE_PRINCIPALS: must not be set together with ADMINISTRATORS, ",
			},
		},
		"administrators of services that aren't trusted": {
			"register-service",
			map[string]string{
				"ADMINISTRATORS": rule + ",service.A=name:ops,service.B=name:ops", "TRUSTED_SERVICES": "service.A",
			},
			[]string{
				"TRUSTED_SERVICES: lacks service.SecMaster, which ADMINISTRATORS needs",
				"TRUSTED_SERVICES: lacks service.B, which ADMINISTRATORS needs",
			},
		},
		"the same in an audit": {
			"audit-organization",
			map[string]string{"ADMINISTRATORS": rule, "TRUSTED_SERVICES": cts},
			[]string{"TRUSTED_SERVICES: lacks service.SecMaster, which ADMINISTRATORS needs"},
		},
		"all that can't be read at once": {
			"audit-organization",
			map[string]string{"ADMINISTRATORS": "x", "TRUSTED_SERVICES": "a b", "REGION_ID": "Beijing"},
			[]string{
				`ADMINISTRATORS: "x" must be like `, `TRUSTED_SERVICES: "a b" is not a service principal`,
				`REGION_ID: "Beijing" is not a region id`,
			},
		},
		"* beside a service": {"register-service", map[string]string{"TRUSTED_SERVICES": "*,service.A"}, []string{
			`TRUSTED_SERVICES: "*" is not a service principal`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertMisconfigured(t, c.function, c.env, c.want...)
		})
	}
}

// assertMisconfigured asserts that a function with the variables, and without other bounds, answers
// with lines that begin with the texts, and calls nothing.
func assertMisconfigured(t *testing.T, function string, env map[string]string, want ...string) {
	t.Helper()
	s := newStage(t)
	maps.Copy(s.env, withoutBounds)
	maps.Copy(s.env, env)
	failed := s.fail(t, function, bare[function])
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	text, isConfiguration := strings.CutPrefix(failed.ErrorMessage, "configuration: ")
	assert.True(t, isConfiguration, failed.ErrorMessage)
	assert.Len(t, strings.Split(text, "\n"), len(want), "each once: %s", text)
	for _, line := range want {
		assert.Contains(t, "\n"+text, "\n"+line)
	}
	assert.Empty(t, s.Requests())
}

func TestABadRuleIsShownWithItsVariable(t *testing.T) {
	t.Parallel()
	const isLike = " must be like service.A=id:<account id> or service.A=name:<account name>"
	for rules, want := range map[string]string{
		"*":                               `"*" is not a service principal`,
		"service.A":                       `"service.A"` + isLike,
		"service.A=1":                     `"service.A=1"` + isLike,
		"service.A=name:":                 `"service.A=name:"` + isLike,
		"service.A=id:":                   `"" is not an account id`,
		"service.A=id:a b":                `"a b" is not an account id`,
		"=id:1":                           `"" is not a service principal`,
		"service.A=id:1,":                 `"" is not a service principal`,
		"service.A=id:1 , service.A=id:1": "names service.A=id:1 twice",
	} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"ADMINISTRATORS": rules}
			assertMisconfigured(t, "register-admin", env, "ADMINISTRATORS: "+want)
		})
	}
}

func TestWhatTheEnvironmentAllowsIsTaken(t *testing.T) {
	t.Parallel()
	const rule = secMaster + "=id:" + account
	asking := func(eventType, data string) string { return input(eventType, data, "") }
	for name, c := range map[string]struct {
		function string
		env      map[string]string // beside withoutBounds
		payload  string            // empty for the bare one
		want     string            // the type of the result
	}{
		"any region, and none is named": {
			"register-region", map[string]string{"REGION_ID": "*"}, "", "org.region.skipped",
		},
		"any region": {
			"register-region", map[string]string{"REGION_ID": "*"}, bootstrap(north), "org.region.registered",
		},
		"the region of the configuration": {
			"register-region", map[string]string{"REGION_ID": "cn-north-4"}, "", "org.region.registered",
		},
		"any service, and none is named": {
			"register-service", map[string]string{"TRUSTED_SERVICES": "*"}, "", "org.service.skipped",
		},
		"any service": {
			"register-service",
			map[string]string{"TRUSTED_SERVICES": "*"},
			asking("org.bootstrap", `{"service_principals":["service.RAM"]}`), "org.service.registered",
		},
		"the services of the administrators": {
			"register-service", map[string]string{"ADMINISTRATORS": rule}, "", "org.service.registered",
		},
		"no other service than those": {
			"register-service",
			map[string]string{"ADMINISTRATORS": rule},
			asking("org.bootstrap", `{"service_principals":["service.RAM"]}`), "org.service.rejected",
		},
		"any service of an account, and none is named": {
			"register-admin", map[string]string{"SERVICE_PRINCIPALS": "*"}, "", "account.admin.skipped",
		},
		"any service of an account": {
			"register-admin", map[string]string{"SERVICE_PRINCIPALS": "*"}, created(both), "account.admin.registered",
		},
		"a bound is not a default": {
			"register-admin", map[string]string{"SERVICE_PRINCIPALS": secMaster}, "", "account.admin.skipped",
		},
		"the rules": {
			"register-admin",
			map[string]string{"ADMINISTRATORS": " " + rule + " , service.A=name:a=b:c"},
			"",
			"account.admin.registered",
		},
		"an audit against rules alone": {
			"audit-organization", map[string]string{"ADMINISTRATORS": rule}, "", "org.audit.drifted",
		},
		"an audit that takes any region and service": {
			"audit-organization",
			map[string]string{"ADMINISTRATORS": rule, "REGION_ID": "*", "TRUSTED_SERVICES": "*"},
			"",
			"org.audit.drifted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			maps.Copy(s.env, withoutBounds)
			maps.Copy(s.env, c.env)
			payload := c.payload
			if payload == "" {
				payload = bare[c.function]
			}
			assert.Equal(t, c.want, s.succeed(t, c.function, payload).Type)
		})
	}
}
