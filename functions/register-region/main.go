// Command register-region registers the region of IAM Identity Center when an organization is set up.
package main

import (
	"context"

	"registrar/internal/handler"
	"registrar/internal/secret"
	"registrar/internal/sink"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type config struct {
	Credentials secret.Config
	Client      client.Config
	Handler     handler.Config
	Sink        sink.Config
	RegionID    events.RegionID `env:"REGION_ID"`
}

func main() { handler.Main(build) }

func build(ctx context.Context, c config) (handler.Function, error) {
	deliver, err := sink.New(ctx, c.Sink)
	if err != nil {
		return nil, err
	}
	api := client.New(c.Client, secret.New(c.Credentials))
	return &handler.Handler[events.OrgBootstrap]{
		Name:     "register-region",
		Config:   c.Handler,
		Kind:     events.OrgBootstrapKind(c.RegionID),
		Register: function{api}.register,
		Sink:     deliver,
		Warm:     func(ctx context.Context) { api.Warm(ctx, c.Client.IdentityCenter) },
	}, nil
}
