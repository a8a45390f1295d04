package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"registrar/internal/measure"
)

// load is a batch of a queue.
type load struct{ records, concurrency int }

var loads = []load{
	{10, 1}, {10, 10}, {10, 50}, {100, 1}, {100, 10}, {100, 50}, {1000, 1}, {1000, 10}, {1000, 50},
}

// latency is shorter for what is handled one by one, or that would take most of the run.
func (l load) latency(of time.Duration) time.Duration {
	if l.concurrency == 1 {
		return of / 5
	}
	return of
}

func (l load) ideal(of time.Duration) time.Duration {
	rounds := (l.records + l.concurrency - 1) / l.concurrency
	return time.Duration(rounds) * l.latency(of)
}

func (l load) name(of time.Duration) string {
	return fmt.Sprintf("%d records, %d at once, %s a call", l.records, l.concurrency, l.latency(of))
}

// function starts a function of the project, as it is deployed but for the settings, whose calls h
// answers.
func (b *bench) function(
	ctx context.Context, name string, h http.Handler, settings map[string]string,
) (*measure.Process, *measure.Server, error) {
	server, err := serve(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	p := program{bootstrap: b.path("here", name, "bootstrap"), env: b.organization.Environment(server.URL)}
	maps.Copy(p.env, b.deployed)
	maps.Copy(p.env, settings)
	process, err := p.start(ctx)
	return process, server, err
}

// handleBatches gives register-admin batches of duplicates, each of which takes one call. It does
// so three times, so that a moment in which the machine hangs isn't what is told.
func (b *bench) handleBatches(ctx context.Context) error {
	for _, l := range loads {
		b.say("batches of " + l.name(b.latency))
		for range min(3, b.rounds) {
			if err := b.handleBatch(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) handleBatch(ctx context.Context, l load) error {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead { // which only warms the connection
			time.Sleep(l.latency(b.latency))
		}
		b.organization.ServeHTTP(w, r)
	})
	process, server, err := b.function(ctx, registerAdmin, slow,
		map[string]string{"CONCURRENCY": strconv.Itoa(l.concurrency)})
	if err != nil {
		return err
	}
	defer process.Stop()
	answer, took, err := process.Invoke(messages(b.organization.AccountCreated, l.records))
	if err != nil {
		return err
	}
	if string(answer) != `{"batchItemFailures":[]}` {
		return fmt.Errorf("a batch of %s: %.300s", l.name(b.latency), answer)
	}
	row, ideal, opened := l.name(b.latency), l.ideal(b.latency), server.Connections()
	b.samples.add(batches, duration, row, took.Seconds())
	b.samples.add(batches, ideally, row, ideal.Seconds())
	b.samples.add(batches, toIdeal, row, took.Seconds()/ideal.Seconds())
	b.samples.add(batches, connections, row, float64(opened))
	b.samples.add(batches, otherThanAtOnce, row, math.Abs(float64(opened-min(l.records, l.concurrency))))
	return nil
}

// messages are what a queue delivers: as many events as that, each with an id of its own.
func messages(event []byte, n int) []byte {
	type record struct {
		MessageID   string            `json:"messageId"`
		Body        string            `json:"body"`
		Attributes  map[string]string `json:"attributes"`
		EventSource string            `json:"eventSource"`
	}
	var e map[string]any
	_ = json.Unmarshal(event, &e) // a sample, which is JSON
	all := make([]record, n)
	for i := range all {
		e["id"] = fmt.Sprintf("event-%d", i)
		body, _ := json.Marshal(e)
		all[i] = record{
			MessageID: strconv.Itoa(i), Body: string(body), EventSource: "aws:sqs",
			Attributes: map[string]string{"ApproximateReceiveCount": "1", "SentTimestamp": "1767323656012"},
		}
	}
	payload, _ := json.Marshal(map[string]any{"Records": all})
	return payload
}

// sizes are how many accounts an organization has that is audited.
var sizes = []int{100, 1_000, 10_000}

func accounts(n int) string { return strconv.Itoa(n) + " accounts" }

// runAudits audits organizations in which all is as it shall be.
func (b *bench) runAudits(ctx context.Context) error {
	for _, n := range sizes {
		b.say("an audit of " + accounts(n))
		organization, err := measure.NewOrganization(b.root)
		if err != nil {
			return err
		}
		for i := range n - 1 { // one is there
			organization.AddAccount(fmt.Sprintf("%032x", i), "active")
		}
		var called atomic.Int64
		counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead {
				called.Add(1)
			}
			organization.ServeHTTP(w, r)
		})
		process, _, err := b.function(ctx, auditOrganization, counted, nil)
		if err != nil {
			return err
		}
		_, took, err := process.Invoke(b.payloads[auditOrganization])
		usage, noUsage := process.Usage()
		process.Stop()
		if err != nil {
			return err
		}
		b.samples.add(audits, duration, accounts(n), took.Seconds())
		b.samples.add(audits, calls, accounts(n), float64(called.Load()))
		if noUsage == nil {
			b.samples.add(audits, peak, accounts(n), float64(usage.Peak))
		}
	}
	return nil
}
