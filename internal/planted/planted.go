// Package planted looks for secrets that a test has planted, and imitates those who quote them. It
// knows how others write a secret, and is built apart from what hides secrets, so that one can't
// share a fault with the other.
package planted

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
)

// In returns the forms of the secrets that stand in a text, none if it is clean. A secret is looked
// for as it is, and as base64, hexadecimal digits, URLs, HTML and JSON write it, and in such a text
// within another, also where gaps are in it, as of lines or of UTF-16. It must have at least 8
// characters.
func In(text string, secrets ...string) []string {
	text += "\n" + regexp.MustCompile(`[\s\x00]|\\[nrt]|\\u0000|%0[AD]|%20`).ReplaceAllString(text, "")
	const least = 8
	begins := map[string]bool{} // to look for each of so many forms in the whole text would take minutes
	for i := range max(0, len(text)-least+1) {
		begins[text[i:i+least]] = true
	}
	var found []string
	for _, secret := range secrets {
		if len(secret) < least {
			panic("planted: a secret of less than 8 characters would be found by chance")
		}
		for form := range forms(secret) {
			if begins[form[:least]] && strings.Contains(text, form) {
				found = append(found, form)
			}
		}
	}
	return found
}

// forms are all ways to write a secret.
func forms(secret string) map[string]bool {
	all := map[string]bool{}
	for _, one := range encoded(secret) {
		ways := escaped(one)
		for _, format := range []string{"%%%02x", "%%%02X", "&#%d;", "&#x%x;", "&#x%X;", `\u%04x`, `\x%02x`} {
			ways = append(ways, each(one, format))
		}
		for _, form := range ways {
			all[form] = true
			for _, again := range escaped(form) {
				all[again] = true
			}
		}
	}
	return all
}

// each writes every character of an ASCII text in a format.
func each(text, format string) string {
	var b strings.Builder
	for _, char := range text {
		fmt.Fprintf(&b, format, char)
	}
	return b.String()
}

// encoded are a secret as it is, and the characters of its base64 that don't depend on what stands
// around it.
func encoded(secret string) []string {
	all := []string{secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	for before := range 3 {
		// Four characters stand for three bytes: those that share one with others are cut off.
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + secret + "xxx"))
		middle := text[4*min(before, 1) : len(text)-8]
		if len(middle) >= 8 { // less would be found by chance
			all = append(all, middle, strings.NewReplacer("+", "-", "/", "_").Replace(middle))
		}
	}
	return all
}

// escaped are the ways in which a text is written within others.
func escaped(text string) []string {
	inJSON := inJSON(text)
	numbers := strings.NewReplacer("+", "&#x2b;", "/", "&#x2f;", "=", "&#x3d;")
	return []string{
		text, inJSON, strings.ReplaceAll(inJSON, "/", `\/`),
		strings.NewReplacer("=", `\u003d`, "+", `\u002b`, "/", `\u002f`).Replace(inJSON),
		url.QueryEscape(text), url.PathEscape(text), strings.ToLower(url.QueryEscape(text)),
		html.EscapeString(text), numbers.Replace(html.EscapeString(text)),
	}
}
