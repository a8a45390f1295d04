package huaweitest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"registrar/internal/huaweitest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type vectors struct {
	AK, SK, Date string
	Vectors      []vector
}

type vector struct {
	Name          string
	Method        string
	URL           string
	SignedHeaders map[string]string `json:"signed_headers"`
	Body          string
	Canonical     string `json:"canonical_sha256"`
	Signature     string
}

func loadVectors(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/sign-vectors.json")
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(raw, &v))
	require.Len(t, v.Vectors, 4)
	return v
}

// cloud knows the credentials of the vector, and it is the vectors' date.
func (vs vectors) cloud(t *testing.T, v vector) *huaweitest.Cloud {
	t.Helper()
	c := huaweitest.New(huaweitest.Credentials{
		AccessKey: vs.AK, SecretKey: vs.SK,
		SecurityToken: v.SignedHeaders["x-security-token"], DomainID: v.SignedHeaders["x-domain-id"],
	})
	date, err := time.Parse("20060102T150405Z", vs.Date)
	require.NoError(t, err)
	c.SetClock(func() time.Time { return date })
	return c
}

// wire is the vector as a server gets it.
func (vs vectors) wire(t *testing.T, v vector) wire {
	t.Helper()
	url := strings.TrimPrefix(v.URL, "https://")
	host, target, _ := strings.Cut(url, "/")
	w := wire{
		method: v.Method, target: "/" + target, host: host, body: v.Body,
		header: map[string]string{"Content-Type": "application/json"},
	}
	var names []string
	for name, value := range v.SignedHeaders {
		names = append(names, name)
		if name != "host" {
			w.header[http.CanonicalHeaderKey(name)] = value
		}
	}
	slices.Sort(names)
	w.header["Authorization"] = "SDK-HMAC-SHA256 Access=" + vs.AK +
		", SignedHeaders=" + strings.Join(names, ";") + ", Signature=" + v.Signature
	return w
}

type wire struct {
	method, target, host, body string
	header                     map[string]string
}

func (w wire) send(c *huaweitest.Cloud) reply {
	var raw strings.Builder
	raw.WriteString(w.method + " " + w.target + " HTTP/1.1\r\nHost: " + w.host + "\r\n")
	for name, value := range w.header {
		raw.WriteString(name + ": " + value + "\r\n")
	}
	fmt.Fprintf(&raw, "Content-Length: %d\r\n\r\n%s", len(w.body), w.body)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw.String())))
	if err != nil {
		return reply{status: http.StatusBadRequest} // a server lets no handler see it
	}
	rec := httptest.NewRecorder()
	c.ServeHTTP(rec, req)
	return reply{status: rec.Code, raw: rec.Body.String()}
}

func TestVectorsAreAccepted(t *testing.T) {
	t.Parallel()
	vs := loadVectors(t)
	for _, v := range vs.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := vs.cloud(t, v)
			got := vs.wire(t, v).send(c)
			assert.NotEqual(t, http.StatusUnauthorized, got.status, got.raw)
			assert.True(t, last(c).Verified)

			w := vs.wire(t, v)
			w.header["Authorization"] += "0"
			got = w.send(c)
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Contains(t, got.raw, v.Canonical, "the refusal names the canonical request")
		})
	}
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	t.Parallel()
	vs := loadVectors(t)
	for _, v := range vs.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := vs.cloud(t, v)
			changed := 0
			// refused sends the vector with each byte of the place changed in turn. Flipping the
			// lowest bit never only changes the case.
			refused := func(place string, get func(*wire) string, set func(*wire, string)) {
				original := vs.wire(t, v)
				text := get(&original)
				for i := range len(text) {
					b := []byte(text)
					b[i] ^= 1
					w := vs.wire(t, v)
					set(&w, string(b))
					before := len(c.Requests())
					got := w.send(c)
					changed++
					if len(c.Requests()) > before {
						assert.False(t, last(c).Verified, "%s %q", place, b)
					} else {
						assert.Equal(t, http.StatusBadRequest, got.status, "%s %q", place, b)
					}
				}
			}
			refused("body", func(w *wire) string { return w.body }, func(w *wire, s string) { w.body = s })
			refused(
				"path and query", func(w *wire) string { return w.target[1:] },
				func(w *wire, s string) { w.target = "/" + s },
			)
			refused(
				"Authorization", func(w *wire) string { return w.header["Authorization"] },
				func(w *wire, s string) { w.header["Authorization"] = s },
			)
			for name := range v.SignedHeaders {
				if name == "host" {
					refused(name, func(w *wire) string { return w.host }, func(w *wire, s string) { w.host = s })
					continue
				}
				name = http.CanonicalHeaderKey(name)
				refused(
					name, func(w *wire) string { return w.header[name] },
					func(w *wire, s string) { w.header[name] = s },
				)
			}
			assert.Greater(t, changed, 150)

			w := vs.wire(t, v)
			w.method = "PUT"
			w.send(c)
			assert.False(t, last(c).Verified, "method")
			w = vs.wire(t, v)
			w.body += "\n"
			w.send(c)
			assert.False(t, last(c).Verified, "one more byte")
			vs.wire(t, v).send(c)
			assert.True(t, last(c).Verified, "unchanged")
		})
	}
}

