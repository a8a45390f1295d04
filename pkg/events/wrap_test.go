package events_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/racedetector"
	"registrar/pkg/events"
)

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// sqs is the message m-1 of a queue; attributes are members of a JSON object.
func sqs(body, arn, attributes string) string {
	return `{"messageId":"m-1","receiptHandle":"h","body":` + quoted(body) + `,"attributes":{` + attributes + `},` +
		`"messageAttributes":{},"eventSource":"aws:sqs","eventSourceARN":"` + arn + `"}`
}

// wrappings are the ways an event is wrapped, as AWS sends them.
func wrappings() map[string]func(string) string {
	return map[string]func(string) string{
		"array": func(s string) string { return "[" + s + "]" },
		"SQS": func(s string) string {
			return `{"Records":[` + sqs(s, "arn:aws:sqs:eu-west-1:123456789012:q", "") + `]}`
		},
		"Pipes": func(s string) string {
			return "[" + sqs(s, "arn:aws:sqs:eu-west-1:123456789012:q", "") + "]"
		},
		"SNS": func(s string) string {
			return `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","Sns":{` +
				`"Type":"Notification","MessageId":"n-1","TopicArn":"arn","Message":` + quoted(s) + `}}]}`
		},
		"SMN": func(s string) string {
			return `{"record":[{"event_version":"1.0","smn":{"topic_urn":"urn","timestamp":"2026-01-02T03:04:05Z",` +
				`"message_attributes":null,"message":` + quoted(s) + `,"type":"notification","message_id":"n-1",` +
				`"subject":""},"event_subscription_urn":"urn","event_source":"smn"}],"functionname":"f"}`
		},
		"SNS notification": func(s string) string {
			return `{"Type":"Notification","MessageId":"n-1","TopicArn":"arn","Message":` + quoted(s) +
				`,"Timestamp":"2026-01-02T03:04:05.678Z"}`
		},
		"EventBridge": func(s string) string {
			return `{"version":"0","id":"eb-1","detail-type":"other","source":"other","account":"123456789012",` +
				`"time":"2026-01-02T03:04:06Z","region":"eu-west-1","resources":[],"detail":` + s + `}`
		},
		"EventBridge with text": func(s string) string {
			return `{"version":"0","id":"eb-1","detail-type":"other","source":"other",` +
				`"time":"2026-01-02T03:04:06Z","detail":` + quoted(s) + `}`
		},
		"failed Lambda": func(s string) string {
			return `{"version":"1.0","timestamp":"2026-01-02T03:04:06Z","requestContext":{` +
				`"requestId":"r","functionArn":"arn","condition":"RetriesExhausted","approximateInvokeCount":3},` +
				`"requestPayload":` + s + `,"responseContext":{"statusCode":200,"functionError":"Unhandled"},` +
				`"responsePayload":{"errorType":"TransientError"}}`
		},
		"successful Lambda": func(s string) string {
			return `{"version":"1.0","requestContext":{"condition":"Success"},"requestPayload":{"x":1},` +
				`"responsePayload":` + s + `}`
		},
		"failed FunctionGraph": func(s string) string {
			return `{"timestamp":"2026-01-02T11:04:06.000Z+08:00","request_context":{"request_id":"r",` +
				`"function_urn":"urn","condition":"FunctionError","approximate_invoke_count":4},"request_payload":` +
				quoted(s) + `,"response_context":{"status_code":200,"function_error":"TransientError"},` +
				`"response_payload":"{}"}`
		},
	}
}

// Each pair of wrappings is tried, and around each pair a part of the others, twice.
func TestAnEventIsTheSameInFourWrappings(t *testing.T) {
	t.Parallel()
	const structured = `{"specversion":"1.0","id":"in-1","source":"/landing-zone","type":"org.bootstrap",` +
		`"time":"2026-01-02T03:04:05Z","data":{"region_id":"cn-north-4"}}`
	const mapped = `{"version":"0","id":"in-1","detail-type":"org.bootstrap","source":"/landing-zone",` +
		`"time":"2026-01-02T03:04:05Z","region":"eu-west-1","resources":[],"detail":{"region_id":"cn-north-4"}}`
	want := events.Event{
		Cause: events.Cause{ID: "in-1", Source: "/landing-zone", Type: "org.bootstrap"},
		Time:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: json.RawMessage(`{"region_id":"cn-north-4"}`),
	}
	all := wrappings()
	names := slices.Sorted(maps.Keys(all))
	var tried atomic.Int32
	var try func(t *testing.T, payload, path string, depth int)
	try = func(t *testing.T, payload, path string, depth int) {
		t.Helper()
		n := int(tried.Add(1))
		envelope, err := events.Unwrap([]byte(payload))
		require.NoError(t, err, path)
		require.Len(t, envelope.Records, 1, path)
		require.NoError(t, envelope.Records[0].Err, path)
		require.Equal(t, want, envelope.Records[0].Event, path)
		if depth == 4 {
			name := names[n%len(names)] // trying one of them is enough here
			envelope, err := events.Unwrap([]byte(all[name](payload)))
			if err == nil {
				err = envelope.Records[0].Err
			}
			require.ErrorContains(t, err, "wrapped more than 4 times", name+" of "+path)
			return
		}
		for i, name := range names {
			if depth == 1 || (i+len(path))%2 == 0 {
				try(t, all[name](payload), name+" of "+path, depth+1)
			}
		}
	}
	t.Cleanup(func() { assert.Greater(t, int(tried.Load()), 4000) })
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, all[name](structured), name+" of structured", 1)
		})
	}
	try(t, mapped, "mapped", 1)
}

