package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct {
	api     *client.Client
	allowed register.Region // the region that events may name, and the one that those without ask for
}

// register makes the wanted region the one in which IAM Identity Center is registered.
func (f function) register(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
	r := events.RegionResult{Registration: events.Registration{RegionID: cmp.Or(asked.RegionID, f.allowed.ID)}}
	switch {
	case r.RegionID == "":
		r.Outcome = events.Skipped
		return r, nil
	case !f.allowed.Any && r.RegionID != f.allowed.ID:
		return asked.Reject(events.NotAllowed,
			fmt.Sprintf("Region %s is not the one that REGION_ID allows, %s.", r.RegionID, f.allowed.ID)), nil
	}

	err := f.look(ctx, &r)
	switch {
	case err != nil || r.Outcome != "":
		return r, err
	case e.DryRun:
		r.Outcome = events.Planned
		return r, nil
	}
	err = register.Write(ctx, &r.Registration, "register IAM Identity Center in "+string(r.RegionID),
		func(ctx context.Context) (client.Sent, error) {
			return f.api.RegisterRegion(ctx, string(r.RegionID))
		},
		func(ctx context.Context) error { return f.look(ctx, &r) })
	return r, err
}

// look sets the outcome if a region is registered. Another one is never replaced, since moving
// Identity Center deletes its data.
func (f function) look(ctx context.Context, r *events.RegionResult) error {
	registered, err := f.api.RegisteredRegions(ctx)
	switch {
	case err != nil || len(registered) == 0:
		return err
	case slices.Contains(registered, string(r.RegionID)):
		r.Outcome = events.Unchanged
		return nil
	}
	r.Outcome, r.Reason, r.ObservedRegionID = events.Rejected, events.RegionConflict, events.RegionID(registered[0])
	r.Message = fmt.Sprintf("IAM Identity Center is registered in %s, not %s. An organization has one region, and "+
		"leaving it deletes all data of Identity Center: correct the event, or delete the region in the console first.",
		registered[0], r.RegionID)
	return nil
}
