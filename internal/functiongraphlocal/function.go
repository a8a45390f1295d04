package functiongraphlocal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"

	"registrar/internal/processes"
)

// Where all functions are.
const (
	region    = "cn-north-4"
	projectID = "07f7a1b2c3d4e5f60718293a4b5c6d7e"
)

// ErrClosed is returned for what [Function.Close] has ended.
var ErrClosed = processes.ErrClosed

// Answer is what an invocation came to. Its FunctionError is "" or "FunctionError".
type Answer = processes.Answer

// Config describes a function. Name and Bootstrap are required.
type Config struct {
	// Name is the function's name, as in its URN.
	Name string
	// Bootstrap is the path of the binary. Its folder is the working directory of the processes.
	// When the file changes, the next invocation runs the new one.
	Bootstrap string
	// Env are the variables of the user: they are in the environment, and all together in
	// RUNTIME_USERDATA. They replace none of FunctionGraph's. Nothing is inherited from this
	// program.
	Env map[string]string
	// Timeout is the most an invocation may take, default 3 s. Starting a process doesn't count.
	Timeout time.Duration
	// InitTimeout is the most a process may take from its start until it asks for its first
	// invocation and isn't refused, default 10 s.
	InitTimeout time.Duration
	// MemoryMB is told to the function and not enforced, default 128.
	MemoryMB int
	// Concurrency is how many processes run at most, default 10. Invocations above it wait.
	Concurrency int
	// Headers, if not nil, is called for each invocation, and what it returns goes to the function
	// beside the headers of the event, such as X-CFF-Access-Key of the function's agency.
	Headers func() http.Header
	// Refuse is how many polls of each process get no event at first: one is answered with status
	// 204, the next with 500, the third with 200 and no request id, and so on.
	Refuse int
	// Log receives what the processes write to stdout and stderr, in one Write per whole line, one
	// at a time, before the invocation's answer. It must not block. Functions may share it if it is
	// safe for concurrent use. Nil discards.
	Log io.Writer
	// Watch, if not nil, is told the payload of each invocation as its turn comes, before a process
	// is started for it, and what it returns is told its end. With a Concurrency of 1 there is one
	// invocation at a time: what is logged meanwhile is that invocation's.
	Watch func(payload []byte) (ended func(Answer, error))
}

// Function is a local function. It is safe for concurrent use and must be closed.
type Function struct {
	cfg    Config
	runner *processes.Runner
}

// New returns the function that cfg describes. It starts no process: the first invocation does.
func New(cfg Config) (*Function, error) {
	if cfg.MemoryMB < 0 || cfg.Refuse < 0 {
		return nil, fmt.Errorf("functiongraphlocal: %s: negative MemoryMB or Refuse", cfg.Name)
	}
	path, err := filepath.Abs(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("functiongraphlocal: %s: %w", cfg.Name, err)
	}
	cfg.Bootstrap = path
	cfg.Env = maps.Clone(cfg.Env)
	cfg.Timeout = cmp.Or(cfg.Timeout, 3*time.Second)
	cfg.MemoryMB = cmp.Or(cfg.MemoryMB, 128)
	f := &Function{cfg: cfg}
	f.runner, err = processes.New(processes.Config{
		Name: cfg.Name, Bootstrap: cfg.Bootstrap, Timeout: cfg.Timeout, InitTimeout: cfg.InitTimeout,
		Concurrency: cfg.Concurrency, Log: cfg.Log, Watch: cfg.Watch,
		Environ: f.environ, API: f.runtimeAPI, Failed: failed,
	})
	if err != nil {
		return nil, fmt.Errorf("functiongraphlocal: %w", err)
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

// Invoke runs the function with payload and returns its answer. Whatever the function does is an
// Answer; the error is for what kept FunctionGraph from running it: [ErrClosed], or ctx. If ctx
// ends while the function runs, the function goes on to its end. That the payload is JSON is not
// checked.
func (f *Function) Invoke(ctx context.Context, payload []byte) (Answer, error) {
	return f.invoke(ctx, uuid.NewString(), payload)
}

func (f *Function) invoke(ctx context.Context, id string, payload []byte) (Answer, error) {
	a, err := f.runner.Invoke(ctx, id, payload)
	if err != nil {
		return Answer{}, fmt.Errorf("functiongraphlocal: %w", err)
	}
	return a, nil
}

// URN names the function and its only version.
func (f *Function) URN() string {
	return "urn:fss:" + region + ":" + projectID + ":function:default:" + f.cfg.Name + ":latest"
}

// InvocationPath is the path at which [InvokeAPI] invokes the function synchronously. With "-async"
// behind it, it is the one for asynchronous invocations.
func (f *Function) InvocationPath() string {
	return "/v2/" + projectID + "/fgs/functions/" + f.URN() + "/invocations"
}

// failed says why there is no answer of the function.
func failed(_ string, end processes.End) Answer {
	switch {
	case end.NotStarted != "":
		return failure("FunctionNotStarted", "the bootstrap could not be started: "+end.NotStarted)
	case end.TimedOut > 0:
		return failure("FunctionTimeout", fmt.Sprintf("the function timed out after %s", end.TimedOut))
	default:
		return failure("FunctionExited", "the function exited: "+end.Exited.String())
	}
}

// failure has the form in which a custom runtime says what failed.
func failure(errorType, message string) Answer {
	payload, _ := json.Marshal(map[string]string{"errorType": errorType, "errorMessage": message})
	return Answer{Payload: payload, FunctionError: "FunctionError"}
}

// environ is the environment of a process, that of FunctionGraph and Config.Env.
func (f *Function) environ(runtimeAPI string) map[string]string {
	userData, _ := json.Marshal(f.cfg.Env) // strings always encode
	if f.cfg.Env == nil {
		userData = []byte("{}")
	}
	env := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin"}
	maps.Copy(env, f.cfg.Env)
	maps.Copy(env, map[string]string{
		"RUNTIME_API_ADDR":           runtimeAPI,
		"RUNTIME_PROJECT_ID":         projectID,
		"RUNTIME_PACKAGE":            "default",
		"RUNTIME_FUNC_NAME":          f.cfg.Name,
		"RUNTIME_FUNC_VERSION":       "latest",
		"RUNTIME_HANDLER":            "bootstrap.handler",
		"RUNTIME_TIMEOUT":            strconv.Itoa(int((f.cfg.Timeout + time.Second - 1) / time.Second)),
		"RUNTIME_USERDATA":           string(userData),
		"RUNTIME_CPU":                "300",
		"RUNTIME_MEMORY":             strconv.Itoa(f.cfg.MemoryMB),
		"RUNTIME_CODE_ROOT":          filepath.Dir(f.cfg.Bootstrap),
		"RUNTIME_MAX_RESP_BODY_SIZE": strconv.Itoa(maxPayload),
	})
	return env
}
