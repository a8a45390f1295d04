package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
	"registrar/pkg/wire"
)

// drifted is what an audit found that asks for two things, and misses a region besides.
func drifted() *events.AuditFindings {
	f := &events.AuditFindings{
		Region:          events.AuditedRegion{Wanted: "cn-north-4"},
		MissingServices: []events.ServicePrincipal{"service.A"},
		Missing:         []events.Administrator{{AccountID: "1", ServicePrincipal: "service.B"}},
		Unexpected: []events.Administrator{
			{AccountID: "2", ServicePrincipal: "service.B"}, {AccountID: "3", ServicePrincipal: "service.B"},
		},
	}
	f.Counts = f.Total(9)
	return f
}

// newAuditor is a handler of an audit that finds found, or fails.
func newAuditor(outcome events.Outcome, found *events.AuditFindings, err error) *handler.Handler {
	audit := func(context.Context, events.Event, events.Audit) (events.Result, error) {
		if err != nil {
			return nil, err
		}
		r := events.AuditResult{Outcome: outcome, AuditFindings: found}
		if outcome == events.Drifted {
			r.Requests = []events.Request{
				{ServicePrincipals: []events.ServicePrincipal{"service.A"}},
				{AccountID: "1", ServicePrincipals: []events.ServicePrincipal{"service.B"}},
			}
		}
		return r, nil
	}
	return &handler.Handler{Name: "audit-organization", Function: handler.NewFunction(events.AuditInput(), audit)}
}

