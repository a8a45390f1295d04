// Command register-admin registers delegated administrators when an account is created, or when an
// audit finds one missing.
package main

import (
	_ "embed"
	"errors"
	"time"

	"registrar/internal/app"
	"registrar/internal/handler"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

// policy is what the function may do with an agency that it assumes, whatever else the agency may.
//
//go:embed policy.json
var policy string

type config struct {
	Rules       register.Administrators `env:"ADMINISTRATORS"`
	Allowed     register.Principals     `env:"SERVICE_PRINCIPALS"`
	ReadyWithin time.Duration           `env:"ACCOUNT_READY_WITHIN, default=15m"`
}

func (c config) Validate() error {
	var errs []error
	switch {
	case c.Rules == nil && !c.Allowed.Set():
		errs = append(errs, errors.New("ADMINISTRATORS: is not set; say which account administers what, "+
			"such as service.SecMaster=id:<account id>. "+
			"If your events choose the accounts, set SERVICE_PRINCIPALS instead: the services that they may name"))
	case c.Rules != nil && c.Allowed.Set():
		errs = append(errs, errors.New("SERVICE_PRINCIPALS: must not be set together with ADMINISTRATORS, "+
			"which says everything that may be registered"))
	}
	if c.ReadyWithin < 0 || c.ReadyWithin > 24*time.Hour {
		errs = append(errs, errors.New("ACCOUNT_READY_WITHIN: must be a duration from 0s to 24h"))
	}
	return errors.Join(errs...)
}

func main() {
	app.Main("register-admin", policy, 1, (*client.Client).WarmOrganizations,
		func(api *client.Client, c config) handler.Function {
			f := function{api, c.Rules, c.Allowed, c.ReadyWithin}
			return handler.NewFunction(events.AccountCreatedInput(), f.register)
		})
}
