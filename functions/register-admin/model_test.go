package main

import (
	"testing"

	"registrar/internal/handler"
	"registrar/internal/model"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

func TestModel(t *testing.T) { //nolint:paralleltest // takes all lines that are logged
	model.Run(t, "register-admin", func(api *client.Client, c config) handler.Function {
		f := function{api, c.Rules, c.Allowed, c.ReadyWithin}
		return handler.NewFunction(events.AccountCreatedInput(), f.register)
	})
}
