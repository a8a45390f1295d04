// Package app is what all functions have in common: it reads the configuration, makes the client
// and the handler, and serves the host in which the program runs.
package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/sethvargo/go-envconfig"

	"registrar/internal/credentials"
	"registrar/internal/handler"
	"registrar/internal/sink"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

// Config is the configuration that every function has.
type Config struct {
	Credentials credentials.Config
	Client      client.Config
	Handler     handler.Config
	Sink        sink.Config
	LogLevel    LogLevel `env:"AWS_LAMBDA_LOG_LEVEL, default=INFO"`

	// These are only checked: net/http reads them by itself.
	HTTPSProxy      wire.ProxyURL `env:"HTTPS_PROXY"`
	HTTPProxy       wire.ProxyURL `env:"HTTP_PROXY"`
	LowerHTTPSProxy wire.ProxyURL `env:"https_proxy"`
	LowerHTTPProxy  wire.ProxyURL `env:"http_proxy"`
	NoProxy         wire.NoProxy  `env:"NO_PROXY"`
	LowerNoProxy    wire.NoProxy  `env:"no_proxy"`
}

// Validate names each variable that is out of its bounds or doesn't go with the others, but for
// those of the credentials, which New of package credentials checks.
func (c Config) Validate() error {
	return errors.Join(c.Client.Validate(), c.Handler.Validate(),
		c.Sink.CheckSource(string(c.Handler.Source)))
}

// Main is the main of a function. It serves Lambda, FunctionGraph or, elsewhere, HTTP, until the
// process ends. The name is that of the function's folder. The policy bounds what the function may
// do with an agency that it assumes. Calls is how many calls of Huawei Cloud one event makes at
// once, at most. Warm opens the connections that most events need first. C is the function's own
// configuration: a struct with env tags, and a Validate method if there is more to check.
func Main[C any](
	name, policy string, calls int,
	warm func(*client.Client, context.Context), function func(*client.Client, C) handler.Function,
) {
	level := new(slog.LevelVar)
	slog.SetDefault(newLogger(level))
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{})

	boundMemory()
	ctx := context.Background()
	p := program[C]{
		name: name, policy: policy, calls: calls, function: function, environment: envconfig.OsLookuper(), level: level,
	}
	switch {
	case os.Getenv("AWS_LAMBDA_RUNTIME_API") != "":
		p.invocations = lambdacontext.MaxConcurrency()
		lambda.Start(p.start(ctx, warm))
	case os.Getenv("RUNTIME_API_ADDR") != "":
		var fg functionGraph
		p.common.Credentials.Given = true
		p.invocations = 1
		h := p.start(ctx, warm, &fg)
		fg.configured = p.common.Credentials
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop) // a second signal ends the program at once
		fg.serve(ctx, h)
	default:
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop) // a second signal ends the program at once
		var at address
		h, api, err := p.build(ctx, &at)
		if err == nil {
			err = serve(ctx, at, h, func(ctx context.Context) { warm(api, ctx) })
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
}

// boundMemory has garbage collected more often when a function has used most of its memory, as a
// large payload makes it do. The platform says how many megabytes it has. Whoever sets GOMEMLIMIT
// knows better.
func boundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text := cmp.Or(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), os.Getenv("RUNTIME_MEMORY"))
	if megabytes, err := strconv.ParseInt(text, 10, 32); err == nil && megabytes > 0 {
		debug.SetMemoryLimit(megabytes << 20 / 4 * 3)
	}
}

// program is a function before it is configured.
type program[C any] struct {
	name        string // the function's folder
	policy      string
	calls       int // that an event makes at once
	function    func(*client.Client, C) handler.Function
	environment envconfig.Lookuper
	level       *slog.LevelVar
	common      Config // what the host knows; build adds what the environment says
	invocations int    // how many the host makes at once, 0 for as many as come
}

// start makes the handler for a host that hardly shows why a program ends before its first event.
// So it starts whatever is wrong with the configuration, and then every invocation says so.
func (p *program[C]) start(
	ctx context.Context, warm func(*client.Client, context.Context), host ...any,
) *handler.Handler {
	h, api, err := p.build(ctx, host...)
	if err != nil {
		slog.ErrorContext(ctx, "every invocation will fail", "function", p.name, "err", err)
		return &handler.Handler{Name: p.name, Broken: err}
	}
	warm(api, ctx)
	return h
}

// build makes the handler of the function and its client, and fills whatever else the host reads
// from the environment. The error names everything that is wrong with the configuration. Nothing is
// called.
func (p *program[C]) build(ctx context.Context, host ...any) (*handler.Handler, *client.Client, error) {
	var (
		own        C
		unreadable problems
	)
	for _, target := range append([]any{&p.common, &own}, host...) {
		unreadable = append(unreadable, load(ctx, target, p.environment)...)
	}
	common := p.common
	wrong := common.Validate()
	if v, ok := any(own).(interface{ Validate() error }); ok {
		wrong = errors.Join(wrong, v.Validate())
	}
	p.level.Set(slog.Level(common.LogLevel))
	if calls := p.invocations * common.Handler.Concurrency * p.calls; calls > 1 && common.Client.Transport == nil {
		common.Client.Transport = wire.Transport(calls, common.Client.RequestTimeout)
	}
	deliver, noSink := sink.New(common.Sink)
	session := client.Session{Name: p.name, Policy: p.policy}
	found, noCredentials := credentials.New(common.Credentials, common.Client, session)
	if err := unreadable.and(errors.Join(wrong, noSink, noCredentials)); err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	api := client.New(common.Client, found)
	return &handler.Handler{
		Name: p.name, Config: common.Handler, Function: p.function(api, own), Sink: deliver,
	}, api, nil
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
