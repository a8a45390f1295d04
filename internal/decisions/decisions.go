// Package decisions runs decision tables. A row says in which state the cloud is, what it answers,
// and which outcome and calls of a function must follow. Each row runs in this process, on its own
// clock, against a fake Huawei Cloud that keeps state and checks signatures. So does every class of
// answer to each of the function's calls. Some rows run again with the function as it is built, on
// each host. All of them are shown in docs/outcomes.md.
package decisions

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/events"
	"registrar/pkg/wire"
)

// Account is the active member account of the organization in every row, and Trusted are the
// services with trusted access.
const (
	Account = "05261f923e80d3890f33c0056e9b3f80"
	Trusted = "service.SecMaster service.CTS"
)

// What signs each call, and must stand in nothing that a function emits.
const (
	accessKey     = "AKplanted0001"
	secretKey     = "SKplanted0001/abc+"
	securityToken = "TOKENplanted0001=="
)

// Function is a function with its tables. C is its configuration.
type Function[C any] struct {
	Type   string                                         // the type of the events
	Build  func(api *client.Client, c C) handler.Function // as main does
	Env    map[string]string                              // its environment
	Tables []Table
	Calls  []Call
	Words  map[string]string // a short word for each call, for docs/outcomes.md

	emitted *buffer // all that came out of the function, and what it logged in this process
}

// Table is a number of rows that belong together.
type Table struct {
	Title string
	Env   map[string]string // in place of the function's, if the rows need another
	Rows  []Row
}

// Row is one row of a decision table.
type Row struct {
	Name      string
	Type      string                         // the type of the event; empty for that of the function
	Data      string                         // the data of the event
	Age       time.Duration                  // how old the event is; Timeless if it has no time
	Cloud     func(*huaweitest.Cloud)        // sets the state, and answers of the cloud; nil leaves both alone
	After     string                         // the call after which Meanwhile happens, the first time
	Meanwhile func(*huaweitest.Cloud)        // what somebody else does in between
	Want      string                         // the outcome and reason of the result, or the name of the error
	Each      string                         // the outcomes and reasons of several registrations, if there are any
	Text      string                         // what the message, with what was observed, or the error must contain
	Calls     string                         // the calls in their order, each a method and the end of a path
	Found     string                         // the lists of an audit that aren't empty but shall be, and the region
	Sent      string                         // the requests that are sent: each a type, an account and services
	State     func(*huaweitest.Cloud) string // reads the state afterwards; nil if it doesn't matter
	WantState string                         // what State must return
	takes     time.Duration                  // how long the calls of Calls take; the waits of ordinary retries aside
	Built     bool                           // the row also runs with the function as it is built, on each host
}

// Timeless is the Age of an event without a time.
const Timeless = time.Duration(-1)

// Call is one of the calls that a function makes. Each class of answer is given to it.
type Call struct {
	Call   string            // a method and the end of a path
	When   string            // tells it apart from others like it
	Before string            // the calls before it
	Row    Row               // the event, and the state of the cloud
	Env    map[string]string // in place of the function's, if the call needs another

	// Scripted is how many such calls before it are answered by what Cloud of the Row scripts.
	Scripted int

	// Ends say what comes of it. What isn't there is a failure of its kind, but Contradicted is as
	// Conflict, and that as Refused, and so is NoRegion.
	Ends map[Meaning]End
}

// End is what comes of a call that is answered in some way.
type End struct {
	Want, Each string // as in a Row
	Found      string // likewise
	Text       string // likewise; a failure tells the answer itself if this is empty
	Calls      string // the calls after it
	State      string // what State of the Row returns then
}

// Any is the Ends of a call from which the same comes, whatever it is answered.
func Any(end End) map[Meaning]End {
	return map[Meaning]End{Works: end, Refused: end, Transient: end, Misconfigured: end}
}

// end is what comes of the call if its answer means that.
func (c Call) end(meaning Meaning) End {
	like := map[Meaning][]Meaning{
		Contradicted: {Conflict, Refused}, Conflict: {Refused}, NoRegion: {Refused},
	}
	for _, m := range append([]Meaning{meaning}, like[meaning]...) {
		if end, ok := c.Ends[m]; ok {
			return end
		}
	}
	if meaning == Misconfigured {
		return End{Want: "MisconfiguredError"}
	}
	return End{Want: "TransientError"}
}

// method and path are those of the requests that the call makes.
func (c Call) method() string { return strings.Fields(c.Call)[0] }

