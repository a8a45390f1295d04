package client

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The vectors were produced by Huawei Cloud's official Go SDK and two independent implementations.
type vectors struct {
	AK, SK, Date string
	Vectors      []struct {
		Name, Method, URL, Body, Signature string
		SignedHeaders                      map[string]string `json:"signed_headers"`
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	file, err := os.ReadFile("../../testdata/sign-vectors.json")
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(file, &v))
	require.NotEmpty(t, v.Vectors)
	return v
}

func TestAuthorizationMatchesEachVector(t *testing.T) {
	t.Parallel()
	all := readVectors(t)
	creds := Credentials{AccessKey: Secret(all.AK), SecretKey: Secret(all.SK)}
	for _, v := range all.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(v.URL)
			require.NoError(t, err)
			var signed []header
			for _, name := range slices.Sorted(maps.Keys(v.SignedHeaders)) {
				signed = append(signed, header{name, v.SignedHeaders[name]})
			}
			got := authorization(v.Method, u, all.Date, signed, []byte(v.Body), creds)
			assert.Equal(t, v.Signature, got[strings.LastIndex(got, "=")+1:])
		})
	}
}

func TestSignSetsTheHeadersOfEachVectorThatSignsTheHost(t *testing.T) {
	t.Parallel()
	all := readVectors(t)
	at, err := time.Parse(dateLayout, all.Date)
	require.NoError(t, err)
	for _, v := range all.Vectors {
		if v.SignedHeaders["host"] == "" {
			continue // Sign always signs the host; TestAuthorizationMatchesEachVector has this one
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), v.Method, v.URL, strings.NewReader(v.Body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json") // is not signed
			Sign(req, []byte(v.Body), Credentials{
				AccessKey: Secret(all.AK), SecretKey: Secret(all.SK),
				SecurityToken: Secret(v.SignedHeaders["x-security-token"]),
				DomainID:      DomainID(v.SignedHeaders["x-domain-id"]),
			}, at.In(time.FixedZone("elsewhere", 3600)))
			assert.Contains(t, req.Header.Get("Authorization"), "Signature="+v.Signature)
			for name, value := range v.SignedHeaders {
				if name != "host" {
					assert.Equal(t, value, req.Header.Get(name), name)
				}
			}
		})
	}
}

func TestAQueryIsSortedByKeyAndThenByValue(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                    "",
		"limit=500":           "limit=500",
		"b=2&a=z&a-b=1&a=b&a": "a=&a=b&a=z&a-b=1&b=2",
		"m=a+b%2b%2F~*%C3%A4": "m=a%20b%2B%2F~%2A%C3%A4",
		"%2B=%20":             "%2B=%20",
	} {
		query, err := url.ParseQuery(raw)
		require.NoError(t, err)
		assert.Equal(t, want, canonicalQuery(query))
	}
}

func TestWhatIsSignedIsWhatIsSent(t *testing.T) {
	t.Parallel()
	sign := func(host string, token Secret) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/", nil)
		require.NoError(t, err)
		req.Host = host
		Sign(req, nil, Credentials{AccessKey: "AK", SecretKey: "SK", SecurityToken: token}, time.Time{})
		return req.Header.Get("Authorization")
	}
	assert.Equal(t, sign("", "TOKEN"), sign("", " TOKEN "))
	assert.Equal(t, sign("", "TOKEN"), sign("a.example", "TOKEN"))
	assert.NotEqual(t, sign("", "TOKEN"), sign("b.example", "TOKEN"), "the host that is sent is signed")
}
