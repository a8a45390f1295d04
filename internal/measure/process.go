package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Config says what a process is started from.
type Config struct {
	Bootstrap string
	// Env is added to the environment that Lambda gives a function, and may replace it; nothing is
	// inherited from this program.
	Env map[string]string
	// Counting tells that the binary was built so.
	Counting bool
}

// Process is one running function. The Runtime API that it talks to is as small as can be, and the
// same for all. A Process isn't safe for concurrent use.
type Process struct {
	// Init is the time from the start of the process until it asked for its first event.
	Init time.Duration

	cmd     *exec.Cmd
	server  *http.Server
	log     tail
	polls   chan time.Time
	work    chan []byte
	answers chan answer
	exited  chan struct{}

	ask    io.WriteCloser // these two are nil unless the process counts
	counts *bufio.Reader
}

type answer struct {
	at      time.Time
	payload []byte
	failed  bool
}

// Start starts a process and returns when it asks for its first event. It ends with ctx, or by
// [Process.Stop].
func Start(ctx context.Context, cfg Config) (*Process, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Process{
		polls: make(chan time.Time), work: make(chan []byte), answers: make(chan answer),
		exited: make(chan struct{}),
		cmd:    exec.CommandContext(ctx, cfg.Bootstrap),
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }()
	for name, value := range environment(cfg, listener.Addr().String()) {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.WaitDelay = time.Second
	if cfg.Counting {
		if err := p.count(); err != nil {
			return nil, err
		}
	}
	begin := time.Now()
	err = p.cmd.Start()
	for _, f := range p.cmd.ExtraFiles {
		f.Close()
	}
	if err != nil {
		p.server.Close()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState tells
		close(p.exited)
	}()
	polled, err := wait(p, p.polls)
	if err != nil {
		p.Stop()
		return nil, err
	}
	p.Init = polled.Sub(begin)
	return p, nil
}

// environment is what Lambda gives a function, as far as programs look at it.
func environment(cfg Config, api string) map[string]string {
	env := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8", "TZ": ":UTC",
		"LAMBDA_TASK_ROOT": filepath.Dir(cfg.Bootstrap), "_HANDLER": "bootstrap",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
		"AWS_LAMBDA_FUNCTION_NAME": "measured", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO",
	}
	maps.Copy(env, cfg.Env)
	env["AWS_LAMBDA_RUNTIME_API"] = api
	return env
}

// ServeHTTP is the Runtime API.
func (p *Process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	switch what := path.Base(r.URL.Path); what {
	case "next":
		select {
		case p.polls <- now:
		case <-p.exited:
			return
		}
		select {
		case payload := <-p.work:
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
			h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(now.Add(time.Hour).UnixMilli(), 10))
			h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:measured")
			h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;"+
				"Parent=9a9197af755a6419;Sampled=0")
			_, _ = w.Write(payload)
		case <-p.exited:
		}
	case "response", "error":
		payload, _ := io.ReadAll(r.Body) // what is cut off ends the process
		select {
		case p.answers <- answer{time.Now(), payload, what == "error"}:
		case <-p.exited:
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		http.NotFound(w, r)
	}
}

// Invoke gives the process an event. It returns the answer, and the time until that was there; the
// process has asked for another event by then. An answer that is an error is an error.
func (p *Process) Invoke(payload []byte) (response []byte, took time.Duration, err error) {
	begin := time.Now()
	select {
	case p.work <- payload:
	case <-p.exited:
		return nil, 0, p.ended()
	}
	got, err := wait(p, p.answers)
	if err != nil {
		return nil, 0, err
	}
	if _, err := wait(p, p.polls); err != nil {
		return nil, 0, err
	}
	if got.failed {
		return nil, 0, fmt.Errorf("%s answers %s", p.cmd.Path, got.payload)
	}
	return got.payload, got.at.Sub(begin), nil
}

func wait[T any](p *Process, from <-chan T) (value T, err error) {
	select {
	case value = <-from:
	case <-p.exited:
		err = p.ended()
	}
	return value, err
}

func (p *Process) ended() error {
	return fmt.Errorf("%s: %s: %s", p.cmd.Path, p.cmd.ProcessState, p.log.text())
}

// ID is the number of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Usage is what the kernel counted of a process so far.
type Usage struct {
	CPU                      time.Duration
	MinorFaults, MajorFaults int
	Peak                     int // the most memory that was resident, in bytes
}

// Usage asks the kernel, which only Linux answers about a process that runs.
func (p *Process) Usage() (Usage, error) { return usage(p.ID()) }

// Stop kills the process and returns when it is gone.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill() // an error says that it is gone
	<-p.exited
	p.server.Close()
	if p.ask != nil {
		p.ask.Close()
	}
}

// count gives the process the two pipes by which it tells its allocations.
func (p *Process) count() error {
	asked, ask, err := os.Pipe()
	if err != nil {
		return err
	}
	counts, told, err := os.Pipe()
	if err != nil {
		return err
	}
	p.cmd.ExtraFiles = []*os.File{asked, told}
	p.ask, p.counts = ask, bufio.NewReader(counts)
	return nil
}

// Allocations returns how much one invocation allocates, on average of n. The caller has warmed the
// process up.
func (p *Process) Allocations(payload []byte, n int) (objects, bytes float64, err error) {
	if p.ask == nil {
		return 0, 0, errors.New("the process doesn't count its allocations")
	}
	var counted [2][2]float64
	for i := range counted {
		if _, err := p.ask.Write([]byte{'?'}); err != nil {
			return 0, 0, err
		}
		if _, err := fmt.Fscanln(p.counts, &counted[i][0], &counted[i][1]); err != nil {
			return 0, 0, err
		}
		for range n * (1 - i) {
			if _, _, err := p.Invoke(payload); err != nil {
				return 0, 0, err
			}
		}
	}
	per := func(of int) float64 { return (counted[1][of] - counted[0][of]) / float64(n) }
	return per(0), per(1), nil
}

// tail keeps the end of what a process logs, which explains why it ended.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const limit = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if len(t.kept) > 2*limit {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-limit:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
