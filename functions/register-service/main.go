// Command register-service enables trusted access for services when an organization is set up, or
// when an audit finds it missing.
package main

import (
	_ "embed"
	"errors"

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

type config struct{ Trusted register.Trusted }

func (c config) Validate() error {
	if !c.Trusted.Services.Set() && c.Trusted.Administrators == nil {
		return errors.New("TRUSTED_SERVICES: is not set, and neither is ADMINISTRATORS; " +
			"name the services that events may ask for, or * for any")
	}
	return c.Trusted.Validate()
}

func main() {
	app.Main("register-service", policy, 1, (*client.Client).WarmOrganizations,
		func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.BootstrapServicesInput(), newFunction(api, c.Trusted).register)
		})
}
