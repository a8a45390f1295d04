package handler

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	maxBody     = 1 << 20          // of an HTTP request
	httpTime    = 60 * time.Second // for what an HTTP request holds, unless the host says less
	defaultWait = 30 * time.Second // for Retry-After, when Huawei Cloud names none
)

// ServeHTTP takes CloudEvents in binary, structured and batched mode by POST and answers with the results in the structured or batched mode.
// It is the contract of a function URL as well as of the HTTP server. It authenticates nobody: what stands in front of it must.
func (h *Handler[T]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.WriteHeader(http.StatusOK)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		problem(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "send events by POST")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), httpTime)
	defer cancel()

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var envelope events.Envelope
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = &events.InvalidEventError{
			Reason: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit), Status: http.StatusRequestEntityTooLarge,
		}
	} else if err != nil { // the sender may still have the event
		err = &TransientError{fmt.Errorf("the body can't be read: %w", err)}
	} else {
		envelope, err = events.UnwrapHTTP(r.Header, body)
	}
	if err != nil {
		h.refuse(ctx, err)
		fail(w, err)
		return
	}
	answered, err := answer(envelope, h.handleAll(ctx, envelope.Records))
	if err != nil {
		fail(w, err)
		return
	}
	mediaType := events.StructuredMediaType
	if envelope.Shape == events.Array {
		mediaType = events.BatchMediaType
	}
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(answered) // a client that has gone sends the event again
}

// fail answers one of the three named errors.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	switch e := err.(type) { //nolint:errorlint // the outermost type is what counts
	case *events.InvalidEventError:
		status = cmp.Or(e.Status, http.StatusBadRequest)
	case *MisconfiguredError:
		status = http.StatusInternalServerError
	default:
		wait := defaultWait
		if failed, ok := errors.AsType[*client.APIError](err); ok && failed.RetryAfter > 0 {
			wait = failed.RetryAfter
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	problem(w, status, typeName(err), err.Error())
}

// problem answers by RFC 9457.
func problem(w http.ResponseWriter, status int, errorType, detail string) {
	w.Header().Set("Content-Type", events.ProblemMediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": detail, "error_type": errorType,
	})
}

// invokeHTTP takes the request of a function URL, or of an HTTP API in format 2.0, through ServeHTTP.
func (h *Handler[T]) invokeHTTP(ctx context.Context, payload []byte) ([]byte, error) {
	var in lambdaevents.LambdaFunctionURLRequest
	err := json.Unmarshal(payload, &in)
	body := []byte(in.Body)
	if err == nil && in.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(in.Body)
	}
	var r *http.Request
	if err == nil {
		r, err = http.NewRequestWithContext(ctx, in.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	}
	if err != nil {
		err := &events.InvalidEventError{Reason: fmt.Sprintf("payload is no request of a function URL: %v", err)}
		h.refuse(ctx, err)
		return nil, err
	}
	r.URL.Path = in.RawPath
	for name, value := range in.Headers {
		r.Header.Set(name, value)
	}
	w := recorder{status: http.StatusOK, header: http.Header{}}
	h.ServeHTTP(&w, r)

	out := lambdaevents.LambdaFunctionURLResponse{StatusCode: w.status, Headers: map[string]string{}, Body: w.body.String()}
	for name := range w.header {
		out.Headers[name] = w.header.Get(name)
	}
	return json.Marshal(out)
}

// recorder is an http.ResponseWriter that keeps what is written to it.
type recorder struct {
	status int
	header http.Header
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