func TestTheShapeIsThatOfTheOutermostWrapping(t *testing.T) {
	t.Parallel()
	shapes := map[string]events.Shape{
		"array":                 events.Array,
		"SQS":                   events.SQS,
		"Pipes":                 events.SQS,
		"SNS":                   events.SNS,
		"SNS notification":      events.SNS,
		"SMN":                   events.SMN,
		"EventBridge":           events.EventBridge,
		"EventBridge with text": events.EventBridge,
		"failed Lambda":         events.Destination,
		"successful Lambda":     events.Destination,
		"failed FunctionGraph":  events.Destination,
	}
	for outer, wrap := range wrappings() {
		for _, inner := range wrappings() {
			envelope, err := events.Unwrap([]byte(wrap(inner(with(t, nil)))))
			require.NoError(t, err)
			assert.Equal(t, shapes[outer], envelope.Shape)
		}
	}
	envelope, err := events.Unwrap([]byte(`{"version":"2.0","requestContext":{"http":{"method":"POST"}},"body":"{}"}`))
	require.NoError(t, err)
	assert.Equal(t, events.Envelope{Shape: events.HTTP}, envelope)
}

func TestMessagesOfAQueue(t *testing.T) {
	t.Parallel()
	message := func(id, body, arn, attributes string) string {
		return strings.Replace(sqs(body, arn, attributes), "m-1", id, 1)
	}
	const standard, fifo = "arn:aws:sqs:eu-west-1:123456789012:q", "arn:aws:sqs:eu-west-1:123456789012:q.fifo"
	one := with(t, nil)
	envelope, err := events.Unwrap([]byte(`{"Records":[` + strings.Join([]string{
		message("truncated", one[:len(one)-1], standard, ""),
		message("empty", "", standard, ""),
		message("two", "["+one+","+one+"]", standard, ""),
		message("none", "[]", standard, ""),
		message("fair", one, standard, `"MessageGroupId":"g"`),
		message("ordered", one, fifo, `"MessageGroupId":"g","ApproximateReceiveCount":"3"`),
		message("foreign", `{"Records":[{"eventSource":"aws:s3"}]}`, standard, ""),
	}, ",") + `]}`))
	require.NoError(t, err)
	type summary struct {
		id, group, failed string
		delivery          int
	}
	var got []summary
	for _, r := range envelope.Records {
		s := summary{id: r.MessageID, group: r.Group, delivery: r.Delivery}
		if r.Err != nil {
			s.failed, _, _ = strings.Cut(r.Err.Error(), ";")
		}
		got = append(got, s)
	}
	assert.Equal(t, []summary{
		{"truncated", "", "payload is not JSON: unexpected end of JSON input", 0},
		{"empty", "", "payload is empty", 0},
		{"two", "", "", 0},
		{"two", "", "", 0},
		{"none", "", "payload is an empty array", 0},
		{"fair", "", "", 0},
		{"ordered", "g", "", 3},
		{"foreign", "", "payload is an event of aws:s3", 0},
	}, got)

	two := message("a", one, standard, "") + `,{"eventSource":"aws:sqs"}`
	for _, payload := range []string{`{"Records":[` + two + `]}`, "[" + two + "]"} {
		_, err = events.Unwrap([]byte(payload))
		require.ErrorContains(t, err, "record 1 is not a message of SQS: it has no messageId")
	}
}

// EventBridge Pipes sends the messages without the object around them.
func TestABareArrayOfMessagesIsTheSameAsTheirRecords(t *testing.T) {
	t.Parallel()
	const fifo = "arn:aws:sqs:eu-west-1:123456789012:q.fifo"
	messages := sqs(with(t, nil), fifo, `"MessageGroupId":"g","ApproximateReceiveCount":"3"`) + "," +
		strings.Replace(sqs(zeros(101), fifo, ""), "m-1", "m-2", 1)
	want, err := events.Unwrap([]byte(`{"Records":[` + messages + `]}`))
	require.NoError(t, err)
	got, err := events.Unwrap([]byte("[" + messages + "]"))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, "g", got.Records[0].Group)
	assert.Equal(t, "m-2", got.Records[1].MessageID)

	// In a batch of CloudEvents over HTTP it is none of them: each element has an answer there.
	batch, err := events.UnwrapHTTP(http.Header{"Content-Type": {events.BatchMediaType}}, []byte("["+messages+"]"))
	require.NoError(t, err)
	assert.Equal(t, events.Array, batch.Shape)
	require.Error(t, batch.Records[0].Err)
	assert.Equal(t, 2, batch.Records[0].Count)
}

// zeros is an array of n elements that aren't events.
func zeros(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }

func TestTooManyEventsFailAsAWhole(t *testing.T) {
	t.Parallel()
	many := zeros(10_001)
	for _, payload := range []string{many, "[" + many + "]", "[" + zeros(6000) + "," + zeros(6000) + "]"} {
		_, err := events.Unwrap([]byte(payload))
		require.ErrorContains(t, err, "payload holds more than 10000 events")
	}
	_, err := events.UnwrapHTTP(http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, []byte(many))
	require.ErrorContains(t, err, "payload holds more than 10000 events")
}

