package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxEvent     = 256 << 10 // bytes of one event
	maxAttribute = 1 << 10   // bytes of one context attribute, so that results stay small
)

// InvalidEventError says why a payload, or a record of it, is no event for this function, and what would be.
// It never shows more of the payload than a name or a short value.
type InvalidEventError struct{ Reason string }

func (e *InvalidEventError) Error() string { return e.Reason }

func invalid(format string, args ...any) *InvalidEventError {
	return &InvalidEventError{Reason: fmt.Sprintf(format, args...)}
}

// Shape is what a payload was wrapped in. It decides how it is answered.
type Shape string

// The shapes a payload comes in.
const (
	Structured Shape = "CloudEvent"           // one CloudEvent in JSON
	Array      Shape = "array of CloudEvents" // a JSON array of these, maybe empty
)

// Envelope is a payload taken apart.
type Envelope struct {
	Shape   Shape
	Records []Record // one each, in the payload's order
}

// Record is an event, or the reason why it is none.
type Record struct {
	Event Event[json.RawMessage] // as much of it as could be read; its data is nil if there is none
	Err   error                  // nil or an [*InvalidEventError]
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

// Unwrap takes the events out of a payload. It copies what it keeps. An error is an [*InvalidEventError] and concerns the whole
// payload; a single event that is none is a record with an error.
func Unwrap(payload []byte) (Envelope, error) {
	if !utf8.Valid(payload) {
		return Envelope{}, invalid("payload is not UTF-8")
	}
	trimmed := strings.TrimLeft(strings.TrimPrefix(string(payload), "\ufeff"), " \t\r\n")
	if trimmed != "" && trimmed[0] == '[' {
		var elements []json.RawMessage
		if err := json.Unmarshal([]byte(trimmed), &elements); err != nil {
			return Envelope{}, invalid("payload is not JSON: %v", err)
		}
		records := make([]Record, len(elements))
		for i, element := range elements {
			records[i] = record(element)
		}
		return Envelope{Shape: Array, Records: records}, nil
	}
	object, err := parseObject([]byte(trimmed))
	if err != nil {
		return Envelope{}, invalid("payload is %v; it must be a CloudEvent in JSON, or an array of them", err)
	}
	if _, ok := object["specversion"]; !ok {
		return Envelope{}, invalid("payload is no CloudEvent: it has no specversion; " +
			"it must be a CloudEvent in JSON, or an array of them")
	}
	return Envelope{Shape: Structured, Records: []Record{record([]byte(trimmed))}}, nil
}

// record reads a structured CloudEvent.
func record(structured []byte) (r Record) {
	if len(structured) > maxEvent {
		return Record{Err: invalid("the event has %d bytes; at most %d are taken", len(structured), maxEvent)}
	}
	object, err := parseObject(structured)
	if err != nil {
		return Record{Err: invalid("the event is %v", err)}
	}
	if r.Event, err = readEvent(object); err != nil {
		r.Err = invalid("no valid CloudEvent 1.0: %v", err)
	}
	return r
}
