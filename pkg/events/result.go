package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
)

const (
	maxText   = 1 << 10  // bytes of a message
	maxResult = 60 << 10 // bytes of a result event
)

// Outcome is what became of something that was to be registered.
type Outcome string

// The outcomes.
const (
	Registered Outcome = "registered" // we changed it
	Unchanged  Outcome = "unchanged"  // it already was so, maybe by an attempt of ours whose result was lost
	Planned    Outcome = "planned"    // dry run: it would be changed
	Rejected   Outcome = "rejected"   // this event can't succeed
)

// Reason says why something was rejected.
type Reason string

// The reasons. There may be more one day: consumers go by the outcome.
const (
	InvalidData      Reason = "invalid_data"
	NotAllowed       Reason = "not_allowed"        // outside REGION_ID or SERVICE_PRINCIPALS
	RegionConflict   Reason = "region_conflict"    // another region is registered
	AccountNotFound  Reason = "account_not_found"  // in the organization
	AccountNotActive Reason = "account_not_active" // suspended, or being closed
	Refused          Reason = "refused"            // by Huawei Cloud, as the error says
)

// Registration is what became of one thing that was to be registered.
type Registration struct {
	Outcome  Outcome `json:"outcome"`
	Attempts int     `json:"attempts"`          // register calls made; 0 when none was needed
	Reason   Reason  `json:"reason,omitempty"`  // of a rejection
	Message  string  `json:"message,omitempty"` // of a rejection: a sentence that a person can act on
	Error    *Error  `json:"error,omitempty"`   // of a rejection by Huawei Cloud

	RequestID string `json:"-"` // of the last register call, for the log
}

// Error is what Huawei Cloud said.
type Error struct {
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

// Result is the data of a result event, [RegionResult] or [AdminResult].
type Result interface {
	Subject() string       // what it is about; empty when that is unknown, since the data of the input was invalid
	Summary() Registration // the result as a whole

	data(cause Cause, limit int) any // what to encode, with texts of at most limit bytes
}

// ResultEvent makes the CloudEvent that tells what became of e. It is the same for the same cause and result
// but for its time, now, so that a consumer can drop doubles by source and id.
func (k Kind[T]) ResultEvent(source string, e Event[json.RawMessage], r Result, now time.Time) (event.Event, error) {
	outcome := r.Summary().Outcome
	if outcome == Unchanged {
		outcome = Registered
	}
	result := event.New()
	result.SetType(k.Result + "." + string(outcome))
	result.SetID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(e.Source+"\n"+e.ID+"\n"+result.Type())).String())
	result.SetSource(source)
	result.SetTime(now)
	result.SetExtension("causationid", e.ID)
	result.SetExtension("correlationid", cmp.Or(e.CorrelationID, e.ID))
	if subject := r.Subject(); subject != "" {
		result.SetSubject(subject)
		result.SetExtension("partitionkey", subject)
	}
	if e.TraceParent != "" {
		result.SetExtension("traceparent", e.TraceParent)
		if e.TraceState != "" {
			result.SetExtension("tracestate", e.TraceState)
		}
	}
	for limit := maxText; ; limit /= 2 {
		data, err := encode(r.data(e.Cause, limit))
		if err != nil {
			return event.Event{}, fmt.Errorf("result: %w", err)
		}
		result.SetDataContentType(event.ApplicationJSON)
		result.DataEncoded = data // SetData would escape it
		if encoded, err := result.MarshalJSON(); err != nil || len(encoded) <= maxResult || limit == 0 {
			return result, errors.Join(err, result.Validate())
		}
	}
}

// encode is json.Marshal without escapes for HTML, which would make texts up to six times as long.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// add counts one more registration into a whole.
func (r *Registration) add(one Registration) {
	weight := []Outcome{"", Unchanged, Registered, Planned, Rejected}
	if slices.Index(weight, one.Outcome) > slices.Index(weight, r.Outcome) {
		r.Outcome, r.Reason, r.Message, r.Error = one.Outcome, one.Reason, one.Message, one.Error
	}
	r.Attempts += one.Attempts
	r.RequestID = cmp.Or(one.RequestID, r.RequestID)
}

func (r Registration) shorten(limit int) Registration {
	r.Message = shorten(r.Message, limit)
	if r.Error != nil {
		shortened := *r.Error
		shortened.Message = shorten(shortened.Message, limit)
		r.Error = &shortened
	}
	return r
}

// shorten cuts valid UTF-8 to at most limit bytes.
func shorten(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	if limit < len(ellipsis) {
		return ""
	}
	cut := limit - len(ellipsis)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}
