package wire

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"iter"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redacted is what stands in a text in place of a secret.
const Redacted = "[redacted]"

const ellipsis = "…"

// Clean makes a text from outside fit to be logged and passed on, if there are no secrets to be
// hidden.
func Clean(text string, limit int) string { return Secrets{}.Clean(text, limit) }

// Clean makes a text from outside fit to be logged and passed on: the secrets are replaced as
// Redact does, control characters and what is not UTF-8 are replaced too, and what is left is cut
// to limit bytes. Secrets go first, so that no half of one is left at the cut.
func (s Secrets) Clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // utf8.RuneError for what is not UTF-8
	}, s.Redact(text))
	return cut(strings.TrimSpace(text), limit)
}

// cut cuts valid UTF-8 to at most limit bytes, and ends it with an ellipsis if something was cut
// off.
func cut(s string, limit int) string {
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

// part is how many characters of a secret, at its beginning or its end, are as good as all of it.
const part = 16

// Secrets are what no text may show. The zero Secrets are none.
type Secrets struct {
	forms []string // each secret as it is, and as others write it, squeezed
}

// NewSecrets prepares secrets to be looked for. Those of less than 2 characters hide nothing and
// are left out.
func NewSecrets(secrets ...string) Secrets {
	var s Secrets
	for _, secret := range secrets {
		if len(secret) < 2 {
			continue
		}
		for _, form := range append(escapedForms(secret), base64Forms(secret)...) {
			form, _ = squeeze(form)
			if len(form) >= 2 && !slices.Contains(s.forms, form) {
				s.forms = append(s.forms, form)
			}
		}
	}
	return s
}

// Redact replaces each of the secrets in text, be it plain or as base64, a URL, HTML or JSON would
// write it, and also the first or last characters of one if they are 16 or more. White space and
// what can't be seen may stand anywhere in it, as in base64 that is wrapped into lines.
func (s Secrets) Redact(text string) string {
	if len(s.forms) == 0 {
		return text
	}
	squeezed, at := squeeze(text)
	var hidden []bool // nil as long as nothing is
	hide := func(begin, end int) {
		if hidden == nil {
			hidden = make([]bool, len(text))
		}
		for i := at[begin]; i <= at[end-1]; i++ {
			hidden[i] = true
		}
	}
	for _, form := range s.forms {
		least := min(len(form), part)
		for i := range occurrences(squeezed, form[:least]) {
			hide(i, i+least+samePrefix(squeezed[i+least:], form[least:]))
		}
		rest := len(form) - least
		for i := range occurrences(squeezed, form[rest:]) {
			hide(i-sameSuffix(squeezed[:i], form[:rest]), i+least)
		}
	}
	if hidden == nil {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(Redacted)
		}
	}
	return b.String()
}

// squeeze is s without white space and what can't be seen, and where in s each byte stands.
func squeeze(s string) (text string, at []int) {
	var b strings.Builder
	b.Grow(len(s))
	at = make([]int, 0, len(s))
	for i, r := range s {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError {
			continue
		}
		b.WriteRune(r)
		for j := range utf8.RuneLen(r) {
			at = append(at, i+j)
		}
	}
	return b.String(), at
}

// occurrences are the indexes of sub in s.
func occurrences(s, sub string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for begin := 0; ; begin++ {
			i := strings.Index(s[begin:], sub)
			if i < 0 || !yield(begin+i) {
				return
			}
			begin += i
		}
	}
}

// samePrefix is the length of what a and b both begin with.
func samePrefix(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// sameSuffix is the length of what a and b both end with.
func sameSuffix(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
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
