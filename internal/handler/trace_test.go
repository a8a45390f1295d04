package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/pkg/events"
)

// traced is a trace of CTS by the service Organizations.
func traced(id, name, response string) string {
	return fmt.Sprintf(`{"cts":{"trace_id":%q,"service_type":"Organizations","trace_name":%q,"response":%s}}`,
		id, name, response)
}

func TestATraceIsAnsweredAsItsShapeAsks(t *testing.T) {
	t.Parallel()
	bootstraps, creates := traced("t-1", "createOrganization", `{}`), traced("t-2", "createAccount", `{"x":1}`)
	queue := func(bodies ...string) string {
		var all []message
		for i, body := range bodies {
			all = append(all, message{id: fmt.Sprint("m-", i+1), body: body})
		}
		return string(batch(t, standard, all...))
	}
	const allDone = `{"batchItemFailures":[]}`
	other, nobody := traced("t-3", "inviteAccount", `{}`), traced("", "createOrganization", `{}`)
	for name, c := range map[string]struct {
		payload string
		answer  string // the outcomes, in the shape of the answer
		failure string // the errorType that Lambda reports
	}{
		"its own":               {bootstraps, `"registered"`, ""},
		"another function's":    {creates, `null`, ""},
		"nobody's":              {other, `null`, ""},
		"without an id":         {nobody, "", "InvalidEventError"},
		"another's without one": {traced("", "createAccount", `{"create_account_status":{"id":"c"}}`), `null`, ""},
		"an array":              {"[" + other + "," + bootstraps + "]", `[null,"registered"]`, ""},
		"one among garbage": {
			"[" + traced("", "createAccount", `{"create_account_status":{"id":"c"}}`) + `,{"hello":1}]`, "",
			"InvalidEventError",
		},
		"an array of one":       {"[" + other + "]", `[null]`, ""},
		"an array that fails":   {"[" + other + "," + nobody + "]", "", "InvalidEventError"},
		"a destination":         {`{"request_context":{"condition":"x"},"request_payload":` + other + `}`, `null`, ""},
		"two notifications":     {smn(other, creates), `[null,null]`, ""},
		"a notification":        {smn(bootstraps), `"registered"`, ""},
		"a detail":              {`{"detail-type":"x","source":"y","detail":` + other + `}`, `null`, ""},
		"a trace of EventGrid":  {eventGrid(), "", "InvalidEventError"},
		"an event besides":      {"[" + bootstrap("1") + "," + creates + "]", `["registered",null]`, ""},
		"a batch of nothing":    {queue(other), allDone, ""},
		"a batch with both":     {queue("[" + other + "," + bootstraps + "]"), allDone, ""},
		"a batch without an id": {queue(nobody, other), `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := newHandler(registered).Invoke(t.Context(), []byte(c.payload))
			if c.failure != "" {
				require.Error(t, err)
				assert.Equal(t, c.failure, errorType(err))
				return
			}
			require.NoError(t, err)
			assert.JSONEq(t, c.answer, outcomes(t, answer))
		})
	}
}

// smn is a payload of FunctionGraph.
func smn(texts ...string) string {
	var records []string
	for _, text := range texts {
		records = append(records, fmt.Sprintf(`{"event_source":"smn","smn":{"message":%q}}`, text))
	}
	return `{"record":[` + strings.Join(records, ",") + `]}`
}

func eventGrid() string {
	return `{"specversion":"1.0","id":"1","source":"HC.Organizations",` +
		`"type":"Organizations:CloudTrace:ApiCall","data":{}}`
}

// outcomes replaces each result event in an answer by its outcome.
func outcomes(t *testing.T, answer []byte) string {
	t.Helper()
	var list []json.RawMessage
	if json.Unmarshal(answer, &list) == nil && string(answer) != "null" {
		for i := range list {
			list[i] = json.RawMessage(outcomes(t, list[i]))
		}
		b, err := json.Marshal(list)
		require.NoError(t, err)
		return string(b)
	}
	var one struct {
		Data struct{ Outcome json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(answer, &one))
	if one.Data.Outcome != nil {
		return string(one.Data.Outcome)
	}
	return string(answer)
}

func TestWhatATraceBecomesIsTakenWhateverTheTypesAre(t *testing.T) {
	t.Parallel()
	h := newHandler(registered)
	h.Config.Types = handler.EventTypes{"com.example.org.ready"}
	answer, err := h.Invoke(t.Context(), []byte(traced("t-1", "createOrganization", `{}`)))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"source":"/huaweicloud/cts/Organizations"`)

	h.Config.Types = handler.EventTypes{"account.created"}
	answer, err = h.Invoke(t.Context(), []byte(traced("t-1", "createAccount",
		`{"create_account_status":{"account_id":"a"}}`)))
	require.NoError(t, err)
	assert.Equal(t, "null", string(answer), "its data isn't this function's")

	admin := &handler.Handler{Name: "register-admin", Function: handler.NewFunction(events.AccountCreatedInput(),
		func(_ context.Context, _ events.Event, asked events.AccountCreated) (events.Result, error) {
			return events.AdminResult{
				AccountID: asked.AccountID, RegistrationsResult: events.RegistrationsResult{Outcome: events.Skipped},
			}, nil
		})}
	answer, err = admin.Invoke(t.Context(), []byte(traced("t-1", "createAccount",
		`{"create_account_status":{"account_id":"a"}}`)))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"account_id":"a"`)
}

// What asks for nothing calls nothing, sends nothing, and is the same however often it comes.
func TestAnIgnoredTraceCostsNothing(t *testing.T) {
	t.Parallel()
	h := newHandler(func(context.Context, events.Event, events.BootstrapRegion) (events.Result, error) {
		panic("the function is called")
	})
	h.Sink = func(context.Context, ...event.Event) error { panic("something is sent") }
	for range 3 {
		for _, payload := range []string{
			traced("t-1", "createAccount", `{"create_account_status":{"id":"car-1"}}`),
			traced("t-1", "createAccount", `{}`), traced("t-1", "enableTrustedService", `{}`),
		} {
			answer, err := h.Invoke(t.Context(), []byte(payload))
			require.NoError(t, err)
			assert.Equal(t, "null", string(answer))
		}
	}
}

func TestAnIgnoredTraceIsNotInABatchOverHTTP(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	body := "[" + bootstrap("1") + "," + traced("t-1", "inviteAccount", `{}`) + "]"
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", events.BatchMediaType)
	newHandler(registered).ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.JSONEq(t, `["registered"]`, outcomes(t, w.Body.Bytes()), "the media type is of events alone")
}

func TestEventGridsTracesAreRefusedWithAdvice(t *testing.T) {
	t.Parallel()
	_, err := newHandler(registered).Invoke(t.Context(), []byte(eventGrid()))
	require.ErrorContains(t, err, `not "Organizations:CloudTrace:ApiCall"; a trace is taken from a CTS trigger`)
	_, err = newHandler(registered).Invoke(t.Context(), []byte(strings.Replace(eventGrid(), "CloudTrace", "Other", 1)))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "CTS")
}

// It replaces the default logger, so it can't run in parallel.
func TestAnIgnoredTraceIsOneLine(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})
	admin := &handler.Handler{Name: "register-admin", Function: handler.NewFunction(events.AccountCreatedInput(), nil)}
	for name, c := range map[string]struct {
		handler              *handler.Handler
		payload              string
		level, reason, event string
	}{
		"nobody's": {
			admin, traced("t-1", "inviteAccount", `{}`), "INFO",
			`a trace "inviteAccount" of "Organizations" asks for nothing`, "",
		},
		"another function's": {
			admin, traced("t-1", "createOrganization", `{}`), "INFO",
			"the trace became org.bootstrap, which register-admin doesn't take", "org.bootstrap",
		},
		"without an account": {
			admin, traced("t-1", "createAccount", `{}`), "WARN",
			"createAccount of Organizations tells no account: account_id: is missing, " +
				"and so is create_account_status_id",
			"account.created",
		},
		"without an account, for another function": {
			newHandler(registered), traced("t-1", "createAccount", `{}`), "INFO",
			"the trace became account.created, which register-region doesn't take", "account.created",
		},
	} {
		out.Reset()
		_, err := c.handler.Invoke(ctx, []byte(c.payload))
		require.NoError(t, err, name)
		require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
		var fields map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &fields))
		for key, want := range map[string]any{
			"msg": "event ignored", "level": c.level, "reason_text": c.reason, "cause_id": "t-1", "type": c.event,
			"Ignored": 1.0, "HuaweiCloudAttempts": 0.0, "requestId": "lambda-1",
		} {
			assert.Equal(t, want, fields[key], "%s: %s", name, key)
		}
		assert.NotContains(t, fields, "outcome", name)
		assert.NotContains(t, fields, "err", name)
	}
}
