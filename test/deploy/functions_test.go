package deploy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// functions are the folders of functions/.
func functions(t *testing.T) []string {
	t.Helper()
	names, err := functionNames()
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

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

// variables are what each function reads from its environment, with the default, by the env tags of the project's packages that it is made of.
var variables = sync.OnceValues(func() (map[string]map[string]string, error) {
	names, err := functionNames()
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]string{}
	for _, name := range names {
		list := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{if eq .Module.Path "registrar"}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "registrar/functions/"+name)
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		found[name] = map[string]string{}
		for file := range strings.FieldsSeq(string(out)) {
			if err := envTags(file, found[name]); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
})

func envTags(file string, found map[string]string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
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
