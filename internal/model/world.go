package model

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"registrar/internal/huaweitest"
)

// state is what there is in the organization. It is kept beside the fake's own, so that it can be
// asked what was true when.
type state struct {
	region    string
	services  []string // that can have trusted access
	trusted   []string
	accounts  map[string]account
	delegated map[string][]string // the services that an account administers
	creations map[string]creation
}

type account struct {
	name, status string
	invited      bool
}

type creation struct{ state, account string }

// has says whether a thing is registered: "region <id>", "service <principal>", or
// "admin <id> <principal>".
func (s *state) has(thing string) bool {
	kind, name, _ := strings.Cut(thing, " ")
	switch kind {
	case "region":
		return s.region == name
	case "service":
		return slices.Contains(s.trusted, name)
	}
	id, principal, _ := strings.Cut(name, " ")
	return slices.Contains(s.delegated[id], principal)
}

func (s *state) clone() *state {
	c := *s
	c.services, c.trusted = slices.Clone(s.services), slices.Clone(s.trusted)
	c.accounts, c.creations = maps.Clone(s.accounts), maps.Clone(s.creations)
	c.delegated = map[string][]string{}
	for id, all := range s.delegated {
		c.delegated[id] = slices.Clone(all)
	}
	return &c
}

// change is something that an administrator does, or that happens to the organization.
type change struct {
	call  int  // it happens before this call
	write bool // only writes count
	what  string
	a, b  string
}

// apply makes the change in the fake and in the state.
func (c change) apply(cloud *huaweitest.Cloud, s *state) {
	known := func(id string) account {
		if a, ok := s.accounts[id]; ok {
			return a
		}
		return account{name: "account-" + id, status: "active"}
	}
	drop := func(all []string, one string) []string {
		return slices.DeleteFunc(all, func(other string) bool { return other == one })
	}
	add := func(all []string, one string) []string {
		if slices.Contains(all, one) {
			return all
		}
		return append(all, one)
	}
	switch c.what {
	case "region":
		cloud.SetRegion(c.a)
		s.region = c.a
	case "offer":
		cloud.AddService(c.a)
		s.services = add(s.services, c.a)
	case "trust":
		cloud.TrustService(c.a)
		s.services, s.trusted = add(s.services, c.a), add(s.trusted, c.a)
	case "distrust":
		cloud.Distrust(c.a)
		s.trusted = drop(s.trusted, c.a)
	case "delegate":
		cloud.Delegate(c.a, c.b)
		s.accounts[c.a] = known(c.a)
		s.delegated[c.a] = add(s.delegated[c.a], c.b)
	case "undelegate":
		cloud.Undelegate(c.a, c.b)
		s.delegated[c.a] = drop(s.delegated[c.a], c.b)
	case "status":
		cloud.AddAccount(c.a, c.b)
		a := known(c.a)
		a.status = c.b
		s.accounts[c.a] = a
	case "name":
		cloud.NameAccount(c.a, c.b)
		a := known(c.a)
		a.name = c.b
		s.accounts[c.a] = a
	case "invite":
		cloud.InviteAccount(c.a, c.b)
		s.accounts[c.a] = account{name: c.b, status: "active", invited: true}
	case "remove":
		cloud.RemoveAccount(c.a)
		delete(s.accounts, c.a)
		delete(s.delegated, c.a)
	case "creating", "created", "uncreated":
		stage := map[string]string{"creating": "in_progress", "created": "succeeded", "uncreated": "failed"}[c.what]
		cloud.SetCreateAccountStatus(c.a, stage, c.b)
		s.creations[c.a] = creation{stage, c.b}
	default:
		panic("model: no change " + c.what)
	}
}

// world is a Huawei Cloud in which others act, too, and which fails, and a sink that fails. It
// remembers everything. Its faults stop when it is calm.
type world struct {
	cloud *huaweitest.Cloud
	plan  plan

	mu         sync.Mutex // held for moments only: never while waiting
	history    []*state   // each state there was; the last is now
	calls      int
	writes     int
	sends      int
	calm       bool
	earlier    map[string]served // what was answered to a GET before, by its URL
	deliveries []*delivery
	emitted    []emission
	broken     []string // the invariants that don't hold
	first      string   // the first of these, without what differs from run to run
	counted    map[string]int
	keys       huaweitest.Credentials // that are valid now
	secrets    []string
	loads      int
	echoed     bool
	order      func(messageID string) // checks the order of groups
}

