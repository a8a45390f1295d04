package lambdalocal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Mapping is the event source mapping between a queue and a function, with ReportBatchItemFailures.
// Queue and Invoke are required.
type Mapping struct {
	Queue *Queue
	// Invoke runs the function, as [Function.Invoke] does. What the function does is an Answer; an
	// error is for what kept it from running, and ends Deliver and Run.
	Invoke func(ctx context.Context, payload []byte) (Answer, error)
	// BatchSize is how many messages an invocation gets at most, default 5, at most 10.
	BatchSize int
	// Concurrency is how many invocations each Deliver or Run has under way at most, default 5.
	Concurrency int
	// OnDelivery is told the end of each invocation, once its messages are deleted: those without a
	// Failure. It is called from several goroutines.
	OnDelivery func(batch []Message)
}

// Deliver delivers each message that is visible once, those of a FIFO queue as their groups let
// them, waits for the invocations and returns how many messages they got. Messages that failed are
// in flight then: [Queue.Advance] brings them back.
func (m Mapping) Deliver(ctx context.Context) (int, error) {
	m.Queue.mu.Lock()
	asOf := m.Queue.now()
	m.Queue.mu.Unlock()
	delivered, err := m.deliver(ctx, asOf)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("lambdalocal: %s: %w", m.Queue.cfg.Name, context.Cause(ctx))
	}
	return delivered, err
}

// Run delivers messages as they come and come back, until ctx ends, which isn't an error. It
// returns when the invocations under way have; what they don't delete becomes visible again after
// its timeout.
func (m Mapping) Run(ctx context.Context) error {
	_, err := m.deliver(ctx, time.Time{})
	if ctx.Err() != nil {
		err = nil
	}
	return err
}

// deliver delivers what was visible at asOf, or if that is zero goes on for ever.
func (m Mapping) deliver(ctx context.Context, asOf time.Time) (delivered int, err error) {
	size, concurrency := cmp.Or(m.BatchSize, 5), cmp.Or(m.Concurrency, 5)
	if size < 1 || size > 10 || concurrency < 1 {
		return 0, fmt.Errorf("lambdalocal: %s: BatchSize is 1 to 10 and Concurrency at least 1", m.Queue.cfg.Name)
	}
	done := make(chan error)
	running := 0
	for {
		ended := ctx.Done()
		var changed <-chan struct{}
		var visible <-chan time.Time
		switch {
		case err != nil || ctx.Err() != nil:
			ended = nil // and nothing is waited for but what runs
		case running < concurrency:
			batch, wait, next := m.Queue.receive(size, asOf)
			if len(batch) > 0 {
				running++
				delivered += len(batch)
				go func() { done <- m.invoke(ctx, batch) }()
				continue
			}
			if asOf.IsZero() {
				changed = next
				if wait >= 0 {
					visible = time.After(wait)
				}
			}
		}
		if running == 0 && changed == nil {
			return delivered, err
		}
		select {
		case failed := <-done:
			running--
			err = cmp.Or(err, failed)
		case <-changed:
		case <-visible:
		case <-ended:
		}
	}
}

// invoke takes a batch through the function.
func (m Mapping) invoke(ctx context.Context, batch []Message) error {
	a, err := m.Invoke(ctx, m.Queue.event(batch))
	listed, whole := failures(batch, a)
	whole = cmp.Or(err, whole)
	for i := range batch {
		d := &batch[i]
		d.Failure, d.Answer = "", a
		switch {
		case whole != nil:
			d.Failure = whole.Error()
		case listed[d.ID]:
			d.Failure = "listed in batchItemFailures"
		}
	}
	m.Queue.settle(batch)
	if m.OnDelivery != nil {
		m.OnDelivery(batch)
	}
	return err
}

// failures returns the ids that an answer lists, or why the whole batch has failed.
func failures(batch []Message, a Answer) (map[string]bool, error) {
	if a.FunctionError != "" {
		return nil, fmt.Errorf("the function failed: %s", a.Payload)
	}
	// A map, because keys count in their exact case: "BatchItemFailures" is another key, as which
	// all messages are deleted.
	var answer map[string]any
	err := json.Unmarshal([]byte(cmp.Or(string(bytes.TrimSpace(a.Payload)), "null")), &answer)
	if err != nil {
		return nil, fmt.Errorf("the answer is not a JSON object: %w: %s", err, a.Payload)
	}
	items, ok := answer["batchItemFailures"].([]any)
	if !ok && answer["batchItemFailures"] != nil {
		return nil, fmt.Errorf("batchItemFailures is not a list: %s", a.Payload)
	}
	ids := map[string]bool{}
	for _, item := range items {
		fields, _ := item.(map[string]any)
		id, _ := fields["itemIdentifier"].(string)
		if !slices.ContainsFunc(batch, func(m Message) bool { return m.ID == id }) {
			return nil, fmt.Errorf("an itemIdentifier is not the id of a message in the batch: %s", a.Payload)
		}
		ids[id] = true
	}
	return ids, nil
}

// event is what the function gets for a batch.
func (q *Queue) event(batch []Message) []byte {
	records := make([]map[string]any, len(batch))
	for i, m := range batch {
		attributes := map[string]string{
			"ApproximateReceiveCount":          strconv.Itoa(m.ReceiveCount),
			"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.FirstReceived.UnixMilli(), 10),
			"SentTimestamp":                    strconv.FormatInt(m.Sent.UnixMilli(), 10),
			"SenderId":                         "AIDAIENQZJOLO23YVJ4VO",
		}
		if q.fifo {
			attributes["MessageGroupId"] = m.Group
			attributes["MessageDeduplicationId"] = fmt.Sprintf("%x", sha256.Sum256([]byte(m.Body)))
			attributes["SequenceNumber"] = fmt.Sprintf("%020d", m.sequence)
		}
		if m.source != nil {
			attributes["DeadLetterQueueSourceArn"] = m.source.arn()
		}
		records[i] = map[string]any{
			"messageId": m.ID, "receiptHandle": m.receipt, "body": m.Body,
			"attributes": attributes, "messageAttributes": struct{}{},
			"md5OfBody":   fmt.Sprintf("%x", md5.Sum([]byte(m.Body))),
			"eventSource": "aws:sqs", "eventSourceARN": q.arn(), "awsRegion": "us-east-1",
		}
	}
	payload, _ := json.Marshal(map[string]any{"Records": records}) // strings always encode
	return payload
}
