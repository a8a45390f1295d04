package aws

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
)

func ask(audience ...string) *sts.GetWebIdentityTokenInput {
	return &sts.GetWebIdentityTokenInput{
		Audience: audience, SigningAlgorithm: new("RS256"), DurationSeconds: new(int32(300)),
	}
}

// parts are the header and the claims of a token.
func parts(t *testing.T, token string) (header, claims string) {
	t.Helper()
	split := strings.Split(token, ".")
	require.Len(t, split, 3)
	var decoded []string
	for _, part := range split {
		b, err := base64.RawURLEncoding.DecodeString(part)
		require.NoError(t, err)
		decoded = append(decoded, string(b))
	}
	assert.Contains(t, decoded[2], "constructed")
	return decoded[0], decoded[1]
}

func TestSTSIssuesTokens(t *testing.T) {
	t.Parallel()
	service := new(awstest.STS)
	at := time.Date(2026, 1, 2, 11, 4, 5, 678, time.FixedZone("", 8*3600))
	service.SetClock(func() time.Time { return at })
	c := load(service)
	c.Region = "eu-central-1"
	client := sts.NewFromConfig(c)

	out, err := client.GetWebIdentityToken(t.Context(), ask("https://huawei.example"))
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 1, 2, 3, 9, 5, 0, time.UTC), *out.Expiration)
	header, claims := parts(t, *out.WebIdentityToken)
	assert.JSONEq(t, `{"alg":"RS256","kid":"constructed","typ":"JWT"}`, header)
	assert.JSONEq(t, `{"iss":"`+awstest.Issuer+`","aud":"https://huawei.example","sub":"`+awstest.Role+`",
		"iat":1767323045,"exp":1767323345,
		"https://sts.amazonaws.com/":{"aws_account":"123456789012","source_region":"eu-central-1"}}`, claims)

	service.SetRole("arn:aws:iam::123456789012:role/another")
	service.SetClock(nil)
	several := ask("a", "b&c")
	several.SigningAlgorithm, several.DurationSeconds = new("ES384"), nil
	out, err = client.GetWebIdentityToken(t.Context(), several)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(5*time.Minute), *out.Expiration, time.Minute)
	header, claims = parts(t, *out.WebIdentityToken)
	assert.Contains(t, header, "ES384")
	var read map[string]any
	require.NoError(t, json.Unmarshal([]byte(claims), &read))
	assert.Equal(t, []any{"a", "b&c"}, read["aud"])
	assert.Equal(t, "arn:aws:iam::123456789012:role/another", read["sub"])

	tokens := service.Tokens()
	require.Len(t, tokens, 2)
	assert.Equal(t, *out.WebIdentityToken, tokens[1])
	assert.Equal(t, 2, service.Attempts())
	one, another := awstest.Token("RS256", nil), awstest.Token("RS256", nil)
	assert.NotEqual(t, one, another)
}

