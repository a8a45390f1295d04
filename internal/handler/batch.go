package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

// handled is what became of a record: a result event, or one of the three named errors, or neither.
type handled struct {
	record *events.Record
	out    []byte // the result event; nil if there is an error, the record asks for nothing, or no answer has it
	err    error
}

// batch is a payload that is being handled.
type batch struct {
	handler  *Handler
	envelope events.Envelope
	all      []handled // by the records of the envelope
	lanes    []lane
	begun    atomic.Int64 // how many lanes
	door     gate
	answered atomic.Int64 // bytes
	nothing  unasked
}

// handleAll handles all records, Config.Concurrency at once, and returns them in their order. The
// records of a FIFO group are handled one after another, and those behind a failure are held back,
// because handling them would break the order. When time runs out, or Huawei Cloud or the sink asks
// to wait, all that are left are held back.
func (h *Handler) handleAll(ctx context.Context, envelope events.Envelope) []handled {
	b := batch{
		handler: h, envelope: envelope, all: make([]handled, len(envelope.Records)), lanes: lanes(envelope.Records),
		door: gate{reserve: h.reserve()}, nothing: unasked{handler: h},
	}
	var wg sync.WaitGroup
	for range min(h.Config.Concurrency, len(b.lanes)) - 1 {
		wg.Go(func() { b.work(ctx) })
	}
	b.work(ctx)
	wg.Wait()
	b.nothing.log(ctx)
	if b.answered.Load() > maxAnswer {
		h.logRefusal(ctx, tooLarge())
	}
	return b.all
}

// work handles one lane after another, until all are begun.
func (b *batch) work(ctx context.Context) {
	for {
		next := int(b.begun.Add(1)) - 1
		if next >= len(b.lanes) {
			return
		}
		b.handle(ctx, b.lanes[next].records)
	}
}

// handle handles the records of a lane, by their indices.
func (b *batch) handle(ctx context.Context, lane []int) {
	var stop error
	for _, i := range lane {
		record, done := &b.envelope.Records[i], &b.all[i]
		done.record = record
		if stop == nil {
			stop = b.door.reason(ctx)
		}
		if stop != nil {
			done.err = b.handler.holdBack(ctx, *record, stop)
			continue
		}
		if trace := b.handler.ignored(*record); trace != nil {
			b.nothing.add(*record, trace)
			continue
		}
		out, err := b.handler.handle(ctx, *record)
		switch {
		case err != nil:
			b.door.saw(ctx, err)
			stop = errors.New("an event before it in its group failed")
		case b.envelope.Shape != events.SQS: // whose answer has no results
			done.out, err = b.encode(out)
		}
		done.err = err
	}
}

// encode makes a result event a part of the answer.
func (b *batch) encode(out *event.Event) ([]byte, error) {
	encoded, err := out.MarshalJSON()
	if err != nil {
		return nil, classified(err)
	}
	if b.answered.Add(int64(len(encoded)+len(","))) > maxAnswer {
		return nil, tooLarge()
	}
	return encoded, nil
}

// tooLarge says that no host takes the answer. Nothing is lost by that: each event was handled, and
// handling it again changes nothing.
func tooLarge() error {
	return &events.InvalidEventError{
		Reason: fmt.Sprintf("handled, but the results have more bytes than the %d of an answer: "+
			"send the events again, fewer in one payload", maxAnswer),
		Status: http.StatusRequestEntityTooLarge,
	}
}

// unasked are the traces that ask for nothing. Those of one message share a line, as a payload can
// have thousands: one for those that are of no interest, and one for the suspect.
type unasked struct {
	handler *Handler

	mu    sync.Mutex
	lines map[unaskedKey]*logLine
	order []*logLine
}

type unaskedKey struct {
	messageID string
	suspect   bool
}

func (u *unasked) add(record events.Record, trace *events.Trace) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := unaskedKey{record.MessageID, trace.Suspect}
	if line := u.lines[key]; line != nil {
		line.record.Count += record.Count
		return
	}
	if u.lines == nil {
		u.lines = map[unaskedKey]*logLine{}
	}
	line := &logLine{
		function: u.handler.Name, record: record, start: time.Now(), cold: !u.handler.warm.Swap(true), ignored: trace,
	}
	u.lines[key] = line
	u.order = append(u.order, line)
}

func (u *unasked) log(ctx context.Context) {
	for _, line := range u.order {
		if line.record.Count > 1 {
			line.ignored = &events.Trace{
				Ignored: fmt.Sprintf("%d traces ask for nothing, the first because: %s",
					line.record.Count, line.ignored.Ignored),
				Suspect: line.ignored.Suspect,
			}
		}
		line.log(ctx)
	}
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

// lane is what goes one after another: the records of one FIFO group, or a single record.
type lane struct {
	turn    int   // how many lanes of its message go before it
	records []int // their indices
}

// lanes returns the lanes in the order in which they begin: one of each message in turn, since one
// message may hold many events. Of A with a1 and a2 and of B with b1, the order is a1, b1, a2.
// Every second delivery of the batch begins with the last message, b1, a1, a2, so that a message
// that is always throttled doesn't hold the same others back every time.
func lanes(records []events.Record) []lane {
	var (
		all    []lane
		turns  = map[string]int{} // how many lanes a message has, by its id
		groups = map[string]int{} // the lane of a FIFO group
	)
	for i, r := range records {
		if at, ok := groups[r.Group]; ok {
			all[at].records = append(all[at].records, i)
			continue
		}
		if r.Group != "" {
			groups[r.Group] = len(all)
		}
		all = append(all, lane{turns[r.MessageID], []int{i}})
		turns[r.MessageID]++
	}
	if len(records) > 0 && records[0].Delivery%2 == 0 && records[0].Delivery > 0 {
		slices.Reverse(all)
	}
	slices.SortStableFunc(all, func(a, b lane) int { return cmp.Compare(a.turn, b.turn) })
	return all
}

// holdBack logs that a record stays untouched, and returns the error that makes the queue deliver
// it again.
func (h *Handler) holdBack(ctx context.Context, record events.Record, why error) error {
	err := &TransientError{fmt.Errorf("held back: %w", why)}
	line := logLine{function: h.Name, record: record, start: time.Now(), err: err, heldBack: true}
	line.log(ctx)
	return err
}
