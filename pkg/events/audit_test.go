package events_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// longest is an event whose attributes are as long as may be, and twice as long in JSON.
func longest() events.Event {
	long := strings.Repeat(`"`, 1<<10)
	return events.Event{
		Cause: events.Cause{ID: long, Source: "/" + strings.Repeat("s", 1<<10-1), Type: long}, CorrelationID: long,
		TraceParent: long, TraceState: long,
	}
}

func TestTheTypeOfAnAuditsResultIsItsOutcome(t *testing.T) {
	t.Parallel()
	e := events.Event{Cause: events.Cause{ID: "1", Source: "/schedule", Type: "org.audit"}}
	found := &events.AuditFindings{Region: events.AuditedRegion{Observed: "cn-north-4"}}
	for outcome, want := range map[events.Outcome]string{
		events.Passed: "org.audit.passed", events.Drifted: "org.audit.drifted", events.Rejected: "org.audit.rejected",
	} {
		out, err := events.NewResultEvent("/registrar/audit-organization", e,
			events.AuditResult{Outcome: outcome, AuditFindings: found}, noon)
		require.NoError(t, err)
		assert.Equal(t, want, out.Type())
		assert.Empty(t, out.Subject())
	}
	for _, wrong := range []events.Outcome{"", events.Registered, events.Unchanged, events.Planned, events.Skipped} {
		_, err := events.NewResultEvent("/x", e, events.AuditResult{Outcome: wrong}, noon)
		require.Error(t, err, wrong)
	}
	_, err := events.NewResultEvent("/x", e, events.RegionResult{
		Registration: events.Registration{Outcome: events.Passed},
	}, noon)
	require.Error(t, err, "a region is not audited")

	out, err := events.NewResultEvent("/x", e, events.Audit{}.Reject(events.InvalidData, "why"), noon)
	require.NoError(t, err)
	assert.JSONEq(t, `{"outcome":"rejected","reason":"invalid_data","message":"why",
		"cause":{"id":"1","source":"/schedule","type":"org.audit"}}`, string(out.Data()), "nothing was found")
}

func TestTheListsOfAnAuditAreCutAndItsCountsAreNot(t *testing.T) {
	t.Parallel()
	const many = 10_000
	found := &events.AuditFindings{}
	name := strings.Repeat(`"`, 128)
	for i := range many {
		one := events.Administrator{
			AccountID: events.AccountID(fmt.Sprintf("%064d", i)), AccountName: name,
			ServicePrincipal: "service.SecMaster",
		}
		found.Missing, found.Unexpected = append(found.Missing, one), append(found.Unexpected, one)
		found.Registered, found.Inactive = append(found.Registered, one), append(found.Inactive, one)
		found.Unmatched = append(found.Unmatched, events.UnmatchedSelector{Selector: "name:" + name})
		found.Resolved = append(found.Resolved,
			events.ResolvedSelector{Selector: "name:" + name, AccountID: one.AccountID})
	}
	found.Counts = found.Total(many)
	out, err := events.NewResultEvent("/registrar/audit-organization", longest(),
		events.AuditResult{Outcome: events.Drifted, AuditFindings: found}, noon)
	require.NoError(t, err)
	encoded, err := out.MarshalJSON()
	require.NoError(t, err)
	assert.LessOrEqual(t, len(encoded), 60<<10)
	assert.Greater(t, len(encoded), 30<<10, "no more is cut than must be")

	var got events.AuditResult
	require.NoError(t, json.Unmarshal(out.Data(), &got))
	assert.Equal(t, events.AuditCounts{
		Accounts: many, Missing: many, Registered: many, Unexpected: many, Inactive: many, Unmatched: many,
	}, got.Counts)
	assert.NotEmpty(t, got.Unexpected)
	assert.Equal(t, found.Unexpected[:len(got.Unexpected)], got.Unexpected, "the first ones are left")
	assert.Len(t, found.Unexpected, many, "what was found stays as it is")
}

