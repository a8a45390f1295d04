package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

func replyOf(t *testing.T, status int, header http.Header, body string, secrets ...string) *reply {
	t.Helper()
	return readReply(t.Context(), &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)),
	}, wire.NewSecrets(secrets...))
}

// failureOf is what such an answer means for a write.
func failureOf(t *testing.T, status int, header http.Header, body string) *attempt.Failure {
	t.Helper()
	return replyOf(t, status, header, body).failure(operation{name: "Op", method: http.MethodPost})
}

func TestEveryShapeOfErrorBodyIsRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want Answer
	}{
		"flat": {
			`{"error_code":"IIC.1216","error_msg":"one region","request_id":"r1"}`,
			Answer{Code: "IIC.1216", Message: "one region", RequestID: "r1"},
		},
		"in the order of the gateway": {
			`{"error_msg":"m","error_code":"APIGW.0301","request_id":"r1"}`,
			Answer{Code: "APIGW.0301", Message: "m", RequestID: "r1"},
		},
		"code and message": {`{"code":"PAP5.0012","message":"m"}`, Answer{Code: "PAP5.0012", Message: "m"}},
		"below error": {
			`{"error":{"error_code":"A.1","error_msg":"m"},"request_id":"r2"}`,
			Answer{Code: "A.1", Message: "m", RequestID: "r2"},
		},
		"code and message below error": {
			`{"error":{"code":"A.1","message":"m","request_id":"r3"}}`,
			Answer{Code: "A.1", Message: "m", RequestID: "r3"},
		},
		"error_code goes before code, wherever it stands": {
			`{"code":"B","message":"n","error":{"error_code":"A.1","error_msg":"m"}}`,
			Answer{Code: "A.1", Message: "m"},
		},
		"the top goes before what is below error": {
			`{"code":"A.1","message":"m","error":{"code":"B","message":"n"}}`,
			Answer{Code: "A.1", Message: "m"},
		},
		"a message without a code doesn't hide the code": {
			`{"message":"Bad Request","error":{"code":"A.1","message":"m"}}`,
			Answer{Code: "A.1", Message: "m"},
		},
		"the code is a number": {`{"code":400,"message":"m"}`, Answer{Code: "400", Message: "m"}},
		"the code is a large number": {
			`{"code":12345678901234567890,"message":"m"}`,
			Answer{Code: "12345678901234567890", Message: "m"},
		},
		"a code without a message": {`{"error_code":"A.1"}`, Answer{Code: "A.1"}},
		"a message without a code": {`{"error_msg":"m"}`, Answer{Message: "m"}},
		"the code is an object":    {`{"error_code":{"x":1},"error_msg":"m"}`, Answer{Message: "m"}},
		"error is a text":          {`{"error":"gone","error_code":"A.1"}`, Answer{Code: "A.1"}},
		"a byte order mark":        {"\ufeff" + `{"error_code":"A.1"}`, Answer{Code: "A.1"}},
		"not UTF-8": {
			"{\"error_code\":\"A.1\",\"error_msg\":\"a\xff\xfeb\"}", Answer{Code: "A.1", Message: "a\ufffd\ufffdb"},
		},
		"control characters": {
			`{"error_code":"A.1","error_msg":"a\r\n\u0000b"}`, Answer{Code: "A.1", Message: "a   b"},
		},
		"an object of nothing":   {`{}`, Answer{}},
		"below something else":   {`{"meta":{"code":"A.1","message":"m"}}`, Answer{}},
		"two levels below error": {`{"error":{"error":{"code":"A.1"}}}`, Answer{}},
		"keys in another case":   {`{"Error_Code":"A.1","CODE":"B"}`, Answer{}},
		"HTML": {
			"<html>secret</html>", Answer{Message: "Bad Gateway, without a JSON object (19 bytes of no type)"},
		},
		"nothing":  {"", Answer{Message: "Bad Gateway, without a JSON object (0 bytes of no type)"}},
		"an array": {`[1]`, Answer{Message: "Bad Gateway, without a JSON object (3 bytes of no type)"}},
		"null":     {`null`, Answer{Message: "Bad Gateway, without a JSON object (4 bytes of no type)"}},
		"half an object": {
			`{"error_code":"A`, Answer{Message: "Bad Gateway, without a JSON object (16 bytes of no type)"},
		},
		"an object and something on": {
			`{"error_code":"A"}x`, Answer{Message: "Bad Gateway, without a JSON object (19 bytes of no type)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := replyOf(t, 502, http.Header{}, c.body)
			c.want.Status = 502
			assert.Equal(t, c.want, r.Answer)
			assert.NotContains(t, r.failure(operation{name: "Op"}).Error(), "secret")
		})
	}
}

