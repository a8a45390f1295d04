package handler

import (
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

// handled is what became of a record: a result event, or one of the three named errors, or neither.
type handled struct {
	record events.Record
	out    *event.Event // the result event; nil if there is an error, or the record asks for nothing
	err    error
}

// handleAll handles all records, Config.Concurrency at once, and returns them in their order. The
// records of a FIFO group are handled one after another, and those behind a failure are held back,
// because handling them would break the order. When time runs out, or Huawei Cloud or the sink asks
// to wait, all that are left are held back.
func (h *Handler) handleAll(ctx context.Context, records []events.Record) []handled {
	var (
		all   = make([]handled, len(records))
		slots = make(chan struct{}, max(h.Config.Concurrency, 1))
		wg    sync.WaitGroup
		door  = gate{reserve: h.reserve()}
	)
	for _, lane := range lanes(records) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var stop error
			for _, i := range lane {
				all[i].record = records[i]
				if stop == nil {
					stop = door.reason(ctx)
				}
				if stop != nil {
					all[i].err = h.holdBack(ctx, records[i], stop)
					continue
				}
				if all[i].out, all[i].err = h.handle(ctx, records[i]); all[i].err != nil {
					door.saw(ctx, all[i].err)
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

// reason returns why no other record may be begun, and nil if one may.
func (g *gate) reason(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		return g.shut
	}
	if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && time.Until(deadline) <= g.reserve {
		g.shut = errors.New("no time is left")
	}
	return g.shut
}

// saw shuts the gate if the failure of a record asks to begin nothing else for now, or for so long
// that no time would be left.
func (g *gate) saw(ctx context.Context, err error) {
	_, asked := attempt.AskedToWait(err)
	deadline, ends := ctx.Deadline()
	wait := waitOf(err)
	if asked || wait > 0 && ends && time.Until(deadline)-g.reserve <= wait {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = err
	}
}

// lanes returns the indices of the records in the order in which they begin. The records of a lane
// go one after another: those of one FIFO group, or a single record.
func lanes(records []events.Record) [][]int {
	var (
		messages [][][]int              // the lanes of each message, in which order they began
		number   = map[string]int{}     // the index of a message, by its id
		groups   = map[string]*[2]int{} // the message and the lane of a FIFO group
	)
	for i, r := range records {
		if at := groups[r.Group]; at != nil {
			lane := &messages[at[0]][at[1]]
			*lane = append(*lane, i)
			continue
		}
		m, ok := number[r.MessageID]
		if !ok {
			m = len(messages)
			number[r.MessageID] = m
			messages = append(messages, nil)
		}
		if r.Group != "" {
			groups[r.Group] = &[2]int{m, len(messages[m])}
		}
		messages[m] = append(messages[m], []int{i})
	}
	return inTurns(messages, len(records) > 0 && records[0].Delivery%2 == 0 && records[0].Delivery > 0)
}

// inTurns takes a lane of each message in turn, since one message may hold many events: of A with
// a1 and a2 and of B with b1, the order is a1, b1, a2. Every second delivery of the batch begins
// with the last message, b1, a1, a2, so that a message that is always throttled doesn't hold the
// same others back every time.
func inTurns(messages [][][]int, reverse bool) [][]int {
	if reverse {
		slices.Reverse(messages)
	}
	var order [][]int
	for turn, more := 0, true; more; turn++ {
		more = false
		for _, lanes := range messages {
			if turn < len(lanes) {
				order, more = append(order, lanes[turn]), true
			}
		}
	}
	return order
}

// holdBack logs that a record stays untouched, and returns the error that makes the queue deliver
// it again.
func (h *Handler) holdBack(ctx context.Context, record events.Record, why error) error {
	err := &TransientError{fmt.Errorf("held back: %w", why)}
	line := logLine{function: h.Name, record: record, start: time.Now(), err: err, heldBack: true}
	line.log(ctx)
	return err
}
