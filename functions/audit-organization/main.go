// Command audit-organization compares what is registered in an organization with what shall be, and
// asks the other functions for what is missing.
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

type config struct {
	Region  register.Region `env:"REGION_ID"`
	Trusted register.Trusted
}

func (c config) Validate() error {
	if c.Trusted.Administrators == nil {
		return errors.New("ADMINISTRATORS: is not set; say which account administers what, " +
			"such as service.SecMaster=id:<account id>")
	}
	return c.Trusted.Validate()
}

func main() {
	app.Main("audit-organization", policy, readers, (*client.Client).WarmBoth,
		func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.AuditInput(), newFunction(api, c).audit)
		})
}
