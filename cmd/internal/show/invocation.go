package show

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// Invocation collects what one invocation of a function does, until it ends and is shown. Its
// methods are safe for concurrent use.
type Invocation struct {
	Function string

	mu      sync.Mutex
	steps   []step
	results []result
	ends    []end // once it has ended
}

// step is one thing that a function did: it made a call, or logged something. Steps come in by
// several ways, so only their times tell their order.
type step struct {
	at     time.Time
	line   Line
	logged *logged // the end of an event; nil: something else
}

// logged is the line that is logged about an event.
type logged struct {
	Timestamp                                           time.Time
	Level, Message, Type, Subject, Outcome, Reason, Err string
	CauseID                                             string `json:"cause_id"`
	ReasonText                                          string `json:"reason_text"`
	ErrorType                                           string `json:"error_type"`
	MessageID                                           string `json:"message_id"`
	Hint                                                string
	Registrations                                       []registration
	Count                                               int
}

// end is what became of one event.
type end struct {
	outcome   string // the outcome of the event, "failed", or "held back"
	errorType string // empty if nothing failed
	text      string
	details   []Line
	messageID string // names the message of SQS that held the event, if one did
	err       string
}

// result is a result event, as far as it is shown.
type result struct {
	ID, Type, Subject, CausationID string
	Data                           struct {
		Outcome, Reason, Message string
		Registrations            []registration
		events.AuditFindings     // what an audit found; else nothing
	}
}

type registration struct {
	ServicePrincipal string `json:"service_principal"`
	RegionID         string `json:"region_id"`
	Outcome          string
	Reason, Message  string
}

// Call is a call to Huawei Cloud and its answer.
type Call struct {
	Time                   time.Time
	Method, Path, RawQuery string
	Body                   []byte
	Status                 int // 0: the connection was cut
	ErrorCode              string
}

// Line shows the call.
func (c Call) Line() Line {
	text := fmt.Sprintf("%-4s %s", c.Method, short(c.Path))
	if strings.Contains(c.RawQuery, "marker=") {
		text += " (next page)"
	}
	status := "no answer"
	if c.Status > 0 {
		status = fmt.Sprint(c.Status)
	}
	text = strings.TrimSpace(text + " " + status + " " + c.ErrorCode)
	var body map[string]json.RawMessage
	if json.Unmarshal(c.Body, &body) == nil {
		for _, key := range []string{"region_id", "service_principal"} {
			if body[key] != nil {
				text += " " + value(body[key])
			}
		}
	}
	switch {
	case c.ErrorCode == "IIC.1254":
		text += " (none registered yet)"
	case strings.HasPrefix(c.ErrorCode, "Organizations.99"): // where Huawei Cloud publishes no code
		text += " (code invented by the fake)"
	}
	return Line{Text: text}
}

// Call adds a call to Huawei Cloud.
func (i *Invocation) Call(c Call) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.steps = append(i.steps, step{at: c.Time, line: c.Line()})
}

// Result adds a result event that the function sent.
func (i *Invocation) Result(payload []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.addResult(payload)
}

func (i *Invocation) addResult(payload []byte) {
	var r result
	if json.Unmarshal(payload, &r) != nil || r.Data.Outcome == "" {
		i.steps = append(i.steps, step{at: time.Now(), line: Line{Text: "sent " + Events(payload)[0]}})
		return
	}
	i.results = append(i.results, r)
}

