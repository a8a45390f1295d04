package model

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// plan is one sequence: an organization, a configuration, messages, and everything that goes wrong.
// It is drawn before anything happens, so that the clock and goroutines don't change what is drawn.
type plan struct {
	function string
	start    []change
	cfg      config
	messages []message
	rounds   int // deliveries before all is calm

	fifo       bool
	sink       bool
	batch      int // messages in an invocation
	pollers    int // invocations at once
	timeout    time.Duration
	lifetime   time.Duration // how long credentials hold; 0 is for ever
	pageSize   int
	faults     []fault
	changes    []change
	kills      []kill
	sinkFaults []sinkFault
	loadFaults []int // the loads of credentials that fail
}

// input is an event, as the documentation understands it.
type input struct {
	id, source, eventType     string
	age                       time.Duration // when it is drawn
	timeless                  bool
	dryRun                    bool
	region, account, creation string
	services                  []string

	invalid bool   // its data is wrong
	garbage bool   // it is not an event of the function's
	ignored bool   // it is a trace that asks the function for nothing
	data    string // as JSON
	trace   string // the members of the trace that it comes from, if it does
	raw     string // the garbage
}

// request tells that an audit asks.
func (in input) request() bool { return strings.HasSuffix(in.eventType, ".missing") }

// message is what a queue gets.
type message struct {
	inputs []input
	shape  string // event, array, bridge, sns
	group  string
}

// sent is a message that a queue has.
type sent struct {
	message
	id string
	at time.Time
}

type fault struct {
	call  int  // it hits this call
	write bool // only writes count
	kind  faultKind
	delay time.Duration
}

// faultKind is a way in which a call fails. The class is what the documentation says of the answer.
type faultKind struct {
	name   string
	status int
	code   string
	text   string
	body   string
	header http.Header
	class  string
	reset  bool // the connection is cut
	after  bool // what is written is written; only the answer is lost
	late   bool // likewise, and the client waits for the answer until it gives up
	stale  bool // the answer is one that was true before
	slow   bool // nothing is wrong but the delay
	echo   bool // the answer quotes who asks
}

type kill struct {
	delivery, call int
	after          bool
}

type sinkFault struct {
	send int
	kind string
}

// kinds are the faults of the cloud, but for answers of an earlier state.
func kinds() []faultKind {
	page := "<html><body>Not here.</body></html>"
	login := http.Header{"Location": {"https://login.example"}}
	contradiction := `{"error_code":"IIC.1216","error_msg":"no"}`
	wait := func(value string) http.Header { return http.Header{"Retry-After": {value}} }
	return []faultKind{
		{name: "503", status: 503, code: "APIGW.0201", class: "transient"},
		{name: "503 without a code", status: 503, body: page, class: "transient"},
		{name: "503 with a long Retry-After", status: 503, code: "APIGW.0201", header: wait("60"), class: "transient"},
		{name: "429", status: 429, code: "APIGW.0308", class: "transient"},
		{name: "429 with Retry-After", status: 429, code: "APIGW.0308", header: wait("2"), class: "transient"},
		{name: "408", status: 408, class: "transient"},
		{name: "a conflict that passes", status: 409, code: "Organizations.1003", class: "transient"},
		{name: "418 of a firewall", status: 418, body: page, class: "transient"},
		{name: "400 without a code", status: 400, body: page, class: "transient"},
		{name: "404 without a code", status: 404, body: page, class: "misconfigured"},
		{name: "401", status: 401, code: "APIGW.0301", class: "misconfigured"},
		{name: "403", status: 403, code: "Organizations.1007", class: "misconfigured"},
		{name: "403 that quotes", status: 403, code: "Organizations.1007", class: "misconfigured", echo: true},
		{name: "400 of the caller", status: 400, code: "IIC.1215", class: "misconfigured"},
		{name: "a redirect", status: 302, header: login, class: "misconfigured"},
		{name: "400", status: 400, code: "Organizations.9999", class: "refused"},
		{name: "404", status: 404, code: "Organizations.9998", class: "refused"},
		{name: "409", status: 409, code: "Organizations.9997", class: "conflict"},
		{name: "a success with an error", status: 200, body: contradiction, class: "conflict"},
		{name: "503 that quotes", status: 503, code: "APIGW.0201", class: "transient", echo: true},
		{name: "reset before", reset: true},
		{name: "reset after", reset: true, after: true},
		{name: "504 after", status: 504, body: page, after: true, class: "transient"},
		{name: "slow", slow: true},
		{name: "late", late: true},
	}
}

