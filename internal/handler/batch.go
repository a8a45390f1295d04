package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

// handled is what became of a record: a result event, or one of the three named errors.
type handled struct {
	record events.Record
	out    event.Event // the result event, if err is nil
	err    error
}

// handleAll handles all records, Config.Concurrency at once, and returns them in their order. The
// records of a FIFO group are handled one after another, and those behind a failure are held back,
// since their order would be lost. When time runs out or Huawei Cloud throttles, all that are left
// are held back.
func (h *Handler) handleAll(ctx context.Context, records []events.Record) []handled {
	var (
		all   = make([]handled, len(records))
		slots = make(chan struct{}, max(h.Config.Concurrency, 1))
		wg    sync.WaitGroup
		gate  = gate{reserve: h.reserve()}
	)
	for _, lane := range lanes(records) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var stop error
			for _, i := range lane {
				all[i].record = records[i]
				if stop = cmp.Or(stop, gate.closed(ctx)); stop != nil {
					all[i].err = h.holdBack(ctx, records[i], stop)
					continue
				}
				if all[i].out, all[i].err = h.handle(ctx, records[i]); all[i].err != nil {
					gate.saw(all[i].err)
					stop = errors.New("an event before it in its group failed")
				}
			}
		})
	}
	wg.Wait()
	return all
}

// gate decides whether another record may be begun.
type gate struct {
	reserve time.Duration // how much time must be left

	mu   sync.Mutex
	shut error // why no other record may be begun; nil if one may
}

// closed returns why no other record may be begun, or nil.
func (g *gate) closed(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	deadline, ok := ctx.Deadline()
	if over := ctx.Err() != nil || ok && time.Until(deadline) <= g.reserve; over && g.shut == nil {
		g.shut = errors.New("no time is left")
	}
	return g.shut
}

// saw shuts the gate if the failure of a record asks to begin nothing else for now.
func (g *gate) saw(err error) {
	if _, throttled := attempt.Patience(err); throttled {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = err
	}
}

// lanes returns the indices of the records, grouped by those that must be handled one after
// another, in the order in which they begin. A record without a group has a lane of its own. The
// messages of a queue take turns, so that a large one can't starve the others. Every second
// delivery begins with the last message, so that a message that is always throttled doesn't hold
// the same others back every time.
func lanes(records []events.Record) [][]int {
	type message struct{ number, lanes int }
	type lane struct {
		round, turn int
		records     []int
	}
	var (
		all      []*lane
		groups   = map[string]*lane{}
		messages = map[string]*message{}
	)
	for i, r := range records {
		if l := groups[r.Group]; l != nil && r.Group != "" {
			l.records = append(l.records, i)
			continue
		}
		m := messages[r.MessageID]
		if m == nil {
			m = &message{number: len(messages)}
			messages[r.MessageID] = m
		}
		l := &lane{round: m.lanes, turn: m.number, records: []int{i}}
		if r.Delivery > 0 && r.Delivery%2 == 0 {
			l.turn = -m.number
		}
		m.lanes++
		groups[r.Group] = l
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b *lane) int { return cmp.Or(a.round-b.round, a.turn-b.turn) })
	order := make([][]int, len(all))
	for i, l := range all {
		order[i] = l.records
	}
	return order
}

// holdBack logs that a record stays untouched, and returns the error that makes the queue deliver
// it again.
func (h *Handler) holdBack(ctx context.Context, record events.Record, why error) error {
	err := &TransientError{fmt.Errorf("held back: %w", why)}
	line := line{function: h.Name, record: record, start: time.Now(), err: err, heldBack: true}
	line.log(ctx)
	return err
}
