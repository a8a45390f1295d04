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
	"slices"
	"strconv"
	"strings"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"

	"registrar/pkg/attempt"
	"registrar/pkg/events"
	"registrar/pkg/wire"
)

// HTTPTime is how long the events of one HTTP request may take, unless the host allows less.
const HTTPTime = 60 * time.Second

const (
	maxBody     = 1 << 20          // bytes of an HTTP request's body
	maxHeader   = 64 << 10         // bytes of the headers of a function URL's request; API Gateway takes 10 KiB
	defaultWait = 30 * time.Second // what Retry-After says if Huawei Cloud doesn't say how long to wait
)

// ServeHTTP takes CloudEvents in binary, structured and batched mode by POST and answers with their
// result events in structured or batched mode. A function URL and the HTTP server both answer with
// it. It authenticates nobody: what stands in front of it must.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.WriteHeader(http.StatusOK)
		return
	}
	if r.Method != http.MethodPost {
		const advice = "send events by POST"
		h.logRefusal(r.Context(), &events.InvalidEventError{Reason: advice})
		w.Header().Set("Allow", http.MethodPost)
		problem(w, http.StatusMethodNotAllowed, "MethodNotAllowed", advice)
		return
	}
	// A client that goes away doesn't end the work: it may have closed its half of the connection
	// only, and a write that has begun needs its result.
	end := time.Now().Add(HTTPTime)
	if deadline, ok := r.Context().Deadline(); ok && deadline.Before(end) { // the request came by a function URL
		end = deadline
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), end)
	defer cancel()
	if mediaType, body, err := h.takeRequest(ctx, w, r); err != nil {
		fail(w, err)
	} else {
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write(body) // a client that is gone sends the event again
	}
}

// takeRequest handles the events of a request, and returns what to answer.
func (h *Handler) takeRequest(
	ctx context.Context, w http.ResponseWriter, r *http.Request,
) (mediaType string, body []byte, err error) {
	defer h.recovered(ctx, &err)
	if most := int64(h.MaxRequests); h.requests.Add(1) > most && most > 0 {
		err = tooManyAtOnce()
	}
	defer h.requests.Add(-1)
	if err == nil {
		err = h.checkSetUp(ctx)
	}
	var received []byte
	if err == nil {
		received, err = receive(w, r)
	}
	size := int64(len(received))
	if most := int64(h.MaxBytes); h.bytes.Add(size) > most && most > 0 {
		err = cmp.Or(err, tooManyAtOnce())
	}
	defer h.bytes.Add(-size)
	var envelope events.Envelope
	if err == nil {
		envelope, err = events.UnwrapHTTP(r.Header, received)
	}
	if err != nil {
		h.logRefusal(ctx, err)
		return "", nil, err
	}
	mediaType = events.StructuredMediaType
	if envelope.Shape == events.Array {
		mediaType = events.BatchMediaType
	}
	all := slices.DeleteFunc(h.handleAll(ctx, envelope), func(done handled) bool {
		return done.out == nil && done.err == nil // a batch holds nothing but events
	})
	body, err = answer(envelope.Shape, all)
	return mediaType, body, err
}

// tooManyAtOnce says that others must be finished first.
func tooManyAtOnce() error {
	return &TransientError{&attempt.Failure{
		Err: errors.New("too many requests at once: send the event again"), RetryAfter: time.Second,
	}}
}

// receive reads the body of a request.
func receive(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	const plain = "identity"
	coding := strings.Join(r.Header.Values("Content-Encoding"), ",")
	if coding != "" && !strings.EqualFold(coding, plain) {
		w.Header().Set("Accept-Encoding", plain)
		return nil, &events.InvalidEventError{
			Reason: "the body is encoded, as Content-Encoding says: send it as it is",
			Status: http.StatusUnsupportedMediaType,
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &events.InvalidEventError{
			Reason: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit),
			Status: http.StatusRequestEntityTooLarge,
		}
	}
	if err != nil { // the sender may still have the event; net/http quotes what it can't read
		err = wire.Unanswered(r.Context(), err, wire.Secrets{})
		return nil, &TransientError{fmt.Errorf("the body can't be read: %w", err)}
	}
	return body, nil
}

// fail answers with one of the three named errors.
func fail(w http.ResponseWriter, err error) {
	meaning := meaningOf(err)
	if meaning.status == http.StatusServiceUnavailable {
		wait := cmp.Or(waitOf(err), defaultWait)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	problem(w, meaning.status, meaning.name, err.Error())
}

// problem answers with problem details (RFC 9457).
func problem(w http.ResponseWriter, status int, errorType, detail string) {
	w.Header().Set("Content-Type", events.ProblemMediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": detail, "error_type": errorType,
	})
}

// invokeHTTP has ServeHTTP answer the request of a function URL, or of an HTTP API in format 2.0.
func (h *Handler) invokeHTTP(ctx context.Context, payload []byte) []byte {
	w := recorder{status: http.StatusOK, header: http.Header{}}
	if r, err := readRequest(ctx, payload); err != nil {
		h.logRefusal(ctx, err)
		fail(&w, err)
	} else {
		h.ServeHTTP(&w, r)
	}
	out := w.response()
	if len(out) > maxAnswer { // as a text of JSON, the results may take more room than they have
		err := tooLarge()
		h.logRefusal(ctx, err)
		w = recorder{header: http.Header{}}
		fail(&w, err)
		out = w.response()
	}
	return out
}

func readRequest(ctx context.Context, payload []byte) (*http.Request, error) {
	var in struct { // not the type of the library, whose maps of a large payload don't fit into a small function
		RawPath        string          `json:"rawPath"`
		Headers        json.RawMessage `json:"headers"`
		RequestContext struct {
			HTTP struct {
				Method string `json:"method"`
			} `json:"http"`
		} `json:"requestContext"`
		Body            string `json:"body"`
		IsBase64Encoded bool   `json:"isBase64Encoded"`
	}
	var headers map[string]string
	err := json.Unmarshal(bytes.TrimPrefix(payload, []byte("\ufeff")), &in)
	if len(in.Headers) > maxHeader {
		return nil, &events.InvalidEventError{
			Reason: fmt.Sprintf("the headers are larger than %d bytes", maxHeader),
			Status: http.StatusRequestHeaderFieldsTooLarge,
		}
	}
	if err == nil && in.Headers != nil {
		err = json.Unmarshal(in.Headers, &headers)
	}
	if err != nil {
		return nil, &events.InvalidEventError{
			Reason: "payload is not a request of a function URL or HTTP API, format 2.0",
		}
	}
	body := []byte(in.Body)
	if in.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(in.Body); err != nil {
			return nil, &events.InvalidEventError{Reason: "the body of the request is not base64, as it says"}
		}
	}
	r, err := http.NewRequestWithContext(ctx, in.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, &events.InvalidEventError{Reason: "the request has a method that is not one of HTTP"}
	}
	r.URL.Path = in.RawPath
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r, nil
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

// response is what was written, as the response of a function URL.
func (r *recorder) response() []byte {
	out := lambdaevents.LambdaFunctionURLResponse{
		StatusCode: r.status, Headers: map[string]string{}, Body: r.body.String(),
	}
	for name := range r.header {
		out.Headers[name] = r.header.Get(name)
	}
	encoded, _ := json.Marshal(out) // texts and a number can't fail
	return encoded
}
