package functiongraphlocal

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"

	"registrar/internal/processes"
)

// maxPayload is FunctionGraph's limit for a synchronous event, and for an answer.
const maxPayload = 6 << 20

// runtimeAPI serves the runtime API to one process.
func (f *Function) runtimeAPI(p *processes.Process) http.Handler {
	var polls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/runtime/invocation/request", func(w http.ResponseWriter, r *http.Request) {
		if poll := polls.Add(1); poll <= int64(f.cfg.Refuse) {
			w.WriteHeader([]int{http.StatusNoContent, http.StatusInternalServerError, http.StatusOK}[(poll-1)%3])
			return
		}
		f.request(w, r, p)
	})
	mux.HandleFunc("POST /v1/runtime/invocation/response/{id}", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r, p, "")
	})
	mux.HandleFunc("POST /v1/runtime/invocation/error/{id}", func(w http.ResponseWriter, r *http.Request) {
		finish(w, r, p, "FunctionError")
	})
	return mux
}

// request hands the process its next invocation.
func (f *Function) request(w http.ResponseWriter, r *http.Request, p *processes.Process) {
	inv, err := p.Next(r.Context())
	if errors.Is(err, processes.ErrUnanswered) {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	if err != nil {
		return // the process has given up asking
	}
	h := w.Header()
	if f.cfg.Headers != nil {
		maps.Copy(h, f.cfg.Headers())
	}
	h.Set("X-Cff-Request-Id", inv.ID)
	h.Set("X-CFF-Invoke-Type", "sync")
	if inv.Async {
		h.Set("X-CFF-Invoke-Type", "async")
	}
	_, _ = w.Write(inv.Payload)
}

// finish takes the answer to the current invocation, once.
func finish(w http.ResponseWriter, r *http.Request, p *processes.Process, functionError string) {
	body, err := processes.ReadAll(r.Body, maxPayload)
	if err != nil {
		return // the connection broke, and so did the process
	}
	a := Answer{Payload: body, FunctionError: functionError}
	tooLarge := len(body) > maxPayload
	if tooLarge {
		a = failure("FunctionResponseTooLarge",
			fmt.Sprintf("the response body is larger than RUNTIME_MAX_RESP_BODY_SIZE, %d bytes", maxPayload))
	}
	err = p.Post(r.PathValue("id"), a)
	switch {
	case errors.Is(err, processes.ErrUnknown):
		refuse(w, http.StatusNotFound, err.Error())
	case err != nil:
		refuse(w, http.StatusConflict, err.Error())
	case tooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, "the response body is too large")
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// refuse answers an error in the form of the documented APIs.
func refuse(w http.ResponseWriter, status int, message string) {
	processes.Reply(w, status, map[string]string{"error_code": fmt.Sprintf("FSS.0%d", status), "error_msg": message})
}
