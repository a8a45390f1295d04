package handler

import (
	"bytes"
	"encoding/json"
	"slices"

	"registrar/pkg/events"
)

// answer answers a payload in the way that its shape asks for.
func answer(shape events.Shape, all []handled) ([]byte, error) {
	switch shape {
	case events.SQS:
		return batchItemFailures(all)
	case events.Array:
		return resultEvents(all, true)
	default:
		return resultEvents(all, len(all) > 1)
	}
}

// resultEvents answers with the result event of the only record, or with an array of all; null
// stands for none. It fails if any record failed.
func resultEvents(all []handled, array bool) ([]byte, error) {
	if err := worst(all); err != nil {
		return nil, err
	}
	encoded := make([][]byte, len(all))
	for i, done := range all {
		if encoded[i] = done.out; done.out == nil {
			encoded[i] = []byte("null")
		}
	}
	joined := bytes.Join(encoded, []byte(","))
	if array {
		joined = slices.Concat([]byte("["), joined, []byte("]"))
	}
	return joined, nil
}

// batchItemFailures names the messages that SQS must deliver again. It is never null, which SQS
// would take for success.
func batchItemFailures(all []handled) ([]byte, error) {
	type item struct {
		ItemIdentifier string `json:"itemIdentifier"`
	}
	failed, known := []item{}, map[string]bool{}
	for _, done := range all {
		if id := done.record.MessageID; done.err != nil && !known[id] {
			known[id] = true
			failed = append(failed, item{id})
		}
	}
	return json.Marshal(map[string]any{"batchItemFailures": failed})
}
