package events_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func audit() events.Event {
	return events.Event{
		Cause:         events.Cause{ID: "audit/1", Source: "/schedule", Type: "org.audit"},
		Time:          time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		CorrelationID: "c", TraceParent: "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", TraceState: "a=b",
	}
}

func TestARequestEventAsksForWhatIsMissing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)
	principals := []events.ServicePrincipal{"service.B", "service.A"}
	id := func(name string) string { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String() }

	out, err := events.NewRequestEvent("/registrar/audit-organization", audit(),
		events.Request{AccountID: "a_1", ServicePrincipals: principals}, now)
	require.NoError(t, err)
	encoded, err := out.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"specversion": "1.0", "id": "`+id("/schedule\naudit/1\naccount.admin.missing\na_1")+`",
		"source": "/registrar/audit-organization", "type": "account.admin.missing",
		"subject": "a_1", "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json",
		"causationid": "audit/1", "correlationid": "c", "partitionkey": "a_1",
		"traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "tracestate": "a=b",
		"data": {"account_id": "a_1", "service_principals": ["service.B", "service.A"]}
	}`, string(encoded))

	e := audit()
	e.Time, e.CorrelationID, e.TraceParent = time.Time{}, "", ""
	out, err = events.NewRequestEvent("/s", e, events.Request{ServicePrincipals: principals}, now)
	require.NoError(t, err)
	encoded, err = out.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"specversion": "1.0", "id": "`+id("/schedule\naudit/1\norg.service.missing\n")+`",
		"source": "/s", "type": "org.service.missing",
		"time": "2026-01-02T04:00:00Z", "datacontenttype": "application/json",
		"causationid": "audit/1", "correlationid": "audit/1",
		"data": {"service_principals": ["service.B", "service.A"]}
	}`, string(encoded))
}

func TestTheIDOfARequestTellsTheAuditAndTheAccount(t *testing.T) {
	t.Parallel()
	id := func(e events.Event, account events.AccountID, principal events.ServicePrincipal) string {
		out, err := events.NewRequestEvent("/s", e, events.Request{
			AccountID: account, ServicePrincipals: []events.ServicePrincipal{principal},
		}, time.Now())
		require.NoError(t, err)
		return out.ID()
	}
	first := id(audit(), "a_1", "service.A")
	again := audit() // delivered twice: what is missing may have changed since
	again.Time, again.TraceParent = again.Time.Add(time.Hour), ""
	assert.Equal(t, first, id(again, "a_1", "service.B"))
	next, other := audit(), audit()
	next.ID, other.Source = "audit/2", "/by-hand"
	seen := map[string]bool{first: true}
	for _, id := range []string{
		id(audit(), "a_2", "service.A"), id(audit(), "", "service.A"), id(next, "a_1", "service.A"),
		id(other, "a_1", "service.A"),
	} {
		assert.False(t, seen[id])
		seen[id] = true
	}
}
