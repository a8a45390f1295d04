package events

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// dateTime is the form that RFC 3339 asks for. [time.Parse] takes others.
var dateTime = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)((?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))$`)

// parseTime reads a date-time of RFC 3339, and takes exactly those that a JSON Schema calls a
// date-time. A leap second, which package time doesn't know, is read as the second after it.
func parseTime(text string) (time.Time, error) {
	parts := dateTime.FindStringSubmatch(strings.ToUpper(text)) // t and z will do
	if parts == nil {
		return time.Time{}, errors.New("not a date-time of RFC 3339")
	}
	if parts[2] != "60" {
		return time.Parse(time.RFC3339, parts[0])
	}
	at, err := time.Parse(time.RFC3339, parts[1]+"59"+parts[3])
	if err == nil && at.UTC().Format("15:04") != "23:59" {
		err = errors.New("there is no leap second then")
	}
	if err != nil {
		return time.Time{}, err
	}
	return at.Add(time.Second), nil
}

// uriReference is the grammar of RFC 3986, but for what an IPv6 address is, and that the first
// segment of a path has no colon if there is no scheme.
var uriReference = func() *regexp.Regexp {
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

// IsURIReference reports whether text is a URI-reference of RFC 3986. [net/url.Parse] takes others.
func IsURIReference(text string) bool {
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
