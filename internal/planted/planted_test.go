package planted

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const secret = `SK/ex+am&ple"01<23==`

func TestASecretIsFoundInEachForm(t *testing.T) {
	t.Parallel()
	asJSON := func(s string) string {
		quoted, _ := json.Marshal(map[string]string{"message": s})
		return string(quoted)
	}
	inBase64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	inBase64OfURLs := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, write := range map[string]func(string) string{
		"as it is":                func(s string) string { return s },
		"base64":                  inBase64,
		"base64 of URLs":          inBase64OfURLs,
		"a query":                 url.QueryEscape,
		"a path":                  url.PathEscape,
		"HTML":                    html.EscapeString,
		"JSON":                    inJSON,
		"JSON in JSON":            func(s string) string { return asJSON(asJSON(s)) },
		"a page in JSON":          func(s string) string { return asJSON(html.EscapeString(s)) },
		"base64 in a query":       func(s string) string { return url.QueryEscape(inBase64(s)) },
		"base64 in a page":        func(s string) string { return html.EscapeString(inBase64(s)) },
		"base64 in JSON in JSON":  func(s string) string { return asJSON(asJSON(inBase64(s))) },
		"a query within a query":  func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		"hexadecimal digits":      func(s string) string { return fmt.Sprintf("%x", s) },
		"digits with gaps":        func(s string) string { return fmt.Sprintf("% X", s) },
		"a query of all bytes":    func(s string) string { return each(s, "%%%02X") },
		"HTML of all bytes":       func(s string) string { return each(s, "&#%d;") },
		"JSON of all bytes":       func(s string) string { return asJSON(each(s, `\u%04x`)) },
		"UTF-16":                  func(s string) string { return each(s, "%c\x00") },
		"base64 of a pair":        func(s string) string { return inBase64("user:" + s) },
		"base64 in lines":         func(s string) string { return lines(inBase64(s)) },
		"base64 in lines in JSON": func(s string) string { return asJSON(lines(inBase64(s))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, around := range []string{"", "a", "ab", "abc"} {
				assert.NotEmpty(t, In(write(around+secret+around), secret), around)
			}
			assert.Empty(t, In(write("SK/another+one&01<23=="), secret))
		})
	}
}

// lines wraps a text.
func lines(s string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(s), 5) {
		b.WriteString(string(part) + "\r\n")
	}
	return b.String()
}

func TestASecretThatIsTooShortIsAFaultOfTheTest(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() { In("text", "short") })
}
