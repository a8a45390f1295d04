package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
	"registrar/pkg/wire"
)

type auditFunc = func(context.Context, events.Event, events.Audit) (events.Result, error)

func newAuditor(audit auditFunc) *handler.Handler {
	return &handler.Handler{Name: "audit-organization", Function: handler.NewFunction(events.AuditInput(), audit)}
}

// drifted is an audit that finds something of each kind, and asks for two things.
func drifted(context.Context, events.Event, events.Audit) (events.Result, error) {
	return events.AuditResult{
		Outcome: events.Drifted,
		AuditFindings: &events.AuditFindings{
			Region: events.AuditedRegion{Wanted: "cn-north-4"},
			Counts: events.AuditCounts{
				Accounts: 9, MissingServices: 1, Missing: 2, Unexpected: 3, Unmatched: 4, Inactive: 5,
			},
		},
		Requests: []events.Request{
			{ServicePrincipals: []events.ServicePrincipal{"service.CTS"}},
			{AccountID: "security", ServicePrincipals: []events.ServicePrincipal{"service.SecMaster"}},
		},
	}, nil
}

// passed is an audit that finds nothing.
func passed(context.Context, events.Event, events.Audit) (events.Result, error) {
	return events.AuditResult{Outcome: events.Passed, AuditFindings: new(events.AuditFindings)}, nil
}

func input(eventType, data string) string {
	return `{"specversion":"1.0","id":"1","source":"/landing-zone","type":"` + eventType +
		`","time":"2026-03-01T12:00:00Z","data":` + data + `}`
}

// refuses is a function that rejects each event whose data it can decode.
func refuses[T events.Data](in events.Input[T]) handler.Function {
	return handler.NewFunction(in, func(_ context.Context, _ events.Event, data T) (events.Result, error) {
		return data.Reject(events.NotAllowed, "no"), nil
	})
}

func TestTheConfigurationReplacesOnlyTheFirstTypeOfAFunction(t *testing.T) {
	t.Parallel()
	region, services := refuses(events.BootstrapRegionInput()), refuses(events.BootstrapServicesInput())
	admin, audit := refuses(events.AccountCreatedInput()), refuses(events.AuditInput())
	for name, c := range map[string]struct {
		function  handler.Function
		types     handler.EventTypes
		eventType string
		want      string // the types that the error says are taken; empty if the event is taken
	}{
		"its own type":    {services, nil, "org.bootstrap", ""},
		"its own request": {services, nil, "org.service.missing", ""},
		"the request of another": {
			services, nil, "account.admin.missing", "org.bootstrap or org.service.missing",
		},
		"the type that replaces it":       {services, handler.EventTypes{"x"}, "x", ""},
		"a request beside the other type": {services, handler.EventTypes{"x"}, "org.service.missing", ""},
		"the type that is replaced": {
			services, handler.EventTypes{"x", "y"}, "org.bootstrap", "x or y or org.service.missing",
		},
		"a request of one that takes none": {region, nil, "org.service.missing", "org.bootstrap"},
		"a request of one that takes none beside the other type": {
			region, handler.EventTypes{"x"}, "org.service.missing", "x",
		},
		"an administrator is asked for beside the other type": {
			admin, handler.EventTypes{"x"}, "account.admin.missing", "",
		},
		"an account whose type is replaced": {
			admin, handler.EventTypes{"x"}, "account.created", "x or account.admin.missing",
		},
		"an audit whose type is replaced":   {audit, handler.EventTypes{"x"}, "org.audit", "x"},
		"an audit that gets a request back": {audit, nil, "account.admin.missing", "org.audit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := handler.Handler{Name: "f", Function: c.function, Config: handler.Config{Types: c.types}}
			_, err := h.Invoke(t.Context(), []byte(input(c.eventType, `{"account_id":"a"}`)))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorAs(t, err, new(*events.InvalidEventError))
			assert.EqualError(t, err, "f takes events of type "+c.want+`, not "`+c.eventType+`"`)
		})
	}
}

