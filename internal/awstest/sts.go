package awstest

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Issuer is the iss of the tokens of [STS].
const Issuer = "https://6f6ee5f9-0a5d-4c3b-8b1a-000000000000.tokens.sts.global.api.aws"

// Role is the sub of the tokens of an [STS] that wasn't given another.
const Role = "arn:aws:iam::123456789012:role/registrar"

// STS is a fake AWS STS, as far as GetWebIdentityToken needs it. The zero STS issues tokens for
// [Role]. They are constructed: nobody's key signed them. An aud of one audience is a text, which
// is assumed, as are the codes for malformed requests. It is safe for concurrent use.
type STS struct {
	script
	clock    func() time.Time
	role     string
	attempts int
	tokens   []string
}

// SetClock sets the clock by which tokens are issued; nil is [time.Now].
func (s *STS) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

// SetRole sets the ARN of the role that calls; "" is [Role].
func (s *STS) SetRole(arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role = arn
}

// Attempts returns how many signed and valid requests there were so far, whatever their answer.
func (s *STS) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Tokens returns the tokens that were issued so far.
func (s *STS) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tokens)
}

func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	region := signedFor(r, "sts", "host")
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	switch {
	case region == "":
		Refuse(http.StatusForbidden, "MissingAuthenticationToken")(w, r)
		return
	case !serves("sts", r.Host, region): // the global endpoint doesn't have it either
		Refuse(http.StatusForbidden, "SignatureDoesNotMatch")(w, r)
		return
	case r.Method+" "+r.URL.Path != "POST /", !isQuery(r), err != nil,
		form.Get("Action") != "GetWebIdentityToken", form.Get("Version") != "2011-06-15":
		Refuse(http.StatusBadRequest, "InvalidAction")(w, r)
		return
	}
	asked, ok := readTokenRequest(form)
	if !ok {
		Refuse(http.StatusBadRequest, "ValidationError")(w, r)
		return
	}

	s.mu.Lock()
	s.attempts++
	now := time.Now
	if s.clock != nil {
		now = s.clock
	}
	issued := now().UTC()
	expires := issued.Add(asked.lifetime)
	answer, token := s.next(), ""
	if answer == nil {
		token = Token(asked.algorithm, map[string]any{
			"iss": Issuer, "aud": asked.audience, "sub": cmp.Or(s.role, Role),
			"iat": issued.Unix(), "exp": expires.Unix(),
			"https://sts.amazonaws.com/": map[string]string{"aws_account": "123456789012", "source_region": region},
		})
		s.tokens = append(s.tokens, token)
	}
	s.mu.Unlock()

	if answer != nil {
		answer(w, r)
		return
	}
	type result struct{ WebIdentityToken, Expiration string }
	replyXML(w, http.StatusOK, struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetWebIdentityTokenResponse"`
		Result  result   `xml:"GetWebIdentityTokenResult"`
		ID      string   `xml:"ResponseMetadata>RequestId"`
	}{Result: result{token, expires.Format(time.RFC3339)}, ID: RequestID})
}

// Token is a constructed JWT with the claims. No two of them are the same.
func Token(algorithm string, claims map[string]any) string {
	header, _ := json.Marshal(map[string]string{"alg": algorithm, "kid": "constructed", "typ": "JWT"})
	payload, _ := json.Marshal(claims) // whatever tests claim can be encoded
	signature := "a constructed signature, which nobody verifies: " + rand.Text()
	var parts []string
	for _, part := range [][]byte{header, payload, []byte(signature)} {
		parts = append(parts, base64.RawURLEncoding.EncodeToString(part))
	}
	return strings.Join(parts, ".")
}

type tokenRequest struct {
	audience  any // a text, or a list of them
	algorithm string
	lifetime  time.Duration
}

// readTokenRequest returns what a token is asked for, or false if AWS would refuse it. The fake
// doesn't know tags.
func readTokenRequest(form url.Values) (tokenRequest, bool) {
	var audience []string
	for n := 1; ; n++ {
		name := fmt.Sprintf("Audience.member.%d", n)
		if form.Get(name) == "" {
			break
		}
		audience = append(audience, form.Get(name))
		form.Del(name)
	}
	seconds, err := strconv.Atoi(cmp.Or(form.Get("DurationSeconds"), "300"))
	asked := tokenRequest{
		audience: audience, algorithm: form.Get("SigningAlgorithm"), lifetime: time.Duration(seconds) * time.Second,
	}
	if len(audience) == 1 {
		asked.audience = audience[0]
	}
	for _, name := range []string{"Action", "Version", "SigningAlgorithm", "DurationSeconds"} {
		form.Del(name)
	}
	return asked, err == nil && 60 <= seconds && seconds <= 3600 && 1 <= len(audience) && len(audience) <= 10 &&
		(asked.algorithm == "RS256" || asked.algorithm == "ES384") && len(form) == 0
}

// isQuery reports whether a request is of the query protocol, which is answered in XML.
func isQuery(r *http.Request) bool {
	return r.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
}

// failure is an error of the query protocol.
func failure(code, message, requestID string) any {
	return struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Type    string   `xml:"Error>Type"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
		ID      string   `xml:"RequestId"`
	}{Type: "Sender", Code: code, Message: message, ID: requestID}
}

func replyXML(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-RequestId", RequestID)
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(body)
}
