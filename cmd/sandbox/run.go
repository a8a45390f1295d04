package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"registrar/cmd/internal/show"
)

// deliveries is how often run delivers each event: queues deliver at least once.
const deliveries = 2

// run delivers each event to all functions, twice, and sums up.
func run(ctx context.Context, out *show.Printer, dist string, files []string) error {
	var last *show.Invocation // the functions take turns
	s, err := newSandbox(ctx, dist, func(_ *function, _ []byte, i *show.Invocation) { last = i })
	if err != nil {
		return err
	}
	defer s.close()
	s.onRequest(func(show.Call) {})
	out.Print(plural(len(s.functions), "function")+", as built for Lambda, and a fake Huawei Cloud on this machine",
		show.Line{Label: "defaults", Style: show.Dim, Text: strings.Join(settings(s.env), " ")},
		show.Line{Text: yours + "make run DRY_RUN=true"})

	var outcomes []string
	delivered, failed := 0, false
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		came := show.Events(payload)
		delivered += len(came)
		for delivery := range deliveries {
			var lines []show.Line
			title := file + ", delivered again"
			if delivery == 0 {
				title, lines = file, show.EventLines(came)
			}
			var all []*show.Invocation
			for _, f := range s.functions {
				if _, err := f.Invoke(ctx, payload); err != nil {
					return err
				}
				all = append(all, last)
			}
			takers := slices.DeleteFunc(slices.Clone(all), (*show.Invocation).Invalid)
			for _, i := range takers {
				lines = append(lines, i.Lines()...)
				outcomes = append(outcomes, i.Outcomes()...)
			}
			if len(takers) > 0 {
				out.Print("\n"+title, lines...)
				continue
			}
			lines = append(lines, show.Line{Label: "failed", Style: show.Red, Text: "no function takes it"})
			for _, i := range all {
				lines = append(lines, i.Lines()...)
			}
			out.Print("\n"+title, lines...)
			outcomes, failed = append(outcomes, "taken by no function"), true
			break // it would be the same again
		}
	}
	twice := " delivered twice"
	if failed {
		twice = "" // not those that no function takes
	}
	summary := fmt.Sprintf("\n%s%s: %s.", plural(delivered, "event"), twice, count(outcomes))
	if failed || slices.Contains(outcomes, "failed") || slices.Contains(outcomes, "held back") {
		out.Print(summary)
		return errors.New("not every event was handled")
	}
	out.Print(summary + " Next: make start")
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
