package terraform

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"registrar/pkg/events"
)

// whole is the module with everything that can be asked for.
func whole(t *testing.T) *module {
	t.Helper()
	m, err := example(t, map[string]cty.Value{
		"region": cty.StringVal("ap-southeast-1"), "dry_run": cty.False,
		"result_sink":   cty.StringVal("https://example.com/events"),
		"failure_email": cty.StringVal("operators@example.com"), "domain_id": cty.StringVal("0123456789abcdef"),
	})
	require.NoError(t, err)
	return m
}

// folders are those of functions/.
func folders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("../../functions")
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// page is a page of docs/, by its lines.
func page(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/" + name)
	require.NoError(t, err)
	return strings.Split(string(b), "\n")
}

// parse reads JSON that is an argument, and knows all of its members.
func parse[T any](t *testing.T, argument string) T {
	t.Helper()
	var v T
	decoder := json.NewDecoder(strings.NewReader(argument))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&v), argument)
	return v
}

type policy struct {
	Version   string
	Statement []struct {
		Sid, Effect string
		Action      []string
		Condition   map[string]map[string][]string
		Principal   struct{ Service []string }
	}
}

func TestEachFunctionHasWhatItNeeds(t *testing.T) {
	t.Parallel()
	m := whole(t)
	for kind, name := range map[string]string{
		"huaweicloud_fgs_function": "function", "huaweicloud_fgs_async_invoke_configuration": "function",
		"huaweicloud_identity_trust_agency": "function", "huaweicloud_identityv5_policy": "function",
		"huaweicloud_lts_stream": "logs",
	} {
		assert.ElementsMatch(t, folders(t), slices.Collect(maps.Keys(m.all(kind, name))), kind)
	}
	for _, output := range []string{"functions", "agencies"} {
		assert.ElementsMatch(t, folders(t), slices.Collect(maps.Keys(m.outputs[output].AsValueMap())), output)
	}
	for name, f := range m.all("huaweicloud_fgs_function", "function") {
		assert.Equal(t, "registrar-"+name, f.text(t, "name"))
		assert.LessOrEqual(t, len(strings.Repeat("a", 41)+"-"+name), 60, "the longest name that is allowed")
		assert.Equal(t, "Custom", f.text(t, "runtime"), name)
		assert.Equal(t, "zip", f.text(t, "code_type"), name)
		zip := "deploy/functiongraph/../../dist/functiongraph/" + name + ".zip" // from make build-functiongraph
		assert.Equal(t, "<content of "+zip+">", f.text(t, "func_code"))
		assert.Equal(t, name+".zip", f.text(t, "code_filename"))
		assert.Equal(t, 256, f.number(t, "memory_size"), name)
		assert.Equal(t, 60, f.number(t, "timeout"), name)

		agency := m.all("huaweicloud_identity_trust_agency", "function")[name]
		assert.Equal(t, agency.text(t, "name"), f.text(t, "app_agency"), "its own")
		assert.Equal(t, "registrar-platform", f.text(t, "agency"), "whose rights are others")

		assert.True(t, f.arguments["enable_lts_log"].True(), name)
		assert.Equal(t, `<id of huaweicloud_lts_group.logs>`, f.text(t, "log_group_id"))
		assert.Equal(t, `<id of huaweicloud_lts_stream.logs["`+name+`"]>`, f.text(t, "log_stream_id"))
		assert.Equal(t, "registrar", f.text(t, "log_group_name"))
		assert.Equal(t, "registrar-"+name, f.text(t, "log_stream_name"))
	}
}

// rights are the actions that the page gives each function.
func rights(t *testing.T) map[string][]string {
	t.Helper()
	listed, function := map[string][]string{}, ""
	row := regexp.MustCompile("^\\| ([a-z-]*) ?\\| `(\\w+:\\w+:\\w+)` \\|")
	for _, line := range page(t, "rights.md") {
		if cells := row.FindStringSubmatch(line); cells != nil {
			function = cmp.Or(cells[1], function)
			listed[function] = append(listed[function], cells[2])
		}
	}
	return listed
}