// profile is what may go wrong in a sequence.
type profile struct {
	name                                               string
	faults, races, kills, sink, credentials, lag, fifo bool
}

func profiles() []profile {
	return []profile{
		{name: "calm"},
		{name: "faults", faults: true},
		{name: "races", races: true},
		{name: "faults and races", faults: true, races: true},
		{name: "kills", kills: true, faults: true, sink: true},
		{name: "sink", sink: true},
		{name: "credentials", credentials: true},
		{name: "lag", lag: true, races: true},
		{name: "groups", fifo: true, faults: true, sink: true},
		{name: "everything", faults: true, races: true, kills: true, sink: true, credentials: true, lag: true},
	}
}

// The organizations are small, so that events, rules and administrators meet.
const (
	north, south = "cn-north-4", "cn-south-1"
	accounts     = "a1 a2 a3 a4"
	services     = "service.A service.B service.C service.X"
)

// plans draws sequences for a function.
func plans(p profile, function string) *rapid.Generator[plan] {
	return rapid.Custom(func(t *rapid.T) plan {
		d := drawer{T: t, profile: p, function: function}
		d.cfg = d.config()
		return d.plan()
	})
}

// drawer draws parts of a plan.
type drawer struct {
	*rapid.T
	profile
	function string
	cfg      config // once it is drawn
}

func (d drawer) pick(of ...string) string { return rapid.SampledFrom(of).Draw(d.T, "pick") }

func (d drawer) one(of string) string { return d.pick(strings.Fields(of)...) }

// some are a few of the words, in their order.
func (d drawer) some(of string) (all []string) {
	for word := range strings.FieldsSeq(of) {
		if rapid.Bool().Draw(d.T, "some") {
			all = append(all, word)
		}
	}
	return all
}

func (d drawer) number(least, most int) int { return rapid.IntRange(least, most).Draw(d.T, "number") }

// rarely is true once in so many times.
func (d drawer) rarely(times int) bool { return d.number(1, times) == times }

func (d drawer) plan() plan {
	p := plan{
		function: d.function, start: d.organization(), cfg: d.cfg, rounds: d.number(1, 3),
		fifo: d.fifo || d.rarely(6), sink: d.sink || d.rarely(2), batch: d.number(1, 10), pollers: d.number(1, 3),
		timeout:  time.Duration([]int{60, 20, 10, 3}[d.number(0, 3)]) * time.Second,
		pageSize: d.number(0, 2),
	}
	if d.function == "audit-organization" && rapid.Bool().Draw(d.T, "as it shall be") {
		p.start = d.asItShallBe(p.cfg)
	}
	if d.function == "register-admin" && rapid.Bool().Draw(d.T, "ready") { // else there would be little to write
		ready := slices.DeleteFunc(d.asItShallBe(p.cfg), func(c change) bool { return c.what == "delegate" })
		p.start = append(p.start, ready...)
	}
	causes := d.number(1, 5)
	for range d.number(1, 6) {
		p.messages = append(p.messages, d.message(causes, p.fifo))
	}
	if !d.rarely(3) { // the same again, as queues and people deliver it
		p.messages = append(p.messages, p.messages[d.number(0, len(p.messages)-1)])
	}
	known := map[string]input{} // by its cause, since a cause is one event
	for i, m := range p.messages {
		inputs := slices.Clone(m.inputs)
		for j, in := range inputs {
			cause := in.source + " " + in.id
			if before, ok := known[cause]; ok && !in.garbage {
				inputs[j] = before
			} else if !in.garbage {
				known[cause] = in
			}
		}
		p.messages[i].inputs = inputs
	}
	d.troubles(&p)
	return p
}

