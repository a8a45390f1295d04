package handler

import (
	"context"
	"fmt"
	stdlog "log"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/sethvargo/go-envconfig"

	"registrar/pkg/events"
)

// Main is the main of a function: it reads the configuration from the environment, builds the handler and serves Lambda
// until the process ends.
func Main[C any](build func(C) Function) {
	slog.SetDefault(newLogger(os.Getenv("AWS_LAMBDA_LOG_LEVEL")))
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{})
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		fmt.Fprintln(os.Stderr, "AWS_LAMBDA_RUNTIME_API is not set: this program runs on AWS Lambda. To see it run on this machine, call: make run")
		os.Exit(2)
	}
	lambda.Start(Start(context.Background(), envconfig.OsLookuper(), build))
}

// Function is a [Handler] of any kind.
type Function interface {
	lambda.Handler
	warm(context.Context)
}

// Start makes the handler that Lambda calls. With a bad configuration it is one that answers every event with a
// [*MisconfiguredError] that names each bad variable: Lambda hardly shows a function that ends before its first event.
func Start[C any](ctx context.Context, environment envconfig.Lookuper, build func(C) Function) lambda.Handler {
	config, err := Load[C](ctx, environment)
	if err != nil {
		slog.ErrorContext(ctx, "bad configuration", "err", err)
		return misconfigured{&MisconfiguredError{fmt.Errorf("configuration: %w", err)}}
	}
	f := build(config)
	f.warm(ctx)
	return f
}

func (h *Handler[T]) warm(ctx context.Context) {
	if h.Warm != nil {
		h.Warm(ctx)
	}
}

type misconfigured struct{ err *MisconfiguredError }

func (m misconfigured) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	log(ctx, events.Cause{}, nil, m.err, nil, 0)
	return nil, m.err
}
