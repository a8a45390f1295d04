package main

import (
	"slices"
	"sync"
	"time"

	"registrar/internal/huaweitest"
)

// What shall be, and all that may be: the rules of the functions.
const (
	region        = "cn-north-4"
	otherRegion   = "cn-south-1"
	trustedList   = "service.SecMaster,service.CTS,service.RAM"
	administrates = "service.SecMaster=name:security,service.CTS=name:security,service.RAM=name:logging"
)

var (
	services = []string{"service.SecMaster", "service.CTS", "service.RAM"}
	// rules are what accounts of these names administer, if they were created and not invited.
	rules = map[string][]string{
		"security": {"service.SecMaster", "service.CTS"},
		"logging":  {"service.RAM"},
	}
)

// history is what something was, and since when. Before the first moment it was the zero value.
type history[T comparable] []moment[T]

type moment[T comparable] struct {
	since time.Time
	value T
}

func (h *history[T]) set(at time.Time, value T) { *h = append(*h, moment[T]{at, value}) }

func (h history[T]) now() (value T) {
	if len(h) > 0 {
		value = h[len(h)-1].value
	}
	return value
}

// during reports whether it was something that fits at any moment between from and to.
func (h history[T]) during(from, to time.Time, fits func(T) bool) bool {
	var before moment[T]
	for _, m := range append(slices.Clone(h), moment[T]{since: to.Add(1)}) {
		if !m.since.Before(from) && !before.since.After(to) && fits(before.value) {
			return true
		}
		before = m
	}
	return false
}

func (h history[T]) was(value T, from, to time.Time) bool {
	return h.during(from, to, func(v T) bool { return v == value })
}

// account is an account of the organization. World's mu guards it.
type account struct {
	id      string
	given   []string        // what the rules give it
	status  history[string] // "" while it is not in the organization
	has     map[string]*history[bool]
	written map[string][]time.Time // when a function made it an administrator
	refused map[string][]time.Time // when a function was refused to
}

func (a *account) administers(service string) *history[bool] {
	if a.has[service] == nil {
		a.has[service] = &history[bool]{}
	}
	return a.has[service]
}

// world is the organization in the fake cloud, and what it was at any time, which the judge asks.
// All changes go through it.
type world struct {
	cloud *huaweitest.Cloud

	mu       sync.Mutex
	region   history[string]
	trusted  map[string]*history[bool]
	accounts map[string]*account
	written  map[string][]time.Time // when a function registered a region or a service
	refused  map[string][]time.Time // when a function was refused to
}

func newWorld(cloud *huaweitest.Cloud) *world {
	w := &world{
		cloud: cloud, trusted: map[string]*history[bool]{}, accounts: map[string]*account{},
		written: map[string][]time.Time{}, refused: map[string][]time.Time{},
	}
	for _, s := range services {
		w.trusted[s] = &history[bool]{}
	}
	cloud.AddService(services...)
	return w
}

// plan makes an account known to the judge that isn't in the organization yet.
func (w *world) plan(id string, given []string) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &account{
		id: id, given: given, has: map[string]*history[bool]{},
		written: map[string][]time.Time{}, refused: map[string][]time.Time{},
	}
	w.accounts[id] = a
	return a
}

// join takes the account into the organization.
func (w *world) join(a *account, name string, invited bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.status.set(time.Now(), "active")
	if invited {
		w.cloud.InviteAccount(a.id, name)
	} else {
		w.cloud.NameAccount(a.id, name)
	}
}

// setStatus changes the status of an account, unless it has left or has that status. It reports
// whether it did.
func (w *world) setStatus(a *account, status string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before := a.status.now(); before == "" || before == status {
		return false
	}
	a.status.set(time.Now(), status)
	w.cloud.AddAccount(a.id, status)
	return true
}

func (w *world) statusOf(a *account) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return a.status.now()
}

func (w *world) leave(a *account) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if a.status.now() == "" {
		return
	}
	a.status.set(now, "")
	for _, h := range a.has {
		h.set(now, false)
	}
	w.cloud.RemoveAccount(a.id)
}

// forget frees the memory of an account that left long ago. An event may still know it.
func (w *world) forget(a *account) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.accounts, a.id)
}

func (w *world) find(id string) *account {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accounts[id]
}

// delegate makes an account an administrator, or ends that, as another administrator does it.
func (w *world) delegate(a *account, service string, shall bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.status.now() == "" || a.administers(service).now() == shall {
		return
	}
	a.administers(service).set(time.Now(), shall)
	if shall {
		w.cloud.Delegate(a.id, service)
	} else {
		w.cloud.Undelegate(a.id, service)
	}
}

// trust enables trusted access for a service, or disables it, as another administrator does it.
func (w *world) trust(service string, shall bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trusted[service].set(time.Now(), shall)
	if shall {
		w.cloud.TrustService(service)
	} else {
		w.cloud.Distrust(service)
	}
}

// setRegion registers a region or deletes it, as another administrator does it. It reports whether
// the region before was the one that it shall replace.
func (w *world) setRegion(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.region.now() != from {
		return false
	}
	w.region.set(time.Now(), to)
	w.cloud.SetRegion(to)
	return true
}

// wrote notes that a function's write had an effect, and returns what is wrong with that.
func (w *world) wrote(at time.Time, path string, body map[string]string) (wrong string) {
	service := body["service_principal"]
	switch path {
	case registerRegion:
		if before := w.region.now(); before != "" || body["region_id"] != region {
			wrong = "region " + body["region_id"] + " was registered in place of " + before
		}
		w.region.set(at, body["region_id"])
		w.written["region"] = append(w.written["region"], at)
	case enableService:
		if w.trusted[service] == nil {
			return "trusted access was enabled for " + service + ", which no rule names"
		}
		w.trusted[service].set(at, true)
		w.written[service] = append(w.written[service], at)
	case registerAdmin:
		a := w.accounts[body["account_id"]]
		if a == nil || !slices.Contains(a.given, service) {
			return "account " + body["account_id"] + " was made an administrator of " + service +
				", which no rule gives it"
		}
		a.administers(service).set(at, true)
		a.written[service] = append(a.written[service], at)
	}
	return wrong
}

// refuse notes that a function's write was refused by somebody who named an error.
func (w *world) refuse(at time.Time, path string, body map[string]string) {
	service := body["service_principal"]
	switch a := w.accounts[body["account_id"]]; {
	case path == registerRegion:
		w.refused["region"] = append(w.refused["region"], at)
	case path == enableService:
		w.refused[service] = append(w.refused[service], at)
	case a != nil:
		a.refused[service] = append(a.refused[service], at)
	}
}

// count is how many of the times lie between from and to.
func count(times []time.Time, from, to time.Time) int {
	n := 0
	for _, t := range times {
		if !t.Before(from) && !t.After(to) {
			n++
		}
	}
	return n
}
