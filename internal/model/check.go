package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"registrar/internal/lambdalocal"
)

// told is what a result event or a request says.
type told struct {
	ID, Source, Type, Subject string
	Data                      struct {
		registration
		AccountID         string `json:"account_id"`
		Message           string
		ObservedRegionID  string `json:"observed_region_id"`
		Registrations     []registration
		ServicePrincipals []string `json:"service_principals"`
		Cause             struct{ ID, Source, Type string }
		found
	}
}

// registration is what became of one thing.
type registration struct {
	RegionID         string `json:"region_id"`
	ServicePrincipal string `json:"service_principal"`
	Outcome          string
	Reason           string
	Attempts         int
	RequestID        string `json:"request_id"`
	ObservedStatus   string `json:"observed_status"`
}

// found is what an audit found.
type found struct {
	Region          struct{ Wanted, Observed string }
	MissingServices []string `json:"missing_services"`
	Missing         []pair
	Unexpected      []pair
	Inactive        []pair
	Unmatched       []pair
	Counts          struct {
		Accounts, Missing, Unexpected, Inactive, Unmatched int
		MissingServices                                    int `json:"missing_services"`
	}
	RequestsSent int `json:"requests_sent"`
}

type pair struct {
	AccountID        string `json:"account_id"`
	Selector         string
	ServicePrincipal string `json:"service_principal"`
}

// line is one line of the log.
type line struct {
	Msg, Type, Source, Subject, Outcome, Reason string
	CauseID                                     string `json:"cause_id"`
	MessageID                                   string `json:"message_id"`
	ErrorType                                   string `json:"error_type"`
	Registrations                               []registration
	Err                                         string
}

// each are the things that a line speaks of.
func (l line) each(function string) (all []one) {
	for _, r := range l.Registrations {
		thing := "service " + r.ServicePrincipal
		switch function {
		case "register-region":
			thing = "region " + r.RegionID
		case "register-admin":
			thing = "admin " + l.Subject + " " + r.ServicePrincipal
		}
		all = append(all, one{thing, r.Outcome, r.Reason})
	}
	return all
}

// log takes a line that a function logs.
func (w *world) log(d *delivery, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d.dead {
		return
	}
	d.log.WriteString(text)
	var l line
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		w.breaks("a line is not JSON: %s", text)
	}
	if l.Msg == "the credentials can't be renewed, and still hold" { // which is of no one event
		w.count("renewals that failed")
		return
	}
	d.lines = append(d.lines, l)
	if l.Msg == "event handled" {
		w.order(l.MessageID)
	}
}

// take takes an event for the sink.
func (w *world) take(d *delivery, body string) {
	e := emission{by: d, body: body}
	if err := json.Unmarshal([]byte(body), &e.told); err != nil {
		w.breaks("what is emitted is not JSON: %s", body)
	}
	d.emitted = append(d.emitted, e)
	w.emitted = append(w.emitted, e)
	w.count("results and requests")
	request := strings.HasSuffix(e.told.Type, ".missing")
	cause := e.told.Data.Cause
	if request {
		w.checkRequest(d, e.told)
		return
	}
	name := cause.Source + "\n" + cause.ID + "\n" + e.told.Type
	if want := uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String(); e.told.ID != want {
		w.breaks("a result has the id %s, but of its cause and type comes %s", e.told.ID, want)
	}
	if want := "/registrar/" + w.plan.function; e.told.Source != want {
		w.breaks("a result has the source %s", e.told.Source)
	}
	suffix := e.told.Data.Outcome
	if suffix == "unchanged" {
		suffix = "registered"
	}
	if !strings.HasSuffix(e.told.Type, "."+suffix) {
		w.breaks("a result of type %s says %s", e.told.Type, e.told.Data.Outcome)
	}
}

// checkRequest checks what an audit asks for: what its rules give, and what was missing.
func (w *world) checkRequest(d *delivery, t told) {
	w.count("requests")
	asks := func(s *state) bool {
		want := w.plan.cfg.audit(s).requests
		all := slices.Sorted(slices.Values(t.Data.ServicePrincipals))
		return slices.Contains(want, t.Type+" "+t.Data.AccountID+" "+strings.Join(all, " "))
	}
	if d.settled && !w.during(d, asks) {
		w.breaks("a request that nothing needs: %s %s %v", t.Type, t.Data.AccountID, t.Data.ServicePrincipals)
	}
	of := slices.ContainsFunc(d.messages, func(m sent) bool {
		return slices.ContainsFunc(m.inputs, func(in input) bool {
			name := in.source + "\n" + in.id + "\n" + t.Type + "\n" + t.Data.AccountID
			return !in.dryRun && uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String() == t.ID
		})
	})
	if !of || w.plan.cfg.dryRun {
		w.breaks("a request whose id comes of no audit of this delivery: %s %s", t.Type, t.ID)
	}
}