func TestEachAgencyHasTheRightsOfItsFunction(t *testing.T) {
	t.Parallel()
	m := whole(t)
	write := regexp.MustCompile(`:(registerRegion|enable|register)$`)
	listed := rights(t)
	assert.ElementsMatch(t, folders(t), slices.Collect(maps.Keys(listed)))
	for name, agency := range m.all("huaweicloud_identity_trust_agency", "function") {
		document := m.all("huaweicloud_identityv5_policy", "function")[name]
		attached := agency.arguments["policy_names"].AsValueSlice()
		require.Len(t, attached, 1, name)
		assert.Equal(t, document.text(t, "name"), attached[0].AsString(), "its own")

		p := parse[policy](t, document.text(t, "policy_document"))
		assert.Equal(t, "5.0", p.Version)
		var actions []string
		for _, s := range p.Statement {
			assert.Equal(t, "Allow", s.Effect)
			actions = append(actions, s.Action...)
			bounded := slices.ContainsFunc(s.Action, func(action string) bool {
				return strings.HasPrefix(action, "organizations:") && write.MatchString(action)
			})
			services := map[string][]string{
				"register-service": {"service.SecMaster", "service.RAM"}, // those of trusted_services
				"register-admin":   {"service.SecMaster"},                // those of administrators
			}[name]
			if bounded {
				assert.Equal(t, map[string]map[string][]string{
					"StringEquals": {"organizations:ServicePrincipal": services},
				}, s.Condition, name)
			} else {
				assert.Empty(t, s.Condition, "its actions have no condition on the service")
			}
		}
		assert.ElementsMatch(t, listed[name], actions, name)
	}
}

// Without trusted_services, those of administrators may be trusted.
func TestServicesMayBeThoseOfAdministrators(t *testing.T) {
	t.Parallel()
	m, err := example(t, map[string]cty.Value{"trusted_services": cty.EmptyTupleVal})
	require.NoError(t, err)
	document := m.all("huaweicloud_identityv5_policy", "function")["register-service"].text(t, "policy_document")
	bounds := parse[policy](t, document).Statement[1].Condition["StringEquals"]
	assert.Equal(t, []string{"service.SecMaster"}, bounds["organizations:ServicePrincipal"])
	data := m.all("huaweicloud_fgs_function", "function")["register-service"].text(t, "user_data")
	assert.NotContains(t, parse[map[string]string](t, data), "TRUSTED_SERVICES")
}

func TestOnlyFunctionGraphMayTakeAnAgency(t *testing.T) {
	t.Parallel()
	m := whole(t)
	agencies := slices.Collect(maps.Values(m.all("huaweicloud_identity_trust_agency", "function")))
	agencies = append(agencies, m.all("huaweicloud_identity_trust_agency", "platform")[""])
	assert.Len(t, agencies, len(folders(t))+1)
	for _, agency := range agencies {
		p := parse[policy](t, agency.text(t, "trust_policy"))
		assert.Equal(t, "5.0", p.Version)
		require.Len(t, p.Statement, 1)
		assert.Equal(t, "Allow", p.Statement[0].Effect)
		assert.Equal(t, []string{"sts:agencies:assume"}, p.Statement[0].Action)
		assert.Equal(t, []string{"service.FunctionGraph"}, p.Statement[0].Principal.Service)
	}
	p := parse[policy](t, m.all("huaweicloud_identityv5_policy", "platform")[""].text(t, "policy_document"))
	require.Len(t, p.Statement, 1)
	assert.Equal(t, []string{"smn:topic:publish"}, p.Statement[0].Action, "it registers nothing")
}

// variables are what a function must have one of, and what it may have, as the page says.
func variables(t *testing.T) (must map[string][]string, known string) {
	t.Helper()
	must = map[string][]string{}
	in := false
	for _, line := range page(t, "configuration.md") {
		known += line + "\n"
		cells := strings.Split(line, "|")
		in = strings.HasPrefix(line, "| function | must have |") || in && strings.HasPrefix(line, "|")
		if name := strings.TrimSpace(cells[min(1, len(cells)-1)]); in && slices.Contains(folders(t), name) {
			for _, quoted := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[2], -1) {
				must[name] = append(must[name], quoted[1])
			}
		}
	}
	return must, known
}

