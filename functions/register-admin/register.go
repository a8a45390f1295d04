package main

import (
	"context"
	"errors"
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
	rules       register.Administrators // which account administers what; nil if allowed is set instead
	allowed     register.Principals     // the services that events may name, for any account
	readyWithin time.Duration           // how long after its event an account may still be unknown
}

// register makes the account an administrator of each service that it shall administer. What can be
// known by reading is read before the first write. A service that is rejected or isn't trusted
// doesn't keep the others from being registered. Any other failure stops here; the next delivery of
// the event finds what was registered, and reports it as unchanged.
func (f function) register(ctx context.Context, e events.Event, asked events.AccountCreated) (events.Result, error) {
	cloud := reader{function: f, event: e, id: asked.AccountID}
	no, err := cloud.find(ctx, asked)
	asked.AccountID = cloud.id
	r := events.AdminResult{AccountID: cloud.id}
	switch {
	case err != nil:
		return r, err
	case no.Reason != "":
		return asked.Reject(no.Reason, no.Message), nil
	}
	r.Registrations = f.wanted(asked.ServicePrincipals, cloud)
	if r.Registrations == nil { // most accounts of an organization administer nothing
		r.Outcome = events.Skipped
		return r, nil
	}

	untrusted, err := cloud.look(ctx, r.Registrations, nil)
	for i := range r.Registrations {
		one := &r.Registrations[i]
		switch {
		case err != nil || one.Outcome != "" || slices.Contains(untrusted, one.ServicePrincipal):
		case e.DryRun:
			one.Outcome = events.Planned
		default:
			if err = cloud.write(ctx, r.Registrations[i:i+1]); errors.Is(err, errUntrusted) {
				untrusted, err = append(untrusted, one.ServicePrincipal), nil
			}
		}
	}
	if _, wait := attempt.AskedToWait(err); untrusted == nil || wait { // other events must wait, too
		return r, err
	}
	first := fmt.Errorf("enable trusted access for %s first", strings.Trim(fmt.Sprint(untrusted), "[]"))
	if err != nil {
		first = fmt.Errorf("%w; besides, %w", first, err)
	}
	return r, &attempt.Failure{Kind: attempt.Misconfigured, Err: first}
}

// wanted are the services that the event names, else those that the rules give the account. What
// isn't allowed is rejected, each for itself.
func (f function) wanted(named []events.ServicePrincipal, cloud reader) []events.Registration {
	given := f.rules.Of(cloud.account)
	if named == nil && f.rules != nil {
		named = given
	}
	var all []events.Registration
	for _, principal := range named {
		one := events.Registration{ServicePrincipal: principal}
		switch {
		case f.rules == nil && !f.allowed.Allow(principal):
			one.Reject(events.NotAllowed, "SERVICE_PRINCIPALS doesn't allow %s.", principal)
		case f.rules != nil && !slices.Contains(given, principal):
			one.Reject(events.NotAllowed, "ADMINISTRATORS doesn't make account %s an administrator of %s.",
				cloud.id, principal)
		}
		all = append(all, one)
	}
	return all
}
