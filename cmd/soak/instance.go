package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"registrar/internal/lambdalocal"
	"registrar/internal/planted"
)

// instance is a built function on one host. One that is kept is never killed, so that it shows what
// grows with time; its neighbour is killed again and again.
type instance struct {
	kind  string // such as "Lambda register-admin"
	kept  bool
	books *books
	leaks *leaks

	lambda *lambdalocal.Function // one of the two
	server *server

	mu      sync.Mutex
	pending map[string]bool // the request ids of writes that no log line has named yet
	dumping bool
	dumped  int // goroutines
}

func newInstance(kind string, kept bool, b *books, l *leaks) *instance {
	return &instance{kind: kind, kept: kept, books: b, leaks: l, pending: map[string]bool{}}
}

// wrote notes a write whose answer arrives: a log line must tell of it.
func (i *instance) wrote(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kept && id != "" {
		i.pending[id] = true
	}
}

// cutOff notes that the process came to its end in spite of all, and its log with it.
func (i *instance) cutOff() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.pending)
}

// Write takes a line that the process logged.
func (i *instance) Write(line []byte) (int, error) {
	i.leaks.look("the log of "+i.kind, line)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dumping {
		if bytes.HasPrefix(line, []byte("goroutine ")) {
			i.dumped++
		}
		return len(line), nil
	}
	var logged struct {
		Message       string
		ErrorType     string `json:"error_type"`
		Registrations []struct {
			RequestID string `json:"request_id"`
		}
	}
	if err := json.Unmarshal(line, &logged); err != nil && i.kept { // a killed one is cut off in a line
		i.books.accuse(noise, fmt.Sprintf("%s: %.300s", i.kind, line))
	}
	switch logged.Message {
	case "event failed":
		i.books.count(failures, logged.ErrorType)
	case "event held back":
		i.books.count(failures, "held back")
	}
	for _, r := range logged.Registrations {
		delete(i.pending, r.RequestID)
	}
	return len(line), nil
}

// settle says which writes are in no log line.
func (i *instance) settle() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id := range i.pending {
		i.books.accuse(untraced, "no log line of "+i.kind+" names the write "+id)
	}
}

// process is the running process, nil if there is none.
func (i *instance) process() *os.Process {
	if i.server != nil {
		return i.server.process()
	}
	if all := i.lambda.Processes(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// goroutines ends the process by a signal at which Go prints all goroutines, and returns their
// number. So they are counted without a change of the program.
func (i *instance) goroutines() (int, error) {
	p := i.process()
	if p == nil {
		return 0, errors.New(i.kind + " has no process")
	}
	i.mu.Lock()
	i.dumping, i.dumped = true, 0
	i.mu.Unlock()
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		return 0, err
	}
	for end := time.Now().Add(10 * time.Second); p.Signal(syscall.Signal(0)) == nil; {
		if time.Now().After(end) {
			return 0, errors.New(i.kind + " doesn't end at SIGQUIT")
		}
		time.Sleep(10 * time.Millisecond)
	}
	i.close() // returns when the log is read to its end
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dumped == 0 {
		return 0, errors.New(i.kind + " printed no goroutines")
	}
	return i.dumped, nil
}

func (i *instance) close() {
	if i.server != nil {
		_ = i.server.stop()
		return
	}
	i.lambda.Close()
}

// server is a function as an HTTP server.
type server struct {
	bootstrap, address string
	env                []string
	log                io.Writer // takes whole lines

	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended, and its log is read
}

func (s *server) process() *os.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	return s.cmd.Process
}

// start starts the server and returns when it serves.
func (s *server) start(ctx context.Context) error {
	lines, out := io.Pipe()
	cmd := exec.Command(s.bootstrap) //nolint:noctx // stop ends it, by the signal that a platform sends
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.gone = cmd, gone
	s.mu.Unlock()
	var reading sync.WaitGroup
	reading.Go(func() {
		scanner := bufio.NewScanner(lines)
		scanner.Buffer(nil, 4<<20)
		for scanner.Scan() {
			_, _ = s.log.Write(scanner.Bytes())
		}
		_, _ = io.Copy(io.Discard, lines)
	})
	go func() {
		_ = cmd.Wait() // ProcessState tells
		out.Close()
		reading.Wait()
		close(gone)
	}()
	for end := time.Now().Add(20 * time.Second); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-gone:
			return fmt.Errorf("%s: %s", s.bootstrap, cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) || ctx.Err() != nil {
			_ = s.stop()
			return fmt.Errorf("%s doesn't serve: %w", s.bootstrap, err)
		}
	}
}

// stop asks the server to end, as platforms do, and returns when it has.
func (s *server) stop() error {
	s.mu.Lock()
	cmd, gone := s.cmd, s.gone
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		<-gone
		return errors.New("the server didn't end within a minute of SIGTERM")
	}
	if !cmd.ProcessState.Success() {
		return errors.New("at SIGTERM: " + cmd.ProcessState.String())
	}
	return nil
}

// leaks looks for the planted keys in all that leaves a process. Looking takes long for each text,
// so many are looked at together.
type leaks struct {
	books *books

	mu   sync.Mutex
	text []byte
}

func (l *leaks) look(where string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = fmt.Appendf(l.text, "%s: %s\n", where, text)
	if len(l.text) > 256<<10 {
		l.search()
	}
}

// flush looks at what is left.
func (l *leaks) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.search()
}

// search needs mu.
func (l *leaks) search() {
	for _, form := range planted.In(string(l.text), secrets...) {
		at := bytes.Index(l.text, []byte(form))
		line := l.text[bytes.LastIndexByte(l.text[:at], '\n')+1 : at+len(form)]
		where, _, _ := bytes.Cut(line, []byte(": "))
		const before = 200
		l.books.accuse(leaked, fmt.Sprintf("%s: ...%s", where, line[max(0, len(line)-len(form)-before):]))
	}
	l.text = l.text[:0]
}
