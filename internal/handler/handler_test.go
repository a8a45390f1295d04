package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type registerFunc = func(context.Context, events.Event, events.BootstrapRegion) (events.Result, error)

func newHandler(register registerFunc) *handler.Handler {
	function := handler.NewFunction(events.BootstrapRegionInput(), register)
	return &handler.Handler{Name: "register-region", Function: function}
}

func registered(_ context.Context, _ events.Event, asked events.BootstrapRegion) (events.Result, error) {
	return events.RegionResult{Registration: events.Registration{
		RegionID: asked.RegionID, Outcome: events.Registered, Attempts: 1, RequestID: "r-1",
	}}, nil
}

// returns is a register func that returns the registration as its result.
func returns(r events.Registration) registerFunc {
	return func(context.Context, events.Event, events.BootstrapRegion) (events.Result, error) {
		return events.RegionResult{Registration: r}, nil
	}
}

// fails is a register func that fails with the error, and without a result.
func fails(err error) registerFunc {
	return func(context.Context, events.Event, events.BootstrapRegion) (events.Result, error) { return nil, err }
}

func panics(context.Context, events.Event, events.BootstrapRegion) (events.Result, error) {
	panic("boom")
}

// errorType is the name that Lambda reports for the error: that of its outermost Go type.
func errorType(err error) string { return reflect.TypeOf(err).Elem().Name() }

// apiError is the failure of a call that Huawei Cloud answered with the status.
func apiError(kind attempt.Kind, status int) error {
	return &attempt.Failure{Kind: kind, Answered: true, Throttled: status == 429, Err: &client.APIError{
		Operation: "RegisterRegion", Answer: client.Answer{Status: status, Code: "IIC.1000"},
	}}
}

func bootstrap(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/landing-zone","type":"org.bootstrap",`+
		`"data":{"region_id":"cn-north-4"}}`, id)
}

func TestAnEventIsAnsweredWithItsResultEvent(t *testing.T) {
	t.Parallel()
	answer, err := newHandler(registered).Invoke(t.Context(), []byte(bootstrap("1")))
	require.NoError(t, err)
	var out struct{ Type, Source, Subject, CausationID string }
	require.NoError(t, json.Unmarshal(answer, &out))
	assert.Equal(t, "org.region.registered", out.Type)
	assert.Equal(t, "/registrar/register-region", out.Source)
	assert.Equal(t, "cn-north-4", out.Subject)
	assert.Equal(t, "1", out.CausationID)
}

func TestEachKindOfFailureHasItsErrorType(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		payload  string
		register registerFunc
		want     string // the errorType that Lambda reports
		message  string
	}{
		"not JSON": {
			payload: "{", register: registered, want: "InvalidEventError", message: "payload is not JSON",
		},
		"not an event": {
			payload: `{"specversion":"1.0"}`, register: registered,
			want: "InvalidEventError", message: "id: is missing",
		},
		"another type": {
			payload: strings.Replace(bootstrap("1"), "org.bootstrap", "account.created", 1), register: registered,
			want:    "InvalidEventError",
			message: `register-region takes events of type org.bootstrap, not "account.created"`,
		},
		"its own result event": {
			payload: strings.Replace(bootstrap("1"), "org.bootstrap", "org.region.registered", 1), register: registered,
			want: "InvalidEventError", message: "takes events of type",
		},
		"misconfigured API": {
			payload: bootstrap("1"), register: fails(apiError(attempt.Misconfigured, 403)),
			want: "MisconfiguredError", message: "403 IIC.1000",
		},
		"transient API": {
			payload: bootstrap("1"), register: fails(apiError(attempt.Transient, 503)),
			want: "TransientError", message: "503",
		},
		"a refusal that the function returns": {
			payload: bootstrap("1"), register: fails(apiError(attempt.Refused, 409)),
			want: "TransientError", message: "409",
		},
		"an error without a kind": {
			payload: bootstrap("1"), register: fails(errors.New("odd")), want: "TransientError", message: "odd",
		},
		"a panic": {
			payload: bootstrap("1"), register: panics, want: "TransientError", message: "panic: boom",
		},
		"no result": {
			payload: bootstrap("1"), register: fails(nil),
			want: "TransientError", message: "register-region returned no result",
		},
		"a result without an outcome": {
			payload: bootstrap("1"), register: returns(events.Registration{}),
			want: "TransientError", message: "the result has the outcome",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := newHandler(c.register).Invoke(t.Context(), []byte(c.payload))
			assert.Nil(t, answer)
			require.Error(t, err)
			assert.Equal(t, c.want, errorType(err))
			assert.Contains(t, err.Error(), c.message)
		})
	}
}

