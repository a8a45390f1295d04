package functiongraphlocal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"registrar/internal/processes"
)

// maxEvent is FunctionGraph's limit for the payload of an asynchronous invocation, and for the
// answer that is passed on to a destination.
const maxEvent = 256 << 10

// InvokeAPI is FunctionGraph's invocation API, an [http.Handler] for POST
// /v2/{project_id}/fgs/functions/{function_urn}/invocations and .../invocations-async. Neither
// tokens nor signatures are checked.
type InvokeAPI struct {
	Functions []*Function
	// RetryWaits are the waits before an asynchronous invocation that failed is tried again. Nil
	// means one of a minute, since FunctionGraph tries once more unless told otherwise. Empty means
	// no retry.
	RetryWaits []time.Duration
	// OnSuccess and OnFailure, if not nil, are the destinations of all functions. They get the
	// record of each asynchronous invocation that Close didn't cut off, and are called from several
	// goroutines.
	OnSuccess, OnFailure func(Record)
}

// Record is what a destination gets about an asynchronous invocation.
type Record struct {
	// Timestamp is when the invocation came, in the form that the documents show, which RFC 3339
	// doesn't know.
	Timestamp      string         `json:"timestamp"`
	RequestContext RequestContext `json:"request_context"`
	RequestPayload string         `json:"request_payload"`

	ResponseContext ResponseContext `json:"response_context"`
	// ResponsePayload is empty if it has more than 256 KiB.
	ResponsePayload string `json:"response_payload"`
}

// RequestContext is a part of a [Record].
type RequestContext struct {
	RequestID   string `json:"request_id"`
	FunctionURN string `json:"function_urn"`
	// Condition is the type of the error, empty for success.
	Condition              string `json:"condition"`
	ApproximateInvokeCount int    `json:"approximate_invoke_count"`
}

// ResponseContext is a part of a [Record].
type ResponseContext struct {
	StatusCode    int    `json:"status_code"`
	FunctionError string `json:"function_error"`
}

// ServeHTTP implements [http.Handler].
func (api InvokeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Cff-Request-Id", id)
	path, isAsync := strings.CutSuffix(r.URL.Path, "-async")
	i := slices.IndexFunc(api.Functions, func(f *Function) bool {
		return path == f.InvocationPath() || path == strings.Replace(f.InvocationPath(), ":latest/", "/", 1)
	})
	switch {
	case r.Method != http.MethodPost || i < 0:
		refuse(w, http.StatusNotFound, "there is no such function, or something else than an invocation of one")
	case isAsync:
		api.async(w, r, id, api.Functions[i])
	default:
		answer(w, r, id, api.Functions[i])
	}
}

// answer invokes f and answers what it answers: as it is, or in JSON for version v1.
func answer(w http.ResponseWriter, r *http.Request, id string, f *Function) {
	payload, ok := event(w, r, maxPayload)
	if !ok {
		return
	}
	a, err := f.invoke(r.Context(), id, payload)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	status, code := http.StatusOK, "0"
	if a.FunctionError != "" {
		status, code = http.StatusInternalServerError, "500"
	}
	h := w.Header()
	h.Set("X-Is-Func-Err", strconv.FormatBool(a.FunctionError != ""))
	h.Set("X-Func-Err-Code", code)
	if r.Header.Get("X-Cff-Request-Version") == "v1" {
		h.Set("X-Cff-Response-Version", "v1")
		processes.Reply(w, http.StatusOK, map[string]any{
			"request_id": id, "result": string(a.Payload), "log": "", "status": status,
		})
		return
	}
	h.Set("X-Cff-Response-Version", "v0")
	_, _ = w.Write(a.Payload)
}

// async accepts an event and sees to it later.
func (api InvokeAPI) async(w http.ResponseWriter, r *http.Request, id string, f *Function) {
	payload, ok := event(w, r, maxEvent)
	if !ok {
		return
	}
	waits := api.RetryWaits
	if waits == nil {
		waits = []time.Duration{time.Minute}
	}
	came := time.Now()
	if !f.runner.InvokeAsync(id, payload, waits, func(a Answer, attempts int) {
		tell := api.OnSuccess
		if a.FunctionError != "" {
			tell = api.OnFailure
		}
		if tell != nil {
			tell(record(f, came, payload, a, attempts))
		}
	}) {
		refuse(w, http.StatusInternalServerError, ErrClosed.Error())
		return
	}
	processes.Reply(w, http.StatusAccepted, map[string]string{"request_id": id})
}

func record(f *Function, came time.Time, payload []byte, a Answer, attempts int) Record {
	var failed struct{ ErrorMessage string }
	if a.FunctionError != "" {
		_ = json.Unmarshal(a.Payload, &failed) // it may be anything
	}
	if len(a.Payload) > maxEvent {
		a.Payload = nil
	}
	condition := ""
	if a.FunctionError != "" {
		condition = a.Failure()
	}
	return Record{
		Timestamp: came.In(time.FixedZone("", 8*60*60)).Format("2006-01-02T15:04:05.000") + "Z+08:00",
		RequestContext: RequestContext{
			RequestID: a.RequestID, FunctionURN: f.URN(), Condition: condition, ApproximateInvokeCount: attempts,
		},
		RequestPayload:  string(payload),
		ResponseContext: ResponseContext{StatusCode: http.StatusOK, FunctionError: failed.ErrorMessage},
		ResponsePayload: string(a.Payload),
	}
}

// event reads an event of at most limit bytes, which must be JSON, or answers why it doesn't.
func event(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	payload, err := processes.ReadAll(r.Body, limit)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "the request body can't be read: "+err.Error())
	case int64(len(payload)) > limit:
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request body has more than %d bytes", limit))
	case !json.Valid(payload):
		refuse(w, http.StatusNotAcceptable, "the request body is not JSON")
	default:
		return payload, true
	}
	return nil, false
}
