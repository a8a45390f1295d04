package oracle

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

func (s site) last(t *testing.T) huaweitest.Request {
	t.Helper()
	all := s.Requests()
	require.NotEmpty(t, all)
	return all[len(all)-1]
}

// signedHeaders are the canonical names of the headers that a request says it signed.
func signedHeaders(header http.Header) []string {
	_, rest, _ := strings.Cut(header.Get("Authorization"), "SignedHeaders=")
	list, _, _ := strings.Cut(rest, ",")
	var names []string
	for name := range strings.SplitSeq(list, ";") {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	return names
}

// covered is what the request's signature covers, as the fake received it.
func covered(t *testing.T, r huaweitest.Request) message {
	t.Helper()
	path, err := url.PathUnescape(r.Path)
	require.NoError(t, err)
	query, err := url.ParseQuery(r.RawQuery)
	require.NoError(t, err)
	m := message{method: r.Method, path: path, query: query, signed: map[string]string{}, body: r.Body}
	for _, name := range signedHeaders(r.Header) {
		m.signed[name] = r.Header.Get(name)
	}
	m.signed["Host"] = r.Host
	return m
}

// callAll makes our client send each request it knows: with a body and without, with markers, ids
// and a service that need escaping.
func callAll(t *testing.T, s site) {
	t.Helper()
	s.AddAccount(account, "active")
	s.PageSize(1)
	s.TrustService(secMaster, "service.CTS")
	s.AddService("service.RAM")
	c := s.ours()

	regions, err := c.RegisteredRegions(t.Context())
	require.NoError(t, err)
	assert.Empty(t, regions)
	_, err = c.RegisterRegion(t.Context(), region)
	require.NoError(t, err)
	regions, err = c.RegisteredRegions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{region}, regions)
	for _, principal := range []string{secMaster, "service.CTS"} {
		_, err = c.RegisterDelegatedAdministrator(t.Context(), account, principal)
		require.NoError(t, err)
	}
	services, err := c.DelegatedServices(t.Context(), account)
	require.NoError(t, err)
	assert.Equal(t, []string{secMaster, "service.CTS"}, services)
	services, err = c.TrustedServices(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{secMaster, "service.CTS"}, services)
	services, err = c.Services(t.Context())
	require.NoError(t, err)
	assert.Subset(t, services, []string{secMaster, "service.CTS", "service.RAM"})
	_, err = c.EnableTrustedService(t.Context(), "service.RAM")
	require.NoError(t, err)
	read, err := c.Account(t.Context(), account)
	require.NoError(t, err)
	assert.Equal(t, "active", read.Status)
	s.AddAccount("a b+c%2F?é~*", "active")
	services, err = c.DelegatedServices(t.Context(), "a b+c%2F?é~*")
	require.NoError(t, err)
	assert.Empty(t, services)
	s.RemoveAccount("a b+c%2F?é~*") // no list may hold such an id
	s.Delegate("guest", "service.A&b=c d+é")
	accounts, err := c.Accounts(t.Context())
	require.NoError(t, err)
	assert.Len(t, accounts, 2)
	for principal, want := range map[string]int{"": 2, secMaster: 1, "service.A&b=c d+é": 1} {
		administrators, err := c.DelegatedAdministrators(t.Context(), principal)
		require.NoError(t, err)
		assert.Len(t, administrators, want, principal)
	}
	s.SetCreateAccountStatus("car 1+c%2F?é~*", "succeeded", account)
	creation, err := c.CreateAccountStatus(t.Context(), "car 1+c%2F?é~*")
	require.NoError(t, err)
	assert.Equal(t, account, creation.AccountID)
}

func TestTheOfficialSignerWouldHaveSignedOurRequestsTheSame(t *testing.T) {
	t.Parallel()
	for name, keys := range kindsOfCredentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, keys)
			callAll(t, s)
			require.Len(t, s.Requests(), 20)
			for _, r := range s.Requests() {
				assert.True(t, r.Verified, r)
				want := []string{"Host"}
				if keys.DomainID != "" {
					want = append(want, "X-Domain-Id")
				}
				want = append(want, "X-Sdk-Date")
				if keys.SecurityToken != "" {
					want = append(want, "X-Security-Token")
				}
				assert.Equal(t, want, signedHeaders(r.Header), r)
				m := covered(t, r)
				assert.Equal(t, m.authorization(t, keys.AccessKey, keys.SecretKey), r.Header.Get("Authorization"), r)
				assert.Equal(t, keys.SecurityToken, r.Header.Get("X-Security-Token"), r)
				assert.Equal(t, keys.DomainID, r.Header.Get("X-Domain-Id"), r)
			}
		})
	}
}

func TestOurRequestsAreRefusedWithOneByteChanged(t *testing.T) {
	t.Parallel()
	for name, keys := range kindsOfCredentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, keys)
			callAll(t, s)
			for _, r := range s.Requests() {
				s.replay(t, r, func(*http.Request) {})
				require.True(t, s.last(t).Verified, "%s, unchanged", r)

				changes := map[string]func(*http.Request){
					"path":      func(req *http.Request) { req.URL.Path = other(req.URL.Path); req.URL.RawPath = "" },
					"a slash":   func(req *http.Request) { req.URL.Path += "//"; req.URL.RawPath = "" },
					"query":     func(req *http.Request) { req.URL.RawQuery += "x" },
					"method":    func(req *http.Request) { req.Method = "PATCH" },
					"host":      func(req *http.Request) { req.Host = other(req.Host) },
					"signature": func(req *http.Request) { change(req.Header, "Authorization") },
					"body":      func(req *http.Request) { setBody(req, append(slices.Clone(r.Body), '\n')) },
				}
				for name := range covered(t, r).signed {
					if name != "Host" {
						changes[name] = func(req *http.Request) { change(req.Header, name) }
					}
				}
				if len(r.Body) > 0 {
					changes["last byte of the body"] = func(req *http.Request) {
						setBody(req, []byte(other(string(r.Body))))
					}
				}
				for place, f := range changes {
					s.replay(t, r, f)
					assert.False(t, s.last(t).Verified, "%s, changed: %s", r, place)
				}
			}
		})
	}
}

