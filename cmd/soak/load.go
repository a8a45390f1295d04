package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const source = "/soak"

// job is an event with what is sent of it.
type job struct {
	*event
	body []byte
}

func (j job) key() string { return key(j.function, j.source, j.id) }

// load makes events. Each is about an account of its own, so what a result says of it can be
// checked.
type load struct {
	*soak
	dice *dice
	n    int
}

// run makes events as fast as the phase says, until ctx ends. It waits while too many are under
// way.
func (l *load) run(ctx context.Context, rate float64) {
	const most = 300
	for {
		wait := time.Duration(float64(time.Second) / (rate * l.phases.now().load))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if l.books.waiting() < most {
			l.next(ctx)
		}
	}
}

func (l *load) next(ctx context.Context) {
	l.n++
	if l.dice.chance(0.15) {
		l.bootstrap(ctx)
		return
	}
	j := l.admin()
	switch byHTTP := l.dice.chance(0.4) && !j.poison; {
	case byHTTP && l.dice.chance(0.1): // by both ways
		l.enqueue(j)
		l.request(ctx, j)
	case byHTTP:
		l.request(ctx, j)
	default:
		l.enqueue(j)
		if l.dice.chance(0.1) {
			l.enqueue(j)
		}
	}
	if !j.poison {
		l.addMember(j.event)
	}
}

// bootstrap asks for the region and the services, of all functions that take it.
func (l *load) bootstrap(ctx context.Context) {
	id := fmt.Sprintf("bootstrap-%06d", l.n)
	for _, function := range []string{"register-region", "register-service"} {
		j := newJob(&event{function: function, id: id}, "org.bootstrap", time.Now(), map[string]any{})
		if function == "register-region" && l.dice.chance(0.5) {
			l.request(ctx, j)
		} else {
			l.enqueue(j)
		}
	}
}

func newJob(e *event, eventType string, at time.Time, data map[string]any) job {
	e.source = source
	body, _ := json.Marshal(map[string]any{ // strings, booleans and times
		"specversion": "1.0", "id": e.id, "source": e.source, "type": eventType,
		"time": at.UTC().Format(time.RFC3339Nano), "data": data,
	})
	return job{e, body}
}

// admin makes an event about a new account. What it asks for, and what the account is, decides what
// may become of it.
func (l *load) admin() job {
	id := fmt.Sprintf("account-%06d", l.n)
	e := &event{function: "register-admin", id: "created-" + id}
	eventType, at, data := "account.created", time.Now(), map[string]any{"account_id": id}
	if l.dice.chance(0.3) { // a dead letter that is put back hours later
		at = at.Add(-2 * time.Hour)
	}
	name, invited, joins := "security", false, time.Duration(0)
	var then func() // when it has joined
	kind := l.dice.n(100)
	switch {
	case kind < 8:
		name = "shop"
	case kind < 12:
		invited = true // and calls itself what it likes
	case kind < 30:
		name = "logging"
	case kind < 36:
		e.services = []string{"service.CTS"}
	case kind < 40:
		e.services = []string{"service.RAM", "service.SecMaster"} // the first isn't given
	case kind < 50:
		at, joins = time.Now(), l.dice.between(200*time.Millisecond, 4*time.Second)
	case kind < 55: // told by the id of its creation
		at, joins = time.Now(), l.dice.between(200*time.Millisecond, 4*time.Second)
		data = map[string]any{"create_account_status_id": "creation-" + id}
		l.world.cloud.SetCreateAccountStatus("creation-"+id, "in_progress", "")
		then = func() { l.world.cloud.SetCreateAccountStatus("creation-"+id, "succeeded", id) }
	case kind < 57:
		data = map[string]any{"create_account_status_id": "creation-" + id}
		l.world.cloud.SetCreateAccountStatus("creation-"+id, "failed", "")
		e.fails, joins = true, -1
	case kind < 60:
		at, joins = time.Now().Add(-2*time.Hour), -1
	case kind < 63:
		then = func() { l.world.setStatus(l.world.find(id), "suspended") }
	case kind < 67:
		then = func() { l.world.delegate(l.world.find(id), "service.CTS", true) }
	case kind < 70:
		data["dry_run"], e.dryRun = true, true
	case kind < 72:
		data["account_id"], e.invalid, joins = "not an id", true, -1
	case kind < 73:
		eventType, e.poison, joins = "account.closed", true, -1
	}
	if e.services != nil {
		data["service_principals"] = e.services
	}
	given := rules[name]
	if invited {
		given = nil
	}
	if !e.poison {
		e.account = l.world.plan(id, given)
	}
	join := func() {
		if joins >= 0 {
			l.world.join(e.account, name, invited)
		}
		if then != nil {
			then()
		}
	}
	if joins > 0 {
		time.AfterFunc(joins, join)
	} else {
		join()
	}
	return newJob(e, eventType, at, data)
}

// enqueue sends an event to the queue of its function.
func (s *soak) enqueue(j job) {
	s.books.sent(j.event)
	if _, err := s.triggers[j.function].Queue.Send(string(j.body), ""); err != nil {
		s.books.accuse(lost, err.Error())
	}
}

// request hands an event to the clients of its function's HTTP servers.
func (s *soak) request(ctx context.Context, j job) {
	s.books.sent(j.event)
	select {
	case s.jobs[j.function] <- j:
	case <-ctx.Done(): // the load ends
		s.books.gone(j.key(), time.Now())
	}
}

// client sends events to the servers of a function, each until it is answered for good, as senders
// do that have a queue of their own. It ends when there are no more.
func (s *soak) client(ctx context.Context, function string, number int) {
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	dice := newDice(s.seed, uint64(100+10*len(function)+number))
	places := []string{inAnswer}
	if function == "register-admin" {
		places = append(places, atSink)
	}
	for j := range s.jobs[function] {
		for attempt := 1; ; attempt++ {
			if attempt > 1 {
				s.books.count(again, "by clients of HTTP servers")
			}
			server := s.servers[function][dice.n(len(s.servers[function]))]
			name, begun := fmt.Sprintf("client %d, attempt %d", number, attempt), time.Now()
			s.books.begun(j.key(), name, begun)
			status, wait, body, err := post(ctx, c, "http://"+server.server.address, j.body)
			if err == nil {
				s.leaks.look("an answer of "+server.kind, body)
			}
			now := time.Now()
			if err == nil && status == http.StatusOK {
				s.books.result(function, inAnswer, body, now)
				s.books.ended(j.key(), name, now, true, places...)
				break
			}
			s.books.ended(j.key(), name, now, false)
			if ctx.Err() != nil {
				s.keep(j)
				break
			}
			time.Sleep(max(min(wait, time.Second), dice.between(50*time.Millisecond, 400*time.Millisecond)))
		}
	}
}

// keep notes that a client still has an event when all ends.
func (s *soak) keep(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsent = append(s.unsent, j.key())
}

// post sends an event and returns the answer, and how long to wait if it asks for that.
func post(ctx context.Context, c *http.Client, url string, event []byte) (int, time.Duration, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(event))
	if err != nil {
		return 0, 0, nil, err
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	resp, err := c.Do(req)
	if err != nil {
		return 0, 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return resp.StatusCode, time.Duration(seconds) * time.Second, body, err
}
