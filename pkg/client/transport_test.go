package client_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

// These need a real connection, through the transport that the client makes for itself.

func serve(t *testing.T, h http.Handler, start func(*httptest.Server)) (*httptest.Server, client.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(server)
	t.Cleanup(server.Close)
	c := config(nil)
	c.IdentityCenter, c.Organizations, c.MaxAttempts = endpoint(server.URL), endpoint(server.URL), 1
	return server, c
}

func TestSignaturesHoldOnTheWire(t *testing.T) {
	t.Parallel()
	cloud := huaweitest.New(keys())
	_, c := serve(t, cloud, (*httptest.Server).Start)
	c.Organizations = endpoint(c.Organizations.String() + "/behind/a%20path/") // the signature covers the path as sent
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
	require.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
	require.ErrorContains(t, err, "status 307")
	assert.Zero(t, elsewhere.Load())
}

func TestAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	_, c := serve(t, huaweitest.New(keys()), (*httptest.Server).StartTLS)
	_, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
	require.ErrorContains(t, err, "RegisterRegion: ")
	require.ErrorContains(t, err, "certificate")
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
	assert.Nil(t, client.Refusal(err))
}

// behind is a config whose requests go to an https endpoint through a proxy that answers CONNECT
// so.
func behind(t *testing.T, answer http.HandlerFunc) client.Config {
	t.Helper()
	proxy, c := serve(t, answer, (*httptest.Server).Start)
	address, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	transport, ok := wire.Client(nil).Transport.(*http.Transport)
	require.True(t, ok)
	transport.Proxy = http.ProxyURL(address)
	t.Cleanup(transport.CloseIdleConnections)
	c.Transport = transport
	c.IdentityCenter = endpoint("https://identitycenter.myhuaweicloud.com")
	return c
}

func TestAProxyThatRefusesToConnectIsTheProxysFault(t *testing.T) {
	t.Parallel()
	for status, kind := range map[int]attempt.Kind{
		407: attempt.Misconfigured, 403: attempt.Misconfigured, 404: attempt.Misconfigured,
		408: attempt.Transient, 429: attempt.Transient, 502: attempt.Transient, 503: attempt.Transient,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Value
			c := behind(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Store(r.Method + " " + r.Host)
				w.WriteHeader(status)
			})
			done, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
			require.ErrorContains(t, err, "RegisterRegion: ")
			require.ErrorContains(t, err, fmt.Sprintf("the proxy %s answered CONNECT with status %d",
				strings.TrimPrefix(c.Organizations.String(), "http://"), status))
			assert.Equal(t, kind, attempt.KindOf(err))
			assert.Equal(t, client.Sent{Attempts: 1}, done)
			assert.Equal(t, "CONNECT identitycenter.myhuaweicloud.com:443", asked.Load())
		})
	}
}

func TestAServerThatQuotesATokenInAMalformedAnswerDoesNotGetItIntoTheLog(t *testing.T) {
	t.Parallel()
	_, c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		assert.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, r.Header.Get("X-Security-Token")+"\x1b[31m\r\n\r\n")
		assert.NoError(t, err)
	}), (*httptest.Server).Start)
	_, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
	require.ErrorContains(t, err, "[redacted]")
	assert.NotContains(t, err.Error(), keys().SecurityToken)
	assert.NotContains(t, err.Error(), "\x1b")
	assert.Equal(t, attempt.Transient, attempt.KindOf(err))
}

func TestAConnectionThatIsRefusedIsTransient(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1" // another test may get the port of a server that was closed
	c := config(nil)
	c.IdentityCenter, c.MaxAttempts = endpoint(nobody), 1
	_, err := client.New(c, client.Static(credentials(keys()))).RegisterRegion(t.Context(), "cn-north-4")
	require.Equal(t, attempt.Transient, attempt.KindOf(err))
	require.ErrorContains(t, err, "connection refused")
	assert.NotContains(t, err.Error(), nobody+"/v1", "the operation says it")
}

