package lambdalocal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/google/uuid"
)

// maxPayload is Lambda's limit for an event and for an answer; the Runtime API takes maxResponse.
const (
	maxPayload  = 6 << 20
	maxResponse = maxPayload + 100
)

// runtimeAPI serves the Runtime API, and as much of the Extensions API as a function needs that
// wants SIGTERM.
func (p *process) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		p.post(w, r, "")
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		p.post(w, r, "Unhandled")
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.failInit)
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", uuid.NewString())
		reply(w, http.StatusOK, map[string]string{
			"functionName": p.fn.cfg.Name, "functionVersion": "$LATEST", "handler": "bootstrap",
		})
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // there are no events but the end
	})
	return mux
}

// next ends the invocation before and waits for another. Work comes only from the process' owner,
// once, and so do no two requests get the same invocation.
func (p *process) next(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	before := p.current
	if before != nil && before.answer == nil {
		p.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation is not answered yet")
		return
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
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", p.fn.arn())
		h.Set("Lambda-Runtime-Trace-Id", inv.traceID)
		_, _ = w.Write(inv.payload)
	case <-r.Context().Done():
	}
}

// post takes the answer to the current invocation, once.
func (p *process) post(w http.ResponseWriter, r *http.Request, functionError string) {
	a := Answer{FunctionError: functionError}
	var err error
	a.Payload, err = readAll(r.Body, maxResponse)
	tooLarge := len(a.Payload) > maxResponse
	switch {
	case err != nil:
		return // the connection broke, and so did the process
	case tooLarge:
		a.FunctionError = "Unhandled"
		a.Payload = fmt.Appendf(nil, `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":`+
			`"Response payload size exceeded maximum allowed payload size (%d bytes)."}`, maxResponse)
	case r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "": // it failed halfway
		a.FunctionError = "Unhandled"
		a.Payload, err = base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if err != nil {
			refuse(w, http.StatusBadRequest, "InvalidFunctionError", "the trailer's error body is not base64")
			return
		}
	}

	p.mu.Lock()
	inv := p.current
	known := inv != nil && inv.id == r.PathValue("id")
	first := known && inv.answer == nil
	if first {
		inv.answer = &a
	}
	p.mu.Unlock()
	switch {
	case !known:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is under way")
	case !first:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation is answered already")
	case tooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponse))
	default:
		reply(w, http.StatusAccepted, map[string]string{"status": "OK"})
	}
}

func (p *process) failInit(w http.ResponseWriter, r *http.Request) {
	body, err := readAll(r.Body, maxResponse)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ready:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the init phase is over")
	default:
		p.initError = body
		reply(w, http.StatusAccepted, map[string]string{"status": "OK"})
	}
}

// readAll reads all of r, and keeps one byte more than limit at most: a client that is still
// writing wouldn't see the refusal.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return b, err
}

func reply(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	reply(w, status, map[string]string{"errorType": errorType, "errorMessage": message})
}
