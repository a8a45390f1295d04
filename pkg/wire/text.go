package wire

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"iter"
	"slices"
	"strconv"
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

// levels is how often a text may be escaped on top of itself and still be read.
const levels = 3

// Secrets are what no text may show. The zero Secrets are none.
type Secrets struct {
	forms []string // each secret as it is, and as others encode it, squeezed
}

// NewSecrets prepares secrets to be looked for. Those of less than 2 characters hide nothing and
// are left out.
func NewSecrets(secrets ...string) Secrets {
	var s Secrets
	for _, secret := range secrets {
		if len(secret) < 2 {
			continue
		}
		forms := encodedForms(secret)
		for read := range readings(secret) { // what looks like an escape in it is taken for one in a text
			forms = append(forms, squeeze(read.text).text)
		}
		for _, form := range forms {
			if len(form) >= 2 && !slices.Contains(s.forms, form) {
				s.forms = append(s.forms, form)
			}
		}
	}
	return s
}

// Format implements [fmt.Formatter]: no verb shows the secrets.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// Redact replaces each of the secrets in text, be it plain or as base64 or hexadecimal digits, and
// also the first or last characters of one if they are 16 or more. All of it may be escaped as in
// URLs, HTML or JSON, up to three times. White space and what can't be seen may stand anywhere in
// it, as in base64 that is wrapped into lines.
func (s Secrets) Redact(text string) string {
	if len(s.forms) == 0 {
		return text
	}
	var hidden []bool // nil as long as nothing is
	for read := range readings(text) {
		hide := func(begin, end int) {
			if hidden == nil {
				hidden = make([]bool, len(text))
			}
			for i := read.span(begin).begin; i < read.span(end-1).end; i++ {
				hidden[i] = true
			}
		}
		for _, form := range s.forms {
			least := min(len(form), part)
			for i := range occurrences(read.text, form[:least]) {
				hide(i, i+least+samePrefix(read.text[i+least:], form[least:]))
			}
			rest := len(form) - least
			for i := range occurrences(read.text, form[rest:]) {
				hide(i-sameSuffix(read.text[:i], form[:rest]), i+least)
			}
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

// reading is a text as a reader may take it. Each of its bytes stands for a span of the original,
// or for itself if spans is nil.
type reading struct {
	text  string
	spans []span
}

type span struct{ begin, end int32 } // half of what int would take of memory

func (r reading) span(i int) span {
	if r.spans == nil {
		return span{int32(i), int32(i + 1)}
	}
	return r.spans[i]
}

// readings are s squeezed, and then without one level of escapes after the other.
func readings(s string) iter.Seq[reading] {
	return func(yield func(reading) bool) {
		read := squeeze(s)
		for range levels {
			if !yield(read) || !strings.ContainsAny(read.text, `%&\`) {
				return
			}
			read = read.unescape()
		}
		yield(read)
	}
}

// squeeze is s without white space and what can't be seen.
func squeeze(s string) reading {
	if !strings.ContainsFunc(s, invisible) {
		return reading{text: s}
	}
	var b strings.Builder
	b.Grow(len(s))
	spans := make([]span, 0, len(s))
	for i, r := range s {
		if invisible(r) {
			continue
		}
		b.WriteRune(r)
		for j := range utf8.RuneLen(r) {
			spans = append(spans, span{int32(i + j), int32(i + j + 1)})
		}
	}
	return reading{b.String(), spans}
}

func invisible(r rune) bool {
	if r < utf8.RuneSelf { // nearly all are, and need no tables
		return r <= ' ' || r == 0x7f
	}
	return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError
}

// unescape takes one level of escapes away.
func (r reading) unescape() reading {
	var b strings.Builder
	b.Grow(len(r.text))
	spans := make([]span, 0, len(r.text))
	for i := 0; i < len(r.text); {
		char, width := character(r.text[i:])
		b.WriteString(char)
		for range len(char) {
			spans = append(spans, span{r.span(i).begin, r.span(i + width - 1).end})
		}
		i += width
	}
	return reading{b.String(), spans}
}

// character is what the first bytes of s stand for, and how many they are. It is empty for white
// space that is escaped.
func character(s string) (char string, width int) {
	char, width = s[:1], 1
	coded := func(begin, end, bits int) bool { // in hexadecimal digits: a byte of 8 bits, else a rune
		code, err := strconv.ParseUint(s[min(begin, len(s)):min(end, len(s))], 16, bits)
		switch {
		case err != nil || len(s) < end:
			return false
		case bits == 8:
			char = string([]byte{byte(code)})
		default:
			char = string(rune(code))
		}
		width = end
		return true
	}
	switch s[0] {
	case '%':
		coded(1, 3, 8)
	case '&':
		const most = 10
		end := strings.IndexByte(s[:min(len(s), most)], ';') + 1
		if plain := html.UnescapeString(s[:end]); plain != s[:end] {
			char, width = plain, end
		}
	case '\\':
		switch {
		case len(s) == 1 || s[1] == 'u' && coded(2, 6, 16) || s[1] == 'x' && coded(2, 4, 8):
		case strings.IndexByte("abfnrtv", s[1]) >= 0:
			char, width = "", 2
		default:
			char, width = s[1:2], 2
		}
	}
	if r, _ := utf8.DecodeRuneInString(char); width > 1 && r != utf8.RuneError && invisible(r) {
		char = ""
	}
	return char, width
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

// encodedForms are what must stand in a text that was encoded with the secret in it, as by a
// gateway that quotes the request it got: hexadecimal digits, and the characters of base64 that the
// secret determines alone.
func encodedForms(secret string) []string {
	const least = 8 // characters: shorter ones would replace what is not a secret
	var forms []string
	add := func(form string) {
		if len(form) >= least {
			forms = append(forms, form)
		}
	}
	digits := hex.EncodeToString([]byte(secret))
	add(digits)
	add(strings.ToUpper(digits))
	for shift := range 3 { // how many bytes before the secret share a group of three with it
		shifted := strings.Repeat("\x00", shift) + secret
		first, end := (shift*8+5)/6, len(shifted)*8/6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			add(encoding.EncodeToString([]byte(shifted))[first:max(first, end)])
		}
	}
	return forms
}
