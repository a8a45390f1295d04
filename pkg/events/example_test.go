package events_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"registrar/pkg/events"
)

// A batch of SQS with an event and something that isn't one. One record fails, not the whole batch.
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

func ExampleInput_Decode() {
	for _, data := range []string{`{"region_id": "cn-north-4"}`, `{}`, `{"region_id": 4}`} {
		e := events.Event{Data: json.RawMessage(data)}
		asked, err := events.BootstrapRegionInput().Decode(&e)
		fmt.Printf("%q %v\n", asked.RegionID, err)
	}
	// Output:
	// "cn-north-4" <nil>
	// "" <nil>
	// "" data.region_id: must not be a JSON number
}

func ExampleNewResultEvent() {
	cause := events.Event{Cause: events.Cause{ID: "1", Source: "/landing-zone", Type: "org.bootstrap"}}
	result := events.RegionResult{
		Registration: events.Registration{RegionID: "cn-north-4", Outcome: events.Registered, Attempts: 1},
	}

	out, err := events.NewResultEvent("/registrar/register-region", cause, result, time.Now())
	if err != nil {
		panic(err)
	}
	fmt.Println(out.Type(), out.ID())
	var data bytes.Buffer
	if err := json.Indent(&data, out.Data(), "", "  "); err != nil {
		panic(err)
	}
	fmt.Println(data.String())
	// Output:
	// org.region.registered 9844e8ea-0e88-5596-8fbb-0d143cfb8390
	// {
	//   "region_id": "cn-north-4",
	//   "outcome": "registered",
	//   "attempts": 1,
	//   "cause": {
	//     "id": "1",
	//     "source": "/landing-zone",
	//     "type": "org.bootstrap"
	//   }
	// }
}
