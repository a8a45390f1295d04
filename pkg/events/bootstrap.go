package events

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
)

const regionResult = "org.region"

// RegionID is the id of a Huawei Cloud region, such as "cn-north-4".
type RegionID string

// UnmarshalText checks the form. There is no list of known regions.
func (r *RegionID) UnmarshalText(text []byte) error {
	if len(text) > 64 || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`).Match(text) {
		return fmt.Errorf("%.80q is no region id such as cn-north-4", text)
	}
	*r = RegionID(text)
	return nil
}

// OrgBootstrap is the data of org.bootstrap: the organization was set up.
type OrgBootstrap struct {
	RegionID RegionID // where IAM Identity Center is wanted
}

// RegionResult is the data of org.region.registered, .planned and .rejected.
type RegionResult struct {
	RegionID RegionID `json:"region_id,omitempty"` // empty: the data of the input was invalid
	Registration
	ObservedRegionID RegionID `json:"observed_region_id,omitempty"` // the region that is there instead
	Cause            Cause    `json:"cause"`
}

// OrgBootstrapKind is the kind of org.bootstrap. The region allowed, unless empty, is the default of an event that names none
// and the only one that an event may name.
func OrgBootstrapKind(allowed RegionID) Kind[OrgBootstrap] {
	return Kind[OrgBootstrap]{Type: "org.bootstrap", Result: regionResult, read: func(o object) (OrgBootstrap, error) {
		var d OrgBootstrap
		if err := o.read("region_id", &d.RegionID); err != nil {
			return d, err
		}
		d.RegionID = cmp.Or(d.RegionID, allowed)
		switch {
		case d.RegionID == "":
			return d, errors.New("region_id: is missing, and REGION_ID names no default")
		case allowed != "" && d.RegionID != allowed:
			return d, &notAllowedError{fmt.Sprintf("Region %s is not the one that REGION_ID allows, %s.", d.RegionID, allowed)}
		}
		return d, nil
	}}
}

// Subject is the region.
func (d OrgBootstrap) Subject() string { return string(d.RegionID) }

func (d OrgBootstrap) reject(r Registration) Result {
	return RegionResult{RegionID: d.RegionID, Registration: r}
}

// Subject is the region.
func (r RegionResult) Subject() string { return string(r.RegionID) }

// Summary is the registration itself.
func (r RegionResult) Summary() Registration { return r.Registration }

func (r RegionResult) data(cause Cause, limit int) any {
	r.Cause, r.Registration = cause, r.shorten(limit)
	return r
}
