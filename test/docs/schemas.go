// Package docs reads what the documentation promises, so that tests can check the program against
// it: the schemas of events, and the blocks of code in Markdown.
package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// SchemaBase is what the names of the schemas begin with. Nothing can be fetched from it.
const SchemaBase = "https://registrar.invalid/schemas/"

// Schemas are the schemas of events, by the type of the event.
type Schemas map[string]*jsonschema.Schema

// LoadSchemas compiles all schemas in folder. The $id of each must be [SchemaBase] and the name of
// its file. The names of those for a type of event have a dot.
func LoadSchemas(folder string) (Schemas, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no schemas in %s", folder)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(loader(folder))
	all := Schemas{}
	for _, file := range files {
		name := filepath.Base(file)
		compiled, err := compiler.Compile(SchemaBase + name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if compiled.ID != SchemaBase+name {
			return nil, fmt.Errorf("%s: its $id is %q, not %s", name, compiled.ID, SchemaBase+name)
		}
		if eventType := strings.TrimSuffix(name, ".json"); strings.Contains(eventType, ".") {
			all[eventType] = compiled
		}
	}
	return all, nil
}

// Check says what is wrong with an event by the schema of its type.
func (s Schemas) Check(event []byte) error {
	var e struct{ Type string }
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	schema := s[e.Type]
	if schema == nil {
		return fmt.Errorf("docs/schemas has no %s.json", e.Type)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(event))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// loader loads schemas from a folder, which it names.
type loader string

func (l loader) Load(url string) (any, error) {
	name, ours := strings.CutPrefix(url, SchemaBase)
	if !ours || strings.Contains(name, "/") {
		return nil, fmt.Errorf("%s is outside of docs/schemas", url)
	}
	file, err := os.Open(filepath.Join(string(l), name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return jsonschema.UnmarshalJSON(file)
}
