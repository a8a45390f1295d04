// Package wire is how registrar speaks HTTP: one transport, one type of endpoint, one way to tell
// what a failure to get an answer means, and the one place where text from outside is cut and freed
// of secrets.
package wire

import "net/http"

// UserAgent is what registrar calls itself in requests.
const UserAgent = "registrar"

// MaxHeader is how many bytes of headers an answer may have, with all that come before it.
const MaxHeader = 64 << 10

// Client makes an HTTP client that follows no redirects and has no timeout of its own. A nil
// transport is HTTP/1.1 with keep-alive, through the proxy that HTTPS_PROXY and NO_PROXY name.
func Client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.MaxResponseHeaderBytes = MaxHeader // net/http itself takes 10 MiB
		ReportProxy(t)
		transport = t
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
