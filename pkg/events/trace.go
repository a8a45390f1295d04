package events

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"registrar/pkg/wire"
)

// Trace is what a record has if it came from CTS, the audit log of Huawei Cloud.
type Trace struct {
	Ignored string // why it asks for nothing; empty if the record has an event
	Suspect bool   // it is ignored, but should have named an account
}

// mapping is a trace that becomes an event. A trace is a hint and never an authority: whatever it
// says is read back before a write.
type mapping struct {
	service, name string // what the trace says, compared without regard to case
	eventType     string
	account       func(trace object) (member, id string) // the only member of the data; nil if it has none
}

// traces are the traces that become events. All others are ignored, those of our own writes among
// them.
func traces() []mapping {
	return []mapping{
		{"Organizations", "createOrganization", "org.bootstrap", nil},
		{"Organizations", "createAccount", "account.created", created},
		{"Organizations", "createAccountV2", "account.created", created},
		{"Organizations", "acceptHandshake", "account.created", joined},
		{"RGC", "setupLandingZone", "org.bootstrap", nil},
		{"RGC", "createAccount", "account.created", enrolled},
		{"RGC", "enrollAccount", "account.created", enrolled},
	}
}

// created is the account that Organizations was told to create, or else its creation. The user of
// the trace is whoever told it.
func created(trace object) (member, id string) {
	status := trace.nested("response").nested("create_account_status")
	if id = status["account_id"].scalar(); id != "" {
		return "account_id", id
	}
	return "create_account_status_id", status["id"].scalar()
}

// joined is the account that accepted its invitation: the one trace whose user it is about.
func joined(trace object) (member, id string) {
	return "account_id", trace.nested("user").nested("domain")["id"].scalar()
}

// enrolled is the account that Resource Governance Center answered with.
func enrolled(trace object) (member, id string) {
	return "account_id", trace.nested("response")["account_id"].scalar()
}

// readTrace makes an event of a trace, or says why it asks for nothing.
func readTrace(trace object) Record {
	service, name := trace.text("service_type"), trace.text("trace_name")
	r := Record{Count: 1, Trace: &Trace{}}
	r.Event.ID = wire.Clean(trace["trace_id"].scalar(), maxAttribute)
	all := traces()
	i := slices.IndexFunc(all, func(t mapping) bool {
		return strings.EqualFold(t.service, service) && strings.EqualFold(t.name, name)
	})
	if i < 0 {
		r.Trace.Ignored = fmt.Sprintf("a trace %.100q of %.100q asks for nothing", name, service)
		return r
	}
	t := all[i]
	r.Event.Source, r.Event.Type = "/huaweicloud/cts/"+t.service, t.eventType
	if trace.number("code") >= http.StatusBadRequest {
		r.Trace.Ignored = fmt.Sprintf("%s of %s failed with code %.20q", t.name, t.service, trace["code"].scalar())
		return r
	}
	data := value("{}")
	if t.account != nil {
		if member, id := t.account(trace); id != "" {
			data = "{" + quote(member) + ":" + quote(id) + "}"
		}
		named, _ := data.object()
		if _, err := readAccountCreated(named); err != nil {
			r.Trace.Ignored = fmt.Sprintf("%s of %s tells no account: %s", t.name, t.service, err)
			r.Trace.Suspect = true
			return r
		}
	}
	if r.Event.ID == "" {
		r.Err = invalid("%s of %s has no trace_id, which would be the id of its event", t.name, t.service)
		return r
	}
	event := object{
		"specversion": `"1.0"`, "id": quote(trace["trace_id"].scalar()),
		"source": quote(r.Event.Source), "type": quote(r.Event.Type), "data": data,
	}
	for _, member := range []string{"time", "record_time"} { // the last that can be read
		if at, ok := moment(trace[member]); ok {
			event["time"] = quote(at.Format(time.RFC3339Nano))
		}
	}
	made := readRecord(event, len(data)) // the rest of the trace is thrown away
	made.Trace = r.Trace
	return made
}

// nested returns the member if it is an object, or a string of JSON with one in it, else nil.
func (o object) nested(name string) object {
	content, _ := o[name].content()
	inner, _ := content.object()
	return inner
}

// number returns the member if it is a number, or the one with which a string begins, else 0.
func (o object) number(name string) float64 {
	text := strings.TrimSpace(o[name].scalar())
	text = text[:min(len(text), 9)] // a status has fewer digits
	begin := text[:len(text)-len(strings.TrimLeft(text, digits))]
	if n, err := strconv.ParseFloat(text, 64); err == nil && begin != "" { // else it may be infinity
		return n
	}
	n, _ := strconv.ParseFloat(begin, 64)
	return n
}

// empty reports whether the member is absent, null or an empty string.
func (o object) empty(name string) bool {
	given := o.given(name)
	return given == "" || given == `""`
}
