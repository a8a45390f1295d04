package wire_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/wire"
)

func TestEndpointsAreHTTPSOrLoopback(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://organizations.myhuaweicloud.eu", "https://gateway.example/huawei", "https://gateway.example/a%2Fb",
		"http://127.0.0.1:8080", "http://127.1.2.3", "http://[::1]:80", "http://localhost:1",
	} {
		for _, text := range []string{good, good + "/", good + "//"} {
			e, err := wire.ParseEndpoint(text)
			require.NoError(t, err, text)
			assert.Equal(t, text, e.String())
			assert.Equal(t, good+"/v1/accounts/a1", e.URL("v1", "accounts", "a1").String())
		}
	}
	for _, bad := range []string{
		"", "organizations.myhuaweicloud.com", "http://organizations.myhuaweicloud.com", "http://10.0.0.1",
		"ftp://127.0.0.1", "https://", "https:///v1", "https:a.example", "//a.example", "https://:443",
		"https://name:secret@c.example", "https://secret@c.example", "http://secret@127.0.0.1",
		"https://a.example?x=secret", "https://a.example?", "https://a.example#secret", "https://a.example#",
		"http://localhost.example", "http://127.0.0.1.example", "https://%zz",
		"https://secret word", "https://a:secret",
	} {
		_, err := wire.ParseEndpoint(bad)
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "secret")
	}
	assert.Empty(t, wire.Endpoint{}.String())
}

func TestEachElementIsOneSegment(t *testing.T) {
	t.Parallel()
	e, err := wire.ParseEndpoint("https://gateway.example/huawei%2Fcloud/")
	require.NoError(t, err)
	const base = "https://gateway.example/huawei%2Fcloud"
	for element, path := range map[string]string{
		"a1": "/a1", "a/b": "/a%2Fb", "a b": "/a%20b", "a%2Fb": "/a%252Fb", "a?b#c": "/a%3Fb%23c",
		"é~*": "/%C3%A9~%2A", "..": "/%2E%2E",
		".": "/%2E", "...": "/...", "": "/", "a;b": "/a%3Bb", "a+b": "/a+b", "\x00": "/%00",
	} {
		u := e.URL("v1", element)
		assert.Equal(t, base+"/v1"+path, u.String())
		assert.Equal(t, "/huawei/cloud/v1/"+element, u.Path)
	}
	assert.Equal(t, base, e.URL().String())
	assert.Equal(t, "https://gateway.example/huawei%2Fcloud/", e.String(), "it is not changed by what is made of it")
}

func TestElementsAreNotChanged(t *testing.T) {
	t.Parallel()
	e, err := wire.ParseEndpoint("https://gateway.example")
	require.NoError(t, err)
	elements := []string{"a b", ".."}
	u := e.URL(elements...)
	assert.Equal(t, []string{"a b", ".."}, elements)
	u.RawQuery = "limit=500"
	assert.Empty(t, e.URL().RawQuery, "a URL is the caller's")
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"https://events.example.com/results?key=1": true, "http://events.example.com": true,
		"events.example.com": false, "mailto:a@b.example": false, "https://": false,
		"https://secret@a.example": false, "https://:secret@a.example": false, "https://a.example/#secret": false,
		"https://a.example/#": false, "https://a.example/\x7fsecret": false, "": false,
		"https://secret.example:65535": true, "https://secret.example:65536": false, "https://secret.example:": false,
	} {
		u, err := wire.ParseURL(text, "https://example.com/hook")
		if good {
			require.NoError(t, err)
			assert.Equal(t, text, u.String())
			continue
		}
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestEachUseShowsItsOwnExample(t *testing.T) {
	t.Parallel()
	_, err := wire.ParseURL("ftp://a.example", "https://example.com/hook")
	require.EqualError(t, err, "must be a URL such as https://example.com/hook")
	_, err = wire.ParseEndpoint("ftp://a.example")
	require.EqualError(t, err, "must be a URL such as https://organizations.myhuaweicloud.com")
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.255.0.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "10.0.0.1": false, "0.0.0.0": false, "::": false, "localhost.example": false, "LOCALHOST": false,
	} {
		assert.Equal(t, want, wire.Loopback(host), host)
	}
}
