package lambdalocal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Answer is what an invocation came to.
type Answer struct {
	// Payload is what the function returned, or with FunctionError the JSON object with errorType
	// and errorMessage.
	Payload []byte
	// FunctionError is "" for success and "Unhandled" for an error, panic, exit or timeout of the
	// function.
	FunctionError string
	RequestID     string
	// Duration is the time from handing over the event until the process was free again, or gone;
	// zero if it never took the event. ColdStart tells that the process was started for this
	// invocation.
	Duration  time.Duration
	ColdStart bool
}

// Failure says what failed: "" if nothing did, "BatchItemFailures" if messages go back to their
// queue (why, only the log of the function says), else the errorType of the function's error, or of
// an HTTP answer the error_type of its problem.
func (a Answer) Failure() string {
	var failed struct {
		ErrorType         string
		BatchItemFailures []any
		StatusCode        int
		Body              string
	}
	_ = json.Unmarshal(a.Payload, &failed) // an array is an answer without any of them
	switch {
	case a.FunctionError != "":
		return cmp.Or(failed.ErrorType, a.FunctionError)
	case len(failed.BatchItemFailures) > 0:
		return "BatchItemFailures"
	case failed.StatusCode >= http.StatusBadRequest:
		var problem struct {
			ErrorType string `json:"error_type"`
		}
		_ = json.Unmarshal([]byte(failed.Body), &problem)
		return cmp.Or(problem.ErrorType, fmt.Sprintf("HTTP %d", failed.StatusCode))
	}
	return ""
}

// invocation is one event on its way through one process.
type invocation struct {
	id, traceID string
	payload     []byte
	// started and deadline are set before it is handed over.
	started, deadline time.Time
	// answer is what the process posted, guarded by the process' mu.
	answer *Answer
	// done is closed when the process has answered and asks for more.
	done chan struct{}
}

func (inv *invocation) failure(errorType, message string) Answer {
	payload, _ := json.Marshal(map[string]string{ // strings always encode
		"errorType":    errorType,
		"errorMessage": "RequestId: " + inv.id + " Error: " + message,
	})
	return Answer{Payload: payload, FunctionError: "Unhandled"}
}

// Invoke runs the function with payload, an empty one being {}, and returns its answer. Whatever
// the function does is an Answer; the error is for what kept Lambda from running it: [ErrClosed],
// or ctx. If ctx ends while the function runs, the function goes on to its end, as on Lambda. That
// the payload is JSON is not checked.
func (f *Function) Invoke(ctx context.Context, payload []byte) (Answer, error) {
	return f.invoke(ctx, uuid.NewString(), payload)
}

func (f *Function) invoke(ctx context.Context, id string, payload []byte) (Answer, error) {
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	inv := &invocation{
		id: id,
		traceID: fmt.Sprintf("Root=1-%08x-%08x%016x;Parent=%016x;Sampled=0",
			time.Now().Unix(), rand.Uint32(), rand.Uint64(), rand.Uint64()),
		payload: payload,
		done:    make(chan struct{}),
	}

	if ctx.Err() != nil {
		return Answer{}, fmt.Errorf("lambdalocal: %s: %w", f.cfg.Name, context.Cause(ctx))
	}
	select {
	case f.slots <- struct{}{}:
	case <-f.ctx.Done():
		return Answer{}, ErrClosed
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("lambdalocal: %s: waiting for a free process: %w", f.cfg.Name, context.Cause(ctx))
	}
	var a Answer
	var err error
	ended := make(chan struct{})
	if !f.spawn(func() { //nolint:contextcheck // the function goes on when its caller leaves
		a, err = f.run(inv)
		<-f.slots
		close(ended)
	}) {
		<-f.slots
		return Answer{}, ErrClosed
	}
	select {
	case <-ended:
		return a, err
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("lambdalocal: %s: %w", f.cfg.Name, context.Cause(ctx))
	}
}

// run takes inv through a process, watched by Config.Watch. Its caller holds a slot.
func (f *Function) run(inv *invocation) (Answer, error) {
	if f.cfg.Watch == nil {
		return f.serve(inv)
	}
	ended := f.cfg.Watch(inv.payload)
	a, err := f.serve(inv)
	ended(a, err)
	return a, err
}

// serve finds a process that takes inv.
func (f *Function) serve(inv *invocation) (Answer, error) {
	for {
		p, err := f.acquire()
		if f.ctx.Err() != nil {
			return Answer{}, ErrClosed
		}
		if err != nil {
			a := inv.failure("Runtime.InvalidEntrypoint", err.Error())
			a.RequestID, a.ColdStart = inv.id, true
			return a, nil
		}
		a, err := p.invoke(inv)
		f.release(p)
		if errors.Is(err, errNotTaken) {
			continue
		}
		a.RequestID = inv.id
		return a, err
	}
}
