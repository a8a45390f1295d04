package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/secret"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type registerFunc = func(context.Context, events.Event[events.OrgBootstrap]) (events.Result, error)

func newHandler(register registerFunc) *handler.Handler[events.OrgBootstrap] {
	return &handler.Handler[events.OrgBootstrap]{Name: "register-region", Kind: events.OrgBootstrapKind(""), Register: register}
}

func registered(_ context.Context, e events.Event[events.OrgBootstrap]) (events.Result, error) {
	return events.RegionResult{RegionID: e.Data.RegionID, Registration: events.Registration{Outcome: events.Registered, Attempts: 1, RequestID: "r-1"}}, nil
}

func bootstrap(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/landing-zone","type":"org.bootstrap","data":{"region_id":"cn-north-4"}}`, id)
}

func TestAnEventIsAnsweredWithItsResult(t *testing.T) {
	t.Parallel()
	answer, err := newHandler(registered).Invoke(t.Context(), []byte(bootstrap("1")))
	require.NoError(t, err)
	var result struct{ Type, Source, Subject, CausationID string }
	require.NoError(t, json.Unmarshal(answer, &result))
	assert.Equal(t, "org.region.registered", result.Type)
	assert.Equal(t, "/registrar/register-region", result.Source)
	assert.Equal(t, "cn-north-4", result.Subject)
	assert.Equal(t, "1", result.CausationID)
}

func TestEachFailureHasItsName(t *testing.T) {
	t.Parallel()
	fails := func(err error) registerFunc {
		return func(context.Context, events.Event[events.OrgBootstrap]) (events.Result, error) { return nil, err }
	}
	apiError := func(status int, code string) error {
		return fmt.Errorf("register: %w", &client.APIError{Operation: "RegisterRegion", Answer: client.Answer{Status: status, Code: code}})
	}
	cases := map[string]struct {
		payload  string
		register registerFunc
		want     any
		message  string
	}{
		"no JSON":                    {"{", registered, new(*events.InvalidEventError), "payload is not JSON"},
		"no event":                   {`{"specversion":"1.0"}`, registered, new(*events.InvalidEventError), "id: is missing"},
		"another type":               {strings.Replace(bootstrap("1"), "org.bootstrap", "account.created", 1), registered, new(*events.InvalidEventError), `register-region takes events of type org.bootstrap, not "account.created"`},
		"its own result":             {strings.Replace(bootstrap("1"), "org.bootstrap", "org.region.registered", 1), registered, new(*events.InvalidEventError), "takes events of type"},
		"misconfigured API":          {bootstrap("1"), fails(apiError(403, "IIC.1000")), new(*handler.MisconfiguredError), "403 IIC.1000"},
		"transient API":              {bootstrap("1"), fails(apiError(503, "")), new(*handler.TransientError), "503"},
		"a refusal nobody decided":   {bootstrap("1"), fails(apiError(409, "")), new(*handler.TransientError), "409"},
		"an error nobody classified": {bootstrap("1"), fails(errors.New("odd")), new(*handler.TransientError), "odd"},
		"a panic":                    {bootstrap("1"), func(context.Context, events.Event[events.OrgBootstrap]) (events.Result, error) { panic("boom") }, new(*handler.TransientError), "panic: boom"},
		"a nil result":               {bootstrap("1"), fails(nil), new(*handler.TransientError), "panic"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := newHandler(c.register).Invoke(t.Context(), []byte(c.payload))
			assert.Nil(t, answer)
			require.Error(t, err)
			assert.Equal(t, fmt.Sprintf("%T", c.want), "*"+fmt.Sprintf("%T", err), "the outermost type is what Lambda calls the error")
			assert.Contains(t, err.Error(), c.message)
		})
	}
}

func TestAnArrayHandlesEveryElement(t *testing.T) {
	t.Parallel()
	answer, err := newHandler(registered).Invoke(t.Context(), []byte("["+bootstrap("1")+","+bootstrap("2")+"]"))
	require.NoError(t, err)
	var results []struct{ CausationID string }
	require.NoError(t, json.Unmarshal(answer, &results))
	require.Len(t, results, 2)
	assert.Equal(t, "2", results[1].CausationID)

	answer, err = newHandler(registered).Invoke(t.Context(), []byte("[]"))
	require.NoError(t, err)
	assert.Equal(t, "[]", string(answer))
}

