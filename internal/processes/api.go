package processes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// These say why a process is refused what it asks for.
var (
	ErrUnanswered = errors.New("the invocation is not answered yet")
	ErrUnknown    = errors.New("no such invocation is under way")
	ErrAnswered   = errors.New("the invocation is answered already")
	ErrStarted    = errors.New("the init phase is over")
)

// Next ends the invocation before and waits for another. Work comes only from the owner of the
// process, and each invocation once, so two calls never get the same one. The error is
// [ErrUnanswered], or that of ctx.
func (p *Process) Next(ctx context.Context) (*Invocation, error) {
	p.mu.Lock()
	before := p.current
	if before != nil && before.answer == nil {
		p.mu.Unlock()
		return nil, ErrUnanswered
	}
	if before != nil {
		p.current = nil
		close(before.done)
	}
	select {
	case <-p.ready:
	default:
		close(p.ready)
	}
	p.mu.Unlock()

	select {
	case inv := <-p.work:
		return inv, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Post takes the answer to the invocation under way, once. The error is [ErrUnknown] or
// [ErrAnswered].
func (p *Process) Post(id string, a Answer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch inv := p.current; {
	case inv == nil || inv.ID != id:
		return ErrUnknown
	case inv.answer != nil:
		return ErrAnswered
	default:
		inv.answer = &a
		return nil
	}
}

// FailInit takes the answer to the invocation for which the process was started, if it ends before
// it asks for one. The error is [ErrStarted].
func (p *Process) FailInit(a Answer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ready:
		return ErrStarted
	default:
		p.initError = &a
		return nil
	}
}

// ReadAll reads all of r, and keeps one byte more than limit at most: a client that is still
// writing wouldn't see the refusal.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return b, err
}

// Reply answers a request by a JSON object.
func Reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