func TestEncodingOnTheWireMayDiffer(t *testing.T) {
	t.Parallel()
	vs := loadVectors(t)
	v := vs.Vectors[3]
	const admins = "/v1/organizations/delegated-administrators"
	for name, target := range map[string]string{
		"another order":    admins + "?service_principal=service.SecMaster&marker=a%20b%2Fc%2Bd%3D%3D&limit=200",
		"plus for a space": admins + "?limit=200&marker=a+b%2Fc%2Bd%3D%3D&service_principal=service.SecMaster",
		"lower-case hex digits": "/v1/organizations/delegated%2dadministrators" +
			"?limit=200&marker=a%20b%2fc%2bd%3d%3d&service_principal=service.SecMaster",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := vs.cloud(t, v)
			w := vs.wire(t, v)
			w.target = target
			w.send(c)
			assert.True(t, last(c).Verified)
		})
	}
	for name, target := range map[string]string{
		"an unescaped plus": admins + "?limit=200&marker=a%20b%2Fc+d%3D%3D&service_principal=service.SecMaster",
		"an escaped slash": "/v1/organizations%2Fdelegated-administrators" +
			"?limit=200&marker=a%20b%2Fc%2Bd%3D%3D&service_principal=service.SecMaster",
		"a doubly escaped %": admins + "?limit=200&marker=a%2520b%2Fc%2Bd%3D%3D&service_principal=service.SecMaster",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := vs.cloud(t, v)
			w := vs.wire(t, v)
			w.target = target
			w.send(c)
			assert.False(t, last(c).Verified)
		})
	}
}

