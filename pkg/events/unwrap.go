package events

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxEvent     = 256 << 10 // bytes of one event
	maxAttribute = 1 << 10   // bytes of one context attribute, so that result events stay small
	maxDepth     = 4         // wrappings around an event
	maxRecords   = 10_000    // events of one payload, as many as SQS ever delivers at once
	maxMessageID = 200       // bytes; SQS has 36
	maxMessage   = 100       // events in one message of a queue, so that a batch can be handled in time
)

// accepted is appended to the error for a payload that isn't recognised.
const accepted = "it must be a CloudEvent in JSON, an array of them, or an event of EventBridge, SQS, SNS, SMN, " +
	"a timer of FunctionGraph, a destination, a function URL or an HTTP API with a CloudEvent inside, or a CTS trace"

// InvalidEventError says why a payload, or a record of it, is not an event for this function, and
// what would be. It never shows more of the payload than a name or a short value.
type InvalidEventError struct {
	Reason string
	Status int // the HTTP status that says it best; 0 is 400
}

func (e *InvalidEventError) Error() string { return e.Reason }

func invalid(format string, args ...any) *InvalidEventError {
	return &InvalidEventError{Reason: fmt.Sprintf(format, args...)}
}

// Shape is what a payload came as, seen from the outside. It decides how the payload is answered.
type Shape string

// The shapes of payloads.
const (
	Structured  Shape = "CloudEvent"           // one CloudEvent in JSON
	Array       Shape = "array of CloudEvents" // a JSON array, possibly empty
	EventBridge Shape = "EventBridge"
	SQS         Shape = "SQS"
	SNS         Shape = "SNS"
	SMN         Shape = "SMN"         // as FunctionGraph hands it on
	Timer       Shape = "timer"       // what FunctionGraph sends at times that were set
	CTS         Shape = "CTS trace"   // as FunctionGraph hands it on
	Destination Shape = "destination" // what Lambda or FunctionGraph sends on after an asynchronous invocation
	HTTP        Shape = "HTTP"        // a function URL or HTTP API; its Records are left to UnwrapHTTP
)

// Envelope is a payload taken apart.
type Envelope struct {
	Shape   Shape
	Records []Record // in the payload's order
}

// Record is an event, or the reason why something isn't one.
type Record struct {
	Event     Event  // as much of it as could be read
	Err       error  // nil or an [*InvalidEventError]
	Trace     *Trace // nil unless it came from a CTS trace
	Count     int    // how many elements the record stands for: 1, or all those without an id
	MessageID string // id of the SQS message that held it; several records may share one
	Group     string // message group, in a FIFO queue; empty if the order doesn't matter
	Delivery  int    // how often that message was received, this time included; 0 if unknown
}

// Unwrap takes the events out of a payload, whatever wrapped them, at most four layers deep. An
// error is an [*InvalidEventError] and concerns the whole payload; what is wrong with one event is
// the error of its record. The envelope shares no memory with payload, and takes a few times as
// much.
func Unwrap(payload []byte) (Envelope, error) {
	v, err := parse(string(payload))
	if err != nil {
		return Envelope{}, invalidPayload(err)
	}
	u := unwrapper{limit: maxRecords, left: maxRecords}
	shape, records, err := u.value(v, 0)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{shape, records}, nil
}

// invalidPayload is the error for a payload, or the content of a wrapping, that isn't recognised.
func invalidPayload(err error) error { return invalid("payload is %v; %s", err, accepted) }

// unwrapper takes one payload apart, or one message of a queue, and counts the events in it.
type unwrapper struct {
	limit int
	left  int // below 0 once there are too many
}

func (u *unwrapper) count(events int) error {
	if u.left -= events; u.left < 0 {
		return invalid("payload holds more than %d events", u.limit)
	}
	return nil
}

// value takes apart what was found inside depth wrappings.
func (u *unwrapper) value(v value, depth int) (Shape, []Record, error) {
	if v.kind() == "array" {
		return u.list(v, depth)
	}
	o, err := v.object()
	if err != nil {
		return "", nil, invalidPayload(err)
	}
	return u.object(o, len(v), depth)
}

