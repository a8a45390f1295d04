// Command register-region registers the region of IAM Identity Center when an organization is set
// up.
package main

import (
	"registrar/internal/app"
	"registrar/internal/handler"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type config struct {
	RegionID events.RegionID `env:"REGION_ID"`
}

func main() {
	app.Main("register-region", (*client.Client).WarmIdentityCenter,
		func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.BootstrapRegionInput(), function{api, c.RegionID}.register)
		})
}