// served is an answer with the state in which it was true.
type served struct {
	body []byte
	at   int
}

// call is one request to Huawei Cloud.
type call struct {
	method, path, thing string
	effective           bool   // it changed the state
	requestID           string // Huawei Cloud's, in the answer that the client got
	status              int    // that the client got; 0 for none
	class               string // what the documentation says of the answer
}

// delivery is an invocation, and everything that it did.
type delivery struct {
	world     *world
	messages  []sent
	from      int // the first state that it may speak of
	to        int
	began     time.Time
	ended     time.Time
	calls     []call
	lines     []line
	emitted   []emission
	calm      bool
	settled   bool // others changed nothing meanwhile, and no answer was of an earlier state
	dead      bool // the process is dead: nothing leaves it any more
	lied      bool // a read was refused, which the documentation takes for "none", or its list changed between pages
	denied    bool // a read of an account was refused, though there is one
	wrong     bool // something that an operator must repair went wrong at the sink or the credentials
	unsent    bool // the sink failed, or the credentials could not be loaded
	killAt    int  // the call, counted from 1, at which the process dies; 0 for none
	killAfter bool // the call reaches the cloud first
	log       bytes.Buffer
	failure   string // the name of the error of the whole invocation
}

// emission is an event that the sink took.
type emission struct {
	by   *delivery
	told told
	body string
}

type deliveryKey struct{}

func newWorld(p plan) *world {
	w := &world{
		cloud: huaweitest.New(), plan: p, earlier: map[string]served{}, counted: map[string]int{},
		order: func(string) {},
	}
	s := &state{
		services: []string{
			"service.SecMaster", "service.CTS", "service.RAM", "service.IdentityCenter", "service.AOM", "service.CFW",
		},
		accounts: map[string]account{}, delegated: map[string][]string{}, creations: map[string]creation{},
	}
	for _, c := range p.start {
		c.apply(w.cloud, s)
	}
	w.history = []*state{s}
	w.cloud.PageSize(p.pageSize)
	w.rotate()
	return w
}

// rotate replaces the keys. Those before are unknown from now on.
func (w *world) rotate() {
	old := w.keys.AccessKey
	n := len(w.secrets)
	w.keys = huaweitest.Credentials{
		AccessKey: fmt.Sprintf("AKPLANTED%05d/+=", n), SecretKey: fmt.Sprintf("SKplanted%05d&<secret>", n),
		SecurityToken: fmt.Sprintf("TOKENplanted%05d\"==", n),
	}
	if w.plan.lifetime > 0 {
		w.keys.Expires = time.Now().Add(w.plan.lifetime)
	}
	w.secrets = append(w.secrets, w.keys.AccessKey, w.keys.SecretKey, w.keys.SecurityToken)
	w.cloud.AddCredentials(w.keys)
	if old != "" {
		w.cloud.RemoveCredentials(old)
	}
}

func (w *world) count(what string) { w.counted[what]++ }

// breaks notes that an invariant doesn't hold.
func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
	w.first = cmp.Or(w.first, format)
}

