package handler

import (
	"bytes"
	"encoding/json"
	"slices"

	"registrar/pkg/events"
)

// answer is the one place where the shape of a payload decides how it is answered.
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

// resultEvents is the result event of the one record, or the array of all. If any record failed, the
// whole fails.
func resultEvents(all []handled, array bool) ([]byte, error) {
	if err := worst(all); err != nil {
		return nil, err
	}
	encoded := make([][]byte, len(all))
	for i, one := range all {
		var err error
		if encoded[i], err = one.out.MarshalJSON(); err != nil {
			return nil, named(err)
		}
	}
	joined := bytes.Join(encoded, []byte(","))
	if array {
		joined = slices.Concat([]byte("["), joined, []byte("]"))
	}
	return joined, nil
}

// batchItemFailures names the messages that SQS must deliver again. It is never null, which SQS would
// take for success.
func batchItemFailures(all []handled) ([]byte, error) {
	type item struct {
		ItemIdentifier string `json:"itemIdentifier"`
	}
	failed := []item{}
	for _, one := range all {
		if id := (item{one.record.MessageID}); one.err != nil && !slices.Contains(failed, id) {
			failed = append(failed, id)
		}
	}
	return json.Marshal(map[string]any{"batchItemFailures": failed})
}
