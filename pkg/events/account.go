package events

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const adminResult = "account.admin"

// MaxPrincipals is how many service principals an event may name, or get by default.
const MaxPrincipals = 20

// AccountID is the id of a member account.
type AccountID string

// UnmarshalText checks the form.
func (a *AccountID) UnmarshalText(text []byte) error {
	if !isOf(text, 64, "_-") {
		return fmt.Errorf("%.80q is no account id: 1 to 64 letters, digits, _ or -", text)
	}
	*a = AccountID(text)
	return nil
}

// ServicePrincipal names a service, such as "service.SecMaster". Case matters.
type ServicePrincipal string

// UnmarshalText checks the form. There is no list of known principals.
func (p *ServicePrincipal) UnmarshalText(text []byte) error {
	if !isOf(text, 100, "._-") {
		return fmt.Errorf("%.120q is no service principal such as service.SecMaster", text)
	}
	*p = ServicePrincipal(text)
	return nil
}

// isOf reports whether text is of 1 to limit ASCII letters, digits and the others.
func isOf(text []byte, limit int, others string) bool {
	return len(text) > 0 && len(text) <= limit && !bytes.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	})
}

// AccountCreated is the data of account.created: an account joined the organization.
type AccountCreated struct {
	AccountID         AccountID
	ServicePrincipals []ServicePrincipal // to be administered by the account: 1 to 20, each once
}

// AdminResult is the data of account.admin.registered, .planned and .rejected.
type AdminResult struct {
	Outcome       Outcome             `json:"outcome"`              // of the whole; set when the event is made
	AccountID     AccountID           `json:"account_id,omitempty"` // empty: the data of the input was invalid
	Reason        Reason              `json:"reason,omitempty"`     // with Message: why the event as a whole was rejected
	Message       string              `json:"message,omitempty"`
	Registrations []AdminRegistration `json:"registrations,omitempty"` // in the event's order
	Cause         Cause               `json:"cause"`
}

// AdminRegistration is what became of one service principal.
type AdminRegistration struct {
	ServicePrincipal ServicePrincipal `json:"service_principal"`
	Registration
}

// AccountCreatedKind is the kind of account.created. The principals allowed, unless there are none, are the default of an event
// that names none and the only ones that an event may name.
func AccountCreatedKind(allowed []ServicePrincipal) Kind[AccountCreated] {
	return Kind[AccountCreated]{Type: "account.created", Result: adminResult, read: func(o object) (AccountCreated, error) {
		var (
			d      AccountCreated
			single *string
			named  []*string
		)
		if err := o.read("account_id", &d.AccountID); err != nil {
			return d, err
		}
		if d.AccountID == "" {
			return d, errors.New("account_id: is missing")
		}
		if err := o.read("service_principal", &single); err != nil {
			return d, err
		}
		if err := o.read("service_principals", &named); err != nil {
			return d, err
		}
		if single != nil {
			named = slices.Insert(named, 0, single)
		}
		seen := map[string]bool{}
		for _, text := range named {
			if text == nil {
				return d, errors.New("service_principals: must not hold null")
			}
			if seen[*text] {
				continue
			}
			var p ServicePrincipal
			if err := p.UnmarshalText([]byte(*text)); err != nil {
				return d, fmt.Errorf("service_principals: %w", err)
			}
			if len(seen) == MaxPrincipals {
				return d, fmt.Errorf("service_principals: more than %d of them", MaxPrincipals)
			}
			seen[*text] = true
			d.ServicePrincipals = append(d.ServicePrincipals, p)
		}
		var forbidden []string
		for _, p := range d.ServicePrincipals {
			if len(allowed) > 0 && !slices.Contains(allowed, p) {
				forbidden = append(forbidden, string(p))
			}
		}
		switch {
		case len(forbidden) > 0:
			return d, &notAllowedError{fmt.Sprintf("SERVICE_PRINCIPALS doesn't allow %s.", strings.Join(forbidden, ", "))}
		case len(d.ServicePrincipals) > 0:
			return d, nil
		case len(allowed) == 0:
			return d, errors.New("service_principals: is missing, and SERVICE_PRINCIPALS names no default")
		}
		for _, p := range allowed {
			if !slices.Contains(d.ServicePrincipals, p) {
				d.ServicePrincipals = append(d.ServicePrincipals, p)
			}
		}
		return d, nil
	}}
}

// Subject is the account.
func (d AccountCreated) Subject() string { return string(d.AccountID) }

func (d AccountCreated) reject(r Registration) Result {
	return AdminResult{AccountID: d.AccountID, Outcome: r.Outcome, Reason: r.Reason, Message: r.Message}
}

// Subject is the account.
func (r AdminResult) Subject() string { return string(r.AccountID) }

// Summary adds the registrations up: their attempts, the last request id, and the weightiest outcome.
func (r AdminResult) Summary() Registration {
	whole := Registration{Outcome: r.Outcome, Reason: r.Reason, Message: r.Message}
	for _, one := range r.Registrations {
		whole.add(one.Registration)
	}
	return whole
}

func (r AdminResult) data(cause Cause, limit int) any {
	r.Cause, r.Outcome = cause, r.Summary().Outcome
	r.Message = shorten(r.Message, limit)
	r.Registrations = slices.Clone(r.Registrations)
	for i := range r.Registrations {
		r.Registrations[i].Registration = r.Registrations[i].shorten(limit)
	}
	return r
}
