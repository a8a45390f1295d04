package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"registrar/cmd/internal/show"
	"registrar/internal/functiongraphlocal"
	"registrar/internal/lambdalocal"
)

// visibilityTimeout is short, so that a redelivery can be watched.
const visibilityTimeout = 10 * time.Second

// start serves everything on PORT, 3001 unless set, of this machine only, until ctx ends.
func start(ctx context.Context, out *show.Printer, dist string) error {
	port := cmp.Or(os.Getenv("PORT"), "3001")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %s is taken: end what uses it, or call make start PORT=<another>", port)
	}
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()

	screen := &screen{out: out, shown: map[string]string{}, failures: map[string]string{}}
	requests := make(chan []byte, 1000)
	s, err := newSandbox(ctx, dist, screen.show, func(request []byte) { requests <- request })
	if err != nil {
		return err
	}
	defer s.close()
	s.onRequest(func(c show.Call) {
		out.Print("", show.Line{Label: now(), Style: show.Dim, Text: c.Line().Text + ", from elsewhere", Whole: true})
	})
	manual, err := s.manual(ctx, base, dist)
	if err != nil {
		return err
	}
	screen.on()

	var serving sync.WaitGroup
	defer serving.Wait()
	api := lambdalocal.InvokeAPI{RetryWaits: []time.Duration{visibilityTimeout, visibilityTimeout}}
	queues := map[string]*lambdalocal.Queue{}
	api.OnAsync = func(name string, payload []byte, a lambdalocal.Answer, attempts int) {
		if a.FunctionError != "" {
			text := fmt.Sprintf("an asynchronous event of %s failed %d times", name, attempts)
			if id, err := queues[name].GiveUp(string(destination(payload, a, attempts))); err == nil {
				text += ": " + letter(base, name, id)
			}
			out.Print("", show.Line{Label: "dead letter", Style: show.Red, Text: text, Whole: true})
		}
	}
	graph := functiongraphlocal.InvokeAPI{RetryWaits: []time.Duration{visibilityTimeout}}
	graph.OnFailure = func(r functiongraphlocal.Record) {
		c := r.RequestContext
		text := fmt.Sprintf("%s on %s, %d times", c.Condition, c.FunctionURN, c.ApproximateInvokeCount)
		out.Print("", show.Line{Label: "on failure", Style: show.Red, Text: text, Whole: true})
	}
	serving.Go(func() { s.route(ctx, requests) })
	mux := http.NewServeMux()
	for _, f := range s.functions {
		trigger, err := lambdalocal.NewTrigger(f.Invoke, f.name, visibilityTimeout)
		if err != nil {
			return err
		}
		trigger.Mapping.OnDelivery = func(batch []lambdalocal.Message) {
			out.Print("", delivered(base, f.name, batch)...)
		}
		queues[f.name] = trigger.Queue
		api.Functions = append(api.Functions, f.Function)
		graph.Functions = append(graph.Functions, f.graph)
		mux.Handle("/url/"+f.name, http.StripPrefix("/url/"+f.name, lambdalocal.URL{Function: f.Function}))
		screen.serveQueue(mux, f.name, trigger)
		serving.Go(func() {
			if err := trigger.Mapping.Run(ctx); err != nil && ctx.Err() == nil {
				out.Print("", show.Line{Label: "queue", Style: show.Red, Text: err.Error()})
			}
		})
	}
	mux.Handle("/2015-03-31/", api)
	mux.Handle("/v1/", s.cloud)
	mux.Handle("/v2/", graph)
	mux.Handle("POST /sink", sink(func(sent []byte) {
		if isRequest(sent) {
			requests <- sent
		}
		i := &show.Invocation{}
		i.Result(sent)
		i.End(lambdalocal.Answer{})
		out.Print("\n"+now()+" a result from elsewhere", i.Lines()...)
	}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, manual) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		text := fmt.Sprintf("There is nothing at %s %s. What there is: curl %s", r.Method, r.URL.Path, base)
		http.Error(w, text, http.StatusNotFound)
	})
	server := serve(listener, mux)
	fmt.Print(manual)
	<-ctx.Done()
	return server.Close()
}

