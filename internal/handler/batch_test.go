package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

const (
	standard = "arn:aws:sqs:eu-west-1:123456789012:q"
	fifo     = "arn:aws:sqs:eu-west-1:123456789012:q.fifo"
)

// message is a message of SQS.
type message struct{ id, body, group string }

// batch is an event of SQS with messages of the queue arn.
func batch(t *testing.T, arn string, messages ...message) []byte {
	t.Helper()
	var in lambdaevents.SQSEvent
	for _, m := range messages {
		in.Records = append(in.Records, lambdaevents.SQSMessage{
			MessageId: m.id, Body: m.body, EventSource: "aws:sqs", EventSourceARN: arn,
			Attributes: map[string]string{"MessageGroupId": m.group},
		})
	}
	payload, err := json.Marshal(in)
	require.NoError(t, err)
	return payload
}

// failed invokes h and returns the ids of the messages that must be delivered again.
func failed(t *testing.T, h *handler.Handler, payload []byte) []string {
	t.Helper()
	answer, err := h.Invoke(t.Context(), payload)
	require.NoError(t, err, "a batch never fails as a whole")
	assert.NotContains(t, string(answer), "null")
	var out struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	require.NoError(t, json.Unmarshal(answer, &out))
	ids := []string{}
	for _, item := range out.BatchItemFailures {
		ids = append(ids, item.ItemIdentifier)
	}
	return ids
}

// failing fails for the events whose id is in failures, or panics if that error says "panic", and
// registers all others. It appends the ids of the events to begun.
func failing(failures map[string]error, begun *[]string) registerFunc {
	var mu sync.Mutex
	return func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		*begun = append(*begun, e.ID)
		if failures[e.ID] != nil && failures[e.ID].Error() == "panic" {
			panic("boom")
		}
		if err := failures[e.ID]; err != nil {
			return nil, err
		}
		return registered(ctx, e, asked)
	}
}

func TestOnlyWhatIsNotAcknowledgedReturnsToTheQueue(t *testing.T) {
	t.Parallel()
	var asked []string
	h := newHandler(failing(map[string]error{
		"transient":     errors.New("away"),
		"misconfigured": attempt.Misconfigured.Errorf("no rights"),
		"panic":         errors.New("panic"),
	}, &asked))
	whole := bootstrap("x")
	several := "[" + bootstrap("good") + "," + bootstrap("transient") + "," + bootstrap("misconfigured") + "]"
	got := failed(t, h, batch(t, standard,
		message{id: "good", body: bootstrap("good")},
		message{id: "truncated", body: whole[:20]},
		message{id: "empty"},
		message{id: "foreign", body: strings.Replace(whole, "org.bootstrap", "account.created", 1)},
		message{id: "transient", body: bootstrap("transient")},
		message{id: "misconfigured", body: bootstrap("misconfigured")},
		message{id: "panic", body: bootstrap("panic")},
		message{id: "rejected", body: strings.Replace(whole, "cn-north-4", "Beijing", 1)},
		message{id: "several", body: several},
		message{id: "last", body: bootstrap("last")},
	))
	assert.Equal(t, []string{"truncated", "empty", "foreign", "transient", "misconfigured", "panic", "several"}, got)
	assert.Equal(t, []string{
		"good", "transient", "misconfigured", "panic", "good", "last", "transient", "misconfigured",
	}, asked)
}

func TestABatchWithoutFailuresIsAnEmptyList(t *testing.T) {
	t.Parallel()
	payload := batch(t, standard, message{id: "1", body: bootstrap("1")})
	answer, err := newHandler(registered).Invoke(t.Context(), payload)
	require.NoError(t, err)
	assert.JSONEq(t, `{"batchItemFailures":[]}`, string(answer))
}

func TestAfterAQuotaIsUsedUpNoOtherEventIsBegun(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"429":                     apiError(attempt.Transient, 429),
		"a wait that is too long": &attempt.Failure{Err: errors.New("busy"), Answered: true, RetryAfter: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			h := newHandler(failing(map[string]error{"2": err}, &asked))
			_, got := h.Invoke(t.Context(), []byte("["+bootstrap("1")+","+bootstrap("2")+","+bootstrap("3")+",5]"))
			require.ErrorContains(t, got, "3 of 4 events failed")
			require.ErrorAs(t, got, new(*handler.TransientError))
			assert.Equal(t, []string{"1", "2"}, asked)
		})
	}
}

