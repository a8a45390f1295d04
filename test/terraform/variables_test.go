package terraform

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
)

func TestVariablesAreBounded(t *testing.T) {
	t.Parallel()
	text, number, list := cty.StringVal, cty.NumberFloatVal, func(items ...string) cty.Value {
		values := make([]cty.Value, len(items))
		for i, item := range items {
			values[i] = cty.StringVal(item)
		}
		return cty.TupleVal(values)
	}
	account := "=id:05261f923e80d3890f33c0056e9b3f80"
	for name, variable := range map[string]struct{ good, bad []cty.Value }{
		"name": {
			good: []cty.Value{text("registrar"), text("registrar-2"), text(strings.Repeat("a", 41))},
			bad: []cty.Value{
				text(""), text("-a"), text("a-"), text("Registrar"), text("a_b"), text(strings.Repeat("a", 42)),
			},
		},
		"region_id": {
			good: []cty.Value{text("cn-north-4"), text("ap-southeast-1")},
			bad:  []cty.Value{text(""), text("*"), text("cn"), text("<region>"), text("a-" + strings.Repeat("a", 63))},
		},
		"administrators": {
			good: []cty.Value{list("service.SecMaster"+account, "service.CTS=name:log archive")},
			bad: []cty.Value{
				list(), list("service.SecMaster"), list("service.SecMaster=05261f923e80d3890f33c0056e9b3f80"),
				list("service.SecMaster=id:<account id>"), list("service.SecMaster=name:<account name>"),
				list("service.SecMaster=name:a,b"), list("*" + account),
			},
		},
		"trusted_services": {
			good: []cty.Value{list(), list("service.SecMaster", "service.RAM")},
			bad:  []cty.Value{list("*"), list(""), list("<service>")},
		},
		"account_ready_minutes": {
			good: []cty.Value{number(1), number(15), number(360)},
			bad:  []cty.Value{number(0), number(1.5), number(361)},
		},
		"audit_every": {
			good: []cty.Value{text("1m"), text("15m"), text("60m"), text("24h"), text("30d")},
			bad:  []cty.Value{text(""), text("0m"), text("61m"), text("25h"), text("31d"), text("@every 1h")},
		},
		"result_sink": {
			good: []cty.Value{text(""), text("https://example.com/events")},
			bad: []cty.Value{
				text("http://example.com"), text("https://"), text("https://user:password@example.com"),
				text("eventbridge://bus"),
			},
		},
		"log_days": {good: []cty.Value{number(1), number(365)}, bad: []cty.Value{number(0), number(366)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range variable.good {
				_, err := example(t, map[string]cty.Value{name: v})
				assert.NoError(t, err, v.GoString())
			}
			for _, v := range variable.bad {
				_, err := example(t, map[string]cty.Value{name: v})
				require.ErrorContains(t, err, refused, v.GoString())
			}
		})
	}
}

// FunctionGraph takes 4096 characters of variables.
func TestTooManyVariablesAreRefused(t *testing.T) {
	t.Parallel()
	var rules []cty.Value
	for range 40 {
		rules = append(rules, cty.StringVal("service.SecMaster=name:"+strings.Repeat("a", 100)))
	}
	_, err := example(t, map[string]cty.Value{"administrators": cty.TupleVal(rules)})
	assert.ErrorContains(t, err, "4096 characters")
}
