package sink_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/sink"
	"registrar/pkg/attempt"
)

const (
	busARN = "arn:aws:events:eu-west-3:123456789012:event-bus/results"
	nobody = "http://127.0.0.1:1" // where nothing listens; another test may get the port of a server that was closed
)

// TestMain lets the test binary also be a program that sends one event to the sink of its
// environment.
func TestMain(m *testing.M) {
	if os.Getenv("SINK_TEST_SEND") == "" {
		os.Exit(m.Run())
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if err := sendAsConfigured(); err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
}

func sendAsConfigured() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := configured(ctx, envconfig.OsLookuper())
	if err != nil {
		return err
	}
	send, err := sink.New(c)
	if err != nil {
		return err
	}
	return send(ctx, resultEvent())
}

func configured(ctx context.Context, environment envconfig.Lookuper) (sink.Config, error) {
	var c sink.Config
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &c, Lookuper: environment})
	return c, err
}

// to is the configuration with that RESULT_SINK.
func to(t *testing.T, text string) (c sink.Config) {
	t.Helper()
	require.NoError(t, c.Target.UnmarshalText([]byte(text)))
	return c
}

// resultEvent is an event with all that a result event may have, and with characters that JSON may
// escape.
func resultEvent() event.Event {
	e := event.New()
	e.SetID("0f8b1f5e-8f3a-5f43-9d0c-6a1f2f0e7c11")
	e.SetSource("/registrar/register-region")
	e.SetType("org.region.registered")
	e.SetSubject("cn-north-4")
	e.SetTime(time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC))
	e.SetExtension("causationid", "1")
	e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(`{"outcome":"registered","message":"a \"quoted\" <b> & ü € \\ \u0001","attempts":1}`)
	return e
}

func encoded(t *testing.T, e event.Event) string {
	t.Helper()
	text, err := e.MarshalJSON()
	require.NoError(t, err)
	return string(text)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// assertKind asserts that err has a kind, names the sink, and shows no secret.
func assertKind(t *testing.T, err error, kind attempt.Kind, contains ...string) {
	t.Helper()
	require.Error(t, err)
	assert.Equal(t, kind, attempt.KindOf(err), err)
	for _, text := range contains {
		assert.ErrorContains(t, err, text)
	}
	text := err.Error()
	assert.True(t, strings.HasPrefix(text, "the sink "), text)
	assert.LessOrEqual(t, len(text), 1100)
	assert.NotContains(t, text, "\n")
	for _, secret := range []string{
		awstest.AccessKey, awstest.SecretKey, awstest.SessionToken, pathSecret, querySecret,
	} {
		assert.NotContains(t, text, secret)
	}
}

func TestATargetIsCheckedAndNeverShown(t *testing.T) {
	t.Parallel()
	const (
		noURL = "must be a URL such as https://events.example.com/results, " +
			"or an EventBridge bus such as eventbridge://default"
		noHost = "must be a URL such as https://events.example.com/results"
		plain  = "must begin with https:// or eventbridge:// (http:// is for loopback addresses only)"
		noUser = "must not have a user name or password in it"
		noBus  = "must name a bus, such as eventbridge://default or " +
			"eventbridge://arn:aws:events:eu-central-1:123456789012:event-bus/results"
	)
	for text, want := range map[string]string{
		"eventbridge://landing-zone_1.a/b": "",
		"eventbridge://" + busARN:          "",
		"eventbridge://arn:aws-us-gov:events:us-gov-west-1:123456789012:event-bus/x": "",
		"https://h.example:8443/a?b=c":                           "",
		"HTTPS://h.example":                                      "",
		"http://localhost:8080":                                  "",
		"http://[::1]:8080":                                      "",
		"http://h.example":                                       plain,
		"eventbridge://":                                         noBus,
		"eventbridge://a b":                                      noBus,
		"eventbridge://" + strings.Repeat("a", 256):              "",
		"eventbridge://" + strings.Repeat("a", 257):              noBus,
		"eventbridge://arn:aws:sqs:eu-central-1:123456789012:q":  noBus,
		"eventbridge://arn:aws:events::123456789012:event-bus/x": noBus,
		"eventbridge://x?y":                                      noBus,
		"":                                                       noURL,
		"results":                                                noURL,
		"h.example:443":                                          noURL,
		"sqs://q":                                                noURL,
		"https://:443/":                                          noHost,
		"https://u:" + querySecret + "@h":                        noUser,
		"https://u:" + querySecret + "@h:x":                      noHost,
		"https://h/#x":                                           "must not have a fragment (#...)",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			var target sink.Target
			err := target.UnmarshalText([]byte(text))
			if want == "" {
				require.NoError(t, err)
				assert.NotZero(t, target)
				return
			}
			require.EqualError(t, err, want)
			assert.Zero(t, target)
		})
	}
}

