package events

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Event is a CloudEvent, as received.
type Event struct {
	Cause
	Time          time.Time       // else when EventBridge or SQS got the event; the zero time if nobody says
	CorrelationID string          // empty if there is none
	TraceParent   string          // W3C traceparent; empty if there is none
	TraceState    string          // empty if there is none
	ContentType   string          // the media type of Data; empty means JSON
	DryRun        bool            // change nothing, only say what would be done
	Data          json.RawMessage // nil if there is none
}

// Cause identifies a CloudEvent.
type Cause struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Type   string `json:"type"`
}

// Data is the decoded data of an input event.
type Data interface {
	// Reject makes the result of an event that is rejected as a whole. The message is a sentence
	// that a person can act on. Reject also works on data of which only a part could be decoded.
	Reject(reason Reason, message string) Result
}

// Input is what a function takes: types of events, and how their data decodes into T. Decoding
// looks at the form alone. The function that takes the event decides what may be asked for, and
// what the default is.
type Input[T Data] struct {
	Type     string   // such as "org.bootstrap"
	Requests []string // the types of requests whose data reads alike, such as "org.service.missing"
	read     func(object) (T, error)
}

// Decode reads the data of e. It sets e.DryRun if the data asks for a dry run, and never clears it.
// With an error, which says what is wrong with the data, T holds what could be read.
func (in Input[T]) Decode(e *Event) (T, error) {
	var none T
	o, err := readData(e)
	if err != nil {
		return none, err
	}
	switch dryRun := o.given("dry_run"); dryRun {
	case "true":
		e.DryRun = true
	case "", "false":
	default:
		return none, fmt.Errorf("data.%w", notOfKind("dry_run", dryRun))
	}
	data, err := in.read(o)
	if err != nil {
		return data, fmt.Errorf("data.%w", err)
	}
	return data, nil
}

// readData parses data as a JSON object. Absent data reads as {}.
func readData(e *Event) (object, error) {
	text := strings.TrimPrefix(string(e.Data), byteOrderMark)
	if text == "" || text == "null" { // whatever type it would have
		return object{}, nil
	}
	if e.ContentType != "" && !isJSON(e.ContentType) {
		return nil, fmt.Errorf("data must be JSON, and datacontenttype application/json or absent, not %.100q",
			e.ContentType)
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, fmt.Errorf("data is %w; it must be a JSON object", err)
	}
	return o, nil
}

func isJSON(contentType string) bool {
	if contentType == event.ApplicationJSON { // what nearly everybody sends
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil &&
		(mediaType == event.ApplicationJSON || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json"))
}
