package frontdoor

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// Whatever stands in events/ is delivered twice to every function, configured as the stage dev is,
// and answered as its shape says by each that takes it. What it asks for is registered: a region,
// or the one account that shall administer something.
func TestEachSampleIsHandled(t *testing.T) {
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
			maps.Copy(s.env, shipped(t))
			want := sampleData(t, envelope.Shape, payload)
			for i, data := range want {
				if envelope.Shape == events.CTS && data.AccountID == "" { // such a trace names nothing
					want[i].RegionID = s.env["REGION_ID"]
				}
				if data.AccountID != "" {
					s.AddAccount(data.AccountID, "active")
				}
			}
			takers, answers := s.deliver(t, payload)
			for _, answer := range answers {
				checkAnswer(t, envelope.Shape, answer)
			}
			written, registers := s.writes(), false
			for _, data := range want {
				if data.RegionID != "" {
					assert.Equal(t, data.RegionID, s.Region())
				}
				administers := s.Delegations(data.AccountID)
				if data.AccountID == account {
					assert.Equal(t, []string{secMaster}, administers)
				} else {
					assert.Empty(t, administers)
				}
				registers = registers || data.RegionID != "" || data.AccountID == account
			}
			assert.Equal(t, registers, written > 0)
			for _, f := range takers {
				again, err := f.Invoke(t.Context(), payload)
				require.NoError(t, err)
				checkAnswer(t, envelope.Shape, again)
			}
			assert.Equal(t, written, s.writes(), "a redelivery writes nothing")
		})
	}
	for _, shape := range []events.Shape{
		events.Structured, events.Array, events.EventBridge, events.SQS, events.SNS, events.Destination, events.HTTP,
		events.SMN, events.Timer, events.CTS,
	} {
		assert.True(t, shapes[shape], "there is a sample of shape %s", shape)
	}
}

// deliver hands a payload to every function, as a bus with a rule for each function would, and
// returns the functions that take it and what they answer: one that answers InvalidEventError, or
// null to a trace, isn't meant.
func (s *stage) deliver(t *testing.T, payload []byte) (takers []function, answers []lambdalocal.Answer) {
	t.Helper()
	bootstraps, err := filepath.Glob(filepath.Join(dist, "*", "bootstrap"))
	require.NoError(t, err)
	for _, bootstrap := range bootstraps {
		before := len(s.log.parse(t))
		f := s.start(t, filepath.Base(filepath.Dir(bootstrap)))
		answer, err := f.Invoke(t.Context(), payload)
		require.NoError(t, err)
		failure := answer.Failure()
		if failure == "BatchItemFailures" { // only the log says why: the first message in it does
			failure, _ = s.log.parse(t)[before]["error_type"].(string)
		}
		if failure != "InvalidEventError" && string(answer.Payload) != "null" {
			takers, answers = append(takers, f), append(answers, answer)
		}
	}
	require.NotEmpty(t, takers, "no function takes it: %s", s.log)
	return takers, answers
}

// shipped is what deploy/ gives the functions of the stage dev: of each parameter the variable.
func shipped(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/samconfig.dev.toml")
	require.NoError(t, err)
	env := map[string]string{}
	parameters := regexp.MustCompile(`"(RegionId|Administrators|TrustedServices)=(.*)"`)
	for _, parameter := range parameters.FindAllStringSubmatch(string(b), -1) {
		words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(parameter[1], -1)
		env[strings.ToUpper(strings.Join(words, "_"))] = parameter[2]
	}
	require.NotEmpty(t, env)
	return env
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
		assert.Contains(t, []string{"registered", "unchanged", "skipped", "drifted"}, r.Data.Outcome)
	}
}

// asked is what the data of an event asks for.
type asked struct {
	RegionID  string `json:"region_id"`
	AccountID string `json:"account_id"`
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