// checkDelivery checks what a function said of what it did.
func (s *sequence) checkDelivery(d *delivery) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	const margin = 500 * time.Millisecond // to answer
	if took := d.ended.Sub(d.began); took > w.plan.timeout-margin {
		w.breaks("a delivery took %s of %s", took, w.plan.timeout)
	}
	w.count("deliveries")
	if d.dead {
		return // what it would have said is lost
	}
	if d.failure != "" && d.messages[0].id != "" {
		w.breaks("an invocation with a batch failed as a whole: %s", d.failure)
		return
	}
	s.checkTrace(d)
	lines := slices.Clone(d.lines)
	for _, m := range d.messages {
		for _, in := range m.inputs {
			i := slices.IndexFunc(lines, func(l line) bool {
				return l.MessageID == m.id && (in.garbage || l.CauseID == in.id && l.Source == in.source)
			})
			if i < 0 {
				w.breaks("no line tells of %s of message %s", in.id, m.id)
				continue
			}
			l := lines[i]
			lines = slices.Delete(lines, i, i+1)
			w.count("events")
			s.checkLine(d, m, in, l)
		}
	}
	if len(lines) > 0 {
		w.breaks("lines that no event explains: %+v", lines)
	}
}

// checkTrace checks that no change is without a trace: each write stands in a line.
func (s *sequence) checkTrace(d *delivery) {
	w := s.world
	for _, c := range d.calls {
		if !c.effective {
			continue
		}
		told := slices.ContainsFunc(d.lines, func(l line) bool {
			for i, o := range l.each(w.plan.function) {
				r := l.Registrations[i]
				if o.thing == c.thing && r.Attempts > 0 && (c.status/100 != 2 || r.RequestID == c.requestID) {
					return true
				}
			}
			return false
		})
		if !told {
			w.breaks("no line tells of the write of %s, request %s", c.thing, c.requestID)
		}
	}
}

// checkLine checks what a line says of its event, and that a result says the same.
func (s *sequence) checkLine(d *delivery, m sent, in input, l line) {
	w, cfg, function := s.world, s.world.plan.cfg, s.world.plan.function
	each := l.each(function)
	young := in.young(cfg, m, s.drawn, d.ended)
	for i, o := range each {
		if o.outcome == "" && l.ErrorType == "" {
			w.breaks("%s has no outcome, and its event didn't fail", o.thing)
		}
		if in.invalid { // which is said of the whole
			continue
		}
		s.checkOutcome(d, in, o, l.Registrations[i], young)
	}
	switch l.Msg {
	case "event held back":
		w.count("held back")
		return
	case "event ignored":
		w.count("ignored")
		if !in.ignored {
			w.breaks("%s is ignored, which asks for something", in.id)
		}
		return
	case "event failed":
		w.count(l.ErrorType)
		s.checkFailure(d, m, in, l)
		return
	case "event handled":
	default:
		w.breaks("a line says %q", l.Msg)
		return
	}
	w.count("outcome " + l.Outcome)
	if l.Reason != "" {
		w.count("reason " + l.Reason)
	}
	if in.garbage || in.ignored {
		w.breaks("%s is handled, but is not an event of the function's", in.id)
		return
	}
	if each != nil && whole(each) != l.Outcome {
		w.breaks("%v make %s, not %s", each, whole(each), l.Outcome)
	}
	s.checkWhole(d, in, l, each, young)
	if d.calm && d.settled {
		s.checkExactly(d, m, in, l, each)
	}
	s.checkEmitted(d, in, l)
}

