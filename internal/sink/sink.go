// Package sink delivers result events: to an EventBridge bus, or by HTTP to a receiver of
// CloudEvents.
//
// A bus gets ten events at once, a URL one after another. Each of these is sent up to 4 times, for
// 10 s each, while the failure is transient. The waits between them grow from 200 ms, or are what
// Retry-After asks for, up to 20 s. No attempt and no wait is begun that the deadline of the
// context would cut. What follows a failure isn't sent.
package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

const (
	attempts     = 4 // to deliver one event
	attemptLimit = 10 * time.Second
)

// A Sink delivers events, within the deadline of the context. Its error names the sink and shows
// nothing secret. It is misconfigured if an operator must act, and transient otherwise. Events may
// have arrived in spite of an error. Ten that follow each other must have at most 256 KiB together.
// A Sink is safe for concurrent use.
type Sink func(context.Context, ...event.Event) error

// Config says where events go. The zero Config has no sink.
type Config struct {
	Target Target `env:"RESULT_SINK"`
	Broker Broker `env:"K_SINK"` // where events go if there is no Target

	AWS       awsapi.Config     // for a bus
	Transport http.RoundTripper // sends requests to an HTTP sink; nil is the default of [wire.Client]
}

// CheckSource says why result events with a source, the value of EVENT_SOURCE, can't go to the
// sink. EventBridge would drop one whose source is too long, and report success.
func (c Config) CheckSource(source string) error {
	if c.Target.bus == "" {
		return nil
	}
	const most = 256
	if length := utf8.RuneCountInString(source); length > most {
		return fmt.Errorf("EVENT_SOURCE: has %d characters, but EventBridge takes at most %d", length, most)
	}
	if strings.HasPrefix(source, "aws.") {
		return errors.New("EVENT_SOURCE: must not begin with aws., which EventBridge keeps for AWS itself")
	}
	return nil
}

// Target is a sink that the operator chose: eventbridge://<bus name or ARN>, or a URL that takes
// CloudEvents by POST. The zero Target means that none was chosen.
type Target struct {
	bus    string   // name or ARN of the bus; empty for a URL
	region string   // the region in the ARN of the bus; empty for a name
	url    *url.URL // nil for a bus
}

// Format implements [fmt.Formatter]: no verb shows the URL, which may be secret.
func (Target) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, wire.Redacted) }

// UnmarshalText takes an EventBridge bus, an https URL, or an http URL of a loopback address. Its
// error doesn't show the text, which may have a password in it.
func (t *Target) UnmarshalText(text []byte) error {
	const example = "https://events.example.com/results"
	scheme, rest, _ := strings.Cut(string(text), "://")
	switch strings.ToLower(scheme) {
	case "eventbridge":
		const longest = 256 // characters of a name; the form has no number for them, which would make it slow
		bus := regexp.MustCompile(`^(?:arn:aws[a-z-]*:events:([a-z]+(?:-[a-z]+)+-[0-9]+):[0-9]{12}:event-bus/)?` +
			`([A-Za-z0-9._/-]+)$`).FindStringSubmatch(rest)
		if bus == nil || len(bus[2]) > longest {
			return errors.New("must name a bus, such as eventbridge://default or " +
				"eventbridge://arn:aws:events:eu-central-1:123456789012:event-bus/results")
		}
		*t = Target{bus: bus[0], region: bus[1]}
		return nil
	case "http", "https":
		u, err := wire.ParseURL(string(text), example)
		if err == nil && u.Scheme != "https" && !wire.Loopback(u.Hostname()) {
			err = errors.New("must begin with https:// or eventbridge:// (http:// is for loopback addresses only)")
		}
		if err != nil {
			return err
		}
		*t = Target{url: u}
		return nil
	default:
		return errors.New("must be a URL such as " + example + ", " +
			"or an EventBridge bus such as eventbridge://default")
	}
}

// Broker is a URL that takes CloudEvents by POST, as Knative gives it to a program. Brokers inside
// a cluster speak plain http. The zero Broker means that there is none.
type Broker struct{ url *url.URL }

// Format implements [fmt.Formatter]: no verb shows the URL, which may be secret.
func (Broker) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, wire.Redacted) }

// UnmarshalText takes an http or https URL. Its error doesn't show the text, which may have a
// password in it.
func (b *Broker) UnmarshalText(text []byte) (err error) {
	b.url, err = wire.ParseURL(string(text), "http://broker.example/")
	return err
}

// New makes the sink of c, nil if c has none. It calls nothing. Its error is misconfigured.
func New(c Config) (Sink, error) {
	switch {
	case c.Target.bus != "":
		return newBus(c.AWS, c.Target.bus, c.Target.region)
	case c.Target.url != nil:
		return newHTTP(c.Target.url, c.Transport), nil
	case c.Broker.url != nil:
		return newHTTP(c.Broker.url, c.Transport), nil
	}
	return nil, nil
}

// outgoing is an event, and the same as JSON.
type outgoing struct {
	event.Event
	encoded []byte
}

// deliverer makes a Sink of send, which makes one attempt to send at most so many events, and
// returns those that it couldn't send.
func deliverer(
	name string, atOnce int, send func(context.Context, []outgoing) (left []outgoing, _ *attempt.Failure),
) Sink {
	return func(ctx context.Context, all ...event.Event) error {
		for some := range slices.Chunk(all, atOnce) {
			left, err := encode(some)
			if err == nil {
				err = attempt.Do(ctx, attempts, func(ctx context.Context) (failure *attempt.Failure) {
					ctx, cancel := attempt.Timeout(ctx, attemptLimit)
					defer cancel()
					left, failure = send(ctx, left)
					return failure
				})
			}
			if err != nil {
				return named(name, err)
			}
		}
		return nil
	}
}

func encode(all []event.Event) ([]outgoing, error) {
	var encoded []outgoing
	for _, e := range all {
		body, err := e.MarshalJSON() // json.Marshal would escape HTML in it
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, outgoing{e, body})
	}
	return encoded, nil
}

// named adds the name of the sink to err.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the sink %s: %w", name, err)
}