func TestEveryElementOfAnArrayIsHandled(t *testing.T) {
	t.Parallel()
	answer, err := newHandler(registered).Invoke(t.Context(), []byte("["+bootstrap("1")+","+bootstrap("2")+"]"))
	require.NoError(t, err)
	var out []struct{ CausationID string }
	require.NoError(t, json.Unmarshal(answer, &out))
	require.Len(t, out, 2)
	assert.Equal(t, "2", out[1].CausationID)

	answer, err = newHandler(registered).Invoke(t.Context(), []byte("[]"))
	require.NoError(t, err)
	assert.Equal(t, "[]", string(answer))
}

func TestAnArrayFailsWithTheWorstKindAfterAllWereHandled(t *testing.T) {
	t.Parallel()
	misconfigured, transient := attempt.Misconfigured.Errorf("no rights"), errors.New("away")
	for name, c := range map[string]struct {
		fail    []error // the error of each event; nil is a success
		want    string
		message string
	}{
		"misconfigured before transient": {
			fail: []error{transient, nil, misconfigured},
			want: "MisconfiguredError", message: "3 of 4 events failed: no rights",
		},
		"transient before invalid": {
			fail: []error{nil, transient},
			want: "TransientError", message: "2 of 3 events failed: away",
		},
		"only invalid": {
			fail: []error{nil},
			want: "InvalidEventError", message: "1 of 2 events failed: not a valid CloudEvent 1.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handled := 0
			register := func(_ context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
				handled++
				if err := c.fail[handled-1]; err != nil {
					return nil, err
				}
				return registered(t.Context(), e, asked)
			}
			h := newHandler(register)
			var payload strings.Builder
			payload.WriteString(`[{"specversion":"1.0"}`)
			for i := range c.fail {
				payload.WriteString("," + bootstrap(fmt.Sprint(i)))
			}
			_, err := h.Invoke(t.Context(), []byte(payload.String()+"]"))
			assert.Equal(t, len(c.fail), handled)
			require.ErrorContains(t, err, c.message)
			assert.Equal(t, c.want, errorType(err))
		})
	}
}

func TestTheFunctionEndsBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		h := newHandler(func(ctx context.Context, _ events.Event, _ events.BootstrapRegion) (events.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		_, err := h.Invoke(ctx, []byte(bootstrap("1")))
		require.ErrorAs(t, err, new(*handler.TransientError))
		assert.Equal(t, 2500*time.Millisecond, time.Since(start))
	})
}

func TestTheTraceOfLambdaIsPassedOnUnlessTheEventHasOne(t *testing.T) {
	t.Parallel()
	const root, parent = "Root=1-5759e988-bd862e3fe1be46a994272793", "Parent=53995c3f42cd8ad8"
	const passedOn = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-"
	const own = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	for header, want := range map[string]string{
		root + ";" + parent + ";Sampled=1":                             passedOn + "01",
		"Self=1-x;" + root + ";" + parent + ";Sampled=0;Lineage=1":     passedOn + "00",
		parent + ";Sampled=1; " + root:                                 passedOn + "01",
		strings.Replace(root, "5759e988", "5759e98", 1) + ";" + parent: "",
		strings.ToUpper(root) + ";" + parent:                           "",
		strings.Replace(root, "1-57", "1-g7", 1) + ";" + parent:        "",
		root + ";" + parent + "0":                                      "",
		root + ";Parent=53995c3f42cd8adg":                              "",
		root:                                                           "",
		"garbage":                                                      "",
		"":                                                             "",
	} {
		//nolint:staticcheck // aws-lambda-go uses this key
		ctx := context.WithValue(t.Context(), "x-amzn-trace-id", header)
		assert.Equal(t, want, traceOf(t, ctx, bootstrap("1")))
		assert.Equal(t, own, traceOf(t, ctx, strings.Replace(bootstrap("1"), `{`, `{"traceparent":"`+own+`",`, 1)))
	}
}

func traceOf(t *testing.T, ctx context.Context, payload string) string {
	t.Helper()
	answer, err := newHandler(registered).Invoke(ctx, []byte(payload))
	require.NoError(t, err)
	var out struct{ TraceParent string }
	require.NoError(t, json.Unmarshal(answer, &out))
	return out.TraceParent
}

