package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"registrar/internal/credentials"
	"registrar/internal/handler"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

const (
	pollAgain  = 50 * time.Millisecond // after a poll that brought no event
	answerTime = 10 * time.Second      // to hand over an answer
	maxPayload = 6 << 20               // bytes of an event, as FunctionGraph has it for synchronous ones
	maxID      = 100                   // bytes of the id of an invocation that are shown
)

// functionGraph is the API by which FunctionGraph runs a program of runtime Custom, and what the
// environment says about the function.
//
// Source: page "Custom Runtime" of FunctionGraph's developer guide. It doesn't say how long a poll
// is kept open, nor when an invocation ends but for the function's timeout.
type functionGraph struct {
	Address string `env:"RUNTIME_API_ADDR"`            // host and port
	Timeout uint32 `env:"RUNTIME_TIMEOUT, default=60"` // how many seconds an invocation may take

	configured credentials.Config // what the environment says of credentials, besides those that are given
}

// serve takes one event after another until ctx ends. An event that is under way then is answered
// before serve returns. Of polls that fail one after another, the log shows the first.
func (fg functionGraph) serve(ctx context.Context, h *handler.Handler) {
	// No proxy stands before the API, and a poll takes its time. A connection that the API has
	// closed in the meantime would lose an answer, so each request has its own.
	api := wire.Client(&http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: wire.MaxHeader})
	h.NoURL = true
	failing := false
	for ctx.Err() == nil {
		event, err := fg.next(ctx, api)
		if event.id == "" {
			if !failing && ctx.Err() == nil {
				slog.WarnContext(ctx, "runtime", "function", h.Name, "err", err)
			}
			failing = true
			select {
			case <-time.After(pollAgain):
			case <-ctx.Done():
			}
			continue
		}
		failing = false
		ctx := handler.WithRequestID(context.WithoutCancel(ctx), wire.Clean(event.id, maxID))
		var answer []byte
		if err == nil {
			answer, err = fg.invoke(ctx, h, event)
		} else {
			err = &handler.TransientError{Err: fmt.Errorf("the event didn't come whole: %w", err)}
			slog.ErrorContext(ctx, "runtime", "function", h.Name, "requestId", wire.Clean(event.id, maxID), "err", err)
		}
		if err := fg.answer(ctx, api, event.id, answer, err); err != nil {
			slog.ErrorContext(ctx, "runtime", "function", h.Name, "requestId", wire.Clean(event.id, maxID), "err", err)
		}
	}
}

// invocation is an event with the headers that it came with.
type invocation struct {
	id      string
	header  http.Header
	payload []byte
}

// next waits for an event. Beside an error, the invocation has an id if it must be answered all the
// same.
func (fg functionGraph) next(ctx context.Context, api *http.Client) (invocation, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fg.url("request"), nil)
	if err != nil {
		return invocation{}, errors.New("RUNTIME_API_ADDR: must be a host and a port")
	}
	resp, err := api.Do(req)
	if err != nil {
		return invocation{}, wire.Unanswered(ctx, err, wire.Secrets{})
	}
	defer resp.Body.Close()
	id := resp.Header.Get("X-Cff-Request-Id")
	if resp.StatusCode != http.StatusOK || id == "" {
		return invocation{}, fmt.Errorf("no event came: status %d, and the request id %.100q", resp.StatusCode, id)
	}
	payload, err := io.ReadAll(io.LimitReader(resp.Body, maxPayload+1))
	switch {
	case err != nil:
		err = wire.Unanswered(ctx, err, wire.Secrets{})
	case len(payload) > maxPayload:
		err = fmt.Errorf("it has more than %d bytes", maxPayload)
	}
	return invocation{id, resp.Header, payload}, err
}

// invoke handles an event with the credentials that came with it, within the function's timeout.
func (fg functionGraph) invoke(ctx context.Context, h *handler.Handler, event invocation) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(fg.Timeout)*time.Second)
	defer cancel()
	given, err := fg.credentials(event.header)
	switch {
	case err != nil && h.Broken == nil:
		h = &handler.Handler{Name: h.Name, Broken: err, NoURL: h.NoURL}
	case given != client.Credentials{}:
		ctx = client.WithCredentials(ctx, given)
	}
	return h.Invoke(ctx, event.payload)
}

// credentials are those of the function's agency, which came with an event. They are zero if it has
// no agency. The page about the runtime has the names without Security; those of FunctionGraph's
// other runtimes have it.
func (fg functionGraph) credentials(header http.Header) (client.Credentials, error) {
	const prefix = "X-CFF-"
	given := client.Credentials{DomainID: fg.configured.Keys.DomainID}
	keys := [2]string{"Security-Access-Key", "Security-Secret-Key"}
	if header.Get(prefix+keys[0])+header.Get(prefix+keys[1]) == "" {
		keys = [2]string{"Access-Key", "Secret-Key"}
	}
	var missing []string
	for _, one := range []struct {
		name string
		read *client.Secret
	}{
		{keys[0], &given.AccessKey}, {keys[1], &given.SecretKey}, {"Security-Token", &given.SecurityToken},
	} {
		if *one.read = client.Secret(header.Get(prefix + one.name)); *one.read == "" {
			missing = append(missing, prefix+one.name)
		}
	}
	switch {
	case len(missing) == 3:
		return client.Credentials{}, nil
	case missing != nil:
		return client.Credentials{}, fmt.Errorf("FunctionGraph gave only a part of the credentials of the function's "+
			"agency, without %s: check the agency", strings.Join(missing, " and "))
	case fg.configured.AgencyURN != "":
		return client.Credentials{}, errors.New("HUAWEICLOUD_AGENCY_URN: must not be set where the function has an " +
			"agency of its own, whose credentials come with each event; unset one of them")
	}
	return given, nil
}

// answer hands over what the function answered, or the error in which it failed. An answer that
// isn't taken is handed over as an error. What went wrong on the way is the error of answer.
func (fg functionGraph) answer(ctx context.Context, api *http.Client, id string, answer []byte, failed error) error {
	var refused error
	if failed == nil {
		if refused = fg.post(ctx, api, "response", id, answer); refused == nil {
			return nil
		}
		failed = &handler.TransientError{Err: refused}
	}
	body, _ := json.Marshal(map[string]string{ // strings can't fail
		"errorType": handler.ErrorType(failed), "errorMessage": failed.Error(),
	})
	return errors.Join(refused, fg.post(ctx, api, "error", id, body))
}

func (fg functionGraph) post(ctx context.Context, api *http.Client, what, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(
		ctx, http.MethodPost, fg.url(what)+"/"+url.PathEscape(id), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := api.Do(req)
	if err != nil {
		return fmt.Errorf("FunctionGraph wasn't reached with the %s: %w",
			what, wire.Unanswered(ctx, err, wire.Secrets{}))
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("FunctionGraph didn't take the %s: status %d", what, resp.StatusCode)
	}
	return nil
}

func (fg functionGraph) url(what string) string {
	return "http://" + fg.Address + "/v1/runtime/invocation/" + what
}
