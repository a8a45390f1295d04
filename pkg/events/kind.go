package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"
)

// Data is what the data of an input event reads as.
type Data interface {
	// Subject is what the event is about, as far as it could be read, and of the results.
	Subject() string

	// reject makes the result of an event that is rejected before anything was registered. The receiver is what could be read.
	reject(Registration) Result
}

// Kind is one kind of input event: what it is called, how its data is read and bounded, and what its results are called.
type Kind[T Data] struct {
	Type   string // of the input, such as "org.bootstrap"
	Result string // what the types of the results begin with, such as "org.region"

	read func(object) (T, error)
}

// notAllowedError is the error of data that is well formed and outside what the configuration allows.
type notAllowedError struct{ message string }

func (e *notAllowedError) Error() string { return e.message }

// Decode reads the data of an event. Data that can never succeed gives the result that says so, and
// otherwise the result is nil.
func (k Kind[T]) Decode(e Event[json.RawMessage]) (Event[T], Result) {
	decoded := Event[T]{
		Cause: e.Cause, Time: e.Time, ContentType: e.ContentType, DryRun: e.DryRun,
		CorrelationID: e.CorrelationID, TraceParent: e.TraceParent, TraceState: e.TraceState,
	}
	reject := func(reason Reason, err error) (Event[T], Result) {
		return decoded, decoded.Data.reject(Registration{Outcome: Rejected, Reason: reason, Message: shorten(err.Error(), maxText)})
	}
	o, err := readData(e)
	if err != nil {
		return reject(InvalidData, err)
	}
	dryRun := false
	if err := o.read("dry_run", &dryRun); err != nil {
		return reject(InvalidData, fmt.Errorf("data.%w", err))
	}
	decoded.DryRun = decoded.DryRun || dryRun
	decoded.Data, err = k.read(o)
	if forbidden, ok := errors.AsType[*notAllowedError](err); ok {
		return reject(NotAllowed, forbidden)
	}
	if err != nil {
		return reject(InvalidData, fmt.Errorf("data.%w", err))
	}
	return decoded, nil
}

// readData takes data for a JSON object, and none for an empty one.
func readData(e Event[json.RawMessage]) (object, error) {
	if e.ContentType != "" {
		mediaType, _, err := mime.ParseMediaType(e.ContentType)
		if err != nil || mediaType != "application/json" && mediaType != "text/json" && !strings.HasSuffix(mediaType, "+json") {
			return nil, fmt.Errorf("data must be JSON, and datacontenttype application/json or none, not %.100q", e.ContentType)
		}
	}
	if len(e.Data) == 0 || string(e.Data) == "null" {
		return object{}, nil
	}
	if !utf8.Valid(e.Data) {
		return nil, errors.New("data is not UTF-8")
	}
	o, err := parseObject(e.Data)
	if err != nil {
		return nil, fmt.Errorf("data is %w; it must be a JSON object", err)
	}
	return o, nil
}

// IsResult reports whether eventType is the type of a result event of any kind.
func IsResult(eventType string) bool {
	for _, result := range []string{regionResult, adminResult} {
		if rest, ok := strings.CutPrefix(eventType, result+"."); ok {
			return slices.Contains([]Outcome{Registered, Rejected, Planned}, Outcome(rest))
		}
	}
	return false
}
