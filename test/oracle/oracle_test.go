// Package oracle holds Huawei Cloud's official Go SDK against ours: its signer against client.Sign,
// its service clients against the fake in internal/huaweitest, its reading of errors against
// client.APIError. Package aws beside it does the same with AWS's. The SDKs are large, so this is a
// module of its own.
package oracle

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/global"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"
	identitycenter "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/identitycenter/v1"
	organizations "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/organizations/v1"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

const (
	account    = "05261f923e80d3890f33c0056e9b3f80"
	secMaster  = "service.SecMaster"
	region     = "cn-north-4"
	dateLayout = "20060102T150405Z"
)

// TestMain fails when a test leaves something in the home directory: a client of the SDK without a
// user agent of its own does.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		home, err := os.MkdirTemp("", "oracle")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(home)
		if err := os.Setenv("HOME", home); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
			fmt.Fprintln(os.Stderr, "written to the home directory:", left, err)
			return 1
		}
		return code
	}())
}

func kindsOfCredentials() map[string]huaweitest.Credentials {
	const domain = "0a6d25d23900d45c0faac010e0fb4de0"
	return map[string]huaweitest.Credentials{
		"permanent credentials":               {AccessKey: "AK1", SecretKey: "SK1"},
		"permanent credentials with a domain": {AccessKey: "AK2", SecretKey: "SK2", DomainID: domain},
		"temporary credentials":               {AccessKey: "AK3", SecretKey: "SK3", SecurityToken: "TOKEN+3/=="},
		"temporary credentials with a domain": {
			AccessKey: "AK4", SecretKey: "SK4", SecurityToken: "TOKEN+4/==", DomainID: domain,
		},
	}
}

// site is a fake Huawei Cloud behind a real server, and who calls it.
type site struct {
	*huaweitest.Cloud
	server *httptest.Server
	keys   huaweitest.Credentials
}

func newSite(t *testing.T, keys huaweitest.Credentials) site {
	t.Helper()
	cloud := huaweitest.New(keys)
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	return site{cloud, server, keys}
}

func (s site) ours() *client.Client {
	endpoint, err := wire.ParseEndpoint(s.server.URL)
	if err != nil {
		panic(err)
	}
	return client.New(client.Config{
		IdentityCenter: endpoint, Organizations: endpoint,
		MaxAttempts: 1, RequestTimeout: time.Minute,
	}, client.Static(ourCredentials(s.keys)))
}

func ourCredentials(keys huaweitest.Credentials) client.Credentials {
	return client.Credentials{
		AccessKey: client.Secret(keys.AccessKey), SecretKey: client.Secret(keys.SecretKey),
		SecurityToken: client.Secret(keys.SecurityToken), DomainID: client.DomainID(keys.DomainID),
	}
}

// official is the SDK's clients of both services.
type official struct {
	*identitycenter.IdentityCenterClient
	*organizations.OrganizationsClient
}

func (s site) official(t *testing.T) official {
	t.Helper()
	creds, err := global.NewCredentialsBuilder().WithAk(s.keys.AccessKey).WithSk(s.keys.SecretKey).
		WithSecurityToken(s.keys.SecurityToken).WithDomainId(s.keys.DomainID).SafeBuild()
	require.NoError(t, err)
	build := func(b *core.HcHttpClientBuilder) *core.HcHttpClient {
		settings := config.DefaultHttpConfig().WithUserAgent("oracle").
			WithHttpRoundTripper(s.server.Client().Transport)
		c, err := b.WithEndpoints([]string{s.server.URL}).WithCredential(creds).WithHttpConfig(settings).SafeBuild()
		require.NoError(t, err)
		return c
	}
	return official{
		identitycenter.NewIdentityCenterClient(build(identitycenter.IdentityCenterClientBuilder())),
		organizations.NewOrganizationsClient(build(organizations.OrganizationsClientBuilder())),
	}
}

// message is what a signature covers.
type message struct {
	method string
	path   string // decoded
	query  url.Values
	signed map[string]string // headers by canonical name, Host and X-Sdk-Date among them
	body   []byte
}

// authorization is the header that the official signer makes for the message, with the same headers
// signed and no others.
func (m message) authorization(t *testing.T, accessKey, secretKey string) string {
	t.Helper()
	builder := request.NewHttpRequestBuilder().
		WithEndpoint("https://"+m.signed["Host"]).WithMethod(m.method).WithPath(m.path).
		WithBody("", string(m.body)). // a string is taken as it is, all else is encoded
		AddHeaderParam("Content-Type", "application/json")
	for name, value := range m.signed {
		builder.AddHeaderParam(name, value)
	}
	for key, values := range m.query {
		builder.AddQueryParam(key, reflect.ValueOf(values))
	}
	headers, err := signer.Sign(builder.Build(), accessKey, secretKey)
	require.NoError(t, err)
	require.Equal(t, m.signed["X-Sdk-Date"], headers["X-Sdk-Date"], "signed as of the same time")
	return headers["Authorization"]
}
