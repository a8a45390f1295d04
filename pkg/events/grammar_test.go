package events

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The grammars as regular expressions. The program has code instead, since they take a tenth of a
// millisecond to compile at each start.
var (
	dateTime = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)((?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))$`)

	// But for what an IPv6 address is, and that the first segment of a path has no colon if there
	// isn't a scheme.
	uriReference = func() *regexp.Regexp {
		const (
			named = `[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}` // what stands in the name of a host
			char  = `(?:[:@]|` + named + `)`
			rest  = `(?:/|` + char + `)*`
		)
		return regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?:` + // scheme
			`//(?:(?::|` + named + `)*@)?` + // user
			`(?:\[(?:v[0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+|([0-9A-Fa-f:.]+))\]|(?:` + named + `)*)` + // host
			`(?::[0-9]*)?(?:/` + rest + `)?` + // port, and the path behind it
			`|(` + char + `+)(?:/` + rest + `)?|(?:/(?:` + char + rest + `)?)?)` + // or a path alone
			`(?:\?(?:[/?]|` + char + `)*)?(?:#(?:[/?]|` + char + `)*)?$`)
	}()

	regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
)

// timeByGrammar is the time that text says by the grammar, the zero time if it says none.
func timeByGrammar(text string) (at time.Time, ok bool) {
	parts := dateTime.FindStringSubmatch(strings.ToUpper(text))
	if parts == nil {
		return at, false
	}
	if parts[2] != "60" {
		at, err := time.Parse(time.RFC3339, parts[0])
		return at, err == nil
	}
	at, err := time.Parse(time.RFC3339, parts[1]+"59"+parts[3])
	if err != nil || at.UTC().Format("15:04") != "23:59" {
		return time.Time{}, false
	}
	return at.Add(time.Second), true
}

func uriReferenceByGrammar(text string) bool {
	at := uriReference.FindStringSubmatchIndex(text)
	if at == nil {
		return false
	}
	if begin, end := at[4], at[5]; begin == 0 && strings.Contains(text[:end], ":") {
		return false
	}
	if begin, end := at[2], at[3]; begin > 0 {
		ip, err := netip.ParseAddr(text[begin:end])
		return err == nil && ip.Is6()
	}
	return true
}

// agree checks that what the code takes of text is what the grammars take.
func agree(t *testing.T, text string) {
	t.Helper()
	want, taken := timeByGrammar(text)
	at, err := parseTime(text)
	assert.Equal(t, taken, err == nil, "time %q", text)
	assert.True(t, want.Equal(at), "time %q", text)
	assert.Equal(t, uriReferenceByGrammar(text), IsURIReference(text), "URI-reference %q", text)
	_, err = ParseRegionID(text)
	assert.Equal(t, len(text) <= 64 && regionForm.MatchString(text), err == nil, "region %q", text)
}

// Each text is one of the seeds with a byte changed, added or left out.
func TestFormatsAreThoseOfTheirGrammars(t *testing.T) {
	t.Parallel()
	const bytes = "0256Zz:.,+-/?#@[]%vVaGT \x00\xff"
	for _, seed := range formatSeeds() {
		for i := range len(seed) + 1 {
			for _, b := range []byte(bytes) {
				added := seed[:i] + string([]byte{b}) + seed[i:]
				agree(t, added)
				if i < len(seed) {
					agree(t, seed[:i]+seed[i+1:])
					agree(t, seed[:i]+string([]byte{b})+seed[i+1:])
				}
			}
		}
	}
}

func formatSeeds() []string {
	return []string{
		"", "2026-01-02T03:04:05Z", "2026-01-02t03:04:05.678z", "2026-01-02T03:04:05.6+23:59", "1998-12-31T23:59:60Z",
		"1998-12-31T15:59:60.1-08:00", "0000-02-29T00:00:00-00:00", "2026-01-02T3:04:05Z", "2026-01-02T03:04:05,6Z",
		"2026-01-02T03:04:05+24:00",
		"http://u:p@a.b:80/c;d/e?f/g?#h?i", "//[::ffff:1.2.3.4]:5", "//[v1.a:b]/", "//[v1.%41]", "//[v1.]",
		"//[1.2.3.4]", "//[fe80::1%25a]", "//a@b", "//:", "//@:/", "a/b:c", "/%aF//b", "?a:b#/", "urn:x:y",
		"mailto:a@b", "+a.b-c:d", "::", "cn-north-4", "a--b", "-", "a-b-",
	}
}

func FuzzFormats(f *testing.F) {
	for _, seed := range formatSeeds() {
		f.Add(seed)
	}
	f.Fuzz(agree)
}