// object recognises an object by its exact keys, and takes it apart. It is size bytes long.
func (u *unwrapper) object(o object, size, depth int) (shape Shape, records []Record, err error) {
	shape, list := o.shape()
	switch {
	case shape == "":
		return "", nil, invalid("payload is %s; %s", o.foreign(), accepted)
	case shape == Structured:
		return shape, []Record{readRecord(o, size)}, u.count(1)
	case depth == maxDepth:
		return "", nil, invalid("payload is wrapped more than %d times", maxDepth)
	}
	switch shape {
	case EventBridge:
		records, err = u.eventBridge(o, size, depth)
	case SQS:
		records, err = u.sqs(list, depth)
	case SNS, SMN:
		records, err = u.notifications(o, list, depth)
	case Destination:
		records, err = u.destination(o, depth)
	case Timer:
		records, err = u.timer(o)
	case CTS:
		records, err = []Record{readTrace(o.object("cts"))}, u.count(1)
	default: // HTTP
		if depth > 0 {
			err = invalid("payload is an HTTP request inside another event")
		}
	}
	return shape, records, err
}

// shape recognises an object, and is empty if it can't. The list holds the records, if it is an
// event of AWS or FunctionGraph that has them.
func (o object) shape() (_ Shape, list []value) {
	if o.has("specversion") {
		return Structured, nil
	}
	record, context, trace := o.first("Records"), o.object("requestContext"), o.object("cts")
	switch {
	case record.text("eventSource") == "aws:sqs":
		return SQS, o.records("Records")
	case record.text("EventSource") == "aws:sns":
		return SNS, o.records("Records")
	case o.first("record").text("event_source") == "smn":
		return SMN, o.records("record")
	case o.text("Type") == "Notification" && o.has("TopicArn", "MessageId"):
		return SNS, nil
	case context.has("http"):
		return HTTP, nil
	case context.has("condition") && o.has("requestPayload"),
		o.has("request_payload") && o.object("request_context").has("condition"):
		return Destination, nil
	case o.text("trigger_type") == "TIMER":
		return Timer, nil
	case trace.text("trace_name") != "" && trace.text("service_type") != "":
		return CTS, nil
	case o.has("detail-type", "source", "detail"):
		return EventBridge, nil
	}
	return "", nil
}

// records returns a member that is a list, up to one more than there may be.
func (o object) records(name string) []value {
	list, _ := o[name].array(maxRecords)
	return list
}

// first returns the first of a member that is a list, if that is an object, else nil.
func (o object) first(name string) object {
	for element := range o[name].elements() {
		first, _ := element.object()
		return first
	}
	return nil
}

// list takes an array apart: messages of SQS as EventBridge Pipes sends them, or anything else.
func (u *unwrapper) list(v value, depth int) (Shape, []Record, error) {
	elements, err := u.elements(v, depth)
	if err != nil {
		return "", nil, err
	}
	if len(elements) > 0 {
		if first, _ := elements[0].object(); first.text("eventSource") == "aws:sqs" {
			records, err := u.sqs(elements, depth)
			return SQS, records, err
		}
	}
	records, err := u.each(elements, depth)
	return Array, records, err
}

// elements reads an array.
func (u *unwrapper) elements(v value, depth int) ([]value, error) {
	if depth == maxDepth {
		return nil, invalid("payload is wrapped more than %d times", maxDepth)
	}
	elements, err := v.array(u.left)
	switch {
	case err != nil:
		return nil, invalid("payload is %v", err)
	case len(elements) > u.left:
		return nil, u.count(len(elements))
	}
	return elements, nil
}

// each treats each element of an array as an event of its own.
func (u *unwrapper) each(elements []value, depth int) ([]Record, error) {
	records := []Record{}
	for _, element := range elements {
		inner, err := u.inside(element, nil, depth)
		if err != nil {
			return nil, err
		}
		records = append(records, inner...)
	}
	return merge(records), nil
}

