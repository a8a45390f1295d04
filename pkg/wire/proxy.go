package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"registrar/pkg/attempt"
)

// ProxyURL checks the text of a variable that names a proxy, and keeps nothing of it: net/http
// reads the variable by itself, and would call directly, without a word, where it can't make sense
// of it.
type ProxyURL struct{}

// UnmarshalText takes what net/http takes for a proxy. Its error doesn't show the text, which may
// have a password in it. The empty text means that there is no proxy.
func (*ProxyURL) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	full := string(text)
	if !strings.Contains(full, "://") {
		full = "http://" + full // host:port will do
	}
	u, err := url.Parse(full)
	if err != nil || !reachable(u) || strings.Trim(u.Path, "/") != "" {
		return errors.New("must be the URL of a proxy, such as http://proxy.example.com:3128, " +
			"with special characters in its user name and password percent-encoded")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return nil
	}
	return errors.New("must begin with http://, https:// or socks5://")
}

// NoProxy is the text of a variable that names what is called without a proxy. It is read only to
// be checked, like a [ProxyURL]: net/http ignores what it can't make sense of.
type NoProxy string

// UnmarshalText takes a comma-separated list of hosts, addresses and networks. Its error doesn't
// show the text.
func (n *NoProxy) UnmarshalText(text []byte) error {
	*n = NoProxy(text)
	for entry := range strings.SplitSeq(string(text), ",") {
		entry = strings.TrimSpace(entry)
		if _, _, err := net.ParseCIDR(entry); err != nil && strings.ContainsAny(entry, "/@ \t") {
			return errors.New("must be a comma-separated list of hosts, addresses and networks, " +
				"such as .example.com,10.0.0.0/8")
		}
	}
	return nil
}

// checkProxy ends each text about a proxy.
const checkProxy = "check HTTPS_PROXY and NO_PROXY"

// ReportProxy makes t report what a proxy answers to CONNECT as a failure with its kind, which
// names the proxy. Left alone, net/http would report it as if the server itself had failed.
func ReportProxy(t *http.Transport) {
	t.OnProxyConnectResponse = proxyAnswered
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &dialed{Conn: conn, address: address}, nil
	}
}

func proxyAnswered(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	kind := attempt.Transient
	switch status := answer.StatusCode; {
	case status == http.StatusOK:
		return nil
	case status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		kind = attempt.Misconfigured
	}
	return kind.Errorf("the proxy %s answered CONNECT with status %d %s: %s",
		proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode), checkProxy)
}

// dialed is a connection that fails if what comes after CONNECT doesn't begin as HTTP does. It sees
// nothing of it if the way to the proxy is encrypted.
type dialed struct {
	net.Conn
	address string
	asked   atomic.Bool // CONNECT was written, and nothing read since
}

func (c *dialed) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("CONNECT ")) {
		c.asked.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *dialed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	const begin = "HTTP/"
	if n > 0 && c.asked.Swap(false) && string(p[:min(n, len(begin))]) != begin[:min(n, len(begin))] {
		return 0, attempt.Misconfigured.Errorf("the proxy %s answered CONNECT with something that isn't HTTP: %s",
			c.address, checkProxy)
	}
	return n, err
}

// socksFailed is the failure that a SOCKS proxy caused, nil if err is something else. net/http has
// no types for what such a proxy says, and fixed texts.
func socksFailed(err error) *attempt.Failure {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || !strings.HasPrefix(op.Op, "socks") || op.Source == nil {
		return nil
	}
	kind := attempt.Transient
	for _, forGood := range []string{"authentication", "username", "protocol version", "not allowed", "not supported"} {
		if strings.Contains(op.Err.Error(), forGood) {
			kind = attempt.Misconfigured
		}
	}
	return &attempt.Failure{
		Kind: kind, Err: fmt.Errorf("the proxy %s doesn't connect: %w: %s", op.Source, op.Err, checkProxy),
	}
}
