package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"registrar/pkg/wire"
)

const (
	maxText = 1 << 10  // bytes of a message
	maxData = 48 << 10 // bytes of the data; with the attributes around them an event has at most 60 KiB

	halvings = 11             // after so many, nothing is left of 1024
	maxSteps = 2*halvings + 1 // in which data is made to fit
)

// What the types of results begin with.
const (
	regionFamily  = "org.region"
	serviceFamily = "org.service"
	adminFamily   = "account.admin"
	auditFamily   = "org.audit"
)

// Outcome is what became of something that was to be registered, or of an event as a whole.
type Outcome string

// The outcomes.
const (
	Registered Outcome = "registered" // we changed it
	Unchanged  Outcome = "unchanged"  // it already was so, maybe by an attempt of ours whose result was lost
	Planned    Outcome = "planned"    // dry run: it would be changed
	Rejected   Outcome = "rejected"   // this event can't succeed
	Skipped    Outcome = "skipped"    // nothing was asked for; only an event as a whole is skipped
	Passed     Outcome = "passed"     // an audit found everything as it shall be
	Drifted    Outcome = "drifted"    // an audit found something that is not as it shall be
)

// resultType is the type of a result event, empty if results of the family don't have the outcome.
// Registered and unchanged share a type: consumers needn't know who registered it.
func resultType(family string, outcome Outcome) string {
	var outcomes []Outcome
	switch family {
	case regionFamily, serviceFamily, adminFamily:
		outcomes = []Outcome{Registered, Planned, Rejected, Skipped}
	case auditFamily:
		outcomes = []Outcome{Passed, Drifted, Rejected}
	}
	if outcome == Unchanged {
		outcome = Registered
	}
	if !slices.Contains(outcomes, outcome) {
		return ""
	}
	return family + "." + string(outcome)
}

// IsResult reports whether eventType is the type of one of our results.
func IsResult(eventType string) bool {
	dot := strings.LastIndexByte(eventType, '.')
	return dot > 0 && eventType == resultType(eventType[:dot], Outcome(eventType[dot+1:]))
}

// Reason says why something was rejected.
type Reason string

// The reasons. More may be added, so consumers should decide by the outcome.
const (
	InvalidData      Reason = "invalid_data"
	NotAllowed       Reason = "not_allowed"        // the configuration doesn't allow it
	RegionConflict   Reason = "region_conflict"    // another region is registered
	AccountNotFound  Reason = "account_not_found"  // the account isn't in the organization
	AccountNotActive Reason = "account_not_active" // the account is suspended, or being closed
	CreationFailed   Reason = "creation_failed"    // the account that was to be created doesn't exist
	UnknownService   Reason = "unknown_service"    // Huawei Cloud has no such service
	Refused          Reason = "refused"            // Huawei Cloud refused it, as the error says
)

// Registration is what became of one thing that was to be registered: a region, or one service.
type Registration struct {
	RegionID         RegionID         `json:"region_id,omitempty"`
	ServicePrincipal ServicePrincipal `json:"service_principal,omitempty"`

	Outcome   Outcome `json:"outcome"`
	Attempts  int     `json:"attempts"`             // register calls made; 0 when none was needed
	RequestID string  `json:"request_id,omitempty"` // Huawei Cloud's id of the last of them

	// The rest says why it was rejected.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"` // a sentence that a person can act on
	Error   *Error `json:"error,omitempty"`   // what Huawei Cloud said, if it refused

	ObservedStatus     string      `json:"observed_status,omitempty"`      // the status of an inactive account
	ObservedAccountIDs []AccountID `json:"observed_account_ids,omitempty"` // which administer the service; at most 10
}

// maxObserved bounds ObservedAccountIDs, so that a result fits.
const maxObserved = 10