func TestAMessageOfTooManyEventsFailsAlone(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:sqs:eu-west-1:123456789012:q"
	hundred := "[" + strings.TrimSuffix(strings.Repeat(with(t, nil)+",", 100), ",") + "]"
	for name, tooMany := range map[string]string{
		"elements that aren't events": zeros(101),
		"events":                      hundred[:len(hundred)-1] + "," + with(t, nil) + "]",
		"a nested array":              "[" + hundred + "," + with(t, nil) + "]",
	} {
		messages := sqs(tooMany, arn, "") + "," + sqs(with(t, nil), arn, "")
		envelope, err := events.Unwrap([]byte(`{"Records":[` + messages + `]}`))
		require.NoError(t, err, name)
		require.Len(t, envelope.Records, 2, name)
		require.ErrorContains(t, envelope.Records[0].Err, "more than 100 events", name)
		require.NoError(t, envelope.Records[1].Err, name)
	}
	envelope, err := events.Unwrap([]byte(`{"Records":[` + sqs(hundred, arn, "") + `]}`))
	require.NoError(t, err)
	require.Len(t, envelope.Records, 100)
	require.NoError(t, envelope.Records[99].Err)
}

func TestElementsThatAreNotEventsShareOneRecordWithTheirCount(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:sqs:eu-west-1:123456789012:q"
	notification := `{"EventSource":"aws:sns","Sns":{"Message":"x"}}`
	for payload, counts := range map[string][]int{
		zeros(10_000):                            {10_000},
		"[" + zeros(300) + "," + zeros(50) + "]": {350},
		"[[],[],{}]":                             {3},
		`{"Records":[` + sqs(zeros(60), arn, "") + `,` + sqs("x", arn, "") + `]}`:  {60, 1},
		`{"Records":[` + strings.Repeat(notification+",", 6) + notification + `]}`: {7},
	} {
		envelope, err := events.Unwrap([]byte(payload))
		require.NoError(t, err)
		var got []int
		for _, r := range envelope.Records {
			require.Error(t, r.Err)
			got = append(got, r.Count)
		}
		assert.Equal(t, counts, got, "%.60s", payload)
	}
}

// The largest payload that Lambda takes must fit into a small function, whatever is in it.
func TestAPayloadTakesMemoryInProportion(t *testing.T) {
	size := 2 << 20
	if racedetector.Enabled { // it takes much longer
		size = 1 << 20
	}
	fill := func(before, repeated, after string) string {
		n := (size - len(before) - len(after)) / len(repeated)
		return before + strings.TrimSuffix(strings.Repeat(repeated, n), ",") + after
	}
	members := &strings.Builder{}
	for i := 0; members.Len() < size; i++ {
		fmt.Fprintf(members, `"%d":0,`, i)
	}
	const asked = `{"cts":{"service_type":"RGC","trace_name":"createAccount","response":`
	for name, payload := range map[string]string{
		"numbers":            fill("[", "0,", "]"),
		"numbers, nested":    fill("[[[", "0,", "]]]"),
		"records of numbers": fill(`{"Records":[`, "0,", "]}"),
		"empty arrays":       fill("[", "[],", "]"),
		"small events":       fill("[", `{"specversion":"1.0","id":"1","source":"/s","type":"t"},`, "]"),
		"members":            "{" + strings.TrimSuffix(members.String(), ",") + "}",
		"one string":         fill(`{"specversion":"1.0","id":"`, "x", `"}`),
		"a large trace":      fill(asked+`{"x":"`, "x", `"}}}`),
		"a trace of text":    fill(asked+`"`, "x", `"}}`),
		"messages of a pipe": fill("[", sqs("{}", "arn", "")+",", "]"),
		"notifications":      fill(`{"record":[`, `{"event_source":"smn","smn":{"message":{}}},`, "]}"),
		"records of none":    fill(`{"records":[`, `{"event_source":"x"},`, "]}"),
		"a timer":            fill(`{"trigger_type":"TIMER","time":5,"user_event":"`, "x", `"}`),
		"a request":          fill(`{"httpMethod":"POST","requestContext":{"x":"`, "x", `"}}`),
		"escapes":            fill(`{"detail-type":"t","source":"/s","detail":"`, `\\`, `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(payload)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, _ = events.Unwrap(b)
			runtime.ReadMemStats(&after)
			assert.Less(t, (after.TotalAlloc-before.TotalAlloc)/uint64(size), uint64(25), "bytes allocated per byte")
		})
	}
}

func TestNullIsTheSameAsAbsent(t *testing.T) {
	t.Parallel()
	for _, changed := range []members{
		{"data_base64": `null`},
		{"data": `null`, "data_base64": quoted("eyJyZWdpb25faWQiOiJjbi1ub3J0aC00In0=")},
		{"subject": `null`, "correlationid": `null`, "time": `null`},
	} {
		envelope, err := events.Unwrap([]byte(with(t, changed)))
		require.NoError(t, err)
		require.NoError(t, envelope.Records[0].Err, changed)
		assert.JSONEq(t, `{"region_id":"cn-north-4"}`, string(envelope.Records[0].Event.Data))
	}
}

func TestExtensionsThatNobodyReadsAreIgnoredWhateverTheyAre(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		quoted(strings.Repeat("x", 5000)), `{"a":1,"a":2}`, `[]`, `"\u0007"`, `"\ud800"`, `1e999`, `null`,
	} {
		envelope, err := events.Unwrap([]byte(with(t, members{"baggage": value})))
		require.NoError(t, err)
		require.NoError(t, envelope.Records[0].Err, "%.20s", value)
	}
}

func TestDetailsOfEventBridge(t *testing.T) {
	t.Parallel()
	record := func(detail, source string) events.Record {
		envelope, err := events.Unwrap([]byte(`{"id":"eb-1","detail-type":"org.bootstrap","source":"` + source +
			`","time":"2026-01-02T03:04:06Z","detail":` + detail + `}`))
		require.NoError(t, err)
		return envelope.Records[0]
	}
	assert.Equal(t, "eb-1", record(`{"region_id":"x"}`, "com.example").Event.ID)
	parsed := record(`"{\"region_id\":\"x\"}"`, "com.example").Event.Data
	assert.JSONEq(t, `{"region_id":"x"}`, string(parsed), "text that is JSON is parsed")
	assert.JSONEq(t, `"hello"`, string(record(`"hello"`, "com.example").Event.Data))
	require.ErrorContains(t, record(`{"specversion":"1.0","id":"x"}`, "com.example").Err, "source: is missing",
		"a detail that says it is a CloudEvent must be one")
	require.ErrorContains(t, record(`{}`, "my app").Err, "source: must be a URI-reference")
}