// troubles draws what goes wrong.
func (d drawer) troubles(p *plan) {
	at := func() int { return d.number(1, 20) }
	if d.faults {
		all := kinds()
		for range d.number(2, 8) {
			f := fault{call: at(), kind: rapid.SampledFrom(all).Draw(d.T, "kind")}
			times := 1 + 4*d.number(0, 1)*d.number(0, 1)
			if f.write = rapid.Bool().Draw(d.T, "write"); f.write {
				f.call = d.number(1, 3)
				switch d.one("any refused lost") {
				case "refused": // as often as a write is tried
					refusal := slices.IndexFunc(all, func(k faultKind) bool { return k.class == "refused" })
					f.kind, times = all[refusal], 2
				case "lost":
					lost := slices.IndexFunc(all, func(k faultKind) bool { return k.after })
					f.kind = all[lost+d.number(0, 1)]
				}
			}
			for range times { // once, or until the attempts are used up
				if f.kind.slow || f.kind.late {
					f.delay = time.Duration(d.number(1, 12)) * time.Second
				}
				p.faults = append(p.faults, f)
				f.call++
			}
		}
	}
	if d.lag {
		first := at()
		for i := range d.number(1, 12) {
			p.faults = append(p.faults, fault{call: first + i, kind: faultKind{name: "an earlier answer", stale: true}})
		}
	}
	if d.races {
		for range d.number(1, 8) {
			c := d.change()
			c.call = at()
			if c.write = rapid.Bool().Draw(d.T, "write"); c.write {
				c.call = d.number(1, 3)
			}
			p.changes = append(p.changes, c)
		}
	}
	if d.kills {
		for range d.number(1, 3) {
			p.kills = append(p.kills, kill{d.number(1, 5), d.number(1, 6), rapid.Bool().Draw(d.T, "after")})
		}
	}
	if d.sink {
		for range d.number(1, 4) {
			f := sinkFault{d.number(1, 8), d.pick("503", "429", "403", "reset", "lost", "die", "slow", "503 wait")}
			for range 1 + 4*d.number(0, 1) {
				p.sinkFaults = append(p.sinkFaults, f)
				f.send++
			}
		}
	}
	if d.credentials {
		p.lifetime = time.Duration([]int{0, 3, 8, 20}[d.number(0, 3)]) * time.Minute
		for range d.number(1, 3) {
			p.changes = append(p.changes, change{call: at(), what: "rotate"})
		}
		for range d.number(0, 2) {
			p.loadFaults = append(p.loadFaults, d.number(1, 5))
		}
	}
}

// organization draws how it is at first.
func (d drawer) organization() []change {
	all := []change{{what: "offer", a: "service.A"}, {what: "offer", a: "service.B"}, {what: "offer", a: "service.C"}}
	for _, principal := range d.some("service.A service.B service.C") {
		all = append(all, change{what: "trust", a: principal})
	}
	for id := range strings.FieldsSeq(accounts) {
		if !d.rarely(4) {
			all = append(all, change{what: "status", a: id, b: d.status()})
		}
	}
	if rapid.Bool().Draw(d.T, "named") {
		all = append(all, change{what: "name", a: "a1", b: "security"})
	}
	if d.rarely(3) {
		all = append(all, change{what: "invite", a: "a3", b: "security"})
	}
	for range d.number(0, 2) {
		all = append(all, change{what: "delegate", a: d.one(accounts), b: d.one(services)})
	}
	all = append(all, change{what: "region", a: d.pick("", "", north, south)})
	switch d.number(0, 3) {
	case 1:
		all = append(all, change{what: "creating", a: "car-1"})
	case 2:
		all = append(all, change{what: "created", a: "car-1", b: d.one(accounts)})
	case 3:
		all = append(all, change{what: "uncreated", a: "car-1"})
	}
	return all
}

// asItShallBe is an organization that an audit passes, or with one thing that it doesn't.
func (d drawer) asItShallBe(c config) []change {
	all := []change{{what: "status", a: "a1", b: "active"}, {what: "region", a: c.region}}
	ids := map[string]string{"security": "a1", "nobody": "a2"}
	for _, principal := range append(c.trusts(), c.ruled()...) {
		all = append(all, change{what: "trust", a: principal})
	}
	for _, r := range c.rules {
		id := r.id
		if r.name != "" {
			id = ids[r.name]
			all = append(all, change{what: "name", a: id, b: r.name})
		}
		all = append(all, change{what: "status", a: id, b: "active"})
		all = append(all, change{what: "delegate", a: id, b: r.principal})
	}
	if rapid.Bool().Draw(d.T, "but one thing") {
		all = append(all, d.change())
	}
	return all
}

func (d drawer) status() string {
	if !d.rarely(4) {
		return "active"
	}
	return d.pick("suspended", "pending_closure", "pending_verification")
}

