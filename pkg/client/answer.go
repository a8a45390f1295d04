package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

const (
	maxBody   = 1 << 20
	skewLimit = 5 * time.Minute // the gateway itself refuses at 15

	// What is kept of texts from outside, in bytes.
	maxWord    = 100 // a code, a request id, a content type
	maxMessage = 1 << 10
	maxEncoded = 4 << 10
)

// Answer is what Huawei Cloud said in an error, free of credentials and control characters. All is
// zero if no answer came.
type Answer struct {
	Status    int    // HTTP status
	Code      string // such as "IIC.1216"; empty if the body had none
	Message   string // at most 1 KiB
	RequestID string // from the header X-Request-Id, else from the body

	Date time.Time // on the server's clock, zero if it showed none
}

// APIError says which call failed and how. The [attempt.Failure] around it has its kind.
type APIError struct {
	Operation string // such as "RegisterRegion"
	Answer
	// EncodedAuthorizationMessage of a 403 explains, to those who may decode it with
	// STS (POST /v5/decode-authorization-message), which policy denied the call. At most 4 KiB.
	EncodedAuthorizationMessage string
	Err                         error // why there was no answer, or none to believe; nil if the answer says it all
}

// Error has no credentials and no body of an answer in it.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString(e.Operation + ":")
	if e.Status != 0 {
		fmt.Fprintf(&b, " status %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(" " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(" " + e.Err.Error())
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *APIError) Unwrap() error { return e.Err }

// reply is what came back for one request.
type reply struct {
	Answer
	encoded    string // encoded_authorization_message
	retryAfter time.Duration

	body    []byte
	object  object       // the body, nil if it is not a JSON object
	broken  error        // why the body isn't whole, nil if it is
	secrets wire.Secrets // the credentials that signed the request

	narrowed bool // a session policy narrows these credentials
}

// readReply reads an answer. Each text in it enters through clean.
func readReply(ctx context.Context, resp *http.Response, secrets wire.Secrets) *reply {
	r := &reply{secrets: secrets, retryAfter: attempt.RetryAfter(resp.Header)}
	r.Status = resp.StatusCode
	r.RequestID = r.clean(resp.Header.Get("X-Request-Id"), maxWord)
	r.Date, _ = http.ParseTime(resp.Header.Get("Date"))

	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case len(body) > maxBody:
		r.broken = fmt.Errorf("it is larger than %d bytes", maxBody)
	case err != nil:
		r.broken = wire.Unanswered(ctx, err, secrets)
	}
	r.body = bytes.TrimPrefix(body, []byte("\ufeff"))
	r.object = parse(r.body)
	r.readError(resp.Header.Get("Content-Type"))
	return r
}

func (r *reply) clean(text string, limit int) string { return r.secrets.Clean(text, limit) }

// readError reads what the body says of an error. Services and gateways write the same in several
// ways: two pairs of keys, at the top or one level below, codes as texts or numbers, or no JSON at
// all. In a success only an error_code at the top is one, since its data may have a code of any
// kind.
func (r *reply) readError(contentType string) {
	switch {
	case r.Status/100 == 2 && r.clean(text(r.object["error_code"]), maxWord) == "":
		return
	case r.object == nil:
		r.Message = fmt.Sprintf("%s, without a JSON object (%d bytes of %s)", http.StatusText(r.Status), len(r.body),
			cmp.Or(r.clean(contentType, maxWord), "no type"))
		return
	}
	levels := []object{r.object, parse(r.object["error"])}
	for _, keys := range [][2]string{{"error_code", "error_msg"}, {"code", "message"}} {
		for _, level := range levels {
			if r.Code == "" {
				r.Code = r.clean(text(level[keys[0]]), maxWord)
				if message := r.clean(text(level[keys[1]]), maxMessage); r.Code != "" || r.Message == "" {
					r.Message = message
				}
			}
		}
	}
	for _, level := range levels {
		r.RequestID = cmp.Or(r.RequestID, r.clean(text(level["request_id"]), maxWord))
		r.encoded = cmp.Or(r.encoded, r.clean(text(level["encoded_authorization_message"]), maxEncoded))
	}
}

