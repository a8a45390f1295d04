package register

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

// failed is the failure of a write.
func failed(kind attempt.Kind, status int, code, message string) error {
	return &attempt.Failure{Kind: kind, Err: &client.APIError{
		Operation: "Op", Answer: client.Answer{Status: status, Code: code, Message: message, RequestID: "refused"},
	}}
}

func refused(status int) error { return failed(attempt.Refused, status, "IIC.7", "for reasons") }

// sent is what one write sent, and how it ended.
type sent struct {
	client.Sent
	err error
}

// play calls Write with writes that end so one after another, and counts the looks.
func play(t *testing.T, look func(*events.Registration) error, writes ...sent) (
	r events.Registration, looks int, err error,
) {
	t.Helper()
	n := 0
	err = Write(t.Context(), &r, "do it",
		func(context.Context) (client.Sent, error) {
			require.Less(t, n, len(writes), "one write too many")
			n++
			return writes[n-1].Sent, writes[n-1].err
		},
		func(context.Context) error {
			looks++
			return look(&r)
		})
	assert.Equal(t, len(writes), n)
	return r, looks, err
}

func explainsNothing(*events.Registration) error { return nil }

func TestAWriteThatWorksIsRegisteredWithoutALook(t *testing.T) {
	t.Parallel()
	r, looks, err := play(t, explainsNothing, sent{client.Sent{Attempts: 3, RequestID: "a"}, nil})
	require.NoError(t, err)
	assert.Equal(t, events.Registration{Outcome: events.Registered, Attempts: 3, RequestID: "a"}, r)
	assert.Zero(t, looks)
}

func TestTheAttemptsOfBothWritesAreCounted(t *testing.T) {
	t.Parallel()
	r, looks, err := play(t, explainsNothing,
		sent{client.Sent{Attempts: 3, RequestID: "a"}, refused(400)},
		sent{client.Sent{Attempts: 2, RequestID: "b"}, nil})
	require.NoError(t, err)
	assert.Equal(t, events.Registration{Outcome: events.Registered, Attempts: 5, RequestID: "b"}, r)
	assert.Equal(t, 1, looks)
}

func TestTheRequestIDOfTheLastAnsweredWriteIsKept(t *testing.T) {
	t.Parallel()
	r, _, err := play(t, explainsNothing,
		sent{client.Sent{Attempts: 1, RequestID: "a"}, refused(400)}, sent{client.Sent{Attempts: 4}, assert.AnError})
	require.ErrorIs(t, err, assert.AnError)
	assert.Equal(t, events.Registration{Attempts: 5, RequestID: "a"}, r)
}

func TestTheSecondRefusalThatNothingExplainsRejects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ message, text string }{
		"with a message":    {"for reasons", "Huawei Cloud refused to do it: status 404 IIC.7 for reasons"},
		"without a message": {"", "Huawei Cloud refused to do it: status 404 IIC.7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, looks, err := play(t, explainsNothing, sent{client.Sent{Attempts: 1}, refused(400)},
				sent{client.Sent{Attempts: 1, RequestID: "b"}, failed(attempt.Refused, 404, "IIC.7", c.message)})
			require.NoError(t, err)
			assert.Equal(t, events.Registration{
				Outcome: events.Rejected, Reason: events.Refused, Attempts: 2, RequestID: "b", Message: c.text,
				Error: &events.Error{Status: 404, Code: "IIC.7", Message: c.message, RequestID: "refused"},
			}, r)
			assert.Equal(t, 2, looks)
		})
	}
}

func TestTheStateExplainsARefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 400, 404, 409, 422} {
		r, looks, err := play(t, func(r *events.Registration) error {
			r.Outcome = events.Unchanged
			return nil
		}, sent{client.Sent{Attempts: 1}, refused(status)})
		require.NoError(t, err)
		assert.Equal(t, events.Registration{Outcome: events.Unchanged, Attempts: 1}, r)
		assert.Equal(t, 1, looks)

		r, looks, err = play(t, func(r *events.Registration) error {
			r.Outcome, r.Reason, r.Message = events.Rejected, events.RegionConflict, "another"
			return nil
		}, sent{client.Sent{Attempts: 1}, refused(status)})
		require.NoError(t, err)
		assert.Equal(t, events.Registration{
			Outcome: events.Rejected, Reason: events.RegionConflict, Message: "another", Attempts: 1,
			Error: &events.Error{Status: status, Code: "IIC.7", Message: "for reasons", RequestID: "refused"},
		}, r, "with what Huawei Cloud said")
		assert.Equal(t, 1, looks)
	}
}

func TestAConflictAndASuccessWithAnErrorThatNothingExplainsAreTransient(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 409} {
		for _, before := range [][]sent{nil, {{client.Sent{Attempts: 1}, refused(400)}}} {
			last := sent{client.Sent{Attempts: 1}, refused(status)}
			r, looks, err := play(t, explainsNothing, append(before, last)...)
			require.ErrorContains(t, err, "do it: Op: status ")
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.Equal(t, status, answer(t, err).Status)
			assert.Empty(t, r.Outcome)
			assert.Nil(t, r.Error)
			assert.Equal(t, len(before)+1, looks)
		}
	}
}

func answer(t *testing.T, err error) *client.APIError {
	t.Helper()
	e, ok := errors.AsType[*client.APIError](err)
	require.True(t, ok)
	return e
}

func TestAnErrorOfAWriteSaysWhatWasTriedAndKeepsItsKind(t *testing.T) {
	t.Parallel()
	for kind, status := range map[attempt.Kind]int{attempt.Transient: 503, attempt.Misconfigured: 403} {
		_, looks, err := play(t, explainsNothing, sent{client.Sent{Attempts: 1}, failed(kind, status, "A.1", "no")})
		require.ErrorContains(t, err, "do it: Op: status ")
		assert.Equal(t, kind, attempt.KindOf(err))
		assert.Equal(t, status, answer(t, err).Status)
		assert.Zero(t, looks)
	}
}

func TestAnErrorOfALookSaysWhatWasTriedAndKeepsItsKind(t *testing.T) {
	t.Parallel()
	for kind, status := range map[attempt.Kind]int{attempt.Transient: 503, attempt.Misconfigured: 403} {
		r, _, err := play(t, func(*events.Registration) error { return failed(kind, status, "A.1", "no") },
			sent{client.Sent{Attempts: 1, RequestID: "a"}, refused(400)})
		require.ErrorContains(t, err, "do it: Op: status ")
		require.ErrorContains(t, err, ", after Op: status 400 IIC.7 for reasons")
		assert.Equal(t, kind, attempt.KindOf(err))
		assert.Equal(t, status, answer(t, err).Status)
		assert.Equal(t, events.Registration{Attempts: 1, RequestID: "a"}, r)
	}
}

func TestTheRefusalIsInTheErrorOfALookThatHadNoAnswer(t *testing.T) {
	t.Parallel()
	_, _, err := play(t, func(*events.Registration) error { return attempt.Transient.Errorf("it is not ready") },
		sent{client.Sent{Attempts: 1}, refused(400)})
	require.ErrorContains(t, err, "do it: it is not ready, after Op: status 400")
	assert.Equal(t, attempt.Transient, attempt.KindOf(err))
	assert.Equal(t, 400, answer(t, err).Status)
}

func TestAPatienceThatAWriteAsksForIsKept(t *testing.T) {
	t.Parallel()
	_, _, err := play(t, explainsNothing,
		sent{client.Sent{Attempts: 1}, &attempt.Failure{Err: assert.AnError, Throttled: true}})
	_, asked := attempt.AskedToWait(err)
	assert.True(t, asked)
}
