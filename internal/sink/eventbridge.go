package sink

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
)

// newBus makes a sink of an EventBridge bus. EventBridge takes events of at most 256 KiB and types
// of at most 128 characters, and no result event exceeds either.
func newBus(ctx context.Context, load awsapi.Load, bus, region string) (Sink, error) {
	name := "eventbridge://" + bus
	c, err := awsapi.Config(ctx, load, region)
	if err != nil {
		return nil, named(name, err)
	}
	client := eventbridge.NewFromConfig(c)
	if err := awsapi.CheckEndpoint("EVENTBRIDGE", client.Options().BaseEndpoint); err != nil {
		return nil, named(name, err)
	}
	const most = 10 // entries of one PutEvents
	return deliverer(name, most, func(ctx context.Context, left []outgoing) ([]outgoing, *attempt.Failure) {
		var entries []types.PutEventsRequestEntry
		for _, e := range left {
			entries = append(entries, entry(bus, e))
		}
		out, err := client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
		if err != nil {
			return left, awsapi.Failure(ctx, err)
		}
		return failed(out, left)
	}), nil
}

func entry(bus string, e outgoing) types.PutEventsRequestEntry {
	entry := types.PutEventsRequestEntry{
		EventBusName: &bus,
		Source:       new(e.Source()),
		DetailType:   new(e.Type()),
		Detail:       new(string(e.encoded)),
	}
	if t := e.Time(); !t.IsZero() {
		entry.Time = &t
	}
	return entry
}

// failed returns the events that EventBridge didn't take, and what it says of the worst of them.
func failed(out *eventbridge.PutEventsOutput, sent []outgoing) (left []outgoing, worst *attempt.Failure) {
	for i, e := range sent {
		var put types.PutEventsResultEntry
		if i < len(out.Entries) {
			put = out.Entries[i]
		}
		if put.EventId != nil && put.ErrorCode == nil {
			continue
		}
		left = append(left, e)
		failure := awsapi.Refusal(0, aws.ToString(put.ErrorCode), "")
		if worst == nil || failure.Kind == attempt.Misconfigured {
			worst = failure
		}
	}
	if worst == nil && out.FailedEntryCount > 0 { // it doesn't say which
		return sent, awsapi.Refusal(0, "", "")
	}
	return left, worst
}
