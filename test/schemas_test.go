package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
	"registrar/test/docs"
)

func schemas(t *testing.T) docs.Schemas {
	t.Helper()
	all, err := docs.LoadSchemas("../docs/schemas")
	require.NoError(t, err)
	return all
}

func TestTheSamplesMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	files, err := filepath.Glob("../events/*.json")
	require.NoError(t, err)
	checked := 0
	for _, file := range files {
		payload, err := os.ReadFile(file)
		require.NoError(t, err)
		var list []json.RawMessage
		if json.Unmarshal(payload, &list) != nil {
			list = []json.RawMessage{payload}
		}
		for _, event := range list {
			var version struct{ SpecVersion string }
			require.NoError(t, json.Unmarshal(event, &version), file)
			if version.SpecVersion != "" {
				assert.NoError(t, all.Check(event), file)
				checked++
			}
		}
	}
	assert.Greater(t, checked, 2)
}

// vocabulary is what a pattern finds in pkg/events, which has the only list of types and reasons.
func vocabulary(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob("../pkg/events/*.go")
	require.NoError(t, err)
	var found []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
			found = append(found, match[1])
		}
	}
	require.NotEmpty(t, found, pattern)
	return found
}

func TestEveryTypeOfEventHasASchemaAndIsDocumented(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	page, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	for eventType := range all {
		assert.Contains(t, string(page), "[`"+eventType+"`](schemas/"+eventType+".json)")
	}
	types := append(vocabulary(t, `Input\[\w+\]\{"([^"]+)"`), vocabulary(t, `\w+Request += "([^"]+)"`)...)
	for _, family := range vocabulary(t, `\w+Family += "([^"]+)"`) {
		for _, outcome := range vocabulary(t, `Outcome = "([^"]+)"`) {
			if resultType := family + "." + outcome; events.IsResult(resultType) {
				types = append(types, resultType)
			}
		}
	}
	assert.Subset(t, slices.Collect(maps.Keys(all)), types)
	for _, reason := range vocabulary(t, `Reason += "([^"]+)"`) {
		assert.Contains(t, string(page), "| `"+reason+"` |")
	}
}

