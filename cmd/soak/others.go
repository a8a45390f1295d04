package main

import (
	"context"
	"slices"
	"time"
)

// members are the accounts of the organization, with the events about them. An organization of all
// accounts that there ever were would make audits longer and longer, so old ones leave.
const maxMembers = 60

func (s *soak) addMember(e *event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = append(s.members, e)
	for i := 0; len(s.members) > maxMembers && i < len(s.members); {
		if one := s.members[i]; s.books.isDone(one) {
			s.members = slices.Delete(s.members, i, i+1)
			s.retire(one.account)
		} else {
			i++
		}
	}
}

// retire takes an account out of the organization. Events and audits may know it for a while.
func (s *soak) retire(a *account) {
	s.world.leave(a)
	time.AfterFunc(time.Minute, func() { s.world.forget(a) })
}

// others are the other administrators of the organization: they do and undo by hand what the
// functions are for. What they leave in a state that nobody can repair, they undo.
func (s *soak) others(ctx context.Context) {
	d := newDice(s.seed, 2)
	type undo struct {
		at time.Time
		do func()
	}
	var undos []undo
	later := func(do func()) {
		undos = append(undos, undo{time.Now().Add(d.between(time.Second, 3*time.Second)), do})
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(d.between(100*time.Millisecond, 600*time.Millisecond)):
		}
		undos = slices.DeleteFunc(undos, func(u undo) bool {
			due := time.Now().After(u.at)
			if due {
				u.do()
			}
			return due
		})
		a := s.anyMember(d)
		if a == nil {
			continue
		}
		service := services[d.n(len(services))]
		switch kind := d.n(20); {
		case kind < 10:
			s.world.delegate(a, service, false)
		case kind < 12 && a.given == nil: // nobody wanted that
			s.world.delegate(a, service, true)
			later(func() { s.world.delegate(a, service, false) })
		case kind < 12 && slices.Contains(a.given, service): // somebody is faster
			s.world.delegate(a, service, true)
		case kind < 14:
			if s.world.setStatus(a, "suspended") {
				later(func() { s.world.setStatus(a, "active") })
			}
		case kind == 14:
			s.world.trust(service, false) // an event or an audit repairs it
		case kind == 15:
			s.world.setRegion(region, "")
		case kind == 16:
			if s.world.setRegion("", otherRegion) {
				later(func() { s.world.setRegion(otherRegion, "") })
			}
		}
	}
	for _, u := range undos {
		u.do()
	}
}

// anyMember is an account of the organization, nil if there is none.
func (s *soak) anyMember(d *dice) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.members) == 0 {
		return nil
	}
	return s.members[d.n(len(s.members))].account
}

// tidy takes away the accounts that nobody can make administrators.
func (s *soak) tidy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(e *event) bool {
		suspended := s.world.statusOf(e.account) == "suspended"
		if suspended {
			s.retire(e.account)
		}
		return suspended
	})
}