// change draws what another administrator does.
func (d drawer) change() change {
	switch d.one("region trust distrust delegate undelegate status name invite remove created uncreated register") {
	case "region":
		return change{what: "region", a: d.pick("", north, south)}
	case "trust":
		return change{what: "trust", a: d.one("service.A service.B service.C")}
	case "distrust":
		return change{what: "distrust", a: d.one(services)}
	case "undelegate":
		return change{what: "undelegate", a: d.one(accounts), b: d.one(services)}
	case "status":
		return change{what: "status", a: d.one(accounts), b: d.status()}
	case "name":
		return change{what: "name", a: d.one("a1 a2"), b: d.pick("security", "other")}
	case "invite":
		return change{what: "invite", a: "a3", b: "security"}
	case "remove":
		return change{what: "remove", a: d.one(accounts)}
	case "created":
		return change{what: "created", a: "car-1", b: d.one(accounts)}
	case "uncreated":
		return change{what: "uncreated", a: "car-1"}
	default:
		return change{what: "delegate", a: d.one(accounts), b: d.one(services)}
	}
}

// config draws what an operator says.
func (d drawer) config() config {
	c := config{
		dryRun: d.rarely(12), concurrency: d.number(1, 10), maxAttempts: []int{4, 1, 2}[d.number(0, 2)],
		readyWithin: []time.Duration{15 * time.Minute, 0, time.Hour}[d.number(0, 2)],
	}
	for range d.number(1, 6) {
		r := rule{principal: d.one("service.A service.A service.B service.C service.X"), id: d.one(accounts)}
		if d.rarely(3) {
			r.id, r.name = "", d.pick("security", "nobody")
		}
		if !slices.Contains(c.rules, r) {
			c.rules = append(c.rules, r)
		}
	}
	bound := d.some(services)
	switch d.function {
	case "register-region":
		c.rules = nil
		if c.anyRegion = d.rarely(3); !c.anyRegion {
			c.region = d.pick(north, south)
		}
	case "register-admin":
		if d.rarely(3) {
			c.rules = nil
			if c.anyService = bound == nil || rapid.Bool().Draw(d.T, "any"); !c.anyService {
				c.services = bound
			}
		}
	default:
		if d.function == "register-service" && rapid.Bool().Draw(d.T, "without rules") {
			c.rules = nil
		}
		if d.function == "audit-organization" {
			c.region = d.pick("", north, south)
			c.anyRegion = c.region == "" && rapid.Bool().Draw(d.T, "any region")
		}
		if c.rules == nil || rapid.Bool().Draw(d.T, "bound") {
			c.services = append(c.ruled(), bound...)
			slices.Sort(c.services)
			c.services = slices.Compact(c.services)
			if c.anyService = c.services == nil || d.rarely(3); c.anyService {
				c.services = nil
			}
		}
	}
	return c
}

// message draws a message of one event or a few.
func (d drawer) message(causes int, fifo bool) message {
	m := message{shape: d.pick("event", "event", "bridge", "sns", "array")}
	if fifo {
		m.group = d.pick("g1", "g2")
	}
	if d.rarely(8) {
		in := d.input(causes)
		in.garbage, in.ignored, in.trace, m.shape = true, false, "", "event"
		in.raw = d.pick(`{"hello":`, `[1,2]`, `{"specversion":"1.0","id":"x"}`,
			`{"specversion":"1.0","id":"other","source":"/x","type":"org.other","data":{}}`)
		m.inputs = []input{in}
		return m
	}
	many := 1
	if m.shape == "array" {
		many = d.number(1, 4)
	}
	for range many {
		m.inputs = append(m.inputs, d.input(causes))
	}
	if m.inputs[0].trace != "" {
		m.shape, m.inputs = "event", m.inputs[:1]
	}
	m.inputs = slices.DeleteFunc(m.inputs, func(in input) bool { return in.trace != "" && m.shape == "array" })
	return m
}

