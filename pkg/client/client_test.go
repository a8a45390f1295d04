package client_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

const (
	account        = "05261f923e80d3890f33c0056e9b3f80"
	secMaster      = "service.SecMaster"
	registerPath   = "/v1/register-regions"
	registeredPath = "/v1/registered-regions"
	trustedPath    = "/v1/organizations/trusted-services"
)

func keys() huaweitest.Credentials {
	return huaweitest.Credentials{
		AccessKey: "AKEXAMPLE", SecretKey: "SKexample", SecurityToken: "TOKENexample==",
		DomainID: "0a6d25d23900d45c0faac010e0fb4de0",
	}
}

func credentials(k huaweitest.Credentials) client.Credentials {
	return client.Credentials{
		AccessKey: client.Secret(k.AccessKey), SecretKey: client.Secret(k.SecretKey),
		SecurityToken: client.Secret(k.SecurityToken), DomainID: client.DomainID(k.DomainID),
	}
}

func endpoint(text string) wire.Endpoint {
	e, err := wire.ParseEndpoint(text)
	if err != nil {
		panic(err)
	}
	return e
}

func config(cloud http.RoundTripper) client.Config {
	return client.Config{
		IdentityCenter: endpoint("https://identitycenter.myhuaweicloud.com"),
		Organizations:  endpoint("https://organizations.myhuaweicloud.com"),
		STS:            endpoint("https://sts.cn-north-4.myhuaweicloud.com"),
		MaxAttempts:    4,
		RequestTimeout: 10 * time.Second,
		Transport:      cloud,
	}
}

// inBubble runs f with a client of a fake cloud, on a clock that only moves when all wait.
func inBubble(t *testing.T, f func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cloud := huaweitest.New(keys())
		f(t, cloud, client.New(config(cloud), client.Static(credentials(keys()))))
	})
}

func TestTheConfigHasDefaults(t *testing.T) {
	t.Parallel()
	var c client.Config
	require.NoError(t, envconfig.ProcessWith(t.Context(), &envconfig.Config{
		Target: &c, Lookuper: envconfig.MapLookuper(map[string]string{
			"ORGANIZATIONS_ENDPOINT": "https://organizations.myhuaweicloud.eu",
		}),
	}))
	require.NoError(t, c.Validate())
	assert.Equal(t, "https://identitycenter.myhuaweicloud.com", c.IdentityCenter.String())
	assert.Equal(t, "https://organizations.myhuaweicloud.eu", c.Organizations.String())
	assert.Equal(t, 4, c.MaxAttempts)
	assert.Equal(t, 10*time.Second, c.RequestTimeout)
}

func TestValidateNamesEachVariableThatIsOutOfItsBounds(t *testing.T) {
	t.Parallel()
	for attempts, good := range map[int]bool{-1: false, 0: false, 1: true, 100: true, 101: false} {
		c := config(nil)
		c.MaxAttempts = attempts
		if good {
			require.NoError(t, c.Validate())
		} else {
			require.EqualError(t, c.Validate(), "MAX_ATTEMPTS: must be between 1 and 100")
		}
	}
	for timeout, good := range map[time.Duration]bool{
		-time.Second: false, 0: false, 1: false, 100*time.Millisecond - 1: false,
		100 * time.Millisecond: true, time.Minute: true, time.Minute + 1: false,
	} {
		c := config(nil)
		c.RequestTimeout = timeout
		if good {
			require.NoError(t, c.Validate())
		} else {
			require.EqualError(t, c.Validate(), "REQUEST_TIMEOUT: must be between 100ms and 60s")
		}
	}
	require.EqualError(t, client.Config{}.Validate(),
		"MAX_ATTEMPTS: must be between 1 and 100\nREQUEST_TIMEOUT: must be between 100ms and 60s")
}

func TestRegions(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		regions, err := c.RegisteredRegions(t.Context())
		require.NoError(t, err, "404 IIC.1254 means none")
		assert.Empty(t, regions)

		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, "cn-north-4", cloud.Region())
		sent := cloud.Requests()
		assert.Equal(t, client.Sent{Attempts: 1, RequestID: sent[1].ID}, done)
		assert.JSONEq(t, `{"region_id":"cn-north-4"}`, string(sent[1].Body))
		assert.Equal(t, "application/json", sent[1].Header.Get("Content-Type"))
		for _, header := range []string{"host", "x-domain-id", "x-sdk-date", "x-security-token"} {
			assert.Contains(t, sent[1].Header.Get("Authorization"), header)
		}

		regions, err = c.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"cn-north-4"}, regions)

		done, err = c.RegisterRegion(t.Context(), "cn-south-1")
		refusal := client.Refusal(err)
		require.NotNil(t, refusal)
		assert.Equal(t, 409, refusal.Status)
		assert.Equal(t, "IIC.1216", refusal.Code)
		assert.Equal(t, client.Sent{Attempts: 1, RequestID: refusal.RequestID}, done)
	})
}

