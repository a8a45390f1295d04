package lambdalocal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"registrar/internal/processes"
)

// maxEvent is Lambda's limit for the payload of an asynchronous invocation.
const maxEvent = 1 << 20

// InvokeAPI is Lambda's Invoke API, an [http.Handler] for POST
// /2015-03-31/functions/{name}/invocations. The name may be an ARN. There is no version but
// $LATEST. Signatures are not checked; client contexts, trace headers and the log tail are left
// out.
type InvokeAPI struct {
	Functions []*Function
	// RetryWaits are the waits before an asynchronous invocation that failed is tried again. Nil
	// means Lambda's: one minute, then two. Empty means no retry.
	RetryWaits []time.Duration
	// OnAsync is told the end of each asynchronous invocation that Close didn't cut off: the last
	// answer and how many attempts it took. It is called from several goroutines. With
	// FunctionError set this is the moment for a dead letter.
	OnAsync func(function string, payload []byte, a Answer, attempts int)
}

// ServeHTTP implements [http.Handler].
func (api InvokeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", id)
	name, isFunction := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	name, isInvoke := strings.CutSuffix(name, "/invocations")
	if !isFunction || !isInvoke || r.Method != http.MethodPost {
		deny(w, http.StatusNotFound, "UnknownOperationException", "this Lambda serves Invoke only")
		return
	}
	f := api.find(name, r.URL.Query().Get("Qualifier"))
	if f == nil {
		deny(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+name)
		return
	}

	way, limit := r.Header.Get("X-Amz-Invocation-Type"), int64(maxPayload)
	if way == "Event" {
		limit = maxEvent
	}
	payload, err := processes.ReadAll(r.Body, limit)
	switch {
	case err != nil:
		deny(w, http.StatusBadRequest, "InvalidRequestContentException",
			"Could not read the request body: "+err.Error())
		return
	case int64(len(payload)) > limit:
		deny(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit))
		return
	case len(payload) > 0 && !json.Valid(payload):
		deny(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}

	switch way {
	case "", "RequestResponse":
		a, err := f.invoke(r.Context(), id, payload)
		if err != nil {
			deny(w, http.StatusInternalServerError, "ServiceException", err.Error())
			return
		}
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		if a.FunctionError != "" {
			w.Header().Set("X-Amz-Function-Error", a.FunctionError)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(a.Payload)
	case "Event":
		if !api.async(f, id, payload) {
			deny(w, http.StatusInternalServerError, "ServiceException", ErrClosed.Error())
			return
		}
		w.WriteHeader(http.StatusAccepted)
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	default:
		deny(w, http.StatusBadRequest, "InvalidParameterValueException", "no such invocation type: "+way)
	}
}

// find returns the function of a name, a name:qualifier, or an ARN with or without either; or nil.
func (api InvokeAPI) find(name, qualifier string) *Function {
	parts := strings.Split(name, ":")
	if i := slices.Index(parts, "function"); i >= 0 {
		parts = parts[i+1:]
	}
	if len(parts) == 2 && qualifier == "" {
		parts, qualifier = parts[:1], parts[1]
	}
	if len(parts) != 1 || qualifier != "" && qualifier != "$LATEST" {
		return nil
	}
	i := slices.IndexFunc(api.Functions, func(f *Function) bool { return f.cfg.Name == parts[0] })
	if i < 0 {
		return nil
	}
	return api.Functions[i]
}

// async invokes f, again if it fails, and reports whether f is still open.
func (api InvokeAPI) async(f *Function, id string, payload []byte) bool {
	waits := api.RetryWaits
	if waits == nil {
		waits = []time.Duration{time.Minute, 2 * time.Minute}
	}
	return f.runner.InvokeAsync(id, event(payload), waits, func(a Answer, attempts int) {
		if api.OnAsync != nil {
			api.OnAsync(f.cfg.Name, payload, a, attempts)
		}
	})
}

// deny answers an error in the form of the AWS REST JSON protocol.
func deny(w http.ResponseWriter, status int, errorType, message string) {
	by := "User"
	if status >= http.StatusInternalServerError {
		by = "Service"
	}
	w.Header().Set("X-Amzn-Errortype", errorType)
	processes.Reply(w, status, map[string]string{"Type": by, "Message": message})
}
