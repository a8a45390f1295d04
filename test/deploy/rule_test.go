package deploy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// rule is something that must be true of the templates as deployed, and ways to break it, each of
// which it must report: a rule that can't fail holds nothing. Each is in a file of its own,
// rule_<name>_test.go.
type rule struct {
	check  func(s *stack, r *report)
	broken map[string]func(tree any)
}

func (rule rule) test(t *testing.T) {
	t.Helper()
	t.Parallel()
	var r report
	rule.check(load(t).deploy(nil), &r)
	if len(r) > 0 {
		t.Errorf("the templates break the rule:\n%s", strings.Join(r, "\n"))
	}

	assert.NotEmpty(t, rule.broken)
	for way, breakIt := range rule.broken {
		t.Run("reports "+way, func(t *testing.T) {
			t.Parallel()
			broken := load(t)
			breakIt(broken.tree)
			var r report
			rule.check(broken.deploy(nil), &r)
			assert.NotEmpty(t, r)
		})
	}
}

// report collects what is wrong with a template.
type report []string

func (r *report) want(ok bool, format string, args ...any) {
	if !ok {
		*r = append(*r, fmt.Sprintf(format, args...))
	}
}

// Where something to break is, for set, drop and replace.
const (
	needed      = "Nested/function.yaml/Resources/"
	auditNeeds  = "Nested/audit.yaml/Resources/"
	auditRights = auditNeeds + "Role/Properties/Policies/0/PolicyDocument/Statement/"
	roleRights  = needed + "Role/Properties/Policies/0/PolicyDocument/Statement/"
	queueEvent  = "Resources/RegisterAdmin/Properties/Events/Messages/Properties/"
	adminTask   = "Workflow/States/RegisterAdministrators/ItemProcessor/States/RegisterAdmin/"
)

// attribute is !GetAtt of a template.
func attribute(id, name string) any {
	return map[string]any{"Fn::GetAtt": []any{id, name}}
}

// theOthers is an output of what belongs to another function than RegisterAdmin.
func theOthers(output string) any {
	return attribute("RegisterRegionResources", "Outputs."+output)
}

// set, drop and replace change the template at a path such as "Resources/Bus/Type". They panic if
// nothing is there to be changed, so that no broken copy is whole.
func set(path string, v any) func(any) {
	return func(tree any) {
		parent, last := walk(tree, path)
		parent[last] = v
	}
}

func drop(path string) func(any) {
	return func(tree any) {
		parent, last := walk(tree, path)
		if _, ok := parent[last]; !ok {
			panic("nothing at " + path)
		}
		delete(parent, last)
	}
}

// replace changes a text at a path, and every text of a list there.
func replace(path, before, after string) func(any) {
	return func(tree any) {
		parent, last := walk(tree, path)
		changed := 0
		changeOne := func(v any) any {
			if s, ok := v.(string); ok {
				changed += strings.Count(s, before)
				return strings.ReplaceAll(s, before, after)
			}
			return v
		}
		if items, ok := parent[last].([]any); ok {
			for i := range items {
				items[i] = changeOne(items[i])
			}
		} else {
			parent[last] = changeOne(parent[last])
		}
		if changed == 0 {
			panic("no " + before + " at " + path)
		}
	}
}

// walk goes to the map that has the last step of a path.
func walk(v any, path string) (parent map[string]any, last string) {
	steps := strings.Split(path, "/")
	last = steps[len(steps)-1]
	for _, step := range steps[:len(steps)-1] {
		if items, ok := v.([]any); ok {
			v = items[number(step)]
		} else {
			v = dig(v, step)
		}
	}
	parent, ok := v.(map[string]any)
	if !ok {
		panic("nothing at " + path)
	}
	return parent, last
}
