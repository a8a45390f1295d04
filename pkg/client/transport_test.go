package client_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/client"
)

// These need a real connection, through the transport that the client makes for itself.

func serve(t *testing.T, h http.Handler, start func(*httptest.Server)) (*httptest.Server, client.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(server)
	t.Cleanup(server.Close)
	c := config(nil)
	c.IdentityCenter, c.Organizations, c.MaxAttempts = client.Endpoint(server.URL), client.Endpoint(server.URL), 1
	return server, c
}

func TestSignaturesHoldOnTheWire(t *testing.T) {
	t.Parallel()
	cloud := huaweitest.New(keys())
	_, c := serve(t, cloud, (*httptest.Server).Start)
	c.Organizations += "/behind/a path" // the signature covers the path as sent
	cloud.TrustService("service.A", "service.B", "service.C")
	cloud.PageSize(1) // with markers that need escaping
	api := client.New(c, client.Static(credentials(keys())))
	_, err := api.RegisterRegion(t.Context(), "cn-north-4")
	require.NoError(t, err)
	_, err = api.TrustedServices(t.Context())
	require.ErrorContains(t, err, "APIGW.0101", "the fake has no such path")

	c.Organizations = c.IdentityCenter
	trusted, err := client.New(c, client.Static(credentials(keys()))).TrustedServices(t.Context())
	require.NoError(t, err)
	assert.Len(t, trusted, 3)
	for _, r := range cloud.Requests() {
		assert.True(t, r.Verified, r.String())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	_, c := serve(t, http.RedirectHandler(other.URL, http.StatusTemporaryRedirect), (*httptest.Server).Start)
	_, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
	require.ErrorIs(t, err, client.ErrMisconfigured)
	require.ErrorContains(t, err, "status 307")
	assert.Zero(t, elsewhere.Load())
}

func TestAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	_, c := serve(t, huaweitest.New(keys()), (*httptest.Server).StartTLS)
	_, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
	require.ErrorIs(t, err, client.ErrMisconfigured)
	require.ErrorContains(t, err, "certificate")
}

func TestAConnectionThatIsRefusedIsTransient(t *testing.T) {
	t.Parallel()
	server, c := serve(t, nil, (*httptest.Server).Start)
	server.Close()
	_, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
	require.ErrorIs(t, err, client.ErrTransient)
	assert.NotContains(t, err.Error(), server.URL+"/v1", "the operation says it")
}

func TestAnEndlessAnswerIsCut(t *testing.T) {
	t.Parallel()
	_, c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		line := []byte(strings.Repeat(" ", 1<<16))
		for {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}), (*httptest.Server).Start)
	_, err := client.New(c, client.Static(credentials(keys()))).RegisteredRegions(t.Context())
	require.ErrorContains(t, err, "larger than")
}

func TestWarmOpensTheConnectionThatTheFirstCallUses(t *testing.T) {
	t.Parallel()
	cloud := huaweitest.New(keys())
	var connections atomic.Int32
	_, c := serve(t, cloud, func(s *httptest.Server) {
		s.Config.ConnState = countNew(&connections)
		s.Start()
	})
	loads := 0
	api := client.New(c, func(context.Context) (client.Credentials, error) {
		loads++
		return credentials(keys()), nil
	})
	api.Warm(t.Context(), c.IdentityCenter)
	require.EqualValues(t, 1, connections.Load())
	assert.Equal(t, 1, loads)
	_, err := api.RegisteredRegions(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, connections.Load())
	assert.Equal(t, 1, loads)
	head := cloud.Requests()[0]
	assert.Equal(t, "HEAD", head.Method)
	assert.Empty(t, head.Header.Get("Authorization"))
}

func TestWarmGivesUpAndSaysNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("HEAD", "", huaweitest.Fault{Delay: time.Hour})
		start := time.Now()
		c.Warm(t.Context(), "https://identitycenter.myhuaweicloud.com")
		assert.Equal(t, 2*time.Second, time.Since(start))
		c.Warm(t.Context(), "::")
	})
}

func countNew(n *atomic.Int32) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}

func TestAnErrorThatBrokeOffIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	cloud := huaweitest.New(keys())
	_, c := serve(t, cloud, (*httptest.Server).Start)
	cloud.Script("GET", "", huaweitest.Fault{Status: 404, Body: []byte(`{"error_code":"APIGW.0101",`), Header: http.Header{"Content-Length": {"80"}}})
	_, err := client.New(c, client.Static(credentials(keys()))).Account(t.Context(), account)
	require.ErrorIs(t, err, client.ErrTransient, "whether the account is unknown was not said")
	require.ErrorContains(t, err, "status 404")
	require.ErrorContains(t, err, "the answer broke off")
}
