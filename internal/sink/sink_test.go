package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/sink"
	"registrar/pkg/client"
)

// TestMain lets the test binary be a program that sends one event to where its environment says, too.
func TestMain(m *testing.M) {
	if os.Getenv("SINK_TEST_SEND") == "" {
		os.Exit(m.Run())
	}
	if err := sendAsConfigured(); err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
}

func sendAsConfigured() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := handler.Load[sink.Config](ctx, envconfig.OsLookuper())
	if err != nil {
		return err
	}
	send, err := sink.New(ctx, c)
	if err != nil {
		return err
	}
	return send(ctx, result())
}

// result is an event with all that a result may have, and with characters that are escaped too easily.
func result() event.Event {
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

// assertKind asserts that err is of one kind only and shows nothing it shouldn't.
func assertKind(t *testing.T, err, kind error, contains ...string) {
	t.Helper()
	require.Error(t, err)
	assert.Equal(t, errors.Is(kind, client.ErrMisconfigured), errors.Is(err, client.ErrMisconfigured), "misconfigured: %v", err)
	assert.Equal(t, errors.Is(kind, client.ErrTransient), errors.Is(err, client.ErrTransient), "transient: %v", err)
	for _, text := range contains {
		assert.ErrorContains(t, err, text)
	}
	text := err.Error()
	assert.LessOrEqual(t, len(text), 1100)
	assert.NotContains(t, text, "\n")
	for _, secret := range []string{accessKey, secretKey, sessionToken, pathSecret, querySecret} {
		assert.NotContains(t, text, secret)
	}
}

func TestConfigurationIsCheckedByName(t *testing.T) {
	t.Parallel()
	const (
		noURL  = ": must be a URL such as https://events.example.com/results, or an EventBridge bus such as eventbridge://default"
		plain  = "RESULT_SINK: must begin with https:// or eventbridge:// (http:// is for loopback addresses only)"
		noUser = ": must not have a user name or password in it"
		noBus  = "RESULT_SINK: must name a bus, such as eventbridge://default"
	)
	type environment = map[string]string
	cases := map[string]struct {
		environment environment
		want        sink.Config
		errs        []string
	}{
		"nothing is no sink":                      {environment{}, sink.Config{}, nil},
		"empty variables are no sink":             {environment{"RESULT_SINK": "", "K_SINK": " "}, sink.Config{}, nil},
		"a bus by name":                           {environment{"RESULT_SINK": "eventbridge://landing-zone_1.a/b"}, sink.Config{Target: "eventbridge://landing-zone_1.a/b"}, nil},
		"a bus by ARN":                            {environment{"RESULT_SINK": busARN}, sink.Config{Target: busARN}, nil},
		"a bus in another partition":              {environment{"RESULT_SINK": "eventbridge://arn:aws-us-gov:events:us-gov-west-1:123456789012:event-bus/x"}, sink.Config{Target: "eventbridge://arn:aws-us-gov:events:us-gov-west-1:123456789012:event-bus/x"}, nil},
		"an https URL":                            {environment{"RESULT_SINK": "https://h.example:8443/a?b=c"}, sink.Config{Target: "https://h.example:8443/a?b=c"}, nil},
		"an http URL of this machine":             {environment{"RESULT_SINK": "http://localhost:8080"}, sink.Config{Target: "http://localhost:8080"}, nil},
		"an http URL of this machine, IPv6":       {environment{"RESULT_SINK": "http://[::1]:8080"}, sink.Config{Target: "http://[::1]:8080"}, nil},
		"an http URL of a broker":                 {environment{"K_SINK": "http://broker-ingress.knative-eventing.svc.cluster.local/ns/default"}, sink.Config{Broker: "http://broker-ingress.knative-eventing.svc.cluster.local/ns/default"}, nil},
		"an https URL of a broker":                {environment{"K_SINK": "https://b"}, sink.Config{Broker: "https://b"}, nil},
		"an http URL of another machine":          {environment{"RESULT_SINK": "http://h.example"}, sink.Config{}, []string{plain}},
		"no bus":                                  {environment{"RESULT_SINK": "eventbridge://"}, sink.Config{}, []string{noBus}},
		"a bus with a space":                      {environment{"RESULT_SINK": "eventbridge://a b"}, sink.Config{}, []string{noBus}},
		"an ARN of something else":                {environment{"RESULT_SINK": "eventbridge://arn:aws:sqs:eu-central-1:123456789012:q"}, sink.Config{}, []string{noBus}},
		"an ARN without a region":                 {environment{"RESULT_SINK": "eventbridge://arn:aws:events::123456789012:event-bus/x"}, sink.Config{}, []string{noBus}},
		"a bus with a query":                      {environment{"RESULT_SINK": "eventbridge://x?y"}, sink.Config{}, []string{noBus}},
		"a bare name":                             {environment{"RESULT_SINK": "results"}, sink.Config{}, []string{"RESULT_SINK" + noURL}},
		"a bare host":                             {environment{"RESULT_SINK": "h.example:443"}, sink.Config{}, []string{"RESULT_SINK" + noURL}},
		"another scheme":                          {environment{"RESULT_SINK": "sqs://q"}, sink.Config{}, []string{"RESULT_SINK" + noURL}},
		"no host":                                 {environment{"RESULT_SINK": "https://:443/"}, sink.Config{}, []string{"RESULT_SINK" + noURL}},
		"a password":                              {environment{"RESULT_SINK": "https://u:" + querySecret + "@h"}, sink.Config{}, []string{"RESULT_SINK" + noUser}},
		"a password in what is no URL":            {environment{"RESULT_SINK": "https://u:" + querySecret + "@h:x"}, sink.Config{}, []string{"RESULT_SINK" + noURL}},
		"a fragment":                              {environment{"RESULT_SINK": "https://h/#x"}, sink.Config{}, []string{"RESULT_SINK: must not have a fragment (#...)"}},
		"both are reported":                       {environment{"RESULT_SINK": "x", "K_SINK": "http://u@b"}, sink.Config{}, []string{"RESULT_SINK" + noURL, "K_SINK" + noUser}},
		"a bus is none of Knative's":              {environment{"K_SINK": "eventbridge://default"}, sink.Config{}, []string{"K_SINK" + noURL}},
		"a source that EventBridge would drop":    {environment{"RESULT_SINK": "eventbridge://x", "EVENT_SOURCE": strings.Repeat("s", 257)}, sink.Config{Target: "eventbridge://x", Source: strings.Repeat("s", 257)}, []string{"EVENT_SOURCE: has 257 characters, but EventBridge takes at most 256"}},
		"a source that EventBridge would just do": {environment{"RESULT_SINK": "eventbridge://x", "EVENT_SOURCE": strings.Repeat("s", 256)}, sink.Config{Target: "eventbridge://x", Source: strings.Repeat("s", 256)}, nil},
		"a source that is kept for AWS":           {environment{"RESULT_SINK": "eventbridge://x", "EVENT_SOURCE": "aws.x"}, sink.Config{Target: "eventbridge://x", Source: "aws.x"}, []string{"EVENT_SOURCE: must not begin with aws."}},
		"a source that only EventBridge minds":    {environment{"RESULT_SINK": "https://h", "EVENT_SOURCE": "aws.x"}, sink.Config{Target: "https://h", Source: "aws.x"}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := handler.Load[sink.Config](t.Context(), envconfig.MapLookuper(c.environment))
			assert.Equal(t, c.want, got)
			if c.errs == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(c.errs))
			for i, want := range c.errs {
				assert.True(t, strings.HasPrefix(lines[i], want), lines[i])
			}
			assert.NotContains(t, err.Error(), querySecret)
		})
	}
}