// merge lets records without an id share the first of them. Each record is a line in the log, and a
// small payload can have thousands of elements that aren't events.
func merge(records []Record) []Record {
	shared := -1
	merged := records[:0]
	for _, r := range records {
		switch {
		case r.Err == nil || r.Event.ID != "" || r.Trace != nil: // a trace may be none of the function's business
			merged = append(merged, r)
		case shared < 0:
			shared = len(merged)
			merged = append(merged, r)
		default:
			merged[shared].Count += r.Count
		}
	}
	return merged
}

// inside takes the records out of the content of a wrapping; err is why there is none. Content that
// isn't an event makes one record that failed. Only too many events are an error of the payload
// around them.
func (u *unwrapper) inside(content value, err error, depth int) ([]Record, error) {
	if err != nil {
		return u.settle(nil, invalidPayload(err))
	}
	_, records, err := u.value(content, depth+1)
	return u.settle(records, err)
}

// settle is what a wrapping makes of its content, or of the error that the content ended in: one
// record that failed, unless there are too many events.
func (u *unwrapper) settle(records []Record, err error) ([]Record, error) {
	switch {
	case u.left < 0:
		return nil, err
	case err == nil && len(records) == 0:
		err = invalid("payload is an empty array")
	}
	if err != nil {
		return []Record{{Err: err, Count: 1}}, u.count(1)
	}
	return records, nil
}

// eventBridge takes the event out of detail if there is one, and else makes one of the envelope.
func (u *unwrapper) eventBridge(o object, size, depth int) ([]Record, error) {
	detail, err := o["detail"].content() // a string of JSON is what EventBridge Scheduler sends
	if err != nil {
		detail = o["detail"]
	}
	at, _ := parseTime(o.text("time"))
	if detail.kind() == "array" {
		records, err := u.inside(detail, nil, depth)
		return sentAt(records, at), err
	}
	inner, _ := detail.object()
	if shape, _ := inner.shape(); shape != "" {
		_, records, err := u.object(inner, len(detail), depth+1)
		records, err = u.settle(records, err)
		return sentAt(records, at), err
	}
	return []Record{readRecord(object{
		"specversion": `"1.0"`, "id": o["id"], "source": o["source"],
		"type": o["detail-type"], "time": o["time"], "data": detail,
	}, size)}, u.count(1)
}

// sqs gives each record the id of the message that it must be reported by. What is wrong with a
// message is the failure of that message alone.
func (u *unwrapper) sqs(messages []value, depth int) ([]Record, error) {
	if len(messages) > u.left {
		return nil, u.count(len(messages))
	}
	held := make([][]Record, len(messages)) // by each message
	for i, raw := range messages {
		message, err := raw.object()
		id := message.text("messageId")
		if err != nil || id == "" || len(id) > maxMessageID {
			return nil, invalid(
				"record %d is not a message of SQS: it has no messageId that it could be reported by", i)
		}
		attributes := message.object("attributes")
		body := unwrapper{limit: maxMessage, left: maxMessage}
		content, err := parse(message.text("body"))
		records, err := body.inside(content, err, depth)
		if err != nil {
			records = []Record{{Err: err, Count: 1}}
		}
		if sent, err := strconv.ParseInt(attributes.text("SentTimestamp"), 10, 48); err == nil && sent > 0 {
			records = sentAt(records, time.UnixMilli(sent).UTC())
		}
		for j := range records {
			r := &records[j]
			r.MessageID = id
			r.Delivery, _ = strconv.Atoi(attributes.text("ApproximateReceiveCount"))
			if strings.HasSuffix(message.text("eventSourceARN"), ".fifo") {
				r.Group = attributes.text("MessageGroupId")
			}
		}
		held[i] = records
	}
	return slices.Concat(held...), nil
}