func TestEverySecondDeliveryBeginsWithTheLastMessage(t *testing.T) {
	t.Parallel()
	for delivery, want := range map[string][]string{
		"": {"1", "2"}, "1": {"1", "2"}, "2": {"4", "3", "2"}, "3": {"1", "2"}, "4": {"4", "3", "2"},
	} {
		var asked []string
		h := newHandler(failing(map[string]error{"2": apiError(attempt.Transient, 429)}, &asked))
		var messages []message
		for _, id := range []string{"1", "2", "3", "4"} {
			messages = append(messages, message{id: id, body: bootstrap(id)})
		}
		payload := bytes.ReplaceAll(batch(t, standard, messages...),
			[]byte(`"MessageGroupId":""`), []byte(`"ApproximateReceiveCount":"`+delivery+`"`))
		_, err := h.Invoke(t.Context(), payload)
		require.NoError(t, err)
		assert.Equal(t, want, asked, "delivery %s", delivery)
	}
}

func TestALargeMessageDoesntStarveTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		register := failing(nil, &asked)
		h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
			time.Sleep(time.Second)
			return register(ctx, e, asked)
		})
		large := bootstrap("large")
		messages := []message{{id: "large", body: "[" + strings.Repeat(large+",", 99) + large + "]"}}
		for _, id := range []string{"1", "2", "3", "4"} {
			messages = append(messages, message{id: id, body: bootstrap(id)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		answer, err := h.Invoke(ctx, batch(t, standard, messages...))
		require.NoError(t, err)
		assert.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"large"}]}`, string(answer))
		assert.Subset(t, asked, []string{"large", "1", "2", "3", "4"})
	})
}

// It replaces the default logger, so it can't run in parallel.
func TestARecordThatIsHeldBackIsNotAFailure(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	var asked []string
	h := newHandler(failing(map[string]error{"1": apiError(attempt.Transient, 429)}, &asked))
	lambda := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{})
	_, err := h.Invoke(lambda, []byte("["+bootstrap("1")+","+bootstrap("2")+"]"))
	require.Error(t, err)
	var lines []map[string]any
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var line map[string]any
		require.NoError(t, decoder.Decode(&line))
		lines = append(lines, line)
	}
	require.Len(t, lines, 2)
	assert.Equal(t, "WARN", lines[0]["level"])
	assert.Equal(t, "event failed", lines[0]["msg"])
	assert.EqualValues(t, 1, lines[0]["Transient"])
	assert.Equal(t, "INFO", lines[1]["level"])
	assert.Equal(t, "event held back", lines[1]["msg"])
	assert.EqualValues(t, 1, lines[1]["HeldBack"])
	assert.Equal(t, "2", lines[1]["cause_id"])
	assert.NotContains(t, lines[1], "Transient")
}

func TestNearTheDeadlineNoOtherEventIsBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		register := failing(nil, &asked)
		h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
			time.Sleep(time.Second)
			return register(ctx, e, asked)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		answer, err := h.Invoke(ctx, batch(t, standard,
			message{id: "1", body: bootstrap("1")},
			message{id: "2", body: bootstrap("2")},
			message{id: "3", body: bootstrap("3")},
		))
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(string(answer), "itemIdentifier"), string(answer))
		assert.Len(t, asked, 2)
		require.NoError(t, ctx.Err(), "there was time to answer")
	})
}

func TestTheOrderOfAFIFOGroupIsKept(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 4} {
		var asked []string
		h := newHandler(failing(map[string]error{"a2": errors.New("away")}, &asked))
		h.Config.Concurrency = concurrency
		messages := []message{
			{"a1", bootstrap("a1"), "a"},
			{"b1", bootstrap("b1"), "b"},
			{"a2", bootstrap("a2"), "a"},
			{"a3", bootstrap("a3"), "a"},
			{"b2", bootstrap("b2"), "b"},
			{"a4", "not an event", "a"},
		}
		assert.Equal(t, []string{"a2", "a3", "a4"}, failed(t, h, batch(t, fifo, messages...)))
		assert.ElementsMatch(t, []string{"a1", "a2", "b1", "b2"}, asked, "those behind the failure are untouched")

		asked = nil
		assert.Equal(t, []string{"a2", "a4"}, failed(t, h, batch(t, standard, messages...)),
			"a group of a standard queue has no order")
		assert.Len(t, asked, 5)
	}
}

func TestAsManyEventsAreHandledAtOnceAsConcurrencySays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
			seconds, err := time.ParseDuration(e.ID + "s")
			assert.NoError(t, err)
			time.Sleep(seconds)
			return registered(ctx, e, asked)
		})
		var messages []message
		for i := 1; i <= 9; i++ { // each takes a second longer than the one before it
			messages = append(messages, message{id: fmt.Sprint(i), body: bootstrap(fmt.Sprint(i))})
		}
		for concurrency, want := range map[int]time.Duration{
			0: 45 * time.Second, 1: 45 * time.Second, 3: 18 * time.Second, 20: 9 * time.Second,
		} {
			h.Config.Concurrency = concurrency
			start := time.Now()
			assert.Empty(t, failed(t, h, batch(t, standard, messages...)))
			assert.Equal(t, want, time.Since(start), concurrency)
		}
	})
}

func TestOtherShapesAreAnsweredWithResultEvents(t *testing.T) {
	t.Parallel()
	in := bootstrap("1")
	notification := func(s string) string {
		quoted, err := json.Marshal(s)
		require.NoError(t, err)
		return `{"EventSource":"aws:sns","Sns":{"Message":` + string(quoted) + `}}`
	}
	for name, c := range map[string]struct {
		payload string
		results int
	}{
		"EventBridge": {
			`{"id":"x","detail-type":"x","source":"x","time":"2026-01-02T03:04:05Z","detail":` + in + `}`, 1,
		},
		"SNS":                 {`{"Records":[` + notification(in) + `]}`, 1},
		"SNS with several":    {`{"Records":[` + notification(in) + `,` + notification(in) + `]}`, 2},
		"a failed invocation": {`{"requestContext":{"condition":"RetriesExhausted"},"requestPayload":` + in + `}`, 1},
		"a failed invocation with an array": {
			`{"requestContext":{"condition":"RetriesExhausted"},"requestPayload":[` + in + `,` + in + `]}`, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := newHandler(registered).Invoke(t.Context(), []byte(c.payload))
			require.NoError(t, err)
			if c.results == 1 {
				assert.Contains(t, string(answer), `{"specversion":"1.0"`)
			}
			assert.Equal(t, c.results, strings.Count(string(answer), "org.region.registered"))

			_, err = newHandler(fails(errors.New("away"))).Invoke(t.Context(), []byte(c.payload))
			require.ErrorAs(t, err, new(*handler.TransientError))
		})
	}
}

func TestAResultEventIsDeliveredToTheSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		var refuse error
		h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
			deadline, _ := ctx.Deadline()
			assert.Equal(t, 8*time.Second, time.Until(deadline), "2 s are reserved for the sink")
			return registered(ctx, e, asked)
		})
		h.Sink = func(ctx context.Context, all ...event.Event) error {
			deadline, _ := ctx.Deadline()
			assert.Equal(t, 9500*time.Millisecond, time.Until(deadline))
			require.Len(t, all, 1)
			sent = append(sent, all[0].ID())
			return refuse
		}
		invoke := func() ([]byte, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return h.Invoke(ctx, []byte(bootstrap("1")))
		}
		answer, err := invoke()
		require.NoError(t, err)
		assert.Contains(t, string(answer), sent[0], "the answer has the same id")

		refuse = attempt.Misconfigured.Errorf("the sink: no rights")
		_, err = invoke()
		require.ErrorAs(t, err, new(*handler.MisconfiguredError))
		require.EqualError(t, err, "cn-north-4: registered, but the result can't be delivered: the sink: no rights")
		refuse = errors.New("away")
		_, err = invoke()
		require.ErrorAs(t, err, new(*handler.TransientError))
		assert.Equal(t, []string{sent[0], sent[0], sent[0]}, sent, "after a redelivery the id is the same")

		answer, err = h.Invoke(t.Context(), batch(t, standard)) // no records, no sink
		require.Error(t, err)
		assert.Nil(t, answer)
	})
}

func TestAFailedSinkSaysWhatIsRegisteredAllTheSame(t *testing.T) {
	t.Parallel()
	for want, outcomes := range map[string][]events.Outcome{
		"service.0, service.1: registered, but the result can't be delivered: away": {
			events.Registered, events.Unchanged,
		},
		"service.0: registered, but the result can't be delivered: away": {events.Registered, events.Rejected},
		"the result org.service.rejected can't be delivered: away":       {events.Rejected},
		"the result org.service.planned can't be delivered: away":        {events.Planned},
	} {
		register := func(context.Context, events.Event, events.BootstrapServices) (events.Result, error) {
			var r events.ServiceResult
			for i, outcome := range outcomes {
				r.Registrations = append(r.Registrations, events.Registration{
					ServicePrincipal: events.ServicePrincipal(fmt.Sprintf("service.%d", i)), Outcome: outcome,
				})
			}
			return r, nil
		}
		h := &handler.Handler{Function: handler.NewFunction(events.BootstrapServicesInput(), register)}
		h.Sink = func(context.Context, ...event.Event) error { return errors.New("away") }
		_, err := h.Invoke(t.Context(), []byte(bootstrap("1")))
		require.EqualError(t, err, want)
	}
}

func TestTheFailuresOfABatchCountElements(t *testing.T) {
	t.Parallel()
	_, err := newHandler(registered).Invoke(t.Context(), []byte("[0,0,"+bootstrap("1")+",0]"))
	require.ErrorContains(t, err, "3 of 4 events failed")
}