// Error is what Huawei Cloud said.
type Error struct {
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

// Reject rejects r for the reason. The message is a sentence that a person can act on.
func (r *Registration) Reject(reason Reason, message string, args ...any) {
	r.Outcome, r.Reason, r.Message = Rejected, reason, fmt.Sprintf(message, args...)
}

// cut shortens the texts to at most limit bytes each.
func (r Registration) cut(limit int) Registration {
	r.Message = wire.Clean(r.Message, limit)
	r.ObservedAccountIDs = r.ObservedAccountIDs[:min(len(r.ObservedAccountIDs), maxObserved)]
	if r.Error != nil {
		r.Error = new(*r.Error)
		r.Error.Message = wire.Clean(r.Error.Message, limit)
	}
	return r
}

// RegistrationsResult is the part of a result that tells what became of several services.
type RegistrationsResult struct {
	// Outcome, Reason and Message are those of the event as a whole, if there are no Registrations.
	Outcome       Outcome        `json:"outcome"`
	Reason        Reason         `json:"reason,omitempty"`
	Message       string         `json:"message,omitempty"`
	Registrations []Registration `json:"registrations,omitempty"` // in the order wanted
	Cause         Cause          `json:"cause"`                   // set by [NewResultEvent]
}

// Whole adds the registrations up: all their attempts, the last request id, and the outcome that
// matters most. One that is rejected makes the whole rejected, also if others are registered;
// registered goes before planned, and that before unchanged.
func (s RegistrationsResult) Whole() Registration {
	whole := Registration{Outcome: s.Outcome, Reason: s.Reason, Message: s.Message}
	weight := []Outcome{"", Skipped, Unchanged, Planned, Registered, Rejected}
	for _, r := range s.Registrations {
		if slices.Index(weight, r.Outcome) > slices.Index(weight, whole.Outcome) {
			whole.Outcome, whole.Reason, whole.Message, whole.Error = r.Outcome, r.Reason, r.Message, r.Error
		}
		whole.Attempts += r.Attempts
		whole.RequestID = cmp.Or(r.RequestID, whole.RequestID)
	}
	return whole
}

// Each returns the Registrations.
func (s RegistrationsResult) Each() []Registration { return s.Registrations }

// withCause returns s as the data of a result event. Its texts are shorter with each step.
func (s RegistrationsResult) withCause(cause Cause, step int) RegistrationsResult {
	s.Cause, s.Outcome, s.Message = cause, s.Whole().Outcome, wire.Clean(s.Message, maxText)
	s.Registrations = slices.Clone(s.Registrations)
	for i, r := range s.Registrations {
		s.Registrations[i] = r.cut(maxText >> step)
	}
	return s
}

// Result is what became of an event.
type Result interface {
	Family() string       // what the type of the result event begins with, such as "org.region"
	Subject() string      // the region or account; empty if the event's data didn't tell
	Whole() Registration  // the outcome of the event as a whole
	Each() []Registration // what was asked for, one by one; what was not tried has no Outcome

	data(cause Cause, step int) any // what to encode, shorter with each step
}

// NewResultEvent makes the CloudEvent that tells the result of e; now is its time. Its id depends
// only on its type and on the source and id of e, so that consumers can drop duplicates. A result
// without an outcome is an error. The event has at most 60 KiB.
func NewResultEvent(source string, e Event, r Result, now time.Time) (event.Event, error) {
	outcome := r.Whole().Outcome
	eventType := resultType(r.Family(), outcome)
	if eventType == "" {
		return event.Event{}, fmt.Errorf("the result has the outcome %q, which is not one", outcome)
	}
	var data json.RawMessage
	for step := range maxSteps {
		var err error
		if data, err = encode(r.data(e.Cause, step)); err != nil {
			return event.Event{}, fmt.Errorf("%s: %w", eventType, err)
		}
		if len(data) <= maxData {
			break
		}
	}
	return consequence(source, e, eventType, derivedID(e.Cause, eventType), r.Subject(), now, data)
}

// derivedID is the id of an event that the cause has led to. The same name makes the same id.
func derivedID(cause Cause, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(cause.Source+"\n"+cause.ID+"\n"+name)).String()
}

// consequence makes an event that e has led to.
func consequence(
	source string, e Event, eventType, id, subject string, at time.Time, data json.RawMessage,
) (event.Event, error) {
	out := event.New()
	out.SetType(eventType)
	out.SetID(id)
	out.SetSource(source)
	out.SetTime(at)
	out.SetExtension("causationid", e.ID)
	out.SetExtension("correlationid", cmp.Or(e.CorrelationID, e.ID))
	if subject != "" {
		out.SetSubject(subject)
		out.SetExtension("partitionkey", subject)
	}
	if e.TraceParent != "" {
		out.SetExtension("traceparent", e.TraceParent)
		if e.TraceState != "" {
			out.SetExtension("tracestate", e.TraceState)
		}
	}
	out.SetDataContentType(event.ApplicationJSON)
	out.DataEncoded = data // SetData would escape it
	return out, out.Validate()
}

// encode is json.Marshal without escapes for HTML, which would make texts up to six times as long.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
