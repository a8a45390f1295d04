package decisions

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"registrar/internal/huaweitest"
	"registrar/pkg/wire"
)

// Meaning is what an answer means to the call that gets it.
type Meaning string

// The meanings. What is refused, and what isn't said clearly, the function decides by the state.
const (
	Works         Meaning = "works"                              // in the end
	Refused       Meaning = "is refused"                         // by a service that names its error
	Conflict      Meaning = "is refused by a 409"                // likewise
	NoRegion      Meaning = "is told that no region is there"    // likewise; to most calls it is a refusal like others
	Contradicted  Meaning = "is answered by a 2xx with an error" // a write, which did nothing
	Lost          Meaning = "works, and is answered otherwise"   // a write that did what it should
	Transient     Meaning = "fails, transient"
	Misconfigured Meaning = "fails, misconfigured"
)

// Class is a number of answers with the same meaning.
type Class struct {
	Read, Write Meaning
	Times       int  // how often the call is made
	WriteTimes  int  // how often a write is, if that differs
	Worked      bool // a write did what it should, though it fails
	Lists       bool // only lists that come in pages are answered so
	Answers     []Answer
}

// meaning returns what the class means to a call with the method, and how often that is made.
func (c Class) meaning(method string) (Meaning, int) {
	if method == http.MethodGet {
		return c.Read, c.Times
	}
	return c.Write, cmp.Or(c.WriteTimes, c.Times)
}

// Answer is one way to answer a call.
type Answer struct {
	Name  string // begins with the status
	Fault huaweitest.Fault

	Wait time.Duration // that it asks for, and gets

	// The rest is what the fake itself doesn't do.
	Within time.Duration                          // how long the invocation may take; 0 is for ever
	Err    error                                  // why there is no answer, in place of the Fault's Reset
	Cut    bool                                   // the body breaks off in the middle
	List   func(n int) (items, nextMarker string) // what the n-th answer lists
}

const (
	page  = "<html><title>Maintenance</title></html>"
	clock = "Sat, 01 Jan 2000 00:00:00 GMT" // when every row begins

	// Parts of names.
	html      = "an HTML page"
	once      = ", once"
	thrice    = ", three times"
	byWorking = ", though a write works"
)

// coded are answers of a service or the gateway, one for each code.
func coded(status int, codes ...string) []Answer {
	var all []Answer
	for _, code := range codes {
		all = append(all, Answer{
			Name:  fmt.Sprintf("%d `%s`", status, code),
			Fault: huaweitest.Fault{Status: status, Code: code, Message: "for reasons", Times: huaweitest.Forever},
		})
	}
	return all
}

// bare are answers of the status with a body that isn't the service's own, one for each name.
func bare(status int, bodies ...string) []Answer {
	all := make([]Answer, 0, len(bodies)/2)
	for pair := range slices.Chunk(bodies, 2) {
		all = append(all, Answer{
			Name:  fmt.Sprintf("%d %s", status, pair[0]),
			Fault: huaweitest.Fault{Status: status, Body: []byte(pair[1]), Times: huaweitest.Forever},
		})
	}
	return all
}

// pages are answers of the statuses with a page for people, as proxies, firewalls and maintenance
// answer.
func pages(statuses ...int) []Answer {
	var all []Answer
	for _, status := range statuses {
		all = append(all, bare(status, html, page)...)
	}
	return all
}

// with is the first of the answers under another name, changed.
func with(all []Answer, name string, change func(*Answer)) Answer {
	a := all[0]
	a.Name = strings.TrimSpace(a.Name[:4]) + " " + name
	change(&a)
	return a
}

// takes is how long the call takes if it is made so many times.
func (a Answer) takes(times int) time.Duration {
	const timeout, margin = 10 * time.Second, 2 * time.Second
	waits := times - 1
	if a.Fault.Times != huaweitest.Forever {
		times, waits = a.Fault.Times, a.Fault.Times
	}
	if a.Within != 0 && a.Fault.Delay != 0 {
		return a.Within - margin
	}
	return min(a.Fault.Delay, timeout)*time.Duration(times) + a.Wait*time.Duration(waits)
}

// waited is the answer, which asks to wait so long and gets it.
func waited(a Answer, wait time.Duration) Answer {
	a.Wait = wait
	return a
}

// headed is the answer with headers in it, each a name and a value.
func headed(all []Answer, name string, headers ...string) Answer {
	return with(all, name, func(a *Answer) {
		a.Fault.Header = http.Header{}
		for pair := range slices.Chunk(headers, 2) {
			a.Fault.Header.Set(pair[0], pair[1])
		}
	})
}

