package processes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// grace is what a process gets between SIGTERM and SIGKILL.
const grace = 500 * time.Millisecond

// errNotTaken is the answer of a process that exited while it was idle: another one can have the
// invocation.
var errNotTaken = errors.New("the process exited before it took the invocation")

// Process is one running bootstrap with its API. At any time it belongs to one invocation's
// goroutine or is idle.
type Process struct {
	runner *Runner
	binary os.FileInfo // describes the file it was started from; nil if unknown
	cmd    *exec.Cmd
	stop   context.CancelFunc // SIGTERM, SIGKILL after grace; doesn't wait
	used   bool               // an invocation has had it; only the owner may look

	work   chan *Invocation // takes an invocation from the owner to a waiting Next
	ready  chan struct{}    // closed by the first Next
	exited chan struct{}    // closed when nothing of the process is left

	out  *os.File      // our own writing end of the process' stdout and stderr
	mark []byte        // a line nobody else writes: the log is read up to here
	read chan struct{} // one for each mark that was read, closed at the end of the log

	mu        sync.Mutex
	current   *Invocation // handed over, or about to be, and not ended
	initError *Answer     // posted before the first Next
}

// start starts a process and doesn't wait for it to get ready.
func (r *Runner) start(binary os.FileInfo) (*Process, error) {
	l, err := (&net.ListenConfig{}).Listen(r.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		l.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(r.ctx)
	p := &Process{
		runner: r,
		binary: binary,
		cmd:    exec.CommandContext(ctx, r.cfg.Bootstrap),
		stop:   stop,
		work:   make(chan *Invocation),
		ready:  make(chan struct{}),
		exited: make(chan struct{}),
		out:    out,
		mark:   []byte("\x00" + uuid.NewString() + "\x00\n"),
		read:   make(chan struct{}, 1), // one mark at a time
	}
	p.cmd.Dir = filepath.Dir(r.cfg.Bootstrap)
	p.cmd.Env = r.environ(l.Addr().String())
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = sysProcAttr()
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = grace

	started := make(chan error, 1)
	r.running.Go(func() { p.live(l, in, started) }) // the caller is counted, too
	return p, <-started
}

// live starts the process, waits for its end and clears up all there was of it.
func (p *Process) live(l net.Listener, in *os.File, started chan<- error) {
	// Pdeathsig is bound to the thread that starts the process: keep it for as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var serving, conns sync.WaitGroup
	srv := &http.Server{Handler: p.runner.cfg.API(p), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew: // always before Serve returns
			conns.Add(1)
		case http.StateClosed:
			conns.Done()
		default:
		}
	}}
	serving.Go(func() { _ = srv.Serve(l) })
	serving.Go(func() { p.copyLog(in) })

	err := p.cmd.Start()
	if err == nil {
		p.runner.born(p.cmd.Process)
	}
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // cmd.ProcessState tells
		p.runner.died(p.cmd.Process)
		// What the process has started dies with it. Its group can't be another's yet: process ids
		// are not given again that soon.
		killGroup(p.cmd.Process.Pid)
	}
	p.out.Close()
	_ = in.SetReadDeadline(time.Now().Add(grace)) // if someone left the group and still writes
	srv.Close()
	serving.Wait()
	conns.Wait()
	in.Close()
	p.stop()
	close(p.exited)
}

func (p *Process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// invoke takes inv through the process and returns the answer. A process that is past its time is
// killed. The caller owns the process.
//
// There is one answer, whatever happens at the same moment: what the process posted before settle
// counts, and after it nothing can be posted.
func (p *Process) invoke(inv *Invocation) (Answer, error) {
	cold := !p.used
	p.used = true
	taken, timedOut := p.serve(inv)
	posted, initError := p.settle(inv)
	if timedOut > 0 {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	var a Answer
	switch {
	case posted != nil:
		a = *posted
	case timedOut > 0:
		a = p.runner.cfg.Failed(inv.ID, End{TimedOut: timedOut})
	case p.runner.ctx.Err() != nil:
		return Answer{}, ErrClosed
	case !taken && !cold:
		return Answer{}, errNotTaken
	case initError != nil:
		a = *initError
	default:
		a = p.runner.cfg.Failed(inv.ID, End{Exited: p.cmd.ProcessState})
	}
	if taken {
		a.Duration = time.Since(inv.started)
	}
	a.ColdStart = cold
	p.finishLog()
	return a, nil
}

// serve waits until the process asks for an invocation, hands inv over, and waits until the process
// is free again, gone, or past its time: the limit it broke is returned.
func (p *Process) serve(inv *Invocation) (taken bool, timedOut time.Duration) {
	cfg := p.runner.cfg
	select {
	case <-p.ready:
	case <-p.exited:
		return false, 0
	case <-time.After(cfg.InitTimeout):
		return false, cfg.InitTimeout
	}

	inv.started = time.Now()
	inv.Deadline = inv.started.Add(cfg.Timeout)
	late := time.After(cfg.Timeout)
	p.mu.Lock()
	p.current = inv
	p.mu.Unlock()
	select {
	case p.work <- inv:
	case <-p.exited:
		return false, 0
	case <-late: // it is alive, but has dropped its Next
		return false, cfg.Timeout
	}
	select {
	case <-inv.done:
	case <-p.exited:
	case <-late:
		return true, cfg.Timeout
	}
	return true, 0
}

// settle ends inv: from here on the process can't answer it any more.
func (p *Process) settle(inv *Invocation) (posted *Answer, initError *Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = nil
	return inv.answer, p.initError
}

// finishLog returns once all that the process has written so far is in Config.Log: it is in the
// pipe, before the mark.
func (p *Process) finishLog() {
	_, _ = p.out.Write(p.mark) // closed if the process is gone, and then the end follows
	<-p.read
}

// copyLog passes on what the process writes, line by line.
func (p *Process) copyLog(in *os.File) {
	r := bufio.NewReader(in)
	var pending []byte
	for {
		b, err := r.ReadBytes('\n')
		b, marked := bytes.CutSuffix(b, p.mark)
		pending = append(pending, b...)
		if marked {
			p.read <- struct{}{}
			continue
		}
		if err != nil && len(pending) > 0 {
			pending = append(pending, '\n')
		}
		if len(pending) > 0 {
			p.runner.logMu.Lock()
			_, _ = p.runner.cfg.Log.Write(pending)
			p.runner.logMu.Unlock()
		}
		pending = nil
		if err != nil {
			close(p.read)
			return
		}
	}
}

// environ is the environment of a process.
func (r *Runner) environ(address string) []string {
	var list []string
	for k, v := range r.cfg.Environ(address) {
		list = append(list, k+"="+v)
	}
	return list
}
