package events_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func TestAnAuditEventSaysWhatWasFound(t *testing.T) {
	t.Parallel()
	found := events.AuditFindings{
		Region:             events.AuditedRegion{Wanted: "cn-north-4", Observed: "cn-south-1"},
		MissingServices:    []events.ServicePrincipal{"service.X"},
		RegisteredServices: []events.ServicePrincipal{"service.Y", "service.Z"},
		Missing:            []events.Administrator{{AccountID: "a1", ServicePrincipal: "service.X"}},
		Registered:         []events.Administrator{{AccountID: "a1", ServicePrincipal: "service.Y"}},
		Unexpected: []events.Administrator{
			{AccountID: "a2", AccountName: "guest", ServicePrincipal: "service.Y"},
		},
		Inactive: []events.Administrator{{AccountID: "a3", ServicePrincipal: "service.Z", Status: "suspended"}},
		Unmatched: []events.UnmatchedSelector{
			{ServicePrincipal: "service.Z", Selector: "name:logs", InvitedAccountID: "a4"},
		},
		Resolved: []events.ResolvedSelector{{Selector: "name:security", AccountID: "a1"}},
	}
	found.Counts, found.RequestsSent = found.Total(7), 2
	out, err := events.NewResultEvent("/s", audit(), events.AuditResult{
		Outcome: events.Drifted, AuditFindings: &found, Requests: []events.Request{{AccountID: "a1"}},
	}, time.Now())
	require.NoError(t, err)
	assert.Equal(t, "org.audit.drifted", out.Type())
	assert.Empty(t, out.Subject(), "it is about the organization")
	assert.NotContains(t, out.Extensions(), "partitionkey")
	assert.JSONEq(t, `{
		"outcome": "drifted", "region": {"wanted": "cn-north-4", "observed": "cn-south-1"},
		"missing_services": ["service.X"], "registered_services": ["service.Y", "service.Z"],
		"missing": [{"account_id": "a1", "service_principal": "service.X"}],
		"registered": [{"account_id": "a1", "service_principal": "service.Y"}],
		"unexpected": [{"account_id": "a2", "account_name": "guest", "service_principal": "service.Y"}],
		"inactive": [{"account_id": "a3", "service_principal": "service.Z", "status": "suspended"}],
		"unmatched": [{"service_principal": "service.Z", "selector": "name:logs", "invited_account_id": "a4"}],
		"resolved": [{"selector": "name:security", "account_id": "a1"}],
		"counts": {"accounts": 7, "missing_services": 1, "registered_services": 2, "missing": 1, "registered": 1,
			"unexpected": 1, "inactive": 1, "unmatched": 1, "resolved": 1},
		"requests_sent": 2, "cause": {"id": "audit/1", "source": "/schedule", "type": "org.audit"}
	}`, string(out.Data()))
	assert.Equal(t, 5, found.Absent(), "region, services, missing, inactive, unmatched")
	found.Region.Wanted = ""
	assert.Equal(t, 4, found.Absent(), "any region will do")
}

func TestEachListOfAnAuditIsCounted(t *testing.T) {
	t.Parallel()
	services, administrators := []events.ServicePrincipal{"a"}, []events.Administrator{{}}
	for name, c := range map[string]struct {
		found  events.AuditFindings
		counts events.AuditCounts
		absent int
	}{
		"missing services": {
			events.AuditFindings{MissingServices: services}, events.AuditCounts{MissingServices: 1}, 1,
		},
		"registered services": {
			events.AuditFindings{RegisteredServices: services}, events.AuditCounts{RegisteredServices: 1}, 0,
		},
		"missing":    {events.AuditFindings{Missing: administrators}, events.AuditCounts{Missing: 1}, 1},
		"registered": {events.AuditFindings{Registered: administrators}, events.AuditCounts{Registered: 1}, 0},
		"unexpected": {events.AuditFindings{Unexpected: administrators}, events.AuditCounts{Unexpected: 1}, 0},
		"inactive":   {events.AuditFindings{Inactive: administrators}, events.AuditCounts{Inactive: 1}, 1},
		"unmatched": {
			events.AuditFindings{Unmatched: []events.UnmatchedSelector{{}}}, events.AuditCounts{Unmatched: 1}, 1,
		},
		"resolved": {events.AuditFindings{Resolved: []events.ResolvedSelector{{}}}, events.AuditCounts{Resolved: 1}, 0},
		"no region": {
			events.AuditFindings{Region: events.AuditedRegion{Wanted: "cn-north-4"}}, events.AuditCounts{}, 1,
		},
		"the region": {
			events.AuditFindings{Region: events.AuditedRegion{Wanted: "a-b", Observed: "a-b"}}, events.AuditCounts{}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.counts.Accounts, c.found.Counts = 7, c.found.Total(7)
			assert.Equal(t, c.counts, c.found.Counts)
			assert.Equal(t, c.absent, c.found.Absent())
		})
	}
}

