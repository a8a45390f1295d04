package deploy

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// stack is a template with its intrinsic functions worked out, and the resources of its nested
// stacks among its own. A resource's Ref is its logical id, an attribute of it "<id>.<attribute>",
// and the id of a resource of a nested stack "<nested stack>/<id>".
type stack struct {
	*template
	own        map[string]any // the template, or the nested one
	prefix     string         // what ids begin with: "", or the nested stack's and a slash
	parameters map[string]any
	nested     map[string]*stack
	Resources  map[string]any
	Globals    map[string]any
}

// deploy works out the template with the given parameters. What isn't given has its default, or, if
// there is none, what stage dev gives.
func (tpl *template) deploy(given map[string]any) *stack {
	all := maps.Clone(given)
	if all == nil {
		all = map[string]any{}
	}
	for name, declared := range object(tpl.tree["Parameters"]) {
		if all[name] == nil && dig(declared, "Default") == nil {
			all[name] = dig(tpl.tree, "Stages", "dev", name)
		}
	}
	return tpl.instance(tpl.tree, "registrar-dev", "", all)
}

func (tpl *template) instance(own map[string]any, name, prefix string, given map[string]any) *stack {
	s := &stack{template: tpl, own: own, prefix: prefix, nested: map[string]*stack{}, parameters: map[string]any{
		"AWS::StackName": name,
		"AWS::Region":    "eu-central-1",
		"AWS::AccountId": "123456789012",
		"AWS::Partition": "aws",
		"AWS::URLSuffix": "amazonaws.com",
	}}
	for name, declared := range object(own["Parameters"]) {
		v, ok := given[name]
		if !ok {
			v = dig(declared, "Default")
		}
		if dig(declared, "Type") == "CommaDelimitedList" {
			items := []any{}
			for item := range strings.SplitSeq(text(v), ",") {
				items = append(items, item)
			}
			v = items
		}
		s.parameters[name] = v
	}
	s.Globals = object(s.eval(own["Globals"]))
	s.Resources = map[string]any{}
	for id, resource := range object(own["Resources"]) {
		s.Resources[prefix+id] = s.eval(resource)
		if nested := s.nestedStack(id); nested != nil {
			maps.Copy(s.Resources, nested.Resources)
		}
	}
	return s
}

// nestedStack is the one that a resource makes, nil if it makes none.
func (s *stack) nestedStack(id string) *stack {
	resource := dig(s.own["Resources"], id)
	if dig(resource, "Type") != "AWS::CloudFormation::Stack" {
		return nil
	}
	if s.nested[id] == nil {
		file := object(dig(s.tree["Nested"], path.Base(text(dig(resource, "Properties", "TemplateURL")))))
		given := object(s.eval(dig(resource, "Properties", "Parameters")))
		s.nested[id] = s.instance(file, "registrar-dev-"+id+"-1EXAMPLE", id+"/", given)
	}
	return s.nested[id]
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
		return s.attribute(text(dig(argument, 0)), text(dig(argument, 1)))
	case "Fn::Sub":
		format, _ := argument.(string)
		var own map[string]any
		if items, ok := argument.([]any); ok {
			format, own = text(items[0]), object(s.eval(items[1]))
		}
		return reference.ReplaceAllStringFunc(format, func(found string) string {
			name := found[2 : len(found)-1]
			if v, ok := own[name]; ok {
				return fmt.Sprint(v)
			}
			if id, attribute, ok := strings.Cut(name, "."); ok {
				return fmt.Sprint(s.attribute(id, attribute))
			}
			return fmt.Sprint(s.ref(name))
		})
	case "Fn::Join":
		var items []string
		for _, item := range list(s.eval(dig(argument, 1))) {
			items = append(items, fmt.Sprint(item))
		}
		return strings.Join(items, text(dig(argument, 0)))
	case "Fn::Split":
		var items []any
		for item := range strings.SplitSeq(text(s.eval(dig(argument, 1))), text(dig(argument, 0))) {
			items = append(items, item)
		}
		return items
	case "Fn::Select":
		return dig(s.eval(dig(argument, 1)), number(dig(argument, 0)))
	case "Fn::FindInMap":
		return dig(s.own["Mappings"], text(dig(argument, 0)), s.eval(dig(argument, 1)), text(dig(argument, 2)))
	case "Fn::If":
		if s.holds(text(dig(argument, 0))) {
			return s.eval(dig(argument, 1))
		}
		return s.eval(dig(argument, 2))
	case "Fn::Equals":
		return fmt.Sprint(s.eval(dig(argument, 0))) == fmt.Sprint(s.eval(dig(argument, 1)))
	case "Fn::Not":
		return s.eval(dig(argument, 0)) != true
	case "Fn::And":
		return !slices.Contains(list(s.eval(argument)), any(false))
	case "Fn::Or":
		return slices.Contains(list(s.eval(argument)), any(true))
	case "Fn::Condition": // !Condition
		return s.holds(text(argument))
	}
	panic("the tests don't know " + name)
}

