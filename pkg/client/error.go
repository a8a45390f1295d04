package client

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The kinds of failure. Each [APIError] wraps exactly one of them.
var (
	ErrTransient     = errors.New("transient")
	ErrMisconfigured = errors.New("misconfigured")
	ErrRefused       = errors.New("refused")
)

// Answer is what Huawei Cloud said in an error. All is zero when no answer came.
type Answer struct {
	Status    int    // HTTP status
	Code      string // such as "IIC.1216"; empty when the body had none
	Message   string // at most 1 KiB, free of credentials and control characters
	RequestID string // of header X-Request-Id, else of the body
}

// APIError is a failed call.
type APIError struct {
	Operation string // such as "RegisterRegion"
	Answer
	// EncodedAuthorizationMessage of a 403 explains, to those who may decode it with
	// STS (POST /v5/decode-authorization-message), which policy denied the call. At most 4 KiB.
	EncodedAuthorizationMessage string
	RetryAfter                  time.Duration // what header Retry-After asks for, at least 1 s; 0: no such header
	Err                         error         // why there is no whole answer that could be used; nil when Huawei Cloud answered with an error

	date time.Time // the server's clock, zero if it showed none
}

// Error says which call failed and how, without credentials and without the body of the answer.
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

// Unwrap gives the kind of the failure and what caused it.
func (e *APIError) Unwrap() []error {
	if e.Err != nil {
		return []error{e.kind(), e.Err}
	}
	return []error{e.kind()}
}

func (e *APIError) kind() error {
	if e.Err != nil { // nothing came, or not all of it, or a success that can't be read
		if _, untrusted := errors.AsType[*tls.CertificateVerificationError](e.Err); untrusted || errors.Is(e.Err, ErrMisconfigured) {
			return ErrMisconfigured
		}
		return ErrTransient
	}
	return kindOf(e.Status, e.Code)
}

// Refusal returns the error in err whose kind is [ErrRefused], or nil if there is none.
func Refusal(err error) *APIError {
	if e, ok := errors.AsType[*APIError](err); ok && errors.Is(e, ErrRefused) {
		return e
	}
	return nil
}

// Throttled reports whether err says to call less often: a quota is used up, or Huawei Cloud asks for more patience than an invocation has.
func Throttled(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && errors.Is(e, ErrTransient) && (e.Status == http.StatusTooManyRequests || e.RetryAfter > longestWait)
}

// kindOf is the one table from what Huawei Cloud answers to what it means. A code alone is ambiguous: the same code comes
// with several statuses. Sources: the error code pages of IAM Identity Center (IIC),
// Organizations and API Gateway (APIGW).
func kindOf(status int, code string) error {
	if number, ok := strings.CutPrefix(code, "IdentityCenter."); ok {
		code = "IIC." + number
	}
	is := func(codes ...string) bool { return slices.Contains(codes, code) }
	switch {
	case status < 300, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500,
		status == http.StatusConflict && is("IIC.1006", "IIC.1007", "Organizations.1003"),
		status == http.StatusBadRequest && is("Organizations.1004", "Organizations.1006", "IIC.1219"),
		status == http.StatusForbidden && is("IIC.1219"):
		return ErrTransient
	case status < 400, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusMethodNotAllowed,
		status == http.StatusRequestEntityTooLarge, status == http.StatusRequestURITooLong,
		status == http.StatusBadRequest && is("IIC.1215", "IIC.1263", "Organizations.1005", "Organizations.1008",
			"Organizations.1009", "Organizations.1011", "Organizations.1012", "Organizations.1305"),
		status == http.StatusNotFound && (is("Organizations.1010") || strings.HasPrefix(code, "APIGW.")):
		return ErrMisconfigured
	default:
		return ErrRefused
	}
}

// noneRegistered reports whether err says that no region is registered yet.
func noneRegistered(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Status == http.StatusNotFound &&
		slices.Contains([]string{"IIC.404", "IIC.1254", "IdentityCenter.404", "IdentityCenter.1254"}, e.Code)
}

// readError fills e from an answer that is no success. Services and gateways write the same things in several ways:
// the pairs of keys in fill, at the top or nested, codes as text or as number, or no JSON at all.
// Redact removes credentials, before anything is cut.
func (e *APIError) readError(resp *http.Response, body []byte, redact func(string) string) {
	e.RequestID = clean(redact(resp.Header.Get("X-Request-Id")), 100)
	e.date, _ = http.ParseTime(resp.Header.Get("Date"))
	e.RetryAfter = RetryAfter(resp.Header)

	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		if e.Status/100 == 2 {
			return // a success needs no body
		}
		e.Message = fmt.Sprintf("%s, without a JSON object (%d bytes %s)", http.StatusText(e.Status), len(body),
			cmp.Or(clean(resp.Header.Get("Content-Type"), 100), "of no type"))
		return
	}
	e.fill(object, redact, 0)
}

// RetryAfter is what an answer asks to wait, by seconds or by a date on the clock of its header Date. It is at least a second; 0 means that the
// answer asks for nothing.
func RetryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest
		return max(time.Duration(seconds)*time.Second, time.Second)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(until.Sub(now), time.Second)
}

// wait is the time to wait before the next attempt, retries being the number of attempts that failed, and
// whether there should be one at all.
func (e *APIError) wait(retries int) (time.Duration, bool) {
	if !errors.Is(e, ErrTransient) || e.RetryAfter > longestWait ||
		e.Status == http.StatusTooManyRequests && e.RetryAfter == 0 {
		return 0, false
	}
	return max(e.RetryAfter, rand.N(min(firstWait<<min(retries-1, 10), longestWait))), true
}

// clockOff is how far the server's clock is ahead of ours if that may be why it didn't accept the signature, else 0.
func (e *APIError) clockOff() time.Duration {
	if e.Status != http.StatusUnauthorized || e.date.IsZero() ||
		!slices.Contains([]string{"APIGW.0301", "APIGW.0303", "APIGW.0305", "APIGW.0307"}, e.Code) {
		return 0
	}
	if off := time.Until(e.date); off.Abs() > skewLimit {
		return off
	}
	return 0
}

func (e *APIError) fill(object map[string]any, redact func(string) string, depth int) {
	text := func(key string) string {
		switch v := object[key].(type) {
		case string:
			return redact(v)
		case json.Number:
			return v.String()
		}
		return ""
	}
	for _, keys := range [][2]string{{"error_code", "error_msg"}, {"code", "message"}} {
		if e.Code == "" && e.Message == "" {
			e.Code, e.Message = clean(text(keys[0]), 100), clean(text(keys[1]), 1024)
		}
	}
	if e.RequestID == "" {
		e.RequestID = clean(text("request_id"), 100)
	}
	if e.EncodedAuthorizationMessage == "" {
		e.EncodedAuthorizationMessage = clean(text("encoded_authorization_message"), 4096)
	}
	if depth == 4 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if nested, ok := object[key].(map[string]any); ok {
			e.fill(nested, redact, depth+1)
		}
	}
}

// clean makes s valid UTF-8 of at most limit bytes without control characters.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // RuneError for what is not UTF-8
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