func TestAListOfRegionsMayHoldFieldsOfAnyName(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", registeredPath, huaweitest.Fault{
			Status: 200, Body: []byte(`{"regions":[],"meta":{"code":"200","message":"ok"}}`),
		})
		regions, err := c.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, regions)
	})
}

func TestOnlyTwoRefusalsToListRegionsMeanThatThereIsNone(t *testing.T) {
	t.Parallel()
	for code, kind := range map[string]attempt.Kind{
		"IIC.404": "", "IIC.1254": "", "IdentityCenter.1254": "",
		"IIC.400": attempt.Refused, "IIC.1002": attempt.Refused,
		"": attempt.Misconfigured, "APIGW.0101": attempt.Misconfigured,
	} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("GET", registeredPath, huaweitest.Fault{Status: 404, Code: code})
			_, err := c.RegisteredRegions(t.Context())
			if kind == "" {
				require.NoError(t, err, code)
				return
			}
			require.Error(t, err, code)
			assert.Equal(t, kind, attempt.KindOf(err), code)
		})
	}
}

func TestDelegatedAdministrators(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		_, err := c.Account(t.Context(), account)
		require.NotNil(t, client.Refusal(err))
		cloud.AddAccount(account, "suspended")
		got, err := c.Account(t.Context(), account)
		require.NoError(t, err)
		assert.Equal(t, client.Account{
			ID: account, Name: "account-" + account, JoinMethod: "created", Status: "suspended",
		}, got)

		cloud.AddAccount(account, "active")
		cloud.TrustService(secMaster)
		done, err := c.RegisterDelegatedAdministrator(t.Context(), account, secMaster)
		require.NoError(t, err)
		assert.Equal(t, 1, done.Attempts)
		assert.NotEmpty(t, done.RequestID)
		services, err := c.DelegatedServices(t.Context(), account)
		require.NoError(t, err)
		assert.Equal(t, []string{secMaster}, services)
		trusted, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{secMaster}, trusted)
	})
}

func TestTrustedServices(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.AddService("service.X")
		services, err := c.Services(t.Context())
		require.NoError(t, err)
		assert.Subset(t, services, []string{secMaster, "service.CTS", "service.X"})

		done, err := c.EnableTrustedService(t.Context(), secMaster)
		require.NoError(t, err)
		assert.Equal(t, 1, done.Attempts)
		assert.NotEmpty(t, done.RequestID)
		assert.Equal(t, []string{secMaster}, cloud.Trusted())

		for _, refused := range []string{secMaster, "service.Nothing"} {
			_, err = c.EnableTrustedService(t.Context(), refused)
			require.NotNil(t, client.Refusal(err), refused)
		}
		cloud.Script("GET", "/v1/organizations/services", huaweitest.Fault{
			Status: 200, Body: []byte(`{"services":["` + secMaster + `",""]}`), Times: huaweitest.Forever,
		})
		services, err = c.Services(t.Context())
		require.ErrorContains(t, err,
			"Services: status 200 the answer can't be read: it lists a service without a name")
		assert.Empty(t, services)
	})
}

func TestAnAccountIDStaysOneSegmentOfThePath(t *testing.T) {
	t.Parallel()
	for id, path := range map[string]string{
		"a/b": "/v1/organizations/accounts/a%2Fb/delegated-services",
		"..":  "/v1/organizations/accounts/%2E%2E/delegated-services",
		"":    "/v1/organizations/accounts//delegated-services",
		"a?b": "/v1/organizations/accounts/a%3Fb/delegated-services",
	} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			_, err := c.DelegatedServices(t.Context(), id)
			require.Error(t, err)
			require.Len(t, cloud.Requests(), 1)
			assert.Equal(t, path, cloud.Requests()[0].Path)
			assert.True(t, cloud.Requests()[0].Verified)
		})
	}
}
