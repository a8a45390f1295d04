package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"registrar/internal/register"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct {
	api         *client.Client
	allowed     register.Principals // the services that events may name, and the default of those that name none
	readyWithin time.Duration       // how long after its event an account may still be unknown
}

// register makes the account an administrator of each service. A service that is rejected doesn't
// keep the others from being registered. Any other failure stops here; the next delivery of the
// event finds what was registered, and reports it as unchanged.
func (f function) register(ctx context.Context, e events.Event, asked events.AccountCreated) (events.Result, error) {
	r := events.AdminResult{AccountID: asked.AccountID}
	var forbidden []string
	for _, principal := range f.allowed.Wanted(asked.ServicePrincipals) {
		if !f.allowed.Allow(principal) {
			forbidden = append(forbidden, string(principal))
		}
		r.Registrations = append(r.Registrations, events.Registration{ServicePrincipal: principal})
	}
	switch {
	case forbidden != nil:
		return asked.Reject(events.NotAllowed,
			fmt.Sprintf("SERVICE_PRINCIPALS doesn't allow %s.", strings.Join(forbidden, ", "))), nil
	case r.Registrations == nil:
		return asked.Reject(events.InvalidData,
			"data.service_principals: is missing, and SERVICE_PRINCIPALS names no default"), nil
	}

	delegated, err := f.delegated(ctx, asked.AccountID)
	if err != nil {
		return r, err
	}
	for i := range r.Registrations {
		one := &r.Registrations[i]
		switch {
		case slices.Contains(delegated, string(one.ServicePrincipal)):
			one.Outcome = events.Unchanged
		case e.DryRun:
			one.Outcome = events.Planned
		default:
			what := fmt.Sprintf("make account %s an administrator of %s", r.AccountID, one.ServicePrincipal)
			err = register.Write(ctx, one, what,
				func(ctx context.Context) (client.Sent, error) {
					return f.api.RegisterDelegatedAdministrator(ctx, string(r.AccountID), string(one.ServicePrincipal))
				},
				func(ctx context.Context) error { return f.look(ctx, e, r.AccountID, one) })
			if err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// look sets the outcome if what is delegated, the account or what is trusted explains the refusal.
func (f function) look(
	ctx context.Context, e events.Event, id events.AccountID, one *events.Registration,
) error {
	delegated, err := f.delegated(ctx, id)
	if err != nil {
		return err
	}
	if slices.Contains(delegated, string(one.ServicePrincipal)) {
		one.Outcome = events.Unchanged
		return nil
	}
	account, err := f.api.Account(ctx, string(id))
	if err != nil && client.Refusal(err) == nil {
		return err
	}
	switch account.Status {
	case "active":
	case "suspended", "pending_closure":
		one.Outcome, one.Reason = events.Rejected, events.AccountNotActive
		one.Message = fmt.Sprintf("Account %s is %s; only an active account can administer %s.",
			id, account.Status, one.ServicePrincipal)
		return nil
	default: // unknown, or in an undocumented status: accounts are created asynchronously
		if e.Time.IsZero() || time.Since(e.Time) < f.readyWithin {
			return attempt.Transient.Errorf("account %s is not ready in the organization", id)
		}
		one.Outcome, one.Reason = events.Rejected, events.AccountNotFound
		one.Message = fmt.Sprintf("Account %s is not in the organization %s after the event: check the account id, "+
			"and that it was created or has accepted its invitation.", id, f.readyWithin)
		return nil
	}
	trusted, err := f.api.TrustedServices(ctx)
	if err == nil && !slices.Contains(trusted, string(one.ServicePrincipal)) {
		return attempt.Misconfigured.Errorf("enable trusted access for %s first", one.ServicePrincipal)
	}
	return err
}

// delegated lists what the account administers. A refusal counts as an empty list, since Huawei
// Cloud may refuse the list of an account that it doesn't know.
func (f function) delegated(ctx context.Context, id events.AccountID) ([]string, error) {
	services, err := f.api.DelegatedServices(ctx, string(id))
	if client.Refusal(err) != nil {
		return nil, nil //nolint:nilerr // the refusal is the answer
	}
	return services, err
}