// Huawei Cloud may call a service what it likes, and what had to be cleaned is in quotes.
func TestTheResultOfAnAuditCanBeReadWhateverTheServiceInItIsCalled(t *testing.T) {
	t.Parallel()
	found := &events.AuditFindings{}
	for _, principal := range []events.ServicePrincipal{"service/New:v2", `"service.SecMaster"`, "服务", "a b"} {
		found.Unexpected = append(found.Unexpected, events.Administrator{AccountID: "a1", ServicePrincipal: principal})
	}
	found.Counts = found.Total(1)
	out, err := events.NewResultEvent("/s", audit(), events.AuditResult{
		Outcome: events.Drifted, AuditFindings: found,
	}, time.Now())
	require.NoError(t, err)
	var read events.AuditResult
	require.NoError(t, json.Unmarshal(out.Data(), &read))
	assert.Equal(t, found, read.AuditFindings)
}

func TestTheTypeOfAnAuditEventFollowsItsOutcome(t *testing.T) {
	t.Parallel()
	for outcome, sent := range map[events.Outcome]bool{
		events.Passed: true, events.Drifted: true, events.Rejected: true,
		events.Registered: false, events.Unchanged: false, events.Planned: false, events.Skipped: false, "": false,
	} {
		out, err := events.NewResultEvent("/s", audit(), events.AuditResult{Outcome: outcome}, time.Now())
		if sent {
			require.NoError(t, err)
			assert.Equal(t, "org.audit."+string(outcome), out.Type())
		} else {
			require.ErrorContains(t, err, "which is not one", outcome)
		}
		if outcome != events.Rejected {
			region := events.RegionResult{Registration: events.Registration{Outcome: outcome}}
			_, err = events.NewResultEvent("/s", audit(), region, time.Now())
			assert.Equal(t, outcome == "" || sent, err != nil, "only an audit ends like that: %s", outcome)
		}
	}
	passed, err := events.NewResultEvent("/s", audit(),
		events.AuditResult{Outcome: events.Passed, AuditFindings: &events.AuditFindings{}}, time.Now())
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"outcome": "passed", "region": {}, "requests_sent": 0,
		"counts": {"accounts": 0, "missing_services": 0, "registered_services": 0, "missing": 0, "registered": 0,
			"unexpected": 0, "inactive": 0, "unmatched": 0, "resolved": 0},
		"cause": {"id": "audit/1", "source": "/schedule", "type": "org.audit"}
	}`, string(passed.Data()), "what is 0 is said")

	rejected := events.Audit{}.Reject(events.InvalidData, strings.Repeat("no ", 1000))
	out, err := events.NewResultEvent("/s", audit(), rejected, time.Now())
	require.NoError(t, err)
	var data map[string]any
	require.NoError(t, json.Unmarshal(out.Data(), &data))
	assert.Len(t, data["message"], 1024)
	delete(data, "message")
	assert.Equal(t, map[string]any{
		"outcome": "rejected", "reason": "invalid_data",
		"cause": map[string]any{"id": "audit/1", "source": "/schedule", "type": "org.audit"},
	}, data, "without findings")
}

// many is n administrators, whose texts are as long as they can be.
func many(n int, name string) []events.Administrator {
	var all []events.Administrator
	for i := range n {
		all = append(all, events.Administrator{
			AccountID:        events.AccountID(fmt.Sprintf("%064d", i)),
			AccountName:      name,
			ServicePrincipal: events.ServicePrincipal(strings.Repeat("p", 100)),
			Status:           strings.Repeat("s", 64),
		})
	}
	return all
}

func TestTheListsOfAnAuditAreCutSoThatTheyFit(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for name, text := range map[string]string{
		"plain": strings.Repeat("x", 128), "quotes": strings.Repeat(`"`, 256), "wide": strings.Repeat("界", 42),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := events.AuditFindings{
				Region: events.AuditedRegion{
					Wanted:   events.RegionID(strings.Repeat("w", 64)),
					Observed: events.RegionID(strings.Repeat("o", 64)),
				},
				Missing: many(n, text), Registered: many(n, text), Unexpected: many(n, text), Inactive: many(n, text),
			}
			for i := range n {
				principal := events.ServicePrincipal(fmt.Sprintf("%0100d", i))
				found.MissingServices = append(found.MissingServices, principal)
				found.RegisteredServices = append(found.RegisteredServices, principal)
				found.Unmatched = append(found.Unmatched, events.UnmatchedSelector{
					ServicePrincipal: principal, Selector: "name:" + text, InvitedAccountID: found.Missing[i].AccountID,
				})
				found.Resolved = append(found.Resolved, events.ResolvedSelector{
					Selector: "name:" + text, AccountID: found.Missing[i].AccountID,
				})
			}
			found.Counts = found.Total(n)
			before := found
			out, err := events.NewResultEvent("/"+strings.Repeat("s", 255), longest(),
				events.AuditResult{Outcome: events.Drifted, AuditFindings: &found}, time.Now())
			require.NoError(t, err)
			encoded, err := out.MarshalJSON()
			require.NoError(t, err)
			assert.LessOrEqual(t, len(encoded), 60<<10)
			assert.Greater(t, len(encoded), 20<<10, "the lists are cut no more than needed")

			var data struct {
				Missing    []events.Administrator     `json:"missing"`
				Unexpected []events.Administrator     `json:"unexpected"`
				Unmatched  []events.UnmatchedSelector `json:"unmatched"`
				Counts     events.AuditCounts         `json:"counts"`
			}
			require.NoError(t, json.Unmarshal(out.Data(), &data))
			assert.Equal(t, events.AuditCounts{
				Accounts: n, MissingServices: n, RegisteredServices: n, Missing: n, Registered: n,
				Unexpected: n, Inactive: n, Unmatched: n, Resolved: n,
			}, data.Counts)
			for _, length := range []int{len(data.Missing), len(data.Unexpected), len(data.Unmatched)} {
				assert.Positive(t, length)
				assert.Less(t, length, n)
			}
			assert.Equal(t, found.Missing[:len(data.Missing)], data.Missing, "the first of them")
			assert.Equal(t, before, found, "the findings themselves are left alone")
			assert.Len(t, found.Unexpected, n)
		})
	}
}