func TestABrokerIsAnyHTTPAddress(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"http://broker-ingress.knative-eventing.svc.cluster.local/ns/default": true,
		"https://b":             true,
		"eventbridge://default": false,
		"http://u@b":            false,
		"":                      false,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			var broker sink.Broker
			err := broker.UnmarshalText([]byte(text))
			assert.Equal(t, ok, err == nil, err)
			if text == "" {
				require.EqualError(t, err, "must be a URL such as http://broker.example/")
			}
			assert.Equal(t, ok, broker != sink.Broker{})
		})
	}
}

func TestAnEnvironmentWithoutASinkHasNone(t *testing.T) {
	t.Parallel()
	c, err := configured(t.Context(), envconfig.MapLookuper(nil))
	require.NoError(t, err)
	assert.Zero(t, c.Target)
	assert.Zero(t, c.Broker)
	send, err := sink.New(c)
	require.NoError(t, err)
	assert.Nil(t, send)
}

func TestSourcesAreCheckedForEventBridgeOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ target, source, want string }{
		"one that is too long for EventBridge": {
			"eventbridge://x", strings.Repeat("ü", 257),
			"EVENT_SOURCE: has 257 characters, but EventBridge takes at most 256",
		},
		"the longest one": {"eventbridge://x", strings.Repeat("ü", 256), ""},
		"one that is kept for AWS": {
			"eventbridge://x", "aws.x",
			"EVENT_SOURCE: must not begin with aws., which EventBridge keeps for AWS itself",
		},
		"one that an HTTP sink takes": {"https://h", "aws.x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := to(t, c.target).CheckSource(c.source)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
	require.NoError(t, sink.Config{}.CheckSource("aws.x"), "no sink")
}

func TestOnlyTheSinkInUseIsBuilt(t *testing.T) {
	t.Parallel()
	const target, broker = "https://target.example", "http://broker.example"
	for name, c := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"a target": {map[string]string{"RESULT_SINK": target}, "target.example"},
		"a broker": {map[string]string{"K_SINK": broker}, "broker.example"},
		"a target before a broker": {
			map[string]string{"RESULT_SINK": target, "K_SINK": broker}, "target.example",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinks, err := configured(t.Context(), envconfig.MapLookuper(c.environment))
			require.NoError(t, err)
			var host string
			sinks.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				host = r.URL.Host
				return response(202, "", nil), nil
			})
			send, err := sink.New(sinks)
			require.NoError(t, err)
			require.NoError(t, send(t.Context(), resultEvent()))
			assert.Equal(t, c.want, host)
		})
	}
}

func TestTheSameEventIsSentTheSameWayAgain(t *testing.T) {
	t.Parallel()
	var bodies []string
	c := to(t, "https://h")
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		bodies = append(bodies, body(r))
		return response(202, "", nil), nil
	})
	send, err := sink.New(c)
	require.NoError(t, err)
	bus := new(awstest.EventBridge)
	toBus := bridge(t, bus)
	for range 2 {
		require.NoError(t, send(t.Context(), resultEvent()))
		require.NoError(t, toBus(t.Context(), resultEvent()))
	}
	for _, entry := range bus.Entries() {
		bodies = append(bodies, entry.Detail)
	}
	require.Len(t, bodies, 4)
	for _, body := range bodies {
		var e struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(body), &e))
		assert.Equal(t, resultEvent().ID(), e.ID)
		assert.Equal(t, bodies[0], body)
	}
}

func TestAnEventThatCannotBeEncodedIsTransient(t *testing.T) {
	t.Parallel()
	err := bridge(t, new(awstest.EventBridge))(t.Context(), event.Event{})
	assertKind(t, err, attempt.Transient, "the sink eventbridge://results: ")
}
