package register

import (
	"fmt"
	"slices"
	"strings"

	"registrar/pkg/events"
)

// Principals are the services that events may name, as a variable gives them.
type Principals struct {
	Any   bool                      // there is no bound, as with *: the event decides
	Names []events.ServicePrincipal // each once, at most [events.MaxPrincipals]
}

// UnmarshalText takes a comma-separated list of service principals, or *.
func (p *Principals) UnmarshalText(text []byte) error {
	*p = Principals{}
	if strings.TrimSpace(string(text)) == "*" {
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
	if len(p.Names) > events.MaxPrincipals {
		return fmt.Errorf("names %d services; at most %d can be registered at once", len(p.Names), events.MaxPrincipals)
	}
	return nil
}

// Wanted returns the services that an event asks for: those it names, or all that are allowed if it
// names none.
func (p Principals) Wanted(named []events.ServicePrincipal) []events.ServicePrincipal {
	if len(named) == 0 {
		return p.Names
	}
	return named
}

// Allow reports whether events may name the service.
func (p Principals) Allow(principal events.ServicePrincipal) bool {
	return p.Any || slices.Contains(p.Names, principal)
}
