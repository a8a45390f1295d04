package wire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

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

		"http:/1.2.3.4:3128":                   {false, "http:"},
		"http//secret.example:3128":            {false, "http"},
		"http://secret.example:65536":          {false, "secret.example:65536"},
		"secret.example:65536":                 {false, "secret.example:65536"},
		"http://secret.example:":               {false, "secret.example:"},
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
			continue
		}
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "secret")
		assert.NotContains(t, err.Error(), "corp")
	}
}

func TestWhatIsCalledWithoutAProxyIsAList(t *testing.T) {
	t.Parallel()
	for text, taken := range map[string]bool{
		"": true, "*": true, "localhost, 127.0.0.1,::1,": true, ".example.com,*.example.com,example.com:443": true,
		"10.0.0.0/8,fd00::/8": true, "[::1]:80": true,
		"http://secret.example": false, "secret.example/path": false, "10.0.0.0/33": false, "a secret.example": false,
		"me:secret@example.com": false, ".example.com,https://secret.example": false,
	} {
		var n wire.NoProxy
		err := n.UnmarshalText([]byte(text))
		if taken {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, "must be a comma-separated list", text)
		assert.NotContains(t, err.Error(), "secret")
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

// through is the failure of a request through a proxy.
func through(t *testing.T, proxy string) *attempt.Failure {
	t.Helper()
	address, err := url.Parse(proxy)
	require.NoError(t, err)
	c := wire.Client(nil)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(address)
	resp, err := c.Get("https://organizations.myhuaweicloud.com/")
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err)
	return wire.Unanswered(t.Context(), err, wire.Secrets{})
}

func TestAProxyThatDoesNotSpeakHTTPIsNamed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"its password": "Y29ycDpzZWNyZXQ=\r\n\r\n", "another protocol": "SSH-2.0-x\r\n", "a byte": "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := answering(t, answer)
			failure := through(t, "http://corp:secret@"+address)
			require.EqualError(t, failure,
				"the proxy "+address+" answered CONNECT with something that isn't HTTP: check HTTPS_PROXY and NO_PROXY")
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(failure))
		})
	}
	failure := through(t, "http://corp:secret@"+answering(t, "HTTP/1.1 200 OK\r\nY29ycDpzZWNyZXQ=\r\n\r\n"))
	require.EqualError(t, failure, "malformed HTTP [redacted]")
}

func TestWhatASOCKSProxySaysIsTheProxysFault(t *testing.T) {
	t.Parallel()
	reply := func(code byte) string { return string([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0}) }
	for name, c := range map[string]struct {
		answers []string
		kind    attempt.Kind
		text    string
	}{
		"it wants another way": {[]string{"\x05\xff"}, attempt.Misconfigured, "no acceptable authentication methods"},
		"it refuses the password": {
			[]string{"\x05\x02", "\x01\x01"}, attempt.Misconfigured, "username/password authentication failed",
		},
		"it speaks something else": {
			[]string{"HTTP/1.1 400 Bad\r\n"}, attempt.Misconfigured, "unexpected protocol version 72",
		},
		"it may not connect": {
			[]string{"\x05\x00", reply(2)}, attempt.Misconfigured, "unknown error connection not allowed by ruleset",
		},
		"it can't connect": {[]string{"\x05\x00", reply(5)}, attempt.Transient, "unknown error connection refused"},
		"it hangs up":      {[]string{"\x05\x00", ""}, attempt.Transient, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := answering(t, c.answers...)
			failure := through(t, "socks5://corp:secret@"+address)
			require.EqualError(t, failure,
				"the proxy "+address+" doesn't connect: "+c.text+": check HTTPS_PROXY and NO_PROXY")
			assert.Equal(t, c.kind, attempt.KindOf(failure))
		})
	}
}