func TestSTSRefusesWhatAWSWouldRefuse(t *testing.T) {
	t.Parallel()
	replace := func(old, replacement string) func(*http.Request, string) string {
		return func(_ *http.Request, body string) string { return strings.ReplaceAll(body, old, replacement) }
	}
	add := func(more string) func(*http.Request, string) string {
		return func(_ *http.Request, body string) string { return body + more }
	}
	request := func(change func(*http.Request)) func(*http.Request, string) string {
		return func(r *http.Request, body string) string {
			change(r)
			return body
		}
	}
	for name, c := range map[string]struct {
		change func(r *http.Request, body string) string
		want   string // the code that it is refused with; empty if it is answered
	}{
		"nothing is wrong":      {add(""), ""},
		"the shortest lifetime": {replace("Seconds=300", "Seconds=60"), ""},
		"the longest lifetime":  {replace("Seconds=300", "Seconds=3600"), ""},
		"a loopback address":    {request(func(r *http.Request) { r.Host = "127.0.0.1:8080" }), ""},
		"not signed": {
			request(func(r *http.Request) { r.Header.Del("Authorization") }), "MissingAuthenticationToken",
		},
		"signed for another service": {
			request(func(r *http.Request) {
				signature := strings.Replace(r.Header.Get("Authorization"), "/sts/", "/secretsmanager/", 1)
				r.Header.Set("Authorization", signature)
			}),
			"MissingAuthenticationToken",
		},
		"a host in another region": {
			request(func(r *http.Request) { r.Host = "sts.eu-west-1.amazonaws.com" }), "SignatureDoesNotMatch",
		},
		"the global endpoint": {
			request(func(r *http.Request) { r.Host = "sts.amazonaws.com" }), "SignatureDoesNotMatch",
		},
		"another method":   {request(func(r *http.Request) { r.Method = http.MethodGet }), "InvalidAction"},
		"another path":     {request(func(r *http.Request) { r.URL.Path = "/token" }), "InvalidAction"},
		"another action":   {replace("=GetWebIdentityToken", "=GetCallerIdentity"), "InvalidAction"},
		"another version":  {replace("2011-06-15", "2011-06-16"), "InvalidAction"},
		"a malformed body": {add("&%zz=1"), "InvalidAction"},
		"another media type": {
			request(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), "InvalidAction",
		},
		"no audience":         {replace("&Audience.member.1=a", ""), "ValidationError"},
		"a gap":               {add("&Audience.member.3=c"), "ValidationError"},
		"too many audiences":  {add(members(2, 11)), "ValidationError"},
		"as many as may be":   {add(members(2, 10)), ""},
		"another algorithm":   {replace("RS256", "HS256"), "ValidationError"},
		"no algorithm":        {replace("SigningAlgorithm=RS256", "SigningAlgorithm="), "ValidationError"},
		"too short a life":    {replace("Seconds=300", "Seconds=59"), "ValidationError"},
		"too long a life":     {replace("Seconds=300", "Seconds=3601"), "ValidationError"},
		"a life of words":     {replace("Seconds=300", "Seconds=5m"), "ValidationError"},
		"an unknown argument": {add("&Policy=x"), "ValidationError"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := new(signed)
			_, err := sts.NewFromConfig(load(sent)).GetWebIdentityToken(t.Context(), ask("a"))
			require.ErrorContains(t, err, "ValidationException")
			r := sent.request.Clone(context.WithoutCancel(t.Context()))
			r.Body = io.NopCloser(strings.NewReader(c.change(r, string(sent.body))))

			service := new(awstest.STS)
			w := httptest.NewRecorder()
			service.ServeHTTP(w, r)
			if c.want == "" {
				assert.Contains(t, w.Body.String(), "<WebIdentityToken>")
				assert.Len(t, service.Tokens(), 1)
				return
			}
			assert.Contains(t, w.Body.String(), c.want)
			assert.Empty(t, service.Tokens())
			assert.Zero(t, service.Attempts())
		})
	}
}

// members are arguments for further audiences.
func members(from, to int) string {
	var more strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintf(&more, "&Audience.member.%d=a", n)
	}
	return more.String()
}

func TestSTSFollowsItsScript(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
		code   string // "" for an answer that can't be read
	}{
		"disabled": {
			awstest.Refuse(400, "OutboundWebIdentityFederationDisabledException"), 400,
			"OutboundWebIdentityFederationDisabledException",
		},
		"disabled, as its page calls it": {
			awstest.Refuse(400, "OutboundWebIdentityFederationDisabled"), 400, "OutboundWebIdentityFederationDisabled",
		},
		"denied":           {awstest.Refuse(403, "AccessDenied"), 403, "AccessDenied"},
		"throttled":        {awstest.Refuse(400, "Throttling"), 400, "Throttling"},
		"expired":          {awstest.Refuse(403, "ExpiredToken"), 403, "ExpiredToken"},
		"unavailable":      {awstest.Refuse(503, "ServiceUnavailable"), 503, "ServiceUnavailable"},
		"its token quoted": {awstest.Echo, 400, awstest.SessionToken},
		"a broken body":    {awstest.Garbage(200, "<GetWebIdentityTokenResponse><GetWeb"), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := new(awstest.STS)
			service.Script(c.answer)
			client := sts.NewFromConfig(load(service))

			_, err := client.GetWebIdentityToken(t.Context(), ask("a"))
			require.Error(t, err)
			api, isAPI := errors.AsType[smithy.APIError](err)
			require.Equal(t, c.code != "", isAPI, "%v", err)
			if isAPI {
				assert.Equal(t, c.code, api.ErrorCode())
				response, ok := errors.AsType[interface {
					error
					HTTPStatusCode() int
				}](err)
				require.True(t, ok)
				assert.Equal(t, c.status, response.HTTPStatusCode())
			}
			_, typed := errors.AsType[*types.OutboundWebIdentityFederationDisabledException](err)
			assert.Equal(t, strings.HasSuffix(c.code, "DisabledException"), typed)
			assert.Empty(t, service.Tokens())
			assert.Equal(t, 1, service.Attempts())

			service.Script()
			_, err = client.GetWebIdentityToken(t.Context(), ask("a"))
			require.NoError(t, err)
			assert.Equal(t, 2, service.Attempts())
		})
	}
}
