// Package terraform reads deploy/functiongraph as Terraform does, without it, provider or cloud:
// it evaluates what would be made, and holds it against the documents of the provider and against
// the program. The parser is large, so this is a module of its own.
package terraform

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

const folder = "../../deploy/functiongraph"

// resource is one that would be made, or data that would be read.
type resource struct {
	kind, name, key string // the key is empty unless there is one for each of something
	arguments       map[string]cty.Value
	blocks          map[string][]resource
}

func (r resource) String() string {
	if r.key == "" {
		return r.kind + "." + r.name
	}
	return fmt.Sprintf("%s.%s[%q]", r.kind, r.name, r.key)
}

// text is an argument that is a text; it fails the test if there is none.
func (r resource) text(t *testing.T, argument string) string {
	t.Helper()
	require.Contains(t, r.arguments, argument, r)
	require.Equal(t, cty.String, r.arguments[argument].Type(), r)
	return r.arguments[argument].AsString()
}

func (r resource) number(t *testing.T, argument string) int {
	t.Helper()
	require.Contains(t, r.arguments, argument, r)
	require.Equal(t, cty.Number, r.arguments[argument].Type(), r)
	n, _ := r.arguments[argument].AsBigFloat().Int64()
	return int(n)
}

// module is what the files of the folder say.
type module struct {
	resources, data []resource
	outputs         map[string]cty.Value
}

// all returns the resources of a kind and name by their keys.
func (m *module) all(kind, name string) map[string]resource {
	found := map[string]resource{}
	for _, r := range m.resources {
		if r.kind == kind && r.name == name {
			found[r.key] = r
		}
	}
	return found
}

