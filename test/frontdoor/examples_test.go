package frontdoor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
	"registrar/test/docs"
)

// The events that README and docs/ show are real: each input succeeds, and each result event is
// what the functions answer to its cause.
func TestTheExamplesInTheDocumentation(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	shown := map[string][]json.RawMessage{} // by page
	inputs := map[string]json.RawMessage{}  // by source and id, beginning with the samples that pages refer to
	for _, name := range []string{"org-bootstrap.json", "account-created.json", "org-audit.json"} {
		event := json.RawMessage(sample(t, name))
		e := attributes(t, event)
		inputs[e.Source+" "+e.ID] = event
	}
	for _, page := range append(pages, "../../README.md") {
		markdown, err := os.ReadFile(page)
		require.NoError(t, err)
		shown[page], err = docs.Events(string(markdown))
		require.NoError(t, err, page)
		for _, event := range shown[page] {
			require.NoError(t, promised.Check(event), "%s shows %s", page, event)
			e := attributes(t, event)
			if events.IsResult(e.Type) {
				continue
			}
			if before, twice := inputs[e.Source+" "+e.ID]; twice {
				require.JSONEq(t, string(before), string(event), "%s shows another event of the same id", page)
			}
			inputs[e.Source+" "+e.ID] = event
		}
	}
	require.Contains(t, shown, "../../docs/events.md")
	for page, all := range shown {
		least := map[string]int{"README.md": 1, "events.md": 2}[filepath.Base(page)]
		require.GreaterOrEqual(t, len(all), least, "events that %s shows", page)
		for _, event := range all {
			t.Run(filepath.Base(page)+" "+attributes(t, event).Type, func(t *testing.T) {
				t.Parallel()
				e := attributes(t, event)
				cause := event
				if events.IsResult(e.Type) {
					cause = inputs[e.Data.Cause.Source+" "+e.Data.Cause.ID]
					require.NotEmpty(t, cause, "the documentation doesn't show the cause of %s", event)
				}
				got := staged(t, e.Type).take(t, cause, e.Type)
				require.NoError(t, promised.Check(got), "%s", got)
				if events.IsResult(e.Type) {
					assert.JSONEq(t, timeless(t, event), timeless(t, got))
				} else {
					assert.NotEqual(t, "rejected", attributes(t, got).Data.Outcome)
				}
			})
		}
	}
}

// staged is a stage in which the result event of an example happens, as the text around it says.
func staged(t *testing.T, eventType string) *stage {
	t.Helper()
	s := newStage(t)
	s.env["ADMINISTRATORS"] = secMaster + "=id:" + account
	s.env["REGION_ID"] = "cn-north-4"
	switch {
	case eventType == "org.audit.passed":
		s.SetRegion("cn-north-4")
		s.Delegate(account, secMaster)
	case strings.HasSuffix(eventType, ".planned"), eventType == "org.audit.drifted":
		s.env["DRY_RUN"] = "true"
	case eventType == "org.region.rejected":
		s.SetRegion("cn-south-1")
	case eventType == "account.admin.rejected":
		s.AddAccount(account, "suspended")
	}
	return s
}

// take is what the function with results of the example's family answers to the event. If the
// example isn't a result event, it is the answer of any function.
func (s *stage) take(t *testing.T, event []byte, example string) json.RawMessage {
	t.Helper()
	family := func(eventType string) string { return eventType[:strings.LastIndex(eventType, ".")+1] }
	_, answers := s.deliver(t, event)
	for _, answer := range answers {
		require.Empty(t, answer.FunctionError, "%s", answer.Payload)
		if !events.IsResult(example) || family(attributes(t, answer.Payload).Type) == family(example) {
			return answer.Payload
		}
	}
	require.Fail(t, "no function answers with "+example)
	return nil
}

func attributes(t *testing.T, event []byte) result {
	t.Helper()
	var r result
	require.NoError(t, json.Unmarshal(event, &r))
	return r
}

// timeless leaves out what differs between all result events: the time, the trace, and the ids of
// requests.
func timeless(t *testing.T, event []byte) string {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(event, &object))
	delete(object, "time")
	delete(object, "traceparent")
	data, _ := object["data"].(map[string]any)
	list, _ := data["registrations"].([]any)
	for _, item := range append(list, data) {
		if registration, ok := item.(map[string]any); ok {
			delete(registration, "request_id")
			if e, ok := registration["error"].(map[string]any); ok {
				delete(e, "request_id")
			}
		}
	}
	rest, err := json.Marshal(object)
	require.NoError(t, err)
	return string(rest)
}
