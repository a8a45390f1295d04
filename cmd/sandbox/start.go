package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"registrar/internal/lambdalocal"
)

const (
	visibilityTimeout = 10 * time.Second // short, so that a redelivery can be watched
	maxReceiveCount   = 5
)

// start serves everything on PORT, 3001 unless set, of this machine only, until ctx ends.
func start(ctx context.Context, out *printer, dist string) error {
	port := cmp.Or(os.Getenv("PORT"), "3001")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %s is taken: end what uses it, or call make start PORT=<another>", port)
	}
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	s, err := newSandbox(ctx, dist, out, base+"/sink")
	if err != nil {
		return err
	}
	defer s.close()
	s.cloud.OnRequest(out.call)

	var serving sync.WaitGroup
	defer serving.Wait()
	api := lambdalocal.InvokeAPI{OnAsync: func(name string, _ []byte, a lambdalocal.Answer, attempts int) {
		if a.FunctionError != "" {
			out.line("dead letter", red, "%s failed %d times: %s", name, attempts, a.Payload)
		}
	}, RetryWaits: []time.Duration{visibilityTimeout, visibilityTimeout}}
	mux := http.NewServeMux()
	for _, f := range s.functions {
		api.Functions = append(api.Functions, f.Function)
		mux.Handle("/url/"+f.name, http.StripPrefix("/url/"+f.name, lambdalocal.URL{Function: f.Function}))
		queue, mapping, err := newQueue(f, out)
		if err != nil {
			return err
		}
		mux.HandleFunc("POST /queue/"+f.name, func(w http.ResponseWriter, r *http.Request) { send(w, r, queue) })
		serving.Go(func() {
			if err := mapping.Run(ctx); err != nil && ctx.Err() == nil {
				out.line("queue", red, "%v", err)
			}
		})
	}
	mux.Handle("/2015-03-31/", api)
	mux.Handle("POST /sink", sink(out))
	server := serve(listener, mux)
	out.title("%s", manual(s, base))
	<-ctx.Done()
	return server.Close()
}

// sink shows the results that it gets.
func sink(out *printer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out.result(body)
		w.WriteHeader(http.StatusAccepted)
	}
}

// newQueue is a queue with dead letters, and what delivers its messages to f.
func newQueue(f function, out *printer) (*lambdalocal.Queue, lambdalocal.Mapping, error) {
	dead, err := lambdalocal.NewQueue(lambdalocal.QueueConfig{Name: f.name + "-dead-letters"})
	if err != nil {
		return nil, lambdalocal.Mapping{}, err
	}
	queue, err := lambdalocal.NewQueue(lambdalocal.QueueConfig{
		Name: f.name, VisibilityTimeout: visibilityTimeout, DeadLetters: dead, MaxReceiveCount: maxReceiveCount,
	})
	return queue, lambdalocal.Mapping{
		Queue:  queue,
		Invoke: func(ctx context.Context, payload []byte) (lambdalocal.Answer, error) { return f.Invoke(ctx, payload) },
		OnDelivery: func(batch []lambdalocal.Message) {
			for _, m := range batch {
				switch {
				case m.Failure == "":
					out.line("queue", green, "message %s is done", m.ID)
				case m.ReceiveCount < maxReceiveCount:
					out.line("queue", yellow, "message %s comes again in %s, received %d of %d times", m.ID, visibilityTimeout, m.ReceiveCount, maxReceiveCount)
				default:
					out.line("queue", red, "message %s goes to the dead letters", m.ID)
				}
			}
		},
	}, err
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
func manual(s *sandbox, base string) string {
	samples := map[string]string{"register-region": "events/org-bootstrap.json", "register-admin": "events/account-created.json"}
	var b strings.Builder
	fmt.Fprintf(&b, "Lambda, URLs, queues and a sink at %s, and a fake Huawei Cloud at %s. Ctrl-C ends it.\n", base, s.endpoint)
	fmt.Fprintf(&b, "A function that is built anew (make build-local) answers from its next event on.\n")
	for _, f := range s.functions {
		sample := cmp.Or(samples[f.name], "events/<sample>.json")
		fmt.Fprintf(&b, "\n%s\n", f.name)
		fmt.Fprintf(&b, "  aws lambda invoke --endpoint-url %s --region eu-central-1 --no-sign-request --function-name %s --payload fileb://%s /dev/stdout\n", base, f.name, sample)
		fmt.Fprintf(&b, "  curl -H 'Content-Type: application/cloudevents+json' -d @%s %s/url/%s\n", sample, base, f.name)
		fmt.Fprintf(&b, "  curl -d @%s %s/queue/%s\n", sample, base, f.name)
	}
	return b.String()
}