func TestASuccessHoldsAnErrorOnlyAtItsTop(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		`{"error_code":"IIC.1216","error_msg":"one region"}`:       "IIC.1216",
		`{"error_code":1216,"error_msg":"one region"}`:             "1216",
		`{"regions":[],"meta":{"code":"200","message":"ok"}}`:      "",
		`{"code":"0","message":"ok","error":{"error_code":"A.1"}}`: "",
		`{"error_code":"","error_msg":""}`:                         "",
		`{"error_code":" \n","code":"A.1"}`:                        "",
		`{"error_code":null}`:                                      "",
		`<html>`:                                                   "",
		``:                                                         "",

		`{"account":{"error_code":"A.1","code":"A.1","message":"m"}}`: "",
	} {
		failure := failureOf(t, 200, http.Header{}, body)
		if code == "" {
			assert.Nil(t, failure, body)
			continue
		}
		require.NotNil(t, failure, body)
		assert.EqualError(t, failure, "Op: status 200 "+code+" one region")
	}
}

func TestOfAMemberThatCantBeReadNothingIsTaken(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"account":{"id":"a","status":5}}`: "a JSON number doesn't belong at account.status",
		`{"account":[]}`:                    "a JSON array doesn't belong at account",
		`{"account":{"id":"a"}}`:            "",
		`{"Account":{"id":"a"}}`:            "",
		`{"account":null}`:                  "",
	} {
		got, err := member[Account](parse([]byte(body)), "account")
		if want != "" {
			require.EqualError(t, err, want, body)
			assert.Zero(t, got, body)
			continue
		}
		require.NoError(t, err, body)
		assert.Equal(t, strings.Contains(body, `"account":{`), got.ID == "a", body)
	}
}

func TestWordsHaveTheirForms(t *testing.T) {
	t.Parallel()
	id, region := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`), regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	service := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*\.[0-9]+$`)
	for _, word := range []string{
		"", "a", "Z9_-", "az-09", "a.b", "a b", "ä", "a\n", "\x00", "@", "[", "`", "{", "/", ":",
		strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a-", 40) + "a",
		"-", "a-", "-a", "a--b", "a-b-c", "A-b", "a-B", "a_b-c", "cn-north-4", "cn-north-4 ",
		"IIC.1216", "IIC.", ".1", "9.1", "I9.1", "i.1a", "a.1.1", "I-C.1", "IIC.1216\n",
	} {
		assert.Equal(t, id.MatchString(word), credible(word, wire.Secrets{}), word)
		assert.Equal(t, region.MatchString(word), isRegion(word), word)
		assert.Equal(t, service.MatchString(word), namesService(word), word)
	}
	assert.False(t, credible("SKexample", wire.NewSecrets("SKexample")))
}

func TestTheRequestIDOfTheHeaderComesFirst(t *testing.T) {
	t.Parallel()
	failure := failureOf(t, 400, http.Header{"X-Request-Id": {"header"}}, `{"error_code":"A.1","request_id":"body"}`)
	assert.EqualError(t, failure, "Op: status 400 A.1 (request header)")
}

func TestA404WithoutACodeSaysThatTheEndpointMayBeWrong(t *testing.T) {
	t.Parallel()
	failure := failureOf(t, 404, http.Header{"Content-Type": {"text/html"}}, `<html>`)
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(failure))
	assert.EqualError(t, failure, "Op: status 404 Not Found, without a JSON object (6 bytes of text/html) "+
		"(not an answer of this API: is its endpoint right?)")
}

func TestACodeThatNamesNoServiceIsShownAndNotBelieved(t *testing.T) {
	t.Parallel()
	for status, c := range map[int]struct {
		body, text string
		kind       attempt.Kind
	}{
		404: {
			`{"code":404,"message":"no Route matched"}`,
			"404 no Route matched (not an answer of this API: is its endpoint right?)", attempt.Misconfigured,
		},
		400: {`{"code":"BadRequest"}`, "BadRequest", attempt.Transient},
		409: {`{"error":{"code":"Conflict","message":"m"}}`, "Conflict m", attempt.Transient},
	} {
		failure := failureOf(t, status, http.Header{}, c.body)
		require.EqualError(t, failure, fmt.Sprintf("Op: status %d %s", status, c.text))
		assert.Equal(t, c.kind, attempt.KindOf(failure))
	}
}

func TestARedirectSaysThatTheEndpointMayBeWrong(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 307, 308} {
		failure := failureOf(t, status, http.Header{}, `{}`)
		require.EqualError(t, failure,
			fmt.Sprintf("Op: status %d (a redirect, not an answer of this API: is its endpoint right?)", status))
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(failure))
	}
}

