package functiongraphlocal

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATimerCarriesItsUserEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 8*60*60))
	assert.JSONEq(t, `{"version":"v1.0","time":"2026-01-02T03:04:05+08:00","trigger_type":"TIMER",
		"trigger_name":"timer","user_event":"{\"specversion\":\"1.0\"}"}`, string(Timer(`{"specversion":"1.0"}`, at)))
}

func TestATraceIsWrapped(t *testing.T) {
	t.Parallel()
	assert.JSONEq(t, `{"cts":{"code":"204"}}`, string(CTS(map[string]string{"code": "204"})))
	assert.Panics(t, func() { CTS(func() {}) }, "a mistake in a test shows at once")
}

func TestMessagesAreRecords(t *testing.T) {
	t.Parallel()
	var got struct {
		Record []struct {
			EventSource string `json:"event_source"`
			SMN         struct {
				TopicURN  string `json:"topic_urn"`
				MessageID string `json:"message_id"`
				Timestamp time.Time
				Type      string
				Message   string
			}
		}
	}
	require.NoError(t, json.Unmarshal(SMN("one", `{"two":2}`), &got))
	require.Len(t, got.Record, 2)
	assert.Equal(t, "one", got.Record[0].SMN.Message)
	assert.Equal(t, `{"two":2}`, got.Record[1].SMN.Message)
	assert.NotEqual(t, got.Record[0].SMN.MessageID, got.Record[1].SMN.MessageID)
	for _, r := range got.Record {
		assert.Equal(t, "smn", r.EventSource)
		assert.Equal(t, "notification", r.SMN.Type)
		assert.Equal(t, "urn:smn:cn-north-4:"+projectID+":events", r.SMN.TopicURN)
		assert.WithinDuration(t, time.Now(), r.SMN.Timestamp, time.Hour)
	}
}
