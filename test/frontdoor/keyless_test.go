package frontdoor

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/pkg/events"
)

const (
	providerURN = "iam::0a6d25d23900d45c0faac010e0fb4de0:oidcProvider:aws"
	agencyURN   = "iam::0a6d25d23900d45c0faac010e0fb4de0:agency:registrar"
)

// keyless takes the keys from a stage and gives it an agency that trusts a role of AWS.
func (s *stage) keyless(t *testing.T) *awstest.STS {
	t.Helper()
	sts := new(awstest.STS)
	server := httptest.NewServer(sts)
	t.Cleanup(server.Close)
	s.env = s.withoutKeys()
	maps.Copy(s.env, map[string]string{
		"HUAWEICLOUD_OIDC_PROVIDER_URN": providerURN, "HUAWEICLOUD_OIDC_AGENCY_URN": agencyURN,
		"HUAWEICLOUD_OIDC_AUDIENCE": "huaweicloud", "HUAWEICLOUD_SDK_STS_ENDPOINT": s.env["ORGANIZATIONS_ENDPOINT"],
		"AWS_ENDPOINT_URL_STS": server.URL,
		"AWS_ACCESS_KEY_ID":    awstest.AccessKey, "AWS_SECRET_ACCESS_KEY": awstest.SecretKey,
		"AWS_SESSION_TOKEN": awstest.SessionToken,
	})
	s.TrustOIDC(providerURN, agencyURN, huaweitest.Trust{
		Issuer: awstest.Issuer, Audience: "huaweicloud", Subjects: []string{awstest.Role},
	})
	t.Cleanup(func() {
		for _, secret := range append(sts.Tokens(), awstest.AccessKey, awstest.SecretKey, awstest.SessionToken) {
			assert.NotContains(t, s.log.String(), secret)
		}
	})
	return sts
}

// exchanges counts the calls of STS.
func (s *stage) exchanges() (n int) {
	for _, r := range s.Requests() {
		if strings.HasPrefix(r.Path, "/v5/agencies/") {
			n++
		}
	}
	return n
}

// Every function does its work with no more than its session policy allows, which the fake holds it
// to.
func TestEveryFunctionWorksWithoutAStoredKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event    string
		outcomes []string
	}{
		"register-region": {bootstrap(north), []string{"registered", "unchanged", "unchanged"}},
		"register-service": {
			bootstrap(`{"service_principals":["service.RAM"]}`), []string{"registered", "unchanged", "unchanged"},
		},
		"register-admin": {
			created(`{"create_account_status_id":"car-0001"}`), []string{"registered", "unchanged", "unchanged"},
		},
		"audit-organization": {input("org.audit", `{}`, ""), []string{"drifted", "drifted", "drifted"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.env["ADMINISTRATORS"] = secMaster + "=name:account-" + account
			s.SetCreateAccountStatus("car-0001", "succeeded", account)
			sts := s.keyless(t)
			f := s.start(t, name)
			for _, outcome := range c.outcomes {
				r, failed := s.invokeOn(t, f, c.event)
				require.Nil(t, failed, "%+v", failed)
				assert.Equal(t, outcome, r.Data.Outcome)
			}
			assert.Equal(t, 1, sts.Attempts())
			assert.Equal(t, 1, s.exchanges(), "the credentials are kept")
			session := s.Issued()[0]
			assert.Equal(t, name, session.Name)
			policy, err := os.ReadFile(filepath.Join("../../functions", name, "policy.json"))
			require.NoError(t, err)
			assert.Equal(t, string(policy), session.Policy)
			for _, r := range s.Requests() {
				if r.Method == http.MethodGet || strings.HasPrefix(r.Path, "/v1/") {
					assert.Contains(t, r.Header.Get("Authorization"), session.AccessKey)
				}
			}
		})
	}
}