func TestNotificationsOfSMN(t *testing.T) {
	t.Parallel()
	event := with(t, nil)
	for name, c := range map[string]struct{ record, reason string }{
		"a message of text":            {`"smn":{"message":` + quoted(event) + `}`, ""},
		"a message that is an object":  {`"smn":{"message":` + event + `}`, ""},
		"attributes that are text":     {`"smn":{"message_attributes":"None","message":` + event + `}`, ""},
		"a message that isn't JSON":    {`"smn":{"message":"hello"}`, "payload is not JSON"},
		"a message that is a number":   {`"smn":{"message":5}`, "payload is not a JSON object"},
		"a message that is null":       {`"smn":{"message":null}`, "payload is not a JSON object"},
		"no message":                   {`"smn":{}`, "payload is empty"},
		"a notification that is text":  {`"smn":"hello"`, "payload is empty"},
		"a notification that is null":  {`"smn":null`, "payload is empty"},
		"no notification":              {`"x":1`, "payload is empty"},
		"a message of SNS, not of SMN": {`"Sns":{"Message":"{}"}`, "payload is not a CloudEvent"},
	} {
		envelope, err := events.Unwrap([]byte(`{"record":[{"event_source":"smn",` + c.record + `}]}`))
		require.NoError(t, err, name)
		assert.Equal(t, events.SMN, envelope.Shape, name)
		require.Len(t, envelope.Records, 1, name)
		if c.reason != "" {
			require.ErrorContains(t, envelope.Records[0].Err, c.reason, name)
			continue
		}
		require.NoError(t, envelope.Records[0].Err, name)
		assert.Equal(t, "1", envelope.Records[0].Event.ID, name)
	}

	two := wrappings()["SMN"](event)
	two = strings.Replace(two, `"record":[`, `"record":[{"event_source":"smn","smn":{"message":"x"}},`, 1)
	envelope, err := events.Unwrap([]byte(two))
	require.NoError(t, err)
	require.Len(t, envelope.Records, 2)
	require.Error(t, envelope.Records[0].Err)
	require.NoError(t, envelope.Records[1].Err, "each notification by itself")

	_, err = events.Unwrap([]byte(`{"record":[{"event_source":"smn"},5]}`))
	require.ErrorContains(t, err, "record 1 is not a JSON object")
	for _, payload := range []string{
		`{"record":[{"event_source":"dds"}]}`, `{"record":[]}`, `{"record":{}}`,
		`{"record":[{"eventSource":"aws:sqs"}]}`,
	} {
		_, err = events.Unwrap([]byte(payload))
		require.ErrorAs(t, err, new(*events.InvalidEventError), payload)
	}
}

// timer is an event of FunctionGraph's timer; its members are JSON, and "" leaves one out.
func timer(time, userEvent string) string {
	if time != "" {
		time = `"time":` + time + `,`
	}
	if userEvent != "" {
		userEvent = `"user_event":` + userEvent + `,`
	}
	return `{"version":"v1.0",` + time + userEvent + `"trigger_type":"TIMER","trigger_name":"audit"}`
}

