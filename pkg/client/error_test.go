package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readErrorOf(status int, header http.Header, body string) *APIError {
	e := &APIError{Operation: "Op", Answer: Answer{Status: status, RequestID: header.Get("X-Request-Id")}}
	e.readError(&http.Response{StatusCode: status, Header: header}, []byte(body), func(s string) string { return s })
	return e
}

func TestEveryShapeOfErrorBodyIsRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		body string
		want Answer
	}{
		"flat":                      {`{"error_code":"IIC.1216","error_msg":"one region","request_id":"r1"}`, Answer{Code: "IIC.1216", Message: "one region", RequestID: "r1"}},
		"gateway order":             {`{"error_msg":"m","error_code":"APIGW.0301","request_id":"r1"}`, Answer{Code: "APIGW.0301", Message: "m", RequestID: "r1"}},
		"code and message":          {`{"code":"PAP5.0012","message":"m"}`, Answer{Code: "PAP5.0012", Message: "m"}},
		"nested":                    {`{"error":{"error_code":"A.1","error_msg":"m"},"request_id":"r2"}`, Answer{Code: "A.1", Message: "m", RequestID: "r2"}},
		"nested twice":              {`{"a":{"error":{"code":"A.1","message":"m","request_id":"r3"}}}`, Answer{Code: "A.1", Message: "m", RequestID: "r3"}},
		"code as a number":          {`{"code":400,"message":"m"}`, Answer{Code: "400", Message: "m"}},
		"large number, unrounded":   {`{"code":12345678901234567890,"message":"m"}`, Answer{Code: "12345678901234567890", Message: "m"}},
		"code without message":      {`{"error_code":"A.1"}`, Answer{Code: "A.1"}},
		"message without code":      {`{"error_msg":"m"}`, Answer{Message: "m"}},
		"first pair wins":           {`{"error_code":"A.1","error_msg":"m","code":"B","message":"n"}`, Answer{Code: "A.1", Message: "m"}},
		"code that is an object":    {`{"error_code":{"x":1},"error_msg":"m"}`, Answer{Message: "m"}},
		"HTML":                      {"<html>secret</html>", Answer{Message: "Bad Gateway, without a JSON object (19 bytes of no type)"}},
		"empty":                     {"", Answer{Message: "Bad Gateway, without a JSON object (0 bytes of no type)"}},
		"array":                     {`[1]`, Answer{Message: "Bad Gateway, without a JSON object (3 bytes of no type)"}},
		"truncated":                 {`{"error_code":"A`, Answer{Message: "Bad Gateway, without a JSON object (16 bytes of no type)"}},
		"not UTF-8":                 {"{\"error_code\":\"A.1\",\"error_msg\":\"a\xff\xfeb\"}", Answer{Code: "A.1", Message: "a\ufffd\ufffdb"}},
		"control characters":        {`{"error_code":"A.1","error_msg":"a\r\n\u0000b"}`, Answer{Code: "A.1", Message: "a   b"}},
		"an object of nothing":      {`{}`, Answer{}},
		"nested deeper than looked": {strings.Repeat(`{"a":`, 9) + `{"code":"A.1"}` + strings.Repeat(`}`, 9), Answer{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := readErrorOf(502, http.Header{}, c.body)
			c.want.Status = 502
			assert.Equal(t, c.want, e.Answer)
			assert.NotContains(t, e.Error(), "secret")
		})
	}
}

func TestTheRequestIDOfTheHeaderComesFirst(t *testing.T) {
	t.Parallel()
	e := readErrorOf(400, http.Header{"X-Request-Id": {"header"}}, `{"error_code":"A.1","request_id":"body"}`)
	assert.Equal(t, "header", e.RequestID)
	assert.Equal(t, "Op: status 400 A.1 (request header)", e.Error())
}

func TestLongTextsAreCutAtACharacter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 5000)
	e := readErrorOf(403, http.Header{}, `{"error_code":"`+long+`","error_msg":"`+long+`","encoded_authorization_message":"`+long+`"}`)
	assert.LessOrEqual(t, len(e.Code), 100)
	assert.LessOrEqual(t, len(e.Message), 1024)
	assert.Greater(t, len(e.Message), 1000)
	assert.LessOrEqual(t, len(e.EncodedAuthorizationMessage), 4096)
	assert.Greater(t, len(e.EncodedAuthorizationMessage), 4000)
	assert.True(t, utf8.ValidString(e.Message))
}

