// Package handler takes whatever a host delivers, hands each event in it to the function, and
// answers with result events, or with an error whose type says what must happen next.
//
//	payload -> events.Unwrap -> Input.Decode -> register
//	        -> events.NewResultEvent -> Sink -> answer
//
// What an audit asks other functions for goes to the Sink before its result. A trace of CTS that
// asks the function for nothing is acknowledged with a line in the log alone.
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

	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

// What is reserved before the deadline of an invocation.
const (
	margin     = 500 * time.Millisecond // to answer
	sinkMargin = 2 * time.Second        // to deliver a result event and answer
)

// room is how much time a call must have, else nobody answers it: the least of REQUEST_TIMEOUT.
const room = 100 * time.Millisecond

// maxAnswer is how many bytes Lambda and FunctionGraph take as an answer. A small event can have a
// large result.
const maxAnswer = 6 << 20

// Function handles events of its types. [NewFunction] makes it.
type Function struct {
	eventType string   // the type that the configuration may replace
	requests  []string // the types of requests, which are always taken
	run       func(context.Context, *events.Event) (events.Result, error)
}

// NewFunction makes the function that decodes each event of the input and hands it to register.
// Data that can't be decoded is a rejected result. Register does what the event asks for, or with
// e.DryRun only says what it would do, and returns what became of it. e.DryRun is set if the
// configuration or the data asks for it. The kind of failure of an error is that of
// [attempt.KindOf]; the result beside it is what is known so far, or nil.
func NewFunction[T events.Data](
	in events.Input[T], register func(context.Context, events.Event, T) (events.Result, error),
) Function {
	return Function{in.Type, in.Requests, func(ctx context.Context, e *events.Event) (events.Result, error) {
		data, err := in.Decode(e) // sets e.DryRun if the data asks for it
		if err != nil {           // data is what could be read all the same
			return data.Reject(events.InvalidData, err.Error()), nil
		}
		return register(ctx, *e, data)
	}}
}

// Handler hosts a function. With a nil Sink, result events are only returned, which a queue doesn't
// ask for: then the log alone has them, and an audit makes no requests. A Handler is safe for
// concurrent use if the function and the sink are.
type Handler struct {
	Name     string // the function's name, such as "register-region"
	Config   Config
	Function Function
	Sink     func(context.Context, ...event.Event) error // delivers result events and requests
	Broken   error                                       // why the configuration is bad; every invocation fails with it

	// MaxRequests is how many HTTP requests are handled at once, and MaxBytes how many bytes their
	// bodies have together; 0 is any number. A body that is in memory as events takes many times
	// its size.
	MaxRequests, MaxBytes int
	// NoURL says that the host has no function URLs, so that a payload in the form of a request is
	// none: nobody there would read the status of the answer.
	NoURL bool

	warm     atomic.Bool  // set by the first event; the metric ColdStart reads it
	requests atomic.Int64 // the HTTP requests that are being handled
	bytes    atomic.Int64 // the sum of their bodies
}

// Invoke handles one payload, as Lambda delivers it, and answers as its shape asks for. Each event
// in it ends as a result event, or as a failure that leaves it unacknowledged. An error is a
// [*MisconfiguredError], a [*TransientError] or an [*events.InvalidEventError]. Invoke doesn't keep
// the payload.
func (h *Handler) Invoke(ctx context.Context, payload []byte) (_ []byte, err error) {
	defer h.recovered(ctx, &err)
	envelope, err := events.Unwrap(payload)
	if err == nil && envelope.Shape == events.HTTP {
		if !h.NoURL {
			return h.invokeHTTP(ctx, payload), nil // which checks the set-up itself
		}
		err = &events.InvalidEventError{
			Reason: "payload is a request of a function URL, which this host doesn't have; send the event itself",
		}
	}
	if err := cmp.Or(h.checkSetUp(ctx), err); err != nil {
		h.logRefusal(ctx, err)
		return nil, err
	}
	return answer(envelope.Shape, h.handleAll(ctx, envelope))
}

// recovered makes a panic outside of the handling of an event a transient failure. Inside, the
// event's own line tells of it.
func (h *Handler) recovered(ctx context.Context, err *error) {
	if panicked := recover(); panicked != nil {
		*err = &TransientError{fmt.Errorf("panic: %v", panicked)}
		l := logLine{function: h.Name, start: time.Now(), err: *err, stack: debug.Stack()}
		l.log(ctx)
	}
}

// checkSetUp fails if no event can ever be handled: the configuration is bad, or the timeout is so
// short that no call could be made.
func (h *Handler) checkSetUp(ctx context.Context) error {
	if h.Broken != nil {
		return &MisconfiguredError{h.Broken}
	}
	deadline, ok := ctx.Deadline()
	if left := time.Until(deadline); ok && left < h.reserve()+room {
		return &MisconfiguredError{fmt.Errorf("an invocation has %s, "+
			"of which %s are reserved for its results and its answer: "+
			"set the function's timeout to 60s, or at least to %s",
			left.Round(10*time.Millisecond), h.reserve(), (h.reserve() + time.Second).Truncate(time.Second))}
	}
	return nil
}

