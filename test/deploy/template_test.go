package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// template is what is deployed, as read: template.yaml, with its intrinsic functions in their long form, and beside its sections the workflow
// ("Workflow"), the parameters of each stage ("Stages") and the runbook ("Runbook").
type template struct{ tree map[string]any }

func load(t *testing.T) *template {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(read(t, "template.yaml"), &document))
	tree, ok := value(document.Content[0]).(map[string]any)
	require.True(t, ok)

	var workflow map[string]any
	require.NoError(t, json.Unmarshal(read(t, definition), &workflow))
	tree["Workflow"] = workflow

	stages := map[string]any{}
	files, err := filepath.Glob(filepath.Join(root, "deploy", "samconfig.*.toml"))
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

// value reads YAML with the tags of CloudFormation: !Ref x is {"Ref": x}, and !Name x is {"Fn::Name": x}.
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

// stack is a template with its intrinsic functions worked out: parameters have what a stage gives them, or their defaults. A resource's Ref is its logical
// id, and an attribute of it "<id>.<attribute>".
type stack struct {
	*template
	parameters map[string]any
	Resources  map[string]any
	Globals    map[string]any
}

func (tpl *template) deploy(parameters map[string]any) *stack {
	s := &stack{template: tpl, parameters: map[string]any{
		"AWS::StackName": "registrar-dev", "AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws",
	}}
	for name, declared := range object(tpl.tree["Parameters"]) {
		given, ok := parameters[name]
		if !ok {
			given = dig(declared, "Default")
		}
		if dig(declared, "Type") == "CommaDelimitedList" {
			items := []any{}
			for item := range strings.SplitSeq(text(given), ",") {
				items = append(items, item)
			}
			given = items
		}
		s.parameters[name] = given
	}
	s.Resources = object(s.eval(tpl.tree["Resources"]))
	s.Globals = object(s.eval(tpl.tree["Globals"]))
	return s
}

type nothing struct{} // AWS::NoValue

var reference = regexp.MustCompile(`\$\{([^}]+)\}`)

func (s *stack) eval(v any) any {
	switch v := v.(type) {
	case []any:
		evaluated := []any{}
		for _, item := range v {
			item = s.eval(item)
			if item != any(nothing{}) {
				evaluated = append(evaluated, item)
			}
		}
		return evaluated
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return s.call(name, argument)
				}
			}
		}
		evaluated := map[string]any{}
		for key, item := range v {
			item = s.eval(item)
			if item != any(nothing{}) {
				evaluated[key] = item
			}
		}
		return evaluated
	}
	return v
}

func (s *stack) call(name string, argument any) any {
	switch name {
	case "Ref":
		return s.ref(text(argument))
	case "Fn::GetAtt":
		return fmt.Sprintf("%v.%v", dig(argument, 0), dig(argument, 1))
	case "Fn::Sub":
		return reference.ReplaceAllStringFunc(text(argument), func(found string) string {
			return fmt.Sprint(s.ref(found[2 : len(found)-1]))
		})
	case "Fn::Join":
		var items []string
		for _, item := range list(s.eval(dig(argument, 1))) {
			items = append(items, fmt.Sprint(item))
		}
		return strings.Join(items, text(dig(argument, 0)))
	case "Fn::Select":
		return dig(s.eval(dig(argument, 1)), number(dig(argument, 0)))
	case "Fn::FindInMap":
		return dig(s.tree["Mappings"], text(dig(argument, 0)), s.eval(dig(argument, 1)), text(dig(argument, 2)))
	case "Fn::If":
		if s.holds(text(dig(argument, 0))) {
			return s.eval(dig(argument, 1))
		}
		return s.eval(dig(argument, 2))
	case "Fn::Equals":
		return fmt.Sprint(s.eval(dig(argument, 0))) == fmt.Sprint(s.eval(dig(argument, 1)))
	case "Fn::Not":
		return s.eval(dig(argument, 0)) != true
	}
	panic("the tests don't know " + name)
}

func (s *stack) holds(condition string) bool {
	return s.eval(dig(s.tree["Conditions"], condition)) == true
}

func (s *stack) ref(name string) any {
	if v, ok := s.parameters[name]; ok {
		return v
	}
	if name == "AWS::NoValue" {
		return nothing{}
	}
	return name
}

// of lists the resources of a type by logical id, sorted.
func (s *stack) of(kind string) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for id, resource := range s.Resources {
			if dig(resource, "Type") == kind && !yield(id) {
				return
			}
		}
	})
}

// get is a property of a resource.
func (s *stack) get(id string, path ...any) any {
	return dig(s.Resources, append([]any{id, "Properties"}, path...)...)
}

// function is a property of a function, its own or else the one for all.
func (s *stack) function(id string, path ...any) any {
	if own := s.get(id, path...); own != nil {
		return own
	}
	return dig(s.Globals, append([]any{"Function"}, path...)...)
}

// environment is what a function is told.
func (s *stack) environment(id string) map[string]any {
	variables := maps.Clone(object(dig(s.Globals, "Function", "Environment", "Variables")))
	maps.Copy(variables, object(s.get(id, "Environment", "Variables")))
	return variables
}

// statement is one of an IAM policy.
type statement struct {
	Where              string
	Effect             string
	Service            string // if the principal is one
	Actions, Resources []any
	Condition          map[string]any
}

// statements are all those of the stack's policies.
func (s *stack) statements() []statement {
	var all []statement
	add := func(id string, policy any) {
		for _, st := range list(dig(policy, "Statement")) {
			all = append(all, statement{
				Where: id + " " + text(dig(st, "Sid")), Effect: text(dig(st, "Effect")), Service: text(dig(st, "Principal", "Service")),
				Actions: list(dig(st, "Action")), Resources: list(dig(st, "Resource")), Condition: object(dig(st, "Condition")),
			})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		for _, policy := range list(s.get(id, "Policies")) {
			add(id, dig(policy, "PolicyDocument"))
		}
		add(id, s.get(id, "PolicyDocument"))
		add(id, s.get(id, "KeyPolicy"))
	}
	return all
}

// may are the statements that let a role do something, or a service in the policy of a queue.
func (s *stack) may(id, action string) []statement {
	var found []statement
	for _, st := range s.statements() {
		if strings.HasPrefix(st.Where, id+" ") && st.Effect == "Allow" && slices.Contains(st.Actions, any(action)) {
			found = append(found, st)
		}
	}
	return found
}