// times are the answers, given so many times; then the call is served.
func times(n int, all ...Answer) []Answer {
	some := slices.Clone(all)
	for i := range some {
		some[i].Name += map[int]string{1: once, 3: thrice}[n]
		some[i].Fault.Times = n
	}
	return some
}

// worked are the answers, though a write that is answered so works.
func worked(all ...Answer) []Answer {
	some := slices.Clone(all)
	for i := range some {
		some[i].Name += byWorking
		some[i].Fault.When = huaweitest.AfterWrite
	}
	return some
}

func unanswered(name string, fault huaweitest.Fault) Answer {
	fault.Times = huaweitest.Forever
	return Answer{Name: name, Fault: fault}
}

// connect is the failure to reach a host because a proxy answers CONNECT so.
func connect(status int) Answer {
	var t http.Transport
	wire.ReportProxy(&t)
	a := unanswered(fmt.Sprintf("none the proxy answers CONNECT with %d", status), huaweitest.Fault{Reset: true})
	a.Err = t.OnProxyConnectResponse(context.Background(), &url.URL{Host: "proxy.example.com:3128"}, nil,
		&http.Response{StatusCode: status})
	return a
}

// listed is the answer of a list that never comes to its end.
func listed(name string, list func(n int) (items, nextMarker string)) Answer {
	a := bare(200, name, "{}")[0]
	a.List = list
	return a
}

