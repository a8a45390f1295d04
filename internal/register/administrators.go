package register

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

// Administrators say which accounts administer which services: all that shall be, and all that may
// be. Nil means that nobody said.
type Administrators []Rule

// Rule makes an account the administrator of a service.
type Rule struct {
	ServicePrincipal events.ServicePrincipal
	AccountID        events.AccountID // empty if AccountName says which account it is
	AccountName      string
}

// maxName is how many characters the name of an account has at most.
const maxName = 128

// UnmarshalText takes a comma-separated list of <service principal>=id:<account id> and
// <service principal>=name:<account name>, or an empty text, which means that nobody said.
func (a *Administrators) UnmarshalText(text []byte) error {
	*a = nil
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		rule, err := parseRule(strings.TrimSpace(part))
		switch {
		case err != nil:
			return err
		case slices.Contains(*a, rule):
			return fmt.Errorf("names %s=%s twice", rule.ServicePrincipal, rule.Selector())
		}
		*a = append(*a, rule)
	}
	return atMost(len(a.Services()))
}

func parseRule(text string) (Rule, error) {
	service, selector, _ := strings.Cut(text, "=")
	kind, account, _ := strings.Cut(selector, ":")
	principal, err := events.ParseServicePrincipal(service)
	if err != nil {
		return Rule{}, err
	}
	rule := Rule{ServicePrincipal: principal}
	switch {
	case kind == "id":
		rule.AccountID, err = events.ParseAccountID(account)
	case kind == "name" && isName(account):
		rule.AccountName = account
	default:
		err = fmt.Errorf("%.200q must be like %s=id:<account id> or %s=name:<account name>", text, service, service)
	}
	return rule, err
}

// isName reports whether text can be the name of an account. The client puts a name into quotes
// that isn't fit to be compared, so none may begin with one.
func isName(text string) bool {
	return text != "" && text[0] != '"' && text == strings.TrimSpace(text) && utf8.RuneCountInString(text) <= maxName &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}

// Selector is how the rule says which account it is, such as "name:security".
func (r Rule) Selector() string {
	if r.AccountID != "" {
		return "id:" + string(r.AccountID)
	}
	return "name:" + r.AccountName
}

// Fits reports whether the rule is about the account, as Organizations knows it. A name fits only
// an account that was created in the organization: whoever owns an invited one may call it what
// they like.
func (r Rule) Fits(account client.Account) bool {
	if r.AccountID != "" {
		return string(r.AccountID) == account.ID
	}
	return r.AccountName == account.Name && account.JoinMethod == "created"
}

// Services are what the rules are about, each once.
func (a Administrators) Services() []events.ServicePrincipal {
	return a.servicesOf(func(Rule) bool { return true })
}

// Of are the services that the account administers, each once.
func (a Administrators) Of(account client.Account) []events.ServicePrincipal {
	return a.servicesOf(func(r Rule) bool { return r.Fits(account) })
}

// NeedName reports whether only the name of the account tells if it administers one of the
// services, or any service if there are none.
func (a Administrators) NeedName(id events.AccountID, services []events.ServicePrincipal) bool {
	byID := a.Of(client.Account{ID: string(id)})
	return slices.ContainsFunc(a, func(r Rule) bool {
		return r.AccountName != "" && !slices.Contains(byID, r.ServicePrincipal) &&
			(len(services) == 0 || slices.Contains(services, r.ServicePrincipal))
	})
}

func (a Administrators) servicesOf(matches func(Rule) bool) []events.ServicePrincipal {
	var services []events.ServicePrincipal
	for _, r := range a {
		if matches(r) && !slices.Contains(services, r.ServicePrincipal) {
			services = append(services, r.ServicePrincipal)
		}
	}
	return services
}
