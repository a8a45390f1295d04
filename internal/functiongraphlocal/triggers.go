package functiongraphlocal

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// The payloads of triggers are constructed from the event sources that FunctionGraph documents.

// Timer is what a timer sends when it fires: userEvent is the additional information that the timer
// has.
func Timer(userEvent string, at time.Time) []byte {
	return encode(map[string]string{
		"version": "v1.0", "time": at.Format(time.RFC3339), "trigger_type": "TIMER", "trigger_name": "timer",
		"user_event": userEvent,
	})
}

// CTS is what a CTS trigger sends about a trace, which must encode.
func CTS(trace any) []byte { return encode(map[string]any{"cts": trace}) }

// SMN is what an SMN trigger sends when messages are published to a topic.
func SMN(messages ...string) []byte {
	records := make([]map[string]any, len(messages))
	topic := "urn:smn:" + region + ":" + projectID + ":events"
	for i, message := range messages {
		records[i] = map[string]any{
			"event_version": "1.0", "event_source": "smn",
			"event_subscription_urn": "urn:fss:" + region + ":" + projectID + ":function:default:function:latest",
			"smn": map[string]any{
				"topic_urn": topic, "timestamp": time.Now().UTC().Format(time.RFC3339), "message_attributes": nil,
				"message": message, "type": "notification", "message_id": uuid.NewString(), "subject": "",
			},
		}
	}
	return encode(map[string]any{"record": records})
}

func encode(payload any) []byte {
	b, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("functiongraphlocal: %v", err)) // a mistake in a test
	}
	return b
}