// checkOutcome checks what is said of one thing against what was true during the delivery.
func (s *sequence) checkOutcome(d *delivery, in input, o one, r registration, young bool) {
	w, cfg, function := s.world, s.world.plan.cfg, s.world.plan.function
	during := func(is func(*state) bool) bool { return w.during(d, is) }
	_, name, _ := strings.Cut(o.thing, " ")
	id, principal, _ := strings.Cut(name, " ")
	fine := true
	switch o.outcome + " " + o.reason {
	case " ":
	case "registered ":
		fine = slices.ContainsFunc(d.calls, func(c call) bool {
			return c.thing == o.thing && c.effective && c.requestID == r.RequestID
		})
	case "unchanged ":
		fine = during(func(s *state) bool { return s.has(o.thing) })
	case "planned ":
		fine = (in.dryRun || cfg.dryRun) && (d.lied || during(func(s *state) bool { return !s.has(o.thing) }))
	case "rejected region_conflict":
		fine = during(func(s *state) bool { return s.region != "" && s.region != name })
	case "rejected not_allowed":
		fine = during(func(s *state) bool { return !cfg.allows(function, o.thing, s) })
	case "rejected account_not_found":
		fine = !young && (d.denied || during(func(s *state) bool { _, ok := s.accounts[id]; return !ok }))
	case "rejected account_not_active":
		fine = during(func(s *state) bool {
			a, ok := s.accounts[id]
			return ok && a.status != "active" && (r.ObservedStatus == "" || r.ObservedStatus == a.status)
		})
	case "rejected unknown_service":
		if function == "register-service" {
			principal = name
		}
		fine = during(func(s *state) bool { return !slices.Contains(s.services, principal) })
	case "rejected refused":
		refusals := 0
		for _, c := range d.calls {
			if c.thing == o.thing && c.class == "refused" {
				refusals++
			}
		}
		fine = refusals >= 2 && (function != "register-admin" || !young)
	default:
		fine = false
	}
	if o.reason != "" {
		w.count("reason " + o.reason)
	}
	if o.outcome != "" {
		w.count("thing " + o.outcome)
	}
	if !fine {
		w.breaks("not true: %s is %s %s (states %d to %d, young %v)", o.thing, o.outcome, o.reason, d.from, d.to, young)
	}
}

// checkWhole checks what is said of an event as a whole, and that it speaks of what was asked for.
func (s *sequence) checkWhole(d *delivery, in input, l line, each []one, young bool) {
	w, cfg, function := s.world, s.world.plan.cfg, s.world.plan.function
	if in.invalid != (l.Reason == "invalid_data") {
		w.breaks("%s is %s %s", in.data, l.Outcome, l.Reason)
		return
	}
	fine := true
	switch {
	case in.invalid:
	case function == "audit-organization":
		fine = l.Outcome == "passed" || l.Outcome == "drifted"
	case each != nil:
		fine = w.during(d, func(s *state) bool {
			_, things := cfg.asked(function, in, s)
			if in.services == nil { // the rules give them in no order
				return sameThings(things, each)
			}
			return slices.EqualFunc(things, each, func(thing string, o one) bool { return thing == o.thing })
		})
	case l.Outcome == "skipped":
		fine = w.during(d, func(s *state) bool {
			_, things := cfg.asked(function, in, s)
			return things == nil
		})
	case l.Reason == "not_allowed":
		_, things := cfg.asked(function, in, w.now())
		fine = function == "register-region" && !cfg.allows(function, things[0], w.now())
	case l.Reason == "account_not_found":
		fine = !young && (d.denied || w.during(d, func(s *state) bool {
			made, ok := s.creations[in.creation]
			id := in.account
			if ok {
				id = made.account
			}
			_, known := s.accounts[id]
			return !known
		}))
	case l.Reason == "creation_failed":
		fine = w.during(d, func(s *state) bool { return s.creations[in.creation].state == "failed" })
	default:
		fine = false
	}
	if !fine {
		w.breaks("not true: %s %s is %s %s (states %d to %d, young %v)",
			in.eventType, in.data+in.trace, l.Outcome, l.Reason, d.from, d.to, young)
	}
}

// checkExactly checks that an event ended as it must where nothing else happens.
func (s *sequence) checkExactly(d *delivery, m sent, in input, l line, each []one) {
	w := s.world
	first, last := s.verdicts(d, m, in)
	each = inOrder(each)
	for _, v := range []verdict{first, last} {
		if v.fail != "" {
			continue
		}
		same := len(v.each) == len(each) || each == nil || v.each == nil
		for i := range min(len(each), len(v.each)) {
			same = same && (each[i] == v.each[i] || each[i] == first.each[min(i, len(first.each)-1)])
		}
		if same && (each != nil || v.each != nil || l.Outcome == v.outcome && l.Reason == v.reason) {
			return
		}
		if same && each == nil && l.Outcome == v.outcome { // rejected before it was told apart
			return
		}
	}
	w.breaks("%s %s ended as %s %s %v, but must as %+v or %+v",
		in.eventType, in.data+in.trace, l.Outcome, l.Reason, each, first, last)
}

