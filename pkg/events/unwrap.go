package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxEvent     = 256 << 10 // bytes of one event
	maxAttribute = 1 << 10   // bytes of one context attribute, so that results stay small
	maxDepth     = 4         // wrappings around an event
	maxRecords   = 10_000    // of one payload, as many as SQS ever delivers at once
)

// accepted ends the reason of an [InvalidEventError] for what nobody can make out.
const accepted = "it must be a CloudEvent in JSON, an array of them, or an event of EventBridge, SQS, SNS, " +
	"a Lambda destination, a function URL or an HTTP API with a CloudEvent inside"

// InvalidEventError says why a payload, or a record of it, is no event for this function, and what would be.
// It never shows more of the payload than a name or a short value.
type InvalidEventError struct {
	Reason string
	Status int // of HTTP that says it best; 0: 400
}

func (e *InvalidEventError) Error() string { return e.Reason }

func invalid(format string, args ...any) *InvalidEventError {
	return &InvalidEventError{Reason: fmt.Sprintf(format, args...)}
}

// Shape is what a payload came as, from the outside. It decides how it is answered.
type Shape string

// The shapes of payloads.
const (
	Structured  Shape = "CloudEvent"           // one CloudEvent in JSON
	Array       Shape = "array of CloudEvents" // a JSON array, maybe empty
	EventBridge Shape = "EventBridge"
	SQS         Shape = "SQS"
	SNS         Shape = "SNS"
	Destination Shape = "Lambda destination" // of an asynchronous invocation
	HTTP        Shape = "HTTP"               // function URL or HTTP API: no records, see UnwrapHTTP
)

// Envelope is a payload taken apart.
type Envelope struct {
	Shape   Shape
	Records []Record // in the payload's order
}

// Record is an event, or the reason why it is none.
type Record struct {
	Event     Event[json.RawMessage] // as much of it as could be read; its data is nil if there is none
	Err       error                  // nil or an [*InvalidEventError]
	MessageID string                 // of the SQS message it came in; several records may share one
	Group     string                 // of a FIFO queue's message; empty: the order doesn't matter
	Delivery  int                    // of that message: 1 for the first; 0: unknown
}

// Cause identifies a CloudEvent, as received.
type Cause struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Type   string `json:"type"`
}

// Event is a CloudEvent with data of type T.
type Event[T any] struct {
	Cause
	Time          time.Time // zero: the event has none
	CorrelationID string    // empty: none
	TraceParent   string    // W3C traceparent; empty: none
	TraceState    string    // empty: none
	ContentType   string    // of the data; empty: JSON
	DryRun        bool      // read only: say what would be done
	Data          T
}

// Unwrap takes the events out of a payload, whatever they were wrapped in, up to four times. It copies what it keeps. An error is
// an [*InvalidEventError] and concerns the whole payload; what concerns one event is the error of its record.
func Unwrap(payload []byte) (Envelope, error) {
	return new(unwrapper).unwrap(bytes.Clone(payload), 0)
}

// unwrapper takes one payload apart and counts its records.
type unwrapper struct{ records int }

// count fails once there are too many records: an array of nothings is small, and each is a line in the log.
func (u *unwrapper) count() error {
	if u.records++; u.records > maxRecords {
		return invalid("payload holds more than %d events", maxRecords)
	}
	return nil
}

// unwrap takes apart what is inside so many wrappings.
func (u *unwrapper) unwrap(payload []byte, depth int) (Envelope, error) {
	if !utf8.Valid(payload) {
		return Envelope{}, invalid("payload is not UTF-8")
	}
	payload = bytes.TrimLeft(bytes.TrimPrefix(payload, []byte("\ufeff")), " \t\r\n")
	if bytes.HasPrefix(payload, []byte("[")) {
		return u.array(payload, depth)
	}
	o, err := parseObject(payload)
	if err != nil {
		return Envelope{}, invalid("payload is %v; %s", err, accepted)
	}
	shape, err := o.shape()
	if err != nil {
		return Envelope{}, err
	}
	if shape == Structured {
		return Envelope{shape, []Record{readRecord(o, len(payload))}}, u.count()
	}
	if depth == maxDepth {
		return Envelope{}, invalid("payload is wrapped more than %d times", maxDepth)
	}
	e := Envelope{Shape: shape}
	switch shape {
	case EventBridge:
		e.Records, err = u.eventBridge(o, len(payload), depth)
	case SQS:
		e.Records, err = u.sqs(o["Records"], depth)
	case SNS:
		e.Records, err = u.sns(o, depth)
	case Destination:
		e.Records, err = u.destination(o, depth)
	default: // HTTP
		if depth > 0 {
			err = invalid("payload is an HTTP request inside another event")
		}
	}
	return e, err
}

// shape recognises an object by its exact keys.
func (o object) shape() (Shape, error) {
	var record struct{ lower, upper string }
	if records, ok := o.list("Records"); ok && len(records) > 0 {
		first, _ := parseObject(records[0])
		record.lower, record.upper = first.text("eventSource"), first.text("EventSource")
	}
	context := o.object("requestContext")
	switch {
	case o["specversion"] != nil:
		return Structured, nil
	case record.lower == "aws:sqs":
		return SQS, nil
	case record.upper == "aws:sns", o.text("Type") == "Notification" && o["TopicArn"] != nil && o["MessageId"] != nil:
		return SNS, nil
	case context["http"] != nil:
		return HTTP, nil
	case context["condition"] != nil && o["requestPayload"] != nil:
		return Destination, nil
	case o["detail-type"] != nil && o["source"] != nil && o["detail"] != nil:
		return EventBridge, nil
	}
	return "", invalid("payload is %s; %s", o.foreign(record.lower), accepted)
}