func TestARejectionFitsWhateverIsInIt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(`"`, 8<<10)
	var r events.AdminResult
	for i := range events.MaxPrincipals {
		one := events.Registration{
			ServicePrincipal: events.ServicePrincipal(strings.Repeat("p", 100)), RequestID: strings.Repeat("r", 64),
			Error: &events.Error{Code: strings.Repeat("c", 64), Message: long, RequestID: strings.Repeat("r", 64)},
		}
		one.Reject(events.Refused, "%s", long)
		for j := range 30 {
			one.ObservedAccountIDs = append(one.ObservedAccountIDs, events.AccountID(fmt.Sprintf("%032d%032d", i, j)))
		}
		one.ObservedStatus = strings.Repeat("s", 64)
		r.Registrations = append(r.Registrations, one)
	}
	out, err := events.NewResultEvent("/registrar/register-admin", longest(), r, noon)
	require.NoError(t, err)
	encoded, err := out.MarshalJSON()
	require.NoError(t, err)
	assert.LessOrEqual(t, len(encoded), 60<<10)
	var got events.AdminResult
	require.NoError(t, json.Unmarshal(out.Data(), &got))
	assert.Len(t, got.Registrations[0].ObservedAccountIDs, 10)
	assert.Len(t, r.Registrations[0].ObservedAccountIDs, 30, "what was found stays as it is")
}

func TestResultsAndRequestsAreToldApart(t *testing.T) {
	t.Parallel()
	for _, result := range []string{
		"org.region.registered", "org.service.planned", "account.admin.skipped", "account.admin.rejected",
		"org.audit.passed", "org.audit.drifted", "org.audit.rejected",
	} {
		assert.True(t, events.IsResult(result), result)
		assert.False(t, events.IsRequest(result), result)
	}
	for _, request := range []string{"org.service.missing", "account.admin.missing"} {
		assert.True(t, events.IsRequest(request), request)
		assert.False(t, events.IsResult(request), request)
	}
	for _, neither := range []string{
		"", ".", "org.audit", "org.audit.", "org.audit.registered", "org.audit.skipped", "org.region.passed",
		"org.region.unchanged", "account.admin.drifted", "org.region.registered.x", "org.region.missing",
		"org.bootstrap",
	} {
		assert.False(t, events.IsResult(neither), neither)
		assert.False(t, events.IsRequest(neither), neither)
	}
}

func TestARequestIsMadeOfItsAudit(t *testing.T) {
	t.Parallel()
	e := events.Event{
		Cause: events.Cause{ID: "audit/1", Source: "/schedule", Type: "org.audit"}, Time: noon, CorrelationID: "c",
	}
	services := []events.ServicePrincipal{"service.A", "service.B"}
	id := func(eventType, account string) string {
		name := "/schedule\naudit/1\n" + eventType + "\n" + account
		return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()
	}
	out, err := events.NewRequestEvent("/registrar/audit-organization", e,
		events.Request{AccountID: "1", ServicePrincipals: services}, noon.Add(time.Hour))
	require.NoError(t, err)
	encoded, err := out.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, `{"specversion":"1.0","id":"`+id("account.admin.missing", "1")+`",
		"source":"/registrar/audit-organization","type":"account.admin.missing","time":"2026-01-02T12:00:00Z",
		"subject":"1","partitionkey":"1","causationid":"audit/1","correlationid":"c",
		"datacontenttype":"application/json",
		"data":{"account_id":"1","service_principals":["service.A","service.B"]}}`, string(encoded))

	e.Time = time.Time{}
	out, err = events.NewRequestEvent("/x", e, events.Request{ServicePrincipals: services}, noon.Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, "org.service.missing", out.Type())
	assert.Equal(t, id("org.service.missing", ""), out.ID())
	assert.Empty(t, out.Subject())
	assert.Equal(t, noon.Add(time.Hour), out.Time(), "without a time of the audit, now")
	assert.JSONEq(t, `{"service_principals":["service.A","service.B"]}`, string(out.Data()))
}

