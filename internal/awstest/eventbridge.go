package awstest

import (
	"net/http"
	"slices"
)

// EventBridge is a fake Amazon EventBridge. The zero EventBridge takes every event, as the real one
// does even for a bus that doesn't exist. It is safe for concurrent use.
type EventBridge struct {
	script
	attempts int
	entries  []Entry
}

// Entry is an entry of PutEvents.
type Entry struct {
	EventBusName, Source, DetailType, Detail string
	Time                                     float64 // seconds since 1970; 0 if the entry has none
	Region                                   string  `json:"-"` // the region of the request
}

// Attempts returns how many signed requests there were so far, whatever their answer.
func (b *EventBridge) Attempts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attempts
}

// Entries returns the entries that were taken so far.
func (b *EventBridge) Entries() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.entries)
}

func (b *EventBridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Entries []Entry }
	region, ok := call{"events", "events", "AWSEvents.PutEvents"}.read(w, r, &in)
	if !ok {
		return
	}
	b.mu.Lock()
	b.attempts++
	answer := b.next()
	results := make([]map[string]string, len(in.Entries))
	for i, entry := range in.Entries {
		results[i] = map[string]string{"EventId": RequestID}
		if entry.Region = region; answer == nil {
			b.entries = append(b.entries, entry)
		}
	}
	b.mu.Unlock()

	if answer != nil {
		answer(w, r)
		return
	}
	reply(w, http.StatusOK, map[string]any{"FailedEntryCount": 0, "Entries": results})
}

// FailEntry answers that the call succeeded and its only entry failed. The code may be empty.
func FailEntry(code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		entry := map[string]string{}
		if code != "" {
			entry = map[string]string{"ErrorCode": code, "ErrorMessage": "what EventBridge says"}
		}
		reply(w, http.StatusOK, map[string]any{"FailedEntryCount": 1, "Entries": []any{entry}})
	}
}
