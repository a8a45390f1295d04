package events_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func TestTypesOfOurOwnResults(t *testing.T) {
	t.Parallel()
	registering := []string{"registered", "planned", "rejected", "skipped"}
	suffixes := map[string][]string{
		"org.region": registering, "org.service": registering, "account.admin": registering,
		"org.audit": {"passed", "drifted", "rejected"},
	}
	for family, own := range suffixes {
		for _, suffix := range []string{
			"registered", "planned", "rejected", "skipped", "passed", "drifted", "unchanged", "missing", "Passed", "",
		} {
			eventType := family + "." + suffix
			assert.Equal(t, slices.Contains(own, suffix), events.IsResult(eventType), eventType)
			assert.Equal(t, slices.Contains([]string{"org.service.missing", "account.admin.missing"}, eventType),
				events.IsRequest(eventType), eventType)
		}
	}
	for _, other := range []string{
		"", "org.bootstrap", "org.audit", "account.created", "account.registered", "my.account.admin.registered",
		"org.region", "account.admin.registered.", "org.service.missing.", "org.service.missing.x",
	} {
		assert.False(t, events.IsResult(other), other)
		assert.False(t, events.IsRequest(other), other)
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

// longest is an event whose attributes are as long as they can be, and longer still when they are
// escaped.
func longest() events.Event {
	e := cause()
	quotes := strings.Repeat(`"`, 1024)
	e.ID, e.Source, e.Type, e.CorrelationID = quotes, "/"+strings.Repeat("&", 1023), quotes, quotes
	e.TraceParent, e.TraceState = quotes, quotes
	return e
}

func TestResultEventsStaySmall(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain": "x", "quoted": `"`, "HTML": "<", "wide": "界", "control": "a\x01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat(text, 200_000)
			r := events.AdminResult{AccountID: events.AccountID(strings.Repeat("a", 64))}
			for range 20 {
				r.Registrations = append(r.Registrations, events.Registration{
					ServicePrincipal: events.ServicePrincipal(strings.Repeat("p", 100)),
					Outcome:          events.Rejected, Reason: events.AccountNotActive, Message: long,
					RequestID: strings.Repeat(`"`, 100), ObservedStatus: strings.Repeat("s", 64),
					ObservedAccountIDs: slices.Repeat([]events.AccountID{
						events.AccountID(strings.Repeat("o", 64)),
					}, 500),
					Error: &events.Error{
						Status: 400, Code: strings.Repeat(`"`, 100), Message: long, RequestID: strings.Repeat(`"`, 100),
					},
				})
			}
			out, err := events.NewResultEvent("/"+strings.Repeat("s", 255), longest(), r, time.Now())
			require.NoError(t, err)
			encoded, err := out.MarshalJSON()
			require.NoError(t, err)
			assert.LessOrEqual(t, len(encoded), 60<<10)
			assert.Greater(t, len(encoded), 20<<10, "texts are cut no more than needed")
			var data events.AdminResult
			require.NoError(t, json.Unmarshal(out.Data(), &data))
			assert.Greater(t, len(data.Registrations[19].Message), 50)
			assert.Len(t, data.Registrations[19].ObservedAccountIDs, 10)
			assert.Len(t, r.Registrations[0].Message, len(long), "the result itself is left alone")
			assert.Len(t, r.Registrations[0].ObservedAccountIDs, 500)
			assert.Len(t, r.Registrations[0].Error.Message, len(long))
		})
	}
	for n := range 40 { // one of them is as large as what isn't cut can be
		r := events.AdminResult{AccountID: events.AccountID(strings.Repeat("a", 64))}
		r.Registrations = slices.Repeat([]events.Registration{{
			Outcome: events.Rejected, Message: strings.Repeat("x", 25*n),
			Error: &events.Error{Message: strings.Repeat("x", 25*n)},
		}}, 40)
		out, err := events.NewResultEvent("/"+strings.Repeat("s", 255), longest(), r, time.Now())
		require.NoError(t, err)
		encoded, err := out.MarshalJSON()
		require.NoError(t, err)
		assert.LessOrEqual(t, len(encoded), 60<<10, n)
	}

	sentence := strings.Repeat("x", 400)
	ordinary := events.AdminResult{RegistrationsResult: events.RegistrationsResult{
		Registrations: slices.Repeat([]events.Registration{{Outcome: events.Rejected, Message: sentence}}, 20),
	}}
	out, err := events.NewResultEvent("/s", cause(), ordinary, time.Now())
	require.NoError(t, err)
	assert.Equal(t, 20, strings.Count(string(out.Data()), sentence), "what fits isn't cut")

	out, err = events.NewResultEvent("/s", cause(), events.RegionResult{
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
