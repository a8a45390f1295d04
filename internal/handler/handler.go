// Package handler is the host of a function: it takes what Lambda delivers through the program's one flow and
// answers with results, or with an error whose type says what must happen next.
//
//	payload -> events.Unwrap -> events.Kind.Decode -> Register -> events.Kind.ResultEvent -> answer
package handler

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/pkg/events"
)

// margin is kept free before the deadline, for the answer.
const margin = 500 * time.Millisecond

// Handler handles the events of one kind. All fields but Warm are needed. It is safe for concurrent use if Register is.
type Handler[T events.Data] struct {
	Name   string // of the function, such as "register-region"
	Config Config
	Kind   events.Kind[T]

	// Register makes true what the event asks for and says what became of it. An error that wraps client.ErrMisconfigured is one
	// that an operator must mend; every other error is transient.
	Register func(context.Context, events.Event[T]) (events.Result, error)

	// Warm is called once before the first event.
	Warm func(context.Context)
}

// Invoke handles one payload. Each event in it ends as a result event in the answer, or the whole ends in a
// [*MisconfiguredError], [*TransientError] or [*events.InvalidEventError], of which the worst counts. It doesn't keep the payload.
func (h *Handler[T]) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	envelope, err := events.Unwrap(payload)
	if err != nil {
		log(ctx, events.Cause{}, nil, err, nil, 0)
		return nil, err
	}
	results := make([]event.Event, len(envelope.Records))
	failures := make([]error, len(envelope.Records))
	for i, record := range envelope.Records {
		results[i], failures[i] = h.handle(ctx, record)
	}
	return answer(envelope.Shape, results, failures)
}

// handle takes one record to its result and logs one line about it. Nothing that happens in it touches another record.
func (h *Handler[T]) handle(ctx context.Context, record events.Record) (result event.Event, err error) {
	var (
		e       = record.Event
		outcome events.Result
		start   = time.Now()
	)
	defer func() {
		var stack []byte
		if panicked := recover(); panicked != nil {
			err, stack = fmt.Errorf("panic: %v", panicked), debug.Stack()
		}
		err = classify(err)
		log(ctx, e.Cause, outcome, err, stack, time.Since(start))
	}()

	if record.Err != nil {
		return result, record.Err
	}
	if types := h.types(); !slices.Contains(types, e.Type) {
		return result, &events.InvalidEventError{Reason: fmt.Sprintf("%s takes events of type %s, not %.200q",
			h.Name, strings.Join(types, " or "), e.Type)}
	}
	e.TraceParent = cmp.Or(e.TraceParent, traceParent(ctx))
	e.DryRun = h.Config.DryRun
	decoded, rejected := h.Kind.Decode(e)
	outcome = rejected
	if outcome == nil {
		if outcome, err = h.Register(ctx, decoded); err != nil {
			return result, err
		}
	}
	return h.Kind.ResultEvent(cmp.Or(string(h.Config.Source), "/registrar/"+h.Name), e, outcome, time.Now())
}

func (h *Handler[T]) types() []string {
	if h.Config.Types != nil {
		return h.Config.Types
	}
	return []string{h.Kind.Type}
}

// answer is the one place where the shape of a payload decides how it is answered.
func answer(shape events.Shape, results []event.Event, failures []error) ([]byte, error) {
	if err := worst(failures); err != nil {
		return nil, err
	}
	encoded := make([][]byte, len(results))
	for i, result := range results {
		var err error
		if encoded[i], err = result.MarshalJSON(); err != nil {
			return nil, classify(err)
		}
	}
	joined := bytes.Join(encoded, []byte(","))
	if shape == events.Array {
		return slices.Concat([]byte("["), joined, []byte("]")), nil
	}
	return joined, nil
}