func TestTheConfigurationChangesTypesAndSourceAndAsksForADryRun(t *testing.T) {
	t.Parallel()
	planned := returns(events.Registration{RegionID: "cn-north-4", Outcome: events.Planned})
	h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
		assert.True(t, e.DryRun)
		return planned(ctx, e, asked)
	})
	h.Config = handler.Config{
		Types: handler.EventTypes{"com.example.org.ready", "x"}, Source: "urn:registrar", DryRun: true,
	}
	in := strings.Replace(bootstrap("1"), "org.bootstrap", "com.example.org.ready", 1)
	answer, err := h.Invoke(t.Context(), []byte(in))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"source":"urn:registrar"`)
	assert.Contains(t, string(answer), `"type":"org.region.planned"`)
	_, err = h.Invoke(t.Context(), []byte(bootstrap("1")))
	require.ErrorContains(t, err, `takes events of type com.example.org.ready or x, not "org.bootstrap"`)
}

// It replaces the default logger, so it can't run in parallel.
func TestOneLineIsLoggedPerEvent(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})
	line := func(register registerFunc, payload string) map[string]any {
		out.Reset()
		_, _ = newHandler(register).Invoke(ctx, []byte(payload))
		require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
		var fields map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &fields))
		assert.Equal(t, "lambda-1", fields["requestId"])
		return fields
	}

	fields := line(registered, bootstrap("e-1"))
	for key, want := range map[string]any{
		"level": "INFO", "cause_id": "e-1", "type": "org.bootstrap", "source": "/landing-zone", "outcome": "registered",
		"subject": "cn-north-4", "attempts": 1.0, "request_id": "r-1", "function": "register-region",
		"registrations": []any{
			map[string]any{"region_id": "cn-north-4", "outcome": "registered", "attempts": 1.0, "request_id": "r-1"},
		},
	} {
		assert.Equal(t, want, fields[key], key)
	}
	assert.Contains(t, fields, "duration_ms")

	rejected := events.Registration{Outcome: events.Rejected, Reason: events.Refused, Message: "why"}
	fields = line(returns(rejected), bootstrap("e-1"))
	assert.Equal(t, "ERROR", fields["level"])
	assert.Equal(t, "refused", fields["reason"])
	assert.Equal(t, "why", fields["reason_text"])

	fields = line(func(_ context.Context, _ events.Event, asked events.BootstrapRegion) (events.Result, error) {
		known := events.Registration{RegionID: asked.RegionID, Attempts: 2, RequestID: "r-1"}
		refused := &client.APIError{
			Operation: "RegisterRegion", Answer: client.Answer{Status: 403, RequestID: "r-2"},
			EncodedAuthorizationMessage: "c2VjcmV0",
		}
		return events.RegionResult{Registration: known}, &attempt.Failure{Kind: attempt.Misconfigured, Err: refused}
	}, bootstrap("e-1"))
	assert.Equal(t, "ERROR", fields["level"])
	assert.Equal(t, "MisconfiguredError", fields["error_type"])
	assert.Equal(t, "cn-north-4", fields["subject"], "a failure can be found by its subject, too")
	assert.Equal(t, []any{
		map[string]any{"region_id": "cn-north-4", "outcome": "", "attempts": 2.0, "request_id": "r-1"},
	}, fields["registrations"], "every write is logged")
	assert.NotContains(t, fields, "outcome", "a failure has no outcome")
	assert.Equal(t, "r-2", fields["failed_request_id"])
	assert.Equal(t, "c2VjcmV0", fields["encoded_authorization_message"])
	assert.Contains(t, fields["hint"], "decode-authorization-message")

	fields = line(panics, bootstrap("e-1"))
	assert.Equal(t, "WARN", fields["level"])
	assert.Equal(t, "TransientError", fields["error_type"])
	assert.Contains(t, fields["stack"], "handler_test.go")

	fields = line(registered, `{"specversion":"1.0"}`)
	assert.Equal(t, "ERROR", fields["level"])
	assert.Equal(t, "InvalidEventError", fields["error_type"])
	fields = line(registered, "["+strings.Repeat("0,", 9999)+"0]")
	assert.EqualValues(t, 10_000, fields["count"], "elements that aren't events share one line")
	fields = line(registered, `{`)
	assert.Equal(t, "InvalidEventError", fields["error_type"])
	fields = line(registered, `{"requestContext":{"http":{"method":"POST"}},"body":"!","isBase64Encoded":true}`)
	assert.Equal(t, "InvalidEventError", fields["error_type"])
	fields = line(registered, `{"requestContext":{"http":{"method":"POST"}},"body":"`+strings.Repeat("x", 1<<20+1)+`"}`)
	assert.Contains(t, fields["err"], "larger than 1048576 bytes")
}

func TestOnLambdaTheLineHoldsMetrics(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	fail := false
	h := newHandler(func(ctx context.Context, e events.Event, asked events.BootstrapRegion) (events.Result, error) {
		if fail {
			return nil, errors.New("away")
		}
		return registered(ctx, e, asked)
	})
	type embedded struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	invoke := func(ctx context.Context) (fields map[string]any, e embedded) {
		out.Reset()
		_, _ = h.Invoke(ctx, []byte(bootstrap("1")))
		require.NoError(t, json.Unmarshal(out.Bytes(), &fields))
		require.NoError(t, json.Unmarshal(out.Bytes(), &e))
		return fields, e
	}
	lambda := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})

	for _, want := range [][]string{
		{"Registered", "Duration", "HuaweiCloudAttempts", "ColdStart"},
		{"Registered", "Duration", "HuaweiCloudAttempts"},
		{"Transient", "Duration", "HuaweiCloudAttempts"},
	} {
		fail = want[0] == "Transient"
		fields, e := invoke(lambda)
		require.Len(t, e.AWS.CloudWatchMetrics, 1)
		assert.Equal(t, "Registrar", e.AWS.CloudWatchMetrics[0].Namespace)
		assert.Equal(t, [][]string{{"FunctionName"}}, e.AWS.CloudWatchMetrics[0].Dimensions)
		assert.Equal(t, "register-region", fields["FunctionName"], "the short name, if Lambda's own name is not set")
		assert.InDelta(t, time.Now().UnixMilli(), e.AWS.Timestamp, 60_000)
		var names []string
		for _, m := range e.AWS.CloudWatchMetrics[0].Metrics {
			names = append(names, m.Name)
			assert.Contains(t, fields, m.Name, "the value of a metric is a field of its name")
		}
		assert.Equal(t, want, names)
	}
	fields, _ := invoke(t.Context())
	assert.NotContains(t, fields, "_aws", "only CloudWatch reads it")
}

func TestMetricsAreWrittenAtEveryLevel(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelError + 4})))
	t.Cleanup(func() { slog.SetDefault(before) })
	lambda := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})
	_, err := newHandler(registered).Invoke(lambda, []byte(bootstrap("1")))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &fields))
	assert.EqualValues(t, 1, fields["Registered"])
	assert.NotContains(t, fields, "cause_id", "of a line below the level only the metrics are written")

	out.Reset()
	_, err = newHandler(registered).Invoke(t.Context(), []byte(bootstrap("1")))
	require.NoError(t, err)
	assert.Empty(t, out.String(), "only CloudWatch reads metrics")
}

func TestATimeoutThatLeavesNoTimeForACallIsMisconfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(registered)
		for _, sink := range []bool{false, true} {
			least := 500 * time.Millisecond
			if sink {
				least = 2 * time.Second
				h.Sink = func(context.Context, ...event.Event) error { return nil }
			}
			for timeout, enough := range map[time.Duration]bool{
				least: false, least + 99*time.Millisecond: false, least + 100*time.Millisecond: true,
			} {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				_, err := h.Invoke(ctx, []byte(bootstrap("1")))
				cancel()
				if enough {
					require.NoError(t, err)
					continue
				}
				require.ErrorAs(t, err, new(*handler.MisconfiguredError))
				shortest := least.Truncate(time.Second) + time.Second // hosts take whole seconds
				require.ErrorContains(t, err, "set the function's timeout to 60s, or at least to "+shortest.String())
			}
		}
	})
}

func TestABrokenConfigurationFailsEveryInvocation(t *testing.T) {
	t.Parallel()
	h := handler.Handler{Name: "register-region", Broken: errors.New("configuration: X: is not set")}
	for range 2 {
		_, err := h.Invoke(t.Context(), []byte(bootstrap("1")))
		require.ErrorAs(t, err, new(*handler.MisconfiguredError))
		require.EqualError(t, err, "configuration: X: is not set")
	}
}
