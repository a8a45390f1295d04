package events

import (
	"errors"
	"net/netip"
	"strings"
	"time"
)

const (
	digits  = "0123456789"
	hex     = digits + "abcdefABCDEF"
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// parseTime reads a date-time of RFC 3339, and takes exactly those that a JSON Schema calls a
// date-time. A leap second, which package time doesn't know, is read as the second after it.
func parseTime(text string) (time.Time, error) {
	const hour, minute, second = len("2006-01-02T15"), len("2006-01-02T15:04"), len("2006-01-02T15:04:05")
	text = strings.ToUpper(text) // t and z will do
	leap := len(text) > second && text[minute:second] == ":60"
	if leap {
		text = text[:minute] + ":59" + text[second:]
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, err
	}
	switch zone := text[len(text)-len("07:00"):]; {
	case text[hour] != ':', text[second] == ',', text[len(text)-1] != 'Z' && (zone[:2] > "23" || zone[3:] > "59"):
		return time.Time{}, errors.New("package time takes it, but RFC 3339 doesn't")
	case leap && at.UTC().Format("15:04") != "23:59":
		return time.Time{}, errors.New("there is no leap second then")
	case leap:
		return at.Add(time.Second), nil
	}
	return at, nil
}

// IsURIReference reports whether text is a URI-reference of RFC 3986. [net/url.Parse] takes others.
func IsURIReference(text string) bool {
	text, fragment, _ := strings.Cut(text, "#")
	path, query, _ := strings.Cut(text, "?")
	if i := strings.IndexAny(path, ":/"); i >= 0 && path[i] == ':' {
		scheme := path[:i]
		if strings.Trim(scheme, letters+digits+"+-.") != "" || strings.IndexAny(scheme, letters) != 0 {
			return false
		}
		path = path[i+1:]
	}
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if !isAuthority(authority) {
			return false
		}
		path = rest[len(authority):]
	}
	return spells(path, "/:@") && spells(query, "/?:@") && spells(fragment, "/?:@")
}

// isAuthority reports whether text is what may stand between // and the path: a host, with a user
// before it and a port behind it or not.
func isAuthority(text string) bool {
	if user, host, ok := strings.Cut(text, "@"); ok {
		if !spells(user, ":") {
			return false
		}
		text = host
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && strings.Trim(text[i+1:], digits) == "" {
		text = text[:i]
	}
	address, ok := strings.CutPrefix(text, "[")
	if !ok {
		return spells(text, "")
	}
	address, ok = strings.CutSuffix(address, "]")
	return ok && isAddress(address)
}

// isAddress reports whether text is an address of IPv6, or of a later version of IP.
func isAddress(text string) bool {
	if later, ok := strings.CutPrefix(text, "v"); ok {
		version, address, _ := strings.Cut(later, ".")
		return version != "" && strings.Trim(version, hex) == "" &&
			address != "" && spells(address, ":") && !strings.Contains(address, "%")
	}
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is6() && ip.Zone() == ""
}

// spells reports whether text consists of the characters that stand for themselves anywhere in a
// URI, of the others, and of percent-encoded bytes.
func spells(text, others string) bool {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '%':
			if i+2 >= len(text) || strings.Trim(text[i+1:i+3], hex) != "" {
				return false
			}
			i += 2
		case strings.IndexByte(letters+digits+"-._~!$&'()*+,;=", text[i]) < 0 && strings.IndexByte(others, text[i]) < 0:
			return false
		}
	}
	return true
}