// foreign names what is well known and not for us.
func (o object) foreign(eventSource string) string {
	context := o.object("requestContext")
	switch {
	case strings.HasPrefix(eventSource, "aws:"):
		return fmt.Sprintf("an event of %.40s", eventSource) // S3, Kinesis, DynamoDB and others
	case o["Records"] != nil:
		return "a list of Records of no known source"
	case o.text("Type") == "SubscriptionConfirmation", o.text("Type") == "UnsubscribeConfirmation":
		return "an SNS " + o.text("Type") + ", which its HTTP endpoint must answer"
	case context["elb"] != nil:
		return "a request of an Application Load Balancer"
	case o["httpMethod"] != nil:
		return "a request of API Gateway in format 1.0; set the integration to format 2.0"
	case context["eventType"] != nil:
		return "a message of an API Gateway WebSocket"
	case o["key1"] != nil && o["key2"] != nil:
		return "the Lambda console's own test event"
	case o["taskToken"] != nil:
		return "a Step Functions callback; pass the event itself as the payload"
	default:
		return "no CloudEvent: it has no specversion"
	}
}

// array takes each element for an event of its own.
func (u *unwrapper) array(payload []byte, depth int) (Envelope, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(payload, &elements); err != nil {
		return Envelope{}, invalid("payload is not JSON: %v", err)
	}
	if depth == maxDepth {
		return Envelope{}, invalid("payload is wrapped more than %d times", maxDepth)
	}
	e := Envelope{Shape: Array, Records: []Record{}}
	for _, element := range elements {
		records, err := u.inside(element, depth)
		if err != nil {
			return Envelope{}, err
		}
		e.Records = append(e.Records, records...)
	}
	return e, nil
}

// inside takes the records out of what a wrapping held. If it holds no event at all, that is one record's failure; only too many of them are
// the failure of what is around it.
func (u *unwrapper) inside(payload []byte, depth int) ([]Record, error) {
	e, err := u.unwrap(payload, depth+1)
	switch {
	case u.records > maxRecords:
		return nil, err
	case err == nil && len(e.Records) == 0:
		err = invalid("payload is an empty array")
	}
	if err != nil {
		return []Record{{Err: err}}, u.count()
	}
	return e.Records, nil
}

// eventBridge takes the detail for the event if it is one, and else makes one of the envelope.
func (u *unwrapper) eventBridge(o object, size, depth int) ([]Record, error) {
	detail := o["detail"]
	if text := o.text("detail"); text != "" && json.Valid([]byte(text)) {
		detail = json.RawMessage(text) // as EventBridge Scheduler sends it
	}
	inner, _ := parseObject(detail)
	if _, err := inner.shape(); err == nil || bytes.HasPrefix(detail, []byte("[")) {
		return u.inside(detail, depth)
	}
	return []Record{readRecord(object{
		"specversion": json.RawMessage(`"1.0"`), "id": o["id"], "source": o["source"], "type": o["detail-type"], "time": o["time"], "data": detail,
	}, size)}, u.count()
}

// sqs gives each record the message it must be reported by. A message with too many of them is one failure.
func (u *unwrapper) sqs(list json.RawMessage, depth int) ([]Record, error) {
	var messages []json.RawMessage
	if err := json.Unmarshal(list, &messages); err != nil {
		return nil, invalid("Records: %v", err)
	}
	var all []Record
	for i, raw := range messages {
		message, err := parseObject(raw)
		id := message.text("messageId")
		if err != nil || id == "" {
			return nil, invalid("Records[%d] is no message of SQS: it has no messageId to report it by", i)
		}
		attributes := message.object("attributes")
		before := u.records
		records, err := u.inside([]byte(message.text("body")), depth)
		if err != nil {
			records, u.records = []Record{{Err: err}}, before
		}
		for _, r := range records {
			r.MessageID = id
			r.Delivery, _ = strconv.Atoi(attributes.text("ApproximateReceiveCount"))
			if strings.HasSuffix(message.text("eventSourceARN"), ".fifo") {
				r.Group = attributes.text("MessageGroupId")
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// sns takes a Lambda event of SNS, or the notification itself as it stands in a queue.
func (u *unwrapper) sns(o object, depth int) ([]Record, error) {
	if o["Records"] == nil {
		return u.inside([]byte(o.text("Message")), depth)
	}
	var all []Record
	notifications, _ := o.list("Records")
	for i, raw := range notifications {
		notification, err := parseObject(raw)
		if err != nil {
			return nil, invalid("Records[%d] is %v", i, err)
		}
		records, err := u.inside([]byte(notification.object("Sns").text("Message")), depth)
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	return all, nil
}

// destination takes out what the failed function was given, or what the successful one answered.
func (u *unwrapper) destination(o object, depth int) ([]Record, error) {
	if o.object("requestContext").text("condition") == "Success" {
		return u.inside(o["responsePayload"], depth)
	}
	return u.inside(o["requestPayload"], depth)
}

// readRecord reads a structured CloudEvent of so many bytes.
func readRecord(o object, size int) (r Record) {
	if size > maxEvent {
		return Record{Err: &InvalidEventError{
			Reason: fmt.Sprintf("the event has %d bytes; at most %d are taken", size, maxEvent), Status: http.StatusRequestEntityTooLarge,
		}}
	}
	var err error
	if r.Event, err = readEvent(o); err != nil {
		r.Err = invalid("no valid CloudEvent 1.0: %v", err)
	}
	return r
}