// input draws an event. Two of the same id and source are the same event.
func (d drawer) input(causes int) input {
	in := input{
		id: fmt.Sprintf("e%d", d.number(1, causes)), source: d.pick("/landing-zone", "/landing-zone", "/other"),
		age: time.Duration([]int{0, 1, 20, 120, -3}[d.number(0, 4)]) * time.Minute, timeless: d.rarely(6),
		dryRun: d.rarely(5),
	}
	if d.rarely(5) {
		d.trace(&in)
		return in
	}
	data := map[string]any{}
	if in.dryRun {
		data["dry_run"] = true
	}
	in.invalid = d.rarely(10)
	if rapid.Bool().Draw(d.T, "named") {
		in.services = d.some(services)
	}
	switch d.function {
	case "register-region":
		in.eventType, in.services = "org.bootstrap", nil
		if in.region = d.pick("", north, south); in.region != "" {
			data["region_id"] = in.region
		}
		if in.invalid {
			data["region_id"] = "Beijing"
		}
	case "register-service":
		in.eventType = d.pick("org.bootstrap", "org.service.missing")
		if in.invalid {
			data["service_principals"] = "service.A"
		}
	case "register-admin":
		in.eventType = d.pick("account.created", "account.created", "account.admin.missing")
		if d.rarely(5) {
			in.creation = d.pick("car-1", "car-1", "car-2")
			data["create_account_status_id"] = in.creation
		} else {
			in.account = d.one(accounts)
			if n := len(d.cfg.rules); n > 0 && !d.rarely(4) { // else most would be skipped or not allowed
				r := d.cfg.rules[d.number(0, n-1)]
				if in.account = cmp.Or(r.id, "a1"); in.services != nil && !d.rarely(3) {
					in.services = []string{r.principal}
				}
			}
			data["account_id"] = in.account
		}
		if in.invalid {
			data["account_id"], data["create_account_status_id"] = "a1", "car-1"
		}
	default:
		in.eventType, in.services = "org.audit", nil
		if in.invalid {
			data["dry_run"] = "yes"
		}
	}
	if in.services != nil && data["service_principals"] == nil {
		data["service_principals"] = in.services
	}
	encoded, _ := json.Marshal(data) // maps and strings
	in.data = string(encoded)
	return in
}

// trace draws an event that comes from a trace of CTS.
func (d drawer) trace(in *input) {
	in.source, in.timeless, in.dryRun = "/huaweicloud/cts/Organizations", false, false
	name, more := "createOrganization", ""
	in.eventType = "org.bootstrap"
	if d.function == "register-admin" || d.rarely(4) {
		in.eventType = "account.created"
		id := d.one(accounts)
		switch d.number(0, 4) {
		case 0:
			in.account, name = id, "createAccount"
			more = `,"response":{"create_account_status":{"id":"car-1","account_id":"` + id + `"}}`
		case 1:
			in.creation, name = "car-1", "createAccountV2"
			more = `,"response":"{\"create_account_status\":{\"id\":\"car-1\"}}"`
		case 2:
			in.account, name, more = id, "acceptHandshake", `,"user":{"domain":{"id":"`+id+`"}}`
		case 3:
			in.ignored, name, more = true, "createAccount", `,"resource_id":"`+id+`","response":{}`
		case 4:
			in.ignored, name, more = true, "createAccount", `,"code":"403"`
		}
	}
	if d.rarely(6) {
		in.ignored, name, more, in.source, in.eventType = true, "deleteAccount", "", "", ""
	}
	takes := map[string]string{
		"register-region": "org.bootstrap", "register-service": "org.bootstrap", "register-admin": "account.created",
	}[d.function]
	in.ignored = in.ignored || in.eventType != takes
	in.trace = `"trace_name":"` + name + `","service_type":"Organizations"` + more
	in.id = "t-" + in.id + "-" + name + "-" + in.account
}

// young says whether an account of the event may be unknown because it was created a moment ago.
func (in input) young(c config, m sent, drawn, now time.Time) bool {
	at := drawn.Add(-in.age)
	switch {
	case in.timeless && m.shape == "bridge":
		at = drawn
	case in.timeless:
		at = m.at
	}
	return !in.request() && !at.IsZero() && now.Sub(at) < c.readyWithin
}

// body is the message as it is sent.
func (m message) body(drawn time.Time) string {
	var all []string
	for _, in := range m.inputs {
		all = append(all, in.body(drawn))
	}
	switch m.shape {
	case "array":
		return "[" + strings.Join(all, ",") + "]"
	case "bridge":
		return `{"id":"envelope","source":"bus","detail-type":"x","time":"` + drawn.Format(time.RFC3339) +
			`","detail":` + all[0] + `}`
	case "sns":
		text, _ := json.Marshal(all[0])
		return `{"Type":"Notification","MessageId":"n","TopicArn":"arn:aws:sns:us-east-1:123456789012:t","Message":` +
			string(text) + `,"Timestamp":"` + drawn.Format(time.RFC3339) + `"}`
	}
	return all[0]
}

func (in input) body(drawn time.Time) string {
	at := drawn.Add(-in.age)
	switch {
	case in.raw != "":
		return in.raw
	case in.trace != "":
		return fmt.Sprintf(`{"cts":{"trace_id":%q,"record_time":%d,%s}}`, in.id, at.UnixMilli(), in.trace)
	}
	when := `"time":"` + at.Format(time.RFC3339) + `",`
	if in.timeless {
		when = ""
	}
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":%q,%s"data":%s}`,
		in.id, in.source, in.eventType, when, in.data)
}
