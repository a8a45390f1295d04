package main

import (
	"context"
	"fmt"
	"slices"

	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct {
	api     *client.Client
	allowed register.Principals // wanted by an event that names none, and all that events may name
}

// register enables trusted access for each service. A service that is rejected doesn't keep the
// others from being enabled. Any other failure stops here; the next delivery of the event finds
// what was enabled, and reports it as unchanged.
func (f function) register(ctx context.Context, e events.Event, asked events.BootstrapServices) (events.Result, error) {
	var r events.ServiceResult
	for _, principal := range f.allowed.Wanted(asked.ServicePrincipals) {
		one := events.Registration{ServicePrincipal: principal}
		if !f.allowed.Allow(principal) {
			one.Outcome, one.Reason = events.Rejected, events.NotAllowed
			one.Message = fmt.Sprintf("TRUSTED_SERVICES doesn't allow %s.", principal)
		}
		r.Registrations = append(r.Registrations, one)
	}
	if r.Registrations == nil { // the event names none, and TRUSTED_SERVICES is *
		r.Outcome = events.Skipped
		return r, nil
	}

	if err := f.read(ctx, r.Registrations); err != nil {
		return r, err
	}
	for i := range r.Registrations {
		one := &r.Registrations[i]
		switch {
		case one.Outcome != "": // decided above
		case e.DryRun:
			one.Outcome = events.Planned
		default:
			// Write sets the outcome: registered, or what look finds, or after two refusals
			// rejected. With an error (no permission, throttled, away) it leaves the outcome empty.
			err := register.Write(ctx, one, "enable trusted access for "+string(one.ServicePrincipal),
				func(ctx context.Context) (client.Sent, error) {
					return f.api.EnableTrustedService(ctx, string(one.ServicePrincipal))
				},
				func(ctx context.Context) error { return f.look(ctx, one) })
			if err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// read sets the outcome of what needs no write: services that are trusted, and those that don't
// exist.
func (f function) read(ctx context.Context, all []events.Registration) error {
	open := undecided(all)
	if len(open) == 0 {
		return nil
	}
	trusted, err := f.api.TrustedServices(ctx)
	if err != nil {
		return err
	}
	for _, one := range open {
		if slices.Contains(trusted, string(one.ServicePrincipal)) {
			one.Outcome = events.Unchanged
		}
	}
	if open = undecided(all); len(open) == 0 {
		return nil
	}
	services, err := f.api.Services(ctx)
	switch {
	case client.Refusal(err) != nil, err == nil && len(services) == 0:
		return nil //nolint:nilerr // refused with a code, or empty, it proves nothing: the write decides
	case err != nil:
		return err
	}
	for _, one := range open {
		if !slices.Contains(services, string(one.ServicePrincipal)) {
			one.Outcome, one.Reason = events.Rejected, events.UnknownService
			one.Message = fmt.Sprintf("Organizations knows no service %s: check its name, in which case matters.",
				one.ServicePrincipal)
		}
	}
	return nil
}

func undecided(all []events.Registration) []*events.Registration {
	var open []*events.Registration
	for i := range all {
		if all[i].Outcome == "" {
			open = append(open, &all[i])
		}
	}
	return open
}

// look sets the outcome if the service is trusted.
func (f function) look(ctx context.Context, one *events.Registration) error {
	trusted, err := f.api.TrustedServices(ctx)
	if err == nil && slices.Contains(trusted, string(one.ServicePrincipal)) {
		one.Outcome = events.Unchanged
	}
	return err
}
