package lambdalocal

import (
	"context"
	"strings"
	"time"
)

// MaxReceiveCount is how often a [Trigger] delivers a message before it becomes a dead letter.
const MaxReceiveCount = 5

// Trigger is a queue with dead letters behind it, and the mapping that delivers its messages to a
// function.
type Trigger struct {
	Queue, DeadLetters *Queue
	// Mapping delivers up to 10 messages at once, one batch at a time.
	Mapping Mapping
}

// NewTrigger returns a trigger of the function that invoke runs, as in [Mapping]. The name is the
// queue's; one that ends in ".fifo" makes FIFO queues.
func NewTrigger(
	invoke func(context.Context, []byte) (Answer, error), name string, visibilityTimeout time.Duration,
) (Trigger, error) {
	base, fifo := strings.CutSuffix(name, ".fifo")
	letters := base + "-dead-letters"
	if fifo {
		letters += ".fifo"
	}
	dead, err := NewQueue(QueueConfig{Name: letters})
	if err != nil {
		return Trigger{}, err
	}
	queue, err := NewQueue(QueueConfig{
		Name: name, VisibilityTimeout: visibilityTimeout, DeadLetters: dead, MaxReceiveCount: MaxReceiveCount,
	})
	if err != nil {
		return Trigger{}, err
	}
	mapping := Mapping{Queue: queue, Invoke: invoke, BatchSize: 10, Concurrency: 1}
	return Trigger{Queue: queue, DeadLetters: dead, Mapping: mapping}, nil
}
