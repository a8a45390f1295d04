package huaweitest_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"registrar/internal/huaweitest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	assume   = "/v5/agencies/assume"
	withOIDC = "/v5/agencies/assume-with-oidc"
	provider = "iam::05261f923e80d3890f33c0056e9b3f80:oidcProvider:aws"
	agency   = "iam::05261f923e80d3890f33c0056e9b3f80:agency:registrar"
	issuer   = "https://issuer.example"
	audience = "https://huawei.example"
	role     = "arn:aws:iam::123456789012:role/registrar"
)

// document is a JSON object that tests change.
type document map[string]any

func (d document) with(name string, value any) document {
	d = maps.Clone(d)
	d[name] = value
	return d
}

func (d document) without(name string) document {
	d = maps.Clone(d)
	delete(d, name)
	return d
}

func (d document) String() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// sts is a cloud whose clock stands still, with an agency that may be assumed both ways.
func sts(t *testing.T) (*huaweitest.Cloud, client) {
	t.Helper()
	c := huaweitest.New(permanent)
	c.TrustOIDC(provider, agency, huaweitest.Trust{
		Issuer: issuer, Audience: audience, Subjects: []string{"arn:aws:iam::1:role/first", role},
	})
	c.AllowAssume(permanent.AccessKey, agency)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.SetClock(func() time.Time { return at })
	cl := newClient(t, c)
	cl.at = at
	return c, cl
}

func claimed() document {
	return document{
		"iss": issuer, "aud": audience, "sub": role,
		"exp": time.Date(2026, 1, 2, 3, 9, 5, 0, time.UTC).Unix(),
	}
}

// token is a JWT that nobody signed.
func token(claims document) string { return jwt(`{"alg":"RS256"}`, claims.String(), "constructed") }

func jwt(parts ...string) string {
	for i, part := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	return strings.Join(parts, ".")
}

// request is a whole body for the path.
func request(path string) document {
	d := document{"agency_urn": agency, "agency_session_name": "register-region"}
	if path == withOIDC {
		d["provider_urn"], d["id_token"] = provider, token(claimed())
	}
	return d
}

// unsigned sends a request without a signature.
func (c client) unsigned(path string, body fmt.Stringer) reply {
	c.t.Helper()
	req := c.request("POST", path, body.String())
	req.Header.Del("Authorization")
	req.Header.Del("X-Sdk-Date")
	got, err := c.do(req)
	require.NoError(c.t, err)
	return got
}

// exchange assumes the agency in the way that the path says.
func (c client) exchange(path string, body fmt.Stringer) reply {
	c.t.Helper()
	if path == withOIDC {
		return c.unsigned(path, body)
	}
	return c.call("POST", path, body.String())
}

