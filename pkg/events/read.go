package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// object is a JSON object by its exact keys.
type object map[string]json.RawMessage

// maxMembers bounds an object: nothing that we read has nearly as many, and each costs memory.
const maxMembers = 1000

// unmarked is b without the byte order mark that some editors and senders begin a text with.
func unmarked(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\ufeff")) }

// parseObject reads exactly one JSON object, without duplicate keys. Its errors complete the
// sentence "it is ...". The members share the memory of b.
func parseObject(b []byte) (object, error) {
	b = unmarked(b)
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("empty")
	}
	if err := validJSON(b); err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(b), []byte("{"))
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	o := object{}
	for rest = afterSpace(rest); rest[0] != '}'; rest = afterSpace(rest) {
		var key, value json.RawMessage
		key, rest = cutValue(rest)
		value, rest = cutValue(rest)
		name := unquote(key)
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("ambiguous: it has %.40q twice", name)
		}
		if len(o) == maxMembers {
			return nil, fmt.Errorf("too large: it has more than %d members", maxMembers)
		}
		o[name] = value
	}
	return o, nil
}

// parseArray reads the elements of a JSON array, up to one more than most. The caller refuses a
// list that is longer than most, so the rest would only cost memory. The elements share the memory
// of b.
func parseArray(b []byte, most int) ([]json.RawMessage, error) {
	b = unmarked(b)
	if err := validJSON(b); err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(b), []byte("["))
	if !ok {
		return nil, errors.New("not a JSON array")
	}
	elements := []json.RawMessage{}
	for rest = afterSpace(rest); rest[0] != ']' && len(elements) <= most; rest = afterSpace(rest) {
		var element json.RawMessage
		element, rest = cutValue(rest)
		elements = append(elements, element)
	}
	return elements, nil
}

// afterSpace cuts off what stands before the next value: in valid JSON, nothing but white space, a
// comma or a colon.
func afterSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n,:") }

// cutValue cuts the value off with which b begins, inside of valid JSON. A json.Decoder would cost
// a kilobyte for each value, and a small payload can have thousands.
func cutValue(b []byte) (value, rest []byte) {
	b = afterSpace(b)
	depth := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
		default: // a number or a word ends where something else begins
			if depth > 0 || i+1 < len(b) && !strings.ContainsRune(" \t\r\n,:]}", rune(b[i+1])) {
				continue
			}
		}
		if depth == 0 {
			return b[: i+1 : i+1], b[i+1:]
		}
	}
}

// unquote returns the text of a JSON string.
func unquote(quoted []byte) (text string) {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	_ = json.Unmarshal(quoted, &text) // it is valid
	return text
}

// validJSON says what is wrong with b, if it isn't one JSON value.
func validJSON(b []byte) error {
	if json.Valid(b) {
		return nil
	}
	return fmt.Errorf("not JSON: %w", json.Unmarshal(b, new(json.RawMessage)))
}

// text returns the member if it is a string, else "".
func (o object) text(name string) string {
	if !bytes.HasPrefix(o[name], []byte(`"`)) {
		return ""
	}
	return unquote(o[name])
}

// object returns the member if it is an object, else nil.
func (o object) object(name string) object {
	inner, _ := parseObject(o[name])
	return inner
}

// read decodes the member into target, which it leaves alone if the member is absent or null.
func (o object) read(name string, target any) error {
	if value := o[name]; value != nil {
		if err := json.Unmarshal(value, target); err != nil {
			if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				return fmt.Errorf("%s: must not be a JSON %s", name, wrong.Value)
			}
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// optional parses a member that is a string, absent or null. The last two give the zero value.
func optional[T any](o object, name string, parse func(string) (T, error)) (value T, err error) {
	var text *string
	if err = o.read(name, &text); err != nil || text == nil {
		return value, err
	}
	if value, err = parse(*text); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return value, err
}

// readEvent reads the members of a structured CloudEvent. Its error is the first thing that is
// wrong; it then returns what it could read.
func readEvent(o object) (e Event, err error) {
	fail := func(name, format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("%.60s: %w", name, fmt.Errorf(format, args...))
		}
	}
	var specversion, timestamp string
	known := map[string]*string{
		"specversion": &specversion, "time": &timestamp,
		"id": &e.ID, "source": &e.Source, "type": &e.Type, "datacontenttype": &e.ContentType,
		"correlationid": &e.CorrelationID, "traceparent": &e.TraceParent, "tracestate": &e.TraceState,
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if name == "data" || name == "data_base64" || o[name] == nil {
			continue
		}
		if name == "" || strings.ContainsFunc(name, notInAttribute) {
			fail(fmt.Sprintf("%.40q", name), "is not the name of an attribute: only a-z and 0-9")
			continue
		}
		if target := known[name]; target != nil { // any other is ignored, whatever it is
			if problem := readAttribute(o[name], target); problem != nil {
				fail(name, "%w", problem)
			}
		}
	}
	if specversion != "1.0" {
		fail("specversion", "must be %q", "1.0")
	}
	for _, name := range []string{"id", "source", "type"} {
		if strings.TrimSpace(*known[name]) == "" { // the SDK counts spaces as nothing, too
			fail(name, "is missing")
		}
	}
	if !IsURIReference(e.Source) {
		fail("source", "must be a URI-reference (RFC 3986)")
	}
	if timestamp != "" {
		var problem error
		if e.Time, problem = parseTime(timestamp); problem != nil {
			fail("time", "must be like 2026-01-02T03:04:05Z (RFC 3339)")
		}
	}
	for _, name := range []string{"data", "data_base64"} {
		if string(o[name]) == "null" { // the same as absent
			o[name] = nil
		}
	}
	data, encoded := o["data"], ""
	if problem := o.read("data_base64", &encoded); problem != nil {
		fail("data_base64", "must be a string")
	}
	switch {
	case o["data_base64"] == nil:
		e.Data = data
	case data != nil:
		fail("data", "must not stand beside data_base64")
	default:
		var problem error
		if e.Data, problem = base64.StdEncoding.Strict().DecodeString(encoded); problem != nil {
			fail("data_base64", "is not base64")
		}
	}
	return e, err
}

// readAttribute reads the value of a context attribute that we know: a string. Null is the same as
// absent, and leaves target alone.
func readAttribute(value json.RawMessage, target *string) error {
	if string(value) == "null" {
		return nil
	}
	var text string
	switch err := json.Unmarshal(value, &text); {
	case err != nil:
		return errors.New("must be a string")
	case len(text) > maxAttribute:
		return fmt.Errorf("is longer than %d bytes", maxAttribute)
	case strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsRune(text, utf8.RuneError):
		return errors.New("has a control character, or is not valid Unicode")
	}
	*target = text
	return nil
}

// notInAttribute reports whether the name of an attribute can't contain r.
func notInAttribute(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
