package deploy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"registrar/internal/lambdalocal"
)

// functionNames are the folders of functions/.
func functionNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// variables are what each function reads from its environment, with the default, by the env tags of
// the project's packages that it is made of.
var variables = sync.OnceValues(func() (map[string]map[string]string, error) {
	names, err := functionNames()
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]string{}
	for _, name := range names {
		files := `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`
		ours := `{{if not .Standard}}{{if .Module.Main}}` + files + `{{end}}{{end}}`
		list := exec.Command("go", "list", "-deps", "-f", ours, "./functions/"+name)
		list.Dir = root
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		found[name] = map[string]string{}
		main, err := os.ReadFile(filepath.Join(root, "functions", name, "main.go"))
		if err != nil {
			return nil, err
		}
		for file := range strings.FieldsSeq(string(out)) {
			used := func(string) bool { return true }
			if strings.Contains(file, "/internal/register/") { // has what only some functions are configured by
				used = func(name string) bool { return strings.Contains(string(main), "register."+name) }
			}
			if err := envTags(file, used, found[name]); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
})

// envTags adds the variables of a file's types that are used.
func envTags(file string, used func(name string) bool, found map[string]string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if declared, ok := n.(*ast.TypeSpec); ok {
			return used(declared.Name.Name)
		}
		field, ok := n.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		literal, _ := strconv.Unquote(field.Tag.Value)
		tag, ok := reflect.StructTag(literal).Lookup("env")
		if !ok {
			return true
		}
		name, options, _ := strings.Cut(tag, ",")
		_, value, _ := strings.Cut(options, "default=")
		found[name] = value
		return true
	})
	return nil
}

// result is what a function puts on the bus: the source, and patterns of the types.
type result struct {
	source string
	types  []any
}

// putByFunctions asks each function, deployed as in the template but for its secret and its sink,
// to register nothing that makes sense. What it answers is a result of its own.
func putByFunctions(t *testing.T, s *stack) (map[string]result, error) {
	t.Helper()
	put := map[string]result{}
	for id, name := range s.functions() {
		env := map[string]string{"HUAWEICLOUD_SDK_AK": "AKEXAMPLE0001", "HUAWEICLOUD_SDK_SK": "SKexample0001"}
		for variable, v := range s.environment(id) {
			if variable != "RESULT_SINK" && variable != "HUAWEICLOUD_CREDENTIALS_SECRET" {
				env[variable] = fmt.Sprint(v)
			}
		}
		eventType, _, _ := strings.Cut(cmp.Or(env["EVENT_TYPES"], "org.audit"), ",")
		event := map[string]any{"specversion": "1.0", "id": "1", "source": "/tests", "type": eventType, "data": 1}
		payload, err := json.Marshal(event)
		if err != nil {
			return nil, err
		}
		answered, err := http.Post(serveFunctions(t, env, name)+"/2015-03-31/functions/"+name+"/invocations",
			"application/json", bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		defer answered.Body.Close()
		var emitted struct{ Source, Type, ErrorMessage string }
		if err := json.NewDecoder(answered.Body).Decode(&emitted); err != nil {
			return nil, err
		}
		family, ok := strings.CutSuffix(emitted.Type, ".rejected")
		if !ok {
			return nil, fmt.Errorf("%s: answers a senseless event with %+v", name, emitted)
		}
		put[name] = result{emitted.Source, []any{family + ".*"}}
	}
	return put, nil
}

// serveFunctions runs built functions behind an Invoke API of this machine, and returns its base
// URL.
func serveFunctions(t *testing.T, env map[string]string, names ...string) string {
	t.Helper()
	var api lambdalocal.InvokeAPI
	for _, name := range names {
		api.Functions = append(api.Functions, start(t, name, env))
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server.URL
}

// start returns a built function that runs on this machine.
func start(t *testing.T, name string, env map[string]string) *lambdalocal.Function {
	t.Helper()
	dist, err := built()
	require.NoError(t, err)
	f, err := lambdalocal.New(lambdalocal.Config{
		Name: name, Bootstrap: filepath.Join(dist, name, "bootstrap"), Timeout: 20 * time.Second, Env: env,
	})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}