// credentials are those in an answer of STS.
func (r reply) credentials(t *testing.T) huaweitest.Credentials {
	t.Helper()
	require.Equal(t, 200, r.status, r.raw)
	var answer struct {
		Credentials struct {
			AccessKey     string `json:"access_key_id"`
			SecretKey     string `json:"secret_access_key"`
			SecurityToken string `json:"security_token"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.raw), &answer))
	return huaweitest.Credentials{
		AccessKey: answer.Credentials.AccessKey, SecretKey: answer.Credentials.SecretKey,
		SecurityToken: answer.Credentials.SecurityToken,
	}
}

func TestAssumingAnAgency(t *testing.T) {
	t.Parallel()
	const policy = `{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["*"]}]}`
	for path, about := range map[string]string{
		assume: `"source_identity":"an operator"`,
		withOIDC: `"source_identity":"","audience":"` + audience + `","provider":"` + provider + `",` +
			`"subject_from_id_token":"` + role + `"`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			c, cl := sts(t)
			body := request(path).with("duration_seconds", 900).with("policy", policy)
			if path == assume {
				body = body.with("source_identity", "an operator")
			}
			got := cl.exchange(path, body)
			keys := got.credentials(t)
			assert.JSONEq(t, fmt.Sprintf(`{"credentials":{"access_key_id":%q,"secret_access_key":%q,"security_token":%q,
				"expiration":"2026-01-02T03:19:05Z"},"assumed_agency":{"id":"fake-registrar:register-region",
				"urn":"sts::05261f923e80d3890f33c0056e9b3f80:assumed-agency:registrar/register-region"},%s}`,
				keys.AccessKey, keys.SecretKey, keys.SecurityToken, about), got.raw)

			keys.Expires = cl.at.Add(15 * time.Minute)
			assert.Equal(t, []huaweitest.Session{{
				Credentials: keys, Issued: cl.at, Agency: agency, Name: "register-region", Policy: policy,
			}}, c.Issued())
			assert.NotEqual(t, keys.AccessKey, cl.exchange(path, request(path)).credentials(t).AccessKey)
			assert.Equal(t, cl.at.Add(time.Hour), c.Issued()[1].Expires, "by default")
			r := c.Requests()[0]
			assert.True(t, r.Verified)
			assert.Equal(t, "POST "+path+" 200", r.String())
			assert.JSONEq(t, body.String(), string(r.Body))
		})
	}
}

func TestOnlyOneOfTheExchangesIsSigned(t *testing.T) {
	t.Parallel()
	c, cl := sts(t)
	got := cl.unsigned(assume, request(assume))
	assert.Equal(t, 401, got.status)
	assert.Equal(t, "APIGW.0301", got.Code)

	cl.creds = huaweitest.Credentials{AccessKey: "nobody's", SecretKey: "unknown"}
	got = cl.call("POST", assume, request(assume).String())
	assert.Equal(t, 401, got.status)
	assert.Empty(t, c.Issued())
	assert.Equal(t, 200, cl.call("POST", withOIDC, request(withOIDC).String()).status, "however it is signed")
}

func TestTemporaryCredentials(t *testing.T) {
	t.Parallel()
	for name, issue := range map[string]func(*huaweitest.Cloud, client) huaweitest.Credentials{
		"of assume": func(_ *huaweitest.Cloud, cl client) huaweitest.Credentials {
			return cl.exchange(assume, request(assume)).credentials(cl.t)
		},
		"of assume-with-oidc": func(_ *huaweitest.Cloud, cl client) huaweitest.Credentials {
			return cl.exchange(withOIDC, request(withOIDC)).credentials(cl.t)
		},
		"of an invocation": func(c *huaweitest.Cloud, cl client) huaweitest.Credentials {
			keys := c.IssueTemporary(time.Hour)
			assert.Equal(cl.t, cl.at.Add(time.Hour), keys.Expires)
			return keys
		},
		"added": func(c *huaweitest.Cloud, cl client) huaweitest.Credentials {
			keys := temporary
			keys.AccessKey = rand.Text()
			keys.Expires = cl.at.Add(time.Hour)
			c.AddCredentials(keys)
			return keys
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, cl := sts(t)
			issued, revoked := issue(c, cl), issue(c, cl)
			use := func(keys huaweitest.Credentials) int {
				cl.creds = keys
				return cl.call("GET", services, "").status
			}
			assert.Equal(t, 200, use(revoked))
			c.RemoveCredentials(revoked.AccessKey)
			assert.Equal(t, 401, use(revoked))
			assert.Equal(t, "APIGW.0301", last(c).ErrorCode)

			bare, wrong := issued, issued
			bare.SecurityToken, wrong.SecurityToken = "", issued.SecurityToken+"="
			assert.Equal(t, 401, use(bare), "without the token")
			assert.Equal(t, 401, use(wrong), "with another token")

			cl.at = cl.at.Add(time.Hour - time.Second)
			c.SetClock(func() time.Time { return cl.at })
			assert.Equal(t, 200, use(issued))
			cl.at = cl.at.Add(time.Second)
			assert.Equal(t, 401, use(issued), "expired")
			assert.Equal(t, "APIGW.0301", last(c).ErrorCode)
			assert.Equal(t, 200, use(permanent), "for ever")
		})
	}
}

func TestATokenMustBeTrusted(t *testing.T) {
	t.Parallel()
	good := claimed()
	for name, tt := range map[string]struct {
		token string
		want  string // the code; "" if it is believed
	}{
		"as it should be":          {token(good), ""},
		"the other subject":        {token(good.with("sub", "arn:aws:iam::1:role/first")), ""},
		"several audiences":        {token(good.with("aud", []string{"another", audience})), ""},
		"a fraction of a second":   {token(good.with("exp", 1767323045.5)), ""},
		"another issuer":           {token(good.with("iss", issuer+"/")), "STS5.1001"},
		"another audience":         {token(good.with("aud", "another")), "STS5.1001"},
		"other audiences":          {token(good.with("aud", []string{"another", "yet another"})), "STS5.1001"},
		"another subject":          {token(good.with("sub", role+"/x")), "STS5.1001"},
		"a subject in another way": {token(good.with("sub", strings.ToUpper(role))), "STS5.1001"},
		"expired":                  {token(good.with("exp", 1767323045)), "STS5.9902"},
		"no issuer":                {token(good.without("iss")), "STS5.9901"},
		"no audience":              {token(good.without("aud")), "STS5.9901"},
		"no subject":               {token(good.without("sub")), "STS5.9901"},
		"no end":                   {token(good.without("exp")), "STS5.9901"},
		"an end of words":          {token(good.with("exp", "2027")), "STS5.9901"},
		"two parts":                {jwt(`{"alg":"RS256"}`, good.String()), "STS5.9901"},
		"four parts":               {token(good) + ".YQ", "STS5.9901"},
		"not base64url":            {token(good) + "+", "STS5.9901"},
		"padded":                   {jwt(`{"alg":"RS256"}`, good.String(), "s") + "==", "STS5.9901"},
		"a header of words":        {jwt("RS256", good.String(), "s"), "STS5.9901"},
		"a header without alg":     {jwt(`{}`, good.String(), "s"), "STS5.9901"},
		"not signed":               {jwt(`{"alg":"none"}`, good.String(), "s"), "STS5.9901"},
		"without a signature":      {jwt(`{"alg":"RS256"}`, good.String(), ""), "STS5.9901"},
		"claims of words":          {jwt(`{"alg":"RS256"}`, "claims", "s"), "STS5.9901"},
		"an access key":            {"AKIDEXAMPLE", "STS5.9901"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, cl := sts(t)
			got := cl.unsigned(withOIDC, request(withOIDC).with("id_token", tt.token))
			assert.Equal(t, tt.want, got.Code)
			assert.NotContains(t, got.raw, tt.token)
			switch tt.want {
			case "":
				assert.Equal(t, 200, got.status)
				assert.Len(t, c.Issued(), 1)
				return
			case "STS5.1001":
				assert.Equal(t, 403, got.status)
				assert.Contains(t, got.raw, `"encoded_authorization_message":"`)
			default:
				assert.Equal(t, 400, got.status)
			}
			assert.Empty(t, c.Issued())
		})
	}
}