// route delivers what audits ask for to all functions, in place of a bus with its rules and queues.
// What fails isn't tried again before the next audit.
func (s *sandbox) route(ctx context.Context, requests <-chan []byte) {
	for {
		select {
		case request := <-requests:
			for _, f := range s.functions {
				_, _ = f.Invoke(ctx, request) // the screen shows what came of it
			}
		case <-ctx.Done():
			return
		}
	}
}

// screen shows what the functions do.
type screen struct {
	out *show.Printer

	mu       sync.Mutex
	ready    bool              // nothing is shown before
	shown    map[string]string // what an event led to the last time, by function and event
	failures map[string]string // why a message failed the last time, by its id
}

func (s *screen) on() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
}

// show shows an invocation. What went exactly as the time before is shown briefly.
func (s *screen) show(f *function, payload []byte, i *show.Invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready || isRequest(payload) && i.Invalid() { // a request is for one function, and all get it
		return
	}
	maps.Copy(s.failures, i.Failures())
	came, lines := show.Events(payload), i.Lines()
	event := f.name + strings.Join(came, "\n")
	led := regexp.MustCompile(`\(request [^)]*\)`).ReplaceAllString(fmt.Sprint(lines), "")
	if s.shown[event] == led {
		lines = lines[:1]
		lines[0].Text += ", all as before"
	}
	s.shown[event] = led
	s.out.Print("\n"+now()+" "+came[0], append(show.EventLines(came[1:]), lines...)...)
}

func now() string { return time.Now().Format(time.TimeOnly) }

// delivered says what became of messages.
func delivered(base, name string, batch []lambdalocal.Message) []show.Line {
	var lines []show.Line
	for _, m := range batch {
		line := show.Line{Label: "queue", Style: show.Green, Text: fmt.Sprintf("message %.8s is done", m.ID)}
		switch {
		case m.Failure == "":
		case m.ReceiveCount < lambdalocal.MaxReceiveCount:
			line.Style = show.Yellow
			line.Text = fmt.Sprintf("message %.8s comes again in %s, received %d of %d times",
				m.ID, visibilityTimeout, m.ReceiveCount, lambdalocal.MaxReceiveCount)
		default:
			text := fmt.Sprintf("in %s: %s", visibilityTimeout, letter(base, name, m.ID))
			line = show.Line{Label: "dead letter", Style: show.Red, Text: text, Whole: true}
		}
		lines = append(lines, line)
	}
	return lines
}

func letter(base, name, id string) string {
	return fmt.Sprintf("message %.8s: curl %s/dead-letters/%s", id, base, name)
}

// serveQueue takes messages for the queue, and lists and replays its dead letters.
func (s *screen) serveQueue(mux *http.ServeMux, name string, trigger lambdalocal.Trigger) {
	mux.HandleFunc("POST /queue/"+name, func(w http.ResponseWriter, r *http.Request) { send(w, r, trigger.Queue) })
	mux.HandleFunc("GET /dead-letters/"+name, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, s.letters(trigger.DeadLetters.Messages()))
	})
	mux.HandleFunc("POST /dead-letters/"+name+"/replay", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s put back into the queue\n", plural(trigger.DeadLetters.Redrive(), "message"))
	})
}

// letters lists dead letters, to be read.
func (s *screen) letters(all []lambdalocal.Message) string {
	if len(all) == 0 {
		return "no dead letters\n"
	}
	var b strings.Builder
	for _, m := range all {
		sent, received := m.Sent.Format(time.TimeOnly), plural(m.ReceiveCount, "time")
		fmt.Fprintf(&b, "message %s, sent %s, received %s\n", m.ID, sent, received)
		for _, event := range show.Events([]byte(m.Body)) {
			fmt.Fprintf(&b, "  %s\n", event)
		}
		s.mu.Lock()
		if text := cmp.Or(s.failures[m.ID], m.Failure); text != "" {
			fmt.Fprintf(&b, "  %s\n", text)
		}
		s.mu.Unlock()
		fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(m.Body))
	}
	return b.String()
}

// destination is what Lambda sends to the dead letters about an asynchronous event that failed.
func destination(payload []byte, a lambdalocal.Answer, attempts int) []byte {
	record, _ := json.Marshal(map[string]any{ // it holds nothing but JSON
		"version": "1.0", "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"requestContext": map[string]any{
			"requestId": a.RequestID, "condition": "RetriesExhausted", "approximateInvokeCount": attempts,
		},
		"requestPayload": json.RawMessage(payload), "responsePayload": json.RawMessage(a.Payload),
		"responseContext": map[string]any{"statusCode": 200, "functionError": a.FunctionError},
	})
	return record
}

