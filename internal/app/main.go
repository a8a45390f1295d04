// Package app is what all functions have in common: it reads the configuration, makes the client
// and the handler, and serves the host in which the program runs.
package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/sethvargo/go-envconfig"

	"registrar/internal/handler"
	"registrar/internal/secret"
	"registrar/internal/sink"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

// Config is the configuration that every function has.
type Config struct {
	Credentials secret.Config
	Client      client.Config
	Handler     handler.Config
	Sink        sink.Config
	LogLevel    LogLevel `env:"AWS_LAMBDA_LOG_LEVEL, default=INFO"`

	// These are only checked: net/http reads them by itself.
	HTTPSProxy      wire.ProxyURL `env:"HTTPS_PROXY"`
	HTTPProxy       wire.ProxyURL `env:"HTTP_PROXY"`
	LowerHTTPSProxy wire.ProxyURL `env:"https_proxy"`
	LowerHTTPProxy  wire.ProxyURL `env:"http_proxy"`
}

// Validate names each variable that is out of its bounds or doesn't go with the others.
func (c Config) Validate() error {
	return errors.Join(c.Credentials.Validate(), c.Client.Validate(), c.Handler.Validate(),
		c.Sink.CheckSource(string(c.Handler.Source)))
}

// Main is the main of a function. It serves Lambda or, outside Lambda, HTTP, until the process
// ends. The name is that of the function's folder, and warm opens the connection that most events
// need first. C is the function's own configuration: a struct with env tags, and a Validate method
// if there is more to check.
func Main[C any](
	name string, warm func(*client.Client, context.Context), function func(*client.Client, C) handler.Function,
) {
	level := new(slog.LevelVar)
	slog.SetDefault(newLogger(level))
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{})

	ctx, environment := context.Background(), envconfig.OsLookuper()
	h, api, err := build(ctx, name, environment, level, function)
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		// Lambda hardly shows why a function ends before its first event, so this one starts and says it.
		if err != nil {
			slog.ErrorContext(ctx, "bad configuration", "function", name, "err", err)
			h = &handler.Handler{Name: name, Broken: err}
		} else {
			warm(api, ctx)
		}
		lambda.Start(h)
		return
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err == nil {
		err = serve(ctx, environment, h, func(ctx context.Context) { warm(api, ctx) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// build makes the handler and the client of a function, and calls nothing. The error names
// everything that is wrong with the configuration.
func build[C any](
	ctx context.Context, name string, environment envconfig.Lookuper, level *slog.LevelVar,
	function func(*client.Client, C) handler.Function,
) (*handler.Handler, *client.Client, error) {
	var (
		common Config
		own    C
	)
	errs := []error{load(ctx, &common, environment), load(ctx, &own, environment), common.Validate()}
	if v, ok := any(own).(interface{ Validate() error }); ok {
		errs = append(errs, v.Validate())
	}
	level.Set(slog.Level(common.LogLevel))
	deliver, noSink := sink.New(ctx, common.Sink)
	credentials, noSecret := secret.New(ctx, common.Credentials)
	if err := errors.Join(append(errs, noSink, noSecret)...); err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	api := client.New(common.Client, credentials)
	return &handler.Handler{Name: name, Config: common.Handler, Function: function(api, own), Sink: deliver}, api, nil
}

// libraryLog takes the lines of package log. In some of them aws-lambda-go repeats the error of an
// invocation, which the handler has logged already. All others are about trouble with the runtime.
type libraryLog struct{}

func (libraryLog) Write(line []byte) (int, error) {
	if !bytes.Contains(line, []byte(`"errorType":`)) {
		slog.Error("runtime", "err", string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}
