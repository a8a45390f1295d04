package main

import (
	"fmt"
	"slices"

	"registrar/internal/measure"
)

// The tables, but for those of a part of a CPU.
const (
	overHTTP  = "Cold, over HTTP"
	overHTTPS = "Cold, over HTTPS with the roots of Amazon Linux 2023"
	warm      = "Warm duplicates"
	built     = "Built"
	batches   = "Batches of a queue, " + registerAdmin
	audits    = "Audits"
)

// What is measured.
const (
	startUp         = "start to first poll"
	startAndFirst   = "start and first event"
	first           = "first event"
	faults          = "page faults at start"
	halfOf          = "median time"
	cpu             = "CPU time"
	allocated       = "allocations"
	peak            = "peak memory"
	connections     = "connections"
	arm, amd        = "linux/arm64", "linux/amd64"
	zipped          = " zipped"
	duration        = "time"
	ideally         = "ideally"
	toIdeal         = "time to ideal"
	otherThanAtOnce = "connections, other than at once"
	calls           = "calls"
)

// shares are the memory sizes whose part of a CPU is tried.
var shares = []int{128, 512}

func atShare(megabytes int) string {
	return fmt.Sprintf("Cold, over HTTP, with the CPU of %d MB once it has started", megabytes)
}

// tables lays out what was measured.
func (b *bench) tables() []table {
	var subjects, functions []string
	for _, s := range b.subjects {
		subjects = append(subjects, s.Name)
		if s.IsFunction() {
			functions = append(functions, s.Name)
		}
	}
	ran := slices.Concat([]string{measure.Bare, control}, subjects[1:], []string{minimalLikewise, secretAndBus})
	invoked := fmt.Sprintf(" after %d", b.blocks*perBlock)
	all := []table{
		{overHTTP, measure.Bare, ran, []figure{
			{name: startUp, unit: milliseconds, controlled: true, goal: goal{1.5, functions}},
			{name: startAndFirst, unit: milliseconds, controlled: true, goal: goal{1.8, functions}},
			{name: first, unit: milliseconds},
			{name: faults, unit: count},
		}},
		{warm, measure.Bare, ran, []figure{
			{name: halfOf, unit: microseconds, controlled: true},
			{name: cpu, unit: microseconds, controlled: true, goal: goal{1.4, b.unchanged}},
			{name: allocated, unit: count},
			{name: "beyond bare's", of: allocated, as: beyond, unit: count, goal: goal{250, b.unchanged}},
			{name: peak + invoked, of: peak, unit: megabytes, goal: goal{1.35, functions}},
			{name: connections + invoked, of: connections, as: plain, unit: count},
		}},
		{overHTTPS, measure.Minimal, subjects[1:], []figure{
			{name: startUp, unit: milliseconds},
			{name: startAndFirst, unit: milliseconds, goal: goal{0.6, functions}},
			{name: first, unit: milliseconds, goal: goal{0.07, functions}},
		}},
	}
	for _, megabytes := range shares {
		if b.samples[key{atShare(megabytes), first, measure.Bare}] == nil {
			continue
		}
		all = append(all, table{atShare(megabytes), measure.Bare, ran, []figure{
			{name: startAndFirst, unit: milliseconds},
			{name: first, unit: milliseconds},
		}})
	}
	files := table{built, measure.Bare, subjects, nil}
	for _, platform := range []string{arm, amd} {
		files.figures = append(files.figures,
			figure{name: platform, as: plain, unit: megabytes, goal: goal{10e6, functions}},
			figure{name: "to bare", of: platform},
			figure{name: "zipped", of: platform + zipped, as: plain, unit: megabytes, goal: goal{4e6, functions}},
			figure{name: "to bare", of: platform + zipped})
	}
	queue := table{name: batches}
	var large []string
	for _, l := range loads {
		queue.rows = append(queue.rows, l.name(b.latency))
		if l.records == 1000 && l.concurrency > 1 {
			large = append(large, l.name(b.latency))
		}
	}
	queue.figures = []figure{
		{name: duration, as: plain, unit: seconds},
		{name: ideally, as: plain, unit: seconds},
		{name: toIdeal, as: plain, unit: times, goal: goal{1.05, large}},
		{name: connections, as: plain, unit: count},
		{name: otherThanAtOnce, as: plain, unit: count, goal: goal{0, large}},
	}
	organizations := table{name: audits, figures: []figure{
		{name: duration, as: plain, unit: seconds},
		{name: calls, as: plain, unit: count},
		{name: peak, as: plain, unit: megabytes},
	}}
	for _, n := range sizes {
		organizations.rows = append(organizations.rows, accounts(n))
	}
	return append(all, files, queue, organizations)
}