func TestEachFiringOfATimerIsAnEventOfItsOwn(t *testing.T) {
	t.Parallel()
	audit := with(t, members{"id": `"audit"`, "type": `"org.audit"`, "time": `"2020-01-01T00:00:00Z"`, "data": ""})
	const at = "2026-01-02T03:14:15Z" // 1767323655000 ms
	for stamp, want := range map[string]struct{ id, time string }{
		`"2026-01-02T03:14:15Z"`:      {"audit/2026-01-02T03:14:15Z", at},
		`"2026-01-02T11:14:15+08:00"`: {"audit/2026-01-02T11:14:15+08:00", at},
		`"2026-01-02T03:14:15+00:00"`: {"audit/2026-01-02T03:14:15+00:00", at},
		`"2026-01-02t03:14:15.5z"`:    {"audit/2026-01-02t03:14:15.5z", "2026-01-02T03:14:15.5Z"},
		`1767323655000`:               {"audit/2026-01-02T03:14:15Z", at},
		`1.767323655E12`:              {"audit/2026-01-02T03:14:15Z", at},
		`"1767323655000"`:             {"audit/1767323655000", at},
	} {
		for _, userEvent := range []string{quoted(audit), audit} {
			envelope, err := events.Unwrap([]byte(timer(stamp, userEvent)))
			require.NoError(t, err, stamp)
			assert.Equal(t, events.Timer, envelope.Shape)
			require.Len(t, envelope.Records, 1)
			require.NoError(t, envelope.Records[0].Err, stamp)
			e := envelope.Records[0].Event
			assert.Equal(t, events.Cause{ID: want.id, Source: "/landing-zone", Type: "org.audit"}, e.Cause)
			assert.Equal(t, want.time, e.Time.UTC().Format(time.RFC3339Nano), stamp)
		}
	}

	for _, wrap := range wrappings() {
		envelope, err := events.Unwrap([]byte(wrap(timer(quoted(at), audit))))
		require.NoError(t, err)
		require.NoError(t, envelope.Records[0].Err)
		assert.Equal(t, "audit/"+at, envelope.Records[0].Event.ID)
	}
}

func TestATimerThatCantBeTaken(t *testing.T) {
	t.Parallel()
	const at = `"2026-01-02T03:14:15Z"`
	event := with(t, nil)
	type row struct{ time, userEvent, reason string }
	rows := map[string]row{
		"no user_event":          {at, "", "user_event of the timer is empty; put a CloudEvent into it, such as {"},
		"an empty user_event":    {at, `""`, "user_event of the timer is empty; put a CloudEvent into it"},
		"a user_event of null":   {at, `null`, "is not a JSON object; put a CloudEvent into it"},
		"a number":               {at, `5`, "is not a JSON object; put a CloudEvent into it"},
		"an array":               {at, "[" + event + "]", "is not a JSON object; put a CloudEvent into it"},
		"text":                   {at, `"audit"`, "is not JSON: invalid character 'a'"},
		"data alone":             {at, `{"region_id":"x"}`, "is not a CloudEvent: it has no specversion; put"},
		"an event of SNS":        {at, wrappings()["SNS"](event), "is not a CloudEvent: it has no specversion"},
		"an event without an id": {at, with(t, members{"id": ""}), "id: is missing"},
		"an id that is a number": {at, with(t, members{"id": "1"}), "id: must be a string"},
		"an id that is long": {
			at, with(t, members{"id": quoted(strings.Repeat("x", 1010))}), "id: is longer than 1024 bytes",
		},
		"a time that is long": {
			quoted("2026-01-02T03:14:15." + strings.Repeat("0", 100_000) + "Z"), event, "id: is longer than 1024 bytes",
		},
	}
	for _, garbage := range []string{
		"", `null`, `""`, `{}`, `[]`, `true`, `0`, `-5`, `1e300`, `140737488355328`, `"NaN"`, `"now"`, `"2026-01-02"`,
		`"2026-01-02 03:14:15"`, `"0x1p40"`, `"1_767_294_245_000"`,
	} {
		rows["time "+garbage] = row{garbage, event, "so its firings can't be told apart"}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envelope, err := events.Unwrap([]byte(timer(row.time, row.userEvent)))
			require.NoError(t, err)
			require.Len(t, envelope.Records, 1)
			require.ErrorAs(t, envelope.Records[0].Err, new(*events.InvalidEventError))
			require.ErrorContains(t, envelope.Records[0].Err, row.reason)
		})
	}
}