func TestAnAnswerThatStallsIsCut(t *testing.T) {
	t.Parallel()
	_, c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"regions":[`)
		assert.NoError(t, http.NewResponseController(w).Flush())
		<-r.Context().Done()
	}), (*httptest.Server).Start)
	c.RequestTimeout = 100 * time.Millisecond
	_, err := client.New(c, client.Static(credentials(keys()))).RegisteredRegions(t.Context())
	require.EqualError(t, err, "RegisteredRegions: status 200 the answer can't be read: "+
		"no answer within 100ms: context deadline exceeded")
	assert.Equal(t, attempt.Transient, attempt.KindOf(err))
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
	for name, start := range map[string]func(*httptest.Server){
		"http": (*httptest.Server).Start, "https": (*httptest.Server).StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := huaweitest.New(keys())
			var connections atomic.Int32
			server, c := serve(t, cloud, func(s *httptest.Server) {
				s.Config.ConnState = countNew(&connections)
				start(s)
			})
			transport := wire.Transport(0, 10*time.Second)
			trust(transport, server)
			c.Transport = transport
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
		})
	}
}

func TestWarmOpensOneConnectionToEachHost(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]int32{"the same": {1, 0}, "two": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := huaweitest.New(keys())
			cloud.AddAccount("a", "active")
			var connections [2]atomic.Int32
			counted := func(n *atomic.Int32) func(*httptest.Server) {
				return func(s *httptest.Server) {
					s.Config.ConnState = countNew(n)
					s.Start()
				}
			}
			_, c := serve(t, cloud, counted(&connections[0]))
			_, other := serve(t, cloud, counted(&connections[1]))
			if name == "two" {
				c.IdentityCenter = other.IdentityCenter
			}
			api := client.New(c, client.Static(credentials(keys())))
			api.WarmBoth(t.Context())
			_, err := api.RegisteredRegions(t.Context())
			require.NoError(t, err)
			_, err = api.Accounts(t.Context())
			require.NoError(t, err)
			assert.Equal(t, want, [2]int32{connections[0].Load(), connections[1].Load()})
			heads := 0
			for _, r := range cloud.Requests()[:want[0]+want[1]] {
				if r.Method == http.MethodHead {
					heads++
				}
			}
			assert.EqualValues(t, want[0]+want[1], heads, "before any call")
		})
	}
}

func TestAnEndpointThatHangsDoesNotKeepCredentialsFromBeingWarmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := huaweitest.New(keys())
		cloud.Script("HEAD", "", huaweitest.Fault{Delay: time.Hour})
		loads := 0
		c := client.New(config(cloud), func(ctx context.Context) (client.Credentials, error) {
			loads++
			return credentials(keys()), ctx.Err()
		})
		c.WarmOrganizations(t.Context())
		_, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, loads)
	})
}

// answers take the first requests at once, and let no other connection in until all of these are
// answered: as when a connection takes longer to open than a request to answer. After that they
// hold requests until so many are there together.
type answers struct {
	first, together int32

	n, connections atomic.Int32
	gate, full     context.Context // done when the first are answered, and when all are there
	open, release  context.CancelFunc
}

func newAnswers(t *testing.T, first, together int) *answers {
	t.Helper()
	a := &answers{first: int32(first), together: int32(together)}
	a.gate, a.open = context.WithCancel(t.Context())
	a.full, a.release = context.WithCancel(t.Context())
	return a
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return
	}
	n := a.n.Add(1)
	switch n {
	case a.first:
		a.open()
	case a.first + a.together:
		a.release()
	}
	if n > a.first {
		<-a.full.Done()
	}
	_, _ = io.WriteString(w, `{"services":["service.SecMaster"]}`)
}

// shut lets one connection in, and all others when the gate is open.
type shut struct {
	net.Listener
	gate context.Context
	once sync.Once
}

func (l *shut) Accept() (net.Conn, error) {
	first := false
	l.once.Do(func() { first = true })
	if !first {
		<-l.gate.Done()
	}
	return l.Listener.Accept()
}

func TestABatchOpensAsManyConnectionsAsItMakesCallsAtOnce(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 10, 50} {
		for scheme, start := range map[string]func(*httptest.Server){
			"http": (*httptest.Server).Start, "https": (*httptest.Server).StartTLS,
		} {
			t.Run(fmt.Sprint(scheme, concurrency), func(t *testing.T) {
				t.Parallel()
				cloud := newAnswers(t, 3*concurrency, concurrency)
				server, c := serve(t, cloud, func(s *httptest.Server) {
					s.Config.ConnState = countNew(&cloud.connections)
					s.Listener = &shut{Listener: s.Listener, gate: cloud.gate}
					start(s)
				})
				transport := wire.Transport(concurrency, 10*time.Second)
				trust(transport, server)
				c.Transport, c.RequestTimeout = transport, time.Minute
				api := client.New(c, client.Static(credentials(keys())))
				api.WarmOrganizations(t.Context())
				for range 2 { // the second finds the connections of the first
					callAtOnce(t, api, 500, concurrency)
				}
				assert.EqualValues(t, concurrency, cloud.connections.Load())
			})
		}
	}
}

// callAtOnce makes so many calls, that many at once.
func callAtOnce(t *testing.T, api *client.Client, calls, concurrency int) {
	t.Helper()
	slots := make(chan struct{}, concurrency)
	var wg sync.WaitGroup
	for range calls {
		slots <- struct{}{}
		wg.Go(func() {
			_, err := api.Services(t.Context())
			assert.NoError(t, err)
			<-slots
		})
	}
	wg.Wait()
}

// trust makes the transport trust the server's certificate if it has one.
func trust(transport *http.Transport, server *httptest.Server) {
	if certificate := server.Certificate(); certificate != nil {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AddCert(certificate)
	}
}

func TestWarmGivesUpAndSaysNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("HEAD", "", huaweitest.Fault{Delay: time.Hour})
		start := time.Now()
		c.Warm(t.Context(), endpoint("https://identitycenter.myhuaweicloud.com"))
		assert.Equal(t, 2*time.Second, time.Since(start))
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
	cloud.Script("GET", "", huaweitest.Fault{
		Status: 404, Body: []byte(`{"error_code":"APIGW.0101",`), Header: http.Header{"Content-Length": {"80"}},
	})
	_, err := client.New(c, client.Static(credentials(keys()))).Account(t.Context(), account)
	require.Equal(t, attempt.Transient, attempt.KindOf(err), "whether the account is unknown was not said")
	require.ErrorContains(t, err, "status 404")
	require.ErrorContains(t, err, "the answer broke off")
}
