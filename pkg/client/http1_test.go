package client

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// It reaches inside to make the client's own transport trust the test's certificate.
func TestItSpeaksHTTP1WithServersThatOfferHTTP2(t *testing.T) {
	t.Parallel()
	var protocol atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protocol.Store(r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	c := New(Config{IdentityCenter: Endpoint(server.URL), MaxAttempts: 1, RequestTimeout: 10 * time.Second}, Static(Credentials{AccessKey: "a", SecretKey: "s"}))
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	_, err := c.RegisterRegion(t.Context(), "cn-north-4")
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1", protocol.Load())
}
