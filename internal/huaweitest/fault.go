package huaweitest

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Fault is what happens to a request instead of, or before, its being served. The zero Fault does
// nothing, once.
type Fault struct {
	When  Stage
	Skip  int // so many matching requests pass untouched before the first is hit
	Times int // how many requests are hit; 0 is one, Forever is all

	// Delay is waited for first. It ends early, and the connection is cut, when the request's
	// context ends.
	Delay time.Duration

	// Reset cuts the connection without an answer. Over a kept-alive connection net/http then sends
	// a GET again by itself, at once.
	Reset bool

	// Status is the answer's. 0 has the request served as ever, so that only Delay and Header make
	// a difference.
	Status int

	// Code and Message make the error body of a Status from 400 on.
	Code    string
	Message string

	// Body, if not nil, is sent with Status as it is, in place of the error body; []byte{} is an
	// empty one. Code is recorded all the same.
	Body []byte

	// Header is laid over the answer's headers. A nil value leaves one out, Date for instance. A
	// Content-Length above that of the body truncates the answer, given a real connection.
	Header http.Header
}

// Forever as a Fault's Times makes it hit every request.
const Forever = -1

// Stage says how far a request gets before a [Fault] hits it.
type Stage int

const (
	// BeforeSignature is the default: the request needs no valid signature, nor even an existing
	// API, and changes nothing.
	BeforeSignature Stage = iota
	// AfterSignature leaves requests alone that the gateway refuses. Those it hits change nothing.
	AfterSignature
	// AfterWrite is AfterSignature with the request served: what it writes is written, only its
	// answer is lost.
	AfterWrite
)

// Script queues faults for requests with the method and path. The path is a request's, escaped as
// sent, or the pattern of an API, like "/v1/organizations/accounts/{account_id}"; "" is any method,
// or any path. A request is hit by the first of all queued faults that matches it and is not used
// up. Script panics on a fault that has something to answer but no Status.
func (c *Cloud) Script(method, path string, faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		if f.Status == 0 && (f.Code != "" || f.Message != "" || f.Body != nil) {
			panic("huaweitest: a Fault with Code, Message or Body needs a Status")
		}
		f.Times = cmp.Or(f.Times, 1)
		c.script = append(c.script, &scripted{method, path, f})
	}
}

type scripted struct {
	method string
	path   string
	Fault
}

func (s *scripted) matches(q call) bool {
	return (s.method == "" || s.method == q.Method) &&
		(s.path == "" || s.path == q.Path || s.path == q.route.pattern)
}

// nextFault takes the fault that hits the call, or the zero one.
func (c *Cloud) nextFault(q call) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.script, func(s *scripted) bool { return s.matches(q) })
	if i < 0 {
		return Fault{}
	}
	s := c.script[i]
	if s.When != BeforeSignature && (q.route.serve == nil || q.refused != nil) {
		return Fault{}
	}
	if s.Skip > 0 {
		s.Skip--
		return Fault{}
	}
	if s.Times > 0 {
		s.Times--
		if s.Times == 0 {
			c.script = slices.Delete(c.script, i, i+1)
		}
	}
	return s.Fault
}
