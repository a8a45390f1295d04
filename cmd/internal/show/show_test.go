package show

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/lambdalocal"
)

const account = "05261f923e80d3890f33c0056e9b3f80"

// printed is what a printer makes of lines.
func printed(t *testing.T, colour bool, title string, lines ...Line) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	p := NewPrinter(out)
	require.False(t, p.colour, "a file is not a terminal")
	p.colour = colour
	p.Print(title, lines...)
	b, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return string(b)
}

func at(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }

// line is a line of a function's log.
func line(second int, fields string) []byte {
	return fmt.Appendf(nil, `{"timestamp":%q,"function":"f",%s}`+"\n", at(second).Format(time.RFC3339Nano), fields)
}

func TestTextIsWrappedBesideItsLabel(t *testing.T) {
	t.Parallel()
	text := strings.TrimSpace(strings.Repeat("1234 6789 ", 10))
	assert.Equal(t, "title\n"+
		"  failed      1234 6789 1234 6789 1234 6789 1234 6789 1234 6789 1234 6789 1234 6789 1234 6789 1234\n"+
		"              6789 1234 6789\n", printed(t, false, "title", Line{Label: "failed", Text: text}))
	assert.Equal(t, "  failed      "+text+"\n", printed(t, false, "", Line{Label: "failed", Text: text, Whole: true}))
	assert.Equal(t, "\n\x1b[1mtitle\x1b[0m\n  \x1b[31mfailed     \x1b[0m why\n              more\n",
		printed(t, true, "\ntitle", Line{Label: "failed", Style: Red, Text: "why"}, Line{Style: Red, Text: "more"}),
		"nothing is coloured where there is nothing to be seen")
}

func TestEventsAreFoundInWhateverWrapsThem(t *testing.T) {
	t.Parallel()
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"account.created",
		"data":{"service_principals":["a","b"],"account_id":"x","dry_run":true}}`
	want := "account.created account_id=x dry_run=true service_principals=a,b"
	request := `{"requestContext":{"http":{}},"headers":{%s},"body":%q,"isBase64Encoded":%t}`
	structured := `"content-type":"application/cloudevents+json"`
	binary := `"ce-specversion":"1.0","ce-id":"1","ce-source":"/s","ce-type":"org.bootstrap"`
	const wrapped = "array of CloudEvents: "
	for name, tt := range map[string]struct {
		payload string
		want    []string
	}{
		"nothing":      {`{"a":1}`, []string{"not an event"}},
		"not JSON":     {`x`, []string{"not an event"}},
		"a CloudEvent": {event, []string{want}},
		"an array":     {"[" + event + ",{}]", []string{wrapped + want, wrapped + "not an event"}},
		"no elements":  {"[]", []string{wrapped + "no events"}},
		"EventBridge": {
			`{"id":"1","detail-type":"org.bootstrap","source":"s","detail":{"region_id":"r"}}`,
			[]string{"EventBridge: org.bootstrap region_id=r"},
		},
		"a trace": {
			`{"cts":{"service_type":"x","trace_name":"y"}}`, []string{`CTS trace: a trace "y" of "x" asks for nothing`},
		},
		"SQS": {
			fmt.Sprintf(`{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":%q}]}`, event),
			[]string{"SQS: " + want},
		},
		"HTTP": {
			fmt.Sprintf(request, structured, base64.StdEncoding.EncodeToString([]byte(event)), true),
			[]string{"HTTP: " + want},
		},
		"HTTP, binary": {
			fmt.Sprintf(request, binary, `{"region_id":"r"}`, false), []string{"HTTP: org.bootstrap region_id=r"},
		},
		"HTTP without an event": {fmt.Sprintf(request, "", "", false), []string{"not an event"}},
	} {
		assert.Equal(t, tt.want, Events([]byte(tt.payload)), name)
	}
	many := EventLines(make([]string, 12))
	require.Len(t, many, 11)
	assert.Equal(t, "and 2 more", many[10].Text)
}

// Calls and log lines come by different ways, so in any order.
func TestAnInvocationIsShownByEventsInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	i := &Invocation{Function: "register-admin"}
	path := "/v1/organizations/accounts/" + account + "/delegated-services"
	i.Call(Call{Time: at(1), Method: "GET", Path: path, RawQuery: "limit=500", Status: 200})
	i.Call(Call{Time: at(2), Method: "GET", Path: path, RawQuery: "limit=500&marker=x", Status: 200})
	i.Call(Call{Time: at(5), Method: "GET", Path: "/v1/short", ErrorCode: "Organizations.9902", Status: 404})
	i.Call(Call{
		Time: at(3), Method: "POST", Path: "/v1/organizations/delegated-administrators/register", Status: 201,
		Body: []byte(`{"account_id":"` + account + `","service_principal":"service.SecMaster"}`),
	})
	i.Result([]byte(`{"specversion":"1.0","id":"r1","type":"account.admin.rejected","causationid":"c1",
		"subject":"` + account + `","data":{"outcome":"rejected","registrations":[
		{"service_principal":"service.SecMaster","outcome":"registered"},
		{"service_principal":"service.X","outcome":"rejected","reason":"unknown_service","message":"It is unknown."}
		]}}`))
	about := `"type":"account.created","subject":"` + account + `",`
	_, _ = i.Write(line(6, about+`"message":"event failed","cause_id":"c2","message_id":"m2",
		"error_type":"TransientError","err":"not ready","registrations":[
		{"service_principal":"service.CTS","outcome":"registered","attempts":1},
		{"service_principal":"service.X","outcome":"","attempts":1}]`))
	_, _ = i.Write(line(4, about+`"message":"event handled","cause_id":"c1","outcome":"rejected"`))
	_, _ = i.Write(line(7, `"message":"event held back","cause_id":"c3","type":"account.created","err":"throttled"`))
	_, _ = i.Write([]byte("panic: out of the blue\n"))
	i.End(lambdalocal.Answer{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"m2"}]}`)})

	assert.Equal(t, `
  rejected    register-admin: account.admin.rejected, 05261f92…
              service.SecMaster registered
              service.X rejected: unknown_service: It is unknown.
              GET  /v1/organizations/accounts/05261f92…/delegated-services 200
              GET  /v1/organizations/accounts/05261f92…/delegated-services (next page) 200
              POST /v1/organizations/delegated-administrators/register 201 service.SecMaster
  failed      register-admin: TransientError, account.created 05261f92…
              service.CTS registered
              service.X undecided
              not ready
              GET  /v1/short 404 Organizations.9902 (code invented by the fake)
  held back   register-admin: account.created
              throttled
              log: panic: out of the blue