func auditOf(id, data string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"/schedule","type":"org.audit","data":%s}`, id, data)
}

// recorder is a sink that keeps what it gets, each call's events for themselves.
type recorder struct{ calls [][]event.Event }

func (r *recorder) send(_ context.Context, all ...event.Event) error {
	r.calls = append(r.calls, all)
	return nil
}

func TestAnAuditSendsItsRequestsAndThenItsResult(t *testing.T) {
	t.Parallel()
	var sink recorder
	h := newAuditor(events.Drifted, drifted(), nil)
	h.Sink = sink.send
	answer, err := h.Invoke(t.Context(), auditOf("1", `{}`))
	require.NoError(t, err)
	assert.Contains(t, string(answer), `"requests_sent":2`)

	require.Len(t, sink.calls, 2)
	require.Len(t, sink.calls[0], 2)
	service, admin := sink.calls[0][0], sink.calls[0][1]
	assert.Equal(t, "org.service.missing", service.Type())
	assert.Empty(t, service.Subject())
	assert.JSONEq(t, `{"service_principals":["service.A"]}`, string(service.Data()))
	assert.Equal(t, "account.admin.missing", admin.Type())
	assert.Equal(t, "1", admin.Subject())
	assert.JSONEq(t, `{"account_id":"1","service_principals":["service.B"]}`, string(admin.Data()))
	for _, request := range sink.calls[0] {
		assert.Equal(t, "/registrar/audit-organization", request.Source())
	}
	require.Len(t, sink.calls[1], 1)
	assert.Equal(t, "org.audit.drifted", sink.calls[1][0].Type())
	assert.Contains(t, string(sink.calls[1][0].Data()), `"requests_sent":2`)

	_, err = h.Invoke(t.Context(), auditOf("1", `{}`))
	require.NoError(t, err)
	_, err = h.Invoke(t.Context(), auditOf("2", `{}`))
	require.NoError(t, err)
	for i := range 2 {
		assert.Equal(t, sink.calls[0][i].ID(), sink.calls[2][i].ID(), "a duplicate asks for the same")
		assert.NotEqual(t, sink.calls[0][i].ID(), sink.calls[4][i].ID(), "the next audit asks for itself")
	}
}

func TestAnAuditMakesNoRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config  handler.Config
		data    string
		outcome events.Outcome
		noSink  bool
	}{
		"in a dry run of the event": {data: `{"dry_run":true}`, outcome: events.Drifted},
		"in a dry run of the configuration": {
			config: handler.Config{DryRun: true}, data: `{}`,
			outcome: events.Drifted,
		},
		"without a sink":         {data: `{}`, outcome: events.Drifted, noSink: true},
		"if it passed":           {data: `{}`, outcome: events.Passed},
		"if its data is invalid": {data: `{"dry_run":3}`, outcome: events.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sink recorder
			h := newAuditor(c.outcome, drifted(), nil)
			if h.Config = c.config; !c.noSink {
				h.Sink = sink.send
			}
			answer, err := h.Invoke(t.Context(), auditOf("1", c.data))
			require.NoError(t, err)
			assert.Contains(t, string(answer), `"type":"org.audit.`+string(c.outcome)+`"`)
			if c.outcome == events.Rejected {
				assert.NotContains(t, string(answer), "requests_sent", "nothing was read")
			} else {
				assert.Contains(t, string(answer), `"requests_sent":0`)
			}
			if !c.noSink {
				require.Len(t, sink.calls, 1)
				assert.Len(t, sink.calls[0], 1, "only the result is sent")
			}
		})
	}
}

func TestRequestsThatCantBeSentAreAFailureOfTheAudit(t *testing.T) {
	t.Parallel()
	for want, refusal := range map[string]error{
		"MisconfiguredError": attempt.Misconfigured.Errorf("the sink: no rights"),
		"TransientError":     errors.New("the sink: away"),
	} {
		calls := 0
		h := newAuditor(events.Drifted, drifted(), nil)
		h.Sink = func(context.Context, ...event.Event) error {
			calls++
			return refusal
		}
		_, err := h.Invoke(t.Context(), auditOf("1", `{}`))
		assert.Equal(t, want, errorType(err))
		require.EqualError(t, err, "requests can't be delivered: "+refusal.Error())
		assert.Equal(t, 1, calls, "the result isn't sent after them")
	}
}

func TestRequestsAreTakenWhateverTheConfiguredTypes(t *testing.T) {
	t.Parallel()
	services := func(context.Context, events.Event, events.BootstrapServices) (events.Result, error) {
		return events.ServiceResult{RegistrationsResult: events.RegistrationsResult{Outcome: events.Skipped}}, nil
	}
	of := func(eventType string) []byte {
		return []byte(strings.Replace(bootstrap("1"), "org.bootstrap", eventType, 1))
	}
	h := &handler.Handler{Name: "register-service"}
	h.Function = handler.NewFunction(events.BootstrapServicesInput(), services)
	for _, eventType := range []string{"org.bootstrap", "org.service.missing"} {
		_, err := h.Invoke(t.Context(), of(eventType))
		require.NoError(t, err, eventType)
	}
	h.Config.Types = handler.EventTypes{"our.own"}
	for _, eventType := range []string{"our.own", "org.service.missing"} {
		_, err := h.Invoke(t.Context(), of(eventType))
		require.NoError(t, err, eventType)
	}
	_, err := h.Invoke(t.Context(), of("org.bootstrap"))
	require.EqualError(t, err,
		`register-service takes events of type our.own or org.service.missing, not "org.bootstrap"`)
	_, err = newHandler(registered).Invoke(t.Context(), of("org.service.missing"))
	require.EqualError(t, err, `register-region takes events of type org.bootstrap, not "org.service.missing"`)
}

// logged is the line that h logs about the payload on Lambda.
func logged(t *testing.T, h *handler.Handler, payload []byte) map[string]any {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	defer slog.SetDefault(before)
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "r-1"})
	_, _ = h.Invoke(ctx, payload)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
	return line
}

// It replaces the default logger, so it can't run in parallel.
func TestTheLineOfAnAuditHasItsCountsAndMetrics(t *testing.T) {
	passed := &events.AuditFindings{}
	away := func(context.Context, ...event.Event) error { return errors.New("away") }
	for name, c := range map[string]struct {
		h    *handler.Handler
		sink func(context.Context, ...event.Event) error
		want map[string]any
		not  []string
	}{
		"drifted": {newAuditor(events.Drifted, drifted(), nil), nil, map[string]any{
			"level": "WARN", "msg": "event handled", "outcome": "drifted", "missing": 1.0, "missing_services": 1.0,
			"unexpected": 2.0, "unmatched": 0.0, "inactive": 0.0, "requests_sent": 0.0,
			"Drifted": 1.0, "Missing": 3.0, "Unexpected": 2.0,
		}, []string{"Passed"}},
		"passed": {newAuditor(events.Passed, passed, nil), nil, map[string]any{
			"level": "INFO", "outcome": "passed", "missing": 0.0, "Passed": 1.0, "Missing": 0.0, "Unexpected": 0.0,
		}, []string{"Drifted"}},
		"the sink is away": {newAuditor(events.Drifted, drifted(), nil), away, map[string]any{
			"msg": "event failed", "unexpected": 2.0, "Transient": 1.0, "Missing": 3.0, "Unexpected": 2.0,
		}, []string{"Drifted", "outcome"}},
		"what is can't be read": {newAuditor("", nil, errors.New("away")), nil, map[string]any{
			"msg": "event failed", "Transient": 1.0,
		}, []string{"Missing", "Unexpected", "missing"}},
		"its data is invalid": {newAuditor(events.Rejected, nil, nil), nil, map[string]any{
			"outcome": "rejected", "reason": "invalid_data", "Rejected": 1.0,
		}, []string{"Missing", "Unexpected", "missing"}},
	} {
		c.h.Sink = c.sink
		data := `{}`
		if name == "its data is invalid" {
			data = `[]`
		}
		line := logged(t, c.h, auditOf("1", data))
		for field, want := range c.want {
			assert.Equal(t, want, line[field], "%s: %s", name, field)
		}
		for _, field := range c.not {
			assert.NotContains(t, line, field, name)
		}
		declared := fmt.Sprint(line["_aws"])
		for _, metric := range []string{"Missing", "Unexpected"} {
			_, there := line[metric]
			assert.Equal(t, there, strings.Contains(declared, "Name:"+metric+" "), "%s: %s", name, metric)
		}
	}
}

// It replaces the default logger, so it can't run in parallel.
func TestARejectedRequestIsCountedByItself(t *testing.T) {
	rejects := func(_ context.Context, _ events.Event, asked events.AccountCreated) (events.Result, error) {
		return asked.Reject(events.NotAllowed, "not you"), nil
	}
	h := &handler.Handler{Name: "register-admin", Function: handler.NewFunction(events.AccountCreatedInput(), rejects)}
	for eventType, metric := range map[string]string{
		"account.created": "Rejected", "account.admin.missing": "RejectedRequest",
	} {
		line := logged(t, h, fmt.Appendf(nil,
			`{"specversion":"1.0","id":"1","source":"/x","type":%q,"data":{"account_id":"1"}}`, eventType))
		assert.EqualValues(t, 1, line[metric])
		assert.Equal(t, "ERROR", line["level"])
		other := map[string]string{"Rejected": "RejectedRequest", "RejectedRequest": "Rejected"}[metric]
		assert.NotContains(t, line, other)
	}
}

// It replaces the default logger, so it can't run in parallel.
func TestCallsMayBeMadeAtTheSameTime(t *testing.T) {
	many := func(ctx context.Context, _ events.Event, _ events.Audit) (events.Result, error) {
		endpoint, err := wire.ParseEndpoint("https://organizations.myhuaweicloud.com")
		if err != nil {
			return nil, err
		}
		api := client.New(client.Config{
			Organizations: endpoint, MaxAttempts: 1, RequestTimeout: time.Second,
			Transport: huaweitest.New(huaweitest.Credentials{AccessKey: "AK", SecretKey: "SK"}),
		}, client.Static(client.Credentials{AccessKey: "AK", SecretKey: "SK"}))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _, _ = api.Accounts(ctx) })
		}
		wg.Wait()
		return events.AuditResult{Outcome: events.Passed, AuditFindings: &events.AuditFindings{}}, nil
	}
	h := &handler.Handler{Name: "audit-organization", Function: handler.NewFunction(events.AuditInput(), many)}
	line := logged(t, h, auditOf("1", `{}`))
	assert.EqualValues(t, 20, line["HuaweiCloudAttempts"])
}
