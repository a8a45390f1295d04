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
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case (mediaType == BatchMediaType || mediaType == StructuredMediaType) && !utf8.Valid(body):
		return Envelope{}, invalid("body is not UTF-8")
	case mediaType == BatchMediaType:
		u := unwrapper{limit: maxRecords, left: maxRecords}
		elements, err := u.elements(body, 0)
		if err != nil {
			return Envelope{}, err
		}
		records, err := u.each(elements, 0)
		return Envelope{Array, records}, err
	case mediaType == StructuredMediaType:
		o, err := parseObject(body)
		if err != nil {
			return Envelope{}, invalid("body is %v; it must be a CloudEvent in JSON", err)
		}
		return Envelope{Structured, []Record{readRecord(o, len(body))}}, nil
	case !strings.HasPrefix(mediaType, "application/cloudevents") && header.Get("Ce-Specversion") != "":
		o, err := binary(header, body)
		if err != nil {
			return Envelope{}, err
		}
		return Envelope{Structured, []Record{readRecord(o, len(body))}}, nil
	}
	return Envelope{}, &InvalidEventError{
		Status: http.StatusUnsupportedMediaType,
		Reason: "the request is not a CloudEvent: send Content-Type " + StructuredMediaType + " or " + BatchMediaType +
			", or JSON data with the headers ce-specversion, ce-id, ce-source and ce-type",
	}
}

// binary makes the members of a structured event out of the headers and body of a binary one.
func binary(header http.Header, body []byte) (object, error) {
	o := object{}
	if len(body) > 0 {
		o["data"] = body
	}
	if contentType := header.Get("Content-Type"); contentType != "" {
		o["datacontenttype"] = quote(contentType)
	}
	for name, values := range header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok {
			continue
		}
		if len(values) != 1 {
			return nil, invalid("header %.40q is there more than once", name)
		}
		if attribute == "data" || attribute == "datacontenttype" {
			return nil, invalid("header %.40q is not allowed: the body and Content-Type say it", name)
		}
		value := values[0]
		if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
			value = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(value[1 : len(value)-1])
		}
		value, err := url.PathUnescape(value)
		if err != nil || !utf8.ValidString(value) {
			return nil, invalid("header %.40q is not percent-encoded UTF-8", name)
		}
		o[attribute] = quote(value)
	}
	return o, nil
}

func quote(s string) json.RawMessage {
	quoted, _ := json.Marshal(s) // a string can't fail
	return quoted
}
