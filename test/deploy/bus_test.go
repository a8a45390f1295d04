package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"registrar/pkg/events"
)

// matches says whether EventBridge's pattern matches an event, as far as our patterns go. What it
// doesn't know matches nothing.
func matches(pattern, event any) bool {
	for key, wanted := range object(pattern) {
		if key == "$or" {
			if !slices.ContainsFunc(list(wanted), func(one any) bool { return matches(one, event) }) {
				return false
			}
			continue
		}
		if nested, ok := wanted.(map[string]any); ok {
			if !matches(nested, dig(event, key)) {
				return false
			}
			continue
		}
		got := text(dig(event, key))
		if !slices.ContainsFunc(list(wanted), func(one any) bool { return matchesOne(one, got) }) {
			return false
		}
	}
	return len(object(pattern)) > 0
}

func matchesOne(wanted any, got string) bool {
	if exact, ok := wanted.(string); ok {
		return exact == got
	}
	if prefix, ok := dig(wanted, "prefix").(string); ok {
		return strings.HasPrefix(got, prefix)
	}
	if but := dig(wanted, "anything-but"); but != nil {
		return !slices.ContainsFunc(list(but), func(one any) bool { return matchesOne(one, got) })
	}
	return false
}

// envelope is an event on the bus, as far as patterns look at it.
func envelope(source, eventType string) map[string]any {
	return map[string]any{"version": "0", "source": source, "detail-type": eventType}
}

// samples are the CloudEvents of events/ as they come on the bus, and its events of EventBridge.
func samples() (map[string]any, error) {
	files, err := filepath.Glob(filepath.Join(root, "events", "*.json"))
	if err != nil {
		return nil, err
	}
	found := map[string]any{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var event any
		if err := json.Unmarshal(b, &event); err != nil {
			return nil, err
		}
		switch {
		case dig(event, "specversion") != nil:
			found[filepath.Base(file)] = envelope(text(dig(event, "source")), text(dig(event, "type")))
		case dig(event, "detail-type") != nil:
			found[filepath.Base(file)] = event
		}
	}
	return found, nil
}

// resultTypes are the types of all results: those with a schema, and those of the workflow. The
// requests of the audit are none.
func (s *stack) resultTypes() []string {
	types := s.workflowResults()
	files, _ := filepath.Glob(filepath.Join(root, "docs", "schemas", "*.json"))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if strings.Count(name, ".") == 2 && !events.IsRequest(name) {
			types = append(types, name)
		}
	}
	return types
}
