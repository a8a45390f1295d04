package wire

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Endpoint is the base URL of a service: https, or http for a loopback address. The zero Endpoint
// is not usable.
type Endpoint struct{ base *url.URL }

// ParseEndpoint reads an endpoint, such as https://organizations.myhuaweicloud.com.
func ParseEndpoint(text string) (Endpoint, error) {
	var e Endpoint
	err := e.UnmarshalText([]byte(text))
	return e, err
}

// UnmarshalText takes a URL of scheme, host and maybe a path. Its error doesn't show the text.
func (e *Endpoint) UnmarshalText(text []byte) error {
	const example = "https://organizations.myhuaweicloud.com"
	u, err := ParseURL(string(text), example)
	switch {
	case err != nil:
		return err
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("must be a URL of scheme, host and maybe a path, such as " + example)
	case u.Scheme != "https" && !Loopback(u.Hostname()):
		return errors.New("must begin with https:// (http:// is for loopback addresses only)")
	}
	*e = Endpoint{u}
	return nil
}

// URL is the address of what stands at the elements of a path below the endpoint. Each element is
// one segment whatever is in it: a slash doesn't separate, and two dots don't lead up. The result
// is the caller's.
func (e Endpoint) URL(elements ...string) *url.URL {
	segments := make([]string, 0, 8) // as many as any path has
	segments = append(segments, strings.TrimRight(e.base.EscapedPath(), "/"))
	for _, element := range elements {
		segment := url.PathEscape(element)
		if element == "." || element == ".." {
			segment = strings.ReplaceAll(element, ".", "%2E")
		}
		segments = append(segments, segment)
	}
	u := *e.base
	u.RawPath = strings.Join(segments, "/")
	u.Path, _ = url.PathUnescape(u.RawPath) // it was escaped here
	return &u
}

// String returns the endpoint's URL.
func (e Endpoint) String() string {
	if e.base == nil {
		return ""
	}
	return e.base.String()
}

// ParseURL reads an absolute http or https URL without user name and fragment. Its error shows the
// example, and not the text, which may have a password in it.
func ParseURL(text, example string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !reachable(u):
		return nil, errors.New("must be a URL such as " + example)
	case u.User != nil:
		return nil, errors.New("must not have a user name or password in it")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, errors.New("must not have a fragment (#...)")
	}
	return u, nil
}

// reachable reports whether u has a host, and a port that exists if it has a colon for one.
func reachable(u *url.URL) bool {
	_, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Hostname() != "" && (err == nil || u.Port() == "" && !strings.HasSuffix(u.Host, ":"))
}

// Loopback reports whether host is an address of this machine only, or localhost.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