// Classes is every class of answer. It follows the documented codes and not the program, which it
// tests.
func Classes() []Class {
	var (
		cut     = unanswered("none the connection is cut", huaweitest.Fault{Reset: true})
		silence = unanswered("none nothing within `REQUEST_TIMEOUT`", huaweitest.Fault{Delay: 11 * time.Second})
		large   = strings.Repeat(" ", 1<<20)
		refused = `{"error_code":"Organizations.9999"}`
		breaks  = func(a *Answer) { a.Cut = true }
		hurried = headed(pages(503), "with `Retry-After: 15` and 10 s left", "Retry-After", "15")
	)
	untrusted := cut
	untrusted.Name = "none the certificate isn't trusted"
	untrusted.Err = &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	hurried.Within = 10 * time.Second
	late := silence
	late.Name, late.Within = "none nothing within `REQUEST_TIMEOUT`, and 15 s left", 15*time.Second
	slow := unanswered("2xx as ever after 9 s", huaweitest.Fault{Delay: 9 * time.Second})
	dated := unanswered("2xx as ever from a server whose clock is wrong", huaweitest.Fault{
		Header: http.Header{"Date": {"Sat, 01 Jan 2000 03:00:00 GMT"}},
	})
	// A server whose clock is 10 min off: more than ours may be, less than what it refuses.
	skewed := func(code, date string) Answer {
		name := fmt.Sprintf("`%s` with a `Date` 10 min off", code)
		return headed(coded(401, code), name, "Date", date)
	}
	const ahead, behind = "Sat, 01 Jan 2000 00:10:00 GMT", "Fri, 31 Dec 1999 23:50:00 GMT"
	quotes := func(as string, text string) []Answer {
		return bare(400, "`Organizations.9999` that quotes the keys "+as,
			`{"error_code":"Organizations.9999","error_msg":`+strconv.Quote(text)+`}`)
	}

	return []Class{
		// Somebody who knows the state says no.
		{Read: Refused, Write: Refused, Times: 1, Answers: slices.Concat(
			coded(400, "Organizations.9999", "IIC.9999", "IdentityCenter.9999", "APIGW.9999", "IIC.1254", "IIC.1006"),
			coded(404, "Organizations.9999", "IIC.9999", "IIC.1215"),
			coded(422, "Organizations.9999", "Organizations.1004"),
			bare(
				400,
				"with `code` and `message`", `{"code":"Organizations.9999","message":"for reasons"}`,
				"with `error.error_code`", `{"error":{"error_code":"Organizations.9999","error_msg":"for reasons"}}`,
				"with `error.code`", `{"error":{"code":"Organizations.9999","message":"for reasons"}}`,
				"with a byte order mark", "\ufeff"+refused,
			),
			quotes("as they are", secretKey+" "+securityToken),
			quotes("in base64", base64.StdEncoding.EncodeToString([]byte(secretKey+" "+securityToken))),
			[]Answer{headed(coded(400, "Organizations.9999"), "`Organizations.9999` whose `X-Request-Id` is a key",
				"X-Request-Id", secretKey)},
		)},
		{Read: NoRegion, Write: Refused, Times: 1, Answers: coded(
			404, "IIC.1254", "IIC.404", "IdentityCenter.1254", "IdentityCenter.404")},
		{Read: Conflict, Write: Conflict, Times: 1, Answers: slices.Concat(
			coded(409, "Organizations.9999", "IIC.1216", "IdentityCenter.1216", "APIGW.9999", "IIC.1254", "IIC.1215"),
			bare(409, "with `error.code`", `{"error":{"code":"Organizations.9999","message":"for reasons"}}`),
		)},
		{Read: Transient, Write: Contradicted, Times: 4, WriteTimes: 1, Answers: bare(
			200,
			"with the `error_code` of a service", `{"error_code":"IIC.1216","error_msg":"for reasons"}`,
			"with the `error_code` of a gateway", `{"error_code":"APIGW.0201"}`,
			"with an `error_code` that is a 409's", `{"error_code":"Organizations.9999"}`,
		)},

		// An operator must act.
		{Read: Misconfigured, Write: Misconfigured, Times: 1, Answers: slices.Concat(
			[]Answer{untrusted, connect(407), connect(403)},
			pages(301, 302, 303, 304, 307, 308), coded(302, "Organizations.9999"),
			coded(401, "APIGW.0301", "Organizations.1002", "IIC.1216", "IIC.1219"), pages(401),
			[]Answer{
				skewed("APIGW.0302", ahead), skewed("Organizations.1002", ahead),
				headed(coded(401, "APIGW.0301"), "`APIGW.0301` with a `Date` 4 min off",
					"Date", "Sat, 01 Jan 2000 00:04:00 GMT"),
			},
			coded(403, "IIC.1000", "Organizations.1007", "Organizations.9999"), pages(403),
			coded(404, "APIGW.0101", "Organizations.1010"), pages(404),
			bare(404, "with a code that is a number", `{"code":404,"message":"no Route matched"}`,
				"with a code that names no service", `{"error_code":"NotFound"}`),
			coded(405, "Organizations.9999"), coded(413, "IIC.9999"), coded(414, "APIGW.9999"),
			pages(405, 407, 413, 414),
			coded(400, "IIC.1215", "IdentityCenter.1215", "IIC.1263", "IdentityCenter.1263", "Organizations.1005",
				"Organizations.1008", "Organizations.1009", "Organizations.1011", "Organizations.1012",
				"Organizations.1305"),
		)},
		{Read: Misconfigured, Write: Misconfigured, Times: 2, Answers: []Answer{
			skewed("APIGW.0301", ahead), skewed("APIGW.0307", behind),
		}},

		// It may cure itself: with time, or with the next attempt.
		{Read: Transient, Write: Transient, Times: 4, Answers: slices.Concat(
			[]Answer{cut, silence, connect(502)},
			coded(500, "Organizations.1000", "IIC.9999"),
			coded(503, "APIGW.0201", "IIC.1254", "IIC.1215"),
			coded(504, "APIGW.0202"), coded(599, "Organizations.9999"), coded(408, "APIGW.0201"),
			coded(409, "IIC.1006", "IdentityCenter.1006", "IIC.1007", "IdentityCenter.1007", "Organizations.1003"),
			coded(400, "Organizations.1004", "Organizations.1006", "IIC.1219", "IdentityCenter.1219"),
			coded(403, "IIC.1219", "IdentityCenter.1219"), coded(404, "IIC.1219"), coded(409, "IIC.1219"),
			coded(402, "Organizations.9999"), coded(406, "IIC.1215"), coded(410, "IIC.1254"),
			coded(412, "Organizations.9999"), coded(415, "APIGW.9999"), coded(423, "IIC.1006"),
			pages(400, 402, 408, 409, 410, 418, 422, 451, 500, 503),
			bare(
				400,
				"with a code that names no service", `{"error_code":"BadRequest"}`,
				"with a code that is a number", `{"code":400,"message":"for reasons"}`,
				"with a code two levels down", `{"data":{"error":`+refused+`}}`,
				"with a list", `[`+refused+`]`,
				"with nothing", "",
				"with a code and more than 1 MiB", `{"padding":"`+large+`","error_code":"Organizations.9999"}`,
			),
			bare(409, "with a code that names no service", `{"error_code":"Conflict"}`),
			bare(422, "with a code that names no service", `{"code":"x.y"}`),
			bare(200, "with an `error_code` that names no service", `{"error_code":"unavailable"}`,
				"with an `error_code` that is a number", `{"error_code":500}`),
			[]Answer{
				with(bare(400, "", refused+strings.Repeat(" ", 99)), "that breaks off", breaks),
				with(pages(404), "that breaks off", breaks),
				headed(pages(502), html+" whose `Content-Type` is a key", "Content-Type", securityToken),
				waited(headed(coded(503, "APIGW.0201"), "with `Retry-After: 0`", "Retry-After", "0"), time.Second),
				waited(headed(coded(429, "APIGW.0308"), "with `Retry-After: 20`", "Retry-After", "20"), 20*time.Second),
				waited(headed(coded(429, "APIGW.0308"), "with a `Retry-After` that is a date in the past",
					"Date", clock, "Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT"), time.Second),
			},
		)},
		{Read: Transient, Write: Transient, Times: 1, Answers: []Answer{
			coded(429, "APIGW.0308")[0], coded(429, "Organizations.9999")[0], pages(429)[0],
			headed(coded(429, "APIGW.0308"), "with `Retry-After: 21`", "Retry-After", "21"),
			headed(coded(429, "APIGW.0308"), "with `Retry-After: soon`", "Retry-After", "soon"),
			headed(coded(429, "APIGW.0308"), "with a `Retry-After` that is a date in an hour", "Date", clock,
				"Retry-After", "Sat, 01 Jan 2000 01:00:00 GMT"),
			headed(pages(503), "with `Retry-After: 3600`", "Retry-After", "3600"),
			hurried,
		}},
		{Read: Transient, Write: Transient, Times: 2, Answers: []Answer{late}},
		{Read: Transient, Times: 2, Lists: true, Answers: []Answer{
			listed("with a page marker that comes again", func(int) (string, string) { return "[]", "again" }),
		}},
		{Read: Transient, Times: 100, Lists: true, Answers: []Answer{
			listed("with always another page", func(n int) (string, string) {
				return "[]", fmt.Sprint("page-", n)
			}),
		}},
		{Read: Transient, Times: 4, Lists: true, Answers: []Answer{
			listed("with a list of numbers", func(int) (string, string) { return "[5]", "" }),
			listed("with a list of nothing", func(int) (string, string) { return "[{}]", "" }),
			listed("with a page marker of more than 1 KiB", func(int) (string, string) {
				return "[]", strings.Repeat("m", 1025)
			}),
		}},
		{Read: Works, Write: Works, Times: 1, Answers: []Answer{slow, dated}},
		{Read: Works, Write: Works, Times: 2, Answers: slices.Concat(
			times(1, cut, silence),
			times(1, slices.Concat(coded(503, "APIGW.0201"), coded(400, "Organizations.1004"))...),
			times(1,
				waited(headed(coded(429, "APIGW.0308"), "with `Retry-After: 3`", "Retry-After", "3"), 3*time.Second),
				waited(headed(coded(429, "APIGW.0308"), "with a `Retry-After` that is a date in 5 s", "Date", clock,
					"Retry-After", "Sat, 01 Jan 2000 00:00:05 GMT"), 5*time.Second),
				skewed("APIGW.0301", ahead), skewed("APIGW.0303", behind),
				skewed("APIGW.0305", ahead), skewed("APIGW.0307", behind),
			),
		)},
		{Read: Works, Write: Works, Times: 4, Answers: times(3, pages(502)...)},

		// What is said isn't what was done.
		{Read: Works, Write: Lost, Times: 2, Answers: times(1, worked(cut, silence, pages(503)[0])...)},
		{Read: Refused, Write: Lost, Times: 1, Answers: worked(slices.Concat(
			coded(400, "Organizations.9999"), coded(404, "IIC.9999"))...)},
		{Read: Conflict, Write: Lost, Times: 1, Answers: worked(coded(409, "Organizations.9999")...)},
		{Read: Transient, Write: Lost, Times: 4, WriteTimes: 1, Answers: worked(bare(
			200, "with the `error_code` of a service", `{"error_code":"IIC.1216"}`)...)},
		{Read: Transient, Write: Works, Times: 4, WriteTimes: 1, Answers: slices.Concat(
			worked(bare(
				200,
				html, page,
				"with nothing", "",
				"with other JSON", `{"status":"ok"}`,
				"with a `code`", `{"code":"1","message":"done"}`,
				"with an empty `error_code`", `{"error_code":"","error_msg":"ok"}`,
				"with a list", `[]`,
				"with `null`", `null`,
				"with more than 1 MiB", `{"status":"`+large+`"}`,
			)...),
			worked(with(bare(200, "", `{"regions":[],"services":[],"status":"ok"}`), "that breaks off", breaks)),
			worked(bare(201, "with nothing", "")...),
			worked(bare(204, "with nothing", "")...),
		)},
		{Read: Transient, Write: Transient, Times: 4, Worked: true, Answers: worked(cut, silence, pages(500)[0])},
		{Read: Misconfigured, Write: Misconfigured, Times: 1, Worked: true, Answers: worked(
			coded(403, "Organizations.1007")...)},
	}
}
