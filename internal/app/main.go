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
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		// Lambda hardly shows why a function ends before its first event, so this one starts.
		h, api, err := build(ctx, name, environment, level, function)
		if err != nil {
			slog.ErrorContext(ctx, "every invocation will fail", "function", name, "err", err)
			h = &handler.Handler{Name: name, Broken: err}
		} else {
			warm(api, ctx)
		}
		lambda.Start(h)
		return
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	var at address
	h, api, err := build(ctx, name, environment, level, function, &at)
	if err == nil {
		err = serve(ctx, at, h, func(ctx context.Context) { warm(api, ctx) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// build makes the handler of a function and its client, and fills whatever else the host reads from
// the environment. The error names everything that is wrong with the configuration. Nothing is
// called.
func build[C any](
	ctx context.Context, name string, environment envconfig.Lookuper, level *slog.LevelVar,
	function func(*client.Client, C) handler.Function, host ...any,
) (*handler.Handler, *client.Client, error) {
	var (
		common Config
		own    C
	)
	var unreadable problems
	for _, target := range append([]any{&common, &own}, host...) {
		unreadable = append(unreadable, load(ctx, target, environment)...)
	}
	wrong := common.Validate()
	if v, ok := any(own).(interface{ Validate() error }); ok {
		wrong = errors.Join(wrong, v.Validate())
	}
	level.Set(slog.Level(common.LogLevel))
	deliver, noSink := sink.New(ctx, common.Sink)
	credentials, noSecret := secret.New(ctx, common.Credentials)
	if err := unreadable.and(errors.Join(wrong, noSink, noSecret)); err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	api := client.New(common.Client, credentials)
	return &handler.Handler{Name: name, Config: common.Handler, Function: function(api, own), Sink: deliver}, api, nil
}

// libraryLog takes the lines of package log. In some of them aws-lambda-go repeats the error of an
// invocation, which the handler has logged already. All others are about trouble with the runtime
// or a connection. What net/http quotes of an answer that nobody asked for may hold a secret.
type libraryLog struct{}

func (libraryLog) Write(line []byte) (int, error) {
	if !bytes.Contains(line, []byte(`"errorType":`)) {
		text, _, _ := bytes.Cut(line, []byte(" starting with "))
		slog.Error("runtime", "err", string(bytes.TrimSpace(text)))
	}
	return len(line), nil
}
