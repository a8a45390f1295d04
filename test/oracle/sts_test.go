package oracle

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/impl"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"
	centermodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/identitycenter/v1/model"
	orgmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/organizations/v1/model"
	sts "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/sts/v1"
	stsmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/sts/v1/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

const (
	issuer   = "https://6f6ee5f9-0a5d-4c3b-8b1a-000000000000.tokens.sts.global.api.aws"
	role     = "arn:aws:iam::123456789012:role/registrar"
	provider = "iam::" + account + ":oidcProvider:aws"
	agency   = "iam::" + account + ":agency:registrar"
	listOnly = `{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["organizations:services:list"]}]}`
)

// token is a constructed JWT.
func token(subject string) string {
	claims := fmt.Appendf(
		nil, `{"iss":%q,"aud":"https://huawei.example","sub":%q,"exp":%d}`, issuer, subject,
		time.Now().Add(5*time.Minute).Unix(),
	)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(claims) + "." + encode([]byte("constructed"))
}

// nobody is who doesn't sign. The SDK has no such credentials, and its client does nothing without
// any.
type nobody struct{ auth.ICredential }

func (nobody) ProcessAuthRequest(
	_ *impl.DefaultHttpClient, r *request.DefaultHttpRequest,
) (*request.DefaultHttpRequest, error) {
	return r, nil
}

// officialSTS is the SDK's client of STS. Without keys it signs nothing.
func (s site) officialSTS(t *testing.T, keys huaweitest.Credentials) *sts.StsClient {
	t.Helper()
	settings := config.DefaultHttpConfig().WithUserAgent("oracle").WithHttpRoundTripper(s.server.Client().Transport)
	client := core.NewHcHttpClient(impl.NewDefaultHttpClient(settings)).WithEndpoints([]string{s.server.URL}).
		WithCredential(nobody{})
	if keys.AccessKey != "" {
		creds, err := basic.NewCredentialsBuilder().WithAk(keys.AccessKey).WithSk(keys.SecretKey).
			WithSecurityToken(keys.SecurityToken).SafeBuild()
		require.NoError(t, err)
		client = client.WithCredential(creds)
	}
	return sts.NewStsClient(client)
}

// assertIssued holds that the SDK read the credentials as the fake issued them, and that it may do
// with them what the policy allows.
func (s site) assertIssued(t *testing.T, read *stsmodel.CredentialsDto) {
	t.Helper()
	require.NotNil(t, read)
	issued := s.Issued()[len(s.Issued())-1]
	keys := huaweitest.Credentials{
		AccessKey: read.AccessKeyId, SecretKey: read.SecretAccessKey, SecurityToken: read.SecurityToken,
		Expires: time.Time(*read.Expiration),
	}
	assert.Equal(t, issued.Credentials, keys)
	assert.Equal(t, agency, issued.Agency)
	assert.Equal(t, "register-region", issued.Name)

	s.keys = keys
	services, err := s.official(t).ListServices(&orgmodel.ListServicesRequest{})
	require.NoError(t, err)
	assert.NotEmpty(t, *services.Services)
	assert.True(t, s.last(t).Verified)
	assert.Equal(t, keys.SecurityToken, s.last(t).Header.Get("X-Security-Token"))
	_, err = s.official(t).ListAccounts(&orgmodel.ListAccountsRequest{})
	assertError(t, err, 403, "Organizations.1007")
	_, err = s.official(t).DescribeRegisteredRegions(&centermodel.DescribeRegisteredRegionsRequest{})
	assertError(t, err, 403, "IIC.1000")
	assert.ErrorContains(t, err, `"encoded_authorization_message":"constructed`)
}

func TestTheOfficialClientAssumesAnAgency(t *testing.T) {
	t.Parallel()
	for name, keys := range kindsOfCredentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, keys)
			asked := &stsmodel.AssumeAgencyRequest{Body: &stsmodel.AssumeAgencyReqBody{
				AgencyUrn: agency, AgencySessionName: "register-region", DurationSeconds: new(int32(900)),
				Policy: new(listOnly), SourceIdentity: new("an operator"),
				Tags: &[]stsmodel.TagDto{{Key: "stage", Value: "prod"}}, TransitiveTagKeys: &[]string{"stage"},
			}}
			_, err := s.officialSTS(t, keys).AssumeAgency(asked)
			assertError(t, err, 400, "STS5.9904")
			s.AllowAssume("another", agency)
			_, err = s.officialSTS(t, keys).AssumeAgency(asked)
			assertError(t, err, 403, "STS5.1001")
			s.AllowAssume(keys.AccessKey, agency)
			answer, err := s.officialSTS(t, keys).AssumeAgency(asked)
			require.NoError(t, err)
			assert.Equal(t, "an operator", *answer.SourceIdentity)
			assert.Contains(t, answer.AssumedAgency.Urn, "register-region")
			assert.Contains(t, answer.AssumedAgency.Id, "register-region")
			s.assertIssued(t, answer.Credentials)
		})
	}
}

func TestTheOfficialClientAssumesAnAgencyWithOIDC(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]huaweitest.Credentials{
		"without a key":            {},
		"with a key that is known": {AccessKey: "AK1", SecretKey: "SK1"},
		"with a key that is not":   {AccessKey: "AK9", SecretKey: "SK9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kindsOfCredentials()["permanent credentials"])
			s.TrustOIDC(provider, agency, huaweitest.Trust{
				Issuer: issuer, Audience: "https://huawei.example", Subjects: []string{role},
			})
			ask := func(subject string) *stsmodel.AssumeAgencyWithOidcRequest {
				return &stsmodel.AssumeAgencyWithOidcRequest{Body: &stsmodel.AssumeAgencyWithOidcReqBody{
					ProviderUrn: provider, AgencyUrn: agency, AgencySessionName: "register-region",
					DurationSeconds: new(int32(3600)), Policy: new(listOnly),
					IdToken: token(subject),
				}}
			}
			_, err := s.officialSTS(t, keys).AssumeAgencyWithOIDC(ask("arn:aws:iam::123456789012:role/another"))
			assertError(t, err, http.StatusForbidden, "STS5.1001")
			assert.Equal(t, keys.AccessKey != "", s.last(t).Header.Get("Authorization") != "")

			answer, err := s.officialSTS(t, keys).AssumeAgencyWithOIDC(ask(role))
			require.NoError(t, err)
			assert.Equal(t, "https://huawei.example", *answer.Audience)
			assert.Equal(t, provider, *answer.Provider)
			assert.Equal(t, role, *answer.SubjectFromIdToken)
			assert.Contains(t, answer.AssumedAgency.Urn, "register-region")
			s.assertIssued(t, answer.Credentials)
		})
	}
}
