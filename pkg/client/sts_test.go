package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

const (
	provider = "iam::a1:oidcProvider:aws"
	agencyID = "iam::a1:agency:registrar"
)

var session = client.Session{
	AgencyURN: agencyID, Name: "register-region",
	Policy: `{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["IdentityCenter:instance:*",` +
		`"organizations:delegatedAdministrators:list"]}]}`,
}

// token is one that the agency of trusting trusts.
func token() client.Secret {
	return client.Secret(awstest.Token("RS256", map[string]any{
		"iss": "https://issuer.example", "aud": "huaweicloud", "sub": "role", "exp": time.Now().Add(time.Minute).Unix(),
	}))
}

func trusting() *huaweitest.Cloud {
	cloud := huaweitest.New(keys())
	cloud.TrustOIDC(provider, agencyID, huaweitest.Trust{
		Issuer: "https://issuer.example", Audience: "huaweicloud", Subjects: []string{"role"},
	})
	cloud.AllowAssume(keys().AccessKey, agencyID)
	return cloud
}

func TestAnAgencyIsAssumedWithAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := trusting()
		sts := client.New(config(cloud), client.Static(credentials(keys())))
		token := token()
		got, err := sts.AssumeAgencyWithOIDC(t.Context(), session, provider, token)
		require.NoError(t, err)
		request := cloud.Requests()[0]
		assert.Equal(t, "/v5/agencies/assume-with-oidc", request.Path)
		assert.Empty(t, request.Header.Get("Authorization"), "the client's own keys sign nothing")
		assert.Empty(t, request.Header.Get("X-Security-Token"))
		want, err := json.Marshal(map[string]any{
			"agency_urn": agencyID, "agency_session_name": "register-region", "duration_seconds": 3600,
			"policy": session.Policy, "provider_urn": provider, "id_token": string(token),
		})
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(request.Body))

		issued := cloud.Issued()[0]
		assert.Equal(t, client.Credentials{
			AccessKey: client.Secret(issued.AccessKey), SecretKey: client.Secret(issued.SecretKey),
			SecurityToken: client.Secret(issued.SecurityToken), Expires: issued.Expires, Narrowed: true,
		}, got)
		api := client.New(config(cloud), client.Static(got))
		_, err = api.RegisteredRegions(t.Context())
		require.NoError(t, err)
		_, err = api.TrustedServices(t.Context())
		require.ErrorContains(t, err, "HUAWEICLOUD_SESSION_POLICY=off")
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
	})
}

func TestAnAgencyIsAssumedByKey(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"", "0a6d25d23900d45c0faac010e0fb4de0"} {
		synctest.Test(t, func(t *testing.T) {
			cloud, own := trusting(), credentials(keys())
			own.DomainID = client.DomainID(domain)
			bare := session
			bare.Policy = ""
			got, err := client.New(config(cloud), client.Static(own)).AssumeAgency(t.Context(), bare)
			require.NoError(t, err)
			request := cloud.Requests()[0]
			assert.True(t, request.Verified)
			assert.JSONEq(t, `{"agency_urn":"`+agencyID+`","agency_session_name":"register-region",`+
				`"duration_seconds":3600}`, string(request.Body))
			assert.False(t, got.Narrowed)
			if domain == "" {
				assert.Empty(t, got.DomainID)
			} else {
				assert.EqualValues(t, "a1", got.DomainID, "the account of the agency")
			}
		})
	}
}

// The page about the call shows a text. Whatever comes, the credentials are used.
func TestAnExpirationThatCantBeReadIsTheTimeThatWasAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		form func(time.Time) any
		want time.Duration
	}{
		"a text": {
			func(t time.Time) any { return t.Add(-time.Minute).Format(time.RFC3339) }, 59 * time.Minute,
		},
		"with a fraction": {func(t time.Time) any { return t.Format("2006-01-02T15:04:05.000000Z") }, time.Hour},
		"with an offset": {
			func(t time.Time) any { return t.Add(-time.Minute).In(time.FixedZone("", 8*3600)).Format(time.RFC3339) },
			59 * time.Minute,
		},
		"absent":       {func(time.Time) any { return huaweitest.Absent{} }, time.Hour},
		"null":         {func(time.Time) any { return nil }, time.Hour},
		"a number":     {func(t time.Time) any { return t.UnixMilli() }, time.Hour},
		"an object":    {func(time.Time) any { return map[string]int{"seconds": 1} }, time.Hour},
		"another text": {func(time.Time) any { return "in an hour" }, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cloud := trusting()
				cloud.SetExpiration(c.form)
				got, err := client.New(config(cloud), nil).AssumeAgencyWithOIDC(t.Context(), session, provider, token())
				require.NoError(t, err)
				assert.WithinDuration(t, time.Now().Add(c.want), got.Expires, time.Second)
			})
		})
	}
}

