// Package awstest has fakes of AWS Secrets Manager, EventBridge and STS for tests, with the wire
// format of the real ones. What STS issues is constructed.
//
// Each fake is an [http.Handler] with a state. It answers as AWS would, so it refuses a request
// that is not signed, and it can be told to answer with failures instead.
package awstest

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing/iotest"

	"registrar/internal/awsapi"
)

// Credentials of AWS.
const (
	AccessKey    = "AKIDEXAMPLE000000000"
	SecretKey    = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
	SessionToken = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
)

// RequestID is the id that the fakes give to every request.
const RequestID = "11710aed-b79e-4468-a20b-bb3c0c3b4860"

// Config is a configuration whose clients are answered by h. The environment's region is us-east-1.
func Config(h http.Handler) awsapi.Config {
	return awsapi.Config{
		Region: "us-east-1", AccessKey: AccessKey, SecretKey: SecretKey, SessionToken: SessionToken,
		Transport: Transport(h),
	}
}

// Transport answers requests by h, without a network: a test may run in a bubble of
// testing/synctest. If h panics with [http.ErrAbortHandler], what it wrote before is an answer that
// breaks off.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	r = r.Clone(r.Context())
	r.Host = cmp.Or(r.Host, r.URL.Host)
	w := httptest.NewRecorder()
	defer func() {
		switch cause := recover(); {
		case cause == nil:
		case cause != http.ErrAbortHandler: //nolint:errorlint // net/http compares with this value, too
			panic(cause)
		case w.Body.Len() == 0:
			err = io.EOF
		default:
			answer = w.Result()
			answer.Body = io.NopCloser(io.MultiReader(answer.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
		}
	}()
	t.ServeHTTP(w, r)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return w.Result(), nil
}

// script holds the answers that a fake gives instead of its own.
type script struct {
	mu      sync.Mutex
	answers []http.HandlerFunc
}

// Script sets the answers to the next requests, in order. The last one is repeated until Script is
// called again. Nil is the fake's own answer. A Script without answers leaves all answers to the
// fake.
func (s *script) Script(answers ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

// next takes the next answer. The lock is held.
func (s *script) next() http.HandlerFunc {
	if len(s.answers) == 0 {
		return nil
	}
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return answer
}

// Refuse answers as AWS does when it refuses a request, in JSON or XML as the service speaks.
func Refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isQuery(r) {
			replyXML(w, status, failure(code, "what AWS says", RequestID))
			return
		}
		reply(w, status, map[string]string{"__type": "com.amazon.coral.service#" + code, "message": "what AWS says"})
	}
}

// Garbage answers with a body that isn't from AWS.
func Garbage(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Silence doesn't answer before the request is canceled.
func Silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Abort ends the connection instead of answering.
func Abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Echo answers with an error that quotes the request's token wherever there is room for it.
func Echo(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get("X-Amz-Security-Token")
	w.Header().Set("X-Amzn-RequestId", token)
	w.Header().Set("Content-Type", token)
	w.WriteHeader(http.StatusBadRequest)
	if isQuery(r) {
		_ = xml.NewEncoder(w).Encode(failure(token, token, token))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": token, "message": token})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", RequestID)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// call is what identifies a call of a service.
type call struct {
	scope  string // the service in the scope of the signature
	host   string // what the names of its hosts begin with
	target string // the header X-Amz-Target
}

// read reads a request into body. It returns the region that the request is for, or answers as AWS
// would and returns false.
func (c call) read(w http.ResponseWriter, r *http.Request, body any) (region string, ok bool) {
	region = signedFor(r, c.scope, `host;\S*x-amz-target`)
	switch {
	case region == "":
		Refuse(http.StatusForbidden, "MissingAuthenticationTokenException")(w, r)
	case !serves(c.host, r.Host, region):
		Refuse(http.StatusForbidden, "InvalidSignatureException")(w, r)
	case r.Method+" "+r.URL.Path != "POST /", r.Header.Get("X-Amz-Target") != c.target:
		Refuse(http.StatusBadRequest, "UnknownOperationException")(w, r)
	case r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || decode(r.Body, body) != nil:
		Refuse(http.StatusBadRequest, "SerializationException")(w, r)
	default:
		return region, true
	}
	return "", false
}

// signedFor returns the region in the scope of a signature, or "" if the request isn't signed for
// the service and with the headers.
func signedFor(r *http.Request, service, headers string) string {
	signed := regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[A-Z0-9]+/\d{8}/([a-z0-9-]+)/` + service +
		`/aws4_request, SignedHeaders=\S*` + headers + `\S*, Signature=[0-9a-f]{64}$`).
		FindStringSubmatch(r.Header.Get("Authorization"))
	if signed == nil {
		return ""
	}
	return signed[1]
}

// serves reports whether a host is that of the service in a region. A loopback address is in every
// region.
func serves(service, host, region string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil && net.ParseIP(name).IsLoopback() {
		return true
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return host == service+"."+region+"."+domain
}

func decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