// sentAt gives the events without a time the one at which they were sent on.
func sentAt(records []Record, at time.Time) []Record {
	for i := range records {
		if records[i].Event.Time.IsZero() {
			records[i].Event.Time = at
		}
	}
	return records
}

// notifications takes an event of SNS or SMN, which has a list, or the notification of SNS itself,
// as it stands in a queue.
func (u *unwrapper) notifications(o object, list []value, depth int) ([]Record, error) {
	if list == nil {
		content, err := o["Message"].content()
		return u.inside(content, err, depth)
	}
	if len(list) > u.left {
		return nil, u.count(len(list))
	}
	var all []Record
	for i, raw := range list {
		record, err := raw.object()
		if err != nil {
			return nil, invalid("record %d is %v", i, err)
		}
		message := record.object("Sns")["Message"]
		if smn := record.object("smn"); smn != nil {
			message = smn["message"]
		}
		content, err := message.content()
		records, err := u.inside(content, err, depth)
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	return merge(all), nil
}

// destination takes out what the function was given if it failed, or what it answered if it
// succeeded.
func (u *unwrapper) destination(o object, depth int) ([]Record, error) {
	context, request, response := "requestContext", "requestPayload", "responsePayload"
	answered, functionError, statusCode := o.object("responseContext"), "functionError", "statusCode"
	if !o.has(request) { // as FunctionGraph spells them
		context, request, response = "request_context", "request_payload", "response_payload"
		answered, functionError, statusCode = o.object("response_context"), "function_error", "status_code"
	}
	// Lambda says Success. FunctionGraph documents an empty condition beside an answer.
	condition := o.object(context).text("condition")
	failed := !answered.empty(functionError) || answered.number(statusCode) >= http.StatusBadRequest
	held := o[request]
	if !failed && (condition == "Success" || condition == "") {
		held = o[response]
	}
	content, err := held.content()
	return u.inside(content, err, depth)
}

// timer takes the CloudEvent out of user_event. Each firing of the timer is an event of its own:
// its time becomes the event's, and a part of the event's id.
func (u *unwrapper) timer(o object) ([]Record, error) {
	content, err := o["user_event"].content()
	var event object
	if err == nil {
		event, err = content.object()
	}
	if err == nil && !event.has("specversion") {
		err = errors.New("not a CloudEvent: it has no specversion")
	}
	if err != nil {
		return u.settle(nil, invalid("user_event of the timer is %v; put a CloudEvent into it, such as %s", err,
			`{"specversion":"1.0","id":"audit","source":"/timer","type":"org.audit"}`))
	}
	at, ok := moment(o["time"])
	if !ok {
		return u.settle(nil, invalid("the timer has no time like 2026-01-02T03:04:05+08:00, "+
			"so its firings can't be told apart"))
	}
	firing := at.Format(time.RFC3339Nano)
	if id := event.text("id"); strings.TrimSpace(id) != "" { // else the event isn't valid
		event["id"] = quote(id + "/" + cmp.Or(o.text("time"), firing))
	}
	event["time"] = quote(firing)
	return []Record{readRecord(event, len(content))}, u.count(1)
}

// moment reads a time: RFC 3339, or milliseconds since 1970 as a number or a string.
func moment(v value) (time.Time, bool) {
	text := v.scalar()
	if ms, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "_xX") {
		return time.UnixMilli(int64(ms)).UTC(), ms >= 1e11 && ms < 1<<47 // less would be seconds
	}
	at, err := parseTime(text)
	return at, err == nil
}

// readRecord reads a structured CloudEvent, which is size bytes long.
func readRecord(o object, size int) Record {
	r := Record{Count: 1}
	if size > maxEvent {
		r.Err = &InvalidEventError{
			Reason: fmt.Sprintf("the event has %d bytes; at most %d are taken", size, maxEvent),
			Status: http.StatusRequestEntityTooLarge,
		}
		return r
	}
	var err error
	if r.Event, err = readEvent(o); err != nil {
		r.Err = invalid("not a valid CloudEvent 1.0: %v", err)
	}
	return r
}
