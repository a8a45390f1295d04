package wire_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/wire"
)

func TestItSpeaksHTTP1WithServersThatOfferHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := wire.Client(nil)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}

	resp, err := c.Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1", string(body))
}

func TestAnotherConnectionResumesTheSessionOfTheFirst(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				_, _ = fmt.Fprint(w, r.TLS.DidResume)
			}))
			server.TLS = &tls.Config{MaxVersion: version}
			server.StartTLS()
			t.Cleanup(server.Close)
			transport := wire.Transport(0, 10*time.Second)
			transport.TLSClientConfig.RootCAs = x509.NewCertPool()
			transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
			c := wire.Client(transport)
			for _, resumed := range []string{"false", "true"} {
				resp, err := c.Get(server.URL)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				assert.Equal(t, resumed, string(body))
			}
		})
	}
}

func TestNothingBoundsTheConnectionsOfWhoeverDoesNotSay(t *testing.T) {
	t.Parallel()
	const atOnce = 120
	var n atomic.Int32
	full := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == atOnce {
			close(full)
		}
		<-full
	}))
	t.Cleanup(server.Close)
	c := wire.Client(nil)
	t.Cleanup(c.CloseIdleConnections)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			resp, err := c.Get(server.URL)
			if assert.NoError(t, err) {
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

func TestRedirectsAreAnswersWhateverTheTransport(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]http.RoundTripper{"its own": nil, "another": &http.Transport{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
			t.Cleanup(server.Close)
			resp, err := wire.Client(transport).Get(server.URL)
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Equal(t, http.StatusFound, resp.StatusCode)
		})
	}
}

func TestEveryClientHasATransportOfItsOwn(t *testing.T) {
	t.Parallel()
	one, other := wire.Client(nil), wire.Client(nil)
	assert.NotSame(t, one.Transport, other.Transport)
	assert.NotSame(t, http.DefaultTransport, wire.Client(nil).Transport)
	assert.NotNil(t, wire.Client(nil).Transport.(*http.Transport).Proxy, "the proxy that the environment names")
}