func TestADestinationHoldsWhatFailedOrTheAnswer(t *testing.T) {
	t.Parallel()
	given, answered := with(t, members{"id": `"given"`}), with(t, members{"id": `"answered"`})
	lambda := func(condition, functionError, request, response string) string {
		return `{"requestContext":{"condition":` + condition + `},"requestPayload":` + request +
			`,"responseContext":{"functionError":` + functionError + `},"responsePayload":` + response + `}`
	}
	functionGraph := func(condition, functionError, request, response string) string {
		return `{"request_context":{"condition":` + condition + `},"request_payload":` + request +
			`,"response_context":{"function_error":` + functionError + `},"response_payload":` + response + `}`
	}
	for name, c := range map[string]struct{ condition, functionError, want string }{
		"success, as Lambda says it":      {`"Success"`, `null`, "answered"},
		"an empty condition":              {`""`, `""`, "answered"},
		"an empty condition, but failed":  {`""`, `"Unhandled"`, "given"},
		"success that is an error":        {`"Success"`, `"Unhandled"`, "given"},
		"all attempts failed":             {`"RetriesExhausted"`, `""`, "given"},
		"a condition that nobody knows":   {`"success?"`, `null`, "given"},
		"a condition that is null":        {`null`, `null`, "answered"},
		"a condition that is null, error": {`null`, `"x"`, "given"},
		"a condition that is a number":    {`5`, `"x"`, "given"},
		"a condition that is an object":   {`{}`, `"x"`, "given"},
		"an error that is an object":      {`"Success"`, `{}`, "given"},
		"an error that is true":           {`""`, `true`, "given"},
		"an error that is a number":       {`null`, `5`, "given"},
	} {
		for cloud, record := range map[string]func(_, _, _, _ string) string{
			"Lambda": lambda, "FunctionGraph": functionGraph,
		} {
			for form, payloads := range map[string][2]string{
				"objects": {given, answered}, "text": {quoted(given), quoted(answered)},
			} {
				t.Run(cloud+", "+form+": "+name, func(t *testing.T) {
					t.Parallel()
					payload := record(c.condition, c.functionError, payloads[0], payloads[1])
					envelope, err := events.Unwrap([]byte(payload))
					require.NoError(t, err)
					assert.Equal(t, events.Destination, envelope.Shape)
					require.Len(t, envelope.Records, 1)
					require.NoError(t, envelope.Records[0].Err)
					assert.Equal(t, c.want, envelope.Records[0].Event.ID)
				})
			}
		}
	}
	for status, want := range map[string]string{
		`200`: "answered", `"200"`: "answered", `null`: "answered", `{}`: "answered", `""`: "answered",
		`"OK"`: "answered",
		`500`:  "given", `"500"`: "given", `" 404 Not Found"`: "given", `4e2`: "given",
	} {
		for _, record := range []string{
			`{"requestContext":{"condition":"Success"},"requestPayload":` + given +
				`,"responseContext":{"statusCode":` + status + `},"responsePayload":` + answered + `}`,
			`{"request_context":{"condition":""},"request_payload":` + given +
				`,"response_context":{"status_code":` + status + `},"response_payload":` + answered + `}`,
		} {
			envelope, err := events.Unwrap([]byte(record))
			require.NoError(t, err)
			assert.Equal(t, want, envelope.Records[0].Event.ID, record)
		}
	}
	for _, payload := range []string{`null`, `""`, `5`, `{}`, `"hello world!"`, `[]`} {
		for _, record := range []string{
			lambda(`"RetriesExhausted"`, `""`, payload, given), functionGraph(`"FunctionError"`, `""`, payload, given),
			lambda(`"Success"`, `""`, given, payload), functionGraph(`""`, `""`, given, payload),
		} {
			envelope, err := events.Unwrap([]byte(record))
			require.NoError(t, err, record)
			require.ErrorAs(t, envelope.Records[0].Err, new(*events.InvalidEventError), record)
		}
	}
}

func TestAnEventWithoutATimeGetsThatOfItsEnvelope(t *testing.T) {
	t.Parallel()
	const (
		own      = "2026-01-02T03:00:00Z"
		envelope = "2026-01-02T03:04:06Z"
		inner    = "2026-01-02T03:01:00Z"
		sent     = "2026-01-02T03:04:07.008Z" // 1767323047008 ms
		none     = "0001-01-01T00:00:00Z"
	)
	event, timed := with(t, nil), with(t, members{"time": quoted(own)})
	all := wrappings()
	bridge := func(time, detail string) string {
		if time != "" {
			time = `"time":` + time + ","
		}
		return `{"id":"eb-1","detail-type":"t","source":"s",` + time + `"detail":` + detail + `}`
	}
	queue := func(timestamp, body string) string {
		return `{"Records":[` + sqs(body, "arn:aws:sqs:eu-west-1:123456789012:q", `"SentTimestamp":`+timestamp) + `]}`
	}
	const ms = `"1767323047008"`
	type row struct {
		payload string
		want    []string
	}
	rows := map[string]row{
		"alone":                     {event, []string{none}},
		"EventBridge":               {all["EventBridge"](event), []string{envelope}},
		"EventBridge, a time":       {all["EventBridge"](timed), []string{own}},
		"EventBridge, text":         {all["EventBridge with text"](event), []string{envelope}},
		"EventBridge, an array":     {all["EventBridge"]("[" + event + "," + timed + "]"), []string{envelope, own}},
		"EventBridge, array text":   {all["EventBridge with text"]("[" + event + "]"), []string{envelope}},
		"EventBridge, SNS in it":    {all["EventBridge"](all["SNS notification"](event)), []string{envelope}},
		"EventBridge in another":    {bridge(quoted(envelope), bridge(quoted(inner), event)), []string{inner}},
		"EventBridge in a bare one": {bridge(quoted(envelope), bridge("", event)), []string{envelope}},
		"EventBridge, bad in good":  {bridge(quoted(envelope), bridge(`"no"`, event)), []string{envelope}},
		"EventBridge, no CloudEvent": {
			bridge(quoted(envelope), `{"region_id":"cn-north-4"}`), []string{envelope},
		},
		"SQS":              {queue(ms, event), []string{sent}},
		"SQS, a time":      {queue(ms, timed), []string{own}},
		"SQS, an array":    {queue(ms, "["+event+","+timed+"]"), []string{sent, own}},
		"SNS in SQS":       {queue(ms, all["SNS notification"](event)), []string{sent}},
		"Lambda in SQS":    {queue(ms, all["failed Lambda"](event)), []string{sent}},
		"SQS in Lambda":    {all["failed Lambda"](queue(ms, event)), []string{sent}},
		"SNS alone":        {all["SNS"](event), []string{none}},
		"Lambda alone":     {all["failed Lambda"](event), []string{none}},
		"bridge in SQS":    {queue(ms, all["EventBridge"](event)), []string{envelope}},
		"array in SQS":     {queue(ms, all["EventBridge"]("["+event+"]")), []string{envelope}},
		"bare in SQS":      {queue(ms, bridge("", event)), []string{sent}},
		"mapped in SQS":    {queue(ms, bridge("", `{}`)), []string{sent}},
		"bad bridge in it": {queue(ms, bridge(`"soon"`, event)), []string{sent}},
	}
	for _, garbage := range []string{
		`"yesterday"`, `""`, `null`, `5`, `{}`, `["2026-01-02T03:04:06Z"]`, `"2026-01-02"`, `"2026-13-02T03:04:06Z"`,
	} {
		rows["EventBridge, time "+garbage] = row{bridge(garbage, event), []string{none}}
		rows["EventBridge, array, time "+garbage] = row{bridge(garbage, "["+event+"]"), []string{none}}
	}
	for _, garbage := range []string{
		`"soon"`, `""`, `null`, `"-1"`, `"0"`, `"1767323047008.5"`, `"99999999999999999999"`, `"140737488355328"`,
		`"0x5"`, `" 1767323047008"`, `{}`, `[1767323047008]`, `1767323047008`,
	} {
		rows["SQS, SentTimestamp "+garbage] = row{queue(garbage, event), []string{none}}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envelope, err := events.Unwrap([]byte(row.payload))
			require.NoError(t, err)
			var got []string
			for _, r := range envelope.Records {
				require.NoError(t, r.Err)
				got = append(got, r.Event.Time.Format(time.RFC3339Nano))
			}
			assert.Equal(t, row.want, got)
		})
	}
}

