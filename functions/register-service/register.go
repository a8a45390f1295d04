package main

import (
	"context"
	"slices"

	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct {
	api     *client.Client
	allowed register.Principals       // what events may name
	wanted  []events.ServicePrincipal // what those that name none ask for
}

func newFunction(api *client.Client, trusted register.Trusted) function {
	allowed := trusted.Services
	if !allowed.Set() {
		allowed.Names = trusted.Wanted()
	}
	return function{api, allowed, trusted.Wanted()}
}

// register enables trusted access for each service. A service that is rejected doesn't keep the
// others from being enabled. Any other failure stops here; the next delivery of the event finds
// what was enabled, and reports it as unchanged.
func (f function) register(ctx context.Context, e events.Event, asked events.BootstrapServices) (events.Result, error) {
	var r events.ServiceResult
	wanted := asked.ServicePrincipals
	if wanted == nil {
		wanted = f.wanted
	}
	for _, principal := range wanted {
		one := events.Registration{ServicePrincipal: principal}
		if !f.allowed.Allow(principal) {
			one.Reject(events.NotAllowed, "Neither TRUSTED_SERVICES nor ADMINISTRATORS names %s.", principal)
		}
		r.Registrations = append(r.Registrations, one)
	}
	if r.Registrations == nil { // neither the event nor the configuration names any
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
	open := register.Undecided(all)
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
	if open = register.Undecided(all); len(open) == 0 {
		return nil
	}
	return register.RejectUnknown(ctx, f.api, open)
}

// look sets the outcome if the service is trusted.
func (f function) look(ctx context.Context, one *events.Registration) error {
	trusted, err := f.api.TrustedServices(ctx)
	if err == nil && slices.Contains(trusted, string(one.ServicePrincipal)) {
		one.Outcome = events.Unchanged
	}
	return err
}