func TestAnExchangeThatFailsHasItsKind(t *testing.T) {
	t.Parallel()
	fault := func(status int, code string) huaweitest.Fault {
		return huaweitest.Fault{Status: status, Code: code, Message: "no", Times: huaweitest.Forever}
	}
	body := func(text string) huaweitest.Fault {
		return huaweitest.Fault{Status: 200, Body: []byte(text), Times: huaweitest.Forever}
	}
	for name, c := range map[string]struct {
		fault huaweitest.Fault
		kind  attempt.Kind
		text  string
	}{
		"no trust":         {fault(403, "STS5.1001"), attempt.Misconfigured, "status 403 STS5.1001 no"},
		"a bad request":    {fault(400, "STS5.1002"), attempt.Misconfigured, "status 400 STS5.1002 no"},
		"no agency":        {fault(404, "STS5.1003"), attempt.Misconfigured, "status 404 STS5.1003 no"},
		"an invalid token": {fault(401, "STS5.1004"), attempt.Misconfigured, "status 401 STS5.1004 no"},
		"a wrong endpoint": {fault(404, ""), attempt.Misconfigured, "is its endpoint right?"},
		"a success with an error": {
			body(`{"error_code":"STS5.1001","error_msg":"no"}`), attempt.Misconfigured, "STS5.1001 no",
		},
		"throttled":        {fault(429, "APIGW.0308"), attempt.Transient, "429"},
		"a failure of STS": {fault(500, "STS5.0001"), attempt.Transient, "500"},
		"nothing":          {body(``), attempt.Transient, "not a JSON object"},
		"no credentials":   {body(`{}`), attempt.Transient, "it has no credentials"},
		"null":             {body(`{"credentials":null}`), attempt.Transient, "it has no credentials"},
		"a key that is null": {
			body(`{"credentials":{"access_key_id":null}}`), attempt.Transient, "it has no credentials",
		},
		"a part": {
			body(`{"credentials":{"access_key_id":"AKPART","secret_access_key":"SKPART"}}`), attempt.Transient,
			"it has no credentials",
		},
		"a number": {
			body(`{"credentials":{"access_key_id":7313}}`), attempt.Transient,
			"a JSON number doesn't belong at credentials.access_key_id",
		},
		"what no header can hold": {
			body(`{"credentials":{"access_key_id":"AKPART\nX: y"}}`), attempt.Transient, "contains white space",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cloud := trusting()
				cloud.Script("POST", "", c.fault)
				sts := client.New(config(cloud), client.Static(credentials(keys())))
				_, err := sts.AssumeAgencyWithOIDC(t.Context(), session, provider, token())
				require.ErrorContains(t, err, "AssumeAgencyWithOIDC: ")
				require.ErrorContains(t, err, c.text)
				assert.Equal(t, c.kind, attempt.KindOf(err))
				_, other := sts.AssumeAgency(t.Context(), session)
				require.ErrorContains(t, other, "AssumeAgency: ")
				assert.Equal(t, c.kind, attempt.KindOf(other))
				for _, secret := range []string{"AKPART", "SKPART", "7313"} {
					assert.NotContains(t, err.Error()+other.Error(), secret)
				}
			})
		})
	}
}

// A gateway may quote the request that it didn't like.
func TestATokenThatIsQuotedIsRedacted(t *testing.T) {
	t.Parallel()
	token := token()
	parts := strings.Split(string(token), ".")
	for name, quoted := range map[string]string{
		"all of it":              string(token),
		"its claims":             parts[1],
		"its signature":          parts[2],
		"its parts":              strings.Join(parts, `\",\"`),
		"with dots as in URLs":   strings.Join(parts, "%2E"),
		"a part of its claims":   parts[1][:40],
		"the end of its parts":   parts[1][len(parts[1])-30:] + " " + parts[2][len(parts[2])-30:],
		"as base64 of an answer": base64.StdEncoding.EncodeToString([]byte("got " + string(token))),
	} {
		cloud := trusting()
		cloud.Script("POST", "", huaweitest.Fault{Status: 403, Code: "STS5.1001", Body: fmt.Appendf(nil,
			`{"error_code":"STS5.1001","error_msg":"%s is not trusted"}`, quoted)})
		_, err := client.New(config(cloud), nil).AssumeAgencyWithOIDC(t.Context(), session, provider, token)
		require.ErrorContains(t, err, "[redacted]", name)
		require.ErrorContains(t, err, " is not trusted", name)
		for _, part := range parts[1:] {
			for i := 0; i+16 <= len(part); i++ {
				require.NotContains(t, err.Error(), part[i:i+16], name)
			}
		}
	}
}

func TestTheKeysOfAnAgencyMayBeRotatedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := trusting()
		rotated := huaweitest.Credentials{AccessKey: "AKNEW", SecretKey: "SKnew"}
		current, loads := keys(), 0
		sts := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
			loads++
			return credentials(current), nil
		})
		_, err := sts.AssumeAgency(t.Context(), session)
		require.NoError(t, err)
		cloud.RemoveCredentials(current.AccessKey)
		cloud.AddCredentials(rotated)
		cloud.AllowAssume(rotated.AccessKey, agencyID)
		current = rotated
		_, err = sts.AssumeAgency(t.Context(), session)
		require.NoError(t, err)
		assert.Equal(t, 2, loads)
		assert.Equal(t, http.StatusUnauthorized, cloud.Requests()[1].Status)
	})
}