func TestTheTableOfKinds(t *testing.T) {
	t.Parallel()
	table := map[error]string{
		ErrTransient: `408 429 500 501 502 503 504 599
			409+IIC.1006 409+IIC.1007 409+IdentityCenter.1006 409+Organizations.1003
			400+Organizations.1004 400+Organizations.1006 400+IIC.1219 403+IIC.1219 403+IdentityCenter.1219
			502+APIGW.0201 504+APIGW.0201 429+APIGW.0308`,
		ErrMisconfigured: `301 302 307 401 401+APIGW.0301 401+Organizations.1001 401+IIC.1219 403 403+IIC.1000 403+Organizations.1007 403+APIGW.0302
			404+APIGW.0101 404+APIGW.0103 404+Organizations.1010 405 413 414 413+APIGW.0201
			400+IIC.1215 400+IIC.1263 400+Organizations.1005 400+Organizations.1008 400+Organizations.1009 400+Organizations.1011
			400+Organizations.1012 400+Organizations.1305 400+IdentityCenter.1215`,
		ErrRefused: `400 404 409 422 400+IIC.400 404+IIC.404 404+IIC.1254 409+IIC.1216 409+IIC.1257 400+APIGW.0201 400+Organizations.1500 400+Organizations.1900
			409+Organizations.1004 404+Organizations.1003 400+Organizations.1003 404+IIC.1006 400+Organizations.1010 410 415 494`,
	}
	for kind, answers := range table {
		for answer := range strings.FieldsSeq(answers) {
			var status int
			number, code, _ := strings.Cut(answer, "+")
			_, err := fmt.Sscan(number, &status)
			require.NoError(t, err)
			e := &APIError{Answer: Answer{Status: status, Code: code}}
			for _, other := range []error{ErrTransient, ErrMisconfigured, ErrRefused} {
				assert.Equal(t, errors.Is(kind, other), errors.Is(e, other), "%s: %v", answer, other)
			}
			assert.Equal(t, errors.Is(kind, ErrRefused), Refusal(fmt.Errorf("wrapped: %w", e)) != nil, answer)
		}
	}
}

func TestWithoutAnAnswerOnlyAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, &APIError{Err: errors.New("connection reset")}, ErrTransient)
	require.ErrorIs(t, &APIError{Answer: Answer{Status: 200}, Err: errors.New("unexpected end of JSON input")}, ErrTransient)
	require.ErrorIs(t, &APIError{Err: fmt.Errorf("tls: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})}, ErrMisconfigured)
	assert.Nil(t, Refusal(errors.New("something else")))
	assert.Nil(t, Refusal(nil))
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const now = "Fri, 02 Jan 2026 03:04:05 GMT" // by the server's clock
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "1.5": 0, "99999999999999": (1<<31 - 1) * time.Second,
		"0": time.Second, "1": time.Second, "7": 7 * time.Second, "3600": time.Hour,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": time.Second,
	} {
		assert.Equal(t, want, RetryAfter(http.Header{"Retry-After": {header}, "Date": {now}}), "%q", header)
	}
	soon := time.Now().Add(10 * time.Second).UTC().Format(http.TimeFormat)
	assert.InDelta(t, 10, RetryAfter(http.Header{"Retry-After": {soon}}).Seconds(), 2, "without a server's clock, by ours")
}

func TestWaitsGrowWithFullJitterUpToTheirCap(t *testing.T) {
	t.Parallel()
	e := &APIError{Answer: Answer{Status: 503}}
	for retries, limit := range map[int]time.Duration{
		1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 3: 800 * time.Millisecond, 7: 12800 * time.Millisecond, 8: 20 * time.Second, 99: 20 * time.Second,
	} {
		var longest time.Duration
		for range 1000 {
			wait, worthIt := e.wait(retries)
			require.True(t, worthIt)
			require.Less(t, wait, limit)
			longest = max(longest, wait)
		}
		assert.Greater(t, longest, limit/2)
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		`{"error_code":"IIC.1216","error_msg":"one region","request_id":"r1"}`, `{"error":{"code":7,"message":"m"}}`,
		`<html></html>`, ``, "\xff\xfe", `{"code":1e400}`, `{"error_code":null,"error_msg":["x"]}`, `{"a":{"b":{"c":{"d":{"e":{"code":"x"}}}}}}`,
	} {
		f.Add(400, "application/json", "3", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, contentType, after string, body []byte) {
		e := readErrorOf(status, http.Header{"Content-Type": {contentType}, "Retry-After": {after}}, string(body))
		text := e.Error()
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00") || len(text) > 2048 {
			t.Errorf("unfit for a log: %q", text)
		}
		if len(e.Message) > 1024 || len(e.Code) > 100 || len(e.RequestID) > 100 || len(e.EncodedAuthorizationMessage) > 4096 {
			t.Errorf("too long: %+v", e)
		}
		kinds := 0
		for _, kind := range []error{ErrTransient, ErrMisconfigured, ErrRefused} {
			if errors.Is(e, kind) {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("of %d kinds", kinds)
		}
		if e.RetryAfter != 0 && e.RetryAfter < time.Second {
			t.Errorf("RetryAfter %s", e.RetryAfter)
		}
	})
}
