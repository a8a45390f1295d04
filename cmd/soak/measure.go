package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what a process needed at a moment.
type sample struct {
	at          time.Duration // since the start of the load
	memory      int           // resident, in KiB
	descriptors int
}

// look reads what a process needs, which only Linux tells so simply.
func look(pid int, at time.Duration) (sample, bool) {
	s := sample{at: at}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s, false
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			s.memory, _ = strconv.Atoi(strings.Fields(value)[0])
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	s.descriptors = len(open)
	return s, err == nil && s.memory > 0
}

// needs are what a process needs at 20 % of the time, at the end, and at their highest.
type needs struct {
	kind                  string
	memory, descriptors   [3]int
	goroutinesOnce, after int // after one event, and at the end; 0 if they couldn't be counted
}

// summarize makes needs of the samples of a load that took so long. A moment is the median of what
// was around it.
func summarize(kind string, all []sample, took time.Duration) needs {
	n := needs{kind: kind}
	around := func(from, to float64, of func(sample) int) int {
		var values []int
		for _, s := range all {
			if part := s.at.Seconds() / took.Seconds(); part >= from && part <= to {
				values = append(values, of(s))
			}
		}
		if values == nil {
			return 0
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	three := func(of func(sample) int) (three [3]int) {
		for _, s := range all {
			three[2] = max(three[2], of(s))
		}
		three[0], three[1] = around(0.15, 0.25, of), around(0.85, 1, of)
		return three
	}
	n.memory = three(func(s sample) int { return s.memory })
	n.descriptors = three(func(s sample) int { return s.descriptors })
	return n
}

// grown says what of the needs isn't flat, within what idle connections and the collector explain.
func (n needs) grown() []string {
	const (
		moreMemory      = 8 << 10 // KiB
		moreDescriptors = 6
		moreGoroutines  = 8 // two for each idle connection
	)
	var found []string
	say := func(what string, from, to int) {
		found = append(found, fmt.Sprintf("%s: %s grew from %d to %d", n.kind, what, from, to))
	}
	if from, to := n.memory[0], n.memory[1]; to > from*13/10+moreMemory {
		say("memory in KiB", from, to)
	}
	if from, to := n.descriptors[0], n.descriptors[1]; to > from+moreDescriptors {
		say("descriptors", from, to)
	}
	if from, to := n.goroutinesOnce, n.after; from > 0 && to > from+moreGoroutines {
		say("goroutines", from, to)
	}
	return found
}
