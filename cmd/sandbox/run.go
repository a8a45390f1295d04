package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"registrar/cmd/internal/show"
)

// run delivers the events in the files to all functions, each twice, and sums up. Without files it
// tells how an organization becomes registered, and stays so.
func run(ctx context.Context, out *show.Printer, dist string, files []string) error {
	r := &runner{out: out}
	s, err := newSandbox(ctx, dist,
		func(_ *function, _ []byte, i *show.Invocation) { r.last = i },
		func(request []byte) { r.requests = append(r.requests, request) })
	if err != nil {
		return err
	}
	defer s.close()
	r.sandbox = s
	s.onRequest(func(show.Call) {})
	out.Print(plural(len(s.functions), "function")+", as built for Lambda, and a fake Huawei Cloud on this machine",
		show.Line{Label: "defaults", Style: show.Dim, Text: strings.Join(settings(s.env), " ")},
		show.Line{Text: yours + "make run DRY_RUN=true"})
	if r.told = len(files) == 0; r.told {
		err = r.story(ctx)
	}
	for _, file := range files {
		if err == nil {
			err = r.deliverFile(ctx, "", file)
		}
	}
	if err != nil {
		return err
	}
	return r.sumUp()
}

// runner delivers events.
type runner struct {
	*sandbox
	out      *show.Printer
	last     *show.Invocation // the functions take turns
	requests [][]byte         // what audits asked for, and wasn't delivered yet

	delivered int // events
	outcomes  []string
	refused   bool // no function took one of them
	told      bool // they are those of the story
}

// story tells of an organization from its beginning on.
func (r *runner) story(ctx context.Context) error {
	if r.env["DRY_RUN"] == "" { // which would only say that trusted access is missing
		r.cloud.Distrust(r.cloud.Trusted()...)
	}
	for _, step := range [][2]string{
		{"The organization is set up", "events/org-bootstrap.json"},
		{"An account joins that administers nothing", "events/account-ordinary.json"},
		{"The account joins that shall administer SecMaster", "events/account-created.json"},
	} {
		if err := r.deliverFile(ctx, step[0]+": ", step[1]); err != nil {
			return err
		}
	}
	if passed, err := r.audit(ctx, "An audit"); err != nil || !passed {
		return err
	}
	r.cloud.Undelegate(security, r.cloud.Delegations(security)...)
	r.out.Print("\nSomebody takes the administrator away, in the console of Huawei Cloud")
	if _, err := r.audit(ctx, "The next audit"); err != nil {
		return err
	}
	_, err := r.audit(ctx, "The audit after that")
	return err
}

// audit delivers the sample of an audit, as that of now, and what it asks for. It reports whether
// the audit passed.
func (r *runner) audit(ctx context.Context, title string) (bool, error) {
	const file = "events/org-audit.json"
	payload, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	var event map[string]any
	if err := json.Unmarshal(payload, &event); err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	event["id"], event["time"] = "audit/"+now, now
	if payload, err = json.Marshal(event); err != nil {
		return false, err
	}
	if err := r.deliver(ctx, title+": "+file, payload, 1); err != nil {
		return false, err
	}
	passed := r.outcomes[len(r.outcomes)-1] == "passed"
	for _, request := range r.requests {
		if err := r.deliver(ctx, "What it asked for", request, 2); err != nil {
			return false, err
		}
	}
	r.requests = nil
	return passed, nil
}

func (r *runner) deliverFile(ctx context.Context, title, file string) error {
	payload, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return r.deliver(ctx, title+file, payload, 2) // queues deliver at least once
}

// deliver delivers a payload to all functions, so many times, and shows those that take it.
func (r *runner) deliver(ctx context.Context, title string, payload []byte, times int) error {
	came := show.Events(payload)
	r.delivered += len(came)
	for delivery := range times {
		lines := show.EventLines(came)
		if delivery > 0 {
			title, lines = title+", delivered again", nil
		}
		var all []*show.Invocation
		for _, f := range r.functions {
			if _, err := f.Invoke(ctx, payload); err != nil {
				return err
			}
			all = append(all, r.last)
		}
		takers := slices.DeleteFunc(slices.Clone(all), (*show.Invocation).Invalid)
		for _, i := range takers {
			lines = append(lines, i.Lines()...)
			r.outcomes = append(r.outcomes, i.Outcomes()...)
		}
		if len(takers) > 0 {
			r.out.Print("\n"+title, lines...)
			continue
		}
		lines = append(lines, show.Line{Label: "failed", Style: show.Red, Text: "no function takes it"})
		for _, i := range all {
			lines = append(lines, i.Lines()...)
		}
		r.out.Print("\n"+title, lines...)
		r.outcomes, r.refused = append(r.outcomes, "taken by no function"), true
		break // it would be the same again
	}
	return nil
}

// sumUp says what came of all events, and fails if one wasn't handled.
func (r *runner) sumUp() error {
	times := " delivered twice"
	switch {
	case r.told:
		times = ", all but the audits delivered twice"
	case r.refused:
		times = "" // an event that no function takes is delivered once
	}
	summary := fmt.Sprintf("\n%s%s: %s.", plural(r.delivered, "event"), times, count(r.outcomes))
	if r.refused || slices.Contains(r.outcomes, "failed") || slices.Contains(r.outcomes, "held back") {
		r.out.Print(summary)
		return errors.New("not every event was handled")
	}
	r.out.Print(summary + " Next: make start")
	return nil
}

// count says how often there is each of them, in the order of first appearance.
func count(outcomes []string) string {
	var all []string
	counted := map[string]int{}
	for _, o := range outcomes {
		if counted[o]++; counted[o] == 1 {
			all = append(all, o)
		}
	}
	for i, o := range all {
		all[i] = fmt.Sprintf("%d %s", counted[o], o)
	}
	return strings.Join(all, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