func (c Call) path() string {
	end := strings.Replace(strings.Fields(c.Call)[1], "{id}", Account, 1)
	if strings.Contains(end, "region") {
		return "/v1/" + end
	}
	return "/v1/organizations/" + end
}

// isList reports whether the answer is a list that comes in pages.
func (c Call) isList() bool {
	return c.method() == http.MethodGet && slices.Contains([]string{
		"accounts", "trusted-services", "delegated-services", "delegated-administrators",
	}, path.Base(c.path()))
}

// row is the call with an answer, as a row.
func (c Call) row(class Class, answer Answer) Row {
	meaning, times := class.meaning(c.method())
	end := c.end(meaning)
	row := c.Row
	row.Name = answer.Name
	row.Want, row.Each, row.Found, row.WantState = end.Want, end.Each, end.Found, end.State
	if class.Worked && c.method() != http.MethodGet {
		row.WantState = c.Ends[Lost].State
	}
	row.Text = end.Text
	if status := answer.Fault.Status; status >= 300 && meaning != Works && strings.HasSuffix(row.Want, "Error") {
		row.Text = cmp.Or(row.Text, strconv.Itoa(status)) // the answer itself is told
	}
	var all []string
	if c.Before != "" {
		all = append(all, c.Before)
	}
	all = append(all, slices.Repeat([]string{c.Call}, times)...)
	if end.Calls != "" {
		all = append(all, end.Calls)
	}
	row.Calls = strings.Join(all, ", ")
	row.takes = answer.takes(times)
	fault := answer.Fault
	fault.Skip = strings.Count(", "+c.Before+",", ", "+c.Call+",") - c.Scripted
	if answer.List != nil || answer.Cut {
		fault.Header = http.Header{marked: {"yes"}}
	}
	row.Cloud = func(cloud *huaweitest.Cloud) {
		if c.Row.Cloud != nil {
			c.Row.Cloud(cloud)
		}
		cloud.Script(c.method(), c.path(), fault)
	}
	return row
}

// Run runs all that there is of a function, and holds that docs/outcomes.md shows it. It takes all
// lines that are logged meanwhile, so no other test may run beside it.
func Run[C any](t *testing.T, f Function[C]) {
	t.Helper()
	f.emitted = &buffer{}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(f.emitted, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(before)
		f.emitted.showNoSecret(t)
	})
	for _, table := range f.Tables {
		t.Run(table.Title, func(t *testing.T) {
			t.Parallel()
			for _, row := range table.Rows {
				t.Run(row.Name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { f.run(t, table.Env, row, Answer{}) })
				})
			}
		})
	}
	classes := Classes()
	for _, call := range f.Calls {
		t.Run(strings.TrimSpace(call.Call+" "+call.When), func(t *testing.T) {
			t.Parallel()
			for _, class := range classes {
				for _, answer := range class.Answers {
					if class.Lists && !call.isList() {
						continue
					}
					t.Run(answer.Name, func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) { f.run(t, call.Env, call.row(class, answer), answer) })
					})
				}
			}
		})
	}
	t.Run("each call is listed", func(t *testing.T) { f.hasAllCalls(t) })
	t.Run("built", func(t *testing.T) {
		t.Parallel()
		f.runBuilt(t)
	})
	t.Run("outcomes.md", func(t *testing.T) { checkPage(t, f.name(t), f.page()) })
}

// hasAllCalls holds that whatever a row calls is answered in each way.
func (f Function[C]) hasAllCalls(t *testing.T) {
	t.Helper()
	listed := map[string]bool{"": true}
	for _, call := range f.Calls {
		listed[call.Call] = true
		assert.NotEmpty(t, f.Words[call.Call], "%s has a word for docs/outcomes.md", call.Call)
	}
	account := regexp.MustCompile(`accounts/\w+/`)
	for _, table := range f.Tables {
		for _, row := range table.Rows {
			for call := range strings.SplitSeq(row.Calls, ", ") {
				call = account.ReplaceAllString(call, "accounts/{id}/")
				assert.True(t, listed[call], "%s: the function has no Call for %s", row.Name, call)
			}
		}
	}
}