func TestLongTextsAreCutAtACharacter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 5000)
	header := http.Header{"X-Request-Id": {long}, "Content-Type": {long}}
	r := replyOf(t, 403, header,
		`{"error_code":"`+long+`","error_msg":"`+long+`","encoded_authorization_message":"`+long+`"}`)
	for text, limit := range map[string]int{r.Code: 100, r.Message: 1024, r.RequestID: 100, r.encoded: 4096} {
		assert.LessOrEqual(t, len(text), limit)
		assert.Greater(t, len(text), limit-5)
		assert.True(t, utf8.ValidString(text))
	}
	assert.Less(t, len(replyOf(t, 403, header, "").Message), 200)
}

func TestWhatAServerQuotesOfTheCredentialsIsRedactedWhereverItStands(t *testing.T) {
	t.Parallel()
	const secret = "SKexample+/00=="
	for name, form := range map[string]string{
		"plain": secret, "base64": "U0tleGFtcGxlKy8wMD09", "in a URL": "SKexample%2B%2F00%3D%3D",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"X-Request-Id": {form}, "Content-Type": {form}, "Date": {form}, "Retry-After": {form}}
			for _, body := range []string{
				"<html>" + form,
				`{"error_code":"` + form + `","error_msg":"` + form +
					`","encoded_authorization_message":"` + form + `"}`,
				`{"error":{"code":"` + form + `","message":"` + form + `"},"request_id":"` + form + `"}`,
			} {
				for _, status := range []int{200, 401, 503} {
					r := replyOf(t, status, header, body, secret)
					if failure := r.failure(operation{name: "Op"}); failure != nil {
						assert.NotContains(t, failure.Error(), form)
						assert.Contains(t, failure.Error(), "[redacted]")
					}
					assert.NotContains(t, fmt.Sprint(r.Answer), form)
					assert.NotContains(t, r.encoded, form)
				}
			}
		})
	}
}

func TestAFailureKnowsWhatTheNextAttemptNeedsToKnow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status    int
		header    http.Header
		throttled bool
		after     time.Duration
	}{
		"a quota that is used up":            {429, nil, true, 0},
		"a quota that says for how long":     {429, http.Header{"Retry-After": {"60"}}, true, time.Minute},
		"a server that asks to wait":         {503, http.Header{"Retry-After": {"7"}}, false, 7 * time.Second},
		"a server that is down":              {500, nil, false, 0},
		"a success that holds an error code": {200, nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failure := failureOf(t, c.status, c.header, `{"error_code":"A.1"}`)
			assert.True(t, failure.Answered)
			assert.Equal(t, c.throttled, failure.Throttled)
			assert.Equal(t, c.after, failure.RetryAfter)
		})
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		`{"error_code":"IIC.1216","error_msg":"one region","request_id":"r1"}`, `{"error":{"code":7,"message":"m"}}`,
		`<html></html>`, ``, "\xff\xfe", `{"code":1e400}`,
		`{"error_code":null,"error_msg":["x"]}`, `{"error":{"error":{"code":"x"}}}`,
		`{"error_msg":"SKexample"}`, "\ufeff{}", `{"code":"BadRequest"}`,
		`{"error":{"error_code":null,"message":"\u001b[31m\u2028"}}`, `{"error_code":"IIC.1","error_code":"IIC.2"}`,
		strings.Repeat(`{"error":`, 50), `{"error_code":"IIC.1","encoded_authorization_message":5}`,
	} {
		f.Add(400, "application/json", "3", []byte(body))
	}
	const secret = "SKexample"
	f.Fuzz(func(t *testing.T, status int, contentType, after string, body []byte) {
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {after}}
		r := replyOf(t, status, header, string(body), secret)
		if len(r.Message) > 1024 || len(r.Code) > 100 || len(r.RequestID) > 100 || len(r.encoded) > 4096 {
			t.Errorf("too long: %+v", r.Answer)
		}
		failure := r.failure(operation{name: "Op"})
		if failure == nil {
			if status/100 != 2 || r.Code != "" {
				t.Error("taken for a success")
			}
			return
		}
		text := failure.Error()
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00") || len(text) > 2048 ||
			strings.Contains(text, secret) {
			t.Errorf("unfit for a log: %q", text)
		}
		kind := attempt.KindOf(failure)
		if !slices.Contains([]attempt.Kind{attempt.Transient, attempt.Misconfigured, attempt.Refused}, kind) {
			t.Errorf("of kind %q", kind)
		}
		if kind == attempt.Refused && !namesService(r.Code) {
			t.Error("refused without a code of a service")
		}
		if e, ok := errors.AsType[*APIError](failure); !ok || e.Status != status || e.Operation != "Op" {
			t.Errorf("another error: %+v", e)
		}
		if failure.RetryAfter != 0 && failure.RetryAfter < time.Second {
			t.Errorf("RetryAfter %s", failure.RetryAfter)
		}
	})
}
