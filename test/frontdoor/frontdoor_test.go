// Package frontdoor tests the functions as they are deployed: the built binaries, which speak the
// protocols of the runtimes of Lambda and FunctionGraph, against a fake Huawei Cloud that checks
// signatures and keeps state.
package frontdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/functiongraphlocal"
	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
	"registrar/internal/planted"
	"registrar/test/docs"
)

const (
	account   = "05261f923e80d3890f33c0056e9b3f80"
	secMaster = "service.SecMaster"
	cts       = "service.CTS"

	regions     = "/v1/registered-regions"
	register    = "/v1/register-regions"
	delegations = "/v1/organizations/delegated-administrators/register"
)

var (
	dist, bin string       // the built functions, for this machine, and the project's tools
	promised  docs.Schemas // the schemas that every event must match
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		root, err := os.MkdirTemp("", "frontdoor")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(root)
		dist, bin = filepath.Join(root, "dist"), filepath.Join(root, "bin")
		build := exec.Command("make", "-s", "-C", "../..", "build",
			"DIST="+dist, "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		build.Env = withoutMake(os.Environ())
		if out, err := build.CombinedOutput(); err != nil {
			log.Fatalf("make build: %v\n%s", err, out)
		}
		build = exec.Command("go", "build", "-o", bin+"/", "../../cmd/sandbox", "../../cmd/invoke", "../../cmd/audit")
		if out, err := build.CombinedOutput(); err != nil {
			log.Fatalf("go build: %v\n%s", err, out)
		}
		if promised, err = docs.LoadSchemas("../../docs/schemas"); err != nil {
			log.Fatal(err)
		}
		// The tests wait for processes and for time more than they compute. -parallel prevails.
		if err := flag.Set("test.parallel", strconv.Itoa(max(8, runtime.GOMAXPROCS(0)))); err != nil {
			log.Fatal(err)
		}
		return m.Run()
	}())
}

// eventsChoose lets events make any account an administrator of any service.
func (s *stage) eventsChoose() {
	delete(s.env, "ADMINISTRATORS")
	s.env["SERVICE_PRINCIPALS"] = "*"
}

// withoutMake leaves out the variables by which a make that runs the tests would change the one
// that they run.
func withoutMake(environ []string) []string {
	var rest []string
	for _, variable := range environ {
		if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS") {
			rest = append(rest, variable)
		}
	}
	return rest
}

// stage is one organization, and the environment of its functions.
type stage struct {
	*huaweitest.Cloud
	host    string // where the functions run
	keys    huaweitest.Credentials
	env     map[string]string
	timeout time.Duration
	log     *lines
	given   func(http.Header) // changes what FunctionGraph gives an invocation; nil changes nothing
}

const (
	onLambda        = "Lambda"
	onFunctionGraph = "FunctionGraph"
)

// onEachHost runs a test on each host that invokes functions, with a stage of its own.
func onEachHost(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	for _, host := range []string{onLambda, onFunctionGraph} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.host = host
			test(t, s)
		})
	}
}

// newStage makes a stage on Lambda.
func newStage(t *testing.T) *stage {
	t.Helper()
	keys := huaweitest.Credentials{
		AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001", SecurityToken: "TOKENexample==",
		DomainID: "0a6d25d23900d45c0faac010e0fb4de0",
	}
	s := &stage{Cloud: huaweitest.New(keys), host: onLambda, keys: keys, timeout: 20 * time.Second, log: &lines{}}
	server := httptest.NewUnstartedServer(s.Cloud)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	s.env = map[string]string{
		"HUAWEICLOUD_SDK_AK": keys.AccessKey, "HUAWEICLOUD_SDK_SK": keys.SecretKey,
		"HUAWEICLOUD_SDK_SECURITY_TOKEN": keys.SecurityToken, "HUAWEICLOUD_SDK_DOMAIN_ID": keys.DomainID,
		"IDENTITYCENTER_ENDPOINT": server.URL, "ORGANIZATIONS_ENDPOINT": server.URL,
		"REGION_ID": "*", "TRUSTED_SERVICES": "*",
		"ADMINISTRATORS": secMaster + "=id:" + account + "," + cts + "=id:" + account,
	}
	s.AddAccount(account, "active")
	s.TrustService(secMaster, cts)
	t.Cleanup(func() { // every test checks this
		s.showsNoSecret(t, "the log", s.log.String())
	})
	return s
}

// showsNoSecret looks for the stage's keys in a text, and for all that were issued for a while.
func (s *stage) showsNoSecret(t *testing.T, where, text string) {
	t.Helper()
	all := []huaweitest.Credentials{s.keys}
	for _, issued := range s.Issued() {
		all = append(all, issued.Credentials)
	}
	for _, keys := range all {
		assert.Empty(t, planted.In(text, keys.SecretKey, keys.SecurityToken, keys.AccessKey), where)
	}
}

// function is a function on any host.
type function interface {
	Invoke(ctx context.Context, payload []byte) (lambdalocal.Answer, error)
	Processes() []*os.Process
	Close()
}

