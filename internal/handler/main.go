package handler

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/sethvargo/go-envconfig"
)

// Main is the main of a function: it reads the configuration from the environment, builds the handler and serves Lambda, or where there is
// none, HTTP, until the process ends.
func Main[C any](build func(context.Context, C) (Function, error)) {
	slog.SetDefault(newLogger(os.Getenv("AWS_LAMBDA_LOG_LEVEL")))
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{})

	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(Start(context.Background(), envconfig.OsLookuper(), build))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Serve(ctx, envconfig.OsLookuper(), build); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// Function is a [Handler] of any kind.
type Function interface {
	lambda.Handler
	http.Handler
	warm(context.Context)
}

// configure makes the function of an environment. Its error names everything that is wrong with it.
func configure[C any](ctx context.Context, environment envconfig.Lookuper, build func(context.Context, C) (Function, error)) (Function, error) {
	config, err := Load[C](ctx, environment)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f, err := build(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return f, nil
}

// Start makes the handler that Lambda calls. With a bad configuration it is one that answers every event with a
// [*MisconfiguredError] that names each bad variable: Lambda hardly shows a function that ends before its first event.
func Start[C any](ctx context.Context, environment envconfig.Lookuper, build func(context.Context, C) (Function, error)) lambda.Handler {
	f, err := configure(ctx, environment, build)
	if err != nil {
		slog.ErrorContext(ctx, "bad configuration", "err", err)
		return misconfigured{&MisconfiguredError{err}}
	}
	f.warm(ctx)
	return f
}

type misconfigured struct{ err *MisconfiguredError }

func (m misconfigured) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	line := line{function: program(), start: time.Now(), err: m.err}
	line.log(ctx)
	return nil, m.err
}

// program is the name of the function's folder: what its Handler is called, when there is none.
func program() string {
	info, _ := debug.ReadBuildInfo() // nil without modules
	if info == nil {
		return ""
	}
	return path.Base(info.Path)
}

// Serve serves the function by HTTP on PORT, 8080 unless set, until ctx ends. Then it takes no more requests and finishes those that it has.
func Serve[C any](ctx context.Context, environment envconfig.Lookuper, build func(context.Context, C) (Function, error)) error {
	f, err := configure(ctx, environment, build)
	if err != nil {
		return err
	}
	port, ok := nonEmpty{environment}.Lookup("PORT")
	if !ok {
		port = "8080"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return fmt.Errorf("PORT: %w", err)
	}
	slog.InfoContext(ctx, "serving CloudEvents by HTTP", "address", listener.Addr().String())
	f.warm(ctx)

	server := &http.Server{
		Handler:           f,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      httpTime + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpTime+5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(finish)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func (h *Handler[T]) warm(ctx context.Context) {
	if h.Warm != nil {
		h.Warm(ctx)
	}
}
