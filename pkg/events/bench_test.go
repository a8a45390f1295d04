package events_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/floor"
	"registrar/pkg/events"
)

// sample is a payload of the folder events.
func sample(tb testing.TB, name string) string {
	tb.Helper()
	payload, err := os.ReadFile(filepath.Join("../../events", name))
	require.NoError(tb, err)
	return string(payload)
}

// batch is what a queue delivers at once, each message with an id of its own.
func batch(bodies ...string) string {
	messages := make([]string, len(bodies))
	for i, body := range bodies {
		message := sqs(body, "arn:aws:sqs:eu-central-1:123456789012:register-admin", `"SentTimestamp":"1767323656012"`)
		messages[i] = strings.Replace(message, "m-1", "m-"+strconv.Itoa(i+1), 1)
	}
	return `{"Records":[` + strings.Join(messages, ",") + `]}`
}

// The floor is to check the payload alone.
func BenchmarkUnwrap(b *testing.B) {
	bare := sample(b, "account-created.json")
	hundred := make([]string, 100)
	for i := range hundred {
		hundred[i] = bare
	}
	for _, payload := range []struct {
		name, text string
		records    int
	}{
		{"CloudEvent", bare, 1},
		{"EventBridge-in-SQS", batch(sample(b, "eventbridge-cloudevent.json")), 1},
		{"100-in-SQS", batch(hundred...), 100},
		{"CTS", sample(b, "cts-create-account.json"), 1},
	} {
		b.Run("payload="+payload.name, func(b *testing.B) {
			var (
				envelope events.Envelope
				err      error
				received = []byte(payload.text)
			)
			b.ReportAllocs()
			for b.Loop() {
				envelope, err = events.Unwrap(received)
			}
			floor.Report(b, "unwrap/json.Valid", func() { json.Valid(received) })
			require.NoError(b, err)
			require.Len(b, envelope.Records, payload.records)
			for _, record := range envelope.Records {
				require.NoError(b, record.Err)
				require.Equal(b, "account.created", record.Event.Type)
			}
		})
	}
}

// The floor is to check the data alone.
func BenchmarkDecode(b *testing.B) {
	envelope, err := events.Unwrap([]byte(sample(b, "account-created.json")))
	require.NoError(b, err)
	e, in := envelope.Records[0].Event, events.AccountCreatedInput()
	var asked events.AccountCreated
	b.ReportAllocs()
	for b.Loop() {
		asked, err = in.Decode(&e)
	}
	floor.Report(b, "decode/json.Valid", func() { json.Valid(e.Data) })
	require.NoError(b, err)
	assert.Equal(b, events.AccountID("05261f923e80d3890f33c0056e9b3f80"), asked.AccountID)
	assert.Equal(b, []events.ServicePrincipal{"service.SecMaster"}, asked.ServicePrincipals)
}

// A result of one administrator, and what an audit of many accounts found, as they are answered.
// The floor is to encode the result without an event around it.
func BenchmarkEncode(b *testing.B) {
	account := events.AccountID("05261f923e80d3890f33c0056e9b3f80")
	missing := make([]events.Administrator, 100)
	for i := range missing {
		missing[i] = events.Administrator{AccountID: account, ServicePrincipal: "service.SecMaster"}
	}
	for _, result := range []events.Result{
		events.AdminResult{AccountID: account, RegistrationsResult: events.RegistrationsResult{
			Registrations: []events.Registration{{
				ServicePrincipal: "service.SecMaster", Outcome: events.Registered, Attempts: 1, RequestID: "r-1",
			}},
		}},
		events.AuditResult{Outcome: events.Drifted, AuditFindings: &events.AuditFindings{Missing: missing}},
	} {
		outcome := string(result.Whole().Outcome)
		b.Run("result="+outcome, func(b *testing.B) {
			e, now := cause(), time.Now()
			var encoded []byte
			b.ReportAllocs()
			for b.Loop() {
				out, err := events.NewResultEvent("/registrar/a-function", e, result, now)
				require.NoError(b, err)
				encoded, err = out.MarshalJSON()
				require.NoError(b, err)
			}
			floor.Report(b, "encode/json.Marshal", func() {
				_, err := json.Marshal(result)
				require.NoError(b, err)
			})
			assert.Contains(b, string(encoded), `.`+outcome+`"`, "the type")
			assert.Contains(b, string(encoded), account, "the data")
		})
	}
}
