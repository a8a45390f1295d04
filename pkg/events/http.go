package events

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Media types of CloudEvents in JSON.
const (
	StructuredMediaType = "application/cloudevents+json"
	BatchMediaType      = "application/cloudevents-batch+json"
	ProblemMediaType    = "application/problem+json"
)

// UnwrapHTTP takes the events out of an HTTP request, in the structured, batched or binary mode of
// the CloudEvents HTTP binding 1.0. An error is an [*InvalidEventError].
func UnwrapHTTP(header http.Header, body []byte) (Envelope, error) {
	mediaType, parameters, _ := mime.ParseMediaType(field(header, "Content-Type"))
	switch charset := strings.ToLower(parameters["charset"]); {
	case charset != "" && charset != "utf-8" && charset != "us-ascii":
		return Envelope{}, &InvalidEventError{
			Status: http.StatusUnsupportedMediaType,
			Reason: "the body must be in UTF-8, and its charset utf-8 or absent",
		}
	case !utf8.Valid(body):
		return Envelope{}, invalid("body is not UTF-8")
	case mediaType == BatchMediaType:
		v, err := parse(string(body))
		if err != nil {
			return Envelope{}, invalid("payload is %v", err)
		}
		u := unwrapper{limit: maxRecords, left: maxRecords}
		elements, err := u.elements(v, 0)
		if err != nil {
			return Envelope{}, err
		}
		records, err := u.each(elements, 0)
		return Envelope{Array, records}, err
	case mediaType == StructuredMediaType:
		o, err := parseObject(string(body))
		if err != nil {
			return Envelope{}, invalid("body is %v; it must be a CloudEvent in JSON", err)
		}
		return Envelope{Structured, []Record{readRecord(o, len(body))}}, nil
	case !strings.HasPrefix(mediaType, "application/cloudevents") && field(header, "Ce-Specversion") != "":
		return Envelope{Structured, []Record{readRecord(binary(header, body), len(body))}}, nil
	}
	return Envelope{}, &InvalidEventError{
		Status: http.StatusUnsupportedMediaType,
		Reason: "the request is not a CloudEvent: send Content-Type " + StructuredMediaType + " or " + BatchMediaType +
			", or JSON data with the headers ce-specversion, ce-id, ce-source and ce-type",
	}
}

// binary makes the members of a structured event out of the headers and body of a binary one.
// Headers that aren't those of an attribute are ignored.
func binary(header http.Header, body []byte) object {
	o := object{}
	for name := range header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok || attribute == "" || strings.ContainsFunc(attribute, notInAttribute) {
			continue
		}
		text := field(header, name)
		if len(text) >= 2 && strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
			text = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(text[1 : len(text)-1])
		}
		text, err := url.PathUnescape(text)
		if err != nil {
			text = "\ufffd" // which is refused in an attribute that is read
		}
		o[attribute] = quote(text)
	}
	// These are in the body and in Content-Type alone.
	delete(o, "data")
	delete(o, "datacontenttype")
	if len(body) > 0 {
		o["data"] = value(body) // JSON or not: whoever decodes it will see
	}
	if contentType := field(header, "Content-Type"); contentType != "" {
		o["datacontenttype"] = quote(contentType)
	}
	return o
}

// field is the value of a header. One that comes several times is a list, as RFC 9110 has it and as
// a function URL hands it on.
func field(header http.Header, name string) string { return strings.Join(header.Values(name), ",") }

func quote(s string) value {
	quoted, _ := json.Marshal(s) // a string can't fail
	return value(quoted)
}