// run runs a row in this process. The answer is what the row scripts, if there is more to it than
// the fake does.
func (f Function[C]) run(t *testing.T, env map[string]string, row Row, answer Answer) {
	t.Helper()
	cloud := row.cloud()
	var config C
	require.NoError(t, envconfig.ProcessWith(t.Context(), &envconfig.Config{
		Target: &config, Lookuper: envconfig.MapLookuper(f.env(env)),
	}))
	var sent []event.Event
	h := handler.Handler{Name: "function"}
	h.Function = f.Build(newClient(t, &transport{Cloud: cloud, Answer: answer}), config)
	h.Sink = func(_ context.Context, all ...event.Event) error {
		sent = append(sent, all...)
		return nil
	}
	ctx := t.Context()
	if answer.Within != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answer.Within)
		defer cancel()
	}
	start := time.Now()
	answered, err := h.Invoke(ctx, f.payload(t, row))
	if answer.Name != "" {
		const retries = 2 * time.Second // is more than the waits between four attempts
		assert.WithinRange(t, time.Now(), start.Add(row.takes), start.Add(row.takes+retries))
	}
	done := end{answer: answered}
	if err != nil {
		done.failure, done.text = handler.ErrorType(err), err.Error()
		name := fmt.Sprintf("%T", err)
		assert.Equal(t, done.failure, name[strings.LastIndex(name, ".")+1:], "the outermost error")
	}
	f.check(t, row, done, cloud, sent)
}

func (f Function[C]) env(instead map[string]string) map[string]string {
	if instead != nil {
		return instead
	}
	return f.Env
}

// cloud is a cloud in the state of the row.
func (row Row) cloud() *huaweitest.Cloud {
	cloud := huaweitest.New(huaweitest.Credentials{
		AccessKey: accessKey, SecretKey: secretKey, SecurityToken: securityToken,
	})
	cloud.AddAccount(Account, "active")
	cloud.TrustService(strings.Fields(Trusted)...)
	if row.Cloud != nil {
		row.Cloud(cloud)
	}
	if row.After != "" {
		var once sync.Once
		cloud.OnRequest(func(r huaweitest.Request) {
			if callOf(r) == row.After {
				once.Do(func() { row.Meanwhile(cloud) })
			}
		})
	}
	return cloud
}

// payload is the event of the row.
func (f Function[C]) payload(t *testing.T, row Row) []byte {
	t.Helper()
	in := map[string]any{
		"specversion": "1.0", "id": "1", "source": "/landing-zone", "type": cmp.Or(row.Type, f.Type),
		"data": json.RawMessage(row.Data),
	}
	if row.Age != Timeless {
		in["time"] = time.Now().Add(-row.Age).Format(time.RFC3339)
	}
	payload, err := json.Marshal(in)
	require.NoError(t, err)
	return payload
}

func newClient(t *testing.T, transport http.RoundTripper) *client.Client {
	t.Helper()
	endpoint := func(text string) wire.Endpoint {
		e, err := wire.ParseEndpoint(text)
		require.NoError(t, err)
		return e
	}
	return client.New(client.Config{
		IdentityCenter: endpoint("https://identitycenter.myhuaweicloud.com"),
		Organizations:  endpoint("https://organizations.myhuaweicloud.com"),
		MaxAttempts:    4, RequestTimeout: 10 * time.Second, Transport: transport,
	}, client.Static(client.Credentials{
		AccessKey: accessKey, SecretKey: secretKey, SecurityToken: securityToken,
	}))
}

// end is how a delivery ended: with an answer, or with a failure and its text.
type end struct {
	answer        []byte
	failure, text string
}

// check compares what came of a row with what it says.
func (f Function[C]) check(t *testing.T, row Row, done end, cloud *huaweitest.Cloud, sent []event.Event) {
	t.Helper()
	whole, each, found, text := done.summary(t)
	assert.Equal(t, row.Want, whole, "%s", text)
	assert.Equal(t, row.Each, each)
	assert.Equal(t, row.Found, found)
	assert.Contains(t, text, row.Text)
	assert.Equal(t, row.Calls, calls(cloud))
	assert.Equal(t, row.Sent, strings.Join(requests(t, sent), ", "))
	if row.State != nil {
		assert.Equal(t, row.WantState, row.State(cloud))
	}
	if done.failure == "" {
		done.checkWrites(t, cloud)
	}
	emitted, err := json.Marshal(sent)
	require.NoError(t, err)
	f.emitted.add("of "+t.Name(), done.text, string(done.answer), string(emitted))
}

