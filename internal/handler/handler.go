// Package handler is the host of a function: it takes whatever Lambda or HTTP delivers through the program's one flow and
// answers with results, or with an error whose type says what must happen next.
//
//	payload -> events.Unwrap -> events.Kind.Decode -> Register -> events.Kind.ResultEvent -> Sink -> answer
package handler

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

// Kept free before the deadline: for the answer, and with a sink for the results.
const (
	margin     = 500 * time.Millisecond
	sinkMargin = 2 * time.Second
)

// Handler handles the events of one kind. Sink and Warm may be nil, all else is needed. It is safe for concurrent use if Register and
// Sink are.
type Handler[T events.Data] struct {
	Name   string // of the function, such as "register-region"
	Config Config
	Kind   events.Kind[T]

	// Register makes true what the event asks for and says what became of it. An error that wraps client.ErrMisconfigured is one
	// that an operator must mend; every other error is transient.
	Register func(context.Context, events.Event[T]) (events.Result, error)

	// Sink delivers a result. Its errors are of the same kinds, and leave the event unacknowledged.
	Sink func(context.Context, event.Event) error

	// Warm is called once before the first event.
	Warm func(context.Context)

	served atomic.Bool // an event already
}

// handled is what became of a record: a result, or an error of one of the three named types.
type handled struct {
	result event.Event
	err    error
}

// Invoke handles one payload, as Lambda delivers it. Each event in it ends as a result in the answer or as a failure that leaves it
// unacknowledged. Errors are a [*MisconfiguredError], [*TransientError] or [*events.InvalidEventError]. Invoke doesn't keep the payload.
func (h *Handler[T]) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	envelope, err := events.Unwrap(payload)
	if err != nil {
		h.refuse(ctx, err)
		return nil, err
	}
	if envelope.Shape == events.HTTP {
		return h.invokeHTTP(ctx, payload)
	}
	return answer(envelope, h.handleAll(ctx, envelope.Records))
}

// handle takes one record to its result and logs one line about it, whatever happens. A record that is held back fails for that reason.
func (h *Handler[T]) handle(ctx context.Context, record events.Record, heldBack error) (result event.Event, err error) {
	line := line{function: h.Name, record: record, start: time.Now(), cold: !h.served.Swap(true)}
	defer func() {
		if panicked := recover(); panicked != nil {
			err, line.stack = fmt.Errorf("panic: %v", panicked), debug.Stack()
		}
		err = classify(err)
		line.err = err
		line.log(ctx)
	}()
	ctx = client.WithWatch(ctx, func(took time.Duration) { line.calls = append(line.calls, took) })

	if err := cmp.Or(heldBack, record.Err); err != nil {
		return result, err
	}
	e := record.Event
	if types := h.types(); !slices.Contains(types, e.Type) {
		return result, &events.InvalidEventError{Reason: fmt.Sprintf("%s takes events of type %s, not %.200q",
			h.Name, strings.Join(types, " or "), e.Type)}
	}
	e.TraceParent = cmp.Or(e.TraceParent, traceParent(ctx))
	e.DryRun = h.Config.DryRun
	decoded, outcome := h.Kind.Decode(e)
	line.subject = decoded.Data.Subject()
	if outcome == nil {
		if outcome, err = h.register(ctx, decoded); err != nil {
			return result, err
		}
	}
	line.outcome = outcome
	result, err = h.Kind.ResultEvent(cmp.Or(string(h.Config.Source), "/registrar/"+h.Name), e, outcome, time.Now())
	if err == nil && h.Sink != nil {
		err = h.emit(ctx, result)
	}
	return result, err
}

// refuse logs a payload that holds no events at all.
func (h *Handler[T]) refuse(ctx context.Context, err error) {
	line := line{function: h.Name, start: time.Now(), err: err}
	line.log(ctx)
}

// register leaves the time that a sink needs.
func (h *Handler[T]) register(ctx context.Context, e events.Event[T]) (events.Result, error) {
	keep := margin
	if h.Sink != nil {
		keep = sinkMargin
	}
	ctx, cancel := before(ctx, keep)
	defer cancel()
	return h.Register(ctx, e)
}

func (h *Handler[T]) emit(ctx context.Context, result event.Event) error {
	ctx, cancel := before(ctx, margin)
	defer cancel()
	return h.Sink(ctx, result)
}

// before ends the context so long before its deadline, if it has one.
func before(ctx context.Context, keep time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-keep))
	}
	return ctx, func() {}
}

func (h *Handler[T]) types() []string {
	if h.Config.Types != nil {
		return h.Config.Types
	}
	return []string{h.Kind.Type}
}
