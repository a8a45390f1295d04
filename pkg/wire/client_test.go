package wire_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
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

func TestNoAnswerHasAKind(t *testing.T) {
	t.Parallel()
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	for name, c := range map[string]struct {
		err  error
		kind attempt.Kind
		text string
	}{
		"a reset": {io.ErrUnexpectedEOF, attempt.Transient, "unexpected EOF"},
		"its URL is not shown": {
			&url.Error{Op: "Get", URL: "https://a.example/?key=SKexample", Err: io.EOF}, attempt.Transient, "EOF",
		},
		"an untrusted certificate": {
			&url.Error{Err: fmt.Errorf("dial: %w", untrusted)}, attempt.Misconfigured,
			"dial: tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		"a kind of its own": {
			fmt.Errorf("proxy: %w", attempt.Misconfigured.Errorf("407")), attempt.Misconfigured, "proxy: 407",
		},
		"a server quotes secret": {errors.New("malformed \"SKexample\r\n"), attempt.Transient, `malformed "[redacted]`},
		"a server says too much": {
			errors.New(strings.Repeat("x", 5000)), attempt.Transient, strings.Repeat("x", 1021) + "…",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failure := wire.Unanswered(t.Context(), c.err, "SKexample")
			require.EqualError(t, failure, c.text)
			assert.Equal(t, c.kind, attempt.KindOf(failure))
			assert.False(t, failure.Answered)
		})
	}
	failure := wire.Unanswered(t.Context(), io.EOF)
	require.ErrorIs(t, failure, io.EOF)
}

func TestTheCauseOfAnEndedContextIsToldRatherThanWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := attempt.Timeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	failure := wire.Unanswered(ctx, &url.Error{Op: "Get", URL: "x", Err: errors.New("use of closed network connection")})
	require.EqualError(t, failure, "no answer within 1ns: context deadline exceeded")
	require.ErrorIs(t, failure, context.DeadlineExceeded)
	assert.Equal(t, attempt.Transient, attempt.KindOf(failure))
}

// proxies are values of HTTPS_PROXY, and which host net/http would connect to: none means that it
// would call directly, without a word.
func proxies() map[string]struct {
	good bool
	host string
} {
	type proxy = struct {
		good bool
		host string
	}
	return map[string]proxy{
		"":                                      {true, ""},
		"http://proxy.example:3128":             {true, "proxy.example:3128"},
		"https://proxy.example":                 {true, "proxy.example"},
		"socks5://proxy.example:1080":           {true, "proxy.example:1080"},
		"socks5h://proxy.example:1080":          {true, "proxy.example:1080"},
		"proxy.example:3128":                    {true, "proxy.example:3128"},
		"proxy.example":                         {true, "proxy.example"},
		"127.0.0.1:3128":                        {true, "127.0.0.1:3128"},
		"[::1]:3128":                            {true, "[::1]:3128"},
		"corp:secret@proxy.example:3128":        {true, "proxy.example:3128"},
		"http://corp:secret%25@proxy.example:9": {true, "proxy.example:9"},
		"http://proxy.example:3128/":            {true, "proxy.example:3128"},

		"http://corp:secret%ss@127.0.0.1:9":    {false, ""},
		"http://corp:secret word@127.0.0.1:9":  {false, "http:"},
		"http://corp:secret@proxy.example:x":   {false, "http:"},
		"http://corp:sec/ret@proxy.example:80": {false, "http:"},
		"http://":                              {false, "http:"},
		"://secret":                            {false, ":"},
		"ftp://secret.example":                 {false, "secret.example"},
		"direct secret":                        {false, ""},
		" http://secret.example":               {false, ""},
		"secret\x7f":                           {false, ""},
	}
}

func TestOnlyWhatNetHTTPTakesForAProxyIsTaken(t *testing.T) {
	t.Parallel()
	for text, c := range proxies() {
		var p wire.ProxyURL
		err := p.UnmarshalText([]byte(text))
		if c.good {
			require.NoError(t, err, text)
			assert.EqualValues(t, text, p)
			continue
		}
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "secret")
		assert.NotContains(t, err.Error(), "corp")
	}
}

const proxyProbe = "REGISTRAR_TEST_PROXY_PROBE"

// net/http reads the environment once in a process, so each value needs a process of its own.
func TestNetHTTPTakesTheSameForAProxy(t *testing.T) {
	t.Parallel()
	if os.Getenv(proxyProbe) != "" {
		req := httptest.NewRequest(http.MethodGet, "https://organizations.myhuaweicloud.com/", nil)
		u, err := http.ProxyFromEnvironment(req)
		host := ""
		if u != nil {
			host = u.Host
		}
		out, _ := json.Marshal(map[string]any{"host": host, "direct": u == nil, "failed": err != nil})
		fmt.Printf("probe:%s\n", out)
		return
	}
	for text, c := range proxies() {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			probe := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNetHTTPTakesTheSameForAProxy$")
			probe.Env = []string{proxyProbe + "=1", "HTTPS_PROXY=" + text, "GORACE=atexit_sleep_ms=0"}
			out, err := probe.Output()
			require.NoError(t, err)
			_, line, found := strings.Cut(string(out), "probe:")
			require.True(t, found, string(out))
			line, _, _ = strings.Cut(line, "\n")
			var got struct {
				Host           string
				Direct, Failed bool
			}
			require.NoError(t, json.Unmarshal([]byte(line), &got))
			assert.Equal(t, c.host, got.Host)
			assert.False(t, got.Failed, "it never complains")
			if c.good && text != "" {
				assert.False(t, got.Direct, "what is taken is used")
			}
		})
	}
}
