package terraform

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

// taken are the traces that the program makes events of, each <service>:<name>, with the type of
// the event. They stand in a table of the page about triggers, which a test beside the program
// holds.
func taken(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/triggers.md")
	require.NoError(t, err)
	found := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Organizations|RGC)` \\| ([^|]+) \\| `([a-z.]+)` \\|").
		FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1) {
			found[row[1]+":"+name[1]] = row[3]
		}
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