func TestModesOfHTTP(t *testing.T) {
	t.Parallel()
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	binary := []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/landing-zone", "Ce-Type", "org.bootstrap"}
	data := `{"region_id":"cn-north-4"}`
	structured := with(t, nil)
	want := events.Event{
		Cause: events.Cause{ID: "1", Source: "/landing-zone", Type: "org.bootstrap"},
		Data:  json.RawMessage(data),
	}
	wantBinary := want
	wantBinary.ContentType = "application/json"

	cases := map[string]struct {
		header http.Header
		body   string
		want   events.Event
		reason string
	}{
		"structured": {
			header: header("Content-Type", "application/cloudevents+json; charset=UTF-8"), body: structured, want: want,
		},
		"structured in another case": {
			header: header("Content-Type", "Application/CloudEvents+JSON"), body: structured, want: want,
		},
		"batched": {
			header: header("Content-Type", "application/cloudevents-batch+json; charset=UTF-8"),
			body:   "[" + structured + "]",
			want:   want,
		},
		"binary": {
			header: header(append(binary, "Content-Type", "application/json")...), body: data, want: wantBinary,
		},
		"binary without a Content-Type": {header: header(binary...), body: data, want: want},
		"binary, percent-encoded": {
			header: header(
				"Ce-Specversion", "1.0", "Ce-Id", "%E2%82%AC%20a", "Ce-Source", "/s", "Ce-Type", `"a \"b\""`,
			),
			want: events.Event{Cause: events.Cause{ID: "€ a", Source: "/s", Type: `a "b"`}},
		},
		"a CloudEvent sent as plain JSON": {
			header: header("Content-Type", "application/json"), body: structured,
			reason: "the request is not a CloudEvent: send Content-Type application/cloudevents+json",
		},
		"no Content-Type at all": {
			header: header(), body: structured, reason: "the request is not a CloudEvent",
		},
		"another format": {
			header: header(append(binary, "Content-Type", "application/cloudevents+avro")...), body: "x",
			reason: "the request is not a CloudEvent",
		},
		"structured without JSON": {
			header: header("Content-Type", "application/cloudevents+json"), body: "x", reason: "body is not JSON",
		},
		"structured that isn't UTF-8": {
			header: header("Content-Type", "application/cloudevents+json"), body: "\xff", reason: "body is not UTF-8",
		},
		"batched without an array": {
			header: header("Content-Type", "application/cloudevents-batch+json"), body: structured,
			reason: "payload is not a JSON array",
		},
		"binary without an id": {
			header: header("Ce-Specversion", "1.0", "Ce-Source", "/s", "Ce-Type", "t"), reason: "id: is missing",
		},
		"binary with an id twice": { // a function URL hands it on like this
			header: header(append(binary, "Ce-Id", "2")...), body: data,
			want: events.Event{Cause: events.Cause{ID: "1,2", Source: want.Source, Type: want.Type}, Data: want.Data},
		},
		"binary with a specversion twice": {
			header: header(append(binary, "Ce-Specversion", "1.0")...), reason: `specversion: must be "1.0"`,
		},
		"binary with what the body and Content-Type say": {
			header: header(append(binary, "Content-Type", "application/json",
				"Ce-Datacontenttype", "text/plain", "Ce-Data", "x", "Ce-Data_base64", "x")...),
			body: data, want: wantBinary,
		},
		"binary with those alone": {
			header: header(append(binary,
				"Ce-Datacontenttype", "text/plain", "Ce-Data", "x", "Ce-Data_base64", "x")...),
			want: events.Event{Cause: want.Cause},
		},
		"binary with headers that nobody reads": {
			header: header(append(binary, "Ce-Ext", "disk 100% full", "Ce-Bytes", "%ff", "Ce-My-Ext", "x", "Ce-", "x",
				"Ce-Twice", "1", "Ce-Twice", "2")...),
			body: data, want: want,
		},
		"binary with an id that isn't percent-encoded": {
			header: header("Ce-Specversion", "1.0", "Ce-Id", "100% x", "Ce-Source", "/s", "Ce-Type", "t"),
			reason: "id: has a control character, or is not valid Unicode",
		},
		"binary with an id in bytes that aren't UTF-8": {
			header: header("Ce-Specversion", "1.0", "Ce-Id", "%ff", "Ce-Source", "/s", "Ce-Type", "t"),
			reason: "id: has a control character, or is not valid Unicode",
		},
		"binary that isn't UTF-8": {header: header(binary...), body: "\x1f\x8b", reason: "body is not UTF-8"},
		"structured with a byte order mark": {
			header: header("Content-Type", "application/cloudevents+json"), body: "\ufeff" + structured, want: want,
		},
		"batched with a byte order mark": {
			header: header("Content-Type", "application/cloudevents-batch+json"), body: "\ufeff[" + structured + "]",
			want: want,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envelope, err := events.UnwrapHTTP(c.header, []byte(c.body))
			if err == nil && c.reason != "" {
				err = envelope.Records[0].Err
			}
			if c.reason != "" {
				require.ErrorAs(t, err, new(*events.InvalidEventError))
				require.ErrorContains(t, err, c.reason)
				return
			}
			require.NoError(t, err)
			require.Len(t, envelope.Records, 1)
			require.NoError(t, envelope.Records[0].Err)
			assert.Equal(t, c.want, envelope.Records[0].Event)
		})
	}
}