func (s *stack) holds(condition string) bool {
	return s.eval(dig(s.own["Conditions"], condition)) == true
}

// refusals are what the template's rules say against the parameters of the stack.
func (s *stack) refusals() []string {
	var said []string
	for _, rule := range object(s.own["Rules"]) {
		if condition := dig(rule, "RuleCondition"); condition != nil && s.eval(condition) != true {
			continue
		}
		for _, assertion := range list(dig(rule, "Assertions")) {
			if s.eval(dig(assertion, "Assert")) != true {
				said = append(said, text(dig(assertion, "AssertDescription")))
			}
		}
	}
	return said
}

func (s *stack) ref(name string) any {
	if v, ok := s.parameters[name]; ok {
		return v
	}
	if name == "AWS::NoValue" {
		return nothing{}
	}
	return s.prefix + name
}

func (s *stack) attribute(id, name string) any {
	nested := s.nestedStack(id)
	if output, ok := strings.CutPrefix(name, "Outputs."); ok && nested != nil {
		return nested.eval(dig(nested.own["Outputs"], output, "Value"))
	}
	return s.prefix + id + "." + name
}

// ofType lists the resources of a type by logical id, sorted.
func (s *stack) ofType(kind string) []string {
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

// functions are those of the stack, by logical id, with the folder of each.
func (s *stack) functions() map[string]string {
	found := map[string]string{}
	for _, id := range s.ofType("AWS::Serverless::Function") {
		found[id] = filepath.Base(text(s.get(id, "CodeUri")))
	}
	return found
}

// onBus are the functions that take events from the bus: all but the audit.
func (s *stack) onBus() map[string]string {
	found := s.functions()
	maps.DeleteFunc(found, func(_, name string) bool { return name == audit })
	return found
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
	Principals         []any  // those of AWS
	Anybody            bool   // whether it is about every principal
	Actions, Resources []any
	Condition          map[string]any
}

// statements are all those of the stack's policies.
func (s *stack) statements() []statement {
	var all []statement
	add := func(id string, policy any) {
		for _, st := range list(dig(policy, "Statement")) {
			all = append(all, statement{
				Where: id + " " + text(dig(st, "Sid")), Effect: text(dig(st, "Effect")),
				Service: text(dig(st, "Principal", "Service")), Actions: list(dig(st, "Action")),
				Resources: list(dig(st, "Resource")), Condition: object(dig(st, "Condition")),
				Anybody: dig(st, "Principal") == "*",
			})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		if condition := text(dig(s.Resources, id, "Condition")); condition != "" && !s.holds(condition) {
			continue
		}
		for _, policy := range list(s.get(id, "Policies")) {
			add(id, dig(policy, "PolicyDocument"))
		}
		add(id, s.get(id, "PolicyDocument"))
		add(id, s.get(id, "KeyPolicy"))
		add(id, s.get(id, "ResourcePolicy"))
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