func TestSignatureChecks(t *testing.T) {
	t.Parallel()
	const body = `{"region_id":"cn-north-4"}`
	type change = func(*http.Request)
	resign := func(creds huaweitest.Credentials, signed ...string) change {
		return func(req *http.Request) { sign(req, body, creds, signed...) }
	}
	set := func(name string, values ...string) change {
		return func(req *http.Request) { req.Header[name] = values }
	}
	drop := func(name string) change {
		return func(req *http.Request) { req.Header.Del(name) }
	}
	replace := func(old, with string) change {
		return func(req *http.Request) {
			req.Header.Set("Authorization", strings.Replace(req.Header.Get("Authorization"), old, with, 1))
		}
	}
	contentSHA := "x-sdk-content-sha256"
	tests := map[string]struct {
		creds  huaweitest.Credentials
		change []change
		want   string // part of the refusal; "" is accepted
	}{
		"permanent credentials":   {creds: permanent},
		"temporary credentials":   {creds: temporary},
		"Host need not be signed": {creds: permanent, change: []change{resign(permanent, "x-sdk-date")}},
		"Content-Type may be signed": {
			creds:  permanent,
			change: []change{resign(permanent, "x-sdk-date", "content-type")},
		},
		"the domain may be left out": {
			creds:  temporary,
			change: []change{drop("X-Domain-Id"), resign(temporary, "host", "x-sdk-date", "x-security-token")},
		},
		"any domain without one in credentials": {
			creds:  permanent,
			change: []change{set("X-Domain-Id", "any"), resign(permanent, "x-sdk-date", "x-domain-id")},
		},
		"the body's own hash": {
			creds: permanent,
			change: []change{
				set("X-Sdk-Content-Sha256", "d1d546f455be1d99cf9c1e8f2ea2e19e6048c1b9db5d70e842e37536e19354e3"),
				resign(permanent, "x-sdk-date", contentSHA),
			},
		},
		"no Authorization": {
			creds: permanent, change: []change{drop("Authorization")}, want: "0 Authorization headers",
		},
		"two Authorizations": {
			creds:  permanent,
			change: []change{func(r *http.Request) { r.Header.Add("Authorization", "Basic eDp5") }},
			want:   "2 Authorization headers",
		},
		"another scheme": {
			creds:  permanent,
			change: []change{replace("SDK-HMAC-SHA256", "V11-HMAC-SHA256")},
			want:   "Authorization header is not",
		},
		"no list of signed headers": {
			creds:  permanent,
			change: []change{replace(", SignedHeaders=", ", Headers=")},
			want:   "Authorization header is not",
		},
		"no signature": {
			creds: permanent, change: []change{replace(", Signature=", "")}, want: "Authorization header is not",
		},
		"an unknown access key": {
			creds: huaweitest.Credentials{AccessKey: "AK3", SecretKey: "SK1"}, want: "access key is unknown",
		},
		"another's secret key": {
			creds: huaweitest.Credentials{AccessKey: "AK1", SecretKey: "SK2"}, want: "signature does not match",
		},
		"a signature in capitals": {creds: permanent, change: []change{func(r *http.Request) {
			head, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(sig))
		}}, want: "signature does not match"},
		"an unsigned date": {
			creds: permanent, change: []change{resign(permanent, "host")}, want: "X-Sdk-Date is not signed",
		},
		"a missing date": {
			creds: permanent, change: []change{drop("X-Sdk-Date")}, want: `"x-sdk-date" was sent 0 times`,
		},
		"another form of date": {
			creds:  permanent,
			change: []change{set("X-Sdk-Date", "2026-01-02T03:04:05Z"), resign(permanent, "x-sdk-date")},
			want:   "not of the form",
		},
		"a date with fractions": {
			creds:  permanent,
			change: []change{set("X-Sdk-Date", "20260102T030405.5Z"), resign(permanent, "x-sdk-date")},
			want:   "not of the form",
		},
		"a signed header that was not sent": {
			creds:  permanent,
			change: []change{resign(permanent, "host", "x-sdk-date", "x-project-id")},
			want:   `"x-project-id" was sent 0 times`,
		},
		"a signed header sent twice": {
			creds: permanent,
			change: []change{
				set("X-Sdk-Date", "20260102T030405Z", "20260102T030405Z"),
				resign(permanent, "x-sdk-date"),
			},
			want: `"x-sdk-date" was sent 2 times`,
		},
		"signed headers in capitals": {
			creds: permanent, change: []change{replace("host;x-sdk-date", "Host;X-Sdk-Date")}, want: "lower case",
		},
		"signed headers in disorder": {
			creds: permanent, change: []change{replace("host;x-sdk-date", "x-sdk-date;host")}, want: "sorted",
		},
		"duplicate signed headers": {
			creds:  permanent,
			change: []change{resign(permanent, "host", "host", "x-sdk-date")},
			want:   "without duplicates",
		},
		"no token with temporary credentials": {
			creds:  temporary,
			change: []change{drop("X-Security-Token"), resign(temporary, "host", "x-sdk-date")},
			want:   "X-Security-Token is missing",
		},
		"an unsigned token": {
			creds:  temporary,
			change: []change{resign(temporary, "host", "x-domain-id", "x-sdk-date")},
			want:   "X-Security-Token is not signed",
		},
		"another token": {
			creds: temporary,
			change: []change{
				set("X-Security-Token", "TOKEN3=="),
				resign(temporary, "host", "x-sdk-date", "x-security-token"),
			},
			want: "X-Security-Token is wrong",
		},
		"a token with permanent credentials": {
			creds: permanent,
			change: []change{
				set("X-Security-Token", "TOKEN2=="),
				resign(permanent, "host", "x-sdk-date", "x-security-token"),
			},
			want: "with permanent credentials",
		},
		"an empty token": {
			creds:  permanent,
			change: []change{set("X-Security-Token", ""), resign(permanent, "host", "x-sdk-date", "x-security-token")},
			want:   "with permanent credentials",
		},
		"an unsigned domain": {
			creds:  temporary,
			change: []change{resign(temporary, "host", "x-sdk-date", "x-security-token")},
			want:   "X-Domain-Id is not signed",
		},
		"another domain": {
			creds: temporary,
			change: []change{
				set("X-Domain-Id", "domain-3"),
				resign(temporary, "x-domain-id", "x-sdk-date", "x-security-token"),
			},
			want: "not the domain of the credentials",
		},
		"an unsigned content hash": {
			creds:  permanent,
			change: []change{set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")},
			want:   "X-Sdk-Content-Sha256 is not signed",
		},
		"a content hash of something else": {
			creds: permanent,
			change: []change{
				set("X-Sdk-Content-Sha256", strings.Repeat("0", 64)),
				resign(permanent, "x-sdk-date", contentSHA),
			},
			want: "not the hash of the body",
		},
		"UNSIGNED-PAYLOAD with JSON": {
			creds: permanent,
			change: []change{
				set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"),
				resign(permanent, "x-sdk-date", contentSHA),
			},
			want: "UNSIGNED-PAYLOAD with",
		},
		"UNSIGNED-PAYLOAD without Content-Type": {
			creds: permanent,
			change: []change{
				drop("Content-Type"), set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"),
				resign(permanent, "x-sdk-date", contentSHA),
			},
			want: "UNSIGNED-PAYLOAD with",
		},
		"a malformed query": {
			creds:  permanent,
			change: []change{func(r *http.Request) { r.URL.RawQuery = "a=%zz" }},
			want:   "query is malformed",
		},
		"a header in whatever case of the map": {
			creds: permanent,
			change: []change{func(r *http.Request) {
				r.Header["x-sdk-date"] = r.Header["X-Sdk-Date"]
				delete(r.Header, "X-Sdk-Date")
			}},
		},
		"a Host in the header map is not Host's": {
			creds: permanent, change: []change{set("Host", "elsewhere.example")},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent, temporary)
			cl := newClient(t, c)
			cl.creds = tt.creds
			req := cl.request("POST", regions, body)
			for _, change := range tt.change {
				change(req)
			}
			got, err := cl.do(req)
			require.NoError(t, err)
			assert.Equal(t, tt.want == "", last(c).Verified)
			if tt.want == "" {
				assert.Equal(t, 200, got.status, got.raw)
				assert.Equal(t, "cn-north-4", c.Region())
				return
			}
			assert.Equal(t, 401, got.status)
			assert.Equal(t, "APIGW.0301", got.Code)
			assert.Contains(t, got.raw, strings.ReplaceAll(tt.want, `"`, `\"`))
			assert.Equal(t, got.header.Get("X-Request-Id"), got.ID)
			assert.Empty(t, c.Region(), "a refused request changes nothing")
		})
	}
}

