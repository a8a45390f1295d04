package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// key names what was measured: a figure of a row of a table.
type key struct{ table, figure, row string }

// samples are what was measured. The n-th ones of a figure are of the same round in all rows.
type samples map[key][]float64

func (s samples) add(table, figure, row string, value float64) {
	k := key{table, figure, row}
	s[k] = append(s[k], value)
}

// table is a part of the report.
type table struct {
	name    string
	base    string // the row that others are compared with, which shows what was measured; "" is none
	rows    []string
	figures []figure
}

// figure is a column of a table.
type figure struct {
	name string
	of   string // the name by which it was measured, unless it is the same
	as   comparison
	unit func(float64) string // prints what isn't a ratio; nil leaves that to the column before
	// controlled tells that the control must come out as the program that it is a copy of.
	controlled bool
	goal       goal
}

// goal is the most that a figure shall come to in these rows, if there are any.
type goal struct {
	most float64
	rows []string
}

type comparison int

// What a figure shows of what was measured.
const (
	ratio  comparison = iota // to the base
	beyond                   // the base
	plain
)

func (c comparison) of(value, base float64) float64 {
	switch c {
	case ratio:
		return value / base
	case beyond:
		return value - base
	default:
		return value
	}
}

func milliseconds(v float64) string { return fmt.Sprintf("%.2f ms", v*1e3) }
func microseconds(v float64) string { return fmt.Sprintf("%.0f µs", v*1e6) }
func seconds(v float64) string      { return fmt.Sprintf("%.3f s", v) }
func megabytes(v float64) string    { return fmt.Sprintf("%.1f MB", v/1e6) }
func count(v float64) string        { return fmt.Sprintf("%.0f", math.Round(v)+0) } // not -0
func times(v float64) string        { return fmt.Sprintf("%.2f", v) }

// value is the median of what the figure shows of the row, and whether that was measured.
func (s samples) value(t table, f figure, row string) (float64, bool) {
	of := cmp.Or(f.of, f.name)
	values, bases := slices.Clone(s[key{t.name, of, row}]), s[key{t.name, of, t.base}]
	for i := range values {
		if t.base != "" && row != t.base {
			values[i] = f.as.of(values[i], bases[i])
		}
	}
	return median(values), len(values) > 0
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (s samples) cell(t table, f figure, row string) string {
	v, measured := s.value(t, f, row)
	switch {
	case !measured:
		return "-"
	case f.as == ratio && row != t.base:
		return times(v)
	case f.unit == nil:
		return ""
	default:
		return f.unit(v)
	}
}

// report is what a run came to.
type report struct {
	head    string
	samples samples
	tables  []table
	notes   []string // what couldn't be measured, and why
}

func (r report) text() string {
	var out strings.Builder
	out.WriteString(r.head + "\n")
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, t := range r.tables {
		fmt.Fprintf(w, "\n%s\n", t.name)
		for _, f := range t.figures {
			fmt.Fprintf(w, "\t%s", f.name)
		}
		for _, row := range t.rows {
			fmt.Fprintf(w, "\n  %s", row)
			for _, f := range t.figures {
				fmt.Fprintf(w, "\t%s", r.samples.cell(t, f, row))
			}
		}
		fmt.Fprintln(w)
		w.Flush()
	}
	fmt.Fprintf(w, "\nGoals\n\tat most\tthe highest is\n")
	for _, t := range r.tables {
		for _, f := range t.figures {
			if f.goal.rows != nil {
				fmt.Fprintf(w, "  %s: %s\t%s\t%s\n", t.name, f.name, f.aim(), r.samples.judge(t, f))
			}
		}
	}
	w.Flush()
	for _, note := range r.notes {
		fmt.Fprintf(&out, "\n%s\n", note)
	}
	if err := r.void(); err != nil {
		fmt.Fprintf(&out, "\n%s\n", err)
	}
	return out.String()
}

// aim prints the goal as the figure's own values are printed.
func (f figure) aim() string {
	if f.as == ratio {
		return times(f.goal.most)
	}
	return f.unit(f.goal.most)
}

// judge says how far the row is that is farthest from the goal.
func (s samples) judge(t table, f figure) string {
	var worst string
	var highest float64
	for _, row := range f.goal.rows {
		if v, measured := s.value(t, f, row); measured && (worst == "" || v > highest) {
			worst, highest = row, v
		}
	}
	switch {
	case worst == "":
		return "-\tnot measured"
	case highest <= f.goal.most:
		return s.cell(t, f, worst) + "\tmet"
	default:
		return s.cell(t, f, worst) + "\tNOT MET by " + worst
	}
}

// The control lies between these, or the run says nothing.
const lowest, highest = 0.93, 1.07

// void is an error unless the control came out as the program that it is a copy of.
func (r report) void() error {
	var wrong []error
	for _, t := range r.tables {
		for _, f := range t.figures {
			v, measured := r.samples.value(t, f, control)
			if f.controlled && measured && (v < lowest || v > highest) {
				err := fmt.Errorf("  %s: %s: the copy of %s came to %.2f of it", t.name, f.name, t.base, v)
				wrong = append(wrong, err)
			}
		}
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("VOID, since the machine was busy with something else:\n%w", errors.Join(wrong...))
}
