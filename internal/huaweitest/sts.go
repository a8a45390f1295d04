package huaweitest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Trust is the trust policy of an agency for an OIDC provider. The claims iss, aud and sub of a
// token must equal it (StringEquals); sub is one of the Subjects.
type Trust struct {
	Issuer   string
	Audience string
	Subjects []string
}

type relation struct{ provider, agency string }

// TrustOIDC makes an OIDC provider and an agency known, both by their URNs, and lets the agency
// trust the provider so. The trust policy before, if there was one, is replaced.
func (c *Cloud) TrustOIDC(provider, agency string, trust Trust) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusts[relation{provider, agency}] = trust
}

// AllowAssume makes an agency known by its URN, and lets the access key assume it.
func (c *Cloud) AllowAssume(accessKey, agency string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assumable[accessKey] = append(c.assumable[accessKey], agency)
}

// Absent is what a form of expiration returns to leave the field out.
type Absent struct{}

// SetExpiration sets the form in which STS tells when temporary credentials expire, whenever they
// do: form returns what is encoded as JSON, or [Absent]. nil is a string of RFC 3339 in UTC.
func (c *Cloud) SetExpiration(form func(time.Time) any) {
	if form == nil {
		form = func(t time.Time) any { return timestamp(t) }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expiration = form
}

// Session is what temporary credentials were issued for. Its Credentials have an Expires.
type Session struct {
	Credentials
	Issued time.Time
	Agency string // its URN; "" for those of IssueTemporary
	Name   string // agency_session_name
	Policy string // the session policy as it was sent, "" for none
}

// IssueTemporary issues temporary credentials without a request, as FunctionGraph gets those of a
// function's agency. They may do everything.
func (c *Cloud) IssueTemporary(lifetime time.Duration) Credentials {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.issue(Session{Issued: now}, lifetime)
}

// Issued returns all temporary credentials in the order in which they were issued, expired and
// revoked ones included.
func (c *Cloud) Issued() []Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.issued)
}

// issue makes credentials known that look like real ones. The lock is held.
func (c *Cloud) issue(s Session, lifetime time.Duration) Credentials {
	s.Credentials = Credentials{
		AccessKey: "HST" + rand.Text()[:17],
		SecretKey: rand.Text() + rand.Text()[:14],
		// It has what a client may forget to escape.
		SecurityToken: base64.StdEncoding.EncodeToString([]byte("\xfb\xff constructed " + rand.Text())),
		Expires:       s.Issued.Add(lifetime).UTC().Truncate(time.Second),
	}
	c.credentials[s.AccessKey] = s.Credentials
	c.issued = append(c.issued, s)
	return s.Credentials
}

func (c *Cloud) assumeAgencyWithOIDC(q call) reply {
	body, err := exchanged(
		q, "provider_urn agency_urn agency_session_name id_token", "duration_seconds policy policy_ids",
	)
	if err != nil {
		return because(c.unpublished.InvalidExchange, err)
	}
	provider, agency := body.text("provider_urn"), body.text("agency_urn")
	token, err := readToken(body.text("id_token"))
	known := false
	for r := range c.trusts {
		known = known || r.provider == provider
	}
	trust := c.trusts[relation{provider, agency}]
	switch {
	case err != nil:
		return because(c.unpublished.InvalidToken, err)
	case float64(q.Time.Unix()) >= token.Expires:
		return reply{Error: c.unpublished.ExpiredToken}
	case !known:
		return reply{Error: c.unpublished.UnknownProvider}
	case !c.knowsAgency(agency):
		return reply{Error: c.unpublished.UnknownAgency}
	case token.Issuer != trust.Issuer, !slices.Contains(token.Audience, trust.Audience),
		!slices.Contains(trust.Subjects, token.Subject):
		return forbid("STS5.1001", "No policy allows sts:agencies:assumeWithOIDC.")
	}
	return c.begin(q, body, map[string]any{
		"audience": trust.Audience, "provider": provider, "subject_from_id_token": token.Subject,
	})
}

