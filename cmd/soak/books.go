package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// What can be wrong.
const (
	lost     = "lost"     // acknowledged without its result, or in no queue any more
	untrue   = "false"    // a result, or a change, that the state of the cloud or the rules deny
	leaked   = "leaked"   // a key in a log line, a result or an answer
	untraced = "untraced" // a change whose request id stands in no log line
	stuck    = "stuck"    // not done although nothing is in its way any more
	growth   = "growth"   // a process that needs more and more
	noise    = "noise"    // a log line that isn't JSON
)

// verdicts are all of them, in the order in which they are printed.
var verdicts = []string{lost, untrue, leaked, untraced, stuck, noise, growth}

// What is counted.
const (
	eventsIn       = "events in"
	results        = "results out"
	failures       = "failures"
	again          = "delivered again"
	deadLetters    = "dead letters"
	writes         = "writes"
	faultsInjected = "faults injected"
	kills          = "kills"
)

// closing is how long an event is remembered after the last of its messages is acknowledged. A
// result that comes later is one of nothing.
const closing = 10 * time.Second

// books are the books of the whole run: what came in, what went out, and what is wrong with it. An
// event that is done is judged and forgotten.
type books struct {
	world *world

	mu       sync.Mutex
	counters map[string]map[string]int
	wrong    map[string]int
	examples map[string][]string // what is wrong, the first of each
	open     map[string]*event
	done     int
}

// event is an event on its way through one function. Two functions may take the same one.
type event struct {
	function, source, id string

	poison   bool // it belongs to another function: it must not be acknowledged
	invalid  bool // its data is
	dryRun   bool
	fails    bool     // the creation of its account does
	account  *account // nil for an event about no account
	services []string // that it names; nil for none

	copies     int       // messages and requests that aren't acknowledged
	acked      time.Time // the last time
	deliveries map[string]*delivery
	results    []arrival
}

// delivery is a time in which a function has had an event.
type delivery struct{ begun, ended time.Time }

// arrival is a result that arrived at the sink, or stood in an answer.
type arrival struct {
	at    time.Time
	where string
}

// The places where results arrive.
const (
	atSink   = "sink"
	inAnswer = "answer"
)

func newBooks(w *world) *books {
	return &books{
		world: w, counters: map[string]map[string]int{}, wrong: map[string]int{}, examples: map[string][]string{},
		open: map[string]*event{},
	}
}

func (b *books) count(what, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(what, kind)
}

// add needs mu, as blame does.
func (b *books) add(what, kind string) {
	if b.counters[what] == nil {
		b.counters[what] = map[string]int{}
	}
	b.counters[what][kind]++
}

// counted are the kinds of what was counted, and how often.
func (b *books) counted(what string) map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counters[what])
}

// accuse says that something is wrong.
func (b *books) accuse(verdict, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blame(verdict, text)
}

func (b *books) blame(verdict, text string) {
	const most = 10
	if b.wrong[verdict]++; b.wrong[verdict] <= most {
		b.examples[verdict] = append(b.examples[verdict], text)
	}
}

// faults is how much is wrong so far.
func (b *books) faults() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, one := range b.wrong {
		n += one
	}
	return n
}

func key(function, source, id string) string { return function + "\n" + source + "\n" + id }

func (e *event) String() string { return fmt.Sprintf("%s %s", e.function, e.id) }

// sent notes that there is a copy of an event to be delivered. The first makes it known.
func (b *books) sent(e *event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := key(e.function, e.source, e.id)
	if b.open[k] == nil {
		e.deliveries = map[string]*delivery{}
		b.open[k] = e
		b.add(eventsIn, "distinct")
	} else {
		b.add(eventsIn, "duplicates on purpose")
	}
	b.open[k].copies++
}

// begun notes that a function gets an event.
func (b *books) begun(k, name string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(eventsIn, "deliveries")
	if e := b.open[k]; e != nil {
		e.deliveries[name] = &delivery{begun: at}
	}
}

