//go:build unix

package lambdalocal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// consumer is a function that keeps the events it gets and fails the messages whose bodies are in
// bad.
type consumer struct {
	mu     sync.Mutex
	events []events.SQSEvent
	bad    []string
}

func (c *consumer) invoke(_ context.Context, payload []byte) (Answer, error) {
	var e events.SQSEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return Answer{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
	var answer events.SQSEventResponse
	for _, r := range e.Records {
		if slices.Contains(c.bad, r.Body) {
			failure := events.SQSBatchItemFailure{ItemIdentifier: r.MessageId}
			answer.BatchItemFailures = append(answer.BatchItemFailures, failure)
		}
	}
	a, err := json.Marshal(answer)
	return Answer{Payload: a}, err
}

func (c *consumer) fail(bodies ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad = bodies
}

// got returns the bodies of each batch since the call before, like "a1 a2".
func (c *consumer) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var batches []string
	for _, e := range c.events {
		var bodies []string
		for _, r := range e.Records {
			bodies = append(bodies, r.Body)
		}
		batches = append(batches, strings.Join(bodies, " "))
	}
	c.events = nil
	return batches
}

func always(answer string) func(context.Context, []byte) (Answer, error) {
	return func(context.Context, []byte) (Answer, error) { return Answer{Payload: []byte(answer)}, nil }
}

func newQueue(t *testing.T, cfg QueueConfig) *Queue {
	t.Helper()
	q, err := NewQueue(cfg)
	require.NoError(t, err)
	return q
}

// send sends bodies; in a FIFO queue the group is the first letter.
func send(t *testing.T, q *Queue, bodies ...string) (ids []string) {
	t.Helper()
	for _, body := range bodies {
		group := ""
		if q.fifo {
			group = body[:1]
		}
		id, err := q.Send(body, group)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

func deliver(t *testing.T, m Mapping, want int) {
	t.Helper()
	delivered, err := m.Deliver(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, delivered)
}

func bodies(q *Queue) (list []string) {
	for _, m := range q.Messages() {
		list = append(list, m.Body)
	}
	return list
}

func inFlight(q *Queue) (n int) {
	for _, m := range q.Messages() {
		if m.InFlight {
			n++
		}
	}
	return n
}

// run starts m.Run and returns what stops it and tells how it ended.
func run(t *testing.T, m Mapping) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestAMessageThatFailedReturnsWhenItsVisibilityTimeoutEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q"})
		c := &consumer{bad: []string{"bad"}}
		m := Mapping{Queue: q, Invoke: c.invoke}
		id := send(t, q, "good", "bad")[1]

		deliver(t, m, 2)
		require.Equal(t, []string{"bad"}, bodies(q))
		left := q.Messages()[0]
		assert.Equal(t, id, left.ID)
		assert.Equal(t, 1, left.ReceiveCount)
		assert.True(t, left.InFlight)
		assert.Equal(t, "listed in batchItemFailures", left.Failure)
		assert.Contains(t, string(left.Answer.Payload), id)

		deliver(t, m, 0)
		q.Advance(30*time.Second - time.Nanosecond)
		deliver(t, m, 0)
		q.Advance(time.Nanosecond)
		assert.False(t, q.Messages()[0].InFlight)
		deliver(t, m, 1)
		assert.Equal(t, 2, q.Messages()[0].ReceiveCount)

		c.fail()
		q.Advance(30 * time.Second)
		deliver(t, m, 1)
		assert.Empty(t, q.Messages())
		assert.Equal(t, []string{"good bad", "bad", "bad"}, c.got())
	})
}

