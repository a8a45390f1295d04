package main

import (
	"testing"

	"registrar/internal/handler"
	"registrar/internal/model"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

func TestModel(t *testing.T) { //nolint:paralleltest // takes all lines that are logged
	model.Run(t, "register-service", func(api *client.Client, c config) handler.Function {
		return handler.NewFunction(events.BootstrapServicesInput(), newFunction(api, c.Trusted).register)
	})
}
