package register

import (
	"context"
	"slices"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

// Undecided returns the registrations without an outcome.
func Undecided(all []events.Registration) []*events.Registration {
	var open []*events.Registration
	for i := range all {
		if all[i].Outcome == "" {
			open = append(open, &all[i])
		}
	}
	return open
}

// RejectUnknown rejects the services that can't have trusted access because Organizations doesn't
// know them. A refusal, or an empty list, proves nothing, and rejects none.
func RejectUnknown(ctx context.Context, api *client.Client, open []*events.Registration) error {
	services, err := api.Services(ctx)
	switch {
	case client.Refusal(err) != nil, err == nil && len(services) == 0:
		return nil //nolint:nilerr // the refusal proves nothing
	case err != nil:
		return err
	}
	for _, one := range open {
		if !slices.Contains(services, string(one.ServicePrincipal)) {
			one.Reject(events.UnknownService,
				"Organizations knows no service %s: check its name, in which case matters.",
				one.ServicePrincipal)
		}
	}
	return nil
}
