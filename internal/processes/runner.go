package processes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned for what [Runner.Close] has ended.
var ErrClosed = errors.New("the function is closed")

// Config says what to run, and how. Log and Watch may be nil; of the others,
// those without a default are required.
type Config struct {
	// Name is the function's name, for errors.
	Name string
	// Bootstrap is the path of the binary. Its folder is the working directory of the processes.
	// When the file changes, the next invocation runs the new one.
	Bootstrap string
	// Timeout is the most an invocation may take, default 3 s. Starting a process doesn't count.
	Timeout time.Duration
	// InitTimeout is the most a process may take from its start until it asks for its first
	// invocation, default 10 s.
	InitTimeout time.Duration
	// Concurrency is how many processes run at most, default 10. Invocations above it wait.
	Concurrency int
	// Log receives what the processes write to stdout and stderr, in one Write per whole line, one
	// at a time, before the invocation's answer. It must not block. Nil discards.
	Log io.Writer
	// Watch, if not nil, is told the payload of each invocation as its turn comes, before a process
	// is started for it, and what it returns is told its end.
	Watch func(payload []byte) (ended func(Answer, error))

	// Environ is the whole environment of a process whose API is at address.
	Environ func(address string) map[string]string
	// API serves one process: it calls Next, Post and FailInit of the process.
	API func(*Process) http.Handler
	// Failed is the answer to an invocation that a process left without one.
	Failed func(id string, end End) Answer
}

// End is why an invocation has no answer of the process. One field is set.
type End struct {
	NotStarted string           // why the binary can't be executed
	TimedOut   time.Duration    // the limit that was broken
	Exited     *os.ProcessState // the process is gone
}

// Runner runs a function. It is safe for concurrent use and must be closed.
type Runner struct {
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
	idle []*Process
	// alive are all processes that run, the oldest first.
	alive []*os.Process
}

// New returns a runner of what cfg describes. It starts no process: the first invocation does.
func New(cfg Config) (*Runner, error) {
	if !runsHere {
		return nil, fmt.Errorf("functions don't run on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	if cfg.Name == "" {
		return nil, errors.New("Config.Name is empty")
	}
	if cfg.Timeout < 0 || cfg.InitTimeout < 0 || cfg.Concurrency < 0 {
		return nil, fmt.Errorf("%s: negative Timeout, InitTimeout or Concurrency", cfg.Name)
	}
	path, err := filepath.Abs(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("%s: %s is not an executable file", cfg.Name, path)
	}
	cfg.Bootstrap = path
	cfg.Timeout = cmp.Or(cfg.Timeout, 3*time.Second)
	cfg.InitTimeout = cmp.Or(cfg.InitTimeout, 10*time.Second)
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	r := &Runner{cfg: cfg, slots: make(chan struct{}, cmp.Or(cfg.Concurrency, 10))}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Close ends all processes, with SIGTERM and 500 ms later with SIGKILL, and returns when nothing of
// the function is left. Invocations that are cut off or come later get [ErrClosed]. Closing twice
// is harmless.
func (r *Runner) Close() {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.running.Wait()
}

// Processes are the processes that run now, the oldest first, to be looked at or to be killed.
func (r *Runner) Processes() []*os.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.alive)
}

func (r *Runner) born(p *os.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive = append(r.alive, p)
}

func (r *Runner) died(p *os.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive = slices.DeleteFunc(r.alive, func(one *os.Process) bool { return one == p })
}

// spawn runs do in a goroutine that Close waits for, and reports whether it could.
func (r *Runner) spawn(do func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return false
	}
	r.running.Go(do)
	return true
}

// acquire hands the caller a process of the present binary: an idle one, or a new one. Idle
// processes of an older binary are stopped first.
func (r *Runner) acquire() (*Process, error) {
	info, err := os.Stat(r.cfg.Bootstrap)
	if err != nil {
		info = nil // perhaps it is being replaced: go on with what runs
	}
	var stale []*Process
	var idle *Process
	r.mu.Lock()
	r.idle = slices.DeleteFunc(r.idle, func(p *Process) bool {
		if p.gone() {
			return true
		}
		if info == nil || sameBinary(p.binary, info) {
			return false
		}
		stale = append(stale, p)
		return true
	})
	if n := len(r.idle); n > 0 {
		idle, r.idle = r.idle[n-1], r.idle[:n-1]
	}
	r.mu.Unlock()

	for _, p := range stale {
		p.stop()
	}
	for _, p := range stale {
		<-p.exited
	}
	if idle != nil {
		return idle, nil
	}
	return r.start(info)
}

// release gives back a process that is free, or gone.
func (r *Runner) release(p *Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !p.gone() {
		r.idle = append(r.idle, p)
	}
}

func sameBinary(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
