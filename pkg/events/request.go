package events

import (
	"fmt"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// The types of requests. A request looks like a result, but is an input of another function.
const (
	serviceRequest = "org.service.missing"
	adminRequest   = "account.admin.missing"
)

// Request asks another function for what an audit found missing: for trusted access of services, or
// for an account to administer them.
type Request struct {
	AccountID         AccountID          `json:"account_id,omitempty"` // empty if trusted access is missing
	ServicePrincipals []ServicePrincipal `json:"service_principals"`   // at most [MaxPrincipals]
}

// IsRequest reports whether eventType is the type of a request.
func IsRequest(eventType string) bool {
	return slices.Contains([]string{serviceRequest, adminRequest}, eventType)
}

// NewRequestEvent makes the CloudEvent of a request that the audit e has led to. Its id depends
// only on its type, on the account, and on the source and id of e; its time is that of e, else now.
func NewRequestEvent(source string, e Event, r Request, now time.Time) (event.Event, error) {
	eventType := serviceRequest
	if r.AccountID != "" {
		eventType = adminRequest
	}
	if year := e.Time.UTC().Year(); !e.Time.IsZero() && year >= 0 && year <= 9999 { // else it can't be written
		now = e.Time
	}
	data, err := encode(r)
	if err != nil {
		return event.Event{}, fmt.Errorf("%s: %w", eventType, err)
	}
	account := string(r.AccountID)
	return consequence(source, e, eventType, derivedID(e.Cause, eventType+"\n"+account), account, now, data)
}
