package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		for _, one := range list {
			var bare struct{ SpecVersion string }
			require.NoError(t, json.Unmarshal(one, &bare), file)
			if bare.SpecVersion != "" {
				assert.NoError(t, all.Check(one), file)
				checked++
			}
		}
	}
	assert.Greater(t, checked, 2)
}

func TestEveryTypeOfEventHasASchemaAndIsDocumented(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	page, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	for eventType := range all {
		assert.Contains(t, string(page), "[`"+eventType+"`](schemas/"+eventType+".json)")
	}
	for _, input := range []string{events.OrgBootstrapKind("").Type, events.AccountCreatedKind(nil).Type} {
		assert.Contains(t, all, input)
	}
	for _, result := range []string{events.OrgBootstrapKind("").Result, events.AccountCreatedKind(nil).Result} {
		for _, outcome := range []events.Outcome{events.Registered, events.Planned, events.Rejected} {
			assert.Contains(t, all, result+"."+string(outcome))
		}
	}
	for _, reason := range []events.Reason{events.InvalidData, events.NotAllowed, events.RegionConflict, events.AccountNotFound, events.AccountNotActive, events.Refused} {
		assert.Contains(t, string(page), "| `"+string(reason)+"` |")
	}
}

// Whoever sends what the schema allows is not told that the data is invalid, and the schema allows whatever is taken, but for what it says
// that it can't tell.
func TestTheSchemasAllowWhatIsTaken(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	var names []string
	for i := range 21 {
		names = append(names, fmt.Sprintf(`"service.S%d"`, i))
	}
	twenty, last := strings.Join(names[:20], ","), names[20]
	for eventType, cases := range map[string]map[string]bool{
		"org.bootstrap": {
			``: true, `,"data":null`: true, `,"data":{}`: true, `,"data":[]`: false, `,"data":"x"`: false,
			`,"data":{"region_id":"cn-north-4"}`: true, `,"data":{"region_id":null,"more":{"x":[1]}}`: true,
			`,"data":{"region_id":5}`: false, `,"data":{"region_id":""}`: false, `,"data":{"region_id":"CN-NORTH-4"}`: false, `,"data":{"region_id":"north"}`: false,
			`,"data":{"region_id":"a-` + strings.Repeat("b", 62) + `"}`: true, `,"data":{"region_id":"a-` + strings.Repeat("b", 63) + `"}`: false,
			`,"data":{"dry_run":true}`: true, `,"data":{"dry_run":"true"}`: false,
			`,"data_base64":"e30="`: true, `,"data_base64":5`: false, `,"data":{},"data_base64":"e30="`: false,
			`,"datacontenttype":"application/json; charset=utf-8"`: true, `,"datacontenttype":"application/x+json"`: true, `,"datacontenttype":"text/xml"`: false,
			`,"time":"2026-01-02T03:04:05.6+01:00"`: true, `,"time":null`: true, `,"time":"yesterday"`: false, `,"time":5`: false,
			`,"other":"x","n":5,"b":true,"z":null`: true, `,"Other":"x"`: false, `,"other":{}`: false, `,"other":"\u0007"`: false,
			`,"correlationid":"x","traceparent":"x","tracestate":"x"`: true, `,"correlationid":5`: false, `,"other":"` + strings.Repeat("x", 1025) + `"`: true, `,"correlationid":"` + strings.Repeat("x", 1025) + `"`: false,
			`,"subject":"x","dataschema":"x"`: true,
		},
		"account.created": {
			``: false, `,"data":null`: false, `,"data":{}`: false,
			`,"data":{"account_id":"a_-9","service_principal":"service.X"}`:                      true,
			`,"data":{"account_id":"a","service_principals":["x","y"],"service_principal":null}`: true,
			`,"data":{"account_id":"a"}`: true, `,"data":{"account_id":"a","service_principals":null}`: true,
			`,"data":{"account_id":"a","service_principals":[null]}`: false, `,"data":{"account_id":"a","service_principals":"x"}`: false,
			`,"data":{"account_id":"a.b","service_principal":"x"}`: false, `,"data":{"account_id":null,"service_principal":"x"}`: false,
			`,"data":{"account_id":"a","service_principal":""}`: false, `,"data":{"account_id":"a","service_principal":"a b"}`: false,
			`,"data":{"account_id":"a","service_principals":[` + twenty + `]}`: true, `,"data":{"account_id":"a","service_principals":[` + twenty + `,` + last + `]}`: false,
			`,"data":{"account_id":"a","service_principals":[` + twenty + `],"service_principal":` + last + `}`: false,
		},
	} {
		for rest, taken := range cases {
			event := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/s","type":%q%s}`, eventType, rest)
			assert.Equal(t, taken, all.Check([]byte(event)) == nil, "the schema about %s: %v", event, all.Check([]byte(event)))
			assert.Equal(t, taken, isTaken(t, eventType, event), "the program about %s", event)
		}
	}
	for _, attributes := range []string{
		`"specversion":"1.1","id":"1","source":"/s"`, `"id":"1","source":"/s"`, `"specversion":"1.0","source":"/s"`, `"specversion":"1.0","id":"1"`,
		`"specversion":"1.0","id":"","source":"/s"`, `"specversion":"1.0","id":1,"source":"/s"`, `"specversion":"1.0","id":"1","source":"a b"`,
		`"specversion":"1.0","id":"1","source":"<s>"`, `"specversion":"1.0","id":"a\u0085","source":"/s"`,
	} {
		event := "{" + attributes + `,"type":"org.bootstrap"}`
		require.Error(t, all.Check([]byte(event)), event)
		assert.False(t, isTaken(t, "org.bootstrap", event), event)
	}
}

// isTaken reports whether the event is one, and its data isn't invalid: as it is, or for a function whose configuration has a default.
func isTaken(t *testing.T, eventType, payload string) bool {
	t.Helper()
	envelope, err := events.Unwrap([]byte(payload))
	if err != nil || envelope.Records[0].Err != nil {
		return false
	}
	var alone, configured events.Result
	switch e := envelope.Records[0].Event; eventType {
	case "org.bootstrap":
		_, alone = events.OrgBootstrapKind("").Decode(e)
		_, configured = events.OrgBootstrapKind("cn-north-4").Decode(e)
	case "account.created":
		_, alone = events.AccountCreatedKind(nil).Decode(e)
		_, configured = events.AccountCreatedKind([]events.ServicePrincipal{"service.X"}).Decode(e)
	}
	return alone == nil || configured == nil
}
