package wire_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"registrar/pkg/wire"
)

// secrets have what escaping changes: a token is base64, a password may have anything.
func secrets() []string {
	return []string{"AKEXAMPLE0000000000A", "TOKEN+example/00==", `p"a<s>s&w'o\rd%/ä`}
}

func TestASecretIsRedactedInEveryForm(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]func(string) string{
		"as it is":      func(s string) string { return s },
		"in a query":    url.QueryEscape,
		"in a path":     url.PathEscape,
		"in HTML":       html.EscapeString,
		"in JSON":       quote,
		"in PHP's JSON": func(s string) string { return strings.ReplaceAll(s, "/", `\/`) },
		"in a query, with digits in lower case": func(s string) string {
			escaped := url.QueryEscape(s)
			for _, digits := range []string{"%2B", "%2F", "%3D", "%3C", "%3E", "%5C", "%C3"} {
				escaped = strings.ReplaceAll(escaped, digits, strings.ToLower(digits))
			}
			return strings.ReplaceAll(escaped, "%A4", "%a4")
		},
		"in a URL that escapes everything":  func(s string) string { return eachByte(s, "%%%02x") },
		"in HTML that escapes everything":   func(s string) string { return eachRune(s, "&#%d;") },
		"in HTML, in hexadecimal digits":    func(s string) string { return eachRune(s, "&#x%X;") },
		"in JSON that escapes everything":   func(s string) string { return eachRune(s, `\u%04x`) },
		"in JavaScript":                     func(s string) string { return eachByte(s, `\x%02X`) },
		"in JSON in JSON":                   func(s string) string { return quote(quote(s)) },
		"in JSON in JSON in a query":        func(s string) string { return url.QueryEscape(quote(quote(s))) },
		"in a query in HTML":                func(s string) string { return html.EscapeString(url.QueryEscape(s)) },
		"in a query in a query":             func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		"in hexadecimal digits":             func(s string) string { return hex.EncodeToString([]byte(s)) },
		"in large hexadecimal digits":       func(s string) string { return fmt.Sprintf("%X", s) },
		"in digits with gaps":               func(s string) string { return fmt.Sprintf("% x", s) },
		"in lines that JSON has made words": func(s string) string { return s[:5] + `\r\n` + s[5:] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, secret := range secrets() {
				got := wire.NewSecrets(secrets()...).Redact("bad " + form(secret) + ", " + form(secret) + "!")
				assert.Equal(t, "bad [redacted], [redacted]!", got)
			}
		})
	}
}

// eachByte and eachRune write each part of a text in a format.
func eachByte(s, format string) string { return each([]byte(s), format) }
func eachRune(s, format string) string { return each([]rune(s), format) }

func each[T byte | rune](parts []T, format string) string {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&b, format, part)
	}
	return b.String()
}

func quote(s string) string {
	quoted, _ := json.Marshal(s)
	return strings.Trim(string(quoted), `"`)
}

// Whatever stands before and after a secret in a text, its base64 shows at most the bits of a
// character that the secret shares with a neighbour.
func TestASecretIsRedactedFromBase64AtEachAlignment(t *testing.T) {
	t.Parallel()
	for name, encoding := range map[string]*base64.Encoding{
		"standard": base64.StdEncoding, "of URLs": base64.URLEncoding,
		"without padding": base64.RawStdEncoding, "of URLs without padding": base64.RawURLEncoding,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, secret := range secrets() {
				for before := range 7 {
					for after := range 7 {
						text := strings.Repeat("x", before) + secret + strings.Repeat("y", after)
						encoded := encoding.EncodeToString([]byte(text))
						got := wire.NewSecrets(secret).Redact(encoded)
						shown := len(strings.ReplaceAll(got, wire.Redacted, "")) * 6
						assert.LessOrEqual(t, shown, (before+after)*8+2*6+2*6,
							"%d, %d: %s of %s", before, after, got, encoded)
						assert.Contains(t, got, wire.Redacted)

						escaped := url.QueryEscape(encoded)
						got = wire.NewSecrets(secret).Redact(escaped)
						assert.Less(t, len(got)-len(wire.Redacted), len(escaped)-len(secret), "%s of %s", got, escaped)
					}
				}
			}
		})
	}
}

