package frontdoor

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
)

// receiver takes result events, which the CloudEvents SDK reads.
type receiver struct {
	mu     sync.Mutex
	got    []event.Event
	refuse int // the status to answer with instead; 0 for none
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

func TestResultEventsGoToAnHTTPSink(t *testing.T) {
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
			assert.Equal(t, r.ID, to.got[0].ID(), "the answer has the same id")
			assert.Equal(t, "org.region.registered", to.got[0].Type())

			to.refuse = http.StatusForbidden
			failed := s.fail(t, "register-region", bootstrap(north))
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			to.refuse = 0
			assert.Equal(t, "unchanged", s.succeed(t, "register-region", bootstrap(north)).Data.Outcome)
			assert.Equal(t, r.ID, to.got[1].ID(), "after a redelivery the id is the same")
		})
	}
}

func TestASinkThatIsDownLeavesTheEventUnacknowledged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const nobody = "http://127.0.0.1:1" // another test may get the port of a server that was closed
	s.env["RESULT_SINK"] = nobody
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "TransientError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "the sink "+nobody+": ")
	assert.Equal(t, "cn-north-4", s.Region(), "it was registered all the same")
	answer, err := s.start(t, "register-region").Invoke(t.Context(), []byte(queued(bootstrap(north))))
	require.NoError(t, err)
	assert.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`, string(answer.Payload))
}

func TestResultEventsGoToEventBridge(t *testing.T) {
	t.Parallel()
	const bus = "arn:aws:events:eu-central-1:123456789012:event-bus/results"
	s, to := newStage(t), new(awstest.EventBridge)
	server := httptest.NewServer(to)
	t.Cleanup(server.Close)
	s.env["RESULT_SINK"] = "eventbridge://" + bus
	s.env["AWS_ENDPOINT_URL_EVENTBRIDGE"] = server.URL
	s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"] = awstest.AccessKey, awstest.SecretKey

	to.Script(awstest.FailEntry("ThrottlingException"), nil)
	r := s.succeed(t, "register-region", bootstrap(north))
	require.Len(t, to.Entries(), 1, "it is taken once, after an entry that failed")
	entry := to.Entries()[0]
	assert.Equal(t, "org.region.registered", entry.DetailType)
	assert.Equal(t, "/registrar/register-region", entry.Source)
	assert.Equal(t, bus, entry.EventBusName)
	assert.Equal(t, "eu-central-1", entry.Region)
	var detail event.Event
	require.NoError(t, json.Unmarshal([]byte(entry.Detail), &detail))
	require.NoError(t, detail.Validate())
	assert.Equal(t, r.ID, detail.ID())

	to.Script(awstest.FailEntry("MalformedDetail"))
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "the sink eventbridge://"+bus+": MalformedDetail")
	assert.NotContains(t, s.log.String(), awstest.SecretKey)
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