// reserve is how much time must be left when the function returns.
func (h *Handler) reserve() time.Duration {
	if h.Sink != nil {
		return sinkMargin
	}
	return margin
}

// handle makes the result event of one event, and logs one line about it, whatever happens.
func (h *Handler) handle(ctx context.Context, record events.Record) (_ *event.Event, err error) {
	line := logLine{function: h.Name, record: record, start: time.Now(), cold: !h.warm.Swap(true)}
	defer func() {
		if panicked := recover(); panicked != nil {
			err, line.stack = fmt.Errorf("panic: %v", panicked), debug.Stack()
		}
		err = classified(err)
		line.err = err
		line.log(ctx)
	}()
	e := &line.record.Event
	if record.Err != nil {
		return nil, record.Err
	}
	if err = h.checkType(record); err != nil {
		return nil, err
	}
	e.TraceParent = cmp.Or(e.TraceParent, traceParent(ctx))
	e.DryRun = h.Config.DryRun

	ctx = client.WithWatch(ctx, line.watch)
	if line.result, err = h.register(ctx, e); err != nil {
		return nil, err
	}
	source := cmp.Or(string(h.Config.Source), "/registrar/"+h.Name)
	if audit, ok := line.result.(events.AuditResult); ok && audit.Requests != nil && h.Sink != nil && !e.DryRun {
		if err = h.request(ctx, source, *e, audit.Requests); err != nil {
			return nil, err
		}
		audit.RequestsSent = len(audit.Requests)
	}
	out, err := events.NewResultEvent(source, *e, line.result, time.Now())
	if err != nil {
		return nil, err
	}
	return &out, h.emit(ctx, line.result, out)
}

// ignored is the trace that a record came from if it asks this function for nothing, else nil.
func (h *Handler) ignored(record events.Record) *events.Trace {
	switch eventType := record.Event.Type; {
	case record.Trace == nil:
		return nil
	case eventType != "" && eventType != h.Function.eventType:
		return &events.Trace{Ignored: fmt.Sprintf("the trace became %s, which %s doesn't take", eventType, h.Name)}
	case record.Trace.Ignored != "":
		return record.Trace
	}
	return nil
}

// checkType fails if the function doesn't take events of the type. What a trace became is taken
// whatever the configured types are, since its sender can't choose another.
func (h *Handler) checkType(record events.Record) error {
	types, got := h.Config.Types, record.Event.Type
	if types == nil {
		types = EventTypes{h.Function.eventType}
	}
	if record.Trace != nil || slices.Contains(types, got) || slices.Contains(h.Function.requests, got) {
		return nil
	}
	advice := ""
	if strings.Contains(got, ":CloudTrace:") {
		advice = "; a trace is taken from a CTS trigger of FunctionGraph, not from EventGrid"
	}
	return &events.InvalidEventError{Reason: fmt.Sprintf("%s takes events of type %s, not %.200q%s",
		h.Name, strings.Join(slices.Concat(types, h.Function.requests), " or "), got, advice)}
}

// register runs the function with a deadline that leaves time to deliver the result.
func (h *Handler) register(ctx context.Context, e *events.Event) (events.Result, error) {
	ctx, cancel := withReserve(ctx, h.reserve())
	defer cancel()
	result, err := h.Function.run(ctx, e)
	if err == nil && result == nil {
		err = attempt.Transient.Errorf("%s returned no result", h.Name)
	}
	return result, err
}

// request sends the requests of an audit.
func (h *Handler) request(ctx context.Context, source string, e events.Event, requests []events.Request) error {
	all := make([]event.Event, len(requests))
	for i, r := range requests {
		var err error
		if all[i], err = events.NewRequestEvent(source, e, r, time.Now()); err != nil {
			return err
		}
	}
	ctx, cancel := withReserve(ctx, margin)
	defer cancel()
	if err := h.Sink(ctx, all...); err != nil {
		return fmt.Errorf("requests can't be delivered: %w", err)
	}
	return nil
}

// emit delivers the result event to the sink. Its error says what is registered all the same.
func (h *Handler) emit(ctx context.Context, result events.Result, out event.Event) error {
	if h.Sink == nil {
		return nil
	}
	ctx, cancel := withReserve(ctx, margin)
	defer cancel()
	err := h.Sink(ctx, out)
	if err == nil {
		return nil
	}
	var done []string
	for _, r := range result.Each() {
		if r.Outcome == events.Registered || r.Outcome == events.Unchanged {
			done = append(done, cmp.Or(string(r.RegionID), string(r.ServicePrincipal)))
		}
	}
	if done != nil {
		return fmt.Errorf("%s: registered, but the result can't be delivered: %w", strings.Join(done, ", "), err)
	}
	return fmt.Errorf("the result %s can't be delivered: %w", out.Type(), err)
}

// withReserve ends the context earlier than its deadline, if it has one, so that reserve is left.
func withReserve(ctx context.Context, reserve time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-reserve))
	}
	return ctx, func() {}
}
