package huaweitest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"registrar/internal/huaweitest"

	"github.com/stretchr/testify/require"
)

const (
	regions    = "/v1/register-regions"
	registered = "/v1/registered-regions"
	delegated  = "/v1/organizations/delegated-administrators"
	admins     = "/v1/organizations/delegated-administrators/register"
	deregister = "/v1/organizations/delegated-administrators/deregister"
	members    = "/v1/organizations/accounts"
	accounts   = "/v1/organizations/accounts/"
	creations  = "/v1/organizations/create-account-status/"
	services   = "/v1/organizations/services"
	trusted    = "/v1/organizations/trusted-services"
	enable     = "/v1/organizations/trusted-services/enable"
	disable    = "/v1/organizations/trusted-services/disable"
)

var (
	permanent = huaweitest.Credentials{AccessKey: "AK1", SecretKey: "SK1"}
	temporary = huaweitest.Credentials{
		AccessKey: "AK2", SecretKey: "SK2", SecurityToken: "TOKEN2==", DomainID: "domain-2",
	}
)

// client signs as a client should and calls over any transport, without a network if it is a Cloud.
type client struct {
	t         *testing.T
	transport http.RoundTripper
	base      string
	creds     huaweitest.Credentials
	at        time.Time // when the request is signed; zero is now
}

func newClient(t *testing.T, c http.RoundTripper) client {
	t.Helper()
	return client{t: t, transport: c, base: "https://huawei.example", creds: permanent}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	raw    string
	Code   string `json:"error_code"`
	ID     string `json:"request_id"`
}

func (c client) call(method, path, body string) reply {
	c.t.Helper()
	r, err := c.try(method, path, body)
	require.NoError(c.t, err)
	return r
}

func (c client) try(method, path, body string) (reply, error) {
	c.t.Helper()
	return c.do(c.request(method, path, body))
}

func (c client) do(req *http.Request) (reply, error) {
	c.t.Helper()
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	r := reply{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &r)
	return r, err
}

func (c client) request(method, path, body string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	at := c.at
	if at.IsZero() {
		at = time.Now()
	}
	req.Header.Set("X-Sdk-Date", at.UTC().Format("20060102T150405Z"))
	signed := []string{"host", "x-sdk-date"}
	if c.creds.SecurityToken != "" {
		req.Header.Set("X-Security-Token", c.creds.SecurityToken)
		signed = append(signed, "x-security-token")
	}
	if c.creds.DomainID != "" {
		req.Header.Set("X-Domain-Id", c.creds.DomainID)
		signed = append(signed, "x-domain-id")
	}
	sign(req, body, c.creds, signed...)
	return req
}

// sign is a client's signing, for requests whose URL is in canonical form already. It shares no
// code with the verifier.
func sign(req *http.Request, body string, creds huaweitest.Credentials, signed ...string) {
	slices.Sort(signed)
	var headers strings.Builder
	for _, name := range signed {
		value := req.Header.Get(name)
		if name == "host" {
			value = req.URL.Host
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	list := strings.Join(signed, ";")
	payload := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	if declared := req.Header.Get("X-Sdk-Content-Sha256"); declared != "" {
		payload = declared
	}
	canonical := req.Method + "\n" + req.URL.EscapedPath() + "/\n" + req.URL.RawQuery + "\n" +
		headers.String() + "\n" + list + "\n" + payload
	mac := hmac.New(sha256.New, []byte(creds.SecretKey))
	fmt.Fprintf(mac, "SDK-HMAC-SHA256\n%s\n%x", req.Header.Get("X-Sdk-Date"), sha256.Sum256([]byte(canonical)))
	req.Header.Set(
		"Authorization",
		fmt.Sprintf("SDK-HMAC-SHA256 Access=%s, SignedHeaders=%s, Signature=%x", creds.AccessKey, list, mac.Sum(nil)),
	)
}

func last(c *huaweitest.Cloud) huaweitest.Request {
	all := c.Requests()
	return all[len(all)-1]
}
