package sink

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/cloudevents/sdk-go/v2/event"

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
	return deliverer(name, func(ctx context.Context, e event.Event, detail []byte) *attempt.Failure {
		entry := types.PutEventsRequestEntry{
			EventBusName: &bus,
			Source:       new(e.Source()),
			DetailType:   new(e.Type()),
			Detail:       new(string(detail)),
		}
		if t := e.Time(); !t.IsZero() {
			entry.Time = &t
		}
		out, err := client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{entry}})
		if err != nil {
			return awsapi.Failure(ctx, err)
		}
		var put types.PutEventsResultEntry
		if len(out.Entries) > 0 {
			put = out.Entries[0]
		}
		if out.FailedEntryCount == 0 && put.EventId != nil {
			return nil
		}
		return awsapi.Refusal(0, aws.ToString(put.ErrorCode), "")
	}), nil
}
