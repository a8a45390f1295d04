package huaweitest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	dateLayout = "20060102T150405Z"
	maxSkew    = 15 * time.Minute
)

// verify returns who signed the request, or why the gateway does not believe it.
func (c *Cloud) verify(r Request) (Credentials, error) {
	authorization := r.Header.Values("Authorization")
	if len(authorization) != 1 {
		return Credentials{}, fmt.Errorf("%d Authorization headers, want one", len(authorization))
	}
	rest, isSDK := strings.CutPrefix(authorization[0], "SDK-HMAC-SHA256 Access=")
	accessKey, rest, hasHeaders := strings.Cut(rest, ", SignedHeaders=")
	list, signature, hasSignature := strings.Cut(rest, ", Signature=")
	if !isSDK || !hasHeaders || !hasSignature {
		return Credentials{}, errors.New("the Authorization header is not " +
			"'SDK-HMAC-SHA256 Access=..., SignedHeaders=..., Signature=...'")
	}

	c.mu.Lock()
	creds, known := c.credentials[accessKey]
	c.mu.Unlock()
	if !known {
		return Credentials{}, errors.New("the access key is unknown")
	}
	if !creds.Expires.IsZero() && !r.Time.Before(creds.Expires) {
		return Credentials{}, errors.New("the security token has expired")
	}

	signed := strings.Split(list, ";")
	once := slices.Compact(slices.Clone(signed))
	if list != strings.ToLower(list) || !slices.IsSorted(signed) || len(once) != len(signed) {
		return Credentials{}, errors.New("SignedHeaders are not in lower case, sorted and without duplicates")
	}
	var headers strings.Builder
	for _, name := range signed {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host}
		}
		if len(values) != 1 {
			return Credentials{}, fmt.Errorf("the signed header %q was sent %d times, want once", name, len(values))
		}
		headers.WriteString(name + ":" + strings.TrimSpace(values[0]) + "\n")
	}

	if err := checkDate(r, signed); err != nil {
		return Credentials{}, err
	}
	if err := checkToken(r, signed, creds); err != nil {
		return Credentials{}, err
	}
	payload, err := payloadHash(r, signed)
	if err != nil {
		return Credentials{}, err
	}
	query, err := canonicalQuery(r.RawQuery)
	if err != nil {
		return Credentials{}, err
	}

	canonical := hexSHA256(
		[]byte(strings.Join([]string{r.Method, canonicalURI(r.Path), query, headers.String(), list, payload}, "\n")),
	)
	mac := hmac.New(sha256.New, []byte(creds.SecretKey))
	mac.Write([]byte("SDK-HMAC-SHA256\n" + r.Header.Get("X-Sdk-Date") + "\n" + canonical))
	if !hmac.Equal([]byte(signature), []byte(hex.EncodeToString(mac.Sum(nil)))) {
		return Credentials{}, fmt.Errorf(
			"the signature does not match; SHA-256 of the canonical request received: %s", canonical,
		)
	}
	return creds, nil
}

func checkDate(r Request, signed []string) error {
	if !slices.Contains(signed, "x-sdk-date") {
		return errors.New("X-Sdk-Date is not signed")
	}
	value := r.Header.Get("X-Sdk-Date")
	date, err := time.Parse(dateLayout, value)
	if err != nil || date.Format(dateLayout) != value { // Parse takes fractions of a second, too
		return fmt.Errorf("X-Sdk-Date %q is not of the form %s", value, dateLayout)
	}
	if skew := date.Sub(r.Time).Abs(); skew > maxSkew {
		return fmt.Errorf("X-Sdk-Date is %s off the server's time, more than %s", skew, maxSkew)
	}
	return nil
}

func checkToken(r Request, signed []string, creds Credentials) error {
	token, sent := r.Header["X-Security-Token"]
	switch {
	case creds.SecurityToken == "" && sent:
		return errors.New("X-Security-Token was sent with permanent credentials")
	case creds.SecurityToken != "" && !sent:
		return errors.New("X-Security-Token is missing")
	case sent && !slices.Contains(signed, "x-security-token"):
		return errors.New("X-Security-Token is not signed")
	case sent && token[0] != creds.SecurityToken:
		return errors.New("X-Security-Token is wrong")
	}
	domain, sent := r.Header["X-Domain-Id"]
	switch {
	case sent && !slices.Contains(signed, "x-domain-id"):
		return errors.New("X-Domain-Id is not signed")
	case sent && creds.DomainID != "" && domain[0] != creds.DomainID:
		return errors.New("X-Domain-Id is not the domain of the credentials")
	}
	return nil
}

func payloadHash(r Request, signed []string) (string, error) {
	hash := hexSHA256(r.Body)
	declared, sent := r.Header["X-Sdk-Content-Sha256"]
	contentType := r.Header.Get("Content-Type")
	switch {
	case !sent:
		return hash, nil
	case !slices.Contains(signed, "x-sdk-content-sha256"):
		return "", errors.New("X-Sdk-Content-Sha256 is not signed")
	case declared[0] == hash:
		return hash, nil
	case declared[0] != "UNSIGNED-PAYLOAD":
		return "", errors.New("X-Sdk-Content-Sha256 is not the hash of the body")
	case contentType == "", strings.Contains(contentType, "application/json"),
		strings.Contains(contentType, "application/bson"):
		return "", fmt.Errorf("UNSIGNED-PAYLOAD with Content-Type %q", contentType)
	}
	return declared[0], nil
}

// canonicalURI encodes each segment again. The slash at its end is part of the signature only.
func canonicalURI(escapedPath string) string {
	parts := segments(escapedPath)
	for i, p := range parts {
		parts[i] = escape(p)
	}
	return strings.TrimSuffix(strings.Join(parts, "/"), "/") + "/"
}

func canonicalQuery(raw string) (string, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", fmt.Errorf("the query is malformed: %w", err)
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[key])) {
			pairs = append(pairs, escape(key)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&"), nil
}

// escape leaves only letters, digits and -_.~ as they are.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
