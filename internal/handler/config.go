package handler

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"registrar/pkg/events"
)

// Config is the part of the configuration that every function has.
type Config struct {
	Types       EventTypes  `env:"EVENT_TYPES"`            // the types of events to take; nil means the function's own
	Source      EventSource `env:"EVENT_SOURCE"`           // the source of result events; empty means /registrar/<name>
	DryRun      bool        `env:"DRY_RUN"`                // change nothing, whatever the event says
	Concurrency int         `env:"CONCURRENCY, default=1"` // how many events of a batch are handled at once
}

// Validate names each variable that is out of its bounds.
func (c Config) Validate() error {
	if c.Concurrency < 1 || c.Concurrency > 100 {
		return errors.New("CONCURRENCY: must be a number from 1 to 100")
	}
	return nil
}

// EventTypes are types of CloudEvents.
type EventTypes []string

// UnmarshalText takes a comma-separated list, or an empty text, which means none. The type of one
// of our results is an error: the function would be invoked by its own results.
func (t *EventTypes) UnmarshalText(text []byte) error {
	*t = nil
	if len(text) == 0 {
		return nil
	}
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "" || strings.ContainsFunc(name, unicode.IsControl):
			return errors.New("must be a comma-separated list of event types, such as org.bootstrap")
		case events.IsResult(name):
			return fmt.Errorf("%s is the type of a result: the function would feed on its own results", name)
		}
		*t = append(*t, name)
	}
	return nil
}

// EventSource is the source of a CloudEvent.
type EventSource string

// UnmarshalText takes a URI-reference, or an empty text, which means none.
func (s *EventSource) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.String() != string(text) || len(text) > 1<<10 || !events.IsURIReference(string(text)) {
		return errors.New("must be a URI-reference such as /registrar/register-region, of at most 1024 characters")
	}
	*s = EventSource(text)
	return nil
}
