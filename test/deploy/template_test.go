package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// template is what is deployed, as read: template.yaml, with its intrinsic functions in their long
// form, and beside its sections the nested templates by their files in deploy/ ("Nested"), the
// workflow ("Workflow"), the parameters of each stage ("Stages") and the runbook ("Runbook").
type template struct{ tree map[string]any }

func load(t *testing.T) *template {
	t.Helper()
	tree := parse(t, read(t, "template.yaml"))

	nested := map[string]any{}
	files, err := filepath.Glob(filepath.Join(root, "deploy", "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		nested[filepath.Base(file)] = parse(t, read(t, "deploy/"+filepath.Base(file)))
	}
	tree["Nested"] = nested

	var workflow map[string]any
	require.NoError(t, json.Unmarshal(read(t, definition), &workflow))
	tree["Workflow"] = workflow

	stages := map[string]any{}
	files, err = filepath.Glob(filepath.Join(root, "deploy", "samconfig.*.toml"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		parameters := map[string]any{}
		for _, found := range regexp.MustCompile(`(?m)^  "(\w+)=(.*)",$`).FindAllStringSubmatch(string(text), -1) {
			parameters[found[1]] = found[2]
		}
		stages[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "samconfig."), ".toml")] = parameters
	}
	tree["Stages"] = stages
	tree["Runbook"] = string(read(t, "docs/operations.md"))
	return &template{tree}
}

func parse(t *testing.T, file []byte) map[string]any {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(file, &document))
	tree, ok := value(document.Content[0]).(map[string]any)
	require.True(t, ok)
	return tree
}

// value reads YAML with the tags of CloudFormation: !Ref x is {"Ref": x}, and !Name x is
// {"Fn::Name": x}.
func value(n *yaml.Node) any {
	var v any
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(n.Content[i+1])
		}
		v = m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, value(item))
		}
		v = list
	default:
		v = n.Value
		if n.Tag == "!!int" && n.Style == 0 {
			v, _ = strconv.Atoi(n.Value)
		} else if n.Tag == "!!bool" {
			v = n.Value == "true"
		}
	}
	name, tagged := strings.CutPrefix(n.Tag, "!")
	switch {
	case !tagged || strings.HasPrefix(name, "!"):
		return v
	case name == "Ref":
		return map[string]any{"Ref": v}
	case name == "GetAtt":
		id, attribute, _ := strings.Cut(n.Value, ".")
		return map[string]any{"Fn::GetAtt": []any{id, attribute}}
	}
	return map[string]any{"Fn::" + name: v}
}

// dig goes into nested maps and lists, by keys and indexes. What isn't there is nil.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func text(v any) string { s, _ := v.(string); return s }

func number(v any) int {
	switch v := v.(type) {
	case int:
		return v
	case float64:
		return int(v)
	}
	n, _ := strconv.Atoi(text(v))
	return n
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

// list is v as a list: IAM takes one string for a list of one.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}
