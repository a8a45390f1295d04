// Package sink is where result events leave: to an EventBridge bus, or by HTTP to whoever takes CloudEvents.
//
// An event is sent up to 4 times, 10 s each, while no answer comes or it is one that says "later": HTTP 408, 429 and 5xx, or
// their like among the error codes of AWS. Waits grow from 200 ms, or are what Retry-After asks for, up to 20 s. Nothing is begun that
// the deadline of the context would cut. A sink that refuses for good (a redirect, 400, 401, 403, 404 and such, access denied, no such bus,
// an untrusted certificate) is misconfigured; every other failure is transient.
package sink

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/cloudevents/sdk-go/v2/event"
)

// A Sink delivers one event. It tries a few times, within the deadline of the context. Its error wraps client.ErrMisconfigured if
// the sink refuses for good, so that an operator must act, and client.ErrTransient otherwise. It names the sink and the
// cause in at most about 1 KiB, and nothing secret. An event that failed may have arrived all the same. A Sink is safe for concurrent use.
type Sink func(context.Context, event.Event) error

// Config says where events go. It is read from the environment; all that a literal needs is Target or Broker.
type Config struct {
	Target Target `env:"RESULT_SINK"`  // empty: Broker
	Broker Broker `env:"K_SINK"`       // empty, like Target: there is no sink
	Source string `env:"EVENT_SOURCE"` // of the results; only checked, because EventBridge doesn't take every one

	LoadAWS   func(context.Context) (aws.Config, error) // called for an EventBridge bus only; nil: what the environment says
	Transport http.RoundTripper                         // of an HTTP sink; nil: HTTP/1.1 with keep-alive, through the proxy that the environment names
}

// Validate names each variable that doesn't go with the others.
func (c Config) Validate() error {
	if strings.HasPrefix(string(c.Target), busScheme) {
		return checkSource(c.Source)
	}
	return nil
}

// Target is a sink that the user chose: eventbridge://<bus name or ARN>, or a URL that takes CloudEvents by POST.
type Target string

// UnmarshalText takes an EventBridge bus, an https URL, or an http URL of a loopback address.
func (t *Target) UnmarshalText(text []byte) error {
	if bus, ok := strings.CutPrefix(string(text), busScheme); ok {
		if _, err := parseBus(bus); err != nil {
			return err
		}
	} else if u, err := parseURL(string(text)); err != nil {
		return err
	} else if u.Scheme != "https" && !loopback(u.Hostname()) {
		return errors.New("must begin with https:// or eventbridge:// (http:// is for loopback addresses only)")
	}
	*t = Target(text)
	return nil
}

// Broker is a URL that takes CloudEvents by POST, as Knative tells a program where to send them: plain http is
// what brokers inside a cluster speak.
type Broker string

// UnmarshalText takes an http or https URL.
func (b *Broker) UnmarshalText(text []byte) error {
	if _, err := parseURL(string(text)); err != nil {
		return err
	}
	*b = Broker(text)
	return nil
}

// New makes the sink of c, nil if c has none. It doesn't use the network. Its error wraps client.ErrMisconfigured.
func New(ctx context.Context, c Config) (Sink, error) {
	if bus, ok := strings.CutPrefix(string(c.Target), busScheme); ok {
		return newBus(ctx, bus, c.LoadAWS)
	}
	if target := cmp.Or(string(c.Target), string(c.Broker)); target != "" {
		return newHTTP(target, c.Transport)
	}
	return nil, nil
}

// parseBus returns the region of a bus that is given as an ARN; a name has none.
func parseBus(bus string) (region string, err error) {
	match := regexp.MustCompile(`^(?:arn:aws[a-z-]*:events:([a-z]+(?:-[a-z]+)+-[0-9]+):[0-9]{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}$`).FindStringSubmatch(bus)
	if match == nil {
		return "", errors.New("must name a bus, such as eventbridge://default or eventbridge://arn:aws:events:eu-central-1:123456789012:event-bus/results")
	}
	return match[1], nil
}

// parseURL doesn't quote what it refuses: there may be a password in it.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("must be a URL such as https://events.example.com/results, or an EventBridge bus such as eventbridge://default")
	case u.User != nil:
		return nil, errors.New("must not have a user name or password in it")
	case u.Fragment != "":
		return nil, errors.New("must not have a fragment (#...)")
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