func TestFunctionsAreToldWhatTheyRead(t *testing.T) {
	t.Parallel()
	must, known := variables(t)
	assert.ElementsMatch(t, folders(t), slices.Collect(maps.Keys(must)))
	const rule = "service.SecMaster=id:05261f923e80d3890f33c0056e9b3f80"
	told := map[string]map[string]string{}
	for name, f := range whole(t).all("huaweicloud_fgs_function", "function") {
		told[name] = parse[map[string]string](t, f.text(t, "user_data"))
		assert.True(t, slices.ContainsFunc(must[name], func(variable string) bool {
			return told[name][variable] != ""
		}), "%s has none of %v", name, must[name])
		for variable := range told[name] {
			assert.Contains(t, known, "`"+variable+"`", name)
		}
		assert.Equal(t, "https://example.com/events", told[name]["RESULT_SINK"])
		assert.Equal(t, "0123456789abcdef", told[name]["HUAWEICLOUD_SDK_DOMAIN_ID"])
		assert.Equal(t, "1", told[name]["GOMAXPROCS"], "256 MB come with less than one processor")
		delete(told[name], "RESULT_SINK")
		delete(told[name], "HUAWEICLOUD_SDK_DOMAIN_ID")
		delete(told[name], "GOMAXPROCS")
	}
	const services = "service.SecMaster,service.RAM"
	assert.Equal(t, map[string]map[string]string{
		"register-region":    {"REGION_ID": "cn-north-4"},
		"register-service":   {"ADMINISTRATORS": rule, "TRUSTED_SERVICES": services},
		"register-admin":     {"ADMINISTRATORS": rule, "ACCOUNT_READY_WITHIN": "15m"},
		"audit-organization": {"ADMINISTRATORS": rule, "TRUSTED_SERVICES": services, "REGION_ID": "cn-north-4"},
	}, told)

	m, err := example(t, nil)
	require.NoError(t, err)
	for name, f := range m.all("huaweicloud_fgs_function", "function") {
		data := parse[map[string]string](t, f.text(t, "user_data"))
		assert.Equal(t, "true", data["DRY_RUN"], "the example only reads")
		assert.NotContains(t, data, "RESULT_SINK", name)
	}
}

func TestAFailedEventIsTriedAgainAndThenTold(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{1, 15, 360} {
		m, err := example(t, map[string]cty.Value{"account_ready_minutes": cty.NumberIntVal(int64(minutes))})
		require.NoError(t, err)
		for name, c := range m.all("huaweicloud_fgs_async_invoke_configuration", "function") {
			assert.Equal(t, `<urn of huaweicloud_fgs_function.function["`+name+`"]>`, c.text(t, "function_urn"))
			retries := 3
			if name == "audit-organization" {
				retries = 0
			}
			assert.Equal(t, retries, c.number(t, "max_async_retry_attempts"), name)
			age := c.number(t, "max_async_event_age_in_seconds")
			assert.Greater(t, age, minutes*60, "an event outlasts an account that isn't ready")
			assert.LessOrEqual(t, age, 86_400, "what FunctionGraph takes")
			require.Len(t, c.blocks["on_failure"], 1)
			assert.Equal(t, "SMN", c.blocks["on_failure"][0].text(t, "destination"))
			assert.Equal(t, map[string]string{"topic_urn": "<topic_urn of huaweicloud_smn_topic.failures>"},
				parse[map[string]string](t, c.blocks["on_failure"][0].text(t, "param")))
		}
	}
}

func TestSomebodyIsToldIfThereIsAnAddress(t *testing.T) {
	t.Parallel()
	m, err := example(t, nil)
	require.NoError(t, err)
	assert.Empty(t, m.all("huaweicloud_smn_subscription", "failures"))
	told := whole(t).all("huaweicloud_smn_subscription", "failures")["operators@example.com"]
	assert.Equal(t, "email", told.text(t, "protocol"))
	assert.Equal(t, "operators@example.com", told.text(t, "endpoint"))
	assert.Equal(t, "<topic_urn of huaweicloud_smn_topic.failures>", told.text(t, "topic_urn"))
}

func TestTheTimerSendsAnAudit(t *testing.T) {
	t.Parallel()
	timer := whole(t).all("huaweicloud_fgs_function_trigger", "audit")[""]
	assert.Equal(t, "TIMER", timer.text(t, "type"))
	assert.Equal(t, `<urn of huaweicloud_fgs_function.function["audit-organization"]>`, timer.text(t, "function_urn"))
	data := parse[struct {
		Name         string `json:"name"`
		ScheduleType string `json:"schedule_type"`
		Schedule     string `json:"schedule"`
		UserEvent    string `json:"user_event"`
	}](t, timer.text(t, "event_data"))
	assert.Regexp(t, `^[a-zA-Z][a-zA-Z0-9_-]{0,63}$`, data.Name)
	assert.Equal(t, "Rate", data.ScheduleType)
	assert.Equal(t, "15m", data.Schedule)
	assert.Less(t, len(data.UserEvent), 2048, "what a timer takes")

	unwrapped, err := events.Unwrap([]byte(data.UserEvent))
	require.NoError(t, err)
	require.Len(t, unwrapped.Records, 1)
	require.NoError(t, unwrapped.Records[0].Err)
	e := unwrapped.Records[0].Event
	assert.Equal(t, events.AuditInput().Type, e.Type)
	assert.True(t, e.Time.IsZero(), "the timer's time is that of the event")
	_, err = events.AuditInput().Decode(&e)
	assert.NoError(t, err)
}