func TestWhoMayAssumeAnAgency(t *testing.T) {
	t.Parallel()
	const other = agency + "-2"
	c, cl := sts(t)
	c.AddCredentials(temporary)
	c.TrustOIDC(provider+"-2", other, huaweitest.Trust{
		Issuer: issuer, Audience: audience, Subjects: []string{role},
	})
	for name, tt := range map[string]struct {
		path   string
		body   document
		status int
		code   string
	}{
		"an unknown provider": {
			withOIDC, request(withOIDC).with("provider_urn", provider+"-3"), 400, "STS5.9903",
		},
		"an unknown agency": {withOIDC, request(withOIDC).with("agency_urn", agency+"-3"), 400, "STS5.9904"},
		"an unknown agency, by key": {
			assume, request(assume).with("agency_urn", agency+"-3"), 400, "STS5.9904",
		},
		"another provider's agency": {withOIDC, request(withOIDC).with("agency_urn", other), 403, "STS5.1001"},
		"another's agency, by key":  {assume, request(assume).with("agency_urn", other), 403, "STS5.1001"},
		"both of them": {
			withOIDC, request(withOIDC).with("agency_urn", other).with("provider_urn", provider+"-2"), 200, "",
		},
	} {
		got := cl.exchange(tt.path, tt.body)
		assert.Equal(t, tt.status, got.status, name)
		assert.Equal(t, tt.code, got.Code, name)
	}

	cl.creds = temporary
	got := cl.call("POST", assume, request(assume).String())
	assert.Equal(t, 403, got.status, "allowed to another key only")
	c.AllowAssume(temporary.AccessKey, other)
	c.AllowAssume(temporary.AccessKey, agency)
	assert.Equal(t, 200, cl.call("POST", assume, request(assume).String()).status)
	assert.Equal(t, 200, cl.call("POST", assume, request(assume).with("agency_urn", other).String()).status)
	long := request(assume).with("duration_seconds", 3601)
	got = cl.call("POST", assume, long.String())
	assert.Equal(t, "STS5.9900", got.Code, "over an hour with temporary credentials")
	cl.creds = permanent
	assert.Equal(t, 200, cl.call("POST", assume, long.String()).status)

	c.TrustOIDC(provider, agency, huaweitest.Trust{Issuer: issuer, Audience: audience})
	assert.Equal(t, 403, cl.exchange(withOIDC, request(withOIDC)).status, "the trust is replaced")
}

