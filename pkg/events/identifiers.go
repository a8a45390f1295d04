package events

import (
	"fmt"
	"strings"
)

// RegionID is the id of a Huawei Cloud region, such as "cn-north-4".
type RegionID string

// ParseRegionID checks the form: lower-case words with a hyphen between them. There is no list of
// known regions.
func ParseRegionID(text string) (RegionID, error) {
	if !consistsOf(text, 64, "-") || text != strings.ToLower(text) || !strings.Contains(text, "-") ||
		strings.Contains("-"+text+"-", "--") {
		return "", fmt.Errorf("%.80q is not a region id such as cn-north-4", text)
	}
	return RegionID(text), nil
}

// UnmarshalText takes what ParseRegionID takes, or an empty text, which means none.
func (r *RegionID) UnmarshalText(text []byte) (err error) {
	*r = ""
	if len(text) > 0 {
		*r, err = ParseRegionID(string(text))
	}
	return err
}

// AccountID is the id of a member account.
type AccountID string

// ParseAccountID checks the form.
func ParseAccountID(text string) (AccountID, error) {
	if !consistsOf(text, 64, "_-") {
		return "", fmt.Errorf("%.80q is not an account id: 1 to 64 letters, digits, _ or -", text)
	}
	return AccountID(text), nil
}

// CreateAccountStatusID is the id of the creation of an account, such as "car-1a2b3c4d".
type CreateAccountStatusID string

func parseCreateAccountStatusID(text string) (CreateAccountStatusID, error) {
	if !consistsOf(text, 64, "_-") {
		return "", fmt.Errorf("%.80q is not the id of a creation: 1 to 64 letters, digits, _ or -", text)
	}
	return CreateAccountStatusID(text), nil
}

// ServicePrincipal names a service, such as "service.SecMaster". Case matters.
type ServicePrincipal string

// ParseServicePrincipal checks the form. There is no list of known principals.
func ParseServicePrincipal(text string) (ServicePrincipal, error) {
	if !consistsOf(text, 100, "._-") {
		return "", fmt.Errorf("%.120q is not a service principal such as service.SecMaster", text)
	}
	return ServicePrincipal(text), nil
}

// consistsOf reports whether text is 1 to limit ASCII letters, digits and the other characters.
func consistsOf(text string, limit int, others string) bool {
	return len(text) > 0 && len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	})
}