`, "\n"+printed(t, false, "", i.Lines()...))
	assert.Equal(t, []string{"rejected", "failed", "held back"}, i.Outcomes())
	assert.Equal(t, map[string]string{"m2": "TransientError: not ready"}, i.Failures())
	assert.False(t, i.Invalid())
}

func TestAResultThatIsSentAndAnsweredIsOne(t *testing.T) {
	t.Parallel()
	i := &Invocation{Function: "f"}
	result := []byte(`{"id":"r1","type":"org.region.registered","causationid":"c1","data":{"outcome":"unchanged"}}`)
	i.Result(result)
	_, _ = i.Write(line(1, `"message":"event handled","cause_id":"c1","outcome":"unchanged"`))
	i.End(lambdalocal.Answer{Payload: result})
	assert.Equal(t, "  unchanged   f: org.region.registered\n", printed(t, false, "", i.Lines()...))
}

func TestResultsOfOneCauseTwiceInABatchAreTwo(t *testing.T) {
	t.Parallel()
	i := &Invocation{Function: "f"}
	for second := range 2 {
		i.Result([]byte(`{"id":"r1","type":"org.region.registered","causationid":"c1","data":{"outcome":"unchanged"}}`))
		_, _ = i.Write(line(second, `"message":"event handled","cause_id":"c1","outcome":"unchanged"`))
	}
	i.End(lambdalocal.Answer{Payload: []byte(`{"batchItemFailures":[]}`)})
	want := "  unchanged   f: org.region.registered\n"
	assert.Equal(t, want+want, printed(t, false, "", i.Lines()...))
}

func TestTheAnswerTellsWhatNothingElseHasTold(t *testing.T) {
	t.Parallel()
	result := `{"specversion":"1.0","id":"r1","type":"org.region.registered","subject":"cn-north-4","causationid":"c1",
		"data":{"outcome":"unchanged","region_id":"cn-north-4"}}`
	unchanged := "  unchanged   f: org.region.registered, cn-north-4\n"
	answer := func(payload string) lambdalocal.Answer { return lambdalocal.Answer{Payload: []byte(payload)} }
	failure := func(payload string) lambdalocal.Answer {
		return lambdalocal.Answer{Payload: []byte(payload), FunctionError: "Unhandled"}
	}
	messages := answer(`{"batchItemFailures":[{"itemIdentifier":"1"}]}`)
	invalid := `"message":"event failed","error_type":"InvalidEventError","err":"takes others"`
	for name, tt := range map[string]struct {
		answer lambdalocal.Answer
		log    string
		want   string
	}{
		"a result":         {answer(result), "", unchanged},
		"results":          {answer("[" + result + "]"), "", unchanged},
		"a result in HTTP": {answer(fmt.Sprintf(`{"statusCode":200,"body":%q}`, result)), "", unchanged},
		"a logged result":  {answer(result), `"message":"event handled","cause_id":"c1"`, unchanged},
		"nothing":          {answer(`null`), "", "  answered    f: null\n"},
		"an error": {
			failure(`{"errorType":"Sandbox.Timedout","errorMessage":"too late"}`), "",
			"  failed      f: Sandbox.Timedout\n              too late\n",
		},
		"a logged error": {
			failure(`{"errorType":"InvalidEventError"}`), invalid,
			"  failed      f: InvalidEventError\n              takes others\n",
		},
		"an HTTP problem": {
			answer(`{"statusCode":400,"body":"{\"error_type\":\"InvalidEventError\",\"detail\":\"no\"}"}`), "",
			"  failed      f: InvalidEventError\n              no\n",
		},
		"messages":        {messages, "", "  failed      f: 1 of the messages\n"},
		"logged messages": {messages, invalid, "  failed      f: InvalidEventError\n              takes others\n"},
		"an ignored trace": {
			answer(`null`), `"message":"event ignored","reason_text":"asks for nothing"`,
			"  ignored     f\n              asks for nothing\n",
		},
		"messages that are done": {
			answer(`{"batchItemFailures":[]}`), `"message":"event handled","outcome":"skipped","type":"org.bootstrap"`,
			"  skipped     f: org.bootstrap\n",
		},
	} {
		i := &Invocation{Function: "f"}
		if tt.log != "" {
			_, _ = i.Write(line(1, tt.log))
		}
		i.End(tt.answer)
		assert.Equal(t, tt.want, printed(t, false, "", i.Lines()...), name)
		assert.Equal(t, strings.Contains(tt.want, "InvalidEventError"), i.Invalid(), name)
	}
}
