package register

import (
	"fmt"
	"slices"
	"strings"

	"registrar/pkg/events"
)

// Principals are the services that events may name, as a variable gives them. The zero Principals
// allow none: nobody said.
type Principals struct {
	Any   bool                      // with *: the event decides
	Names []events.ServicePrincipal // each once, at most [events.MaxPrincipals]
}

// UnmarshalText takes a comma-separated list of service principals, or *, or an empty text, which
// means that nobody said.
func (p *Principals) UnmarshalText(text []byte) error {
	*p = Principals{}
	switch strings.TrimSpace(string(text)) {
	case "":
		return nil
	case "*":
		p.Any = true
		return nil
	}
	for name := range strings.SplitSeq(string(text), ",") {
		principal, err := events.ParseServicePrincipal(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		if !slices.Contains(p.Names, principal) {
			p.Names = append(p.Names, principal)
		}
	}
	return atMost(len(p.Names))
}

func atMost(services int) error {
	if services > events.MaxPrincipals {
		return fmt.Errorf("names %d services; at most %d can be registered at once", services, events.MaxPrincipals)
	}
	return nil
}

// Set reports whether somebody said which services events may name.
func (p Principals) Set() bool { return p.Any || p.Names != nil }

// Allow reports whether events may name the service.
func (p Principals) Allow(principal events.ServicePrincipal) bool {
	return p.Any || slices.Contains(p.Names, principal)
}

// Region is the region that events may name, as REGION_ID gives it. The zero Region allows none:
// nobody said.
type Region struct {
	Any bool            // with *: the event decides
	ID  events.RegionID // what events that name none ask for; empty with *
}

// UnmarshalText takes the id of a region, or *, or an empty text, which means that nobody said.
func (r *Region) UnmarshalText(text []byte) error {
	*r = Region{}
	if strings.TrimSpace(string(text)) == "*" {
		r.Any = true
		return nil
	}
	return r.ID.UnmarshalText(text)
}