// The schemas allow exactly the events that the program takes, but for what they say they can't
// check.
func TestTheSchemasAllowWhatIsTaken(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	var names []string
	for i := range 21 {
		names = append(names, fmt.Sprintf(`"service.S%d"`, i))
	}
	twenty, last := strings.Join(names[:20], ","), names[20]
	for eventType, c := range map[string]struct{ taken, refused []string }{
		"org.bootstrap": {
			taken: []string{
				``,
				`,"data":null`,
				`,"data":{}`,
				`,"data":{"region_id":"cn-north-4"}`,
				`,"data":{"region_id":null,"more":{"x":[1]}}`,
				`,"data":{"region_id":"a-` + strings.Repeat("b", 62) + `"}`,
				`,"data":{"service_principals":null}`,
				`,"data":{"service_principals":["x","y"]}`,
				`,"data":{"service_principals":[` + twenty + `]}`,
				`,"data":{"dry_run":true}`,
				`,"data_base64":"e30="`,
				`,"datacontenttype":"text/xml"`,
				`,"datacontenttype":"text/xml","data":null`,
				`,"datacontenttype":"text/xml","data_base64":""`,
				`,"datacontenttype":"","data":{}`,
				`,"datacontenttype":"application/json; charset=utf-8"`,
				`,"datacontenttype":"application/x+json"`,
				`,"time":"2026-01-02T03:04:05.6+01:00"`,
				`,"time":null`,
				`,"time":"1998-12-31T23:59:60Z"`,
				`,"other":"x","n":5,"b":true,"z":null`,
				`,"other":{}`,
				`,"other":"\u0007"`,
				`,"other":"` + strings.Repeat("x", 1025) + `"`,
				`,"correlationid":"x","traceparent":"x","tracestate":"x"`,
				`,"correlationid":"","traceparent":" ","tracestate":null`,
				`,"subject":"x","dataschema":"x"`,
			},
			refused: []string{
				`,"data":[]`,
				`,"data":"x"`,
				`,"data":{"region_id":5}`,
				`,"data":{"region_id":""}`,
				`,"data":{"region_id":"CN-NORTH-4"}`,
				`,"data":{"region_id":"north"}`,
				`,"data":{"region_id":"a-` + strings.Repeat("b", 63) + `"}`,
				`,"data":{"service_principals":"x"}`,
				`,"data":{"service_principals":[""]}`,
				`,"data":{"service_principals":[null]}`,
				`,"data":{"service_principals":[` + twenty + `,` + last + `]}`,
				`,"data":{"dry_run":"true"}`,
				`,"data_base64":5`,
				`,"data":{},"data_base64":"e30="`,
				`,"datacontenttype":"text/xml","data":{}`,
				`,"datacontenttype":"text/xml","data_base64":"e30="`,
				`,"datacontenttype":5`,
				`,"time":"yesterday"`,
				`,"time":5`,
				`,"time":"1990-12-31T15:59:59-24:00"`,
				`,"Other":"x"`,
				`,"correlationid":5`,
				`,"correlationid":"` + strings.Repeat("x", 1025) + `"`,
			},
		},
		"org.service.missing": {
			taken: []string{
				``,
				`,"data":{"service_principals":null}`,
				`,"data":{"service_principals":["x"],"region_id":5}`,
				`,"data":{"service_principals":[` + twenty + `]}`,
				`,"data":{"dry_run":true}`,
			},
			refused: []string{
				`,"data":[]`,
				`,"data":{"service_principals":["a b"]}`,
				`,"data":{"service_principals":[` + twenty + `,` + last + `]}`,
				`,"data":{"dry_run":1}`,
			},
		},
		"org.audit": {
			taken: []string{
				``,
				`,"data":null`,
				`,"data":{}`,
				`,"data":{"dry_run":true,"more":{}}`,
				`,"data":{"dry_run":null}`,
			},
			refused: []string{
				`,"data":[]`,
				`,"data":"x"`,
				`,"data":{"dry_run":3}`,
			},
		},
		"account.admin.missing": {
			taken: []string{
				`,"data":{"account_id":"a","service_principals":["x","y"]}`,
				`,"data":{"account_id":"a"}`,
			},
			refused: []string{
				``,
				`,"data":{"service_principals":["x"]}`,
				`,"data":{"account_id":"a.b"}`,
			},
		},
		"account.created": {
			taken: []string{
				`,"data":{"account_id":"a"}`,
				`,"data":{"account_id":"a_-9","service_principal":"service.X"}`,
				`,"data":{"account_id":"a","service_principals":["x","y"],"service_principal":null}`,
				`,"data":{"account_id":"a","service_principals":null}`,
				`,"data":{"account_id":"a","service_principals":[` + twenty + `]}`,
				`,"data":{"create_account_status_id":"car-1_a"}`,
				`,"data":{"create_account_status_id":"a","account_id":null,"service_principal":"x"}`,
				`,"data":{"account_id":"a","create_account_status_id":null}`,
			},
			refused: []string{
				``,
				`,"data":null`,
				`,"data":{}`,
				`,"data":{"account_id":"a","create_account_status_id":"b"}`,
				`,"data":{"account_id":null,"create_account_status_id":null}`,
				`,"data":{"create_account_status_id":"a.b"}`,
				`,"data":{"create_account_status_id":""}`,
				`,"data":{"create_account_status_id":5}`,
				`,"data":{"account_id":"a.b","service_principal":"x"}`,
				`,"data":{"account_id":null,"service_principal":"x"}`,
				`,"data":{"account_id":"a","service_principal":""}`,
				`,"data":{"account_id":"a","service_principal":"a b"}`,
				`,"data":{"account_id":"a","service_principals":"x"}`,
				`,"data":{"account_id":"a","service_principals":[null]}`,
				`,"data":{"account_id":"a","service_principals":[` + twenty + `,` + last + `]}`,
				`,"data":{"account_id":"a","service_principals":[` + twenty + `],"service_principal":` + last + `}`,
			},
		},
	} {
		event := func(rest string) string {
			return fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/s","type":%q%s}`, eventType, rest)
		}
		for _, rest := range c.taken {
			require.NoError(t, all.Check([]byte(event(rest))), "the schema about %s", event(rest))
			assert.True(t, isTaken(t, eventType, event(rest)), "the program about %s", event(rest))
		}
		for _, rest := range c.refused {
			require.Error(t, all.Check([]byte(event(rest))), "the schema about %s", event(rest))
			assert.False(t, isTaken(t, eventType, event(rest)), "the program about %s", event(rest))
		}
	}
	for _, attributes := range []string{
		`"id":"1","source":"/s"`,
		`"specversion":"1.1","id":"1","source":"/s"`,
		`"specversion":"1.0","source":"/s"`,
		`"specversion":"1.0","id":"1"`,
		`"specversion":"1.0","id":"","source":"/s"`,
		`"specversion":"1.0","id":1,"source":"/s"`,
		`"specversion":"1.0","id":" \u2028\u3000","source":"/s"`,
		`"specversion":"1.0","id":"a\u0085","source":"/s"`,
		`"specversion":"1.0","id":"1","source":"a b"`,
		`"specversion":"1.0","id":"1","source":"<s>"`,
		`"specversion":"1.0","id":"1","source":"/[::1]"`,
	} {
		event := "{" + attributes + `,"type":"org.bootstrap"}`
		require.Error(t, all.Check([]byte(event)), event)
		assert.False(t, isTaken(t, "org.bootstrap", event), event)
	}
}