// RoundTrip answers a call to Huawei Cloud, or fails as planned.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	d := w.deliveryOf(r.Context())
	c := call{method: r.Method, path: r.URL.Path, thing: thingOf(r.URL.Path, body)}

	w.mu.Lock()
	if d.dead {
		w.mu.Unlock()
		return nil, io.EOF
	}
	w.calls++
	n := map[bool]int{false: w.calls}
	if c.method == http.MethodPost {
		w.writes++
		n[true] = w.writes
	}
	var f fault
	if !w.calm {
		for _, x := range w.plan.changes {
			if x.call == n[x.write] {
				w.alter(x)
			}
		}
		if i := slices.IndexFunc(w.plan.faults, func(f fault) bool { return f.call == n[f.write] }); i >= 0 {
			f = w.plan.faults[i]
		}
	}
	if r.URL.Query().Has("marker") && len(w.history)-1 > d.from {
		d.lied = true
	}
	dies := d.killAt > 0 && len(d.calls)+1 >= d.killAt
	if dies && !d.killAfter {
		d.dead = true
		w.mu.Unlock()
		return nil, io.EOF
	}
	if c.method == http.MethodPost {
		w.checkWrite(d, c.thing)
	}
	w.mu.Unlock()

	if f.delay > 0 && !f.kind.late {
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
			w.note(d, c, f)
			return nil, context.Cause(r.Context())
		}
	}
	if f.kind.reset && !f.kind.after {
		w.note(d, c, f)
		return nil, io.EOF
	}
	resp := w.serve(&c, r, f)
	if dies {
		w.mu.Lock()
		d.dead = true
		w.mu.Unlock()
		w.note(d, c, f)
		return nil, io.EOF
	}
	if f.kind.late { // the client gives up before the answer comes
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
			c.status, c.requestID, c.class = 0, "", ""
			w.note(d, c, f)
			return nil, context.Cause(r.Context())
		}
	}
	if f.kind.after {
		c.status, c.requestID, c.class = f.kind.status, "", f.kind.class
		w.note(d, c, f)
		if f.kind.reset {
			return nil, io.EOF
		}
		return answer(r, f.kind.status, []byte(f.kind.body)), nil
	}
	w.note(d, c, f)
	return resp, nil
}

// alter applies a change. It needs mu.
func (w *world) alter(x change) {
	w.count("changes by others")
	if x.what == "rotate" {
		w.rotate()
		return
	}
	s := w.now().clone()
	x.apply(w.cloud, s)
	w.history = append(w.history, s)
	for _, d := range w.deliveries {
		if d.ended.IsZero() {
			d.settled = false
		}
	}
}

func (w *world) now() *state { return w.history[len(w.history)-1] }

// note remembers a call that has ended.
func (w *world) note(d *delivery, c call, f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.calls = append(d.calls, c)
	if f.kind.name != "" {
		w.count("fault " + f.kind.name)
		w.count("faults " + cmp.Or(f.kind.class, "without an answer"))
		if c.effective && c.status/100 != 2 {
			w.count("writes whose answers are lost")
		}
	}
	refused := c.class == "refused" || c.class == "conflict"
	if !refused || c.method != http.MethodGet || f.kind.status == 0 {
		return
	}
	d.lied = true
	if strings.HasPrefix(c.path, "/v1/organizations/accounts/") && !strings.HasSuffix(c.path, "/delegated-services") ||
		strings.HasPrefix(c.path, "/v1/organizations/create-account-status/") {
		d.denied = true
	}
}

// serve has the fake answer, or the fault, or an earlier answer. Calls are served one at a time.
func (w *world) serve(c *call, r *http.Request, f fault) *http.Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := len(w.history) - 1
	if f.kind.stale && c.method == http.MethodGet {
		if old, ok := w.earlier[r.URL.String()]; ok {
			for _, d := range w.deliveries { // whoever reads it believes it
				if d.ended.IsZero() {
					d.from, d.settled = min(d.from, old.at), d.settled && old.at == at
				}
			}
			c.status = http.StatusOK
			return answer(r, http.StatusOK, old.body)
		}
	}
	if f.kind.status != 0 && !f.kind.after {
		text := f.kind.text
		if f.kind.echo {
			w.echoed = true
			text = "who are you, " + r.Header.Get("Authorization") + " with " + r.Header.Get("X-Security-Token")
		}
		var body []byte
		if f.kind.body != "" {
			body = []byte(f.kind.body)
		}
		w.cloud.Script("", "", huaweitest.Fault{
			Status: f.kind.status, Code: f.kind.code, Message: text, Body: body, Header: f.kind.header,
		})
	}
	resp, err := w.cloud.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
	if err != nil {
		panic(err) // it cuts no connection unless it is told to
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if c.method == http.MethodGet && resp.StatusCode == http.StatusOK && f.kind.status == 0 {
		w.earlier[r.URL.String()] = served{body, at}
	}
	c.status, c.requestID = resp.StatusCode, resp.Header.Get("X-Request-Id")
	c.class = f.kind.class
	if f.kind.status == 0 || f.kind.after {
		c.class = classOf(resp.StatusCode)
	}
	done := c.method == http.MethodPost && resp.StatusCode/100 == 2 && (f.kind.status == 0 || f.kind.after)
	if !done {
		return resp
	}
	c.effective = true
	w.count("writes")
	s := w.now().clone()
	kind, name, _ := strings.Cut(c.thing, " ")
	switch kind {
	case "region":
		s.region = name
	case "service":
		s.trusted = append(s.trusted, name)
	default:
		id, principal, _ := strings.Cut(name, " ")
		s.delegated[id] = append(s.delegated[id], principal)
	}
	w.history = append(w.history, s)
	return resp
}

