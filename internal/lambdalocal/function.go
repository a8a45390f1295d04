package lambdalocal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned for what [Function.Close] has ended.
var ErrClosed = errors.New("lambdalocal: function is closed")

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
	cfg Config
	// slots holds one token for each invocation under way. Who holds a token owns at most one
	// process, and starts one only if none is idle, so there are never more processes than slots.
	slots chan struct{}
	// ctx ends with Close, and all processes with it.
	ctx  context.Context
	stop context.CancelFunc
	// running counts the goroutines of invocations and processes. It grows from zero only under mu
	// and before ctx ends.
	running sync.WaitGroup
	logMu   sync.Mutex

	mu sync.Mutex
	// idle are the processes that nobody owns, the last used one last. Some may have exited in the
	// meantime.
	idle []*process
}

// New returns the function that cfg describes. It starts no process: the first invocation does.
func New(cfg Config) (*Function, error) {
	if !runsHere {
		return nil, fmt.Errorf("lambdalocal: functions don't run on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	if cfg.Name == "" {
		return nil, errors.New("lambdalocal: Config.Name is empty")
	}
	if cfg.Timeout < 0 || cfg.InitTimeout < 0 || cfg.MemoryMB < 0 || cfg.Concurrency < 0 {
		return nil, fmt.Errorf("lambdalocal: %s: negative Timeout, InitTimeout, MemoryMB or Concurrency", cfg.Name)
	}
	path, err := filepath.Abs(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("lambdalocal: %s: %w", cfg.Name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("lambdalocal: %s: %w", cfg.Name, err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("lambdalocal: %s: %s is not an executable file", cfg.Name, path)
	}
	cfg.Bootstrap = path
	cfg.Env = maps.Clone(cfg.Env)
	cfg.Timeout = cmp.Or(cfg.Timeout, 3*time.Second)
	cfg.InitTimeout = cmp.Or(cfg.InitTimeout, 10*time.Second)
	cfg.MemoryMB = cmp.Or(cfg.MemoryMB, 128)
	cfg.Concurrency = cmp.Or(cfg.Concurrency, 10)
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	f := &Function{cfg: cfg, slots: make(chan struct{}, cfg.Concurrency)}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f, nil
}

// Close ends all processes, with SIGTERM and 500 ms later with SIGKILL, and returns when nothing of
// the function is left. Invocations that are cut off or come later get [ErrClosed]. Closing twice
// is harmless.
func (f *Function) Close() {
	f.mu.Lock()
	f.stop()
	f.mu.Unlock()
	f.running.Wait()
}

// spawn runs do in a goroutine that Close waits for, and reports whether it could.
func (f *Function) spawn(do func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return false
	}
	f.running.Go(do)
	return true
}

// acquire hands the caller a process of the present binary: an idle one, or a new one. Idle
// processes of an older binary are stopped first.
func (f *Function) acquire() (*process, error) {
	info, err := os.Stat(f.cfg.Bootstrap)
	if err != nil {
		info = nil // perhaps it is being replaced: go on with what runs
	}
	var stale []*process
	var idle *process
	f.mu.Lock()
	f.idle = slices.DeleteFunc(f.idle, func(p *process) bool {
		if p.gone() {
			return true
		}
		if info == nil || sameBinary(p.binary, info) {
			return false
		}
		stale = append(stale, p)
		return true
	})
	if n := len(f.idle); n > 0 {
		idle, f.idle = f.idle[n-1], f.idle[:n-1]
	}
	f.mu.Unlock()

	for _, p := range stale {
		p.stop()
	}
	for _, p := range stale {
		<-p.exited
	}
	if idle != nil {
		return idle, nil
	}
	return f.start(info)
}

// release gives back a process that is free, or gone.
func (f *Function) release(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !p.gone() {
		f.idle = append(f.idle, p)
	}
}

func sameBinary(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (f *Function) region() string {
	return cmp.Or(f.cfg.Env["AWS_REGION"], "us-east-1")
}

func (f *Function) arn() string {
	return "arn:aws:lambda:" + f.region() + ":123456789012:function:" + f.cfg.Name
}
