package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct{ api *client.Client }

// register makes the wanted region the one in which IAM Identity Center is registered. What is registered is read before
// the write, and again when the write is refused: the state decides, not the error code.
func (f function) register(ctx context.Context, e events.Event[events.OrgBootstrap]) (events.Result, error) {
	result := events.RegionResult{RegionID: e.Data.RegionID}

	found, err := f.api.RegisteredRegions(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 0:
		return compare(result, found), nil
	case e.DryRun:
		result.Outcome = events.Planned
		return result, nil
	}

	done, err := f.api.RegisterRegion(ctx, string(result.RegionID))
	result.Attempts, result.RequestID = done.Attempts, done.RequestID
	if err == nil {
		result.Outcome = events.Registered
		return result, nil
	}
	refusal := client.Refusal(err)
	if refusal == nil {
		return nil, err
	}

	found, err = f.api.RegisteredRegions(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w, read after %w", err, refusal)
	case len(found) > 0:
		return compare(result, found), nil
	case refusal.Status == http.StatusConflict: // with something that isn't there any more: transient
		return nil, refusal
	}
	result.Outcome, result.Reason = events.Rejected, events.Refused
	result.Message = fmt.Sprintf("Huawei Cloud refused to register IAM Identity Center in %s: %s", result.RegionID, refusal.Message)
	result.Error = (*events.Error)(&refusal.Answer)
	return result, nil
}

// compare decides by the region that is there. Another one is never replaced, since moving Identity Center deletes its data.
func compare(result events.RegionResult, found []string) events.RegionResult {
	if slices.Contains(found, string(result.RegionID)) {
		result.Outcome = events.Unchanged
		return result
	}
	result.Outcome, result.Reason, result.ObservedRegionID = events.Rejected, events.RegionConflict, events.RegionID(found[0])
	result.Message = fmt.Sprintf("IAM Identity Center is registered in %s, not %s. An organization has one region, and leaving it deletes all data of "+
		"Identity Center: correct the event, or delete the region in the console first.", found[0], result.RegionID)
	return result
}