func send(w http.ResponseWriter, r *http.Request, queue *lambdalocal.Queue) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		var id string
		if id, err = queue.Send(string(body), ""); err == nil {
			fmt.Fprintf(w, "%s\n", id)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

// manual says what there is, in lines to paste.
func (s *sandbox) manual(ctx context.Context, base, dist string) (string, error) {
	port := base[strings.LastIndex(base, ":")+1:]
	var b strings.Builder
	fmt.Fprintf(&b, "%s, and a fake Huawei Cloud, at %s. Ctrl-C ends it.\n", plural(len(s.functions), "function"), base)
	fmt.Fprintf(&b, "Defaults: %s\n%smake start DRY_RUN=true\n", strings.Join(settings(s.env), " "), yours)
	fmt.Fprintf(&b, "A function that is built again (make build-local) answers from its next event on.\n")
	if port != "3001" {
		port = " PORT=" + port
	} else {
		port = ""
	}
	for _, f := range s.functions {
		sample, trouble, err := f.sample(ctx)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n%s\n", f.name+trouble)
		fmt.Fprintf(&b, "  make invoke FUNCTION=%s EVENT=%s%s\n", f.name, sample, port)
		fmt.Fprintf(&b, "  curl -d @%s %s/queue/%s\n", sample, base, f.name)
		fmt.Fprintf(&b, "  curl %s/dead-letters/%s\n", base, f.name)
		fmt.Fprintf(&b, "  curl -X POST %s/dead-letters/%s/replay\n", base, f.name)
		fmt.Fprintf(&b, "  curl -H 'Content-Type: application/cloudevents+json' -d @%s %s/url/%s\n",
			sample, base, f.name)
		fmt.Fprintf(&b, "  aws lambda invoke --endpoint-url %s --region eu-central-1 --no-sign-request "+
			"--function-name %s --payload fileb://%s /dev/stdout\n", base, f.name, sample)
		fmt.Fprintf(&b, "  curl -d @%s %s\n", sample, base+f.graph.InvocationPath())
	}
	f := s.functions[0]
	sample, _, err := f.sample(ctx)
	fmt.Fprintf(&b, "\nOne of them as an HTTP server of its own, at the same fake\n  env")
	variables := access(base)
	maps.Copy(variables, map[string]string{"HOST": "127.0.0.1", "PORT": "8080"})
	for name := range defaults {
		variables[name] = s.env[name]
	}
	if dry := s.env["DRY_RUN"]; dry != "" { // the one that must not be lost on the way
		variables["DRY_RUN"] = dry
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(&b, " %s=%s", name, quoted(variables[name]))
	}
	fmt.Fprintf(&b, " %s\n", filepath.Join(dist, f.name, "bootstrap"))
	fmt.Fprintf(&b, "  curl -H 'Content-Type: application/cloudevents+json' -d @%s http://127.0.0.1:8080\n", sample)
	return b.String(), err
}

// sample is the first file in events/ with a plain event that the function takes, which it is asked
// by a dry run, and what is wrong with the function if it can't take any.
func (f *function) sample(ctx context.Context) (file, trouble string, err error) {
	files, err := filepath.Glob("events/*.json")
	if err != nil {
		return "", "", err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", "", err
		}
		var event map[string]any
		if json.Unmarshal(b, &event) != nil || event["specversion"] == nil {
			continue
		}
		if data, ok := event["data"].(map[string]any); ok {
			data["dry_run"] = true
		}
		if b, err = json.Marshal(event); err != nil {
			return "", "", err
		}
		a, err := f.Invoke(ctx, b)
		if err != nil {
			return "", "", err
		}
		switch a.Failure() {
		case "InvalidEventError": // another function's
		case "MisconfiguredError":
			var failed struct{ ErrorMessage string }
			_ = json.Unmarshal(a.Payload, &failed)
			return file, " can't work: " + failed.ErrorMessage, nil
		default:
			return file, "", nil
		}
	}
	return "<your event>.json", "", nil
}

// quoted is a word for the shell, in quotes if it needs them.
func quoted(word string) string {
	if word == "" || strings.ContainsAny(word, "*?[]{}()<>|&;$`\"'\\ \t\n~#!") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
