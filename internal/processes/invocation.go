package processes

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Invocation is one event on its way through one process.
type Invocation struct {
	ID      string
	Payload []byte
	// Async tells that the caller doesn't wait for the answer.
	Async bool
	// Deadline is set before the invocation is handed over.
	Deadline time.Time

	started time.Time
	// answer is what the process posted, guarded by the process' mu.
	answer *Answer
	// done is closed when the process has answered and asks for more.
	done chan struct{}
}

// Invoke runs the function with payload and returns its answer. Whatever the function does is an
// Answer; the error is for what kept it from running: [ErrClosed], or ctx. If ctx ends while the
// function runs, the function goes on to its end.
func (r *Runner) Invoke(ctx context.Context, id string, payload []byte) (Answer, error) {
	return r.invoke(ctx, &Invocation{ID: id, Payload: payload})
}

// InvokeAsync invokes the function until it succeeds or there are no waits left, with the same id,
// and tells ended the last answer and how many attempts it took, unless Close cuts it off. It
// returns at once, and reports whether the function is still open.
func (r *Runner) InvokeAsync(id string, payload []byte, waits []time.Duration, ended func(Answer, int)) bool {
	return r.spawn(func() {
		for attempt := 1; ; attempt++ {
			a, err := r.invoke(r.ctx, &Invocation{ID: id, Payload: payload, Async: true})
			if err != nil {
				return
			}
			if a.FunctionError == "" || attempt > len(waits) {
				ended(a, attempt)
				return
			}
			select {
			case <-time.After(waits[attempt-1]):
			case <-r.ctx.Done():
				return
			}
		}
	})
}

func (r *Runner) invoke(ctx context.Context, inv *Invocation) (Answer, error) {
	inv.done = make(chan struct{})
	if ctx.Err() != nil {
		return Answer{}, fmt.Errorf("%s: %w", r.cfg.Name, context.Cause(ctx))
	}
	select {
	case r.slots <- struct{}{}:
	case <-r.ctx.Done():
		return Answer{}, ErrClosed
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("%s: waiting for a free process: %w", r.cfg.Name, context.Cause(ctx))
	}
	var a Answer
	var err error
	ended := make(chan struct{})
	if !r.spawn(func() { //nolint:contextcheck // the function goes on when its caller leaves
		a, err = r.run(inv)
		<-r.slots
		close(ended)
	}) {
		<-r.slots
		return Answer{}, ErrClosed
	}
	select {
	case <-ended:
		return a, err
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("%s: %w", r.cfg.Name, context.Cause(ctx))
	}
}

// run takes inv through a process, watched by Config.Watch. Its caller holds a slot.
func (r *Runner) run(inv *Invocation) (Answer, error) {
	if r.cfg.Watch == nil {
		return r.serve(inv)
	}
	ended := r.cfg.Watch(inv.Payload)
	a, err := r.serve(inv)
	ended(a, err)
	return a, err
}

// serve finds a process that takes inv.
func (r *Runner) serve(inv *Invocation) (Answer, error) {
	for {
		p, err := r.acquire()
		if r.ctx.Err() != nil {
			return Answer{}, ErrClosed
		}
		if err != nil {
			a := r.cfg.Failed(inv.ID, End{NotStarted: fmt.Sprint(err)})
			a.RequestID, a.ColdStart = inv.ID, true
			return a, nil
		}
		a, err := p.invoke(inv)
		r.release(p)
		if errors.Is(err, errNotTaken) {
			continue
		}
		a.RequestID = inv.ID
		return a, err
	}
}