// start runs a function until the test ends.
func (s *stage) start(t *testing.T, name string) function {
	t.Helper()
	path, f := filepath.Join(dist, name, "bootstrap"), function(nil)
	var err error
	if s.host == onFunctionGraph {
		f, err = functiongraphlocal.New(functiongraphlocal.Config{
			Name: name, Bootstrap: path, Env: s.withoutKeys(), Timeout: s.timeout, Log: s.log, Headers: s.agency,
		})
	} else {
		f, err = lambdalocal.New(lambdalocal.Config{
			Name: name, Bootstrap: path, Env: maps.Clone(s.env), Timeout: s.timeout, Log: s.log,
		})
	}
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

// withoutKeys is the environment of a function that has an agency.
func (s *stage) withoutKeys() map[string]string {
	env := maps.Clone(s.env)
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, "HUAWEICLOUD_SDK_") })
	return env
}

// agency gives each invocation credentials of its own, which hold for as long as it may take.
func (s *stage) agency() http.Header {
	given := s.IssueTemporary(s.timeout)
	header := http.Header{}
	header.Set("X-CFF-Access-Key", given.AccessKey)
	header.Set("X-CFF-Secret-Key", given.SecretKey)
	header.Set("X-CFF-Security-Token", given.SecurityToken)
	header.Set("X-CFF-Auth-Token", "MIIexampleAuthToken")
	if s.given != nil {
		s.given(header)
	}
	return header
}

// result is the part of a result event that tests look at.
type result struct {
	SpecVersion, ID, Source, Type, Subject, PartitionKey string
	CausationID, CorrelationID, TraceParent              string
	Time                                                 time.Time
	Data                                                 struct {
		registration
		RegionID         string `json:"region_id"`
		ObservedRegionID string `json:"observed_region_id"`
		AccountID        string `json:"account_id"`
		Registrations    []registration
		Cause            struct{ ID, Source, Type string }
	}
}

type registration struct {
	ServicePrincipal string `json:"service_principal"`
	Outcome          string
	Attempts         int
	RequestID        string `json:"request_id"`
	Reason           string
	Message          string
	Error            *struct {
		Status        int
		Code, Message string
		RequestID     string `json:"request_id"`
	}
}

// failure is what a host answers if a function fails.
type failure struct{ ErrorType, ErrorMessage string }

// invoke runs a function once, and returns either a result event or a failure.
func (s *stage) invoke(t *testing.T, name, payload string) (*result, *failure) {
	t.Helper()
	return s.invokeOn(t, s.start(t, name), payload)
}

func (s *stage) invokeOn(t *testing.T, f function, payload string) (*result, *failure) {
	t.Helper()
	answer, err := f.Invoke(t.Context(), []byte(payload))
	require.NoError(t, err)
	s.showsNoSecret(t, "the answer", string(answer.Payload))
	if answer.FunctionError != "" {
		f := new(failure)
		require.NoError(t, json.Unmarshal(answer.Payload, f))
		return nil, f
	}
	return &resultsIn(t, answer.Payload)[0], nil
}

// resultsIn are the result events of an answer, which is one of them or an array. Each must match
// its schema.
func resultsIn(t *testing.T, answer []byte) []result {
	t.Helper()
	if !bytes.HasPrefix(answer, []byte("[")) {
		answer = slices.Concat([]byte("["), answer, []byte("]"))
	}
	var raw []json.RawMessage
	require.NoError(t, json.Unmarshal(answer, &raw), "%s", answer)
	results := make([]result, len(raw))
	for i, event := range raw {
		require.NoError(t, promised.Check(event), "%s", event)
		require.NoError(t, json.Unmarshal(event, &results[i]))
	}
	return results
}

func (s *stage) succeed(t *testing.T, name, payload string) *result {
	t.Helper()
	r, f := s.invoke(t, name, payload)
	require.Nil(t, f, "%+v", f)
	return r
}

func (s *stage) fail(t *testing.T, name, payload string) *failure {
	t.Helper()
	r, f := s.invoke(t, name, payload)
	require.Nil(t, r, "%+v", r)
	return f
}

// calls lists the requests that Huawei Cloud saw, as "POST /path status", without those that warm
// the connection.
func (s *stage) calls() []string {
	var calls []string
	for _, r := range s.Requests() {
		if r.Method != http.MethodHead {
			calls = append(calls, fmt.Sprintf("%s %s %d", r.Method, r.Path, r.Status))
		}
	}
	return calls
}

func (s *stage) writes() int {
	n := 0
	for _, call := range s.calls() {
		if strings.HasPrefix(call, "POST") {
			n++
		}
	}
	return n
}

// bootstrap and created are input events with the given data.
func bootstrap(data string) string { return input("org.bootstrap", data, "") }
func created(data string) string   { return input("account.created", data, "") }

func createdAt(at time.Time, data string) string {
	return input("account.created", data, `"time":"`+at.Format(time.RFC3339)+`",`)
}

func input(eventType, data, attributes string) string {
	return `{"specversion":"1.0","id":"in-1","source":"/landing-zone","type":"` + eventType + `",` +
		attributes + `"data":` + data + `}`
}

func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../events", name))
	require.NoError(t, err)
	return string(b)
}

// lines collects the log of a function.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// parse returns the fields of each line of the log.
func (l *lines) parse(t *testing.T) []map[string]any {
	t.Helper()
	var parsed []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), "every line is JSON: %s", line)
		parsed = append(parsed, fields)
	}
	return parsed
}
