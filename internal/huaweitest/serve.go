package huaweitest

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
	"time"
)

// call is a request on its way to its answer.
type call struct {
	Request
	place   int         // where its record is among all requests
	route   route       // zero for an unknown API
	id      string      // what stands for the {...} of the route
	caller  Credentials // who signed it
	refused error       // what is wrong with the signature
}

// reply is the answer of the gateway or a service: an error, or a success with a JSON body or none.
type reply struct {
	Error
	encoded string // the encoded_authorization_message of an error, "" for none
	body    any
}

// response is what goes over the wire. Without a status nothing does: the connection is cut.
type response struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP answers as Huawei Cloud would. It panics with [http.ErrAbortHandler] to cut the
// connection.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp := c.exchange(r)
	if resp.status == 0 {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), resp.header)
	w.WriteHeader(resp.status)
	_, _ = w.Write(resp.body)
}

// RoundTrip answers as ServeHTTP does, without a network. A connection that is cut is [io.EOF], or
// the cause why the request's context ended.
func (c *Cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	resp := c.exchange(r)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	if resp.status == 0 {
		return nil, io.EOF
	}
	if r.Method == http.MethodHead {
		resp.body = nil
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", resp.status, http.StatusText(resp.status)),
		StatusCode:    resp.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        resp.header,
		Body:          io.NopCloser(bytes.NewReader(resp.body)),
		ContentLength: int64(len(resp.body)),
		Request:       r,
	}, nil
}

func (c *Cloud) exchange(r *http.Request) response {
	q, err := c.receive(r)
	if err != nil {
		return c.send(q, reply{}, Fault{}) // the client is gone
	}
	f := c.nextFault(q)

	var a reply
	if f.When == AfterWrite {
		a = c.serve(q)
	}
	if !wait(r.Context(), f.Delay) || f.Reset {
		return c.send(q, reply{}, f)
	}
	if f.When != AfterWrite && f.Status == 0 {
		a = c.serve(q)
	}
	if f.Status != 0 {
		a = reply{Error: Error{f.Status, f.Code, f.Message}}
	}
	return c.send(q, a, f)
}

// receive reads the request, as a server got it or as a client is about to send it, and begins its
// record.
func (c *Cloud) receive(r *http.Request) (call, error) {
	q := call{Request: Request{
		Time:     c.now(),
		Method:   cmp.Or(r.Method, http.MethodGet),
		Host:     cmp.Or(r.Host, r.URL.Host),
		Path:     cmp.Or(r.URL.EscapedPath(), "/"),
		RawQuery: r.URL.RawQuery,
		Header:   http.Header{},
	}}
	for name, values := range r.Header {
		for _, v := range values {
			q.Header.Add(name, v)
		}
	}
	var err error
	if r.Body != nil {
		q.Body, err = io.ReadAll(r.Body)
	}
	q.route, q.id = match(q.Method, q.Path)
	q.caller, q.refused = c.verify(q.Request)
	if q.route.isOpen() {
		q.refused = nil
	}
	q.Verified = q.refused == nil

	c.mu.Lock()
	defer c.mu.Unlock()
	q.place = c.record(&q.Request)
	return q, err
}

// serve passes the gateway and applies the call.
func (c *Cloud) serve(q call) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case q.route.serve == nil:
		return fail(
			404, "APIGW.0101",
			"The API does not exist or has not been published in the environment: "+q.Method+" "+q.Path,
		)
	case q.refused != nil:
		return fail(401, "APIGW.0301", "Incorrect IAM authentication information: "+q.refused.Error())
	case !c.quota.take(q.route, q.Time):
		return fail(429, "APIGW.0308", fmt.Sprintf("The throttling threshold has been reached: "+
			"policy user over ratelimit,limit:%d,time:%s", c.quota.n, c.quota.per))
	}
	for action := range strings.FieldsSeq(q.route.actions) {
		if !c.allows(q.caller, action) {
			return c.deny(q.route, action)
		}
	}
	return q.route.serve(c, q)
}

// send completes the record before the client can see the answer, so that a test finds it complete.
func (c *Cloud) send(q call, a reply, f Fault) response {
	q.Status, q.ErrorCode = a.Status, a.Code
	c.mu.Lock()
	c.complete(q.place, q.Request)
	onRequest := c.onRequest
	c.mu.Unlock()
	if onRequest != nil {
		onRequest(q.Request)
	}
	if a.Status == 0 {
		return response{}
	}

	resp := response{status: a.Status, header: http.Header{
		"Date":         {c.now().UTC().Format(http.TimeFormat)},
		"X-Request-Id": {q.ID},
	}}
	if a.Status >= 400 {
		body := map[string]string{"error_code": a.Code, "error_msg": a.Message, "request_id": q.ID}
		if a.encoded != "" {
			body["encoded_authorization_message"] = a.encoded
		}
		a.body = body
	}
	switch {
	case f.Status != 0 && f.Body != nil:
		resp.body = f.Body
		resp.header.Set("Content-Type", http.DetectContentType(f.Body))
	case a.body != nil:
		resp.body, _ = json.Marshal(a.body) // maps, strings, numbers and times
		resp.header.Set("Content-Type", "application/json")
	}
	for name, values := range f.Header {
		resp.header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	return resp
}

// wait reports whether the client is still there after d.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// quota counts calls per API in fixed windows.
type quota struct {
	n       int
	per     time.Duration
	windows map[string]*window
}

type window struct {
	start time.Time
	calls int
}

func (q quota) take(rt route, now time.Time) bool {
	if q.n == 0 {
		return true
	}
	api := rt.method + " " + rt.pattern
	w := q.windows[api]
	if w == nil || now.Sub(w.start) >= q.per {
		w = &window{start: now}
		q.windows[api] = w
	}
	w.calls++
	return w.calls <= q.n
}
