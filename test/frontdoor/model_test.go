package frontdoor

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"registrar/internal/lambdalocal"
	"registrar/internal/planted"
)

// Many more sequences run in the process itself, see internal/model. These few have all functions
// at once, as they are built, and processes that are killed.
const shakenSequences = 12 // on each host

// shaken is what happens to a system: what is asked for, and what goes wrong until it stops.
type shaken struct {
	rules    []string    // those in ADMINISTRATORS
	accounts []string    // that are created, of which the events tell
	audits   int         // before it is calm
	faults   map[int]int // the calls to Huawei Cloud, and what happens to them
	sinks    map[int]int // the events for the sink, and what happens to them
	rotates  []int       // the calls before which the credentials are replaced
	meddles  []int       // the calls before which another administrator does something
	north    bool        // the region is registered at first
	denied   bool        // writes are denied until it is calm, which takes so long that dead letters come of it
}

func shakes() *rapid.Generator[shaken] {
	number := rapid.IntRange
	return rapid.Custom(func(t *rapid.T) shaken {
		troubles := func(label string, most, kinds int) map[int]int {
			return rapid.MapOfN(number(1, 40), number(0, kinds-1), 2, most).Draw(t, label)
		}
		all := []string{
			"service.A=id:acc-1", "service.B=id:acc-1", "service.A=id:acc-2", "service.C=name:account-acc-3",
			"service.B=id:acc-4",
		}
		return shaken{
			rules:    all[:number(2, len(all)).Draw(t, "rules")],
			accounts: []string{"acc-1", "acc-2", "acc-3", "acc-4", "acc-5"}[:number(2, 5).Draw(t, "accounts")],
			audits:   number(0, 2).Draw(t, "audits"),
			faults:   troubles("faults", 12, 8), sinks: troubles("sink", 6, 4),
			rotates: rapid.SliceOfN(number(1, 40), 0, 3).Draw(t, "rotates"),
			meddles: rapid.SliceOfN(number(1, 40), 1, 4).Draw(t, "meddles"),
			north:   rapid.Bool().Draw(t, "north"),
		}
	})
}

func TestAShakenSystemComesToRestAndSaysOnlyWhatIsTrue(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	covered := map[string]int{}
	t.Cleanup(func() {
		t.Logf("covered: %v", covered)
		if t.Failed() {
			return
		}
		for _, what := range []string{"events", "writes", "redriven", "requests", "rotations", "results"} {
			assert.Positive(t, covered[what], what)
		}
		assert.Positive(t, covered["kills"])
	})
	for _, host := range []string{onLambda, onFunctionGraph} {
		for seed := range shakenSequences {
			t.Run(host+" "+strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				plan := shakes().Example(seed)
				plan.north, plan.denied = seed%4 == 0, seed%3 == 0
				s := newSystem(t, host, plan)
				s.run(t)
				mu.Lock()
				defer mu.Unlock()
				for what, n := range s.counted {
					covered[what] += n
				}
			})
		}
	}
}

// system is all functions with their queues and a sink, which hands the requests of audits on.
type system struct {
	*stage
	plan      shaken
	functions map[string]function
	triggers  map[string]lambdalocal.Trigger
	rotate    func()

	mu      sync.Mutex
	calm    bool
	calls   int
	sends   int
	sent    map[string]string // the function that an event was sent to, by the event's id
	results []result
	taken   []string // what the sink took
	lost    []string // the ids of writes whose answers no process got
	counted map[string]int
}

