package frontdoor

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// Whatever stands in events/ is delivered twice to the function that takes it, and answered as its shape says.
func TestEachSampleIsRegistered(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../events/*.json")
	require.NoError(t, err)
	shapes := map[events.Shape]bool{}
	for _, file := range files {
		name := filepath.Base(file)
		payload := []byte(sample(t, name))
		envelope, err := events.Unwrap(payload)
		require.NoError(t, err, name)
		shapes[envelope.Shape] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			f, answer := s.taker(t, payload)
			checkAnswer(t, envelope.Shape, answer)
			wanted := 0
			for _, data := range sampleData(t, envelope.Shape, payload) {
				if data.RegionID != "" {
					assert.Equal(t, data.RegionID, s.Region())
					wanted++
				}
				if data.AccountID != "" {
					assert.Subset(t, s.Delegations(data.AccountID), data.principals())
					wanted += len(data.principals())
				}
			}
			assert.Positive(t, wanted, "the sample asks for something")
			assert.Equal(t, wanted, s.writes(), "each registration is written once")

			again, err := f.Invoke(t.Context(), payload)
			require.NoError(t, err)
			checkAnswer(t, envelope.Shape, again)
			assert.Equal(t, wanted, s.writes(), "a redelivery writes nothing")
		})
	}
	for _, shape := range []events.Shape{events.Structured, events.Array, events.EventBridge, events.SQS, events.SNS, events.Destination, events.HTTP} {
		assert.True(t, shapes[shape], "there is a sample of shape %s", shape)
	}
}

// taker finds the function that takes a payload, as a bus does by its rules, and gives its answer.
func (s *stage) taker(t *testing.T, payload []byte) (*lambdalocal.Function, lambdalocal.Answer) {
	t.Helper()
	functions, err := os.ReadDir(dist)
	require.NoError(t, err)
	var answers []string
	for _, entry := range functions {
		f := s.start(t, entry.Name())
		answer, err := f.Invoke(t.Context(), payload)
		require.NoError(t, err)
		if !isForAnother(answer) {
			return f, answer
		}
		answers = append(answers, entry.Name()+": "+string(answer.Payload))
	}
	require.Fail(t, "no function takes it", "%q\n%s", answers, s.log)
	return nil, lambdalocal.Answer{}
}

// isForAnother reports whether nothing in a payload was an event of the function's.
func isForAnother(a lambdalocal.Answer) bool {
	var answer struct {
		ErrorType         string
		BatchItemFailures []any
		StatusCode        int
	}
	_ = json.Unmarshal(a.Payload, &answer) // an array is an answer
	return answer.ErrorType == "InvalidEventError" || len(answer.BatchItemFailures) > 0 || answer.StatusCode == http.StatusBadRequest
}

func checkAnswer(t *testing.T, shape events.Shape, a lambdalocal.Answer) {
	t.Helper()
	require.Empty(t, a.FunctionError, "%s", a.Payload)
	if shape == events.SQS {
		assert.JSONEq(t, `{"batchItemFailures":[]}`, string(a.Payload))
		return
	}
	body := string(a.Payload)
	batch := shape == events.Array
	if shape == events.HTTP {
		var response struct {
			StatusCode int
			Headers    map[string]string
			Body       string
		}
		require.NoError(t, json.Unmarshal(a.Payload, &response))
		require.Equal(t, http.StatusOK, response.StatusCode, response.Body)
		batch = response.Headers["Content-Type"] == events.BatchMediaType
		if !batch {
			assert.Equal(t, events.StructuredMediaType, response.Headers["Content-Type"])
		}
		body = response.Body
	}
	require.Equal(t, batch, strings.HasPrefix(body, "["))
	results := resultsIn(t, []byte(body))
	require.NotEmpty(t, results)
	for _, r := range results {
		assert.Contains(t, []string{"org.region.registered", "account.admin.registered"}, r.Type)
		assert.Contains(t, []string{"registered", "unchanged"}, r.Data.Outcome)
	}
}

// asked is what the data of an event asks for.
type asked struct {
	RegionID          string   `json:"region_id"`
	AccountID         string   `json:"account_id"`
	ServicePrincipal  string   `json:"service_principal"`
	ServicePrincipals []string `json:"service_principals"`
}

func (a asked) principals() []string {
	if a.ServicePrincipal != "" {
		return append([]string{a.ServicePrincipal}, a.ServicePrincipals...)
	}
	return a.ServicePrincipals
}

// sampleData reads the data of each event in a payload.
func sampleData(t *testing.T, shape events.Shape, payload []byte) []asked {
	t.Helper()
	envelope, err := events.Unwrap(payload)
	if shape == events.HTTP {
		var request struct {
			Headers         map[string]string
			Body            json.RawMessage
			IsBase64Encoded bool
		}
		require.NoError(t, json.Unmarshal(payload, &request))
		header := http.Header{}
		for name, value := range request.Headers {
			header.Set(name, value)
		}
		var text string
		require.NoError(t, json.Unmarshal(request.Body, &text))
		body := []byte(text)
		if request.IsBase64Encoded {
			body = nil
			require.NoError(t, json.Unmarshal(request.Body, &body)) // what JSON holds for bytes is base64
		}
		envelope, err = events.UnwrapHTTP(header, body)
	}
	require.NoError(t, err)
	var all []asked
	for _, record := range envelope.Records {
		require.NoError(t, record.Err)
		var data asked
		require.NoError(t, json.Unmarshal(record.Event.Data, &data))
		all = append(all, data)
	}
	return all
}
