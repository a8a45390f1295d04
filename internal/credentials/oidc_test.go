package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

const (
	provider = "iam::a1:oidcProvider:aws"
	agency   = "iam::a1:agency:registrar"
	audience = "huaweicloud"
	policy   = `{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["IdentityCenter:*","organizations:*"]}]}`
)

// trusting is a cloud with an agency that trusts the role of the fake AWS STS.
func trusting() *huaweitest.Cloud {
	cloud := huaweitest.New()
	cloud.TrustOIDC(provider, agency, huaweitest.Trust{
		Issuer: awstest.Issuer, Audience: audience, Subjects: []string{awstest.Role},
	})
	return cloud
}

// keyless is the configuration without a key.
func keyless(sts http.Handler) Config {
	return Config{
		OIDC: OIDC{ProviderURN: provider, AgencyURN: agency, Audience: audience},
		AWS:  awstest.Config(sts),
	}
}

// from makes the func of a configuration whose calls are answered by cloud.
func from(t *testing.T, c Config, cloud http.RoundTripper) client.CredentialsFunc {
	t.Helper()
	var api client.Config
	require.NoError(t, envconfig.ProcessWith(t.Context(), &envconfig.Config{
		Target: &api, Lookuper: envconfig.MapLookuper(nil),
	}))
	api.Transport = cloud
	credentials, err := New(c, api, client.Session{Name: "register-region", Policy: policy})
	require.NoError(t, err)
	return credentials
}

func TestATokenOfAWSIsExchangedForCredentials(t *testing.T) {
	t.Parallel()
	for _, off := range []Off{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sts, cloud := new(awstest.STS), trusting()
			c := keyless(sts)
			c.NoPolicy, c.Keys.DomainID = off, "a1"
			credentials := from(t, c, cloud)
			assert.Zero(t, sts.Attempts(), "nothing is called before it is asked for")
			assert.Empty(t, cloud.Requests())
			for n := range 2 {
				got, err := credentials(t.Context())
				require.NoError(t, err)
				issued := cloud.Issued()[n]
				assert.Equal(t, issued.AccessKey, string(got.AccessKey))
				assert.Equal(t, issued.Expires, got.Expires)
				assert.EqualValues(t, "a1", got.DomainID)
				assert.Equal(t, "register-region", issued.Name)
				assert.Equal(t, !bool(off), got.Narrowed)
				assert.Equal(t, map[Off]string{false: policy, true: ""}[off], issued.Policy)
			}
			assert.Equal(t, 2, sts.Attempts(), "each exchange has a token of its own")
		})
	}
}

// Kubernetes replaces the token in the file all the time.
func TestATokenIsReadFromAFileForEachExchange(t *testing.T) {
	t.Parallel()
	cloud, file := trusting(), filepath.Join(t.TempDir(), "token")
	cloud.TrustOIDC(provider, agency, huaweitest.Trust{Issuer: "k8s", Audience: "a", Subjects: []string{"s"}})
	c := keyless(nil)
	c.OIDC.Audience, c.OIDC.TokenFile = "", file
	c.AWS = awsapi.Config{} // a region would be missing
	credentials := from(t, c, cloud)
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	fails := func(want string) {
		t.Helper()
		_, err := credentials(t.Context())
		require.ErrorContains(t, err, want)
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
	}
	fails("OIDC token: HUAWEICLOUD_OIDC_TOKEN_FILE: no such file or directory")
	write("\n")
	fails("HUAWEICLOUD_OIDC_TOKEN_FILE: the token is empty")
	write(strings.Repeat("a", 20_001))
	fails("HUAWEICLOUD_OIDC_TOKEN_FILE: the token has more than 20000 bytes")
	write("two words")
	fails("HUAWEICLOUD_OIDC_TOKEN_FILE: contains white space")
	for _, opaque := range []string{"opaque", ".", "a.b", "..", "a.!.c", "a.e30.c.d", "a.W10.c", "a.bnVsbA.c"} {
		write(opaque)
		fails("HUAWEICLOUD_OIDC_TOKEN_FILE: the token is not a JSON Web Token")
	}
	c.OIDC.TokenFile = os.DevNull // as a named pipe, from which one might wait for ever
	_, err := from(t, c, cloud)(t.Context())
	require.ErrorContains(t, err, "HUAWEICLOUD_OIDC_TOKEN_FILE: it is not a regular file")
	assert.Empty(t, cloud.Requests())
	for range 2 {
		token := awstest.Token("RS256", map[string]any{
			"iss": "k8s", "aud": []string{"a", "b"}, "sub": "s", "exp": time.Now().Add(time.Minute).Unix(),
		})
		write(token + "\n")
		_, err := credentials(t.Context())
		require.NoError(t, err)
		requests := cloud.Requests()
		assert.Contains(t, string(requests[len(requests)-1].Body), token)
	}
}