// sameThings says whether each is about all the things, in any order.
func sameThings(things []string, each []one) bool {
	return slices.EqualFunc(slices.Sorted(slices.Values(things)), inOrder(each),
		func(thing string, o one) bool { return thing == o.thing })
}

// inOrder are the things in the order of their names.
func inOrder(each []one) []one {
	return slices.SortedFunc(slices.Values(each), func(a, b one) int { return strings.Compare(a.thing, b.thing) })
}

// verdicts are what must become of an event, by the first and by the last state of its delivery.
func (s *sequence) verdicts(d *delivery, m sent, in input) (first, last verdict) {
	cfg, function := s.world.plan.cfg, s.world.plan.function
	return cfg.expect(function, in, s.world.history[d.from], in.young(cfg, m, s.drawn, d.began)),
		cfg.expect(function, in, s.world.history[d.to], in.young(cfg, m, s.drawn, d.ended))
}

// checkFailure checks that there is a reason to fail, of the kind that the error has.
func (s *sequence) checkFailure(d *delivery, m sent, in input, l line) {
	w := s.world
	if in.garbage != (l.ErrorType == "InvalidEventError") {
		w.breaks("%s failed with %s: %s", in.id, l.ErrorType, l.Err)
		return
	}
	if d.calm && d.settled {
		if first, last := s.verdicts(d, m, in); l.ErrorType != first.fail && l.ErrorType != last.fail {
			w.breaks("%s %s failed with %s, but must end as %+v: %s",
				in.eventType, in.data+in.trace, l.ErrorType, first, l.Err)
		}
		return
	}
	// An audit has several calls under way at once, so its last need not be the one that failed.
	oneByOne := w.plan.function != "audit-organization"
	if oneByOne && len(d.messages) == 1 && len(d.messages[0].inputs) == 1 && len(d.calls) > 0 && !d.wrong &&
		d.calls[len(d.calls)-1].class == "misconfigured" && l.ErrorType != "MisconfiguredError" && !d.unsent {
		w.breaks("%s failed with %s, though its last call was misconfigured: %s", in.id, l.ErrorType, l.Err)
	}
	if l.ErrorType != "MisconfiguredError" || d.wrong {
		return
	}
	why := slices.ContainsFunc(d.calls, func(c call) bool { return c.class == "misconfigured" }) ||
		w.during(d, func(st *state) bool {
			return slices.ContainsFunc(strings.Fields(services), func(principal string) bool {
				return w.plan.function == "register-admin" && !slices.Contains(st.trusted, principal)
			})
		})
	if !why {
		w.breaks("%s failed with %s, and nothing is misconfigured: %s", in.id, l.ErrorType, l.Err)
	}
}

// checkEmitted checks that the sink has the result that a line tells of, and that an audit is true.
func (s *sequence) checkEmitted(d *delivery, in input, l line) {
	w := s.world
	if !w.plan.sink {
		return
	}
	for _, e := range d.emitted {
		cause := e.told.Data.Cause
		if cause.ID != in.id || cause.Source != in.source || strings.HasSuffix(e.told.Type, ".missing") {
			continue
		}
		if e.told.Data.Outcome != l.Outcome || e.told.Subject != l.Subject {
			continue
		}
		if w.plan.function == "audit-organization" && !in.invalid {
			s.checkAudit(d, in, e.told)
		}
		if o := e.told.Data.ObservedRegionID; o != "" &&
			!w.during(d, func(s *state) bool { return s.region == o }) {
			w.breaks("not true: the region is %s", o)
		}
		return
	}
	w.breaks("%s is acknowledged as %s, and the sink has no such result", in.id, l.Outcome)
}