func TestListsThatFitAreNotCut(t *testing.T) {
	t.Parallel()
	found := events.AuditFindings{Missing: many(60, "n"), Unexpected: many(60, "n")}
	out, err := events.NewResultEvent("/s", audit(),
		events.AuditResult{Outcome: events.Drifted, AuditFindings: &found}, time.Now())
	require.NoError(t, err)
	var data events.AuditFindings
	require.NoError(t, json.Unmarshal(out.Data(), &data))
	assert.Equal(t, found, data)
}

func TestWhatIsRightIsCutBeforeWhatIsWrong(t *testing.T) {
	t.Parallel()
	found := events.AuditFindings{Registered: many(1000, "n"), Unexpected: many(90, "n")}
	out, err := events.NewResultEvent("/s", audit(),
		events.AuditResult{Outcome: events.Drifted, AuditFindings: &found}, time.Now())
	require.NoError(t, err)
	var data events.AuditFindings
	require.NoError(t, json.Unmarshal(out.Data(), &data))
	assert.Equal(t, found.Unexpected, data.Unexpected)
	assert.NotEmpty(t, data.Registered)
	assert.Less(t, len(data.Registered), 1000)
}

// A cause as large as this never gets here through Unwrap, but whoever makes an event must not wait
// for ever.
func TestWhatCannotFitEndsNonetheless(t *testing.T) {
	t.Parallel()
	e := audit()
	e.ID = strings.Repeat("x", 100_000)
	for _, r := range []events.Result{
		events.AuditResult{Outcome: events.Drifted, AuditFindings: &events.AuditFindings{Missing: many(9, "n")}},
		events.AdminResult{RegistrationsResult: events.RegistrationsResult{
			Registrations: []events.Registration{{Outcome: events.Registered}},
		}},
	} {
		_, err := events.NewResultEvent("/s", e, r, time.Now())
		require.NoError(t, err)
	}
}
