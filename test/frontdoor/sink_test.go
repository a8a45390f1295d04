package frontdoor

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// receiver takes results as the CloudEvents SDK reads them.
type receiver struct {
	mu     sync.Mutex
	got    []event.Event
	refuse int // the status to answer instead
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e, err := cehttp.NewEventFromHTTPRequest(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || e.Validate() != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.refuse != 0 {
		w.WriteHeader(r.refuse)
		return
	}
	r.got = append(r.got, *e)
	w.WriteHeader(http.StatusAccepted)
}

func TestResultsGoToAnHTTPSink(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"RESULT_SINK", "K_SINK"} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			s, to := newStage(t), &receiver{}
			server := httptest.NewServer(to)
			t.Cleanup(server.Close)
			s.env[variable] = server.URL
			r := s.succeed(t, "register-region", bootstrap(north))
			require.Len(t, to.got, 1)
			assert.Equal(t, r.ID, to.got[0].ID(), "what is returned has the same id")
			assert.Equal(t, "org.region.registered", to.got[0].Type())

			to.refuse = http.StatusForbidden
			failed := s.fail(t, "register-region", bootstrap(north))
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			to.refuse = 0
			assert.Equal(t, "unchanged", s.succeed(t, "register-region", bootstrap(north)).Data.Outcome)
			assert.Equal(t, r.ID, to.got[1].ID(), "a redelivery emits the same id")
		})
	}
}

func TestASinkThatIsDownLeavesTheEventUnacknowledged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	server := httptest.NewServer(&receiver{})
	server.Close()
	s.env["RESULT_SINK"] = server.URL
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "TransientError", failed.ErrorType)
	assert.Equal(t, "cn-north-4", s.Region(), "it was registered all the same")
	answer, err := s.start(t, "register-region").Invoke(t.Context(), []byte(queued("m-1", bootstrap(north))))
	require.NoError(t, err)
	assert.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`, string(answer.Payload))
}

// bus speaks the wire format of EventBridge.
type bus struct {
	mu      sync.Mutex
	entries []map[string]any
	answers []string // in order; then success
}

func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var in struct{ Entries []map[string]any }
	if r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" || !strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/events/aws4_request") ||
		json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if len(b.answers) > 0 {
		_, _ = io.WriteString(w, b.answers[0])
		b.answers = b.answers[1:]
		return
	}
	b.entries = append(b.entries, in.Entries...)
	_, _ = io.WriteString(w, `{"FailedEntryCount":0,"Entries":[{"EventId":"eb-1"}]}`)
}

func TestResultsGoToEventBridge(t *testing.T) {
	t.Parallel()
	s, to := newStage(t), &bus{}
	server := httptest.NewServer(to)
	t.Cleanup(server.Close)
	s.env["RESULT_SINK"] = "eventbridge://arn:aws:events:eu-central-1:123456789012:event-bus/results"
	s.env["AWS_ENDPOINT_URL_EVENTBRIDGE"] = server.URL
	s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"] = "AKIDEXAMPLE", "awssecretexample"

	to.answers = []string{`{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"slow down"}]}`}
	r := s.succeed(t, "register-region", bootstrap(north))
	require.Len(t, to.entries, 1, "after a partial failure that passes, once")
	entry := to.entries[0]
	assert.Equal(t, "org.region.registered", entry["DetailType"])
	assert.Equal(t, "/registrar/register-region", entry["Source"])
	assert.Equal(t, "arn:aws:events:eu-central-1:123456789012:event-bus/results", entry["EventBusName"])
	var detail event.Event
	require.NoError(t, json.Unmarshal([]byte(entry["Detail"].(string)), &detail))
	require.NoError(t, detail.Validate())
	assert.Equal(t, r.ID, detail.ID())

	to.answers = []string{`{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail","ErrorMessage":"no"}]}`}
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "MalformedDetail")
	assert.NotContains(t, s.log.String(), "awssecretexample")
}

func TestABadSinkIsAConfigurationError(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["RESULT_SINK"], s.env["K_SINK"] = "http://results.example", "ftp://x"
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "RESULT_SINK: ")
	assert.Contains(t, failed.ErrorMessage, "K_SINK: ")
}
