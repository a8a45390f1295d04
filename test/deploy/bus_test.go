package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"registrar/pkg/events"
)

// matches says whether EventBridge's pattern matches an event, as far as our patterns go. What it doesn't know matches nothing.
func matches(pattern, event any) bool {
	for key, wanted := range object(pattern) {
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

// envelope is a CloudEvent on the bus.
func envelope(source, eventType string, detail any) map[string]any {
	return map[string]any{"version": "0", "source": source, "detail-type": eventType, "detail": detail}
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
			found[filepath.Base(file)] = envelope(text(dig(event, "source")), text(dig(event, "type")), event)
		case dig(event, "detail-type") != nil:
			found[filepath.Base(file)] = event
		}
	}
	return found, nil
}

// results are the types of result events, by the function that puts them; those of the workflow too.
func results() map[string][]string {
	byFunction := map[string][]string{"onboarding": {"org.onboarding.completed", "org.onboarding.rejected", "org.onboarding.failed"}}
	for function, prefix := range map[string]string{
		"register-region": events.OrgBootstrapKind("").Result,
		"register-admin":  events.AccountCreatedKind(nil).Result,
	} {
		for _, outcome := range []events.Outcome{events.Registered, events.Rejected, events.Planned} {
			byFunction[function] = append(byFunction[function], prefix+"."+string(outcome))
		}
	}
	return byFunction
}
