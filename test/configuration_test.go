package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each variable that a function reads has a row in the page about configuration, with its default.
func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	rows := lines(t, "docs/configuration.md")
	read := variables(t)
	assert.Greater(t, len(read), 10)
	for name, value := range read {
		found := false
		for _, row := range rows {
			if cells := strings.Split(row, "|"); len(cells) > 2 && strings.Contains(cells[1], "`"+name+"`") {
				found = true
				assert.Contains(t, cells[2], value, "the default of %s", name)
			}
		}
		assert.True(t, found, "docs/configuration.md has no row for %s", name)
	}
}

// The page promises no variable that nothing reads.
func TestEveryDocumentedVariableIsRead(t *testing.T) {
	t.Parallel()
	read := variables(t)
	for _, name := range []string{"GOMEMLIMIT", "GOMAXPROCS", "SSL_CERT_FILE", "SSL_CERT_DIR"} { // which Go reads
		read[name] = ""
	}
	documented := 0
	for _, row := range lines(t, "docs/configuration.md") {
		cells := strings.Split(row, "|")
		if len(cells) < 2 {
			continue
		}
		for _, match := range variableName.FindAllStringSubmatch(cells[1], -1) {
			documented++
			assert.Contains(t, read, match[1], "docs/configuration.md has a row for a variable that nothing reads")
		}
	}
	assert.Greater(t, documented, 10)
}

var variableName = regexp.MustCompile("`([A-Z][A-Z_]+)`")

// variables are the names in env tags, with their defaults. The lower-case names of proxies are
// left out.
func variables(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"../functions/*/*.go", "../internal/*/*.go", "../pkg/*/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				if field, ok := n.(*ast.Field); ok && field.Tag != nil {
					literal, _ := strconv.Unquote(field.Tag.Value)
					tag := reflect.StructTag(literal).Get("env")
					name, options, _ := strings.Cut(tag, ",")
					if _, value, _ := strings.Cut(options, "default="); name != strings.ToLower(name) {
						found[name] = value
					}
				}
				return true
			})
		}
	}
	return found
}

// README's table and the rights on Huawei Cloud are lists of functions for people: neither may lack
// one.
func TestEveryFunctionHasItsRowsOnThePages(t *testing.T) {
	t.Parallel()
	functions, err := os.ReadDir("../functions")
	require.NoError(t, err)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	rights, err := os.ReadFile("../docs/rights.md")
	require.NoError(t, err)
	for _, function := range functions {
		name := function.Name()
		assert.Contains(t, string(readme), "| [`"+name+"`](functions/"+name+"/register.go) |")
		assert.Contains(t, string(rights), "| "+name+" | `", "the rights of %s on Huawei Cloud", name)
	}
	assert.Greater(t, len(functions), 2)
}
