// Package setting reads what make hands to a command in the environment.
package setting

import (
	"fmt"
	"os"
)

// Read parses the variable of the environment with the name. An empty one counts as unset. Its
// error names the variable.
func Read[T any](name string, byDefault T, parse func(string) (T, error)) (T, error) {
	text := os.Getenv(name)
	if text == "" {
		return byDefault, nil
	}
	value, err := parse(text)
	if err != nil {
		return byDefault, fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}