func TestWhichAccountWasCreated(t *testing.T) {
	t.Parallel()
	in := events.AccountCreatedInput()
	assert.Equal(t, []string{"account.admin.missing"}, in.Requests)
	assert.Equal(t, []string{"org.service.missing"}, events.BootstrapServicesInput().Requests)
	assert.Empty(t, events.BootstrapRegionInput().Requests)
	assert.Empty(t, events.AuditInput().Requests)
	for data, want := range map[string]string{
		`{"account_id":"a"}`:                                     "",
		`{"create_account_status_id":"car-1_A"}`:                 "",
		`{"account_id":null,"create_account_status_id":"car-1"}`: "",
		`{"account_id":"a","create_account_status_id":null}`:     "",
		`{}`: "account_id: is missing, and so is create_account_status_id",
		`{"account_id":"a","create_account_status_id":"car-1"}`:          "must not stand beside account_id",
		`{"create_account_status_id":""}`:                                `"" is not the id of a creation`,
		`{"create_account_status_id":"../car"}`:                          `"../car" is not the id of a creation`,
		`{"create_account_status_id":5}`:                                 "must not be a JSON number",
		`{"create_account_status_id":"` + strings.Repeat("c", 65) + `"}`: "is not the id of a creation",
	} {
		d, err := in.Decode(&events.Event{Data: json.RawMessage(data)})
		if want == "" {
			require.NoError(t, err, data)
			assert.NotEqual(t, d.AccountID == "", d.CreateAccountStatusID == "", data)
			continue
		}
		require.ErrorContains(t, err, want, data)
	}
}

func TestAnEventWithoutATimeIsAsOldAsWhatBroughtIt(t *testing.T) {
	t.Parallel()
	const (
		timed   = `{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"2026-01-02T01:00:00Z"}`
		untimed = `{"specversion":"1.0","id":"1","source":"/x","type":"t"}`
	)
	bridge := func(detail, at string) string {
		return `{"detail-type":"t","source":"/x","id":"2","time":"` + at + `","detail":` + detail + `}`
	}
	queue := func(body, sent string) string {
		text, err := json.Marshal(body)
		require.NoError(t, err)
		return `{"Records":[{"eventSource":"aws:sqs","messageId":"m","body":` + string(text) +
			`,"attributes":{"SentTimestamp":"` + sent + `"}}]}`
	}
	notification := func(body string) string {
		text, err := json.Marshal(body)
		require.NoError(t, err)
		return `{"Type":"Notification","TopicArn":"t","MessageId":"n","Message":` + string(text) + `}`
	}
	const three, threeMillis = "2026-01-02T03:00:00Z", "1767322800000"
	for name, c := range map[string]struct{ payload, want string }{
		"its own":                           {timed, "2026-01-02T01:00:00Z"},
		"none":                              {untimed, ""},
		"its own, on a bus":                 {bridge(timed, three), "2026-01-02T01:00:00Z"},
		"that of the bus":                   {bridge(untimed, three), three},
		"that of the bus, in a list":        {bridge("["+untimed+"]", three), three},
		"that of the bus, which isn't one":  {bridge(untimed, "yesterday"), ""},
		"its own, in a queue":               {queue(timed, threeMillis), "2026-01-02T01:00:00Z"},
		"that of the queue":                 {queue(untimed, threeMillis), three},
		"that of the queue, behind a topic": {queue(notification(untimed), threeMillis), three},
		"that of the bus, in a queue": {
			queue(bridge(untimed, "2026-01-02T02:00:00Z"), threeMillis),
			"2026-01-02T02:00:00Z",
		},
		"that of the queue, which isn't one":    {queue(untimed, "soon"), ""},
		"that of the queue, which is negative":  {queue(untimed, "-5"), ""},
		"that of the queue, which is too large": {queue(untimed, "999999999999999999"), ""},
	} {
		envelope, err := events.Unwrap([]byte(c.payload))
		require.NoError(t, err, name)
		require.Len(t, envelope.Records, 1, name)
		require.NoError(t, envelope.Records[0].Err, name)
		got := ""
		if at := envelope.Records[0].Event.Time; !at.IsZero() {
			got = at.UTC().Format(time.RFC3339)
		}
		assert.Equal(t, c.want, got, name)
	}
}