func TestTheRequestsOfAnAuditAreSentBeforeItsResult(t *testing.T) {
	t.Parallel()
	requests := []string{"org.service.missing ", "account.admin.missing security"}
	result := []string{"org.audit.drifted "}
	for name, c := range map[string]struct {
		audit  auditFunc
		dryRun bool // the configuration asks for it
		data   string
		noSink bool
		refuse error      // what the sink says of requests
		want   [][]string // the types and subjects that each call of the sink gets
		sent   int        // what the result says
		fails  string
	}{
		"the audit drifted":           {audit: drifted, data: `{}`, want: [][]string{requests, result}, sent: 2},
		"the audit passed":            {audit: passed, data: `{}`, want: [][]string{{"org.audit.passed "}}},
		"there is no sink":            {audit: drifted, data: `{}`, noSink: true},
		"the configuration's dry run": {audit: drifted, dryRun: true, data: `{}`, want: [][]string{result}},
		"the event's dry run":         {audit: drifted, data: `{"dry_run":true}`, want: [][]string{result}},
		"the event says dry_run false": {
			audit: drifted, dryRun: true, data: `{"dry_run":false}`, want: [][]string{result},
		},
		"the sink is away": {
			audit: drifted, data: `{}`, refuse: errors.New("away"), want: [][]string{requests}, fails: "TransientError",
		},
		"the sink has no rights": {
			audit: drifted, data: `{}`, refuse: attempt.Misconfigured.Errorf("away"), want: [][]string{requests},
			fails: "MisconfiguredError",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got [][]string
				h := newAuditor(c.audit)
				h.Config.DryRun = c.dryRun
				h.Sink = func(ctx context.Context, all ...event.Event) error {
					deadline, _ := ctx.Deadline()
					assert.Equal(t, 9500*time.Millisecond, time.Until(deadline), "there is time to answer")
					var some []string
					for _, e := range all {
						some = append(some, e.Type()+" "+e.Subject())
						assert.Equal(t, "/registrar/audit-organization", e.Source())
					}
					if got = append(got, some); events.IsRequest(all[0].Type()) {
						return c.refuse
					}
					return nil
				}
				if c.noSink {
					h.Sink = nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				answer, err := h.Invoke(ctx, []byte(input("org.audit", c.data)))
				assert.Equal(t, c.want, got)
				if c.fails != "" {
					require.EqualError(t, err, "requests can't be delivered: away")
					assert.Equal(t, c.fails, errorType(err))
					return
				}
				require.NoError(t, err)
				var out struct {
					Data struct {
						Sent *int `json:"requests_sent"`
					}
				}
				require.NoError(t, json.Unmarshal(answer, &out))
				assert.Equal(t, &c.sent, out.Data.Sent)
			})
		})
	}
}

func TestRequestsHaveTheSourceOfTheResult(t *testing.T) {
	t.Parallel()
	var sources []string
	h := newAuditor(drifted)
	h.Config.Source = "urn:registrar"
	h.Sink = func(_ context.Context, all ...event.Event) error {
		for _, e := range all {
			sources = append(sources, e.Source())
		}
		return nil
	}
	_, err := h.Invoke(t.Context(), []byte(input("org.audit", `{}`)))
	require.NoError(t, err)
	assert.Equal(t, []string{"urn:registrar", "urn:registrar", "urn:registrar"}, sources)
}

func TestTheRequestsOfADuplicateHaveTheSameIDs(t *testing.T) {
	t.Parallel()
	ids := func(payload string) (ids []string) {
		h := newAuditor(drifted)
		h.Sink = func(_ context.Context, all ...event.Event) error {
			for _, e := range all {
				if ids = append(ids, e.ID()); events.IsRequest(e.Type()) {
					assert.Equal(t, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), e.Time(), "the audit's")
				}
			}
			return nil
		}
		_, err := h.Invoke(t.Context(), []byte(payload))
		require.NoError(t, err)
		return ids
	}
	audit := input("org.audit", `{}`)
	first := ids(audit)
	assert.Equal(t, first, ids(audit))
	other := append(first, ids(strings.Replace(audit, `"id":"1"`, `"id":"2"`, 1))...)
	seen := map[string]bool{}
	for _, id := range other {
		seen[id] = true
	}
	assert.Len(t, seen, 6, "two requests and a result of each audit: %v", other)
}