// ended notes that a delivery has ended. If it is acknowledged, a result of it must have arrived in
// all the places.
func (b *books) ended(k, name string, at time.Time, acknowledged bool, places ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.open[k]
	if e == nil || e.deliveries[name] == nil {
		b.blame(lost, fmt.Sprintf("%q was delivered, but nobody knows it any more", k))
		return
	}
	d := e.deliveries[name]
	d.ended = at
	if !acknowledged {
		return
	}
	e.copies--
	e.acked = at
	if e.poison {
		b.blame(lost, fmt.Sprintf("%s belongs to another function, and was acknowledged", e))
		return
	}
	for _, place := range places {
		if !slices.ContainsFunc(e.results, func(r arrival) bool {
			return r.where == place && !r.at.Before(d.begun) && !r.at.After(at)
		}) {
			b.blame(lost, fmt.Sprintf("%s was acknowledged without its result in the %s", e, place))
		}
	}
}

// gone notes that a copy of an event won't be delivered any more, though it isn't acknowledged: an
// audit isn't repeated, the next one is.
func (b *books) gone(k string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.open[k]; e != nil {
		e.copies--
		e.acked = at
	}
}

// isDone reports whether all copies of an event are acknowledged.
func (b *books) isDone(e *event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.copies <= 0
}

// forgetDone forgets the events that are done for long enough.
func (b *books) forgetDone(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.open, func(_ string, e *event) bool {
		old := e.copies <= 0 && now.Sub(e.acked) > closing
		if old {
			b.done++
		}
		return old
	})
}

// waiting is how many events are not acknowledged, poison left out.
func (b *books) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, e := range b.open {
		if e.copies > 0 && !e.poison {
			n++
		}
	}
	return n
}

// close compares the events that aren't acknowledged with the copies that still are in a queue,
// among the dead letters or with a client, by their keys.
func (b *books) close(left map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, e := range b.open {
		switch {
		case left[k] != e.copies:
			b.blame(lost, fmt.Sprintf("%s has %d copies to be acknowledged, and %d in queues", e, e.copies, left[k]))
		case e.copies > 0 && !e.poison:
			b.blame(stuck, fmt.Sprintf("%s is still not done", e))
		}
	}
}

// result is a result event, as far as the judge reads it.
type result struct {
	ID, Type, Subject string
	Data              struct {
		Outcome          string         `json:"outcome"`
		Reason           string         `json:"reason"`
		Attempts         int            `json:"attempts"`
		AccountID        string         `json:"account_id"`
		RegionID         string         `json:"region_id"`
		ObservedRegionID string         `json:"observed_region_id"`
		Registrations    []registration `json:"registrations"`
		Cause            struct {
			ID     string `json:"id"`
			Source string `json:"source"`
		} `json:"cause"`
		Region          struct{ Observed string } `json:"region"`
		MissingServices []string                  `json:"missing_services"`
		Missing         []registration            `json:"missing"`
		Unexpected      []registration            `json:"unexpected"`
	} `json:"data"`
}

type registration struct {
	AccountID        string `json:"account_id"`
	ServicePrincipal string `json:"service_principal"`
	Outcome          string `json:"outcome"`
	Reason           string `json:"reason"`
	Attempts         int    `json:"attempts"`
}

