package events

import "registrar/pkg/wire"

// Audit is the data of org.audit, which says nothing but dry_run.
type Audit struct{}

// AuditInput is the input org.audit, "compare the organization with what it shall be".
func AuditInput() Input[Audit] {
	return Input[Audit]{"org.audit", nil, func(object) (Audit, error) { return Audit{}, nil }}
}

// Reject implements [Data].
func (Audit) Reject(reason Reason, message string) Result {
	return AuditResult{Outcome: Rejected, Reason: reason, Message: message}
}

// AuditResult is the data of org.audit.* results: what shall be against what is.
type AuditResult struct {
	Outcome        Outcome `json:"outcome"`
	Reason         Reason  `json:"reason,omitempty"`  // why the event is rejected
	Message        string  `json:"message,omitempty"` // why the event is rejected
	*AuditFindings         // nil if the event is rejected
	Cause          Cause   `json:"cause"` // set by [NewResultEvent]

	// Requests ask for what is missing and can be registered now. In a dry run they aren't sent.
	Requests []Request `json:"-"`
}

// AuditFindings are what an audit found. In a result event the lists are cut so that they fit, and
// Counts has their true lengths.
type AuditFindings struct {
	Region             AuditedRegion       `json:"region"`
	MissingServices    []ServicePrincipal  `json:"missing_services,omitempty"`    // shall be trusted, and are not
	RegisteredServices []ServicePrincipal  `json:"registered_services,omitempty"` // shall be trusted, and are
	Missing            []Administrator     `json:"missing,omitempty"`             // shall be, and are not
	Registered         []Administrator     `json:"registered,omitempty"`          // shall be, and are
	Unexpected         []Administrator     `json:"unexpected,omitempty"`          // are, and shall not be
	Inactive           []Administrator     `json:"inactive,omitempty"`            // shall be, on inactive accounts
	Unmatched          []UnmatchedSelector `json:"unmatched,omitempty"`           // fit no account
	Resolved           []ResolvedSelector  `json:"resolved,omitempty"`            // what names stand for today
	Counts             AuditCounts         `json:"counts"`
	RequestsSent       int                 `json:"requests_sent"` // set by whoever sends the Requests
}

// AuditedRegion is the region of IAM Identity Center.
type AuditedRegion struct {
	Wanted   RegionID `json:"wanted,omitempty"`   // empty if any will do
	Observed RegionID `json:"observed,omitempty"` // empty if none is registered
}

// Administrator is an account that administers a service, or shall.
type Administrator struct {
	AccountID        AccountID        `json:"account_id"`
	AccountName      string           `json:"account_name,omitempty"`
	ServicePrincipal ServicePrincipal `json:"service_principal"`
	Status           string           `json:"status,omitempty"` // empty unless the account is inactive
}

// UnmatchedSelector says which account administers a service, but there is no such account.
type UnmatchedSelector struct {
	ServicePrincipal ServicePrincipal `json:"service_principal"`
	Selector         string           `json:"selector"` // such as "name:security"

	// InvitedAccountID is an account that has the name, but was invited, so it may have chosen it.
	InvitedAccountID AccountID `json:"invited_account_id,omitempty"`
}

// ResolvedSelector is an account that fits a name.
type ResolvedSelector struct {
	Selector  string    `json:"selector"` // such as "name:security"
	AccountID AccountID `json:"account_id"`
}

// AuditCounts are how long the lists are, and how many accounts were read.
type AuditCounts struct {
	Accounts           int `json:"accounts"`
	MissingServices    int `json:"missing_services"`
	RegisteredServices int `json:"registered_services"`
	Missing            int `json:"missing"`
	Registered         int `json:"registered"`
	Unexpected         int `json:"unexpected"`
	Inactive           int `json:"inactive"`
	Unmatched          int `json:"unmatched"`
	Resolved           int `json:"resolved"`
}

// Absent is how much of what shall be isn't there, whether it can be registered now or not. It goes
// by the Counts.
func (f *AuditFindings) Absent() int {
	absent := f.Counts.MissingServices + f.Counts.Missing + f.Counts.Inactive + f.Counts.Unmatched
	if f.Region.Wanted != "" && f.Region.Observed != f.Region.Wanted {
		absent++
	}
	return absent
}

// Total counts the lists, and the accounts that were read.
func (f *AuditFindings) Total(accounts int) AuditCounts {
	return AuditCounts{
		accounts, len(f.MissingServices), len(f.RegisteredServices), len(f.Missing), len(f.Registered),
		len(f.Unexpected), len(f.Inactive), len(f.Unmatched), len(f.Resolved),
	}
}

// Family implements [Result].
func (r AuditResult) Family() string { return auditFamily }

// Subject is empty: an audit is about the organization.
func (r AuditResult) Subject() string { return "" }

// Whole implements [Result].
func (r AuditResult) Whole() Registration {
	return Registration{Outcome: r.Outcome, Reason: r.Reason, Message: r.Message}
}

// Each is empty: an audit registers nothing.
func (r AuditResult) Each() []Registration { return nil }

func (r AuditResult) data(cause Cause, step int) any {
	const most = 1024 // entries of a list: more would hardly fit
	r.Cause, r.Message = cause, wire.Clean(r.Message, maxText)
	if r.AuditFindings != nil { // what is right is left out before anything that is wrong
		r.AuditFindings = r.upTo(most>>max(step-halvings, 0), most>>step)
	}
	return r
}

// upTo is f with at most so many entries in each list of what is wrong, and of what is right.
func (f *AuditFindings) upTo(wrong, right int) *AuditFindings {
	c := *f
	c.MissingServices, c.RegisteredServices = upTo(wrong, f.MissingServices), upTo(right, f.RegisteredServices)
	c.Missing, c.Registered = upTo(wrong, f.Missing), upTo(right, f.Registered)
	c.Unexpected, c.Inactive = upTo(wrong, f.Unexpected), upTo(wrong, f.Inactive)
	c.Unmatched, c.Resolved = upTo(wrong, f.Unmatched), upTo(right, f.Resolved)
	return &c
}

func upTo[T any](limit int, list []T) []T { return list[:min(limit, len(list))] }
