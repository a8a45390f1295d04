// Package wire is how registrar speaks HTTP: one transport, one type of endpoint, one way to tell
// what a failure to get an answer means, and the one place where text from outside is cut and freed
// of secrets.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"registrar/pkg/attempt"
)

// UserAgent is what registrar calls itself in requests.
const UserAgent = "registrar"

// Client makes an HTTP client that follows no redirects and has no timeout of its own. A nil
// transport is HTTP/1.1 with keep-alive, through the proxy that HTTPS_PROXY and NO_PROXY name.
func Client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.OnProxyConnectResponse = proxyAnswered
		transport = t
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// proxyAnswered is asked about the answer of a proxy to CONNECT. Left alone, net/http would report
// the proxy's status text as if nobody had answered.
func proxyAnswered(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	kind := attempt.Transient
	switch status := answer.StatusCode; {
	case status == http.StatusOK:
		return nil
	case status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		kind = attempt.Misconfigured
	}
	return kind.Errorf("the proxy %s answered CONNECT with status %d %s: check HTTPS_PROXY and NO_PROXY",
		proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode))
}

// Unanswered tells what err, of an [http.Client] or of reading a body, means for an attempt that
// ran in ctx. The failure doesn't show the URL, which may hold a secret. What else it shows may be
// the bytes of a server, and is cleaned of the secrets as [Clean] does.
func Unanswered(ctx context.Context, err error, secrets ...string) *attempt.Failure {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // rather than what became of it in the layers below
	}
	kind := attempt.KindOf(err)
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		kind = attempt.Misconfigured
	}
	return &attempt.Failure{Kind: kind, Err: cleanError{err, Clean(err.Error(), maxError, secrets...)}}
}

const maxError = 1 << 10 // bytes of a text of an error

// cleanError is an error with another text.
type cleanError struct {
	error
	text string
}

func (e cleanError) Error() string { return e.text }

func (e cleanError) Unwrap() error { return e.error }

// ProxyURL is the text of a variable that names a proxy. It is read only to be checked: net/http
// reads the variable by itself, and would call directly, without a word, where it can't make sense
// of it.
type ProxyURL string

// UnmarshalText takes what net/http takes for a proxy. Its error doesn't show the text, which may
// have a password in it. The empty text means that there is no proxy.
func (p *ProxyURL) UnmarshalText(text []byte) error {
	*p = ProxyURL(text)
	if len(text) == 0 {
		return nil
	}
	full := string(text)
	if !strings.Contains(full, "://") {
		full = "http://" + full // host:port will do
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" {
		return errors.New("must be the URL of a proxy, such as http://proxy.example.com:3128, " +
			"with special characters in its user name and password percent-encoded")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return nil
	}
	return errors.New("must begin with http://, https:// or socks5://")
}
