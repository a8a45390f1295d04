package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"registrar/internal/lambdalocal"
)

// run delivers each event twice.
func run(ctx context.Context, out *printer, dist string, files []string) error {
	s, err := newSandbox(ctx, dist, io.Discard, "")
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
			if err := s.deliver(ctx, payload, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver finds the function that takes the event, as a bus does by its rules: the others answer that it isn't for them.
func (s *sandbox) deliver(ctx context.Context, payload []byte, out *printer) error {
	var answer lambdalocal.Answer
	for _, f := range s.functions {
		var err error
		if answer, err = f.Invoke(ctx, payload); err != nil {
			return err
		}
		if errorType(answer) != "InvalidEventError" {
			return out.answer(f.name, answer)
		}
	}
	return fmt.Errorf("no function takes it: %s", answer.Payload)
}

func errorType(a lambdalocal.Answer) string {
	var failure struct{ ErrorType string }
	if a.FunctionError == "" || json.Unmarshal(a.Payload, &failure) != nil {
		return ""
	}
	return failure.ErrorType
}
