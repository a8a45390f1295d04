package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"registrar/internal/register"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

// reader reads what Huawei Cloud knows of the account of one event.
type reader struct {
	function
	event   events.Event
	id      events.AccountID
	account client.Account // as it was read last; until then only its id is known
}

// young reports whether the refusal may be only because the account was created a moment ago. Of
// our clock and that of whoever refused, the earlier says how long ago that is: the other may be
// ahead, and a rejection is final. An audit has read the accounts that it asks for.
func (c *reader) young(refusal *client.APIError) bool {
	now := time.Now()
	if at := refusal.Date.Add(time.Second); !refusal.Date.IsZero() && at.Before(now) { // whole seconds
		now = at
	}
	return !events.IsRequest(c.event.Type) && !c.event.Time.IsZero() && now.Sub(c.event.Time) < c.readyWithin
}

// find finds out which account it is, and its name if a rule goes by it. The registration that it
// returns says why there is no such account.
func (c *reader) find(ctx context.Context, asked events.AccountCreated) (no events.Registration, err error) {
	if asked.CreateAccountStatusID != "" {
		if no, err = c.created(ctx, asked.CreateAccountStatusID); err != nil || no.Reason != "" {
			return no, err
		}
	}
	c.account.ID = string(c.id)
	if c.rules.NeedName(c.id, asked.ServicePrincipals) {
		return c.read(ctx)
	}
	return no, nil
}

// created waits until the account that is being created has an id.
func (c *reader) created(
	ctx context.Context, id events.CreateAccountStatusID,
) (no events.Registration, err error) {
	creation, err := c.api.CreateAccountStatus(ctx, string(id))
	switch refusal := client.Refusal(err); {
	case refusal != nil && c.young(refusal):
		return no, attempt.Transient.Errorf("the creation %s of an account is not known yet: %w", id, err)
	case refusal != nil:
		no.Reject(events.AccountNotFound, "Organizations doesn't know the creation %s of an account: check its id.", id)
		return no, nil //nolint:nilerr // the refusal is the answer
	case err != nil:
		return no, err
	case creation.State == "failed":
		no.Reject(events.CreationFailed, "The account of the creation %s doesn't come to be (%s): create it again.",
			id, creation.FailureReason)
		return no, nil
	case creation.State != "succeeded":
		return no, attempt.Transient.Errorf("the creation %s of an account is %s", id, creation.State)
	}
	c.id = events.AccountID(creation.AccountID)
	return no, nil
}

// read reads the account. The registration that it returns says why there is none.
func (c *reader) read(ctx context.Context) (no events.Registration, err error) {
	account, err := c.api.Account(ctx, string(c.id))
	switch refusal := client.Refusal(err); {
	case refusal != nil && c.young(refusal):
		return no, attempt.Transient.Errorf("account %s is not ready in the organization: %w", c.id, err)
	case refusal != nil:
		no.Reject(events.AccountNotFound, "Account %s is not in the organization: check the account id, "+
			"and that it was created or has accepted its invitation.", c.id)
		return no, nil //nolint:nilerr // the refusal is the answer
	}
	c.account = account
	return no, err
}

// look reads what the account administers, the account, and what is trusted, and decides what these
// decide. It returns the services that need trusted access first. After the refusal of a write it
// reads everything again, and an account in a status that nobody documented isn't active.
func (c *reader) look(
	ctx context.Context, all []events.Registration, refusal *client.APIError,
) (untrusted []events.ServicePrincipal, err error) {
	if len(register.Undecided(all)) == 0 {
		return nil, nil
	}
	delegated, err := c.delegated(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range register.Undecided(all) {
		if slices.Contains(delegated, string(one.ServicePrincipal)) {
			one.Outcome = events.Unchanged
		}
	}
	open := register.Undecided(all)
	if len(open) == 0 {
		return nil, nil
	}

	var no events.Registration
	if refusal != nil || c.account.Status == "" {
		if no, err = c.read(ctx); err != nil {
			return nil, err
		}
	}
	status := c.account.Status
	inactive := slices.Contains([]string{"suspended", "pending_closure"}, status) ||
		status != "active" && refusal != nil && !c.young(refusal)
	if no.Reason == "" && inactive {
		no.ObservedStatus = status
		no.Reject(events.AccountNotActive, "Account %s is %s; only an active account can administer a service.",
			c.id, status)
	}
	if no.Reason != "" {
		for _, one := range open {
			one.Outcome, one.Reason, one.Message = no.Outcome, no.Reason, no.Message
			one.ObservedStatus = no.ObservedStatus
		}
		return nil, nil
	}

	trusted, err := c.api.TrustedServices(ctx)
	open = slices.DeleteFunc(open, func(one *events.Registration) bool {
		return slices.Contains(trusted, string(one.ServicePrincipal))
	})
	if err == nil && len(open) > 0 {
		err = register.RejectUnknown(ctx, c.api, open)
	}
	if err != nil {
		return nil, err
	}
	for _, one := range open {
		if one.Outcome == "" {
			untrusted = append(untrusted, one.ServicePrincipal)
		}
	}
	return untrusted, nil
}

// delegated lists what the account administers. A refusal counts as an empty list, since Huawei
// Cloud may refuse the list of an account that it doesn't know.
func (c *reader) delegated(ctx context.Context) ([]string, error) {
	services, err := c.api.DelegatedServices(ctx, string(c.id))
	if client.Refusal(err) != nil {
		return nil, nil //nolint:nilerr // the refusal is the answer
	}
	return services, err
}

// errUntrusted says that a service turned out to have no trusted access.
var errUntrusted = errors.New("the service has no trusted access")

// write makes the account an administrator of a service, the only one in the slice. While the
// account is young, a refusal that the state doesn't explain is transient: a list may lag behind.
func (c *reader) write(ctx context.Context, only []events.Registration) error {
	one := &only[0]
	var refusal *client.APIError
	err := register.Write(ctx, one, fmt.Sprintf("make account %s an administrator of %s", c.id, one.ServicePrincipal),
		func(ctx context.Context) (client.Sent, error) {
			sent, err := c.api.RegisterDelegatedAdministrator(ctx, string(c.id), string(one.ServicePrincipal))
			refusal = client.Refusal(err)
			return sent, err
		},
		func(ctx context.Context) error {
			untrusted, err := c.look(ctx, only, refusal)
			switch {
			case err == nil && untrusted != nil:
				return errUntrusted
			case err == nil && one.Outcome == "" && c.young(refusal):
				return attempt.Transient.Errorf("account %s is not ready in the organization", c.id)
			}
			return err
		})
	if one.Reason == events.Refused { // whoever has the service already may be why
		administrators, _ := c.api.DelegatedAdministrators(ctx, string(one.ServicePrincipal))
		for _, a := range administrators {
			one.ObservedAccountIDs = append(one.ObservedAccountIDs, events.AccountID(a.AccountID))
		}
	}
	return err
}