func TestARefusedExchangeSaysWhomTheTokenWasAbout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sts, cloud := new(awstest.STS), trusting()
		sts.SetRole("arn:aws:iam::123456789012:role/another")
		credentials := from(t, keyless(sts), cloud)
		_, err := credentials(t.Context())
		require.ErrorContains(t, err, "AssumeAgencyWithOIDC: status 403 STS5.1001")
		require.ErrorContains(t, err, "; Huawei Cloud was shown a token of issuer "+awstest.Issuer+
			" for audience huaweicloud about subject arn:aws:iam::123456789012:role/another: ")
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		token := sts.Tokens()[0]
		for part := range strings.SplitSeq(token, ".") {
			assert.NotContains(t, err.Error(), part)
		}

		cloud.Script("", "", huaweitest.Fault{Status: 503, Code: "STS5.0001", Times: huaweitest.Forever})
		_, err = credentials(t.Context())
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
		assert.NotContains(t, err.Error(), "subject", "STS hasn't looked at the token")

		credentials = from(t, keyless(sts), untrusted{})
		_, err = credentials(t.Context())
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		require.ErrorContains(t, err, "certificate")
		assert.NotContains(t, err.Error(), "subject", "nobody has seen the token")
	})
}

// untrusted is a server whose certificate nobody signed.
type untrusted struct{}

func (untrusted) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
}

func TestClaimsAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	for want, token := range map[string]client.Secret{
		"of issuer i for audience [a b] about subject s": client.Secret(awstest.Token("RS256", map[string]any{
			"iss": "i", "aud": []string{"a", "b"}, "sub": "s",
		})),
		"of issuer none for audience 7 about subject a b": client.Secret(awstest.Token("RS256", map[string]any{
			"ISS": "x", "aud": 7, "sub": "a\nb",
		})),
		"of issuer " + long[:297] + "… for audience a about subject s": client.Secret(awstest.Token("RS256",
			map[string]any{"iss": long, "aud": "a", "sub": "s"})),
	} {
		assert.Equal(t, want, claims(token))
	}
}

func TestARefusedExchangeSaysThatTheTokenInTheFileHasExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // it begins in the year 2000
		const expired = "the token in HUAWEICLOUD_OIDC_TOKEN_FILE has expired, on "
		for exp, want := range map[any]string{
			time.Now().Add(-time.Second).Unix(): expired + "1999-12-31T23:59:59Z: ",
			0:                                   expired + "1970-01-01T00:00:00Z: ",
			time.Now().Add(time.Minute).Unix():  "compare it with ",
			-1:                                  "compare it with ",
			1e300:                               "compare it with ",
			"soon":                              "compare it with ",
			nil:                                 "compare it with ",
		} {
			cloud, file := trusting(), filepath.Join(t.TempDir(), "token")
			c := keyless(nil)
			c.OIDC.Audience, c.OIDC.TokenFile = "", file
			token := awstest.Token("RS256", map[string]any{"iss": "k8s", "aud": "a", "sub": "s", "exp": exp})
			require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
			_, err := from(t, c, cloud)(t.Context())
			require.ErrorContains(t, err, " about subject s: "+want)
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
			assert.NotEmpty(t, cloud.Requests(), "Huawei Cloud decides, our clock may be wrong")
		}
	})
}

