package lambdalocal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"registrar/internal/processes"
)

// maxPayload is Lambda's limit for an event and for an answer; the Runtime API takes maxResponse.
const (
	maxPayload  = 6 << 20
	maxResponse = maxPayload + 100
)

// runtimeAPI serves the Runtime API, and as much of the Extensions API as a function needs that
// wants SIGTERM.
func (f *Function) runtimeAPI(p *processes.Process) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		f.next(w, r, p)
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r, p, "")
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r, p, "Unhandled")
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, r *http.Request) {
		failInit(w, r, p)
	})
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", uuid.NewString())
		processes.Reply(w, http.StatusOK, map[string]string{
			"functionName": f.cfg.Name, "functionVersion": "$LATEST", "handler": "bootstrap",
		})
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // there are no events but the end
	})
	return mux
}

// next hands the process its next invocation.
func (f *Function) next(w http.ResponseWriter, r *http.Request, p *processes.Process) {
	inv, err := p.Next(r.Context())
	if errors.Is(err, processes.ErrUnanswered) {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", err.Error())
		return
	}
	if err != nil {
		return // the process has given up asking
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.ID)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.Deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", f.arn())
	h.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%08x-%08x%016x;Parent=%016x;Sampled=0",
		time.Now().Unix(), rand.Uint32(), rand.Uint64(), rand.Uint64()))
	_, _ = w.Write(inv.Payload)
}

// finish takes the answer to the current invocation, once.
func finish(w http.ResponseWriter, r *http.Request, p *processes.Process, functionError string) {
	a := Answer{FunctionError: functionError}
	var err error
	a.Payload, err = processes.ReadAll(r.Body, maxResponse)
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

	err = p.Post(r.PathValue("id"), a)
	switch {
	case errors.Is(err, processes.ErrUnknown):
		refuse(w, http.StatusBadRequest, "InvalidRequestID", err.Error())
	case err != nil:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", err.Error())
	case tooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxResponse))
	default:
		processes.Reply(w, http.StatusAccepted, map[string]string{"status": "OK"})
	}
}

func failInit(w http.ResponseWriter, r *http.Request, p *processes.Process) {
	body, err := processes.ReadAll(r.Body, maxResponse)
	if err != nil {
		return
	}
	if err := p.FailInit(Answer{Payload: body, FunctionError: "Unhandled"}); err != nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", err.Error())
		return
	}
	processes.Reply(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	processes.Reply(w, status, map[string]string{"errorType": errorType, "errorMessage": message})
}