// example evaluates the files with the variables of the example, some of them replaced.
func example(t *testing.T, replaced map[string]cty.Value) (*module, error) {
	t.Helper()
	given := map[string]cty.Value{}
	values, diags := hclparse.NewParser().ParseHCLFile(filepath.Join(folder, "terraform.tfvars.example"))
	require.False(t, diags.HasErrors(), diags)
	attributes, diags := values.Body.JustAttributes()
	require.False(t, diags.HasErrors(), diags)
	for name, attribute := range attributes {
		given[name], diags = attribute.Expr.Value(nil)
		require.False(t, diags.HasErrors(), diags)
	}
	maps.Copy(given, replaced)
	paths, err := filepath.Glob(filepath.Join(folder, "*.tf"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var blocks hclsyntax.Blocks
	for _, path := range paths {
		file, diags := hclparse.NewParser().ParseHCLFile(path)
		require.False(t, diags.HasErrors(), diags)
		blocks = append(blocks, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return evaluate(blocks, given)
}

// evaluation is a module in the making. What is known so far is in scope; what needs more waits.
type evaluation struct {
	module
	scope     *hcl.EvalContext
	variables map[string]cty.Value
	locals    map[string]cty.Value
	made      map[string]map[string]cty.Value // resources by kind and name, as expressions see them
}

func evaluate(blocks hclsyntax.Blocks, given map[string]cty.Value) (*module, error) {
	e := evaluation{
		module:    module{outputs: map[string]cty.Value{}},
		variables: map[string]cty.Value{}, locals: map[string]cty.Value{}, made: map[string]map[string]cty.Value{},
	}
	var waiting []func() error
	for _, b := range blocks {
		switch b.Type {
		case "variable":
			waiting = append(waiting, func() error { return e.variable(b, given) })
		case "locals":
			for name, attribute := range b.Body.Attributes {
				waiting = append(waiting, func() (err error) {
					e.locals[name], err = value(attribute.Expr, e.scope)
					if err != nil {
						delete(e.locals, name)
					}
					return err
				})
			}
		case "resource":
			waiting = append(waiting, func() error { return e.resource(b) })
		case "check":
			waiting = append(waiting, func() error { return e.check(b) })
		case "output":
			waiting = append(waiting, func() (err error) {
				e.outputs[b.Labels[0]], err = value(b.Body.Attributes["value"].Expr, e.scope)
				return err
			})
		case "provider":
			waiting = append(waiting, func() error {
				_, err := value(b.Body.Attributes["region"].Expr, e.scope)
				return err
			})
		case "terraform":
		default:
			return nil, fmt.Errorf("a block %s, which this test doesn't know", b.Type)
		}
	}
	for len(waiting) > 0 {
		e.see()
		var still []func() error
		var first error
		for _, step := range waiting {
			if err := step(); err != nil {
				still = append(still, step)
				if first == nil || strings.Contains(err.Error(), refused) {
					first = err
				}
			}
		}
		if len(still) == len(waiting) {
			return nil, first
		}
		waiting = still
	}
	return &e.module, nil
}

// refused begins the error for a variable or a resource whose own condition doesn't hold.
const refused = "refused: "

// see makes a scope of what is known so far.
func (e *evaluation) see() {
	seen := map[string]cty.Value{
		"var": cty.ObjectVal(e.variables), "local": cty.ObjectVal(e.locals),
		"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal("deploy/functiongraph")}),
	}
	for kind, named := range e.made {
		seen[kind] = cty.ObjectVal(named)
	}
	e.scope = &hcl.EvalContext{Variables: seen, Functions: functions()}
}

func value(expression hcl.Expression, scope *hcl.EvalContext) (cty.Value, error) {
	v, diags := expression.Value(scope)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return v, nil
}

func (e *evaluation) variable(b *hclsyntax.Block, given map[string]cty.Value) error {
	name := b.Labels[0]
	wanted, diags := typeexpr.TypeConstraint(b.Body.Attributes["type"].Expr)
	if diags.HasErrors() {
		return diags
	}
	v, ok := given[name]
	if standard := b.Body.Attributes["default"]; !ok && standard != nil {
		var err error
		if v, err = value(standard.Expr, nil); err != nil {
			return err
		}
	} else if !ok {
		return fmt.Errorf("the example doesn't set %s", name)
	}
	v, err := convert.Convert(v, wanted)
	if err != nil {
		return fmt.Errorf("%s%s: %w", refused, name, err)
	}
	scope := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{name: v})},
		Functions: functions(),
	}
	for _, inner := range b.Body.Blocks {
		if err := holds(inner, scope); err != nil {
			return err
		}
	}
	e.variables[name] = v
	return nil
}

// holds checks a validation, precondition or assertion. One that isn't known yet holds.
func holds(b *hclsyntax.Block, scope *hcl.EvalContext) error {
	condition, err := value(b.Body.Attributes["condition"].Expr, scope)
	if err != nil {
		return err
	}
	message, err := value(b.Body.Attributes["error_message"].Expr, scope)
	if err != nil {
		return err
	}
	if condition.IsKnown() && condition.False() {
		return fmt.Errorf("%s%s", refused, message.AsString())
	}
	return nil
}

func (e *evaluation) resource(b *hclsyntax.Block) error {
	kind, name := b.Labels[0], b.Labels[1]
	each := map[string]*hcl.EvalContext{"": e.scope}
	if forEach := b.Body.Attributes["for_each"]; forEach != nil {
		all, err := value(forEach.Expr, e.scope)
		if err != nil {
			return err
		}
		each = map[string]*hcl.EvalContext{}
		for elements := all.ElementIterator(); elements.Next(); {
			key, v := elements.Element() // the two are the same if it is a set
			child := e.scope.NewChild()
			child.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": key, "value": v})}
			each[key.AsString()] = child
		}
	}
	var made []resource
	for _, key := range slices.Sorted(maps.Keys(each)) {
		r, err := readBody(b.Body, each[key])
		if err != nil {
			return err
		}
		r.kind, r.name, r.key = kind, name, key
		made = append(made, r)
	}
	seen := map[string]cty.Value{}
	for _, r := range made {
		object := maps.Clone(r.arguments)
		for _, attribute := range documented().Resources[kind].Attributes {
			object[attribute] = cty.StringVal("<" + attribute + " of " + r.String() + ">")
		}
		seen[r.key] = cty.ObjectVal(object)
	}
	if e.made[kind] == nil {
		e.made[kind] = map[string]cty.Value{}
	}
	if e.made[kind][name] = cty.ObjectVal(seen); b.Body.Attributes["for_each"] == nil {
		e.made[kind][name] = seen[""]
	}
	e.resources = append(e.resources, made...)
	return nil
}

// readBody evaluates the arguments and blocks of a resource, but for those of Terraform itself.
func readBody(body *hclsyntax.Body, scope *hcl.EvalContext) (resource, error) {
	r := resource{arguments: map[string]cty.Value{}, blocks: map[string][]resource{}}
	for name, attribute := range body.Attributes {
		if name == "for_each" {
			continue
		}
		v, err := value(attribute.Expr, scope)
		if err != nil {
			return r, err
		}
		r.arguments[name] = v
	}
	for _, b := range body.Blocks {
		if b.Type == "lifecycle" {
			for _, condition := range b.Body.Blocks {
				if err := holds(condition, scope); err != nil {
					return r, err
				}
			}
			continue
		}
		inner, err := readBody(b.Body, scope)
		if err != nil {
			return r, err
		}
		r.blocks[b.Type] = append(r.blocks[b.Type], inner)
	}
	return r, nil
}

// check evaluates an assertion about data, of which nothing is known but its attributes.
func (e *evaluation) check(b *hclsyntax.Block) error {
	scope := e.scope.NewChild()
	var found []resource
	for _, inner := range b.Body.Blocks {
		if inner.Type == "assert" {
			if err := holds(inner, scope); err != nil {
				return err
			}
			continue
		}
		r, err := readBody(inner.Body, e.scope)
		if err != nil {
			return err
		}
		r.kind, r.name = inner.Labels[0], inner.Labels[1]
		attributes := map[string]cty.Value{}
		for _, attribute := range documented().Data[r.kind].Attributes {
			attributes[attribute] = cty.DynamicVal
		}
		scope.Variables = map[string]cty.Value{"data": cty.ObjectVal(map[string]cty.Value{
			r.kind: cty.ObjectVal(map[string]cty.Value{r.name: cty.ObjectVal(attributes)}),
		})}
		found = append(found, r)
	}
	e.data = append(e.data, found...)
	return nil
}

// functions are those of Terraform that the files use.
func functions() map[string]function.Function {
	return map[string]function.Function{
		"can": tryfunc.CanFunc, "coalescelist": stdlib.CoalesceListFunc, "contains": stdlib.ContainsFunc,
		"distinct": stdlib.DistinctFunc, "flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc,
		"formatlist": stdlib.FormatListFunc, "join": stdlib.JoinFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"merge": stdlib.MergeFunc, "regex": stdlib.RegexFunc, "replace": stdlib.ReplaceFunc,
		"setsubtract": stdlib.SetSubtractFunc, "split": stdlib.SplitFunc, "trimspace": stdlib.TrimSpaceFunc,

		"alltrue": of(cty.List(cty.Bool), cty.Bool, func(v cty.Value) (cty.Value, error) {
			for _, element := range v.AsValueSlice() {
				if element.False() {
					return cty.False, nil
				}
			}
			return cty.True, nil
		}),
		"filebase64": of(cty.String, cty.String, func(v cty.Value) (cty.Value, error) {
			return cty.StringVal("<content of " + v.AsString() + ">"), nil
		}),
		"length": of(cty.DynamicPseudoType, cty.Number, func(v cty.Value) (cty.Value, error) {
			if v.Type() == cty.String {
				return cty.NumberIntVal(int64(utf8.RuneCountInString(v.AsString()))), nil
			}
			return v.Length(), nil
		}),
		"toset": of(cty.DynamicPseudoType, cty.Set(cty.String), func(v cty.Value) (cty.Value, error) {
			return convert.Convert(v, cty.Set(cty.String))
		}),
	}
}

func of(parameter, result cty.Type, f func(cty.Value) (cty.Value, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: parameter}},
		Type:   function.StaticReturnType(result),
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args[0]) },
	})
}
