// Package wire is how registrar speaks HTTP: one transport, one type of endpoint, one way to tell
// what a failure to get an answer means, and the one place where text from outside is cut and freed
// of secrets.
package wire

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// UserAgent is what registrar calls itself in requests.
const UserAgent = "registrar"

// MaxHeader is how many bytes of headers an answer may have, with all that come before it.
const MaxHeader = 64 << 10

// maxIdle is how many connections to a host are kept for other requests: the most that CONCURRENCY
// can be.
const maxIdle = 100

// openLimit is how long opening a connection may take where nobody says so.
const openLimit = 10 * time.Second

// Transport makes a transport that is HTTP/1.1 with keep-alive, through the proxy that HTTPS_PROXY
// and NO_PROXY name. It opens at most so many connections to a host, 0 for no bound. Whoever knows
// how many requests there are at once should say so: while a connection is being opened, net/http
// opens yet another for each further request.
//
// Connecting, and the handshake of TLS, may each take as long as limit. They go on when their
// request has given up, and a connection counts until it is given up, too.
func Transport(connections int, limit time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: limit}).DialContext
	t.TLSHandshakeTimeout = limit
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxResponseHeaderBytes = MaxHeader // net/http itself takes 10 MiB
	t.TLSClientConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	t.MaxConnsPerHost = connections
	t.MaxIdleConnsPerHost, t.MaxIdleConns = maxIdle, 0 // net/http itself keeps 2 of a host
	ReportProxy(t)
	return t
}

// Client makes an HTTP client that follows no redirects and has no timeout of its own. A nil
// transport is [Transport] without a bound.
func Client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = Transport(0, openLimit)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