func TestBadExchanges(t *testing.T) {
	t.Parallel()
	const allow = `{"Effect":"Allow","Action":["organizations:services:list"]}`
	long := func(n int) string { return strings.Repeat("é", n) }
	policy := func(statements string) string { return `{"Version":"5.0","Statement":[` + statements + `]}` }
	type field struct {
		name  string
		value any
	}
	check := func(path string, fields []field, want int) {
		for _, f := range fields {
			c, cl := sts(t)
			got := cl.exchange(path, request(path).with(f.name, f.value))
			assert.Equal(t, want, got.status, "%s %s %.80v: %s", path, f.name, f.value, got.raw)
			if want == 400 {
				assert.Equal(t, "STS5.9900", got.Code)
				assert.Empty(t, c.Issued())
			}
		}
	}
	for _, path := range []string{assume, withOIDC} {
		check(path, []field{
			{"agency_session_name", long(2)},
			{"agency_session_name", long(128)},
			{"duration_seconds", 43200},
			{"policy_ids", []string{}},
			{"policy", policy(allow)},
			{"policy", policy(allow + "," + allow)},
			{"policy", policy(`{"Sid":"a","Effect":"Allow","Action":["rms:*:list","*"],"Resource":["*"],` +
				`"Condition":{"StringEquals":{"a":"b"},"StringMatch":{"a":["b"]}}}`)},
		}, 200)
		check(path, []field{
			{"agency_urn", nil},
			{"agency_urn", ""},
			{"agency_urn", long(1501)},
			{"agency_session_name", nil},
			{"agency_session_name", "a"},
			{"agency_session_name", long(129)},
			{"agency_session_name", 42},
			{"duration_seconds", 899},
			{"duration_seconds", 43201},
			{"duration_seconds", 900.5},
			{"duration_seconds", "900"},
			{"duration_seconds", nil},
			{"policy", ""},
			{"policy", nil},
			{"policy", document{"Version": "5.0"}},
			{"policy", "{}"},
			{"policy", long(2049)},
			{"policy", "[]"},
			{"policy", policy("")},
			{"policy", policy(allow) + "{}"},
			{"policy", strings.Replace(policy(allow), "5.0", "1.1", 1)},
			{"policy", policy(strings.Replace(allow, "Allow", "Deny", 1))},
			{"policy", policy(`{"Effect":"Allow","Action":[]}`)},
			{"policy", policy(`{"Effect":"Allow","Action":"*"}`)},
			{"policy", policy(`{"Effect":"Allow","Action":[""]}`)},
			{"policy", policy(`{"Effect":"Allow","Action":["a:[b]:c"]}`)},
			{"policy", policy(`{"Effect":"Allow","Action":["*"],"Principal":{}}`)},
			{"policy_ids", []string{"an id"}},
			{"policy_ids", "an id"},
			{"Agency_URN", agency},
			{"dry_run", true},
		}, 400)
	}
	check(withOIDC, []field{
		{"provider_urn", nil},
		{"provider_urn", ""},
		{"id_token", "a.b"},
		{"id_token", long(20001)},
		{"id_token", nil},
		{"source_identity", "operator"},
	}, 400)
	check(assume, []field{
		{"external_id", long(1224)},
		{"serial_number", long(9)},
		{"token_code", "123456"},
		{"source_identity", long(64)},
		{"tags", []document{{"key": "a", "value": ""}}},
		{"transitive_tag_keys", []string{"a"}},
	}, 200)
	check(assume, []field{
		{"external_id", "a"},
		{"serial_number", long(257)},
		{"token_code", "12345"},
		{"source_identity", long(65)},
		{"tags", []document{{"key": "a"}}},
		{"tags", []document{{"key": "", "value": ""}}},
		{"tags", []string{"a"}},
		{"transitive_tag_keys", []string{""}},
		{"provider_urn", provider},
		{"id_token", token(claimed())},
	}, 400)

	_, cl := sts(t)
	for _, body := range []string{"", "null", "[]", "{}", request(assume).String() + "{}"} {
		assert.Equal(t, "STS5.9900", cl.call("POST", assume, body).Code, body)
	}
	req := cl.request("POST", assume, request(assume).String())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := cl.do(req)
	require.NoError(t, err)
	assert.Equal(t, "STS5.9900", got.Code)
}

