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
		if done.out == nil {
			encoded[i] = []byte("null")
			continue
		}
		var err error
		if encoded[i], err = done.out.MarshalJSON(); err != nil {
			return nil, classified(err)
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
	failed := []item{}
	for _, done := range all {
		if id := (item{done.record.MessageID}); done.err != nil && !slices.Contains(failed, id) {
			failed = append(failed, id)
		}
	}
	return json.Marshal(map[string]any{"batchItemFailures": failed})
}