func TestAFailureToGetATokenHasItsKind(t *testing.T) {
	t.Parallel()
	const status = http.StatusBadRequest
	for title, test := range map[string]struct {
		answer http.HandlerFunc
		kind   attempt.Kind
		want   string
	}{
		"the account issues none": {
			awstest.Refuse(status, "OutboundWebIdentityFederationDisabledException"), attempt.Misconfigured,
			"let the AWS account issue tokens: aws iam enable-outbound-web-identity-federation: status 400",
		},
		"the account issues none, as documented": {
			awstest.Refuse(status, "OutboundWebIdentityFederationDisabled"), attempt.Misconfigured,
			"let the AWS account issue tokens",
		},
		"the role may not": {
			awstest.Refuse(http.StatusForbidden, "AccessDenied"), attempt.Misconfigured,
			"allow sts:GetWebIdentityToken for the audience HUAWEICLOUD_OIDC_AUDIENCE: status 403 AccessDenied",
		},
		"too many tags": {
			awstest.Refuse(status, "JWTPayloadSizeExceededException"), attempt.Misconfigured,
			"take tags away from the role",
		},
		"the session ends too soon": {
			awstest.Refuse(status, "SessionDurationEscalationException"), attempt.Misconfigured,
			"check the AWS credentials",
		},
		"a bad audience": {
			awstest.Refuse(status, "ValidationError"), attempt.Misconfigured, "correct HUAWEICLOUD_OIDC_AUDIENCE",
		},
		"expired":   {awstest.Refuse(http.StatusForbidden, "ExpiredToken"), attempt.Transient, "ExpiredToken"},
		"a proxy":   {awstest.Garbage(http.StatusForbidden, "<html>"), attempt.Misconfigured, "the way to AWS STS"},
		"throttled": {awstest.Refuse(status, "Throttling"), attempt.Transient, "status 400 Throttling"},
		"away":      {awstest.Garbage(http.StatusServiceUnavailable, ""), attempt.Transient, "status 503"},
		"silence":   {awstest.Silence, attempt.Transient, "OIDC token: AWS STS: no answer within 5s"},
		"an answer of another": {
			awstest.Garbage(http.StatusOK, "<html></html>"), attempt.Transient, "OIDC token: ",
		},
		"no token": {
			awstest.Garbage(http.StatusOK, `<GetWebIdentityTokenResponse><GetWebIdentityTokenResult>`+
				`</GetWebIdentityTokenResult></GetWebIdentityTokenResponse>`), attempt.Transient,
			"OIDC token: AWS STS: the token is empty",
		},
		"an empty token": {
			awstest.Garbage(http.StatusOK, `<GetWebIdentityTokenResponse><GetWebIdentityTokenResult>`+
				`<WebIdentityToken></WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>`),
			attempt.Transient, "the token is empty",
		},
		"a token that isn't one": {
			awstest.Garbage(http.StatusOK, `<GetWebIdentityTokenResponse><GetWebIdentityTokenResult>`+
				`<WebIdentityToken>x</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>`),
			attempt.Transient, "the token is not a JSON Web Token",
		},
		"an echo": {awstest.Echo, attempt.Transient, "status 400"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sts, cloud := new(awstest.STS), trusting()
				sts.Script(test.answer)
				credentials := from(t, keyless(sts), cloud)
				_, err := credentials(t.Context())
				require.ErrorContains(t, err, "OIDC token: ")
				require.ErrorContains(t, err, test.want)
				assert.Equal(t, test.kind, attempt.KindOf(err), err)
				assert.NotContains(t, err.Error(), awstest.SessionToken)
				assert.Empty(t, cloud.Requests(), "nothing is exchanged")

				sts.Script()
				_, err = credentials(t.Context())
				require.NoError(t, err, "a failure isn't kept")
			})
		})
	}
}

func TestABadConfigurationOfAWSKeepsATokenFromBeingHad(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]awsapi.Config{
		"no AWS region is known":                                  {},
		"AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL: must be a URL": {Region: "eu-west-1", STSEndpoint: "localhost"},
	} {
		c := keyless(nil)
		c.AWS = config
		_, err := New(c, client.Config{}, client.Session{})
		require.ErrorContains(t, err, "OIDC token: "+want)
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
	}
}

// The keys come from the environment or a secret, and sign nothing but the call of STS.
func TestKeysOnlyAssumeTheAgency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := huaweitest.Credentials{AccessKey: "AKEXAMPLE", SecretKey: "SKexample", SecurityToken: "TOKEN=="}
		vault := new(awstest.SecretsManager)
		vault.Put(name, `{"ak":"AKEXAMPLE","sk":"SKexample","security_token":"TOKEN=="}`)
		kept := stored(t, vault, name)
		for _, c := range []Config{
			{Keys: client.Credentials{AccessKey: "AKEXAMPLE", SecretKey: "SKexample", SecurityToken: "TOKEN=="}}, kept,
		} {
			cloud := huaweitest.New(keys)
			cloud.AllowAssume(keys.AccessKey, agency)
			c.AgencyURN = agency
			got, err := from(t, c, cloud)(t.Context())
			require.NoError(t, err)
			require.Len(t, cloud.Requests(), 1)
			assert.Equal(t, "/v5/agencies/assume", cloud.Requests()[0].Path)
			issued := cloud.Issued()[0]
			assert.Equal(t, issued.AccessKey, string(got.AccessKey))
			assert.Equal(t, policy, issued.Policy)
		}
	})
}

func TestWithoutAnyThereIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	_, err := from(t, Config{Given: true}, huaweitest.New())(t.Context())
	require.EqualError(t, err, "there are none: give the function an agency, "+
		"or set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
}