func TestUnsignedPayloadIsHonouredWhenNotJSON(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	cl := newClient(t, c)
	req := cl.request("POST", regions, "a=b")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")
	sign(req, "something else", permanent, "x-sdk-content-sha256", "x-sdk-date")
	got, err := cl.do(req)
	require.NoError(t, err)
	assert.True(t, last(c).Verified)
	assert.Equal(t, "IIC.400", got.Code, "but no API wants a body that is not JSON")
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		ahead time.Duration // the server's clock
		want  int
	}{
		"none":                         {0, 404},
		"a server 15 minutes ahead":    {15 * time.Minute, 404},
		"a server 15 minutes behind":   {-15 * time.Minute, 404},
		"a nanosecond more ahead":      {15*time.Minute + 1, 401},
		"a nanosecond more behind":     {-15*time.Minute - 1, 401},
		"a server in another time":     {24 * time.Hour, 401},
		"a server in the last century": {-40 * 365 * 24 * time.Hour, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			c.SetClock(func() time.Time { return at.Add(tt.ahead).In(time.FixedZone("", 8*3600)) })
			cl := newClient(t, c)
			cl.at = at
			got := cl.call("GET", registered, "")
			assert.Equal(t, tt.want, got.status, got.raw)
			assert.Equal(t, at.Add(tt.ahead).Format(http.TimeFormat), got.header.Get("Date"))
		})
	}
}

func TestCredentialsRotate(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	old, renewed := newClient(t, c), newClient(t, c)
	renewed.creds = temporary
	assert.Equal(t, 404, old.call("GET", registered, "").status)
	assert.Equal(t, 401, renewed.call("GET", registered, "").status)
	c.AddCredentials(temporary)
	c.RemoveCredentials(permanent.AccessKey)
	assert.Equal(t, 401, old.call("GET", registered, "").status)
	assert.Equal(t, 404, renewed.call("GET", registered, "").status)
}