func TestAMessageReceivedTooOftenIsADeadLetterAndCanBeRedriven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead := newQueue(t, QueueConfig{Name: "dead"})
		q := newQueue(t, QueueConfig{Name: "q", VisibilityTimeout: time.Minute, DeadLetters: dead, MaxReceiveCount: 3})
		c := &consumer{bad: []string{"bad"}}
		m := Mapping{Queue: q, Invoke: c.invoke}
		id := send(t, q, "bad")[0]
		for range 3 {
			deliver(t, m, 1)
			assert.Empty(t, dead.Messages())
			q.Advance(time.Minute)
		}
		assert.Equal(t, []string{"bad"}, bodies(q), "it moves when it would be received again")
		deliver(t, m, 0)
		assert.Empty(t, q.Messages())
		require.Equal(t, []string{"bad"}, bodies(dead))
		letter := dead.Messages()[0]
		assert.Equal(t, id, letter.ID)
		assert.Equal(t, 3, letter.ReceiveCount)
		assert.False(t, letter.InFlight)
		assert.Equal(t, "listed in batchItemFailures", letter.Failure)

		send(t, dead, "stranger")
		assert.Equal(t, 1, dead.Redrive())
		assert.Equal(t, []string{"stranger"}, bodies(dead), "it came from nowhere")
		require.Equal(t, []string{"bad"}, bodies(q))
		again := q.Messages()[0]
		assert.NotEqual(t, id, again.ID)
		assert.Zero(t, again.ReceiveCount)
		assert.Empty(t, again.Failure)
		for range 3 {
			deliver(t, m, 1)
			q.Advance(time.Minute)
		}
		deliver(t, m, 0)
		assert.Equal(t, []string{"stranger", "bad"}, bodies(dead))
	})
}

func TestADeadLetterQueueIsAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		grave := newQueue(t, QueueConfig{Name: "grave"})
		dead := newQueue(t, QueueConfig{Name: "dead", DeadLetters: grave, MaxReceiveCount: 1})
		q := newQueue(t, QueueConfig{Name: "q", DeadLetters: dead, MaxReceiveCount: 1})
		send(t, q, "bad")
		c := &consumer{bad: []string{"bad"}}
		deliver(t, Mapping{Queue: q, Invoke: c.invoke}, 1)
		q.Advance(time.Minute)
		deliver(t, Mapping{Queue: q, Invoke: c.invoke}, 0)

		deliver(t, Mapping{Queue: dead, Invoke: c.invoke}, 1)
		attributes := c.events[1].Records[0].Attributes
		assert.Equal(t, q.arn(), attributes["DeadLetterQueueSourceArn"])
		assert.Equal(t, "2", attributes["ApproximateReceiveCount"])
		assert.Zero(t, dead.Redrive(), "it is in flight")
		dead.Advance(time.Minute)
		deliver(t, Mapping{Queue: dead, Invoke: c.invoke}, 0)
		assert.Equal(t, []string{"bad"}, bodies(grave))
		assert.Equal(t, 1, grave.Redrive())
		assert.Equal(t, []string{"bad"}, bodies(dead))
	})
}

func TestAGroupWaitsForItsHeadAndOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead := newQueue(t, QueueConfig{Name: "dead.fifo"})
		q := newQueue(t, QueueConfig{Name: "q.fifo", DeadLetters: dead, MaxReceiveCount: 2})
		c := &consumer{bad: []string{"a1"}}
		m := Mapping{Queue: q, Invoke: c.invoke, BatchSize: 1, Concurrency: 1}
		send(t, q, "a1", "b1", "a2", "b2", "a3")

		deliver(t, m, 3)
		assert.Equal(t, []string{"a1", "b1", "b2"}, c.got())
		assert.Equal(t, []string{"a1", "a2", "a3"}, bodies(q))
		assert.Equal(t, 1, inFlight(q))
		q.Advance(30 * time.Second)
		send(t, q, "b3")
		deliver(t, m, 2)
		assert.Equal(t, []string{"a1", "b3"}, c.got())
		deliver(t, m, 0)

		q.Advance(30 * time.Second)
		deliver(t, m, 2)
		assert.Equal(t, []string{"a2", "a3"}, c.got())
		assert.Equal(t, []string{"a1"}, bodies(dead))
		assert.Empty(t, q.Messages())
	})
}

