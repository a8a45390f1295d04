package terraform

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

//go:embed testdata/provider.json
var provider []byte

// documents is what the provider's documents say. The file names its source.
type documents struct {
	Source    string
	Resources map[string]document
	Data      map[string]document
}

type document struct {
	Document           string // where it says so
	Required, Optional map[string]string
	Attributes         []string            // what it has once it is made
	Blocks             map[string]document // each at most once
}

var documented = sync.OnceValue(func() documents {
	var d documents
	decoder := json.NewDecoder(strings.NewReader(string(provider)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		panic(err)
	}
	return d
})

var types = map[string]cty.Type{
	"string": cty.String, "number": cty.Number, "bool": cty.Bool, "set of string": cty.Set(cty.String),
}

// faults are where a resource differs from its document.
func (d document) faults(r resource) []string {
	var found []string
	for name, v := range r.arguments {
		wanted, ok := d.Required[name]
		if !ok {
			wanted, ok = d.Optional[name]
		}
		if !ok {
			found = append(found, name+" isn't an argument")
		} else if _, err := convert.Convert(v, types[wanted]); err != nil {
			found = append(found, fmt.Sprintf("%s: %v", name, err))
		}
	}
	for name := range d.Required {
		if v, ok := r.arguments[name]; !ok || v.IsNull() {
			found = append(found, name+" is required")
		}
	}
	for name, blocks := range r.blocks {
		inner, ok := d.Blocks[name]
		if !ok || len(blocks) > 1 {
			found = append(found, fmt.Sprintf("%d blocks %s", len(blocks), name))
			continue
		}
		for _, fault := range inner.faults(blocks[0]) {
			found = append(found, name+": "+fault)
		}
	}
	slices.Sort(found)
	return found
}

func TestEveryArgumentIsInTheProvidersDocuments(t *testing.T) {
	t.Parallel()
	email := map[string]cty.Value{"failure_email": cty.StringVal("operators@example.com")}
	m, err := example(t, email)
	require.NoError(t, err)
	used := map[string]bool{}
	for _, r := range m.resources {
		d, ok := documented().Resources[r.kind]
		require.True(t, ok, "%s has no document in testdata/provider.json", r)
		assert.Empty(t, d.faults(r), "%s, by %s", r, d.Document)
		used[r.kind] = true
	}
	for _, r := range m.data {
		d, ok := documented().Data[r.kind]
		require.True(t, ok, "%s has no document in testdata/provider.json", r)
		assert.Empty(t, d.faults(r), "%s, by %s", r, d.Document)
		used[r.kind] = true
	}
	for _, kinds := range []map[string]document{documented().Resources, documented().Data} {
		for kind, d := range kinds {
			assert.True(t, used[kind], "%s isn't used", kind)
			assert.NotEmpty(t, d.Document, kind)
		}
	}
	const version = "1.97.1"
	assert.Contains(t, documented().Source, version)
	for _, file := range []string{"main.tf", "providers.tf"} {
		text, err := os.ReadFile("../../deploy/functiongraph/" + file)
		require.NoError(t, err)
		assert.Contains(t, string(text), version, file)
	}
}

// What the test above would find.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ change, fault string }{
		"none":                {"", ""},
		"an unknown argument": {`retries = 3`, "retries isn't an argument"},
		"a wrong type": {
			`max_async_retry_attempts = "three"`, "max_async_retry_attempts: a number is required",
		},
		"a missing argument": {`function_urn = null`, "function_urn is required"},
		"an unknown block":   {`on_retry {}`, "1 blocks on_retry"},
		"too many blocks":    {"on_failure {}\non_failure {}", "2 blocks on_failure"},
		"a fault in a block": {`on_failure { destination = "SMN" }`, "on_failure: param is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := map[string]cty.Value{
				"function_urn": cty.StringVal("urn"), "max_async_event_age_in_seconds": cty.NumberIntVal(60),
				"max_async_retry_attempts": cty.NumberIntVal(3),
			}
			file, diags := hclsyntax.ParseConfig([]byte(c.change), name, hcl.InitialPos)
			require.False(t, diags.HasErrors(), diags)
			changed, err := readBody(file.Body.(*hclsyntax.Body), nil)
			require.NoError(t, err)
			maps.Copy(arguments, changed.arguments)
			changed.arguments = arguments
			d := documented().Resources["huaweicloud_fgs_async_invoke_configuration"]
			assert.Equal(t, c.fault, strings.Join(d.faults(changed), "; "))
		})
	}
}
