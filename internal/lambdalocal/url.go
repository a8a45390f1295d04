package lambdalocal

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"registrar/internal/processes"
)

// URL is the function URL of a function, an [http.Handler] that invokes it with the request and
// answers with the response it describes. It is open to everybody.
type URL struct{ Function *Function }

// ServeHTTP implements [http.Handler].
func (u URL) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := processes.ReadAll(r.Body, maxPayload)
	if err != nil || len(body) > maxPayload {
		http.Error(w, `{"Message":"Request Entity Too Large"}`, http.StatusRequestEntityTooLarge)
		return
	}
	in := events.LambdaFunctionURLRequest{
		Version: "2.0", RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery, Headers: map[string]string{},
		Body: base64.StdEncoding.EncodeToString(body), IsBase64Encoded: true,
	}
	for name, values := range r.Header {
		in.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	in.RequestContext = events.LambdaFunctionURLRequestContext{
		RequestID: uuid.NewString(), DomainName: r.Host, TimeEpoch: time.Now().UnixMilli(),
		HTTP: events.LambdaFunctionURLRequestContextHTTPDescription{
			Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: "127.0.0.1", UserAgent: r.UserAgent(),
		},
	}
	payload, err := json.Marshal(in)
	if err != nil {
		http.Error(w, `{"Message":"Internal Server Error"}`, http.StatusInternalServerError)
		return
	}
	var out events.LambdaFunctionURLResponse
	answer, err := u.Function.Invoke(r.Context(), payload)
	if err != nil || answer.FunctionError != "" || json.Unmarshal(answer.Payload, &out) != nil {
		http.Error(w, `{"Message":"Internal Server Error"}`, http.StatusBadGateway) // AWS says no more
		return
	}
	for name, value := range out.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(out.StatusCode)
	if out.IsBase64Encoded {
		_, _ = io.Copy(w, base64.NewDecoder(base64.StdEncoding, strings.NewReader(out.Body)))
		return
	}
	_, _ = io.WriteString(w, out.Body)
}