// Write adds a line that the function logged.
func (i *Invocation) Write(b []byte) (int, error) {
	l := new(logged)
	if json.Unmarshal(b, l) != nil && l.Message == "" {
		l.Message = compact(b) // not a line of ours
	}
	s := step{at: l.Timestamp, line: Line{Text: "log: " + join(" ", l.Message, l.Err)}}
	if s.at.IsZero() {
		s.at = time.Now()
	}
	if slices.Contains([]string{"event handled", "event failed", "event held back", "event ignored"}, l.Message) {
		s.logged = l
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.steps = append(i.steps, s)
	return len(b), nil
}

// end is what the line says.
func (l *logged) end() end {
	e := end{
		outcome: l.Outcome, details: registered(l.Registrations, l.Subject),
		messageID: l.MessageID, err: join(": ", l.ErrorType, l.Err),
	}
	switch l.Message {
	case "event failed":
		e.outcome, e.errorType = "failed", l.ErrorType
	case "event held back":
		e.outcome = "held back"
	case "event ignored":
		e.outcome = "ignored"
	}
	e.text = join(", ", e.errorType, join(" ", l.Type, short(l.Subject)))
	if l.Count > 1 {
		e.text += fmt.Sprintf(" (%d of them)", l.Count)
	}
	for _, text := range []string{join(": ", l.Reason, l.ReasonText), l.Err, l.Hint} {
		if text != "" {
			e.details = append(e.details, Line{Text: text})
		}
	}
	return e
}

// End takes what the function answered, and with it all that it did.
func (i *Invocation) End(a lambdalocal.Answer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var answer struct {
		ErrorMessage, Body string
		BatchItemFailures  []any
	}
	_ = json.Unmarshal(a.Payload, &answer)
	failure := a.Failure()
	if failure == "" { // it may hold results that came by no other way
		body := []byte(cmp.Or(answer.Body, string(a.Payload)))
		var several []json.RawMessage
		if json.Unmarshal(body, &several) != nil {
			several = []json.RawMessage{body}
		}
		for _, one := range several {
			var r result
			_ = json.Unmarshal(one, &r)
			if r.ID != "" && !slices.ContainsFunc(i.results, func(sent result) bool { return sent.ID == r.ID }) {
				i.addResult(one)
			}
		}
	}
	i.endEvents()
	told := slices.ContainsFunc(i.ends, func(e end) bool {
		return e.outcome == "failed" || e.outcome == "held back"
	})
	switch {
	case failure == "" && len(i.ends) == 0:
		i.ends = append(i.ends, end{outcome: "answered", text: compact(a.Payload)})
	case failure == "" || told:
	case failure == "BatchItemFailures":
		text := fmt.Sprintf("%d of the messages", len(answer.BatchItemFailures))
		i.ends = append(i.ends, end{outcome: "failed", text: text})
	default:
		var problem struct{ Detail string }
		_ = json.Unmarshal([]byte(answer.Body), &problem)
		text := cmp.Or(answer.ErrorMessage, problem.Detail, answer.Body)
		details := []Line{{Text: text}}
		i.ends = append(i.ends, end{outcome: "failed", errorType: failure, text: failure, details: details})
	}
	if last := len(i.ends) - 1; last >= 0 {
		for _, s := range i.steps {
			i.ends[last].details = append(i.ends[last].details, s.line)
		}
	}
	i.steps = nil
}

// endEvents makes an end of each line about an event: what was done before it was done for that
// event. Results that no line speaks of are ends, too.
func (i *Invocation) endEvents() {
	slices.SortStableFunc(i.steps, func(a, b step) int { return a.at.Compare(b.at) })
	begin := 0
	for n, s := range i.steps {
		if s.logged == nil {
			continue
		}
		e := s.logged.end()
		at := slices.IndexFunc(i.results, func(r result) bool { return r.CausationID == s.logged.CauseID })
		if at >= 0 {
			e = i.results[at].end()
			i.results = slices.Delete(i.results, at, at+1)
		}
		for _, before := range i.steps[begin:n] {
			e.details = append(e.details, before.line)
		}
		begin = n + 1
		i.ends = append(i.ends, e)
	}
	for _, r := range i.results {
		i.ends = append(i.ends, r.end())
	}
	i.steps, i.results = i.steps[begin:], nil
}

func (r result) end() end {
	e := end{
		outcome: r.Data.Outcome,
		text:    join(", ", r.Type, short(r.Subject)),
		details: append(registered(r.Data.Registrations, r.Subject), differing(r.Data.AuditFindings)...),
	}
	if text := join(": ", r.Data.Reason, r.Data.Message); text != "" {
		e.details = append(e.details, Line{Text: text})
	}
	return e
}

// registered shows what became of each service. A region is the subject itself, and shown already.
func registered(all []registration, subject string) []Line {
	var lines []Line
	for _, r := range all {
		if name := cmp.Or(r.ServicePrincipal, r.RegionID); name != subject || r.Message != "" {
			outcome := cmp.Or(r.Outcome, "undecided") // since the event failed first
			lines = append(lines, Line{Text: join(": ", name+" "+outcome, r.Reason, r.Message)})
		}
	}
	return lines
}

// differing shows what an audit found that isn't as it shall be.
func differing(found events.AuditFindings) []Line {
	var lines []Line
	add := func(format string, args ...any) {
		lines = append(lines, Line{Text: fmt.Sprintf(format, args...)})
	}
	if found.Region.Wanted != found.Region.Observed && found.Region.Wanted != "" {
		add("the region is %s, not %s", cmp.Or(found.Region.Observed, "not registered"), found.Region.Wanted)
	}
	for _, principal := range found.MissingServices {
		add("%s lacks trusted access", principal)
	}
	for _, a := range found.Missing {
		add("%s doesn't administer %s", short(string(a.AccountID)), a.ServicePrincipal)
	}
	for _, a := range found.Inactive {
		add("%s can't administer %s: it is %s", short(string(a.AccountID)), a.ServicePrincipal, a.Status)
	}
	for _, u := range found.Unmatched {
		add("there is no account %s to administer %s", u.Selector, u.ServicePrincipal)
	}
	for _, a := range found.Unexpected {
		add("%s administers %s, which it shall not", short(string(a.AccountID)), a.ServicePrincipal)
	}
	return lines
}

// Invalid reports whether nothing that the invocation got was an event of the function's.
func (i *Invocation) Invalid() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	invalid := false
	for _, e := range i.ends {
		switch {
		case e.errorType == "InvalidEventError":
			invalid = true
		case e.outcome != "held back": // behind one of the former
			return false
		}
	}
	return invalid
}

// Outcomes are the outcomes of all events, or "failed", or "held back".
func (i *Invocation) Outcomes() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []string
	for _, e := range i.ends {
		all = append(all, e.outcome)
	}
	return all
}

// Failures are the errors of the messages of SQS that failed, by their ids.
func (i *Invocation) Failures() map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := map[string]string{}
	for _, e := range i.ends {
		if e.messageID != "" && e.err != "" {
			all[e.messageID] = e.err
		}
	}
	return all
}

// Lines are what became of each event: its outcome, its type and subject, and what was done for it.
func (i *Invocation) Lines() []Line {
	i.mu.Lock()
	defer i.mu.Unlock()
	var lines []Line
	for _, e := range i.ends {
		style := Red
		switch {
		case slices.Contains([]string{"registered", "unchanged", "passed", "answered"}, e.outcome):
			style = Green
		case slices.Contains([]string{"planned", "skipped", "drifted", "held back", "ignored"}, e.outcome),
			e.errorType == "TransientError":
			style = Yellow
		}
		lines = append(lines, Line{Label: e.outcome, Style: style, Text: join(": ", i.Function, e.text)})
		lines = append(lines, e.details...)
	}
	return lines
}

// join joins what isn't empty.
func join(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), separator)
}