// object is a JSON object whose members are still to be read. Keys are as they are written:
// encoding/json would take a struct's in any case.
type object map[string]json.RawMessage

// parse returns the JSON object in b, nil if there is none.
func parse(b []byte) (o object) {
	if json.Unmarshal(b, &o) != nil {
		return nil
	}
	return o
}

// member reads the member with the key, if there is one. Its error shows no value.
func member[T any](o object, key string) (value T, err error) {
	if o[key] != nil {
		err = json.Unmarshal(o[key], &value)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("a JSON %s doesn't belong at %s", wrong.Value, strings.TrimSuffix(key+"."+wrong.Field, "."))
	}
	if err != nil {
		return *new(T), err
	}
	return value, nil
}

// list reads the list with the key. A service may write null for an empty one, but whoever answers
// without any doesn't know the state. Check says what in an item can't be true, and cleans what
// goes on from there.
func list[T any](
	answer object, key string, secrets wire.Secrets, check func(item *T, secrets wire.Secrets) error,
) ([]T, error) {
	if answer[key] == nil {
		return nil, errors.New("it has no list of " + key)
	}
	items, err := member[[]T](answer, key)
	for i := range items {
		err = cmp.Or(err, check(&items[i], secrets))
	}
	if err != nil {
		return nil, err
	}
	return items, nil
}

// text is the JSON string or number in raw, empty if it is something else.
func text(raw json.RawMessage) string {
	if raw == nil {
		return ""
	}
	var s string
	var n json.Number
	if json.Unmarshal(raw, &s) == nil || json.Unmarshal(raw, &n) != nil {
		return s
	}
	return n.String()
}

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// only reports whether s has nothing but these characters, and at least one.
func only(s, characters string) bool { return s != "" && strings.Trim(s, characters) == "" }

// credible reports whether a word in an answer may be an id or a state, and quotes no secret.
func credible(word string, secrets wire.Secrets) bool {
	return len(word) <= 64 && only(word, letters+digits+"_-") && secrets.Redact(word) == word
}

// failure is what the reply means for op, nil for a success whose body was read.
func (r *reply) failure(op operation) *attempt.Failure {
	kind, err := attempt.Transient, error(nil)
	switch success := r.Status/100 == 2; {
	case success && r.Code == "":
		if err = r.read(op); err == nil {
			return nil
		}
		err = errors.New(r.clean("the answer can't be read: "+err.Error(), maxMessage))
	case r.broken != nil && len(r.body) <= maxBody:
		err = fmt.Errorf("the answer broke off: %w", r.broken)
	default:
		kind = kindOf(op.method, r.Status, r.Code)
		switch {
		case r.Status == http.StatusNotFound && !namesService(r.Code):
			err = errors.New("(not an answer of this API: is its endpoint right?)")
		case r.Status == http.StatusForbidden && r.narrowed:
			err = errors.New("(perhaps because of the session policy: HUAWEICLOUD_SESSION_POLICY=off leaves it out)")
		case r.Status/100 == 3:
			err = errors.New("(a redirect, not an answer of this API: is its endpoint right?)")
		}
	}
	return &attempt.Failure{
		Kind:       kind,
		Err:        &APIError{op.name, r.Answer, r.encoded, err},
		Answered:   true,
		RetryAfter: r.retryAfter,
		Throttled:  r.Status == http.StatusTooManyRequests,
	}
}

// read hands the body of a success to op.
func (r *reply) read(op operation) error {
	switch {
	case op.read == nil:
		return nil
	case r.broken != nil:
		return r.broken
	case r.object == nil:
		return errors.New("it is not a JSON object")
	}
	return op.read(r.object, r.secrets)
}

// blamesClock reports whether the server may not have accepted the signature because of the time in
// it.
func (r *reply) blamesClock(signed time.Time) bool {
	return !r.Date.IsZero() && r.Date.Sub(signed).Abs() > skewLimit &&
		slices.Contains([]string{"APIGW.0301", "APIGW.0303", "APIGW.0305", "APIGW.0307"}, r.Code)
}