// result judges a result event of a function, which arrived in a place.
func (b *books) result(function, where string, payload []byte, at time.Time) {
	var r result
	err := json.Unmarshal(payload, &r)
	b.mu.Lock()
	defer b.mu.Unlock()
	if where == atSink || function == "register-region" { // others are in both
		b.add(results, strings.TrimSpace(r.Type+" "+r.Data.Outcome))
	}
	e := b.open[key(function, r.Data.Cause.Source, r.Data.Cause.ID)]
	if err != nil || e == nil {
		b.blame(untrue, fmt.Sprintf("a result of %s for an event that nobody sent: %.300s", function, payload))
		return
	}
	e.results = append(e.results, arrival{at, where})
	const late = 2 * time.Second // a process that was killed may have sent it before
	from := at
	under := false
	for _, d := range e.deliveries {
		if d.ended.IsZero() || at.Sub(d.ended) < late {
			under = true
			if d.begun.Before(from) {
				from = d.begun
			}
		}
	}
	wrong := ""
	if !under {
		wrong = "it comes when no function has the event"
	}
	derived := uuid.NewSHA1(uuid.NameSpaceURL, []byte(r.Data.Cause.Source+"\n"+r.Data.Cause.ID+"\n"+r.Type))
	if r.ID != derived.String() {
		wrong = "its id is not the one of its cause and type"
	}
	b.world.mu.Lock()
	wrong = cmp.Or(wrong, b.world.judge(e, r, from, at))
	b.world.mu.Unlock()
	if wrong != "" {
		b.blame(untrue, fmt.Sprintf("%s: %s: %.600s", e, wrong, payload))
	}
}

// judge says what is wrong with a result, by what was true between two times.
func (w *world) judge(e *event, r result, from, to time.Time) string {
	outcome := r.Data.Outcome
	family := map[string]string{"unchanged": "registered"}[outcome]
	if !strings.HasSuffix(r.Type, "."+cmp.Or(family, outcome)) {
		return "its type and its outcome differ"
	}
	switch {
	case e.poison:
		return "it is about an event of another function"
	case e.invalid != (r.Data.Reason == "invalid_data"):
		return "its data was judged wrongly"
	case e.invalid:
		return ""
	case e.fails:
		return differ(r.Data.Reason, "creation_failed")
	}
	switch e.function {
	case "audit-organization":
		return w.judgeAudit(r, from, to)
	case "register-region":
		return w.judgeRegion(e, r, from, to)
	case "register-service":
		return w.judgeEach(e, r, services, from, to)
	}
	given := e.account.given
	if r.Data.AccountID != e.account.id {
		return "it is about another account"
	}
	if r.Data.Registrations == nil && outcome == "rejected" { // before it is known which services are wanted
		return w.judgeOne(e, registration{Outcome: outcome, Reason: r.Data.Reason}, from, to)
	}
	return w.judgeEach(e, r, given, from, to)
}

func differ(is, shall string) string {
	if is == shall {
		return ""
	}
	return fmt.Sprintf("it says %q, not %q", is, shall)
}

func (w *world) judgeRegion(e *event, r result, from, to time.Time) string {
	if r.Data.RegionID != region {
		return "it is about another region"
	}
	switch {
	case r.Data.Outcome == "registered" && count(w.written["region"], from, to) > 0,
		r.Data.Outcome == "unchanged" && w.region.was(region, from.Add(-lag), to),
		r.Data.Outcome == "planned" && e.dryRun && w.region.was("", from.Add(-lag), to),
		r.Data.Reason == "refused" && count(w.refused["region"], from, to) > 1,
		r.Data.Reason == "region_conflict" && r.Data.ObservedRegionID == otherRegion &&
			w.region.was(otherRegion, from.Add(-lag), to):
		return ""
	}
	return "the region was another"
}

// judgeEach judges the registrations of a result: they must be those that were asked for, by name
// or else by default.
func (w *world) judgeEach(e *event, r result, byDefault []string, from, to time.Time) string {
	asked := e.services
	if asked == nil {
		asked = byDefault
	}
	var got []string
	for _, one := range r.Data.Registrations {
		got = append(got, one.ServicePrincipal)
		if wrong := w.judgeOne(e, one, from, to); wrong != "" {
			return one.ServicePrincipal + ": " + wrong
		}
	}
	if !slices.Equal(got, asked) {
		return fmt.Sprintf("it is about %v instead of %v", got, asked)
	}
	if len(asked) == 0 {
		return differ(r.Data.Outcome, "skipped")
	}
	return ""
}