// isTaken reports whether the payload is an event whose data decodes for every function that takes
// it.
func isTaken(t *testing.T, eventType, payload string) bool {
	t.Helper()
	envelope, err := events.Unwrap([]byte(payload))
	if err != nil || envelope.Records[0].Err != nil {
		return false
	}
	e := envelope.Records[0].Event
	switch eventType {
	case "org.bootstrap":
		_, err = events.BootstrapRegionInput().Decode(&e)
		if err == nil {
			_, err = events.BootstrapServicesInput().Decode(&e)
		}
	case "org.service.missing":
		_, err = events.BootstrapServicesInput().Decode(&e)
	case "org.audit":
		_, err = events.AuditInput().Decode(&e)
	case "account.created", "account.admin.missing":
		_, err = events.AccountCreatedInput().Decode(&e)
	default:
		assert.Fail(t, "say how to decode "+eventType)
	}
	return err == nil
}

// What the functions send that the pages don't show as an example matches its schema, too.
func TestTheSchemasAllowWhatIsSent(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	cause := events.Event{
		Cause: events.Cause{ID: "1", Source: "/s", Type: "org.audit"},
		Time:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	one := events.Administrator{AccountID: "a", ServicePrincipal: "service.A"}
	inactive, unexpected := one, one
	inactive.Status = "pending_closure"
	unexpected.AccountName, unexpected.ServicePrincipal = "Sécurité & Co.", `"service.\\x07"`
	services, counts := []events.ServicePrincipal{"service.A"}, events.AuditCounts{Accounts: 1}
	findings := &events.AuditFindings{
		Region:             events.AuditedRegion{Wanted: "cn-north-4", Observed: "cn-south-1"},
		MissingServices:    services,
		RegisteredServices: services,
		Missing:            []events.Administrator{one},
		Registered:         []events.Administrator{one},
		Unexpected:         []events.Administrator{unexpected},
		Inactive:           []events.Administrator{inactive},
		Unmatched: []events.UnmatchedSelector{
			{ServicePrincipal: "service.A", Selector: "name:Ops", InvitedAccountID: "b"},
			{ServicePrincipal: "service.A", Selector: "id:gone"},
		},
		Resolved:     []events.ResolvedSelector{{Selector: "name:Ops", AccountID: "a"}},
		Counts:       counts,
		RequestsSent: 100,
	}
	registrations := func(all ...events.Registration) events.AdminResult {
		return events.AdminResult{
			AccountID: "a", RegistrationsResult: events.RegistrationsResult{Registrations: all},
		}
	}
	said := &events.Error{Status: 200, Code: "Organizations.9999"}
	for name, r := range map[string]events.Result{
		"an audit that found everything": events.AuditResult{Outcome: events.Drifted, AuditFindings: findings},
		"an audit that found nothing": events.AuditResult{
			Outcome: events.Drifted, AuditFindings: &events.AuditFindings{Counts: counts},
		},
		"an audit that passed": events.AuditResult{
			Outcome:       events.Passed,
			AuditFindings: &events.AuditFindings{Registered: findings.Registered, Counts: counts},
		},
		"an audit that is rejected": events.Audit{}.Reject(events.InvalidData, "no"),
		"an account that can't be created": events.AccountCreated{CreateAccountStatusID: "car-1"}.Reject(
			events.CreationFailed, "no"),
		"an account that administers nothing": events.AdminResult{
			AccountID: "a", RegistrationsResult: events.RegistrationsResult{Outcome: events.Skipped},
		},
		"a service that others administer": registrations(events.Registration{
			ServicePrincipal: "service.A", Outcome: events.Rejected, Reason: events.Refused, Message: "no",
			Attempts: 2, Error: said, ObservedAccountIDs: []events.AccountID{"b"},
		}),
		"an account that isn't active": registrations(events.Registration{
			ServicePrincipal: "service.A", Outcome: events.Rejected, Reason: events.AccountNotActive, Message: "no",
			Attempts: 1, Error: said, ObservedStatus: "suspended",
		}),
	} {
		e, err := events.NewResultEvent("/registrar/x", cause, r, cause.Time)
		require.NoError(t, err, name)
		encoded, err := json.Marshal(e)
		require.NoError(t, err, name)
		assert.NoError(t, all.Check(encoded), name)
	}
	for name, r := range map[string]events.Request{
		"a request for trusted access":   {ServicePrincipals: services},
		"a request for an administrator": {AccountID: "a", ServicePrincipals: services},
	} {
		e, err := events.NewRequestEvent("/registrar/audit-organization", cause, r, cause.Time)
		require.NoError(t, err, name)
		encoded, err := json.Marshal(e)
		require.NoError(t, err, name)
		assert.NoError(t, all.Check(encoded), name)
		assert.True(t, isTaken(t, e.Type(), string(encoded)), name)
	}
}