// checkAudit checks the findings of an audit during which nothing changed.
func (s *sequence) checkAudit(d *delivery, in input, t told) {
	w := s.world
	if !d.settled || d.from != d.to {
		return
	}
	w.count("audits of a quiet cloud")
	got, want := t.Data.found, w.plan.cfg.audit(w.history[d.from])
	list := func(all []pair) (texts []string) {
		for _, p := range all {
			texts = append(texts, strings.TrimSpace(p.AccountID+" "+p.ServicePrincipal+" "+p.Selector))
		}
		slices.Sort(texts)
		return texts
	}
	unmatched := []string{}
	for _, p := range got.Unmatched {
		unmatched = append(unmatched, p.ServicePrincipal+" "+p.Selector)
	}
	slices.Sort(unmatched)
	missing := slices.Sorted(slices.Values(got.MissingServices))
	fine := slices.Equal(list(got.Missing), want.missing) && slices.Equal(list(got.Unexpected), want.unexpected) &&
		slices.Equal(list(got.Inactive), want.inactive) && slices.Equal(unmatched, want.unmatched) &&
		slices.Equal(missing, want.missingServices) && got.Region.Wanted == want.wanted &&
		(got.Region.Observed == want.observed) && got.Counts.Accounts == want.accounts &&
		got.Counts.Missing == len(want.missing) && got.Counts.Unexpected == len(want.unexpected) &&
		got.Counts.Inactive == len(want.inactive) && got.Counts.Unmatched == len(want.unmatched) &&
		got.Counts.MissingServices == len(want.missingServices) &&
		(t.Data.Outcome == "passed") == want.passed()
	if !fine {
		w.breaks("not true: the audit says %s %+v, but there is %+v", t.Data.Outcome, got, want)
	}
	heals := len(want.requests)
	if in.dryRun || w.plan.cfg.dryRun {
		heals = 0
	}
	if got.RequestsSent != heals {
		w.breaks("an audit says that it sent %d requests, and should have sent %d", got.RequestsSent, heals)
	}
}

// settled is told what became of each message of a delivery.
func (s *sequence) settled(batch []lambdalocal.Message) {
	w := s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range batch {
		d := s.by[m.ID]
		done := !d.dead && d.failure == ""
		for _, in := range s.messages[m.ID].inputs {
			done = done && slices.ContainsFunc(d.lines, func(l line) bool {
				return l.MessageID == m.ID && l.CauseID == in.id && l.Source == in.source && !in.garbage &&
					(l.Msg == "event handled" || l.Msg == "event ignored" && in.ignored)
			})
			failed := slices.ContainsFunc(d.lines, func(l line) bool {
				return l.MessageID == m.ID && l.CauseID == in.id && l.Msg != "event handled" && l.Msg != "event ignored"
			})
			done = done && !failed
		}
		if acknowledged := m.Failure == ""; acknowledged != done {
			w.breaks("message %s is acknowledged: %v, and done: %v (%s)", m.ID, acknowledged, done, m.Failure)
		}
		if m.Failure == "" {
			w.count("acknowledged")
		}
	}
}

// checkOrder checks that those before a message in its group are done when it is. It needs mu.
func (s *sequence) checkOrder(id string) {
	d := s.by[id]
	group := s.messages[id].group
	if group == "" {
		return
	}
	for _, before := range s.queue.Messages() {
		if before.ID == id {
			return
		}
		if before.Group != group {
			continue
		}
		for _, in := range s.messages[before.ID].inputs {
			if in.ignored { // its line may come last, since it has no effect that could come too late
				continue
			}
			done := slices.ContainsFunc(d.lines, func(l line) bool {
				return l.MessageID == before.ID && l.CauseID == in.id && l.Msg == "event handled"
			})
			if !done || in.garbage {
				s.world.breaks("%s is handled before %s, which stands before it in group %s", id, before.ID, group)
			}
		}
	}
}

// story is what happened, for a person who must find out why.
func (s *sequence) story() string {
	var b strings.Builder
	p := s.world.plan
	fmt.Fprintf(&b, "%s, configured %+v\n%+v\n", p.function, p.cfg.env(p.function), p.cfg)
	fmt.Fprintf(&b, "start %+v\nfifo %v, sink %v, batch %d, pollers %d, timeout %s, lifetime %s, page %d\n",
		p.start, p.fifo, p.sink, p.batch, p.pollers, p.timeout, p.lifetime, p.pageSize)
	for _, m := range p.messages {
		fmt.Fprintf(&b, "message %s %s\n", m.group, m.body(s.drawn))
	}
	for i, st := range s.world.history {
		fmt.Fprintf(&b, "state %d: %+v\n", i, *st)
	}
	for i, d := range s.world.deliveries {
		fmt.Fprintf(&b, "delivery %d after %s, calm %v, dead %v %s\n", i+1, d.began.Sub(s.drawn).Round(time.Second),
			d.calm, d.dead, d.failure)
		for _, c := range d.calls {
			fmt.Fprintf(&b, "  %s %s %s %d %s", c.method, c.path, c.thing, c.status, c.class)
			fmt.Fprintf(&b, " effective %v\n", c.effective)
		}
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(strings.TrimSpace(d.log.String()), "\n", "\n  "))
	}
	return b.String()
}