func newSystem(t *testing.T, host string, plan shaken) *system {
	t.Helper()
	s := &system{
		stage: newStage(t), plan: plan, functions: map[string]function{}, triggers: map[string]lambdalocal.Trigger{},
		sent: map[string]string{}, counted: map[string]int{},
	}
	s.host = host
	s.AddService("service.A", "service.B", "service.C")
	s.TrustService("service.A")
	if plan.north {
		s.SetRegion("cn-north-4")
	}
	cloud := httptest.NewUnstartedServer(http.HandlerFunc(s.serveCloud))
	cloud.Config.ErrorLog = log.New(io.Discard, "", 0)
	sink := httptest.NewUnstartedServer(http.HandlerFunc(s.serveSink))
	sink.Config.ErrorLog = cloud.Config.ErrorLog
	for _, server := range []*httptest.Server{cloud, sink} {
		server.Start()
		t.Cleanup(server.Close)
	}
	s.rotate = func() { // on FunctionGraph, what was given is revoked
		for _, issued := range s.Issued() {
			s.RemoveCredentials(issued.AccessKey)
		}
	}
	if host == onLambda {
		v := newVault(t, s.stage)
		s.rotate = func() {
			old := s.keys.AccessKey
			s.keys.AccessKey = fmt.Sprintf("AKROTATED%04d", s.calls)
			s.keys.SecretKey = fmt.Sprintf("SKrotated%04d", s.calls)
			s.AddCredentials(s.keys)
			v.Put("huaweicloud", secretOf(s.keys))
			s.RemoveCredentials(old)
		}
	}
	delete(s.env, "TRUSTED_SERVICES")
	maps.Copy(s.env, map[string]string{
		"IDENTITYCENTER_ENDPOINT": cloud.URL, "ORGANIZATIONS_ENDPOINT": cloud.URL, "RESULT_SINK": sink.URL,
		"REGION_ID": "cn-north-4", "ADMINISTRATORS": strings.Join(plan.rules, ","), "MAX_ATTEMPTS": "2",
		"ACCOUNT_READY_WITHIN": "0s",
	})
	for _, name := range []string{"register-region", "register-service", "register-admin", "audit-organization"} {
		s.functions[name] = s.start(t, name)
		trigger, err := lambdalocal.NewTrigger(s.functions[name].Invoke, name, visibility)
		require.NoError(t, err)
		s.triggers[name] = trigger
	}
	return s
}

// kill kills the processes of a function.
func (s *system) kill(name string) {
	for _, process := range s.functions[name].Processes() {
		if process.Kill() == nil {
			s.counted["kills"]++
		}
	}
}

// writers are the functions that write, by what they write to.
var writers = map[string]string{
	"/v1/register-regions":                                "register-region",
	"/v1/organizations/trusted-services/enable":           "register-service",
	"/v1/organizations/delegated-administrators/register": "register-admin",
}

// serveCloud is Huawei Cloud, shaken. Its calls are served one at a time.
func (s *system) serveCloud(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodHead {
		s.ServeHTTP(w, r)
		return
	}
	s.calls++
	trouble, troubled := s.plan.faults[s.calls]
	if s.calm {
		troubled = false
	} else {
		if slices.Contains(s.plan.rotates, s.calls) {
			s.counted["rotations"]++
			s.rotate()
		}
		if slices.Contains(s.plan.meddles, s.calls) {
			s.counted["changes by others"]++
			[]func(){
				func() { s.Undelegate("acc-1", "service.A") },
				func() { s.Distrust("service.A") },
				func() { s.Delegate("acc-5", "service.B") },
			}[s.calls%3]()
		}
	}
	refuse := func(status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
	if troubled {
		s.counted["faults"]++
		switch trouble {
		case 0:
			refuse(http.StatusServiceUnavailable, `{"error_code":"APIGW.0201","error_msg":"away"}`)
			return
		case 1:
			refuse(http.StatusTooManyRequests, `{"error_code":"APIGW.0308","error_msg":"too many"}`)
			return
		case 2:
			refuse(http.StatusForbidden, `{"error_code":"Organizations.1007","error_msg":"not allowed, `+
				r.Header.Get("X-Security-Token")+`"}`)
			return
		case 3:
			refuse(http.StatusNotFound, "<html>Not here.</html>")
			return
		case 4:
			panic(http.ErrAbortHandler) // the connection is cut
		}
	}
	writer, write := writers[r.URL.Path]
	if write && s.plan.denied && !s.calm {
		refuse(http.StatusForbidden, `{"error_code":"Organizations.1007","error_msg":"not allowed"}`)
		return
	}
	recorded := httptest.NewRecorder()
	s.ServeHTTP(recorded, r)
	if write && recorded.Code/100 == 2 {
		s.counted["writes"]++
	}
	if troubled && trouble >= 5 { // the answer is lost, and perhaps the process, too
		s.lost = append(s.lost, recorded.Header().Get("X-Request-Id"))
		if trouble >= 6 && write {
			s.die(writer)
		}
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), recorded.Header())
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes())
}

// die kills a function. What its invocation has done until now, no line tells.
func (s *system) die(name string) {
	for _, r := range s.Requests() {
		if writers[r.Path] == name && r.Status/100 == 2 && !strings.Contains(s.log.String(), r.ID) {
			s.lost = append(s.lost, r.ID)
		}
	}
	s.kill(name)
}