func TestAnArrayFailsWithTheWorstKindAfterAllWereHandled(t *testing.T) {
	t.Parallel()
	misconfigured, transient := fmt.Errorf("%w: no rights", client.ErrMisconfigured), errors.New("away")
	for name, c := range map[string]struct {
		fail []error // by event; nil is a success
		want any
		text string
	}{
		"misconfigured before transient": {[]error{transient, nil, misconfigured}, new(*handler.MisconfiguredError), "3 of 4 events failed: misconfigured: no rights"},
		"transient before invalid":       {[]error{nil, transient}, new(*handler.TransientError), "2 of 3 events failed: away"},
		"only invalid":                   {[]error{nil}, new(*events.InvalidEventError), "1 of 2 events failed: no valid CloudEvent 1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handled := 0
			h := newHandler(func(_ context.Context, e events.Event[events.OrgBootstrap]) (events.Result, error) {
				handled++
				if err := c.fail[handled-1]; err != nil {
					return nil, err
				}
				return registered(t.Context(), e)
			})
			var payload strings.Builder
			payload.WriteString(`[{"specversion":"1.0"}`)
			for i := range c.fail {
				payload.WriteString("," + bootstrap(fmt.Sprint(i)))
			}
			_, err := h.Invoke(t.Context(), []byte(payload.String()+"]"))
			assert.Equal(t, len(c.fail), handled)
			require.ErrorContains(t, err, c.text)
			assert.Equal(t, fmt.Sprintf("%T", c.want), "*"+fmt.Sprintf("%T", err))
		})
	}
}

func TestTheDeadlineLeavesAMargin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := newHandler(func(ctx context.Context, _ events.Event[events.OrgBootstrap]) (events.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}).Invoke(ctx, []byte(bootstrap("1")))
		require.ErrorAs(t, err, new(*handler.TransientError))
		assert.Equal(t, 2500*time.Millisecond, time.Since(start))
	})
}

func TestTheTraceOfLambdaIsPassedOnUnlessTheEventHasOne(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1":                    "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
		"Self=1-x;Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00",
		"Root=1-5759e988-bd862e3fe1be46a994272793":                                                      "", "garbage": "", "": "",
	} {
		ctx := context.WithValue(t.Context(), "x-amzn-trace-id", header) //nolint:staticcheck // the key that aws-lambda-go uses
		assert.Equal(t, want, traceOf(t, ctx, bootstrap("1")))
		const own = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
		assert.Equal(t, own, traceOf(t, ctx, strings.Replace(bootstrap("1"), `{`, `{"traceparent":"`+own+`",`, 1)))
	}
}

func traceOf(t *testing.T, ctx context.Context, payload string) string {
	t.Helper()
	answer, err := newHandler(registered).Invoke(ctx, []byte(payload))
	require.NoError(t, err)
	var result struct{ TraceParent string }
	require.NoError(t, json.Unmarshal(answer, &result))
	return result.TraceParent
}