func TestABatchHoldsAGroupInOrderBeforeTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q.fifo"})
		c := &consumer{bad: []string{"a2", "a3"}}
		m := Mapping{Queue: q, Invoke: c.invoke, BatchSize: 4}
		send(t, q, "a1", "b1", "a2", "b2", "a3")

		deliver(t, m, 5)
		assert.Equal(t, []string{"a1 a2 a3 b1", "b2"}, c.got())
		send(t, q, "a4")
		deliver(t, m, 0)
		c.fail()
		q.Advance(30 * time.Second)
		deliver(t, m, 3)
		assert.Equal(t, []string{"a2 a3 a4"}, c.got())
		assert.Empty(t, q.Messages())
	})
}

func TestAGroupIsInOneInvocationAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q.fifo"})
		c := &consumer{}
		busy := map[string]bool{}
		m := Mapping{Queue: q, BatchSize: 1, Concurrency: 10}
		m.Invoke = func(ctx context.Context, payload []byte) (Answer, error) {
			a, err := c.invoke(ctx, payload)
			c.mu.Lock()
			group := c.events[len(c.events)-1].Records[0].Attributes["MessageGroupId"]
			c.mu.Unlock()
			assert.False(t, busy[group], "group %s", group) // the race detector watches
			busy[group] = true
			busy[group] = false
			return a, err
		}
		for i := range 50 {
			send(t, q, fmt.Sprintf("a%02d", i))
		}
		deliver(t, m, 50)
		got := c.got()
		assert.Len(t, got, 50)
		assert.True(t, slices.IsSorted(got))
	})
}

