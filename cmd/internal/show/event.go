package show

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"registrar/pkg/events"
)

// notAnEvent is shown for what isn't one; the function that gets it says why.
const notAnEvent = "not an event"

// Events says what a payload holds, whatever it is wrapped in: for each event its type and data.
func Events(payload []byte) []string {
	envelope, err := unwrap(payload)
	if err != nil {
		return []string{notAnEvent}
	}
	prefix := ""
	if envelope.Shape != events.Structured {
		prefix = string(envelope.Shape) + ": "
	}
	var all []string
	for _, r := range envelope.Records {
		text := strings.TrimSpace(r.Event.Type + " " + fields(r.Event.Data))
		switch {
		case r.Err != nil:
			text = notAnEvent
		case r.Trace != nil && r.Trace.Ignored != "":
			text = r.Trace.Ignored
		}
		all = append(all, prefix+text)
	}
	if len(all) == 0 {
		return []string{prefix + "no events"}
	}
	return all
}

// EventLines shows what [Events] said, of many only the first.
func EventLines(all []string) []Line {
	const most = 10
	var lines []Line
	for _, text := range all[:min(most, len(all))] {
		lines = append(lines, Line{Label: "event", Style: Cyan, Text: text})
	}
	if n := len(all) - most; n > 0 {
		lines = append(lines, Line{Text: fmt.Sprintf("and %d more", n)})
	}
	return lines
}

// unwrap is [events.Unwrap], also for the request of a function URL, whose events are in its body.
func unwrap(payload []byte) (events.Envelope, error) {
	envelope, err := events.Unwrap(payload)
	if err != nil || envelope.Shape != events.HTTP {
		return envelope, err
	}
	var request struct {
		Headers         map[string]string
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(payload, &request); err != nil {
		return envelope, err
	}
	header := http.Header{}
	for name, value := range request.Headers {
		header.Set(name, value)
	}
	body := []byte(request.Body)
	if request.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(request.Body); err != nil {
			return envelope, err
		}
	}
	inside, err := events.UnwrapHTTP(header, body)
	inside.Shape = envelope.Shape
	return inside, err
}

// fields writes a JSON object as key=value, lists of texts with commas, and anything else as JSON.
func fields(data []byte) string {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return compact(data)
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		all = append(all, key+"="+value(object[key]))
	}
	return strings.Join(all, " ")
}

func value(raw json.RawMessage) string {
	var text string
	var list []string
	switch {
	case json.Unmarshal(raw, &text) == nil:
		return text
	case json.Unmarshal(raw, &list) == nil:
		return strings.Join(list, ",")
	}
	return compact(raw)
}

// compact writes JSON in one line, and what isn't JSON as it is; both cut.
func compact(b []byte) string {
	var line bytes.Buffer
	if json.Compact(&line, b) != nil {
		line.Reset()
		line.Write(bytes.TrimSpace(b))
	}
	return fmt.Sprintf("%.600s", line.String())
}

var accountID = regexp.MustCompile(`\b([0-9a-f]{8})[0-9a-f]{24}\b`)

// short cuts the ids of accounts, which stand in full where the event is shown.
func short(text string) string { return accountID.ReplaceAllString(text, "$1…") }
