package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct {
	api         *client.Client
	readyWithin time.Duration // after the event, an account may still be unknown
}

// register makes the account an administrator of each service. A rejected principal doesn't keep the others from being registered; any other
// failure ends the event, and when it is delivered again, what is done is unchanged.
func (f function) register(ctx context.Context, e events.Event[events.AccountCreated]) (events.Result, error) {
	result := events.AdminResult{AccountID: e.Data.AccountID}
	delegated, err := f.delegated(ctx, string(e.Data.AccountID))
	if err != nil {
		return nil, err
	}
	for _, principal := range e.Data.ServicePrincipals {
		registration := events.Registration{Outcome: events.Unchanged}
		if !slices.Contains(delegated, string(principal)) {
			registration.Outcome = events.Planned
			if !e.DryRun {
				if registration, err = f.registerOne(ctx, e, principal); err != nil {
					return nil, err
				}
			}
		}
		result.Registrations = append(result.Registrations, events.AdminRegistration{ServicePrincipal: principal, Registration: registration})
	}
	return result, nil
}

// registerOne registers one principal and, when that is refused, finds the reason by reading: the codes for it aren't published.
func (f function) registerOne(ctx context.Context, e events.Event[events.AccountCreated], principal events.ServicePrincipal) (events.Registration, error) {
	id := string(e.Data.AccountID)
	done, err := f.api.RegisterDelegatedAdministrator(ctx, id, string(principal))
	registration := events.Registration{Outcome: events.Registered, Attempts: done.Attempts, RequestID: done.RequestID}
	if err == nil {
		return registration, nil
	}
	refusal := client.Refusal(err)
	if refusal == nil {
		return registration, err
	}

	delegated, err := f.delegated(ctx, id)
	if err != nil {
		return registration, fmt.Errorf("%w, read after %w", err, refusal)
	}
	if slices.Contains(delegated, string(principal)) {
		registration.Outcome = events.Unchanged
		return registration, nil
	}
	reject := func(reason events.Reason, message string, args ...any) (events.Registration, error) {
		registration.Outcome, registration.Reason, registration.Message = events.Rejected, reason, fmt.Sprintf(message, args...)
		registration.Error = (*events.Error)(&refusal.Answer)
		return registration, nil
	}

	status, err := f.status(ctx, id)
	if err != nil {
		return registration, fmt.Errorf("%w, read after %w", err, refusal)
	}
	switch status {
	case "active":
	case "suspended", "pending_closure":
		return reject(events.AccountNotActive, "Account %s is %s; only an active account can administer %s.", id, status, principal)
	default: // accounts are created asynchronously: a young one may not be ready yet
		if e.Time.IsZero() || time.Since(e.Time) < f.readyWithin {
			return registration, fmt.Errorf("account %s is not ready in the organization: %w", id, refusal)
		}
		return reject(events.AccountNotFound, "Account %s is not in the organization %s after the event: check the account id, and that it was created or has accepted its invitation.", id, f.readyWithin)
	}

	trusted, err := f.api.TrustedServices(ctx)
	switch {
	case err != nil:
		return registration, fmt.Errorf("%w, read after %w", err, refusal)
	case !slices.Contains(trusted, string(principal)):
		return registration, fmt.Errorf("%w: enable trusted access for %s first: %w", client.ErrMisconfigured, principal, refusal)
	case refusal.Status == http.StatusConflict: // with something that isn't there any more: transient
		return registration, refusal
	}
	return reject(events.Refused, "Huawei Cloud refused to make account %s an administrator of %s: %s", id, principal, refusal.Message)
}

// delegated lists what the account administers. It counts as nothing if Huawei Cloud refuses to say, as it may for an account it doesn't know.
func (f function) delegated(ctx context.Context, id string) ([]string, error) {
	services, err := f.api.DelegatedServices(ctx, id)
	if client.Refusal(err) != nil {
		return nil, nil //nolint:nilerr // that it refuses is the answer
	}
	return services, err
}

// status is the account's, or empty if Huawei Cloud refuses to say, as it does for an account it doesn't know.
func (f function) status(ctx context.Context, id string) (string, error) {
	account, err := f.api.Account(ctx, id)
	if client.Refusal(err) != nil {
		return "", nil //nolint:nilerr // that it refuses is the answer
	}
	return account.Status, err
}