func TestOnlyARequestInNoModeOrAnotherCharsetIsUnsupported(t *testing.T) {
	t.Parallel()
	for contentType, status := range map[string]int{
		"": 415, "application/json": 415, events.StructuredMediaType: 0, events.BatchMediaType: 0,
		events.StructuredMediaType + "; charset=UTF-8":   0,
		events.StructuredMediaType + "; charset=utf-16":  415,
		events.BatchMediaType + "; charset=iso-8859-1":   415,
		events.BatchMediaType + "; charset=\"us-ascii\"": 0,
	} {
		_, err := events.UnwrapHTTP(http.Header{"Content-Type": {contentType}}, []byte("x"))
		var invalid *events.InvalidEventError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, status, invalid.Status, "%q", contentType)
	}
}

func FuzzUnwrapHTTP(f *testing.F) {
	f.Add("application/json", "1.0", "1", "/s", "t", "x", []byte(`{}`))
	f.Add("application/cloudevents+json; charset=utf-8", "", "", "", "", "", []byte(with(f, nil)))
	f.Add("application/cloudevents-batch+json", "", "", "", "", "", []byte("["+with(f, nil)+",{}]"))
	f.Add("", "1.0", `"a\"b"`, "%2F", "%e2%82", "\xff", []byte(nil))
	f.Fuzz(func(t *testing.T, contentType, specversion, id, source, eventType, extension string, body []byte) {
		envelope, err := events.UnwrapHTTP(http.Header{
			"Content-Type":   {contentType},
			"Ce-Specversion": {specversion},
			"Ce-Id":          {id},
			"Ce-Source":      {source},
			"Ce-Type":        {eventType},
			"Ce-Ext":         {extension},
		}, body)
		if err != nil {
			require.ErrorAs(t, err, new(*events.InvalidEventError))
			return
		}
		for _, record := range envelope.Records {
			if record.Err != nil {
				require.ErrorAs(t, record.Err, new(*events.InvalidEventError))
				continue
			}
			checkDecoding(t, record.Event, events.BootstrapRegionInput())
		}
	})
}

func TestAnObjectHasAThousandMembersAtMost(t *testing.T) {
	t.Parallel()
	members := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"x%d":0`, i))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	_, err := events.Unwrap([]byte(members(1001)))
	require.ErrorContains(t, err, "payload is too large: it has more than 1000 members")
	for n, taken := range map[int]bool{1000: true, 1001: false} {
		envelope, err := events.Unwrap([]byte(with(t, map[string]string{"data": members(n)})))
		require.NoError(t, err)
		_, err = events.BootstrapRegionInput().Decode(&envelope.Records[0].Event)
		assert.Equal(t, taken, err == nil, n)
	}
}

func TestEachMessageOfALargeBatchIsTaken(t *testing.T) {
	t.Parallel()
	hundred := "[" + strings.TrimSuffix(strings.Repeat(with(t, nil)+",", 100), ",") + "]"
	one := sqs(hundred, "arn:aws:sqs:eu-west-1:123456789012:q", "")
	payload := `{"Records":[` + strings.TrimSuffix(strings.Repeat(one+",", 150), ",") + `]}`
	envelope, err := events.Unwrap([]byte(payload))
	require.NoError(t, err)
	require.Len(t, envelope.Records, 15_000)
	for _, r := range envelope.Records {
		require.NoError(t, r.Err)
	}
}

func TestNoTextOfAPayloadIsShownWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200_000)
	for _, payload := range []string{
		with(t, map[string]string{long + "-": `"x"`}),
		with(t, map[string]string{"type": quoted(long)}), `{"Records":[{"eventSource":"` + "aws:" + long + `"}]}`,
		`{"Records":[{"eventSource":"aws:sqs","messageId":"` + long + `","body":""}]}`,
		`{"` + long + `":1,"` + long + `":2}`,
	} {
		envelope, err := events.Unwrap([]byte(payload))
		if err == nil {
			err = envelope.Records[0].Err
		}
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 400)
	}
}
