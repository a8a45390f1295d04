package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// operation is one API call.
type operation struct {
	name   string // such as "RegisterRegion"
	method string
	url    *url.URL
	body   []byte // JSON, or nil

	// read takes what the caller wants from the body of a success. An error means that the body
	// can't be read, or says what can't be true. It is nil if the caller wants nothing.
	read func(answer object, secrets wire.Secrets) error
}

// get reads what stands at u. Each attempt calls read, which keeps nothing of the one before.
func (c *Client) get(
	ctx context.Context, name string, u *url.URL, read func(answer object, secrets wire.Secrets) error,
) error {
	_, err := c.do(ctx, operation{name, http.MethodGet, u, nil, read})
	return err
}

// post sends the fields as a JSON object. What the answer to a success has in its body is ignored.
func (c *Client) post(ctx context.Context, name string, u *url.URL, fields map[string]string) (Sent, error) {
	body, _ := json.Marshal(fields) // a map of strings can't fail
	return c.do(ctx, operation{name, http.MethodPost, u, body, nil})
}

// do sends op, signed, and again while the failure is transient and time remains.
func (c *Client) do(ctx context.Context, op operation) (Sent, error) {
	if ctx.Err() != nil {
		return Sent{}, op.failed(fmt.Errorf("no time left: %w", context.Cause(ctx)))
	}
	s, err := c.newSigner(ctx)
	if err != nil {
		return Sent{}, op.failed(fmt.Errorf("credentials: %w", err))
	}
	return c.doAs(ctx, op, s)
}

// doAs sends op as s signs it.
func (c *Client) doAs(ctx context.Context, op operation, s *signer) (Sent, error) {
	var sent Sent
	err := attempt.Do(ctx, c.config.MaxAttempts, func(ctx context.Context) *attempt.Failure {
		s.adjusted = false
		for { // a request that is signed in another way because of a 401 belongs to the same attempt
			reply, failure := c.send(ctx, op, s, &sent)
			again, err := s.fix(ctx, reply)
			switch {
			case err != nil:
				return op.failed(fmt.Errorf("reloading credentials after %s: %w", failure.Error(), err))
			case !again:
				return failure
			}
		}
	})
	if _, ok := errors.AsType[*APIError](err); err != nil && !ok {
		err = op.failed(err) // the time was over before the first request
	}
	return sent, err
}

// failed is the failure of op because of err, which came from somewhere else than an answer.
func (op operation) failed(err error) *attempt.Failure {
	failure := &attempt.Failure{}
	if inner, ok := errors.AsType[*attempt.Failure](err); ok {
		*failure = *inner
	}
	failure.Err = &APIError{Operation: op.name, Err: err}
	return failure
}

// send sends one request and counts it in sent. The reply is nil if none came; the failure is nil
// if op succeeded.
func (c *Client) send(ctx context.Context, op operation, s *signer, sent *Sent) (*reply, *attempt.Failure) {
	ctx, cancel := attempt.Timeout(ctx, c.config.RequestTimeout)
	defer cancel()
	var body io.Reader
	if op.body != nil {
		body = bytes.NewReader(op.body)
	}
	req, err := http.NewRequestWithContext(ctx, op.method, "", body)
	if err != nil {
		return nil, op.failed(err)
	}
	req.URL = op.url
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", wire.UserAgent)
	s.sign(req, op.body)

	sent.Attempts++
	if watch, ok := ctx.Value(watchKey{}).(func(time.Duration)); ok {
		defer func(start time.Time) { watch(time.Since(start)) }(time.Now())
	}
	signed := s.loaded
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, op.failed(wire.Unanswered(ctx, err, signed.secrets))
	}
	defer resp.Body.Close()
	r := readReply(ctx, resp, signed.secrets)
	r.narrowed = signed.credentials.Narrowed
	sent.RequestID = r.RequestID
	return r, r.failure(op)
}