// judgeOne judges one registration.
func (w *world) judgeOne(e *event, one registration, from, to time.Time) string {
	service, before := one.ServicePrincipal, from.Add(-lag)
	is, written, refused := w.trusted[service], w.written[service], w.refused[service]
	var status history[string]
	given := services
	if a := e.account; a != nil {
		status, given = a.status, a.given
		is, written, refused = a.administers(service), a.written[service], a.refused[service]
	}
	if e.dryRun && (one.Attempts > 0 || one.Outcome == "registered") {
		return "a dry run wrote"
	}
	if allowed := slices.Contains(given, service); one.Reason == "not_allowed" || !allowed && service != "" {
		if allowed || one.Reason != "not_allowed" {
			return "the rules say something else"
		}
		return ""
	}
	switch {
	case one.Outcome == "registered" && count(written, from, to) > 0,
		one.Outcome == "unchanged" && is.was(true, before, to),
		one.Outcome == "planned" && e.dryRun && is.was(false, before, to),
		one.Reason == "refused" && count(refused, from, to) > 1,
		one.Reason == "account_not_found" && status.was("", before, to),
		one.Reason == "account_not_active" && status.was("suspended", before, to):
		return ""
	}
	return "the cloud denies it"
}

// judgeAudit judges what an audit found: each finding must have been true at some time, and what
// was wrong all the time must be found.
func (w *world) judgeAudit(r result, from, to time.Time) string {
	before := from.Add(-lag)
	found := map[registration]bool{}
	for _, one := range r.Data.Missing {
		a := w.accounts[one.AccountID]
		if a == nil || !slices.Contains(a.given, one.ServicePrincipal) ||
			!a.status.was("active", before, to) || !a.administers(one.ServicePrincipal).was(false, before, to) {
			return fmt.Sprintf("%s of %s isn't missing", one.ServicePrincipal, one.AccountID)
		}
		found[registration{AccountID: one.AccountID, ServicePrincipal: one.ServicePrincipal}] = true
	}
	for _, one := range r.Data.Unexpected {
		a := w.accounts[one.AccountID]
		member := func() bool { return !a.status.was("", before, to) } // the rules give others nothing
		if a == nil || slices.Contains(a.given, one.ServicePrincipal) && member() ||
			!a.administers(one.ServicePrincipal).was(true, before, to) {
			return fmt.Sprintf("%s of %s isn't unexpected", one.ServicePrincipal, one.AccountID)
		}
		found[registration{AccountID: one.AccountID, ServicePrincipal: one.ServicePrincipal}] = true
	}
	for _, service := range r.Data.MissingServices {
		if w.trusted[service] == nil || !w.trusted[service].was(false, before, to) {
			return service + " isn't missing"
		}
	}
	if !w.region.was(r.Data.Region.Observed, before, to) {
		return "the region was another"
	}
	passed := r.Data.Outcome == "passed"
	if passed && len(found)+len(r.Data.MissingServices) > 0 || passed && r.Data.Region.Observed != region {
		return "it passed in spite of its findings"
	}
	for _, service := range services {
		if !w.trusted[service].was(true, before, to) && !slices.Contains(r.Data.MissingServices, service) {
			return service + " is missing all the time, and not found"
		}
	}
	for _, a := range w.accounts {
		active := !a.status.during(before, to, func(s string) bool { return s != "active" })
		for _, service := range services {
			given, has := slices.Contains(a.given, service), a.administers(service)
			always := given && active && !has.was(true, before, to) || // missing
				!given && active && !has.was(false, before, to) // unexpected
			if always && !found[registration{AccountID: a.id, ServicePrincipal: service}] {
				return fmt.Sprintf("%s of %s is wrong all the time, and not found", service, a.id)
			}
		}
	}
	return ""
}