// summary is what an end says: the outcome with its reason as a whole and of each registration,
// what an audit found, and the messages, each with what was observed, and the account.
func (e end) summary(t *testing.T) (whole, each, found, text string) {
	t.Helper()
	if e.failure != "" {
		return e.failure, "", "", e.text
	}
	type part struct {
		Outcome, Reason, Message string
		ObservedRegionID         string   `json:"observed_region_id"`
		ObservedStatus           string   `json:"observed_status"`
		ObservedAccountIDs       []string `json:"observed_account_ids"`
	}
	var out struct {
		Data struct {
			part
			AccountID     string `json:"account_id"`
			Registrations []part
			Region        struct{ Wanted, Observed string }
			Counts        map[string]int
		}
	}
	require.NoError(t, json.Unmarshal(e.answer, &out))
	outcome := func(p part) string { return strings.TrimSpace(p.Outcome + " " + p.Reason) }
	var outcomes []string
	messages := []string{out.Data.Message, out.Data.ObservedRegionID}
	if out.Data.AccountID != "" {
		messages = append(messages, "of account "+out.Data.AccountID)
	}
	for _, r := range out.Data.Registrations {
		outcomes = append(outcomes, outcome(r))
		messages = append(append(messages, r.Message, r.ObservedStatus), r.ObservedAccountIDs...)
	}
	var lists []string
	for _, list := range []string{"missing_services", "missing", "inactive", "unmatched", "unexpected"} {
		if n := out.Data.Counts[list]; n != 0 {
			lists = append(lists, fmt.Sprint(list, " ", n))
		}
	}
	if region := out.Data.Region; region.Wanted != "" && region.Observed != region.Wanted {
		lists = append(lists, "region "+cmp.Or(region.Observed, "none"))
	}
	return outcome(out.Data.part), strings.Join(outcomes, ", "), strings.Join(lists, ", "), strings.Join(messages, " ")
}

// checkWrites holds that a result tells of each write: how many there were, the id of the last one
// that was answered, and its answer if that rejected what was asked for.
func (e end) checkWrites(t *testing.T, cloud *huaweitest.Cloud) {
	t.Helper()
	type part struct {
		Outcome   string
		Attempts  int
		RequestID string `json:"request_id"`
		Error     struct{ Status int }
	}
	var out struct {
		Data struct {
			part
			Registrations []part
		}
	}
	require.NoError(t, json.Unmarshal(e.answer, &out))
	told := out.Data.Registrations
	if told == nil {
		told = []part{out.Data.part}
	}
	for _, r := range cloud.Requests() {
		if r.Method != http.MethodPost {
			continue
		}
		for len(told) > 0 && told[0].Attempts == 0 {
			told = told[1:]
		}
		if !assert.NotEmpty(t, told, "%s isn't told", r) {
			return
		}
		told[0].Attempts--
		if last := told[0]; last.Attempts == 0 && r.Status != 0 && !strings.Contains(last.RequestID, wire.Redacted) {
			assert.Equal(t, r.ID, last.RequestID)
			if last.Outcome == string(events.Rejected) {
				assert.Equal(t, r.Status, last.Error.Status)
			}
		}
	}
	for _, one := range told {
		assert.Zero(t, one.Attempts, "writes that nobody saw")
	}
}

// requests are what an audit asks for: each a type, an account and services.
func requests(t *testing.T, all []event.Event) []string {
	t.Helper()
	var texts []string
	for _, e := range all {
		if !events.IsRequest(e.Type()) {
			continue
		}
		var data events.Request
		require.NoError(t, e.DataAs(&data))
		services := strings.Trim(fmt.Sprint(data.ServicePrincipals), "[]")
		texts = append(texts, strings.Join(strings.Fields(e.Type()+" "+e.Subject()+" "+services), " "))
	}
	return texts
}

// calls are the requests that the cloud saw, without those that warm the connection.
func calls(cloud *huaweitest.Cloud) string {
	var all []string
	for _, r := range cloud.Requests() {
		if r.Method != http.MethodHead {
			all = append(all, callOf(r))
		}
	}
	return strings.Join(all, ", ")
}

// callOf is a request as a method and the end of a path.
func callOf(r huaweitest.Request) string {
	end := strings.TrimPrefix(strings.TrimPrefix(r.Path, "/v1/"), "organizations/")
	return r.Method + " " + strings.Replace(end, Account, "{id}", 1)
}

// Script is a cloud that answers the requests with the method and the end of a path so.
func Script(call string, faults ...huaweitest.Fault) func(*huaweitest.Cloud) {
	c := Call{Call: call}
	return func(cloud *huaweitest.Cloud) { cloud.Script(c.method(), c.path(), faults...) }
}
