//go:build unix

package lambdalocal

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATriggerGivesUpAfterItsLastDelivery(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]string{"q": "", "q.fifo": "g"} {
		f := newEcho(t, Config{Watch: func([]byte) func(Answer, error) { return func(Answer, error) {} }})
		trigger, err := NewTrigger(f.Invoke, name, time.Hour)
		require.NoError(t, err)
		trigger.Mapping.Invoke = always(`{"batchItemFailures":[{"itemIdentifier":"none of them"}]}`)
		_, err = trigger.Queue.Send("bad", group)
		require.NoError(t, err)
		for range MaxReceiveCount {
			deliver(t, trigger.Mapping, 1)
			trigger.Queue.Advance(time.Hour)
		}
		deliver(t, trigger.Mapping, 0)
		assert.Equal(t, []string{"bad"}, bodies(trigger.DeadLetters))
		assert.Empty(t, bodies(trigger.Queue))
	}
	_, err := NewTrigger(newEcho(t, Config{}).Invoke, "q", -1)
	require.Error(t, err)
}

func TestATriggerDeliversToItsFunction(t *testing.T) {
	t.Parallel()
	var payloads []string
	var answers []Answer
	f := newEcho(t, Config{Concurrency: 1, Watch: func(payload []byte) func(Answer, error) {
		payloads = append(payloads, string(payload))
		return func(a Answer, err error) {
			assert.NoError(t, err)
			answers = append(answers, a)
		}
	}})
	trigger, err := NewTrigger(f.Invoke, "q", time.Hour)
	require.NoError(t, err)
	send(t, trigger.Queue, "hello")
	deliver(t, trigger.Mapping, 1)
	assert.Empty(t, bodies(trigger.Queue), "echo answers with something else than failures")
	require.Len(t, payloads, 1, "who watches sees what comes in")
	var e events.SQSEvent
	require.NoError(t, json.Unmarshal([]byte(payloads[0]), &e))
	assert.Equal(t, "hello", e.Records[0].Body)
	require.Len(t, answers, 1, "and how it ends")
	assert.JSONEq(t, payloads[0], string(answers[0].Payload))
}

func TestWhatIsGivenUpAtOnceIsADeadLetterLikeOthers(t *testing.T) {
	t.Parallel()
	trigger, err := NewTrigger(newEcho(t, Config{}).Invoke, "q", time.Hour)
	require.NoError(t, err)
	id, err := trigger.Queue.GiveUp("bad")
	require.NoError(t, err)
	assert.Equal(t, id, trigger.DeadLetters.Messages()[0].ID)
	assert.Equal(t, 1, trigger.DeadLetters.Redrive())
	assert.Equal(t, []string{"bad"}, bodies(trigger.Queue))
	assert.Empty(t, bodies(trigger.DeadLetters))

	for _, body := range []string{"", "\xff"} {
		_, err = trigger.Queue.GiveUp(body)
		require.Error(t, err)
	}
	_, err = trigger.DeadLetters.GiveUp("bad")
	require.Error(t, err, "it has no dead letters behind it")
}