func TestTheHostCanRenameTypesAndSourceAndRunDry(t *testing.T) {
	t.Parallel()
	h := newHandler(func(_ context.Context, e events.Event[events.OrgBootstrap]) (events.Result, error) {
		assert.True(t, e.DryRun)
		return events.RegionResult{RegionID: e.Data.RegionID, Registration: events.Registration{Outcome: events.Planned}}, nil
	})
	h.Config = handler.Config{Types: handler.EventTypes{"com.example.org.ready", "x"}, Source: "urn:registrar", DryRun: true}
	answer, err := h.Invoke(t.Context(), []byte(strings.Replace(bootstrap("1"), "org.bootstrap", "com.example.org.ready", 1)))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"source":"urn:registrar"`)
	assert.Contains(t, string(answer), `"type":"org.region.planned"`)
	_, err = h.Invoke(t.Context(), []byte(bootstrap("1")))
	require.ErrorContains(t, err, `takes events of type com.example.org.ready or x, not "org.bootstrap"`)
}

// It replaces the default logger, so it can't run beside others.
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
		"subject": "cn-north-4", "attempts": 1.0, "request_id": "r-1",
	} {
		assert.Equal(t, want, fields[key], key)
	}
	assert.Contains(t, fields, "duration_ms")

	fields = line(func(context.Context, events.Event[events.OrgBootstrap]) (events.Result, error) {
		return events.RegionResult{Registration: events.Registration{Outcome: events.Rejected, Reason: events.Refused, Message: "why"}}, nil
	}, bootstrap("e-1"))
	assert.Equal(t, "ERROR", fields["level"])
	assert.Equal(t, "refused", fields["reason"])
	assert.Equal(t, "why", fields["reason_text"])

	fields = line(func(context.Context, events.Event[events.OrgBootstrap]) (events.Result, error) {
		return nil, &client.APIError{Operation: "RegisterRegion", Answer: client.Answer{Status: 403, RequestID: "r-2"}, EncodedAuthorizationMessage: "c2VjcmV0"}
	}, bootstrap("e-1"))
	assert.Equal(t, "ERROR", fields["level"])
	assert.Equal(t, "MisconfiguredError", fields["error_type"])
	assert.Equal(t, "cn-north-4", fields["subject"], "a failure is found by its subject, too")
	assert.Equal(t, "r-2", fields["request_id"])
	assert.Equal(t, "c2VjcmV0", fields["encoded_authorization_message"])
	assert.Contains(t, fields["hint"], "decode-authorization-message")

	fields = line(func(context.Context, events.Event[events.OrgBootstrap]) (events.Result, error) { panic("boom") }, bootstrap("e-1"))
	assert.Equal(t, "WARN", fields["level"])
	assert.Equal(t, "TransientError", fields["error_type"])
	assert.Contains(t, fields["stack"], "handler_test.go")

	fields = line(registered, `{"specversion":"1.0"}`)
	assert.Equal(t, "ERROR", fields["level"])
	assert.Equal(t, "InvalidEventError", fields["error_type"])
	fields = line(registered, `{`)
	assert.Equal(t, "InvalidEventError", fields["error_type"])
	fields = line(registered, `{"requestContext":{"http":{"method":"POST"}},"body":"!","isBase64Encoded":true}`)
	assert.Equal(t, "InvalidEventError", fields["error_type"])
	fields = line(registered, `{"requestContext":{"http":{"method":"POST"}},"body":"`+strings.Repeat("x", 1<<20+1)+`"}`)
	assert.Contains(t, fields["err"], "larger than 1048576 bytes")
}

type config struct {
	Credentials secret.Config
	Client      client.Config
	Handler     handler.Config
	RegionID    events.RegionID           `env:"REGION_ID"`
	Principals  []events.ServicePrincipal `env:"SERVICE_PRINCIPALS"`
}

func TestTheConfigurationHasDefaults(t *testing.T) {
	t.Parallel()
	c, err := handler.Load[config](t.Context(), envconfig.MapLookuper(map[string]string{
		"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": "sk",
		"MAX_ATTEMPTS": "", "REQUEST_TIMEOUT": " ", "ORGANIZATIONS_ENDPOINT": "", "DRY_RUN": "", "EVENT_TYPES": "", "REGION_ID": "", "SERVICE_PRINCIPALS": "",
	}))
	require.NoError(t, err)
	assert.Equal(t, config{
		Credentials: secret.Config{Credentials: client.Credentials{AccessKey: "ak", SecretKey: "sk"}},
		Client: client.Config{
			IdentityCenter: "https://identitycenter.myhuaweicloud.com", Organizations: "https://organizations.myhuaweicloud.com",
			MaxAttempts: 4, RequestTimeout: 10 * time.Second,
		},
		Handler: handler.Config{Concurrency: 1},
	}, c)
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := handler.Load[config](t.Context(), envconfig.MapLookuper(map[string]string{
		"HUAWEICLOUD_SDK_SK": "SKexample\n", "HUAWEICLOUD_SDK_DOMAIN_ID": "a b", "IDENTITYCENTER_ENDPOINT": "http://identitycenter.example", "MAX_ATTEMPTS": "0",
		"REQUEST_TIMEOUT": "10", "EVENT_TYPES": "org.bootstrap,org.region.registered", "EVENT_SOURCE": "a b", "DRY_RUN": "maybe",
		"REGION_ID": "Beijing", "SERVICE_PRINCIPALS": "service.A,,service.B", "CONCURRENCY": "0",
	}))
	require.Error(t, err)
	for _, want := range []string{
		"HUAWEICLOUD_SDK_AK: is not set", "HUAWEICLOUD_SDK_SK: contains white space", "HUAWEICLOUD_SDK_DOMAIN_ID: contains", "IDENTITYCENTER_ENDPOINT: must begin with https://",
		"MAX_ATTEMPTS: must be between", "REQUEST_TIMEOUT: time: missing unit", "EVENT_TYPES: org.region.registered is the type of a result", "EVENT_SOURCE: must be a URI-reference",
		"DRY_RUN: strconv.ParseBool", "REGION_ID: \"Beijing\" is no region id", "SERVICE_PRINCIPALS", "CONCURRENCY: must be between",
	} {
		assert.Contains(t, err.Error(), want)
	}
	assert.Equal(t, 12, strings.Count(err.Error(), "\n")+1, "each once: %v", err)
	assert.NotContains(t, err.Error(), "SKexample")
}

func TestStartAnswersABadConfigurationWithItsName(t *testing.T) {
	t.Parallel()
	built := false
	h := handler.Start(t.Context(), envconfig.MapLookuper(nil), func(context.Context, config) (handler.Function, error) {
		built = true
		return newHandler(registered), nil
	})
	for range 2 {
		_, err := h.Invoke(t.Context(), []byte(bootstrap("1")))
		require.ErrorContains(t, err, "configuration: HUAWEICLOUD_SDK_AK: is not set, nor is HUAWEICLOUD_CREDENTIALS_SECRET\nHUAWEICLOUD_SDK_SK: is not set, nor")
		require.ErrorAs(t, err, new(*handler.MisconfiguredError))
	}
	assert.False(t, built)
}

func TestStartWarmsOnce(t *testing.T) {
	t.Parallel()
	warmed := 0
	h := handler.Start(t.Context(), envconfig.MapLookuper(nil), func(context.Context, struct{}) (handler.Function, error) {
		h := newHandler(registered)
		h.Warm = func(context.Context) { warmed++ }
		return h, nil
	})
	for range 2 {
		_, err := h.Invoke(t.Context(), []byte(bootstrap("1")))
		require.NoError(t, err)
	}
	assert.Equal(t, 1, warmed)
}

func TestOnLambdaTheLineIsAMetricToo(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	fail := false
	h := newHandler(func(ctx context.Context, e events.Event[events.OrgBootstrap]) (events.Result, error) {
		if fail {
			return nil, errors.New("away")
		}
		return registered(ctx, e)
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

	for _, want := range [][]string{{"Registered", "Duration", "HuaweiCloudAttempts", "ColdStart"}, {"Registered", "Duration", "HuaweiCloudAttempts"}, {"Transient", "Duration", "HuaweiCloudAttempts"}} {
		fail = want[0] == "Transient"
		fields, e := invoke(lambda)
		require.Len(t, e.AWS.CloudWatchMetrics, 1)
		assert.Equal(t, "Registrar", e.AWS.CloudWatchMetrics[0].Namespace)
		assert.Equal(t, [][]string{{"function"}}, e.AWS.CloudWatchMetrics[0].Dimensions)
		assert.Equal(t, "register-region", fields["function"])
		assert.InDelta(t, time.Now().UnixMilli(), e.AWS.Timestamp, 60_000)
		var names []string
		for _, m := range e.AWS.CloudWatchMetrics[0].Metrics {
			names = append(names, m.Name)
			assert.Contains(t, fields, m.Name, "a metric has its value beside it")
		}
		assert.Equal(t, want, names)
	}
	fields, _ := invoke(t.Context())
	assert.NotContains(t, fields, "_aws", "elsewhere nobody reads it")
}
