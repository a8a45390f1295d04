package terraform

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

// taken are the traces that the program makes events of, each <service>:<name>, with the type of
// the event. They stand in one table.
func taken(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/events/trace.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	found := map[string]string{}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "traces" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			row, ok := n.(*ast.CompositeLit)
			if !ok || row.Type != nil { // a row of a table has the type of the table
				return true
			}
			var cells [3]string
			for i := range cells {
				literal, ok := row.Elts[i].(*ast.BasicLit)
				require.True(t, ok, "a row of traces() doesn't begin with three texts")
				cells[i], err = strconv.Unquote(literal.Value)
				require.NoError(t, err)
			}
			found[cells[0]+":"+cells[1]] = cells[2]
			return true
		})
	}
	require.NotEmpty(t, found)
	return found
}

func TestTriggersNameTheTracesThatTheProgramTakes(t *testing.T) {
	t.Parallel()
	wanted := map[string][]string{}
	for trace, eventType := range taken(t) {
		for function, takes := range map[string]string{
			"register-region":  events.BootstrapRegionInput().Type,
			"register-service": events.BootstrapServicesInput().Type,
			"register-admin":   events.AccountCreatedInput().Type,
		} {
			if takes == eventType {
				wanted[function] = append(wanted[function], trace)
			}
		}
	}
	triggers := whole(t).all("huaweicloud_fgs_function_trigger", "traces")
	assert.Len(t, triggers, len(wanted))
	for function, trigger := range triggers {
		assert.Equal(t, "CTS", trigger.text(t, "type"))
		assert.Equal(t, `<urn of huaweicloud_fgs_function.function["`+function+`"]>`, trigger.text(t, "function_urn"))
		data := parse[struct {
			Name       string   `json:"name"`
			Operations []string `json:"operations"`
		}](t, trigger.text(t, "event_data"))
		assert.Regexp(t, `^\w{1,64}$`, data.Name)
		assert.LessOrEqual(t, len(data.Operations), 10, "what a trigger takes")
		var named []string
		for _, operation := range data.Operations {
			parts := strings.Split(operation, ":") // service, type of resource, names
			require.Len(t, parts, 3, operation)
			names := strings.Split(parts[2], ";")
			assert.LessOrEqual(t, len(names), 10, "what a trigger takes")
			for _, name := range names {
				named = append(named, parts[0]+":"+name)
			}
		}
		assert.ElementsMatch(t, wanted[function], named, function)
	}
}

// Each trace of the table, constructed, becomes the event that the table says.
func TestTracesBecomeEvents(t *testing.T) {
	t.Parallel()
	const account = `"05261f923e80d3890f33c0056e9b3f80"`
	for trace, eventType := range taken(t) {
		service, name, _ := strings.Cut(trace, ":")
		unwrapped, err := events.Unwrap([]byte(`{"cts": {
			"trace_id": "1", "service_type": "` + service + `", "trace_name": "` + name + `", "code": 200,
			"user": {"domain": {"id": ` + account + `}},
			"response": {"account_id": ` + account + `, "create_account_status": {"account_id": ` + account + `}}
		}}`))
		require.NoError(t, err)
		require.Len(t, unwrapped.Records, 1)
		require.NoError(t, unwrapped.Records[0].Err, trace)
		assert.Equal(t, eventType, unwrapped.Records[0].Event.Type, trace)
		assert.NotEmpty(t, unwrapped.Records[0].Event.Data, trace)
	}
}

// What FunctionGraph makes of the timer is an audit at the time of the timer.
func TestAFiringOfTheTimerIsAnAudit(t *testing.T) {
	t.Parallel()
	timer := whole(t).all("huaweicloud_fgs_function_trigger", "audit")[""]
	data := parse[map[string]string](t, timer.text(t, "event_data"))
	unwrapped, err := events.Unwrap([]byte(`{
		"version": "v1.0", "time": "2026-01-02T03:04:05Z",
		"trigger_type": "TIMER", "trigger_name": "` + data["name"] + `",
		"user_event": ` + strconv.Quote(data["user_event"]) + `
	}`))
	require.NoError(t, err)
	require.Len(t, unwrapped.Records, 1)
	require.NoError(t, unwrapped.Records[0].Err)
	e := unwrapped.Records[0].Event
	assert.Equal(t, events.AuditInput().Type, e.Type)
	assert.Equal(t, "/registrar/timer/registrar", e.Source)
	assert.Equal(t, "audit/2026-01-02T03:04:05Z", e.ID, "of its own")
	assert.Equal(t, "2026-01-02T03:04:05Z", e.Time.Format("2006-01-02T15:04:05Z07:00"))
}
