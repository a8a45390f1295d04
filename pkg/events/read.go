package events

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// value is one JSON value: valid, in UTF-8, and without white space around it. An empty one is a
// member that is absent. What is cut out of a value shares its memory and needs no second look.
type value string

// object is a JSON object by its exact keys.
type object map[string]value

// maxMembers bounds an object: nothing that we read has nearly as many, and each costs memory.
const maxMembers = 1000

// byteOrderMark is what some editors and senders begin a text with.
const byteOrderMark = "\ufeff"

// parse checks that text is exactly one JSON value. This and the errors of object and array
// complete the sentence "it is ...".
func parse(text string) (value, error) {
	text = strings.Trim(strings.TrimPrefix(text, byteOrderMark), " \t\r\n")
	switch {
	case text == "":
		return "", errors.New("empty")
	case !utf8.ValidString(text):
		return "", errors.New("not UTF-8")
	case !json.Valid([]byte(text)):
		return "", fmt.Errorf("not JSON: %w", json.Unmarshal([]byte(text), new(json.RawMessage)))
	}
	return value(text), nil
}

// parseObject reads exactly one JSON object.
func parseObject(text string) (object, error) {
	v, err := parse(text)
	if err != nil {
		return nil, err
	}
	return v.object()
}

// kind is what a value is called, empty if it is absent.
func (v value) kind() string {
	if v == "" {
		return ""
	}
	switch v[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

var errNoObject, errNoArray = errors.New("not a JSON object"), errors.New("not a JSON array")

// object returns the members of an object, none of which may be there twice.
func (v value) object() (object, error) {
	if v.kind() != "object" {
		return nil, errNoObject
	}
	o := object{}
	for rest := afterSpace(string(v[1:])); rest[0] != '}'; rest = afterSpace(rest) {
		var key, member value
		key, rest = cutValue(rest)
		member, rest = cutValue(afterSpace(rest))
		name := key.text()
		if o[name] != "" {
			return nil, fmt.Errorf("ambiguous: it has %.40q twice", name)
		}
		if len(o) == maxMembers {
			return nil, fmt.Errorf("too large: it has more than %d members", maxMembers)
		}
		o[name] = member
	}
	return o, nil
}

// elements are those of an array, none of anything else.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if v.kind() != "array" {
			return
		}
		for rest := afterSpace(string(v[1:])); rest[0] != ']'; rest = afterSpace(rest) {
			var element value
			element, rest = cutValue(rest)
			if !yield(element) {
				return
			}
		}
	}
}

// array returns the elements of an array, up to one more than most. The caller refuses a list that
// is longer than most, so the rest would only cost memory.
func (v value) array(most int) ([]value, error) {
	if v.kind() != "array" {
		return nil, errNoArray
	}
	all := []value{}
	for element := range v.elements() {
		if all = append(all, element); len(all) > most {
			break
		}
	}
	return all, nil
}

// afterSpace cuts off what stands before the next value, or before the end: nothing but white
// space, a comma or a colon.
func afterSpace(rest string) string { return strings.TrimLeft(rest, " \t\r\n,:") }