// Each API needs its actions and no others.
func TestASessionPolicyAllowsWhatItNames(t *testing.T) {
	t.Parallel()
	for api, actions := range map[string]string{
		"POST " + regions: "IdentityCenter:instance:registerRegion",
		"GET " + registered: "IdentityCenter:instance:describeRegisteredRegions " +
			"organizations:delegatedAdministrators:list",
		"POST " + admins:         "organizations:delegatedAdministrators:register",
		"POST " + deregister:     "organizations:delegatedAdministrators:deregister",
		"GET " + delegated:       "organizations:delegatedAdministrators:list",
		"GET " + members:         "organizations:accounts:list",
		"GET " + accounts + "a1": "organizations:accounts:get",
		"GET /v1/organizations/accounts/a1/delegated-services": "organizations:delegatedServices:list",
		"GET " + services:           "organizations:services:list",
		"GET " + trusted:            "organizations:trustedServices:list",
		"POST " + enable:            "organizations:trustedServices:enable",
		"POST " + disable:           "organizations:trustedServices:disable",
		"GET " + creations + "car1": "organizations:createAccountStatuses:get",
		"POST " + assume:            "sts:agencies:assume",
	} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(api, " ")
			needed := strings.Fields(actions)
			// call calls the API under a policy.
			call := func(c *huaweitest.Cloud, cl client, allowed ...string) reply {
				body := request(assume)
				if len(allowed) > 0 {
					body = body.with("policy", document{
						"Version": "5.0", "Statement": []document{{"Effect": "Allow", "Action": allowed}},
					}.String())
				}
				cl.creds = cl.exchange(assume, body).credentials(t)
				c.AllowAssume(cl.creds.AccessKey, agency)
				return cl.call(method, path, "{}")
			}
			for name, allowed := range map[string][]string{
				"no policy": nil, "its actions": needed, "all": {"*"}, "wildcards": {"*:*:*"},
				"all of the services": {"organizations:*", "IdentityCenter:*", "sts:*"},
				"among others":        append([]string{"rms:*:*"}, needed...),
			} {
				c, cl := sts(t)
				assert.NotEqual(t, 403, call(c, cl, allowed...).status, name)
			}
			for i, action := range needed {
				without := append([]string{
					"rms:*:*", strings.ToUpper(action), action + ":x", "organizations:organizations:get",
				}, needed[:i]...)
				without = append(without, needed[i+1:]...)
				c, cl := sts(t)
				got := call(c, cl, without...)
				assert.Equal(t, 403, got.status)
				code := map[string]string{
					"IdentityCenter": "IIC.1000", "organizations": "Organizations.1007", "sts": "STS5.1001",
				}[strings.Split(action, ":")[0]]
				if i > 0 {
					code = "IIC.1001"
				}
				assert.Equal(t, code, got.Code)
				assert.Contains(t, got.raw, action)
				assert.Contains(t, got.raw, `"encoded_authorization_message":"`)
				assert.True(t, last(c).Verified)
				assert.Empty(t, c.Region())

				c.SetUnpublished(huaweitest.Unpublished{Denied: huaweitest.Error{Status: 403, Code: "PAP5.0009"}})
				got = call(c, cl, without...)
				assert.Equal(t, "PAP5.0009", got.Code)
				assert.Contains(t, got.raw, `"encoded_authorization_message":"`)
			}
		})
	}
}

func TestAPolicyIsThatOfItsSession(t *testing.T) {
	t.Parallel()
	c, cl := sts(t)
	limited := request(assume).with(
		"policy", `{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["organizations:services:list"]}]}`,
	)
	narrow := cl.exchange(assume, limited).credentials(t)
	whole := cl.exchange(assume, request(assume)).credentials(t)
	read := func(keys huaweitest.Credentials) int {
		cl.creds = keys
		assert.Equal(t, 200, cl.call("GET", services, "").status)
		return cl.call("GET", members, "").status
	}
	assert.Equal(t, 403, read(narrow))
	assert.Equal(t, 200, read(whole))
	assert.Equal(t, 200, read(permanent))
	assert.Equal(t, 200, read(c.IssueTemporary(time.Minute)))
	c.Issued()[0].Name = "another"
	assert.Equal(t, "register-region", c.Issued()[0].Name, "Issued returns a copy")
	c.AddCredentials(narrow)
	assert.Equal(t, 200, read(narrow), "replaced by others")
}

