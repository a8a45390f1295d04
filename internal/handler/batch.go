package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

// handleAll takes each record to what becomes of it, Config.Concurrency at once. The records of a FIFO group go one after another, and those
// after a failure are held back, as their order would be lost. All that are left are held back once there is no time, or Huawei Cloud
// has asked for patience: to go on would only use up its quota.
func (h *Handler[T]) handleAll(ctx context.Context, records []events.Record) []handled {
	var (
		all   = make([]handled, len(records))
		slots = make(chan struct{}, max(h.Config.Concurrency, 1))
		wg    sync.WaitGroup
		mu    sync.Mutex
		stop  error
	)
	holdBack := func() error {
		mu.Lock()
		defer mu.Unlock()
		working, cancel := before(ctx, margin)
		defer cancel()
		if stop == nil && working.Err() != nil {
			stop = errors.New("held back: no time left")
		}
		return stop
	}
	for _, lane := range lanes(records) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var heldBack error
			for _, i := range lane {
				if heldBack == nil {
					heldBack = holdBack()
				}
				all[i].result, all[i].err = h.handle(ctx, records[i], heldBack)
				if err := all[i].err; err != nil && heldBack == nil {
					heldBack = errors.New("held back: an event before it in its group failed")
					if client.Throttled(err) {
						mu.Lock()
						stop = fmt.Errorf("held back: %w", err)
						mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
	return all
}

// lanes are the indices of records that must go one after another. A record without a group has a lane of its own. The second delivery of a
// batch begins with its second lane, and so on, lest one that always uses up the quota hold back the same others for ever.
func lanes(records []events.Record) [][]int {
	var all [][]int
	of := map[string]int{}
	for i, r := range records {
		if lane, ok := of[r.Group]; ok && r.Group != "" {
			all[lane] = append(all[lane], i)
			continue
		}
		of[r.Group] = len(all)
		all = append(all, []int{i})
	}
	if len(all) > 0 {
		first := max(records[0].Delivery-1, 0) % len(all)
		all = slices.Concat(all[first:], all[:first])
	}
	return all
}

// answer is the one place where the shape of a payload decides how it is answered.
func answer(envelope events.Envelope, all []handled) ([]byte, error) {
	switch envelope.Shape {
	case events.SQS:
		return batchItemFailures(envelope.Records, all)
	case events.Array:
		return results(all, true)
	default:
		return results(all, len(all) > 1)
	}
}

// results is the result of the one record, or the array of all. If any record failed, the whole fails.
func results(all []handled, array bool) ([]byte, error) {
	if err := worst(all); err != nil {
		return nil, err
	}
	encoded := make([][]byte, len(all))
	for i, one := range all {
		var err error
		if encoded[i], err = one.result.MarshalJSON(); err != nil {
			return nil, classify(err)
		}
	}
	joined := bytes.Join(encoded, []byte(","))
	if array {
		joined = slices.Concat([]byte("["), joined, []byte("]"))
	}
	return joined, nil
}

// batchItemFailures names the messages that SQS must deliver again. It is never null: SQS would take that for success.
func batchItemFailures(records []events.Record, all []handled) ([]byte, error) {
	type item struct {
		ItemIdentifier string `json:"itemIdentifier"`
	}
	failed := []item{}
	for i, one := range all {
		if id := (item{records[i].MessageID}); one.err != nil && !slices.Contains(failed, id) {
			failed = append(failed, id)
		}
	}
	return json.Marshal(map[string]any{"batchItemFailures": failed})
}