// serveSink takes results, and sends requests to the functions that they are for.
func (s *system) serveSink(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var event result
	if err != nil || json.Unmarshal(body, &event) != nil || promised.Check(body) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sends++
	trouble, troubled := s.plan.sinks[s.sends]
	troubled = troubled && !s.calm
	if troubled && trouble < 2 {
		s.counted["faults of the sink"]++
		w.WriteHeader([]int{http.StatusServiceUnavailable, http.StatusForbidden}[trouble])
		return
	}
	s.taken = append(s.taken, string(body))
	switch event.Type {
	case "org.service.missing":
		s.send("register-service", event.ID, string(body))
		s.counted["requests"]++
	case "account.admin.missing":
		s.send("register-admin", event.ID, string(body))
		s.counted["requests"]++
	default:
		s.results = append(s.results, event)
		s.counted["results"]++
	}
	if troubled {
		if trouble == 2 {
			s.die(strings.TrimPrefix(event.Source, "/registrar/"))
		}
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusAccepted)
}

// send sends an event to a function. It needs mu, but before the first delivery.
func (s *system) send(name, id, body string) {
	if _, err := s.triggers[name].Queue.Send(body, ""); err != nil {
		panic(err) // it is an event
	}
	s.sent[name+" "+id] = body
	s.counted["events"]++
}

// rest delivers everything until all queues are empty.
func (s *system) rest(t *testing.T) {
	t.Helper()
	for range 40 {
		left := 0
		for _, trigger := range s.triggers {
			_, err := trigger.Mapping.Deliver(t.Context())
			require.NoError(t, err)
			trigger.Queue.Advance(visibility)
		}
		for _, trigger := range s.triggers { // an audit may have filled those before it again
			left += len(trigger.Queue.Messages())
		}
		if left == 0 {
			return
		}
	}
	require.Fail(t, "the queues don't empty")
}

func (s *system) audit(n string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send("audit-organization", "audit-"+n, strings.Replace(input("org.audit", "{}", ""), "in-1", "audit-"+n, 1))
}

func (s *system) run(t *testing.T) {
	t.Helper()
	event := func(name, id, payload string) { s.send(name, id, strings.Replace(payload, "in-1", id, 1)) }
	for _, name := range []string{"register-region", "register-service"} {
		event(name, "bootstrap", bootstrap(`{}`))
		event(name, "again", bootstrap(`{}`))
		event(name, "again", bootstrap(`{}`)) // the queue delivers it twice
	}
	event("register-region", "south", bootstrap(`{"region_id":"cn-south-1"}`))
	for _, id := range s.plan.accounts {
		s.AddAccount(id, "active")
		event("register-admin", id, created(`{"account_id":"`+id+`"}`))
	}
	event("register-admin", "greedy", created(`{"account_id":"acc-5","service_principal":"service.A"}`))
	event("register-admin", "nobody", created(`{"account_id":"unknown"}`))

	rounds := s.plan.audits + 1
	if s.plan.denied {
		rounds = lambdalocal.MaxReceiveCount + 1
	}
	for n := range rounds {
		if n <= s.plan.audits {
			s.audit("early-" + strconv.Itoa(n))
		}
		for _, trigger := range s.triggers {
			_, err := trigger.Mapping.Deliver(t.Context())
			require.NoError(t, err)
			trigger.Queue.Advance(visibility)
		}
	}
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	s.rest(t)
	for _, trigger := range s.triggers {
		n := trigger.DeadLetters.Redrive()
		s.counted["redriven"] += n
	}
	s.rest(t)
	for _, n := range []string{"heals trust", "heals administrators", "last"} {
		s.audit(n)
		s.rest(t)
	}
	s.check(t)
}

