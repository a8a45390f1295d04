// Command register-admin registers delegated administrators when an account is created.
package main

import (
	"errors"
	"time"

	"registrar/internal/app"
	"registrar/internal/handler"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type config struct {
	Allowed     register.Principals `env:"SERVICE_PRINCIPALS"`
	ReadyWithin time.Duration       `env:"ACCOUNT_READY_WITHIN, default=15m"`
}

func (c config) Validate() error {
	if c.ReadyWithin < 0 || c.ReadyWithin > 24*time.Hour {
		return errors.New("ACCOUNT_READY_WITHIN: must be a duration from 0s to 24h")
	}
	return nil
}

func main() {
	app.Main("register-admin", (*client.Client).WarmOrganizations,
		func(api *client.Client, c config) handler.Function {
			if c.Allowed.Names == nil {
				c.Allowed.Any = true // unlike TRUSTED_SERVICES, it may be left unset
			}
			return handler.NewFunction(events.AccountCreatedInput(), function{api, c.Allowed, c.ReadyWithin}.register)
		})
}
