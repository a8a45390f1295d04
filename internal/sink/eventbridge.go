package sink

import (
	"context"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
)

// entry is an entry of PutEvents.
type entry struct {
	EventBusName, Source, DetailType, Detail string

	Time float64 `json:",omitempty"` // seconds since 1970
}

// put is what PutEvents answers.
type put struct {
	FailedEntryCount int
	Entries          []struct {
		EventID   string `json:"EventId"`
		ErrorCode string
	}
}

// newBus makes a sink of an EventBridge bus. EventBridge takes events of at most 256 KiB and types
// of at most 128 characters, and no result event exceeds either.
func newBus(c awsapi.Config, bus, region string) (Sink, error) {
	name := "eventbridge://" + bus
	client, err := awsapi.New(c, awsapi.EventBridge, region)
	if err != nil {
		return nil, named(name, err)
	}
	const most = 10 // entries of one PutEvents
	return deliverer(name, most, func(ctx context.Context, left []outgoing) ([]outgoing, *attempt.Failure) {
		var entries []entry
		for _, e := range left {
			one := entry{EventBusName: bus, Source: e.Source(), DetailType: e.Type(), Detail: string(e.encoded)}
			if t := e.Time(); !t.IsZero() {
				one.Time = float64(t.UnixMilli()) / 1000
			}
			entries = append(entries, one)
		}
		var out put
		in := map[string]any{"Entries": entries}
		if f := client.JSON(ctx, "AWSEvents.PutEvents", in, &out); f != nil {
			return left, f
		}
		return failed(out, left)
	}), nil
}

// failed returns the events that EventBridge didn't take, and what it says of the worst of them.
func failed(out put, sent []outgoing) (left []outgoing, worst *attempt.Failure) {
	for i, e := range sent {
		code := ""
		if i < len(out.Entries) {
			if code = out.Entries[i].ErrorCode; code == "" && out.Entries[i].EventID != "" {
				continue
			}
		}
		left = append(left, e)
		failure := awsapi.Refusal(0, code, "")
		if worst == nil || failure.Kind == attempt.Misconfigured {
			worst = failure
		}
	}
	if worst == nil && out.FailedEntryCount > 0 { // it doesn't say which
		return sent, awsapi.Refusal(0, "", "")
	}
	return left, worst
}
