package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what came of a run.
type report struct {
	seed    uint64
	took    time.Duration
	books   *books
	letters int // dead letters at the end
	needs   []needs
}

// print prints the table, and reports whether all is as promised.
func (r *report) print(out io.Writer) bool {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\ntime\tunder load\t%s\n\tseed\t%d\n", r.took.Round(time.Second), r.seed)
	rows := func(what string) {
		counted := r.books.counted(what)
		for n, kind := range slices.Sorted(maps.Keys(counted)) {
			head := ""
			if n == 0 {
				head = what
			}
			fmt.Fprintf(t, "%s\t%s\t%d\n", head, kind, counted[kind])
		}
	}
	for _, what := range []string{eventsIn, results, failures, again} {
		rows(what)
	}
	fmt.Fprintf(t, "%s\tduring\t%d\n\tat the end\t%d\n", deadLetters, r.books.counted(deadLetters)["during"], r.letters)
	for _, what := range []string{writes, faultsInjected, kills} {
		rows(what)
	}
	_ = t.Flush()

	fmt.Fprintln(out)
	fmt.Fprintln(t, "process\tmemory at 20 %\tat the end\thighest\tdescriptors at 20 %\tat the end\thighest\t"+
		"goroutines after one event\tat the end")
	for _, n := range r.needs {
		fmt.Fprintln(t, strings.Join([]string{
			n.kind, mebibytes(n.memory[0]), mebibytes(n.memory[1]), mebibytes(n.memory[2]),
			number(n.descriptors[0]), number(n.descriptors[1]), number(n.descriptors[2]),
			number(n.goroutinesOnce), number(n.after),
		}, "\t"))
	}
	_ = t.Flush()
	if len(r.needs) > 0 && r.needs[0].memory[2] == 0 {
		fmt.Fprintln(out, "Memory and descriptors are left out: they are read from /proc, which is not here.")
	}

	fmt.Fprintln(out)
	fine := true
	for _, verdict := range verdicts {
		n := r.books.wrong[verdict]
		fine = fine && n == 0
		fmt.Fprintf(t, "%s\t%d\n", verdict, n)
	}
	_ = t.Flush()
	for _, verdict := range verdicts {
		for _, text := range r.books.examples[verdict] {
			fmt.Fprintf(out, "%s: %s\n", verdict, text)
		}
	}
	return fine
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func mebibytes(kib int) string {
	if kib == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(kib)/1024)
}
