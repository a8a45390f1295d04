package wire

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redacted is what stands in a text in place of a secret.
const Redacted = "[redacted]"

const ellipsis = "…"

// Clean makes a text from outside fit to be logged and passed on: the secrets are replaced as
// [Redact] does, control characters and what is not UTF-8 are replaced too, and what is left is cut
// to limit bytes. Secrets go first, so that no half of one is left at the cut.
func Clean(s string, limit int, secrets ...string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // utf8.RuneError for what is not UTF-8
	}, Redact(s, secrets...))
	return Cut(strings.TrimSpace(s), limit)
}

// Cut cuts valid UTF-8 to at most limit bytes, and ends it with an ellipsis if something was cut
// off.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := max(limit-len(ellipsis), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	if limit < len(ellipsis) {
		return ""
	}
	return s[:end] + ellipsis
}

// Redact replaces each of the secrets in s, be it plain or as base64, a URL, HTML or JSON would
// write it. Secrets of less than 2 characters hide nothing and are left.
func Redact(s string, secrets ...string) string {
	var forms []string
	for _, secret := range secrets {
		if len(secret) >= 2 && len(secret) <= len(s) { // no form is shorter
			forms = append(forms, escapedForms(secret)...)
			forms = append(forms, base64Forms(secret)...)
		}
	}
	// One form may be a part of another: the longest goes first.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, form := range slices.Compact(forms) {
		s = strings.ReplaceAll(s, form, Redacted)
	}
	return s
}

// escapedForms are the secret as it is, and as URLs, HTML and JSON write it.
func escapedForms(secret string) []string {
	forms := []string{secret}
	quoted, _ := json.Marshal(secret) // a string can't fail
	quoted = quoted[1 : len(quoted)-1]
	forms = append(forms, html.EscapeString(secret), string(quoted), strings.ReplaceAll(secret, "/", `\/`))
	for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		forms = append(forms, escaped, lowerHex(escaped))
	}
	return forms
}

// lowerHex is a percent-encoded text with its digits above 9 in lower case.
func lowerHex(escaped string) string {
	parts := strings.Split(escaped, "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

// base64Forms are what must stand in a base64 text that was made of a text with the secret in it,
// as by a gateway that quotes the request it got: the characters that the secret determines alone.
func base64Forms(secret string) []string {
	const least = 8 // characters: shorter ones would replace what is not a secret
	var forms []string
	for shift := range 3 { // how many bytes before the secret share a group of three with it
		shifted := strings.Repeat("\x00", shift) + secret
		first, end := (shift*8+5)/6, len(shifted)*8/6
		if end-first < least {
			continue
		}
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			form := encoding.EncodeToString([]byte(shifted))[first:end]
			forms = append(forms, form, url.QueryEscape(form))
		}
	}
	return forms
}