// cutValue cuts off the value with which rest begins. A json.Decoder would cost a kilobyte for each
// value, and a small payload can have thousands.
func cutValue(rest string) (first value, behind string) {
	depth := 0
	for i := 0; ; i++ {
		switch rest[i] {
		case '"':
			for i++; rest[i] != '"'; i++ {
				if rest[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
		default: // a number or a word ends where something else begins
			if depth > 0 || i+1 < len(rest) && strings.IndexByte(" \t\r\n,:]}", rest[i+1]) < 0 {
				continue
			}
		}
		if depth == 0 {
			return value(rest[:i+1]), rest[i+1:]
		}
	}
}

// text returns what a string says, "" of anything else.
func (v value) text() string {
	switch {
	case v.kind() != "string":
		return ""
	case strings.IndexByte(string(v), '\\') < 0:
		return string(v[1 : len(v)-1])
	}
	var text string
	_ = json.Unmarshal([]byte(v), &text) // it is valid
	return text
}

// scalar returns what a string says, or the digits of a number, else "".
func (v value) scalar() string {
	if v.kind() == "number" {
		return string(v)
	}
	return v.text()
}

// content returns what a wrapping holds: JSON, or a string with JSON in it.
func (v value) content() (value, error) {
	if kind := v.kind(); kind == "string" || kind == "" {
		return parse(v.text())
	}
	return v, nil
}

// object returns the member if it is an object, else nil.
func (o object) object(name string) object {
	inner, _ := o[name].object()
	return inner
}

// text returns the member if it is a string, else "".
func (o object) text(name string) string { return o[name].text() }

// given returns the member, and an empty value if it is null, which is the same as absent.
func (o object) given(name string) value {
	if v := o[name]; v != "null" {
		return v
	}
	return ""
}

// optional parses a member that is a string, absent or null. The last two give the zero value.
func optional[T ~string](o object, name string, parseText func(string) (T, error)) (read T, err error) {
	v := o.given(name)
	if v == "" {
		return "", nil
	}
	if v.kind() != "string" {
		return "", notOfKind(name, v)
	}
	if read, err = parseText(v.text()); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return read, err
}

// notOfKind says that the member is of a kind that it must not be.
func notOfKind(name string, v value) error {
	return fmt.Errorf("%s: must not be a JSON %s", name, v.kind())
}

// readEvent reads the members of a structured CloudEvent. Its error is the first thing that is
// wrong; it then returns what it could read.
func readEvent(o object) (e Event, err error) {
	fail := func(name, format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("%.60s: %w", name, fmt.Errorf(format, args...))
		}
	}
	var wrong []string
	for name := range o {
		if name != "data_base64" && (name == "" || strings.ContainsFunc(name, notInAttribute)) {
			wrong = append(wrong, name)
		}
	}
	if wrong != nil {
		fail(fmt.Sprintf("%.40q", slices.Min(wrong)), "is not the name of an attribute: only a-z and 0-9")
	}
	attribute := func(name string) string { // any other is ignored, whatever it is
		text, problem := readAttribute(o.given(name))
		if problem != nil {
			fail(name, "%w", problem)
		}
		return text
	}
	e.CorrelationID, e.ContentType = attribute("correlationid"), attribute("datacontenttype")
	e.ID, e.Source = attribute("id"), attribute("source")
	specversion, timestamp := attribute("specversion"), attribute("time")
	e.TraceParent, e.TraceState, e.Type = attribute("traceparent"), attribute("tracestate"), attribute("type")
	if specversion != "1.0" {
		fail("specversion", "must be %q", "1.0")
	}
	for _, required := range [][2]string{{"id", e.ID}, {"source", e.Source}, {"type", e.Type}} {
		if strings.TrimSpace(required[1]) == "" { // the SDK counts spaces as nothing, too
			fail(required[0], "is missing")
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
	data, encoded := o.given("data"), o.given("data_base64")
	switch kind := encoded.kind(); {
	case kind == "" && data != "":
		e.Data = json.RawMessage(data)
	case kind == "":
	case kind != "string":
		fail("data_base64", "must be a string")
	case data != "":
		fail("data", "must not stand beside data_base64")
	default:
		var problem error
		if e.Data, problem = base64.StdEncoding.Strict().DecodeString(encoded.text()); problem != nil {
			fail("data_base64", "is not base64")
		}
	}
	return e, err
}

// readAttribute reads the value of a context attribute that we know: a string.
func readAttribute(v value) (string, error) {
	text := v.text()
	switch {
	case v != "" && v.kind() != "string":
		return "", errors.New("must be a string")
	case len(text) > maxAttribute:
		return "", fmt.Errorf("is longer than %d bytes", maxAttribute)
	case strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsRune(text, utf8.RuneError):
		return "", errors.New("has a control character, or is not valid Unicode")
	}
	return text, nil
}

// notInAttribute reports whether the name of an attribute can't contain r.
func notInAttribute(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