func (c *Cloud) assumeAgency(q call) reply {
	body, err := exchanged(
		q, "agency_urn agency_session_name", "duration_seconds policy policy_ids external_id serial_number "+
			"token_code source_identity tags transitive_tag_keys",
	)
	switch {
	case err != nil:
		return because(c.unpublished.InvalidExchange, err)
	case !c.knowsAgency(body.text("agency_urn")):
		return reply{Error: c.unpublished.UnknownAgency}
	case !slices.Contains(c.assumable[q.caller.AccessKey], body.text("agency_urn")):
		return forbid("STS5.1001", "No policy allows sts:agencies:assume.")
	case q.caller.SecurityToken != "" && body.lifetime() > time.Hour:
		return because(
			c.unpublished.InvalidExchange, errors.New("duration_seconds is over 3600 with temporary credentials"),
		)
	}
	return c.begin(q, body, map[string]any{})
}

func (c *Cloud) knowsAgency(urn string) bool {
	for r := range c.trusts {
		if r.agency == urn {
			return true
		}
	}
	for _, agencies := range c.assumable {
		if slices.Contains(agencies, urn) {
			return true
		}
	}
	return false
}

// begin issues the credentials of a session and completes the answer about it.
func (c *Cloud) begin(q call, body exchange, answer map[string]any) reply {
	s := Session{
		Issued: q.Time, Agency: body.text("agency_urn"), Name: body.text("agency_session_name"),
		Policy: body.text("policy"),
	}
	var allowed []string
	if s.Policy != "" {
		var err error
		if allowed, err = readPolicy(s.Policy); err != nil {
			return because(c.unpublished.InvalidExchange, fmt.Errorf("policy: %w", err))
		}
	}
	issued := c.issue(s, body.lifetime())
	if s.Policy != "" {
		c.policies[issued.AccessKey] = allowed
	}

	credentials := map[string]any{
		"access_key_id": issued.AccessKey, "secret_access_key": issued.SecretKey,
		"security_token": issued.SecurityToken, "expiration": c.expiration(issued.Expires),
	}
	if credentials["expiration"] == (Absent{}) {
		delete(credentials, "expiration")
	}
	account, name, _ := strings.Cut(strings.TrimPrefix(s.Agency, "iam::"), ":agency:")
	answer["source_identity"] = body.text("source_identity")
	answer["assumed_agency"] = map[string]string{
		"urn": "sts::" + account + ":assumed-agency:" + name + "/" + s.Name, "id": "fake-" + name + ":" + s.Name,
	}
	answer["credentials"] = credentials
	return success(200, answer)
}

// allows reports whether the session policy of the credentials, if they have one, allows the
// action.
func (c *Cloud) allows(creds Credentials, action string) bool {
	allowed, limited := c.policies[creds.AccessKey]
	return !limited || slices.ContainsFunc(allowed, func(pattern string) bool {
		ok, _ := path.Match(pattern, action) // readPolicy has checked the pattern
		return ok
	})
}

// deny answers that the caller is not allowed an action that the API needs.
func (c *Cloud) deny(rt route, action string) reply {
	switch service, _, _ := strings.Cut(rt.actions, ":"); {
	case c.unpublished.Denied != Error{}:
		return reply{Error: c.unpublished.Denied, encoded: encodedMessage}
	case service == "sts":
		return forbid("STS5.1001", "No policy allows "+action+".")
	case service == "organizations":
		return forbid("Organizations.1007", "The policy does not allow '"+action+"'.")
	case !strings.HasPrefix(rt.actions, action):
		return forbid("IIC.1001", "Access denied: "+action)
	default:
		return forbid("IIC.1000", "No permission for action "+action)
	}
}

// encodedMessage is opaque, as the real one.
const encodedMessage = "constructed+encoded/authorization/message=="

func forbid(code, message string) reply {
	return reply{Error: Error{403, code, message}, encoded: encodedMessage}
}

// exchange is the body of a request to STS, within the bounds of its fields.
type exchange map[string]any

func (e exchange) text(name string) string {
	s, _ := e[name].(string)
	return s
}

func (e exchange) lifetime() time.Duration {
	if seconds, ok := e["duration_seconds"].(float64); ok {
		return time.Duration(seconds) * time.Second
	}
	return time.Hour
}

