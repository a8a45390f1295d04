package events

// BootstrapRegion is what org.bootstrap says about the region of IAM Identity Center.
type BootstrapRegion struct {
	RegionID RegionID // empty if the event names none
}

// BootstrapRegionInput is the input org.bootstrap, "the organization was set up", as a function
// that registers the region reads it.
func BootstrapRegionInput() Input[BootstrapRegion] {
	return Input[BootstrapRegion]{"org.bootstrap", nil, func(o object) (d BootstrapRegion, err error) {
		d.RegionID, err = optional(o, "region_id", ParseRegionID)
		return d, err
	}}
}

// Reject implements [Data].
func (d BootstrapRegion) Reject(reason Reason, message string) Result {
	return RegionResult{Registration: Registration{
		RegionID: d.RegionID, Outcome: Rejected, Reason: reason, Message: message,
	}}
}

// RegionResult is the data of org.region.* results.
type RegionResult struct {
	Registration              // its RegionID is empty if the event's data was invalid
	ObservedRegionID RegionID `json:"observed_region_id,omitempty"` // the region that is registered instead
	Cause            Cause    `json:"cause"`                        // set by [NewResultEvent]
}

// Family implements [Result].
func (r RegionResult) Family() string { return regionFamily }

// Subject is the region.
func (r RegionResult) Subject() string { return string(r.RegionID) }

// Whole is the registration itself.
func (r RegionResult) Whole() Registration { return r.Registration }

// Each is the registration itself, unless nothing was asked for.
func (r RegionResult) Each() []Registration {
	if r.Outcome == Skipped {
		return nil
	}
	return []Registration{r.Registration}
}

func (r RegionResult) data(cause Cause, step int) any {
	r.Cause, r.Registration = cause, r.cut(maxText>>step)
	return r
}