func TestNoSinkIsNil(t *testing.T) {
	t.Parallel()
	send, err := sink.New(t.Context(), sink.Config{LoadAWS: noAWS(t)})
	require.NoError(t, err)
	assert.Nil(t, send)
}

func TestOnlyTheSinkInUseIsBuilt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]sink.Config{
		"a target":                 {Target: "https://target.example"},
		"a broker":                 {Broker: "http://broker.example"},
		"a target before a broker": {Target: "https://target.example", Broker: "http://broker.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var host string
			c.LoadAWS = noAWS(t)
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				host = r.URL.Host
				return response(202, "", nil), nil
			})
			send, err := sink.New(t.Context(), c)
			require.NoError(t, err)
			require.NoError(t, send(t.Context(), result()))
			want := "target.example"
			if c.Target == "" {
				want = "broker.example"
			}
			assert.Equal(t, want, host)
		})
	}
}

func noAWS(t *testing.T) func(context.Context) (aws.Config, error) {
	return func(context.Context) (aws.Config, error) {
		t.Error("AWS configuration was loaded")
		return aws.Config{}, nil
	}
}

func TestALiteralThatNoEnvironmentGivesIsMisconfigured(t *testing.T) {
	t.Parallel()
	for _, c := range []sink.Config{{Target: "x"}, {Target: "eventbridge://"}, {Broker: "http://u:" + querySecret + "@h"}} {
		_, err := sink.New(t.Context(), c)
		assertKind(t, err, client.ErrMisconfigured)
	}
}

func TestTheSameEventIsSentTheSameWayAgain(t *testing.T) {
	t.Parallel()
	var bodies []string
	send, err := sink.New(t.Context(), sink.Config{Target: "https://h", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		bodies = append(bodies, body(r))
		return response(202, "", nil), nil
	})})
	require.NoError(t, err)
	aws := &fakeAWS{t: t}
	toBus := aws.sink()
	for range 2 {
		require.NoError(t, send(t.Context(), result()))
		require.NoError(t, toBus(t.Context(), result()))
	}
	for _, entry := range aws.entries {
		bodies = append(bodies, entry.Detail)
	}
	require.Len(t, bodies, 4)
	for _, body := range bodies {
		var e struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(body), &e))
		assert.Equal(t, result().ID(), e.ID)
		assert.Equal(t, bodies[0], body)
	}
}
