package lambdalocal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// QueueConfig describes a queue. Name is required.
type QueueConfig struct {
	// Name is the queue's name, as in its ARN. One that ends in ".fifo" makes a FIFO queue.
	Name string
	// VisibilityTimeout is how long a message that was received and not deleted stays away,
	// default 30 s.
	VisibilityTimeout time.Duration
	// DeadLetters, if not nil, gets the messages that were received MaxReceiveCount times, when
	// they would be received once more. It is FIFO if this queue is.
	DeadLetters     *Queue
	MaxReceiveCount int
}

// Queue is a local SQS queue, safe for concurrent use. A [Mapping] takes messages out.
type Queue struct {
	cfg  QueueConfig
	fifo bool

	// mu is held while locking that of cfg.DeadLetters, which was made before.
	mu       sync.Mutex
	advanced time.Duration
	sequence uint64
	messages []*Message // stand in the order in which they came
	changed  chan struct{}
}

// Message is a message as it stood when it was looked at.
type Message struct {
	// ID stays the same in the dead letter queue, but not after [Queue.Redrive].
	ID, Body string
	// Group is empty if the queue is not FIFO.
	Group               string
	Sent, FirstReceived time.Time
	// ReceiveCount goes on counting in the dead letter queue.
	ReceiveCount int
	// InFlight tells that the message was received and is not visible again yet, whether a function
	// still works at it or it failed.
	InFlight bool
	// Failure tells why the last delivery that has ended did not delete the message, and Answer
	// what the function said then. Empty if there was none.
	Failure string
	Answer  Answer

	sequence     uint64
	receipt      string
	receivedHere int
	visibleAt    time.Time
	source       *Queue // that gave it up
}

// NewQueue returns the empty queue that cfg describes.
func NewQueue(cfg QueueConfig) (*Queue, error) {
	q := &Queue{cfg: cfg, fifo: strings.HasSuffix(cfg.Name, ".fifo"), changed: make(chan struct{})}
	q.cfg.VisibilityTimeout = cmp.Or(cfg.VisibilityTimeout, 30*time.Second)
	switch dead := cfg.DeadLetters; {
	case cfg.Name == "" || cfg.VisibilityTimeout < 0:
		return nil, fmt.Errorf("lambdalocal: queue %q: no Name, or a negative VisibilityTimeout", cfg.Name)
	case cfg.MaxReceiveCount < 0 || (cfg.MaxReceiveCount > 0) != (dead != nil):
		return nil, fmt.Errorf("lambdalocal: %s: DeadLetters and a MaxReceiveCount of at least 1 go together", cfg.Name)
	case dead != nil && dead.fifo != q.fifo:
		return nil, fmt.Errorf("lambdalocal: %s: the dead letter queue must be FIFO as the queue is, or not", cfg.Name)
	}
	return q, nil
}

// Send puts a message at the end of the queue and returns its id. The group is for a FIFO queue,
// and is required there.
func (q *Queue) Send(body, group string) (string, error) {
	if body == "" || !utf8.ValidString(body) {
		return "", fmt.Errorf("lambdalocal: %s: the body is empty or not UTF-8", q.cfg.Name)
	}
	if (group != "") != q.fifo {
		return "", fmt.Errorf("lambdalocal: %s: FIFO queues need a message group, others take none", q.cfg.Name)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m := &Message{ID: uuid.NewString(), Body: body, Group: group, Sent: q.now()}
	q.add(m)
	return m.ID, nil
}

// GiveUp puts a message straight among the dead letters, which the queue must have, as Lambda does
// with an asynchronous event that has failed for good. [Queue.Redrive] brings it to the queue.
func (q *Queue) GiveUp(body string) (string, error) {
	if body == "" || !utf8.ValidString(body) || q.cfg.DeadLetters == nil || q.fifo {
		return "", fmt.Errorf("lambdalocal: %s: an empty body, one that isn't UTF-8, or no place for it", q.cfg.Name)
	}
	m := &Message{ID: uuid.NewString(), Body: body, Sent: q.cfg.DeadLetters.now()}
	q.cfg.DeadLetters.bury(m, q)
	return m.ID, nil
}

// Advance makes time pass for this queue only, on top of the real time.
func (q *Queue) Advance(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advanced += d
	q.wake()
}

// Messages returns all messages, in the order in which they came.
func (q *Queue) Messages() []Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	list := make([]Message, len(q.messages))
	for i, m := range q.messages {
		list[i] = *m
		list[i].InFlight = m.visibleAt.After(now)
	}
	return list
}

