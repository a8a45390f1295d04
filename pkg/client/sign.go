package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
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
	signed := map[string]string{
		"host":       req.URL.Host,
		"x-sdk-date": at.UTC().Format(dateLayout),
	}
	if req.Host != "" {
		signed["host"] = req.Host
	}
	if creds.SecurityToken != "" {
		signed["x-security-token"] = string(creds.SecurityToken)
	}
	if creds.DomainID != "" {
		signed["x-domain-id"] = string(creds.DomainID)
	}
	for name, value := range signed {
		if name != "host" { // sent by net/http
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("Authorization", authorization(req.Method, req.URL, signed, body, creds))
}

// authorization is the value of the Authorization header. The names in signed are in lower case.
func authorization(method string, u *url.URL, signed map[string]string, body []byte, creds Credentials) string {
	names := slices.Sorted(maps.Keys(signed))
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + strings.TrimSpace(signed[name]) + "\n")
	}
	canonical := strings.Join([]string{
		method,
		canonicalPath(u.EscapedPath()),
		canonicalQuery(u.Query()),
		headers.String(),
		strings.Join(names, ";"),
		hexSHA256(body),
	}, "\n")
	toSign := strings.Join([]string{algorithm, signed["x-sdk-date"], hexSHA256([]byte(canonical))}, "\n")

	mac := hmac.New(sha256.New, []byte(creds.SecretKey))
	mac.Write([]byte(toSign))
	return algorithm + " Access=" + string(creds.AccessKey) +
		", SignedHeaders=" + strings.Join(names, ";") +
		", Signature=" + hex.EncodeToString(mac.Sum(nil))
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
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[key])) {
			pairs = append(pairs, escape(key)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&")
}

// escape percent-encodes all but A-Z a-z 0-9 - _ . ~.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