func TestAnswersThatDeleteTheWholeBatch(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"an empty list":              `{"batchItemFailures":[]}`,
		"a null list":                `{"batchItemFailures":null}`,
		"no list":                    `{"status":"ok"}`,
		"an empty object":            `{}`,
		"null":                       `null`,
		"nothing":                    ``,
		"space":                      " \n",
		"a list under a wrong name":  `{"BatchItemFailures":[{"itemIdentifier":"x"}]}`,
		"the answer of a bare event": `{"Records":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t, QueueConfig{Name: "q"})
			send(t, q, "1", "2")
			var told []Message
			deliver(t, Mapping{Queue: q, Invoke: always(answer), OnDelivery: func(batch []Message) { told = batch }}, 2)
			assert.Empty(t, q.Messages())
			require.Len(t, told, 2)
			assert.Empty(t, told[0].Failure)
			assert.Equal(t, answer, string(told[1].Answer.Payload))
		})
	}
}

func TestAnswersThatReturnTheWholeBatch(t *testing.T) {
	t.Parallel()
	notInBatch := "an itemIdentifier is not the id of a message in the batch"
	tests := map[string]struct {
		payload, why  string
		functionError string
	}{
		"a function error": {
			`{"errorType":"BusyError"}`, `the function failed: {"errorType":"BusyError"}`, "Unhandled",
		},
		"a function error that looks good": {`{}`, "the function failed", "Unhandled"},
		"invalid JSON":                     {`{"batchItemFailures":[`, "the answer is not a JSON object", ""},
		"JSON and more":                    {`{} {}`, "the answer is not a JSON object", ""},
		"no object":                        {`"done"`, "the answer is not a JSON object", ""},
		"no list":                          {`{"batchItemFailures":{}}`, "batchItemFailures is not a list", ""},
		"an empty id":                      {`{"batchItemFailures":[{"itemIdentifier":""}]}`, notInBatch, ""},
		"a null id":                        {`{"batchItemFailures":[{"itemIdentifier":null}]}`, notInBatch, ""},
		"a missing id":                     {`{"batchItemFailures":[{}]}`, notInBatch, ""},
		"an id that isn't text":            {`{"batchItemFailures":[{"itemIdentifier":1}]}`, notInBatch, ""},
		"an id under a wrong name":         {`{"batchItemFailures":[{"ItemIdentifier":"ID"}]}`, notInBatch, ""},
		"a bare id":                        {`{"batchItemFailures":["ID"]}`, notInBatch, ""},
		"an id of another batch":           {`{"batchItemFailures":[{"itemIdentifier":"OTHER"}]}`, notInBatch, ""},
		"an id of another batch after ours": {
			`{"batchItemFailures":[{"itemIdentifier":"ID"},{"itemIdentifier":"OTHER"}]}`, notInBatch, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t, QueueConfig{Name: "q"})
			ids := send(t, q, "1", "2", "3")
			payload := strings.NewReplacer("ID", ids[0], "OTHER", ids[2]).Replace(tt.payload)
			answer := Answer{Payload: []byte(payload), FunctionError: tt.functionError}
			first := true
			invoke := func(context.Context, []byte) (Answer, error) {
				if first {
					first = false
					return answer, nil
				}
				return Answer{}, nil
			}
			deliver(t, Mapping{Queue: q, BatchSize: 2, Concurrency: 1, Invoke: invoke}, 3)
			assert.Equal(t, []string{"1", "2"}, bodies(q))
			assert.Equal(t, 2, inFlight(q))
			for _, m := range q.Messages() {
				assert.Contains(t, m.Failure, strings.NewReplacer("ID", ids[0]).Replace(tt.why))
				assert.Equal(t, answer, m.Answer)
			}
		})
	}
}

func TestTheEventIsThatOfSQS(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"q", "q.fifo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t, QueueConfig{Name: name})
				var payloads [][]byte
				m := Mapping{Queue: q, Invoke: func(_ context.Context, payload []byte) (Answer, error) {
					payloads = append(payloads, payload)
					return Answer{FunctionError: "Unhandled"}, nil
				}}
				ids := send(t, q, `g<1> "ü"`, "g2")
				sent := time.Now().UnixMilli()
				time.Sleep(time.Second)
				deliver(t, m, 2)
				time.Sleep(time.Minute)
				deliver(t, m, 2)

				var e [2]events.SQSEvent
				for i := range e {
					decoder := json.NewDecoder(strings.NewReader(string(payloads[i])))
					decoder.DisallowUnknownFields()
					require.NoError(t, decoder.Decode(&e[i]))
					require.Len(t, e[i].Records, 2)
				}
				attributes := map[string]string{
					"ApproximateReceiveCount": "2", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
					"SentTimestamp":                    strconv.FormatInt(sent, 10),
					"ApproximateFirstReceiveTimestamp": strconv.FormatInt(sent+1000, 10),
				}
				if q.fifo {
					attributes["MessageGroupId"] = "g"
					attributes["MessageDeduplicationId"] = "c8d0590682a1ddcbf93bb50f6c1afb75" +
						"b5b6a376e801997d6211a46f0526f8c6"
					attributes["SequenceNumber"] = "00000000000000000001"
				}
				first, again := e[0].Records[0], e[1].Records[0]
				assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, again.MessageId)
				assert.Equal(t, "1", first.Attributes["ApproximateReceiveCount"])
				assert.NotEmpty(t, again.ReceiptHandle)
				assert.NotEqual(t, first.ReceiptHandle, again.ReceiptHandle)
				if q.fifo {
					assert.Less(t, again.Attributes["SequenceNumber"], e[1].Records[1].Attributes["SequenceNumber"])
				}
				assert.Equal(t, events.SQSMessage{
					MessageId: ids[0], ReceiptHandle: again.ReceiptHandle, Body: `g<1> "ü"`,
					Md5OfBody: "44715498517e79b80b35f3dfc2248e81", Attributes: attributes,
					MessageAttributes: map[string]events.SQSMessageAttribute{},
					EventSource:       "aws:sqs",
					EventSourceARN:    "arn:aws:sqs:us-east-1:123456789012:" + name,
					AWSRegion:         "us-east-1",
				}, again)
			})
		})
	}
}

func TestConcurrencyIsTheMostBatchesInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q"})
		for range 14 {
			send(t, q, "x")
		}
		var mu sync.Mutex
		running, most := 0, 0
		invoke := func(context.Context, []byte) (Answer, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return Answer{}, nil
		}
		stop := run(t, Mapping{Queue: q, BatchSize: 2, Concurrency: 3, Invoke: invoke})
		for _, left := range []int{14, 8, 2} {
			synctest.Wait()
			assert.Len(t, q.Messages(), left)
			assert.Equal(t, min(left, 6), inFlight(q))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		assert.Empty(t, q.Messages())
		require.NoError(t, stop())
		assert.Equal(t, 3, most)
	})
}

func TestRunWaitsForWhatComesAndForWhatComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dead := newQueue(t, QueueConfig{Name: "dead"})
		q := newQueue(t, QueueConfig{Name: "q", DeadLetters: dead, MaxReceiveCount: 3})
		c := &consumer{bad: []string{"bad"}}
		stop := run(t, Mapping{Queue: q, Invoke: c.invoke})
		time.Sleep(time.Hour)
		send(t, q, "bad")
		synctest.Wait()
		assert.Equal(t, []string{"bad"}, c.got())
		time.Sleep(30*time.Second - time.Nanosecond)
		synctest.Wait()
		assert.Empty(t, c.got())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, []string{"bad"}, c.got())
		q.Advance(30 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"bad"}, c.got())
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"bad"}, bodies(dead))
		assert.Equal(t, 1, dead.Redrive())
		synctest.Wait()
		assert.Equal(t, []string{"bad"}, c.got())
		require.NoError(t, stop())
	})
}

func TestRunWaitsForWhicheverComesBackFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q"})
		c := &consumer{bad: []string{"1", "2"}}
		stop := run(t, Mapping{Queue: q, Invoke: c.invoke})
		send(t, q, "1")
		time.Sleep(20 * time.Second)
		send(t, q, "2")
		time.Sleep(31 * time.Second)
		assert.Equal(t, []string{"1", "2", "1", "2"}, c.got())
		require.NoError(t, stop())
	})
}

func TestOneRunGoesOnWhereAnotherEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q.fifo"})
		c := &consumer{}
		send(t, q, "a1", "a2")
		stopSlow := run(t, Mapping{Queue: q, BatchSize: 1, Invoke: func(context.Context, []byte) (Answer, error) {
			time.Sleep(time.Second)
			return Answer{}, nil
		}})
		synctest.Wait()
		stop := run(t, Mapping{Queue: q, Invoke: c.invoke})
		synctest.Wait()
		require.NoError(t, stopSlow())
		synctest.Wait()
		assert.Equal(t, []string{"a2"}, c.got())
		require.NoError(t, stop())
	})
}

func TestNothingIsLostWhenRunIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q"})
		send(t, q, "stays", "goes")
		ended := false
		invoke := func(ctx context.Context, payload []byte) (Answer, error) {
			if strings.Contains(string(payload), "stays") {
				<-ctx.Done()
				return Answer{}, ctx.Err()
			}
			time.Sleep(10 * time.Second) // goes on to its end
			ended = true
			return Answer{}, nil
		}
		stop := run(t, Mapping{Queue: q, BatchSize: 1, Invoke: invoke})
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, stop())
		assert.True(t, ended, "Run waits for its invocations")
		assert.Equal(t, 10*time.Second, time.Since(begin))
		assert.Equal(t, []string{"stays"}, bodies(q))
		assert.Equal(t, 1, inFlight(q))
		assert.Equal(t, "context canceled", q.Messages()[0].Failure)

		c := &consumer{}
		stop = run(t, Mapping{Queue: q, Invoke: c.invoke})
		synctest.Wait()
		assert.Empty(t, c.got())
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"stays"}, c.got())
		require.NoError(t, stop())
		assert.Empty(t, q.Messages())
	})
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	t.Parallel()
	q := newQueue(t, QueueConfig{Name: "q"})
	send(t, q, "1", "2", "3")
	ctx, cancel := context.WithCancel(t.Context())
	m := Mapping{Queue: q, BatchSize: 1, Concurrency: 1, Invoke: func(context.Context, []byte) (Answer, error) {
		cancel()
		return Answer{}, nil
	}}
	delivered, err := m.Deliver(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, delivered)
	assert.Equal(t, []string{"2", "3"}, bodies(q))
	assert.Zero(t, inFlight(q))
}

func TestAFunctionThatCannotRunEndsTheMapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q"})
		send(t, q, "1", "2")
		m := Mapping{Queue: q, BatchSize: 1, Concurrency: 1, Invoke: func(context.Context, []byte) (Answer, error) {
			return Answer{}, ErrClosed
		}}
		delivered, err := m.Deliver(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		assert.Equal(t, 1, delivered)
		require.ErrorIs(t, m.Run(t.Context()), ErrClosed)
		assert.Equal(t, []string{"1", "2"}, bodies(q))
		assert.Equal(t, ErrClosed.Error(), q.Messages()[1].Failure)
	})
}

func TestAnAnswerAfterTheVisibilityTimeoutDeletesNothing(t *testing.T) {
	t.Parallel()
	for name, took := range map[string]time.Duration{"q": 15 * time.Second, "q.fifo": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t, QueueConfig{Name: name, VisibilityTimeout: 10 * time.Second})
				send(t, q, "x")
				var told []string
				m := Mapping{Queue: q, Concurrency: 2}
				m.OnDelivery = func(batch []Message) { told = append(told, batch[0].Failure) }
				var mu sync.Mutex
				m.Invoke = func(context.Context, []byte) (Answer, error) {
					mu.Lock()
					wait := took
					took = time.Second
					mu.Unlock()
					time.Sleep(wait)
					return Answer{}, nil
				}
				deliver(t, m, 1)
				if q.fifo {
					assert.Equal(t, []string{"x"}, bodies(q))
					deliver(t, m, 1)
					late := "not deleted: the visibility timeout ended before the function did"
					assert.Equal(t, []string{late, ""}, told)
				}
				assert.Empty(t, q.Messages())
			})
		})
	}
}

func TestALateAnswerLeavesTheMessageToWhoHasItNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, QueueConfig{Name: "q", VisibilityTimeout: 10 * time.Second})
		send(t, q, "x")
		stop := run(t, Mapping{Queue: q, Invoke: func(_ context.Context, payload []byte) (Answer, error) {
			if strings.Contains(string(payload), `"ApproximateReceiveCount":"1"`) {
				time.Sleep(15 * time.Second)
				return Answer{}, nil
			}
			time.Sleep(8 * time.Second)
			return Answer{}, nil
		}})
		time.Sleep(16 * time.Second)
		assert.Equal(t, []string{"x"}, bodies(q))
		assert.Equal(t, 2, q.Messages()[0].ReceiveCount)
		time.Sleep(3 * time.Second)
		assert.Empty(t, q.Messages())
		require.NoError(t, stop())
	})
}

func TestEachMessageIsDeletedOrDeadWhoeverSendsAndRuns(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", ".fifo"} {
		t.Run("q"+suffix, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dead := newQueue(t, QueueConfig{Name: "dead" + suffix})
				q := newQueue(t, QueueConfig{Name: "q" + suffix, DeadLetters: dead, MaxReceiveCount: 3})
				var mu sync.Mutex
				done := map[string][]string{}
				m := Mapping{Queue: q}
				// Numbers that end in 3 always fail, in 6 the first time, and what comes after them
				// in their batch isn't tried.
				m.Invoke = func(_ context.Context, payload []byte) (Answer, error) {
					var e events.SQSEvent
					assert.NoError(t, json.Unmarshal(payload, &e))
					var answer events.SQSEventResponse
					for _, r := range e.Records {
						if len(answer.BatchItemFailures) > 0 || strings.HasSuffix(r.Body, "3") ||
							strings.HasSuffix(r.Body, "6") && r.Attributes["ApproximateReceiveCount"] == "1" {
							failed := events.SQSBatchItemFailure{ItemIdentifier: r.MessageId}
							answer.BatchItemFailures = append(answer.BatchItemFailures, failed)
							continue
						}
						group := r.Attributes["MessageGroupId"]
						mu.Lock() // here, since the next of the group may begin before OnDelivery is told
						done[group] = append(done[group], r.Body)
						mu.Unlock()
					}
					a, err := json.Marshal(answer)
					return Answer{Payload: a}, err
				}
				stops := []func() error{run(t, m), run(t, m)}
				var senders sync.WaitGroup
				for _, group := range []string{"a", "b", "c"} {
					senders.Go(func() {
						for i := range 50 {
							send(t, q, fmt.Sprintf("%s%02d", group, i))
							q.Messages()
						}
					})
				}
				senders.Wait()
				time.Sleep(24 * time.Hour)
				for _, stop := range stops {
					require.NoError(t, stop())
				}
				assert.Empty(t, q.Messages())
				deleted := 0
				for _, group := range done {
					deleted += len(group)
					if q.fifo {
						assert.True(t, slices.IsSorted(group), group)
					}
				}
				assert.Equal(t, 150, deleted+len(dead.Messages()))
				assert.GreaterOrEqual(t, len(dead.Messages()), 15)
			})
		})
	}
}

func TestABuiltFunctionGetsItsMessageAgain(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{})
	q := newQueue(t, QueueConfig{Name: "q", VisibilityTimeout: time.Hour})
	var told []Message
	payloads := []string{`{"do":"error","text":"later"}`, `{"do":"exit","text":"1"}`}
	m := Mapping{Queue: q, OnDelivery: func(batch []Message) { told = batch }}
	m.Invoke = func(ctx context.Context, payload []byte) (Answer, error) {
		if len(payloads) > 0 {
			payload, payloads = []byte(payloads[0]), payloads[1:]
		}
		return f.Invoke(ctx, payload)
	}
	id := send(t, q, "hello")[0]
	for _, failure := range []string{"BusyError", "Runtime.ExitError"} {
		deliver(t, m, 1)
		require.Equal(t, []string{"hello"}, bodies(q))
		assert.Contains(t, q.Messages()[0].Failure, failure)
		deliver(t, m, 0)
		q.Advance(time.Hour)
	}
	deliver(t, m, 1)
	assert.Empty(t, q.Messages())

	var echoed events.SQSEvent
	require.NoError(t, json.Unmarshal(told[0].Answer.Payload, &echoed))
	assert.Equal(t, id, echoed.Records[0].MessageId)
	assert.Equal(t, "3", echoed.Records[0].Attributes["ApproximateReceiveCount"])
}

func TestQueuesAndMappingsRefuseWhatSQSWould(t *testing.T) {
	t.Parallel()
	q, fifo := newQueue(t, QueueConfig{Name: "q"}), newQueue(t, QueueConfig{Name: "q.fifo"})
	for name, cfg := range map[string]QueueConfig{
		"no name":                       {},
		"negative timeout":              {Name: "x", VisibilityTimeout: -1},
		"dead letters without a count":  {Name: "x", DeadLetters: q},
		"negative count":                {Name: "x", DeadLetters: q, MaxReceiveCount: -1},
		"a count without dead letters":  {Name: "x", MaxReceiveCount: 1},
		"FIFO dead letters of standard": {Name: "x", DeadLetters: fifo, MaxReceiveCount: 1},
		"standard dead letters of FIFO": {Name: "x.fifo", DeadLetters: q, MaxReceiveCount: 1},
	} {
		_, err := NewQueue(cfg)
		assert.ErrorContains(t, err, "lambdalocal: ", name)
	}
	for name, send := range map[string]func() (string, error){
		"no body":      func() (string, error) { return q.Send("", "") },
		"not UTF-8":    func() (string, error) { return q.Send("\xff", "") },
		"a group":      func() (string, error) { return q.Send("x", "g") },
		"FIFO without": func() (string, error) { return fifo.Send("x", "") },
	} {
		_, err := send()
		assert.ErrorContains(t, err, "lambdalocal: q", name)
	}
	for _, m := range []Mapping{{BatchSize: 11}, {BatchSize: -1}, {Concurrency: -1}} {
		m.Queue, m.Invoke = q, always("")
		_, err := m.Deliver(t.Context())
		assert.ErrorContains(t, err, "lambdalocal: q: BatchSize")
		assert.Error(t, m.Run(t.Context()))
	}
}