func TestWhatIsNotASecretStays(t *testing.T) {
	t.Parallel()
	const text = `status 403 IIC.1000 [x] &amp; %2F &unknown; &#; %zz % & \u00g0 \x \`
	for _, secret := range []string{"", "s", "IIC.1001", strings.Repeat("x", 100)} {
		assert.Equal(t, text, wire.NewSecrets(secret).Redact(text))
	}
	assert.Equal(t, text, wire.Secrets{}.Redact(text))
	assert.Empty(t, wire.NewSecrets("secret").Redact(""))
}

func TestOnlyWhatIsSecretIsReplacedAmongEscapes(t *testing.T) {
	t.Parallel()
	secrets := wire.NewSecrets("SK<example", "p%41ss", "q%C2%A0rst")
	for text, want := range map[string]string{
		`a\n\"SK\u003cexample\"\n &amp; b`: `a\n\"[redacted]\"\n &amp; b`,
		"a%20SK%3Cexample%20b%zz":          "a%20[redacted]%20b%zz",
		"&lt;SK&lt;example&gt;":            "&lt;[redacted]&gt;",
		"p%41ss p%2541ss p%2e p":           "[redacted] [redacted] p%2e p",
		"q%C2%A0rst q\u00a0rst":            "[redacted] [redacted]",
	} {
		assert.Equal(t, want, secrets.Redact(text))
	}
}

func TestNoVerbShowsTheSecrets(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.Equal(t, wire.Redacted, fmt.Sprintf(verb, wire.NewSecrets("SKexample")), verb)
	}
}

func TestASecretIsRedactedAroundWhatCannotBeSeen(t *testing.T) {
	t.Parallel()
	secrets := wire.NewSecrets("SKexample")
	for r := range rune(0x2100) {
		text := "SKex" + string(r) + "ample"
		want := text
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			want = wire.Redacted
		}
		assert.Equal(t, want, secrets.Redact(text), "%U", r)
	}
}

func TestASecretThatIsAPartOfAnotherLeavesNothingOfIt(t *testing.T) {
	t.Parallel()
	both := wire.NewSecrets("SKexample", "SKexample-long")
	assert.Equal(t, "[redacted] [redacted]", both.Redact("SKexample SKexample-long"))
}

func TestAPartOfALongSecretIsRedacted(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/", 3)
	for _, form := range []func(string) string{
		func(s string) string { return s }, url.QueryEscape,
		func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return strings.Join(strings.Split(s, ""), "\n") },
	} {
		for _, length := range []int{18, 99, 189, 192} {
			secrets := wire.NewSecrets(token)
			assert.Equal(t, "bad [redacted]!", secrets.Redact("bad "+form(token[:length])+"!"), length)
			assert.Equal(t, "bad [redacted]!", secrets.Redact("bad "+form(token[192-length:])+"!"), length)
		}
	}
	assert.Equal(t, token[:15], wire.NewSecrets(token).Redact(token[:15]))
	assert.Equal(t, "[redacted]", wire.NewSecrets(token).Redact(token[:16]))
	assert.Equal(t, "[redacted]", wire.NewSecrets(token).Redact(token[176:]))
	short := wire.NewSecrets("SKexample")
	assert.Equal(t, "SKexampl", short.Redact("SKexampl"), "a short secret has no part that is as good")
}

func TestASecretIsRedactedFromBase64ThatIsWrapped(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("TOKEN+example/00", 12)
	for before := range 4 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + token))
		for _, gap := range []string{"\n", "\r\n", " ", "\t"} {
			var wrapped strings.Builder
			for i := 0; i < len(encoded); i += 76 {
				wrapped.WriteString(encoded[i:min(i+76, len(encoded))] + gap)
			}
			got := wire.NewSecrets(token).Clean(wrapped.String(), 1000)
			assert.Contains(t, got, wire.Redacted)
			assert.LessOrEqual(t, len(strings.Replace(got, wire.Redacted, "", 1)), 8, got)
		}
	}
}

func TestCleanMakesATextFitForALog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		limit int
		want  string
	}{
		"nothing":                            {"", 10, ""},
		"a text that fits":                   {"status", 6, "status"},
		"control characters":                 {"\ta\r\n\x00b\x1b[31m\u0085", 100, "a   b [31m"},
		"what is not UTF-8":                  {"a\xffb\xc3", 100, "a\ufffdb\ufffd"},
		"a text that is cut":                 {"abcdef", 5, "ab…"},
		"a cut within a character":           {"aäöü", 6, "aä…"},
		"secrets go before the cut":          {"SKexample and more", 13, "[redacted]…"},
		"a secret across the limit":          {"12345678SKexample", 12, "12345678[…"},
		"a secret with a gap":                {"a SKex\x00am\r\n ple b", 100, "a [redacted] b"},
		"a secret with what isn't UTF-8":     {"SKex\xffample", 100, "[redacted]"},
		"a secret with an invisible gap":     {"SKex\u200bample", 100, "[redacted]"},
		"a limit below that of the ellipsis": {"abcdef", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, wire.NewSecrets("SKexample").Clean(c.text, c.limit))
		})
	}
}