// classOf is what an answer of the fake itself means, which always has a code.
func classOf(status int) string {
	switch status {
	case http.StatusConflict:
		return "conflict"
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		return "refused"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "misconfigured"
	}
	return ""
}

func answer(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// thingOf is what a write is to register.
func thingOf(path string, body []byte) string {
	var fields map[string]string
	_ = json.Unmarshal(body, &fields)
	switch {
	case strings.HasSuffix(path, "/register-regions"):
		return "region " + fields["region_id"]
	case strings.HasSuffix(path, "/trusted-services/enable"):
		return "service " + fields["service_principal"]
	case strings.HasSuffix(path, "/delegated-administrators/register"):
		return "admin " + fields["account_id"] + " " + fields["service_principal"]
	}
	return ""
}

func (w *world) deliveryOf(ctx context.Context) *delivery {
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	return d
}

// begin is the delivery of messages to a function.
func (w *world) begin(messages []sent) *delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &delivery{
		world: w, messages: messages, from: len(w.history) - 1, began: time.Now(), calm: w.calm, settled: true,
	}
	w.deliveries = append(w.deliveries, d)
	if !w.calm {
		for _, k := range w.plan.kills {
			if k.delivery == len(w.deliveries) {
				d.killAt, d.killAfter = k.call, k.after
			}
		}
	}
	return d
}

// end is called when the function has answered, or died.
func (w *world) end(d *delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.ended, d.to = time.Now(), len(w.history)-1
	if d.dead {
		w.count("kills")
	}
}

// during reports whether something was true at some moment of the delivery.
func (w *world) during(d *delivery, is func(*state) bool) bool {
	to := d.to
	if d.ended.IsZero() {
		to = len(w.history) - 1
	}
	return slices.ContainsFunc(w.history[d.from:to+1], is)
}

// checkWrite checks a write before the cloud sees it. It needs mu.
func (w *world) checkWrite(d *delivery, thing string) {
	if !w.during(d, func(s *state) bool { return w.plan.cfg.mayWrite(w.plan.function, d.messages, thing, s) }) {
		w.breaks("a write that nobody may ask for: %s", thing)
	}
	if d.lied {
		return
	}
	lacks := func(s *state) bool {
		return !s.has(thing) && (!strings.HasPrefix(thing, "region ") || s.region == "")
	}
	if !w.during(d, lacks) {
		w.breaks("a write of what a read would have shown: %s", thing)
	}
	kind, name, _ := strings.Cut(thing, " ")
	switch kind {
	case "service":
		if !w.during(d, func(s *state) bool { return slices.Contains(s.services, name) }) {
			w.breaks("a write for a service that doesn't exist: %s", thing)
		}
	case "admin":
		id, principal, _ := strings.Cut(name, " ")
		if !w.during(d, func(s *state) bool {
			a, ok := s.accounts[id]
			return ok && a.status != "suspended" && a.status != "pending_closure"
		}) {
			w.breaks("a write for an account that is not active: %s", thing)
		}
		if !w.during(d, func(s *state) bool { return slices.Contains(s.trusted, principal) }) {
			w.breaks("a write for a service without trusted access: %s", thing)
		}
	}
}
