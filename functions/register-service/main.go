// Command register-service enables trusted access for services when an organization is set up.
package main

import (
	"errors"

	"registrar/internal/app"
	"registrar/internal/handler"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type config struct {
	Trusted register.Principals `env:"TRUSTED_SERVICES"`
}

func (c config) Validate() error {
	if !c.Trusted.Any && c.Trusted.Names == nil {
		return errors.New("TRUSTED_SERVICES: is not set; name the services that events may ask for, or * for any")
	}
	return nil
}

func main() {
	app.Main("register-service", (*client.Client).WarmOrganizations,
		func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.BootstrapServicesInput(), function{api, c.Trusted}.register)
		})
}
