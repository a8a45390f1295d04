// Command register-admin registers delegated administrators when an account is created.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"registrar/internal/handler"
	"registrar/internal/secret"
	"registrar/internal/sink"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type config struct {
	Credentials       secret.Config
	Client            client.Config
	Handler           handler.Config
	Sink              sink.Config
	ServicePrincipals []events.ServicePrincipal `env:"SERVICE_PRINCIPALS"`
	ReadyWithin       time.Duration             `env:"ACCOUNT_READY_WITHIN, default=15m"`
}

func (c config) Validate() error {
	var errs []error
	if c.ReadyWithin < 0 {
		errs = append(errs, errors.New("ACCOUNT_READY_WITHIN: must not be negative"))
	}
	if n := len(c.ServicePrincipals); n > events.MaxPrincipals {
		errs = append(errs, fmt.Errorf("SERVICE_PRINCIPALS: names %d services; at most %d can be registered at once", n, events.MaxPrincipals))
	}
	return errors.Join(errs...)
}

func main() { handler.Main(build) }

func build(ctx context.Context, c config) (handler.Function, error) {
	deliver, err := sink.New(ctx, c.Sink)
	if err != nil {
		return nil, err
	}
	api := client.New(c.Client, secret.New(c.Credentials))
	return &handler.Handler[events.AccountCreated]{
		Name:     "register-admin",
		Config:   c.Handler,
		Kind:     events.AccountCreatedKind(c.ServicePrincipals),
		Register: function{api, c.ReadyWithin}.register,
		Sink:     deliver,
		Warm:     func(ctx context.Context) { api.Warm(ctx, c.Client.Organizations) },
	}, nil
}