func TestExpirationMayHaveAnyForm(t *testing.T) {
	t.Parallel()
	for want, form := range map[string]func(time.Time) any{
		`"expiration":"2026-01-02T04:04:05Z"`: nil,
		`"expiration":1767326645`:             func(t time.Time) any { return t.Unix() },
		`"expiration":{"at":"2026-01-02"}`:    func(t time.Time) any { return document{"at": t.Format(time.DateOnly)} },
		`"expiration":null`:                   func(time.Time) any { return nil },
		`"expiration":"2020-01-01T00:00:00Z"`: func(time.Time) any { return "2020-01-01T00:00:00Z" },
		"":                                    func(time.Time) any { return huaweitest.Absent{} },
	} {
		for _, path := range []string{assume, withOIDC} {
			c, cl := sts(t)
			c.SetExpiration(form)
			got := cl.exchange(path, request(path))
			assert.Contains(t, got.raw, want)
			assert.Equal(t, want != "", strings.Contains(got.raw, "expiration"))
			assert.Equal(t, cl.at.Add(time.Hour), c.Issued()[0].Expires, "whatever is told")
			cl.creds = got.credentials(t)
			assert.Equal(t, 200, cl.call("GET", services, "").status)
			c.SetExpiration(nil)
			cl.creds = permanent
			assert.Contains(t, cl.exchange(path, request(path)).raw, `"expiration":"2026-01-02T04:04:05Z"`)
		}
	}
}

func TestUnpublishedAnswersOfSTS(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body document
		set  func(huaweitest.Error) huaweitest.Unpublished
	}{
		"invalid exchange": {
			request(withOIDC).without("agency_urn"),
			func(e huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{InvalidExchange: e} },
		},
		"invalid token": {
			request(withOIDC).with("id_token", "token"),
			func(e huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{InvalidToken: e} },
		},
		"expired token": {
			request(withOIDC).with("id_token", token(claimed().with("exp", 1))),
			func(e huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{ExpiredToken: e} },
		},
		"unknown provider": {
			request(withOIDC).with("provider_urn", "p"),
			func(e huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownProvider: e} },
		},
		"unknown agency": {
			request(withOIDC).with("agency_urn", "a"),
			func(e huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownAgency: e} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, cl := sts(t)
			for _, status := range []int{400, 403, 404} {
				c.SetUnpublished(tt.set(huaweitest.Error{Status: status, Code: "STS5.7777", Message: "guess"}))
				got := cl.unsigned(withOIDC, tt.body)
				assert.Equal(t, status, got.status)
				assert.Equal(t, "STS5.7777", got.Code)
				assert.Contains(t, got.raw, "guess")
			}
		})
	}
}

func TestFaultsHitSTSToo(t *testing.T) {
	t.Parallel()
	for name, over := range bothWays(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, known := sts(t)
			cl := over(c)
			cl.at = known.at
			var seen []string
			c.OnRequest(func(r huaweitest.Request) { seen = append(seen, r.String()) })
			c.Script(
				"POST", withOIDC, huaweitest.Fault{Status: 503, Code: "APIGW.0201"},
				huaweitest.Fault{When: huaweitest.AfterSignature, Status: 500, Code: "STS5.0500"},
				huaweitest.Fault{When: huaweitest.AfterWrite, Status: 504, Code: "APIGW.0201"},
			)
			for range 4 {
				cl.unsigned(withOIDC, request(withOIDC))
			}
			assert.Equal(t, []string{
				"POST " + withOIDC + " 503 APIGW.0201", "POST " + withOIDC + " 500 STS5.0500",
				"POST " + withOIDC + " 504 APIGW.0201", "POST " + withOIDC + " 200",
			}, seen)
			assert.Len(t, c.Issued(), 2, "one whose answer was lost")

			c.RateLimit(1, time.Minute)
			assert.Equal(t, 200, cl.unsigned(withOIDC, request(withOIDC)).status)
			assert.Equal(t, 429, cl.unsigned(withOIDC, request(withOIDC)).status)
		})
	}
}
