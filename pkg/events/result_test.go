package events_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func TestTypesOfOurOwnResults(t *testing.T) {
	t.Parallel()
	for _, own := range []string{
		"org.region.registered", "org.region.rejected", "org.region.planned", "org.region.skipped",
		"account.admin.registered", "account.admin.rejected", "account.admin.planned",
	} {
		assert.True(t, events.IsResult(own), own)
	}
	for _, other := range []string{
		"", "org.bootstrap", "account.created", "account.registered", "my.account.admin.registered",
		"org.region", "org.region.", "org.region.unchanged",
	} {
		assert.False(t, events.IsResult(other), other)
	}
}

func cause() events.Event {
	return events.Event{Cause: events.Cause{ID: "in-1", Source: "/landing-zone", Type: "org.bootstrap"}}
}

func TestAResultEventSaysWhatBecameOfItsCause(t *testing.T) {
	t.Parallel()
	e := cause()
	e.TraceParent, e.TraceState = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "a=b"
	out, err := events.NewResultEvent("/registrar/register-region", e, events.RegionResult{
		Registration: events.Registration{
			RegionID: "cn-north-4", Outcome: events.Registered, Attempts: 1, RequestID: "r-1",
		},
	}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	require.NoError(t, err)
	encoded, err := out.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"specversion": "1.0", "id": "8bb22d32-fd1c-5850-8ea4-2fbcd3be82d9",
		"source": "/registrar/register-region", "type": "org.region.registered",
		"subject": "cn-north-4", "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json",
		"causationid": "in-1", "correlationid": "in-1", "partitionkey": "cn-north-4",
		"traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "tracestate": "a=b",
		"data": {"outcome": "registered", "region_id": "cn-north-4", "attempts": 1, "request_id": "r-1",
			"cause": {"id": "in-1", "source": "/landing-zone", "type": "org.bootstrap"}}
	}`, string(encoded))
}

func TestTheTypeOfAResultEventFollowsItsWeightiestOutcome(t *testing.T) {
	t.Parallel()
	r, u, p, x := events.Registered, events.Unchanged, events.Planned, events.Rejected
	for _, c := range []struct {
		parts  []events.Outcome
		whole  events.Outcome
		suffix string
	}{
		{[]events.Outcome{r}, r, ".registered"},
		{[]events.Outcome{u}, u, ".registered"},
		{[]events.Outcome{p}, p, ".planned"},
		{[]events.Outcome{x}, x, ".rejected"},
		{[]events.Outcome{u, r}, r, ".registered"},
		{[]events.Outcome{r, u}, r, ".registered"},
		{[]events.Outcome{p, u}, p, ".planned"},
		{[]events.Outcome{p, r}, r, ".registered"},
		{[]events.Outcome{x, r, u}, x, ".rejected"},
		{[]events.Outcome{u, p, x}, x, ".rejected"},
	} {
		admins := events.AdminResult{AccountID: "a"}
		for _, part := range c.parts {
			admins.Registrations = append(admins.Registrations, events.Registration{Outcome: part})
		}
		out, err := events.NewResultEvent("/s", cause(), admins, time.Now())
		require.NoError(t, err)
		assert.Equal(t, c.whole, admins.Whole().Outcome)
		assert.Equal(t, "account.admin"+c.suffix, out.Type())
		assert.Contains(t, string(out.Data()), `"outcome":"`+string(c.whole)+`"`)

		if len(c.parts) == 1 {
			region := events.RegionResult{Registration: events.Registration{RegionID: "cn-north-4", Outcome: c.whole}}
			out, err := events.NewResultEvent("/s", cause(), region, time.Now())
			require.NoError(t, err)
			assert.Equal(t, "org.region"+c.suffix, out.Type())
			assert.Contains(t, string(out.Data()), `"outcome":"`+string(c.whole)+`"`)
		}
	}
}

func TestTheIDOfAResultEventIsDerivedFromItsCauseAndType(t *testing.T) {
	t.Parallel()
	id := func(source string, e events.Event, o events.Outcome) string {
		result := events.RegionResult{Registration: events.Registration{Outcome: o}}
		out, err := events.NewResultEvent(source, e, result, time.Now())
		require.NoError(t, err)
		return out.ID()
	}
	first := id("/s", cause(), events.Registered)
	assert.Equal(t, first, id("/other", cause(), events.Unchanged), "the same cause and the same type")
	assert.NotEqual(t, first, id("/s", cause(), events.Rejected))
	other := cause()
	other.ID = "in-2"
	assert.NotEqual(t, first, id("/s", other, events.Registered))
	other = cause()
	other.Source = "/other"
	assert.NotEqual(t, first, id("/s", other, events.Registered))
}

func TestWhatIsUnknownIsAbsent(t *testing.T) {
	t.Parallel()
	out, err := events.NewResultEvent("/s", cause(), events.RegionResult{
		Registration: events.Registration{Outcome: events.Rejected, Reason: events.InvalidData, Message: "no"},
	}, time.Now())
	require.NoError(t, err)
	encoded, err := out.MarshalJSON()
	require.NoError(t, err)
	for _, absent := range []string{
		"subject", "partitionkey", "traceparent", "tracestate",
		"region_id", "observed_region_id", "error", "data_base64",
	} {
		assert.NotContains(t, string(encoded), `"`+absent+`"`)
	}
	e := cause()
	e.CorrelationID, e.TraceState = "flow", "a=b"
	out, err = events.NewResultEvent("/s", e, events.AdminResult{
		RegistrationsResult: events.RegistrationsResult{
			Outcome: events.Rejected, Reason: events.InvalidData, Message: "no",
		},
	}, time.Now())
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"outcome": "rejected", "reason": "invalid_data", "message": "no",
		"cause": {"id": "in-1", "source": "/landing-zone", "type": "org.bootstrap"}
	}`, string(out.Data()))
	assert.Equal(t, "flow", out.Extensions()["correlationid"])
	assert.NotContains(t, out.Extensions(), "tracestate", "it means nothing without a traceparent")
}

