package lambdalocal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"registrar/internal/processes"
)

// ErrClosed is returned for what [Function.Close] has ended.
var ErrClosed = processes.ErrClosed

// Answer is what an invocation came to. Its FunctionError is "" or "Unhandled".
type Answer = processes.Answer

// Config describes a function. Name and Bootstrap are required.
type Config struct {
	// Name is the function's name, as in its ARN.
	Name string
	// Bootstrap is the path of the binary. Its folder is the working directory of the processes.
	// When the file changes, the next invocation runs the new one.
	Bootstrap string
	// Env is added to the environment that Lambda gives a function; nothing is inherited from this
	// program. It may replace any of Lambda's variables but AWS_LAMBDA_RUNTIME_API: AWS_REGION
	// (default us-east-1) also makes the ARN.
	Env map[string]string
	// Timeout is the most an invocation may take, default 3 s. Starting a process doesn't count.
	Timeout time.Duration
	// InitTimeout is the most a process may take from its start until it asks for its first
	// invocation, default 10 s.
	InitTimeout time.Duration
	// MemoryMB is told to the function and not enforced, default 128.
	MemoryMB int
	// Concurrency is how many processes run at most, default 10. Invocations above it wait.
	Concurrency int
	// Log receives what the processes write to stdout and stderr, in one Write per whole line, one
	// at a time, before the invocation's answer. It must not block. Functions may share it if it is
	// safe for concurrent use. Nil discards.
	Log io.Writer
	// Watch, if not nil, is told the payload of each invocation as its turn comes, before a process
	// is started for it, and what it returns is told its end. With a Concurrency of 1 there is one
	// invocation at a time: what is logged meanwhile is that invocation's.
	Watch func(payload []byte) (ended func(Answer, error))
}

// Function is a local Lambda function. It is safe for concurrent use and must be closed.
type Function struct {
	cfg    Config
	runner *processes.Runner
}

// New returns the function that cfg describes. It starts no process: the first invocation does.
func New(cfg Config) (*Function, error) {
	if cfg.MemoryMB < 0 {
		return nil, fmt.Errorf("lambdalocal: %s: negative MemoryMB", cfg.Name)
	}
	path, err := filepath.Abs(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("lambdalocal: %s: %w", cfg.Name, err)
	}
	cfg.Bootstrap = path
	cfg.Env = maps.Clone(cfg.Env)
	cfg.MemoryMB = cmp.Or(cfg.MemoryMB, 128)
	f := &Function{cfg: cfg}
	f.runner, err = processes.New(processes.Config{
		Name: cfg.Name, Bootstrap: cfg.Bootstrap, Timeout: cfg.Timeout, InitTimeout: cfg.InitTimeout,
		Concurrency: cfg.Concurrency, Log: cfg.Log, Watch: cfg.Watch,
		Environ: f.environ, API: f.runtimeAPI, Failed: failed,
	})
	if err != nil {
		return nil, fmt.Errorf("lambdalocal: %w", err)
	}
	return f, nil
}

// Close ends all processes, with SIGTERM and 500 ms later with SIGKILL, and returns when nothing of
// the function is left. Invocations that are cut off or come later get [ErrClosed]. Closing twice
// is harmless.
func (f *Function) Close() { f.runner.Close() }

// Processes are the function's processes that run now, the oldest first, to be looked at or to be
// killed.
func (f *Function) Processes() []*os.Process { return f.runner.Processes() }

// Invoke runs the function with payload, an empty one being {}, and returns its answer. Whatever
// the function does is an Answer; the error is for what kept Lambda from running it: [ErrClosed],
// or ctx. If ctx ends while the function runs, the function goes on to its end, as on Lambda. That
// the payload is JSON is not checked.
func (f *Function) Invoke(ctx context.Context, payload []byte) (Answer, error) {
	return f.invoke(ctx, uuid.NewString(), payload)
}

func (f *Function) invoke(ctx context.Context, id string, payload []byte) (Answer, error) {
	a, err := f.runner.Invoke(ctx, id, event(payload))
	if err != nil {
		return Answer{}, fmt.Errorf("lambdalocal: %w", err)
	}
	return a, nil
}

// event is what a function gets for a payload.
func event(payload []byte) []byte {
	if len(payload) == 0 {
		return []byte("{}")
	}
	return payload
}

// failed says in Lambda's words why there is no answer of the function.
func failed(id string, end processes.End) Answer {
	errorType, message := "Runtime.ExitError", "Runtime exited without providing a reason"
	switch {
	case end.NotStarted != "":
		errorType, message = "Runtime.InvalidEntrypoint", end.NotStarted
	case end.TimedOut > 0:
		errorType = "Sandbox.Timedout"
		message = fmt.Sprintf("Task timed out after %.2f seconds", end.TimedOut.Seconds())
	case !end.Exited.Success():
		message = "Runtime exited with error: " + end.Exited.String()
	}
	payload, _ := json.Marshal(map[string]string{ // strings always encode
		"errorType":    errorType,
		"errorMessage": "RequestId: " + id + " Error: " + message,
	})
	return Answer{Payload: payload, FunctionError: "Unhandled"}
}

// environ is the environment of a process, that of Lambda and Config.Env.
func (f *Function) environ(runtimeAPI string) map[string]string {
	env := map[string]string{
		"PATH":                            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"LAMBDA_TASK_ROOT":                filepath.Dir(f.cfg.Bootstrap),
		"_HANDLER":                        "bootstrap",
		"AWS_REGION":                      f.region(),
		"AWS_DEFAULT_REGION":              f.region(),
		"AWS_LAMBDA_FUNCTION_NAME":        f.cfg.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.cfg.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.cfg.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME": time.Now().UTC().Format("2006/01/02/") + "[$LATEST]" +
			strings.ReplaceAll(uuid.NewString(), "-", ""),
		"AWS_LAMBDA_LOG_FORMAT":          "JSON",
		"AWS_LAMBDA_LOG_LEVEL":           "INFO",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
	}
	maps.Copy(env, f.cfg.Env)
	env["AWS_LAMBDA_RUNTIME_API"] = runtimeAPI
	return env
}

func (f *Function) region() string {
	return cmp.Or(f.cfg.Env["AWS_REGION"], "us-east-1")
}

func (f *Function) arn() string {
	return "arn:aws:lambda:" + f.region() + ":123456789012:function:" + f.cfg.Name
}
