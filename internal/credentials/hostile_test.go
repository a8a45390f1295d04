package credentials

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

// answering answers every call so.
type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// repeated is a text over and over. It counts what is read of it.
type repeated struct {
	text string
	read *int
}

func (r repeated) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		n += copy(p[n:], r.text)
	}
	*r.read += n
	return n, nil
}

func TestNoAnswerOfAWSCostsMoreThanItsShare(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<19)
	secret := func(value string) string {
		quoted, err := json.Marshal(map[string]string{"SecretString": value})
		require.NoError(t, err)
		return string(quoted)
	}
	const transient, misconfigured = attempt.Transient, attempt.Misconfigured
	for name, c := range map[string]struct {
		status      int
		header      http.Header
		body        string
		endless     bool
		secret, oid attempt.Kind // what it means for a secret, and for a token
	}{
		"an endless body": {status: 200, body: " ", endless: true, secret: transient, oid: transient},
		"an endless value": {
			status: 200, body: `{"SecretString":"`, endless: true,
			secret: transient, oid: transient,
		},
		"an endless error": {
			status: 500, body: "<e>", endless: true,
			secret: transient, oid: transient,
		},
		"arrays in arrays": {
			status: 200, body: strings.Repeat("[", 1<<19),
			secret: transient, oid: transient,
		},
		"null": {status: 200, body: "null", secret: transient, oid: transient},
		"no value": {
			status: 200, body: `{"SecretString":null}`,
			secret: transient, oid: transient,
		},
		"a long value": {status: 200, body: secret(long), secret: misconfigured, oid: transient},
		"a long key": {
			status: 200, body: secret(`{"ak":"` + long + ` ","sk":"s"}`),
			secret: misconfigured, oid: transient,
		},
		"keys to a terminal": {
			status: 200, body: secret("{\"ak\":\"\\u001b[31m\",\"sk\":\"\\u2028\"}"),
			secret: misconfigured, oid: transient,
		},
		"objects in objects": {
			status: 200, body: secret(strings.Repeat(`{"ak":`, 50_000)),
			secret: misconfigured, oid: transient,
		},
		"many keys": {
			status: 200, body: secret("{" + strings.Repeat(`"k":0,`, 50_000) + `"k":0}`),
			secret: misconfigured, oid: transient,
		},
		"a long code": {
			status: 400, body: `{"__type":"` + long + `"}`,
			secret: transient, oid: transient,
		},
		"a long id": {
			status: 403, header: http.Header{"X-Amzn-Requestid": {long}}, body: "{}",
			secret: misconfigured, oid: misconfigured,
		},
		"a redirect": {
			status: 302, header: http.Header{"Location": {"http://[::1]/"}},
			secret: misconfigured, oid: misconfigured,
		},
		"status 999, and no text": {status: 999, secret: transient, oid: transient},
		"XML instead, with a bomb": {
			status: 200, body: `<!DOCTYPE l [<!ENTITY a "` + long + `">]><l>&a;&a;</l>`,
			secret: transient, oid: transient,
		},
		"XML of a token that is large": {
			status: 200, body: "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>" +
				long + "</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>",
			secret: transient, oid: transient,
		},
	} {
		for from, want := range map[string]attempt.Kind{"a secret": c.secret, "a token": c.oid} {
			t.Run(name+", "+from, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					calls, read := 0, 0
					settings := Config{AWS: awstest.Config(nil)}
					settings.AWS.Transport = answering(func(*http.Request) *http.Response {
						calls++
						header := c.header.Clone()
						if header == nil {
							header = http.Header{}
						}
						body := io.Reader(strings.NewReader(c.body))
						if c.endless {
							body = repeated{c.body, &read}
						}
						return &http.Response{StatusCode: c.status, Header: header, Body: io.NopCloser(body)}
					})
					if from == "a secret" {
						require.NoError(t, settings.Secret.UnmarshalText([]byte("prod/registrar")))
					} else {
						settings.OIDC = OIDC{
							ProviderURN: "iam::a:oidcProvider:p", AgencyURN: "iam::a:agency:n", Audience: "registrar",
						}
					}
					credentials, err := New(settings, client.Config{}, client.Session{})
					require.NoError(t, err)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err = credentials(ctx)
					require.Error(t, err)
					assert.Equal(t, want, attempt.KindOf(err), "%.300s", err)
					assert.Less(t, len(err.Error()), 400, "%.600s", err)
					assert.NotContains(t, err.Error(), "\x1b")
					assert.LessOrEqual(t, calls, attempts)
					assert.LessOrEqual(t, read, calls*(1<<20+1))
				})
			})
		}
	}
}

// What reads the value of a secret, or a token, shows nothing of it when it fails.
func FuzzSecret(f *testing.F) {
	for _, seed := range []string{
		good, bad, `{"ak":"A","sk":null}`, `{"AK":"A","SK":"S"}`, `{"ak":5,"sk":[]}`, "\ufeff{}", `null`, `[]`, ``, "{",
		`{"ak":"A","ak":"B","sk":"S"}`, `{"ak":"\ud800","sk":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := decode(value)
		if err != nil {
			assert.Equal(t, client.Credentials{}, c)
			assert.Less(t, len(err.Error()), 500)
			return
		}
		assert.NotEmpty(t, c.AccessKey)
		assert.NotEmpty(t, c.SecretKey)
		for _, text := range []string{
			string(c.AccessKey), string(c.SecretKey), string(c.SecurityToken), string(c.DomainID),
		} {
			assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }), "%q", text)
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, seed := range []string{
		"a.b.c", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjpbImEiXSwic3ViIjoicyJ9.c2ln", "a.e30.c", "..", "", "\n",
		"a b",
		"a.bnVsbA.c", "a.W10.c", strings.Repeat("a", maxToken+1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		token, err := fromFile(file)(t.Context())
		if err != nil {
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
			assert.Empty(t, token)
			return
		}
		assert.LessOrEqual(t, len(token), maxToken)
		shown := claims(token)
		assert.Less(t, len(shown), 4*maxClaim)
		assert.NotContains(t, shown, "\n")
	})
}
