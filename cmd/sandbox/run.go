package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"registrar/internal/lambdalocal"
)

// run delivers each event twice.
func run(ctx context.Context, out *printer, dist string, files []string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serve(listener, sink(out))
	s, err := newSandbox(ctx, dist, io.Discard, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	defer s.close()
	s.cloud.OnRequest(out.call)
	out.title("%d functions, as built for Lambda, and a fake Huawei Cloud at %s", len(s.functions), s.endpoint)
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for delivery := range 2 {
			out.event(file, payload, delivery > 0)
			if err := s.deliver(ctx, payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver finds the function that takes the event, as a bus does by its rules: the others answer that it isn't for them.
func (s *sandbox) deliver(ctx context.Context, payload []byte) error {
	var refusals []string
	for _, f := range s.functions {
		answer, err := f.Invoke(ctx, payload)
		if err != nil {
			return err
		}
		if succeeded(answer) {
			return nil
		}
		refusals = append(refusals, fmt.Sprintf("\n%s: %s", f.name, answer.Payload))
	}
	return fmt.Errorf("no function takes it%s", strings.Join(refusals, ""))
}

// succeeded reports whether an answer, of whatever shape, says that all its events were handled.
func succeeded(a lambdalocal.Answer) bool {
	var answer struct {
		BatchItemFailures []any
		StatusCode        int
	}
	_ = json.Unmarshal(a.Payload, &answer) // an array has neither
	return a.FunctionError == "" && len(answer.BatchItemFailures) == 0 && answer.StatusCode < 400
}
