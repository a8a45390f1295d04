package events

import (
	"errors"
	"fmt"
	"slices"
)

// MaxPrincipals is how many services one event may name.
const MaxPrincipals = 20

// AccountCreated is the data of account.created and account.admin.missing.
type AccountCreated struct {
	// One of these is empty: the account, or the creation that tells it.
	AccountID             AccountID
	CreateAccountStatusID CreateAccountStatusID

	ServicePrincipals []ServicePrincipal // those that the account shall administer, each once; nil if there are none
}

// AccountCreatedInput is the input account.created, "an account joined the organization", and
// account.admin.missing, with which an audit asks for an administrator.
func AccountCreatedInput() Input[AccountCreated] {
	return Input[AccountCreated]{"account.created", []string{adminRequest}, readAccountCreated}
}

func readAccountCreated(o object) (d AccountCreated, err error) {
	if d.AccountID, err = optional(o, "account_id", ParseAccountID); err != nil {
		return d, err
	}
	d.CreateAccountStatusID, err = optional(o, "create_account_status_id", parseCreateAccountStatusID)
	switch {
	case err != nil:
		return d, err
	case d.AccountID == "" && d.CreateAccountStatusID == "":
		return d, errors.New("account_id: is missing, and so is create_account_status_id")
	case d.AccountID != "" && d.CreateAccountStatusID != "":
		return d, errors.New("create_account_status_id: must not stand beside account_id")
	}
	single := o.given("service_principal")
	if single != "" {
		if single.kind() != "string" {
			return d, notOfKind("service_principal", single)
		}
		single = "[" + single + "]"
	}
	d.ServicePrincipals, err = principals(single, o.given("service_principals"))
	return d, err
}

// principals reads lists of services: each service once, in their order.
func principals(lists ...value) (read []ServicePrincipal, err error) {
	for _, list := range lists {
		if list != "" && list.kind() != "array" {
			return nil, notOfKind("service_principals", list)
		}
		for v := range list.elements() {
			switch v.kind() {
			case "string":
			case "null":
				return nil, errors.New("service_principals: must not hold null")
			default:
				return nil, notOfKind("service_principals", v)
			}
			p, err := ParseServicePrincipal(v.text())
			switch {
			case err != nil:
				return nil, fmt.Errorf("service_principals: %w", err)
			case slices.Contains(read, p): // read has at most MaxPrincipals
				continue
			case len(read) == MaxPrincipals:
				return nil, fmt.Errorf("service_principals: more than %d of them", MaxPrincipals)
			}
			read = append(read, p)
		}
	}
	return read, nil
}

// Reject implements [Data].
func (d AccountCreated) Reject(reason Reason, message string) Result {
	return AdminResult{AccountID: d.AccountID, RegistrationsResult: RegistrationsResult{
		Outcome: Rejected, Reason: reason, Message: message,
	}}
}

// AdminResult is the data of account.admin.* results.
type AdminResult struct {
	AccountID AccountID `json:"account_id,omitempty"` // empty if the event's data was invalid
	RegistrationsResult
}

// Family implements [Result].
func (r AdminResult) Family() string { return adminFamily }

// Subject is the account.
func (r AdminResult) Subject() string { return string(r.AccountID) }

func (r AdminResult) data(cause Cause, step int) any {
	r.RegistrationsResult = r.withCause(cause, step)
	return r
}