func TestCutAtEveryLimit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", "abc", "abcdefgh", "äöü", "漢字漢字", "a😀b😀", "…………"} {
		for limit := range len(text) + 3 {
			got := wire.Clean(text, limit)
			assert.LessOrEqual(t, len(got), limit)
			assert.True(t, utf8.ValidString(got), "%q at %d: %q", text, limit, got)
			if len(text) <= limit {
				assert.Equal(t, text, got)
				continue
			}
			if limit < 3 {
				assert.Empty(t, got)
				continue
			}
			kept, cut := strings.CutSuffix(got, "…")
			assert.True(t, cut, "%q at %d: %q", text, limit, got)
			assert.True(t, strings.HasPrefix(text, kept))
			assert.Greater(t, len(got)+utf8.UTFMax, limit, "no more is cut off than must be")
		}
	}
	assert.Empty(t, wire.Clean("abc", -1))
}

func FuzzClean(f *testing.F) {
	f.Add("bad TOKENexample== and", uint16(20), "TOKENexample==")
	f.Add("VE9LRU5leGFtcGxlPT0=", uint16(100), "TOKENexample==")
	f.Add("a\xff\x00b", uint16(3), "")
	f.Add("SKexampleSKexample", uint16(12), "SKexample")
	f.Add("bad TOKEN-example-0123 and", uint16(100), "TOKEN-example-0123456789-end")
	f.Add("bad 6789-\x1bexample-e nd", uint16(100), "TOKEN-0123456789-example-end")
	f.Add("VE9LRU5l\neGFtc GxlPT0=", uint16(100), "TOKENexample==")
	f.Fuzz(func(t *testing.T, text string, limit uint16, secret string) {
		got := wire.NewSecrets(secret).Clean(text, int(limit))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("unfit for a log: %q", got)
		}
		if len(got) > int(limit) {
			t.Errorf("%d bytes, not %d", len(got), limit)
		}
		// A secret is printable ASCII, as a header takes it, and not a part of what replaces it.
		if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' || r == '[' || r == ']' }) ||
			len(secret) < 2 || strings.Contains(wire.Redacted, secret) {
			return
		}
		squeezed := strings.ReplaceAll(got, " ", "")
		encoded := base64.RawStdEncoding.EncodeToString([]byte(secret))[:len(secret)*8/6]
		parts := []string{secret}
		if len(encoded) >= 8 && !strings.Contains(wire.Redacted, encoded) {
			parts = append(parts, encoded)
		}
		for _, part := range parts {
			length := min(len(part), 16)
			for _, shown := range []string{part[:length], part[len(part)-length:]} {
				if strings.Contains(got, shown) || strings.Contains(squeezed, shown) {
					t.Errorf("%q shows %q", got, shown)
				}
			}
		}
	})
}

// A text with nothing to squeeze out is looked through as it is, any other as a copy.
func FuzzRedact(f *testing.F) {
	const secret = "TOKENexample+0123456789/end=="
	f.Add("0a6d25d23900d45c0faac010e0fb4de0", secret)
	f.Add("bad TOKENexample+0123456789/end== and", secret)
	f.Add("TOKENexample+0123", secret)
	f.Add("TOKENexample%2B0123456789%2Fend%3D%3D!", secret)
	f.Add(`TOKENexample\u002b0123456789\/end==&amp;&lt;`, secret)
	f.Add("a%2541b", "aAb")
	f.Add("\xc3TOKENäexample", "TOKENäexample")
	f.Fuzz(func(t *testing.T, text, secret string) {
		s := wire.NewSecrets(secret)
		const unseen = "\x00"
		assert.Equal(t, unseen+s.Redact(text)+unseen, s.Redact(unseen+text+unseen))
	})
}

func ExampleSecrets_Clean() {
	const token = "TOKENexample=="
	fmt.Println(wire.NewSecrets(token).Clean("bad token "+token+"\r\n", 1024))
	// Output: bad token [redacted]
}