// check checks what is there, what was said of it, and that nothing was lost.
func (s *system) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	given := map[string]string{} // the accounts and services of the rules, and their selectors
	wantTrusted := map[string]bool{}
	for _, rule := range s.plan.rules {
		principal, selector, _ := strings.Cut(rule, "=")
		_, name, _ := strings.Cut(selector, ":")
		given[strings.TrimPrefix(name, "account-")+" "+principal] = selector
		wantTrusted[principal] = true
	}

	ids, of := map[string]string{}, map[string]string{}
	answered := map[string]bool{}
	for _, r := range s.results {
		cause := r.Data.Cause.Source + "\n" + r.Data.Cause.ID + "\n" + r.Type
		if old, ok := ids[cause]; ok {
			assert.Equal(t, old, r.ID, "one cause and type, one id")
		}
		if old, ok := of[r.ID]; ok {
			assert.Equal(t, old, cause, "one id, one cause and type")
		}
		ids[cause], of[r.ID] = r.ID, cause
		assert.Equal(t, uuid.NewSHA1(uuid.NameSpaceURL, []byte(cause)).String(), r.ID)
		answered[strings.TrimPrefix(r.Source, "/registrar/")+" "+r.Data.Cause.ID] = true
	}
	for event := range s.sent {
		assert.True(t, answered[event], "%s has no result", event)
	}
	for name, trigger := range s.triggers {
		assert.Empty(t, trigger.DeadLetters.Messages(), name)
	}

	logged := s.log.String()
	regions := 0
	for _, r := range s.Requests() {
		if _, write := writers[r.Path]; !write || r.Status/100 != 2 {
			continue
		}
		var asked map[string]string
		require.NoError(t, json.Unmarshal(r.Body, &asked))
		switch writers[r.Path] {
		case "register-region":
			regions++
			assert.Equal(t, "cn-north-4", asked["region_id"])
		case "register-service":
			assert.True(t, wantTrusted[asked["service_principal"]], "%v", asked)
		case "register-admin":
			assert.Contains(t, given, asked["account_id"]+" "+asked["service_principal"])
		}
		if !slices.Contains(s.lost, r.ID) {
			assert.Contains(t, logged, r.ID, "%s %s stands in no line", r, r.Body)
		}
	}
	assert.Equal(t, map[bool]int{true: 0, false: 1}[s.plan.north], regions, "the region is registered once")
	assert.Equal(t, "cn-north-4", s.Region())
	s.checkAudit(t, given, wantTrusted)
	secrets := []string{s.keys.SecretKey, s.keys.SecurityToken}
	for _, issued := range s.Issued()[:min(2, len(s.Issued()))] {
		secrets = append(secrets, issued.SecretKey, issued.SecurityToken)
	}
	assert.Empty(t, planted.In(logged+strings.Join(s.taken, "\n"), secrets...))
}

// checkAudit checks that the last audit says what there is.
func (s *system) checkAudit(t *testing.T, given map[string]string, wantTrusted map[string]bool) {
	t.Helper()
	type administrator struct {
		AccountID        string `json:"account_id"`
		ServicePrincipal string `json:"service_principal"`
		Selector         string
	}
	var last struct {
		Data struct {
			Outcome                                  string
			MissingServices                          []string `json:"missing_services"`
			Missing, Unexpected, Unmatched, Inactive []administrator
		}
	}
	i := slices.IndexFunc(s.taken, func(body string) bool {
		return strings.Contains(body, `"type":"org.audit.`) && strings.Contains(body, `"causationid":"audit-last"`)
	})
	require.GreaterOrEqual(t, i, 0)
	require.NoError(t, json.Unmarshal([]byte(s.taken[i]), &last))
	list := func(all []administrator) []string {
		texts := []string{}
		for _, a := range all {
			texts = append(texts, a.AccountID+" "+a.ServicePrincipal)
		}
		slices.Sort(texts)
		return texts
	}
	unexpected, unmatched := []string{}, []string{}
	for _, id := range []string{account, "acc-1", "acc-2", "acc-3", "acc-4", "acc-5"} {
		for _, principal := range s.Delegations(id) {
			if given[id+" "+principal] == "" {
				unexpected = append(unexpected, id+" "+principal)
			}
		}
	}
	for pair := range given {
		id, principal, _ := strings.Cut(pair, " ")
		known := slices.Contains(s.plan.accounts, id) || id == "acc-5" && len(unexpected) > 0
		if !known {
			unmatched = append(unmatched, principal)
			continue
		}
		assert.Contains(t, s.Delegations(id), principal, "what shall be is there, or an audit has healed it")
	}
	for principal := range wantTrusted {
		assert.Contains(t, s.Trusted(), principal)
	}
	got := []string{}
	for _, u := range last.Data.Unmatched {
		got = append(got, u.ServicePrincipal)
	}
	assert.ElementsMatch(t, unmatched, got)
	slices.Sort(unexpected)
	assert.Equal(t, unexpected, list(last.Data.Unexpected))
	assert.Empty(t, last.Data.Missing)
	assert.Empty(t, last.Data.Inactive)
	assert.Empty(t, last.Data.MissingServices)
	want := "passed"
	if len(unexpected)+len(unmatched) > 0 {
		want = "drifted"
	}
	assert.Equal(t, want, last.Data.Outcome)
	s.counted["audits that "+last.Data.Outcome]++
}
