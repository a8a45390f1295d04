package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/floor"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/events"
	"registrar/pkg/wire"
)

// A warm invocation with an event that was handled before, as Lambda makes it, from the payload to
// the answer and its line in the log. The fake cloud is in the figures: it checks a signature and
// answers one read. The floor is the call alone.
func BenchmarkDuplicate(b *testing.B) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // the line shall be made
	b.Cleanup(func() { slog.SetDefault(before) })

	const account = "05261f923e80d3890f33c0056e9b3f80"
	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AK", SecretKey: "SK"})
	cloud.KeepRequests(1)
	cloud.Delegate(account, "service.SecMaster")
	organizations, err := wire.ParseEndpoint("https://organizations.myhuaweicloud.com")
	require.NoError(b, err)
	api := client.New(client.Config{
		Organizations: organizations, MaxAttempts: 1, RequestTimeout: 10 * time.Second, Transport: cloud,
	}, client.Static(client.Credentials{AccessKey: "AK", SecretKey: "SK"}))
	var c config
	require.NoError(b, c.Rules.UnmarshalText([]byte("service.SecMaster=id:"+account)))
	f := function{api, c.Rules, c.Allowed, c.ReadyWithin}
	h := handler.Handler{
		Name: "register-admin", Function: handler.NewFunction(events.AccountCreatedInput(), f.register),
	}
	payload, err := os.ReadFile("../../events/account-created.json")
	require.NoError(b, err)
	ctx := lambdacontext.NewContext(b.Context(), &lambdacontext.LambdaContext{AwsRequestID: "r-1"})
	ctx = context.WithValue(ctx, "x-amzn-trace-id", //nolint:staticcheck // as aws-lambda-go names it
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")

	var answer []byte
	b.ReportAllocs()
	for b.Loop() {
		answer, err = h.Invoke(ctx, payload)
	}
	require.NoError(b, err)
	floor.Report(b, "invocation/call", func() {
		_, err := api.DelegatedServices(ctx, account)
		require.NoError(b, err)
	})
	var out struct {
		TraceParent string
		Data        struct{ Outcome string }
	}
	require.NoError(b, json.Unmarshal(answer, &out))
	assert.Equal(b, "unchanged", out.Data.Outcome)
	assert.NotEmpty(b, out.TraceParent)
}
