package huaweitest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// Request is the record of a request and how it was answered. It holds what a test for leaks needs,
// Authorization and X-Security-Token included, but prints and logs itself without headers and body.
type Request struct {
	ID       string    // the X-Request-Id it was answered with
	Time     time.Time // when it arrived, by the cloud's clock
	Method   string
	Host     string
	Path     string // escaped, as sent
	RawQuery string
	Header   http.Header `json:"-"`
	Body     []byte

	Verified  bool   // the signature is right, or the API asks for none, whatever the answer
	Status    int    // 0 as long as there is no answer, and when the connection was cut
	ErrorCode string // the code in the answer, "" for none
}

// Requests returns all requests in the order of arrival, those not answered yet included, as far as
// they are kept. Headers and bodies are shared: don't change them.
func (c *Cloud) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// KeepRequests forgets all but about the last n requests from now on, so that a fake that serves
// for hours doesn't fill the memory. 0 keeps all.
func (c *Cloud) KeepRequests(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = n
}

// record needs mu. It begins the record of a request and returns its place among all requests.
func (c *Cloud) record(r *Request) int {
	if c.keep > 0 && len(c.requests) >= 2*c.keep { // seldom, since it copies
		c.forgotten += len(c.requests) - c.keep
		c.requests = slices.Clone(c.requests[len(c.requests)-c.keep:])
	}
	place := c.forgotten + len(c.requests)
	r.ID = fmt.Sprintf("%032x", place+1)
	c.requests = append(c.requests, *r)
	return place
}

// complete needs mu. It replaces the record of a request that is answered, unless it is forgotten.
func (c *Cloud) complete(place int, r Request) {
	if i := place - c.forgotten; i >= 0 {
		c.requests[i] = r
	}
}

// OnRequest sets a function that is called with every request just before its answer is sent, from
// several goroutines at once if requests come so. nil is none.
func (c *Cloud) OnRequest(f func(Request)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onRequest = f
}

// String returns one line: method, path and query, status, error code, and "(unverified)" if the
// signature is not right.
func (r Request) String() string {
	s := r.Method + " " + r.Path
	if r.RawQuery != "" {
		s += "?" + r.RawQuery
	}
	if r.Status == 0 {
		s += " no answer"
	} else {
		s += fmt.Sprintf(" %d", r.Status)
	}
	if r.ErrorCode != "" {
		s += " " + r.ErrorCode
	}
	if !r.Verified {
		s += " (unverified)"
	}
	return s
}

// Format prints String whatever the verb, so that %+v, %#v and %x show no header either.
func (r Request) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, r.String())
}

// LogValue returns what String does, as attributes.
func (r Request) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("request_id", r.ID),
		slog.String("method", r.Method),
		slog.String("path", r.Path),
		slog.String("query", r.RawQuery),
		slog.Int("status", r.Status),
		slog.String("error_code", r.ErrorCode),
		slog.Bool("verified", r.Verified),
	)
}