// Redrive moves the visible messages of a dead letter queue back to the ends of the queues that
// they came from, as new messages with new ids, and returns their number.
func (q *Queue) Redrive() int {
	var back []*Message
	q.mu.Lock()
	now := q.now()
	q.messages = slices.DeleteFunc(q.messages, func(m *Message) bool {
		moves := m.source != nil && !m.visibleAt.After(now)
		if moves {
			back = append(back, m)
		}
		return moves
	})
	q.mu.Unlock()
	for _, m := range back {
		_, _ = m.source.Send(m.Body, m.Group) // as it was once taken
	}
	return len(back)
}

// receive takes up to limit messages that were visible at asOf, or are now if it is zero, and moves
// what was received too often to the dead letters. It returns how long it is until the next message
// becomes visible, negative if there is none to wait for, and what is closed when anything else may
// make another call worth while.
func (q *Queue) receive(limit int, asOf time.Time) ([]Message, time.Duration, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if asOf.IsZero() {
		asOf = now
	}
	wait := time.Duration(-1)
	blocked := map[string]bool{}
	first := map[string]int{} // the rank of a group is that of its first message
	var ready []*Message
	q.messages = slices.DeleteFunc(q.messages, func(m *Message) bool {
		switch {
		case m.visibleAt.After(asOf):
			blocked[m.Group] = q.fifo
			if left := max(0, m.visibleAt.Sub(now)); wait < 0 || left < wait {
				wait = left
			}
		case blocked[m.Group]:
		case q.cfg.DeadLetters != nil && m.receivedHere >= q.cfg.MaxReceiveCount:
			q.cfg.DeadLetters.bury(m, q)
			return true
		default:
			if _, ok := first[m.Group]; !ok {
				first[m.Group] = len(ready)
			}
			ready = append(ready, m)
		}
		return false
	})
	// A batch holds as much of one group as there is before it goes on to the next.
	slices.SortStableFunc(ready, func(a, b *Message) int { return first[a.Group] - first[b.Group] })
	var batch []Message
	for _, m := range ready[:min(limit, len(ready))] {
		if m.ReceiveCount == 0 {
			m.FirstReceived = now
		}
		m.ReceiveCount++
		m.receivedHere++
		m.receipt = uuid.NewString()
		m.visibleAt = now.Add(q.cfg.VisibilityTimeout)
		batch = append(batch, *m)
	}
	return batch, wait, q.changed
}

// settle deletes the messages of a delivery that have no Failure. A receipt is good until its
// message is received again, in FIFO queues only until its visibility timeout ends: what comes
// later is too late, and batch tells so.
func (q *Queue) settle(batch []Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for i := range batch {
		d := &batch[i]
		at := slices.IndexFunc(q.messages, func(m *Message) bool { return m.receipt == d.receipt })
		late := at < 0 || q.fifo && !q.messages[at].visibleAt.After(now)
		if late && d.Failure == "" {
			d.Failure = "not deleted: the visibility timeout ended before the function did"
		}
		switch {
		case at < 0:
		case d.Failure == "":
			q.messages = slices.Delete(q.messages, at, at+1)
		default:
			q.messages[at].Failure, q.messages[at].Answer = d.Failure, d.Answer
		}
	}
	q.wake()
}

// bury takes over a message that source gives up.
func (q *Queue) bury(m *Message, source *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.source, m.receipt, m.receivedHere, m.visibleAt = source, "", 0, time.Time{}
	q.add(m)
}

// add needs mu, like now and wake.
func (q *Queue) add(m *Message) {
	q.sequence++
	m.sequence = q.sequence
	q.messages = append(q.messages, m)
	q.wake()
}

func (q *Queue) now() time.Time { return time.Now().Add(q.advanced) }

func (q *Queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *Queue) arn() string { return "arn:aws:sqs:us-east-1:123456789012:" + q.cfg.Name }