func TestResultEventsStaySmall(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain": "x", "quoted": `"`, "HTML": "<", "wide": "界", "control": "a\x01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat(text, 200_000)
			r := events.AdminResult{AccountID: "a"}
			for range 20 {
				r.Registrations = append(r.Registrations, events.Registration{
					ServicePrincipal: events.ServicePrincipal(strings.Repeat("p", 100)),
					Outcome:          events.Rejected, Reason: events.Refused, Message: long,
					Error: &events.Error{
						Status: 400, Code: strings.Repeat("c", 100), Message: long, RequestID: strings.Repeat("r", 100),
					},
				})
			}
			e := cause()
			e.ID, e.Source = strings.Repeat("<", 1024), "/"+strings.Repeat("&", 1023)
			e.CorrelationID = strings.Repeat(`"`, 1024)
			e.TraceParent, e.TraceState = strings.Repeat("t", 1024), strings.Repeat("t", 1024)
			out, err := events.NewResultEvent("/s", e, r, time.Now())
			require.NoError(t, err)
			encoded, err := out.MarshalJSON()
			require.NoError(t, err)
			assert.LessOrEqual(t, len(encoded), 60<<10)
			assert.Greater(t, len(encoded), 20<<10, "texts are cut no more than needed")
			var data events.AdminResult
			require.NoError(t, json.Unmarshal(out.Data(), &data))
			assert.NotEmpty(t, data.Registrations[19].Message)
			assert.Len(t, r.Registrations[0].Message, len(long), "the result itself is left alone")
		})
	}
	out, err := events.NewResultEvent("/s", cause(), events.RegionResult{
		Registration: events.Registration{Outcome: events.Rejected, Message: strings.Repeat("ü", 2000)},
	}, time.Now())
	require.NoError(t, err)
	var data events.RegionResult
	require.NoError(t, json.Unmarshal(out.Data(), &data))
	assert.LessOrEqual(t, len(data.Message), 1024)
	assert.Greater(t, len(data.Message), 1000)
}

func TestTheOutcomeAsAWholeSaysWhy(t *testing.T) {
	t.Parallel()
	want := events.Registration{
		Outcome: events.Rejected, Reason: events.Refused, Message: "why", Error: &events.Error{Status: 400},
	}
	whole := events.AdminResult{RegistrationsResult: events.RegistrationsResult{Registrations: []events.Registration{
		{Outcome: events.Registered, Attempts: 1}, want, {Outcome: events.Unchanged},
	}}}.Whole()
	want.Attempts = 1
	assert.Equal(t, want, whole)
}

func TestAResultWithoutAnOutcomeIsNotSent(t *testing.T) {
	t.Parallel()
	for _, r := range []events.Result{
		events.RegionResult{},
		events.RegionResult{Registration: events.Registration{Outcome: "done"}},
		events.AdminResult{},
		events.AdminResult{RegistrationsResult: events.RegistrationsResult{Registrations: []events.Registration{{}}}},
	} {
		_, err := events.NewResultEvent("/s", cause(), r, time.Now())
		require.ErrorContains(t, err, "which is not one")
	}
}