// invokeOnLambda returns the fields of the one line that h logs, and the names of its metrics. It
// replaces the default logger.
func invokeOnLambda(t *testing.T, h *handler.Handler, payload string) (fields map[string]any, metrics []string) {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	lambda := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})
	_, _ = h.Invoke(lambda, []byte(payload))
	require.NoError(t, json.Unmarshal(out.Bytes(), &fields), "one line: %s", out.String())
	var embedded struct {
		AWS struct {
			CloudWatchMetrics []struct{ Metrics []struct{ Name string } }
		} `json:"_aws"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &embedded))
	require.Len(t, embedded.AWS.CloudWatchMetrics, 1)
	for _, m := range embedded.AWS.CloudWatchMetrics[0].Metrics {
		metrics = append(metrics, m.Name)
		assert.Contains(t, fields, m.Name)
	}
	return fields, metrics
}

// It replaces the default logger, so it can't run in parallel.
func TestTheLineOfAnAuditTellsWhatItFound(t *testing.T) {
	// What drifted finds. The metric Missing adds up all that isn't there.
	found := map[string]any{
		"missing": 2.0, "missing_services": 1.0, "unexpected": 3.0, "unmatched": 4.0, "inactive": 5.0,
		"requests_sent": 2.0, "Missing": 13.0, "Unexpected": 3.0,
	}
	with := func(field string, value float64) map[string]any {
		changed := maps.Clone(found)
		changed[field] = value
		return changed
	}
	nothing := map[string]any{}
	for name := range found {
		nothing[name] = 0.0
	}
	for name, c := range map[string]struct {
		audit  auditFunc
		data   string
		refuse func(request bool) error // what the sink says
		level  string
		metric string
		want   map[string]any // nil if the line has none of them
	}{
		"drifted": {audit: drifted, data: `{}`, level: "WARN", metric: "Drifted", want: found},
		"passed":  {audit: passed, data: `{}`, level: "INFO", metric: "Passed", want: nothing},
		"a dry run": {
			audit: drifted, data: `{"dry_run":true}`, level: "WARN", metric: "Drifted", want: with("requests_sent", 0),
		},
		"the sink doesn't take the requests": {
			audit: drifted, data: `{}`, level: "WARN", metric: "Transient", want: with("requests_sent", 0),
			refuse: func(request bool) error {
				assert.True(t, request)
				return errors.New("away")
			},
		},
		"the sink doesn't take the result": {
			audit: drifted, data: `{}`, level: "ERROR", metric: "Misconfigured", want: found,
			refuse: func(request bool) error {
				if request {
					return nil
				}
				return attempt.Misconfigured.Errorf("no rights")
			},
		},
		"the audit can't read": {
			audit: func(context.Context, events.Event, events.Audit) (events.Result, error) {
				return nil, errors.New("away")
			},
			data: `{}`, level: "WARN", metric: "Transient",
		},
		"the event is rejected": {audit: drifted, data: `[]`, level: "ERROR", metric: "Rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newAuditor(c.audit)
			h.Sink = func(_ context.Context, all ...event.Event) error {
				if c.refuse == nil {
					return nil
				}
				return c.refuse(events.IsRequest(all[0].Type()))
			}
			fields, metrics := invokeOnLambda(t, h, input("org.audit", c.data))
			assert.Equal(t, c.level, fields["level"])
			assert.Equal(t, c.metric, metrics[0])
			assert.EqualValues(t, 1, fields[c.metric])
			for field := range found {
				if c.want == nil {
					assert.NotContains(t, fields, field)
				} else {
					assert.Equal(t, c.want[field], fields[field], field)
				}
			}
			for _, metric := range []string{"Missing", "Unexpected"} {
				assert.Equal(t, c.want != nil, strings.Contains(strings.Join(metrics, " "), metric), metrics)
			}
		})
	}
}

// It replaces the default logger, so it can't run in parallel.
func TestARejectedRequestHasAMetricOfItsOwn(t *testing.T) {
	services, admin := refuses(events.BootstrapServicesInput()), refuses(events.AccountCreatedInput())
	for name, c := range map[string]struct {
		function  handler.Function
		eventType string
		data      string
		want      string
	}{
		"services that somebody asks for":  {services, "org.bootstrap", `{}`, "Rejected"},
		"services that an audit asks for":  {services, "org.service.missing", `{}`, "RejectedRequest"},
		"an account that somebody created": {admin, "account.created", `{"account_id":"a"}`, "Rejected"},
		"an administrator that an audit asks for": {
			admin, "account.admin.missing", `{"account_id":"a"}`, "RejectedRequest",
		},
		"a request that is malformed": {admin, "account.admin.missing", `{}`, "RejectedRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &handler.Handler{Name: "f", Function: c.function}
			fields, metrics := invokeOnLambda(t, h, input(c.eventType, c.data))
			assert.Equal(t, []string{c.want, "Duration", "HuaweiCloudAttempts", "ColdStart"}, metrics)
			assert.Equal(t, "ERROR", fields["level"])
			assert.Equal(t, "rejected", fields["outcome"])
		})
	}
}

// It replaces the default logger, so it can't run in parallel.
func TestAttemptsThatAreMadeAtTheSameTimeAreAllCounted(t *testing.T) {
	keys := huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}
	cloud := huaweitest.New(keys)
	cloud.Script(http.MethodGet, "", huaweitest.Fault{Status: http.StatusServiceUnavailable, Code: "APIGW.0201"})
	endpoint, err := wire.ParseEndpoint("https://organizations.myhuaweicloud.com")
	require.NoError(t, err)
	api := client.New(client.Config{
		Organizations: endpoint, MaxAttempts: 2, RequestTimeout: time.Second, Transport: cloud,
	}, client.Static(client.Credentials{
		AccessKey: client.Secret(keys.AccessKey), SecretKey: client.Secret(keys.SecretKey),
	}))
	concurrent := 50
	h := newAuditor(func(ctx context.Context, e events.Event, data events.Audit) (events.Result, error) {
		calls, inner := errgroup.WithContext(ctx)
		for range concurrent {
			calls.Go(func() error {
				_, err := api.TrustedServices(inner)
				return err
			})
		}
		require.NoError(t, calls.Wait())
		return passed(ctx, e, data)
	})
	fields, metrics := invokeOnLambda(t, h, input("org.audit", `{}`))
	assert.Contains(t, metrics, "HuaweiCloudLatency")
	assert.EqualValues(t, 51, fields["HuaweiCloudAttempts"], "one of the calls took two attempts")
	assert.Len(t, fields["HuaweiCloudLatency"], 51)

	concurrent = 150
	fields, _ = invokeOnLambda(t, h, input("org.audit", `{}`))
	assert.EqualValues(t, 150, fields["HuaweiCloudAttempts"])
	assert.Len(t, fields["HuaweiCloudLatency"], 100, "as many values as CloudWatch takes")
}

// It replaces the default logger, so it can't run in parallel.
func TestTheLineOfAnAuditNamesTheRegionAndWhomNobodyWanted(t *testing.T) {
	found := &events.AuditFindings{Region: events.AuditedRegion{Wanted: "cn-north-4", Observed: "cn-south-1"}}
	for i := range 12 {
		found.Unexpected = append(found.Unexpected, events.Administrator{
			AccountID: events.AccountID(fmt.Sprintf("a%d", i)), ServicePrincipal: "service.A",
		})
	}
	found.Counts = found.Total(20)
	fields, _ := invokeOnLambda(t, newAuditor(func(context.Context, events.Event, events.Audit) (events.Result, error) {
		return events.AuditResult{Outcome: events.Drifted, AuditFindings: found}, nil
	}), input("org.audit", `{}`))
	assert.Equal(t, "cn-north-4", fields["region_wanted"])
	assert.Equal(t, "cn-south-1", fields["region_observed"])
	assert.EqualValues(t, 1, fields["absent"], "the region")
	assert.Equal(t, []any{
		"a0=service.A", "a1=service.A", "a2=service.A", "a3=service.A", "a4=service.A", "a5=service.A", "a6=service.A",
		"a7=service.A", "a8=service.A", "a9=service.A",
	}, fields["unexpected_administrators"])
}