// exchanged reads a body that must be a JSON object with all the required fields, perhaps some of
// the others, and no more. The names are separated by spaces.
func exchanged(q call, required, others string) (exchange, error) {
	var body exchange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(required) {
		if body[name] == nil {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	names := strings.Fields(required + " " + others)
	for name, value := range body {
		switch {
		case !slices.Contains(names, name):
			return nil, fmt.Errorf("fields other than %s", strings.Join(names, ", "))
		case !bounds()[name](value):
			return nil, fmt.Errorf("%s is not within its bounds", name)
		}
	}
	return body, nil
}

// bounds are what the documents say of each field.
func bounds() map[string]func(any) bool {
	return map[string]func(any) bool{
		"provider_urn":        text(1, 1500),
		"agency_urn":          text(1, 1500),
		"agency_session_name": text(2, 128),
		"id_token":            text(4, 20000),
		"duration_seconds": func(v any) bool {
			seconds, ok := v.(float64)
			return ok && seconds == math.Trunc(seconds) && 900 <= seconds && seconds <= 43200
		},
		"policy":          text(2, 2048),
		"policy_ids":      each(func(any) bool { return false }), // the fake has no policies
		"external_id":     text(2, 1224),
		"serial_number":   text(9, 256),
		"token_code":      text(6, 6),
		"source_identity": text(2, 64),
		"tags": each(func(v any) bool {
			tag, _ := v.(map[string]any)
			return len(tag) == 2 && text(1, 128)(tag["key"]) && text(0, 255)(tag["value"])
		}),
		"transitive_tag_keys": each(text(1, 128)),
	}
}

// text is of so many characters.
func text(least, most int) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		n := utf8.RuneCountInString(s)
		return ok && least <= n && n <= most
	}
}

func each(is func(any) bool) func(any) bool {
	return func(v any) bool {
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(item any) bool { return !is(item) })
	}
}

// claims are those of a token that the fake reads.
type claims struct {
	Issuer   string    `json:"iss"`
	Audience oneOrMore `json:"aud"`
	Subject  string    `json:"sub"`
	Expires  float64   `json:"exp"`
}

// oneOrMore is a text or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, (*[]string)(o))
	}
	*o = oneOrMore{""}
	return json.Unmarshal(b, &(*o)[0])
}

// readToken reads a JWT without verifying its signature.
func readToken(token string) (claims, error) {
	var parts [][]byte
	for part := range strings.SplitSeq(token, ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(decoded) == 0 {
			return claims{}, errors.New("a part is not base64url")
		}
		parts = append(parts, decoded)
	}
	if len(parts) != 3 {
		return claims{}, fmt.Errorf("%d parts, want three", len(parts))
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	var read claims
	switch {
	case json.Unmarshal(parts[0], &header) != nil || header.Algorithm == "" || header.Algorithm == "none":
		return claims{}, errors.New("the header does not say how it is signed")
	case json.Unmarshal(parts[1], &read) != nil:
		return claims{}, errors.New("the claims are not an object with iss, aud, sub and exp")
	case read.Issuer == "" || len(read.Audience) == 0 || read.Subject == "" || read.Expires == 0:
		return claims{}, errors.New("iss, aud, sub or exp is missing")
	}
	return read, nil
}

// readPolicy returns the actions that a session policy allows.
func readPolicy(policy string) ([]string, error) {
	var p struct {
		Version   string
		Statement []struct {
			Sid       string
			Effect    string
			Action    []string
			Resource  []string
			Condition map[string]map[string]oneOrMore
		}
	}
	decoder := json.NewDecoder(strings.NewReader(policy))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return nil, err
	}
	_, end := decoder.Token()
	switch {
	case !errors.Is(end, io.EOF):
		return nil, errors.New("more than one value")
	case p.Version != "5.0":
		return nil, errors.New("the Version is not 5.0")
	case len(p.Statement) == 0:
		return nil, errors.New("there is no Statement")
	}
	var actions []string
	for _, s := range p.Statement {
		if s.Effect != "Allow" || len(s.Action) == 0 {
			return nil, errors.New("a Statement without an Action, or with an Effect that the fake does not know")
		}
		for _, action := range s.Action {
			if !regexp.MustCompile(`^[a-zA-Z0-9:*-]+$`).MatchString(action) {
				return nil, fmt.Errorf("an Action is %q", action)
			}
		}
		actions = append(actions, s.Action...)
	}
	return actions, nil
}