// Credentials that are refused are replaced once, and the event that met the refusal ends as if
// nothing had been.
func TestRevokedCredentialsAreReplacedOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	sts := s.keyless(t)
	s.eventsChoose()
	s.env["CONCURRENCY"] = "5"
	f := s.start(t, "register-admin")
	for n := range 3 {
		var messages []string
		for i := range 10 {
			id := fmt.Sprintf("account-%d-%d", n, i)
			s.AddAccount(id, "active")
			messages = append(messages, message(id, adopt(id)))
		}
		answer, err := f.Invoke(t.Context(), []byte(batch(messages...)))
		require.NoError(t, err)
		require.JSONEq(t, `{"batchItemFailures":[]}`, string(answer.Payload))
		issued := s.Issued()
		require.Len(t, issued, n+1)
		s.RemoveCredentials(issued[n].AccessKey)
	}
	assert.Equal(t, 3, sts.Attempts())
}

func TestARefusedExchangeIsMisconfiguredAndSaysWhatWasShown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	sts := s.keyless(t)
	sts.SetRole("arn:aws:iam::123456789012:role/another")
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	for _, part := range []string{
		"AssumeAgencyWithOIDC: status 403 STS5.1001", "issuer " + awstest.Issuer, "audience huaweicloud",
		"subject arn:aws:iam::123456789012:role/another",
	} {
		assert.Contains(t, failed.ErrorMessage, part)
	}
	for _, token := range sts.Tokens() {
		assert.NotContains(t, failed.ErrorMessage, token)
	}

	sts.Script(awstest.Refuse(http.StatusBadRequest, "OutboundWebIdentityFederationDisabledException"))
	failed = s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "aws iam enable-outbound-web-identity-federation")
	assert.Zero(t, s.writes()-s.exchanges())
}

// The HTTP server on Kubernetes has its token in a file.
func TestAServerWorksWithATokenInAFile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.keyless(t)
	for _, name := range []string{
		"HUAWEICLOUD_OIDC_AUDIENCE", "AWS_ENDPOINT_URL_STS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN",
	} {
		delete(s.env, name)
	}
	file := filepath.Join(t.TempDir(), "token")
	s.env["HUAWEICLOUD_OIDC_TOKEN_FILE"] = file
	token := awstest.Token("RS256", map[string]any{
		"iss": awstest.Issuer, "aud": "huaweicloud", "sub": awstest.Role, "exp": time.Now().Add(time.Hour).Unix(),
	})
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	url, _ := s.serveHTTP(t, "register-region")
	resp, err := http.Post(url, events.StructuredMediaType, strings.NewReader(bootstrap(north)))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "cn-north-4", s.Region())
	assert.NotContains(t, s.log.String(), token)
}

func TestAKeyThatOnlyAssumesAnAgencySignsNothingElse(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.AllowAssume(s.keys.AccessKey, agencyURN)
	s.env["HUAWEICLOUD_AGENCY_URN"] = agencyURN
	s.env["HUAWEICLOUD_SDK_STS_ENDPOINT"] = s.env["ORGANIZATIONS_ENDPOINT"]
	r := s.succeed(t, "register-region", bootstrap(north))
	assert.Equal(t, "registered", r.Data.Outcome)
	signed := 0
	for _, request := range s.Requests() {
		if strings.Contains(request.Header.Get("Authorization"), s.keys.AccessKey) {
			signed++
			assert.Equal(t, "/v5/agencies/assume", request.Path)
		}
	}
	assert.Equal(t, 1, signed)

	s.host = onFunctionGraph // where the function has an agency of its own
	s.env["HUAWEICLOUD_SDK_AK"], s.env["HUAWEICLOUD_SDK_SK"] = "", ""
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "HUAWEICLOUD_AGENCY_URN: is for keys that assume an agency")
}

// What isn't configured isn't called, neither at the start nor for an event.
func TestWhatIsNotConfiguredCostsNothing(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		called := &lines{}
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(called, r.Method, r.Host, r.URL)
		}))
		defer server.Close()
		s.env["AWS_ENDPOINT_URL"], s.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server.URL, server.URL
		s.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = server.URL
		s.env["HUAWEICLOUD_SDK_STS_ENDPOINT"] = server.URL
		s.env["HTTP_PROXY"] = server.URL
		s.succeed(t, "register-region", bootstrap(north))
		assert.Empty(t, called.String())
		assert.Zero(t, s.exchanges())
		hosts := map[string]bool{}
		for _, r := range s.Requests() {
			hosts[r.Host] = true
		}
		assert.Len(t, hosts, 1)
	})
}
