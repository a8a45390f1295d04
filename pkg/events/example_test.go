package events_test

import (
	"encoding/json"
	"fmt"
	"time"

	"registrar/pkg/events"
)

// A batch of SQS, with an event and something that is none. The failure is that of one record, not of the batch.
func ExampleUnwrap() {
	envelope, err := events.Unwrap([]byte(`{"Records": [
		{"eventSource": "aws:sqs", "messageId": "m-1",
		 "body": "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/landing-zone\",\"type\":\"org.bootstrap\"}"},
		{"eventSource": "aws:sqs", "messageId": "m-2", "body": "hello"}]}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(envelope.Shape)
	for _, record := range envelope.Records {
		fmt.Printf("%s: %q %v\n", record.MessageID, record.Event.Type, record.Err != nil)
	}
	// Output:
	// SQS
	// m-1: "org.bootstrap" false
	// m-2: "" true
}

func ExampleKind_Decode() {
	kind := events.OrgBootstrapKind("cn-north-4") // the only region that events may name, and their default
	for _, data := range []string{`{"region_id": "cn-north-4"}`, `{}`, `{"region_id": "cn-south-1"}`, `{"region_id": 4}`} {
		e, rejected := kind.Decode(events.Event[json.RawMessage]{Data: json.RawMessage(data)})
		if rejected != nil {
			fmt.Println(rejected.Summary().Reason, rejected.Summary().Message)
			continue
		}
		fmt.Println(e.Data.RegionID)
	}
	// Output:
	// cn-north-4
	// cn-north-4
	// not_allowed Region cn-south-1 is not the one that REGION_ID allows, cn-north-4.
	// invalid_data data.region_id: must not be a JSON number
}

func ExampleKind_ResultEvent() {
	cause := events.Event[json.RawMessage]{Cause: events.Cause{ID: "1", Source: "/landing-zone", Type: "org.bootstrap"}}
	what := events.RegionResult{RegionID: "cn-north-4", Registration: events.Registration{Outcome: events.Registered, Attempts: 1}}

	result, err := events.OrgBootstrapKind("").ResultEvent("/registrar/register-region", cause, what, time.Now())
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Type(), result.ID())
	fmt.Println(string(result.Data()))
	// Output:
	// org.region.registered 9844e8ea-0e88-5596-8fbb-0d143cfb8390
	// {"region_id":"cn-north-4","outcome":"registered","attempts":1,"cause":{"id":"1","source":"/landing-zone","type":"org.bootstrap"}}
}
