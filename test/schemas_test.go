package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// vocabulary is what a pattern finds in pkg/events: there is no other list of types and reasons.
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
	for _, input := range vocabulary(t, `Input\[\w+\]\{"([^"]+)"`) {
		assert.Contains(t, all, input)
	}
	for _, family := range vocabulary(t, `\w+Family += "([^"]+)"`) {
		for _, outcome := range []events.Outcome{events.Registered, events.Planned, events.Rejected} {
			resultType := family + "." + string(outcome)
			assert.Contains(t, all, resultType)
			assert.True(t, events.IsResult(resultType), "%s would be taken for an input", resultType)
		}
	}
	for _, reason := range vocabulary(t, `Reason += "([^"]+)"`) {
		assert.Contains(t, string(page), "| `"+reason+"` |")
	}
}

// Whoever sends what the schema allows is not told that the data is invalid, and the schema allows
// whatever is taken, but for what it says that it can't tell.
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

// isTaken reports whether the event is one, and its data decodes.
func isTaken(t *testing.T, eventType, payload string) bool {
	t.Helper()
	envelope, err := events.Unwrap([]byte(payload))
	if err != nil || envelope.Records[0].Err != nil {
		return false
	}
	e := envelope.Records[0].Event
	switch eventType {
	case "org.bootstrap":
		_, err = events.OrgBootstrapRegion().Decode(&e)
	case "account.created":
		_, err = events.AccountCreatedInput().Decode(&e)
	default:
		assert.Fail(t, "say how to decode "+eventType)
	}
	return err == nil
}
