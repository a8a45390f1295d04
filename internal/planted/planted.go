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
	"slices"
	"strings"
)

// gaps are what may stand within a secret that is written in lines or in UTF-16.
var gaps = strings.NewReplacer(
	" ", "", "\t", "", "\n", "", "\f", "", "\r", "", "\x00", "",
	`\n`, "", `\r`, "", `\t`, "", `\u0000`, "", "%0A", "", "%0D", "", "%20", "",
)

// least is how long a secret must be: a shorter one would be found by chance.
const least = 8

// In returns the forms of the secrets that stand in a text, none if it is clean. A secret is looked
// for as it is, and as base64, hexadecimal digits, URLs, HTML and JSON write it, and in such a text
// within another, also where gaps are in it, as of lines or of UTF-16. It must have at least 8
// characters.
func In(text string, secrets ...string) []string {
	text += "\n" + gaps.Replace(text)
	// To write each secret in so many forms, and to look for each in the whole text, would take
	// minutes. A form begins as that of the beginning: only those are made that begin in the text.
	begins := map[string][]string{}
	for _, secret := range secrets {
		if len(secret) < least {
			panic("planted: a secret of less than 8 characters would be found by chance")
		}
		for _, one := range encoded(secret) {
			for form := range forms(one[:least]) {
				begins[form[:least]] = append(begins[form[:least]], one)
			}
		}
	}
	there, suspects := map[string]bool{}, map[string]bool{}
	for i := range max(0, len(text)-least+1) {
		begin := text[i : i+least]
		if ones := begins[begin]; ones != nil && !there[begin] {
			there[begin] = true
			for _, one := range ones {
				suspects[one] = true
			}
		}
	}
	var found []string
	for one := range suspects {
		for form := range forms(one) {
			if there[form[:least]] && strings.Contains(text, form) {
				found = append(found, form)
			}
		}
	}
	return found
}

// forms are all ways to write a text within others.
func forms(text string) map[string]bool {
	all := map[string]bool{}
	ways := escaped(text)
	for _, format := range []string{"%%%02x", "%%%02X", "&#%d;", "&#x%x;", "&#x%X;", `\u%04x`, `\x%02x`} {
		ways = append(ways, each(text, format))
	}
	slices.Sort(ways)
	for _, form := range slices.Compact(ways) {
		all[form] = true
		for _, again := range escaped(form) {
			all[again] = true
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
		if len(middle) >= least {
			all = append(all, middle, ofURLs.Replace(middle))
		}
	}
	return all
}

var (
	slashes = strings.NewReplacer("/", `\/`)
	numbers = strings.NewReplacer("=", `\u003d`, "+", `\u002b`, "/", `\u002f`)
	ofHTML  = strings.NewReplacer("+", "&#x2b;", "/", "&#x2f;", "=", "&#x3d;")
	ofURLs  = strings.NewReplacer("+", "-", "/", "_")
)

// escaped are the ways in which a text is written within others.
func escaped(text string) []string {
	inJSON, inHTML, inQuery := inJSON(text), html.EscapeString(text), url.QueryEscape(text)
	return []string{
		text, inJSON, slashes.Replace(inJSON), numbers.Replace(inJSON),
		inQuery, url.PathEscape(text), strings.ToLower(inQuery), inHTML, ofHTML.Replace(inHTML),
	}
}