func TestASignatureWithoutTheSlashAfterThePathIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["permanent credentials"])
	s.SetRegion(region)
	_, err := s.ours().RegisteredRegions(t.Context())
	require.NoError(t, err)
	r := s.last(t)
	m := covered(t, r)
	// byHand signs with the given canonical path in place of the one the algorithm has.
	byHand := func(path string) string {
		hash := func(b string) string { sum := sha256.Sum256([]byte(b)); return hex.EncodeToString(sum[:]) }
		canonical := "GET\n" + path + "\n\nhost:" + m.signed["Host"] + "\nx-sdk-date:" + m.signed["X-Sdk-Date"] +
			"\n\nhost;x-sdk-date\n" + hash("")
		mac := hmac.New(sha256.New, []byte(s.keys.SecretKey))
		mac.Write([]byte("SDK-HMAC-SHA256\n" + m.signed["X-Sdk-Date"] + "\n" + hash(canonical)))
		return fmt.Sprintf(
			"SDK-HMAC-SHA256 Access=%s, SignedHeaders=host;x-sdk-date, Signature=%x", s.keys.AccessKey, mac.Sum(nil),
		)
	}
	want := m.authorization(t, s.keys.AccessKey, s.keys.SecretKey)
	assert.Equal(t, want, byHand("/v1/registered-regions/"), "the slash is in the signature")
	assert.Equal(t, "/v1/registered-regions", r.Path, "and not on the wire")
	for _, path := range []string{"/v1/registered-regions", "/v1/registered-regions//"} {
		assert.NotEqual(t, want, byHand(path))
		answer := s.replay(t, r, func(req *http.Request) { req.Header.Set("Authorization", byHand(path)) })
		assertRefused(t, answer, "the signature does not match")
	}
}

// Huawei Cloud's gateway is known to accept a token that is not signed; the official SDK signs it,
// and so must we.
func TestATokenThatIsNotSignedIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["temporary credentials with a domain"])
	_, err := s.ours().RegisterRegion(t.Context(), region)
	require.NoError(t, err)
	r := s.last(t)
	for header, why := range map[string]string{
		"X-Security-Token": "X-Security-Token is not signed", "X-Domain-Id": "X-Domain-Id is not signed",
	} {
		m := covered(t, r)
		delete(m.signed, header)
		unsigned := m.authorization(t, s.keys.AccessKey, s.keys.SecretKey)
		assert.NotEqual(t, unsigned, r.Header.Get("Authorization"))
		answer := s.replay(t, r, func(req *http.Request) { req.Header.Set("Authorization", unsigned) })
		assertRefused(t, answer, why)
	}
}

func TestABodyEncodedAgainAfterSigningIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["permanent credentials"])
	s.AddAccount(account, "active")
	s.TrustService(secMaster)
	_, err := s.ours().RegisterDelegatedAdministrator(t.Context(), account, secMaster)
	require.NoError(t, err)
	r := s.last(t)
	var object map[string]string
	require.NoError(t, json.Unmarshal(r.Body, &object))
	indented, err := json.MarshalIndent(object, "", " ")
	require.NoError(t, err)
	for name, body := range map[string][]byte{
		"with the new line of a json.Encoder": append(slices.Clone(r.Body), '\n'),
		"indented":                            indented,
		"its fields in another order": fmt.Appendf(
			nil, `{"service_principal":%q,"account_id":%q}`, secMaster, account,
		),
	} {
		require.JSONEq(t, string(r.Body), string(body), name)
		answer := s.replay(t, r, func(req *http.Request) { setBody(req, body) })
		assertRefused(t, answer, "the signature does not match")
		m := covered(t, r)
		m.body = body
		assert.NotEqual(t, m.authorization(t, s.keys.AccessKey, s.keys.SecretKey), r.Header.Get("Authorization"), name)
	}
}

type answer struct {
	status int
	body   string
}

// replay sends a request again, with a change.
func (s site) replay(t *testing.T, r huaweitest.Request, change func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, s.server.URL+r.Path, nil)
	require.NoError(t, err)
	req.URL.RawQuery = r.RawQuery
	req.Host = r.Host
	req.Header = r.Header.Clone()
	setBody(req, r.Body)
	change(req)
	resp, err := s.server.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, string(body)}
}

func assertRefused(t *testing.T, a answer, why string) {
	t.Helper()
	assert.Equal(t, http.StatusUnauthorized, a.status, a.body)
	assert.Contains(t, a.body, "APIGW.0301")
	assert.Contains(t, a.body, why)
}

func setBody(req *http.Request, body []byte) {
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
}

func change(header http.Header, name string) {
	header.Set(name, other(header.Get(name)))
}

// other is s with its last byte replaced.
func other(s string) string {
	last := byte('0')
	if s[len(s)-1] == last {
		last = '1'
	}
	return s[:len(s)-1] + string(last)
}
