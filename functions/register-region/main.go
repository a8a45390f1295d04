// Command register-region registers the region of IAM Identity Center when an organization is set
// up.
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
	Region register.Region `env:"REGION_ID"`
}

func (c config) Validate() error {
	if c.Region == (register.Region{}) {
		return errors.New("REGION_ID: is not set; name the region that events may ask for, or * for any")
	}
	return nil
}

func main() {
	app.Main("register-region", policy, 1, (*client.Client).WarmIdentityCenter,
		func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.BootstrapRegionInput(), function{api, c.Region}.register)
		})
}
