package client

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateLayout = "20060102T150405Z"
)

// Sign signs req by SDK-HMAC-SHA256, the algorithm of Huawei Cloud's API gateway, over exactly the
// given body and as of the given time. It sets the headers X-Sdk-Date, Authorization and, when the
// credentials have them, X-Security-Token and X-Domain-Id. These and Host are signed;
// a server accepts the signature for 15 minutes. Sign reads no clock and no body.
func Sign(req *http.Request, body []byte, creds Credentials, at time.Time) {
	date := at.UTC().Format(dateLayout)
	signed := slices.DeleteFunc([]header{
		{"host", cmp.Or(req.Host, req.URL.Host)},
		{"x-domain-id", string(creds.DomainID)},
		{"x-sdk-date", date},
		{"x-security-token", string(creds.SecurityToken)},
	}, func(h header) bool { return h.value == "" })
	for _, h := range signed {
		if h.name != "host" { // sent by net/http
			req.Header.Set(h.name, h.value)
		}
	}
	req.Header.Set("Authorization", authorization(req.Method, req.URL, date, signed, body, creds))
}

// header is one that is signed, by its name in lower case.
type header struct{ name, value string }

// authorization is the value of the Authorization header. What is signed is sorted by name.
func authorization(
	method string, u *url.URL, date string, signed []header, body []byte, creds Credentials,
) string {
	names := make([]string, 0, 4)
	canonical := make([]byte, 0, 1<<10) // grows if the token is long
	line := func(parts ...string) {
		for _, part := range parts {
			canonical = append(canonical, part...)
		}
		canonical = append(canonical, '\n')
	}
	line(method)
	line(canonicalPath(u.EscapedPath()))
	line(canonicalQuery(u.Query()))
	for _, h := range signed {
		names = append(names, h.name)
		line(h.name, ":", strings.TrimSpace(h.value))
	}
	line()
	signedNames := strings.Join(names, ";")
	line(signedNames)
	canonical = append(canonical, hexSHA256(body)...)

	mac := hmac.New(sha256.New, []byte(creds.SecretKey))
	mac.Write([]byte(algorithm + "\n" + date + "\n" + hexSHA256(canonical)))
	return algorithm + " Access=" + string(creds.AccessKey) +
		", SignedHeaders=" + signedNames + ", Signature=" + hexString(mac.Sum(nil))
}

// canonicalPath encodes each segment again and ends in a slash, which is in the signature only,
// never in the URL.
func canonicalPath(escaped string) string {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		if decoded, err := url.PathUnescape(s); err == nil {
			segments[i] = escape(decoded)
		}
	}
	return strings.TrimSuffix(strings.Join(segments, "/"), "/") + "/"
}

// canonicalQuery sorts by key, then by value.
func canonicalQuery(query url.Values) string {
	for _, values := range query {
		slices.Sort(values)
	}
	return noPlus(query.Encode())
}

// escape percent-encodes all but A-Z a-z 0-9 - _ . ~.
func escape(s string) string { return noPlus(url.QueryEscape(s)) }

// noPlus is a query in which a space is written as Huawei Cloud wants it.
func noPlus(escaped string) string { return strings.ReplaceAll(escaped, "+", "%20") }

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hexString(sum[:])
}

func hexString(sum []byte) string {
	return string(hex.AppendEncode(make([]byte, 0, 2*sha256.Size), sum))
}
