package register

import (
	"errors"
	"fmt"

	"registrar/pkg/events"
)

// Trusted is the configuration of who needs to know which services get trusted access.
type Trusted struct {
	Services       Principals     `env:"TRUSTED_SERVICES"`
	Administrators Administrators `env:"ADMINISTRATORS"`
}

// Validate reports services that ADMINISTRATORS needs and TRUSTED_SERVICES forbids.
func (t Trusted) Validate() error {
	var errs []error
	for _, principal := range t.Administrators.Services() {
		if t.Services.Set() && !t.Services.Allow(principal) {
			errs = append(errs, fmt.Errorf("TRUSTED_SERVICES: lacks %s, which ADMINISTRATORS needs", principal))
		}
	}
	return errors.Join(errs...)
}

// Wanted are the services that shall have trusted access unless an event names others: those of
// TRUSTED_SERVICES, else those that have an administrator.
func (t Trusted) Wanted() []events.ServicePrincipal {
	if t.Services.Names != nil {
		return t.Services.Names
	}
	return t.Administrators.Services()
}
