package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/test/docs"
)

const (
	definition = "deploy/statemachine/onboarding.asl.json"
	first      = "05261f923e80d3890f33c0056e9b3f80"
	second     = "0a6d25d23900d45c0faac010e0fb4de0"
	another    = "0b6e2d41c58f4a3796d0e1f2a3b4c5d6" // which no rule fits
	region     = `"organization": {"region_id": "cn-north-4"}`
	both       = `{` + region + `, "accounts": [{"account_id": "` + first + `"}, {"account_id": "` + second + `"}]}`

	// What the workflow does from nothing, up to the audit.
	everything = "region registered, service registered, wait 30 s, admin registered, admin registered"
)

// workflowCase is an execution of the workflow, and how it must end.
type workflowCase struct {
	name     string
	before   string        // what is there before, in words
	given    func(*laptop) // and in deeds
	dryRun   bool          // the functions only read
	input    string
	redriven bool // after it failed once

	asked   string   // the functions in order, with what each answered, and the waits
	outcome string   // how the execution ended
	of      []string // outcomes of the accounts
	failure string   // error, of the execution or of the first account that has one
	writes  int      // on Huawei Cloud
}

var workflowCases = []workflowCase{
	{
		name: "sets up an organization from nothing", input: both,
		asked:   everything + ", audit passed",
		outcome: "completed", of: []string{"registered", "registered"}, writes: 5,
	},
	{
		name: "changes nothing the second time", input: both,
		before: "everything is registered", given: (*laptop).registerAll,
		asked:   "region unchanged, service unchanged, admin unchanged, admin unchanged, audit passed",
		outcome: "completed", of: []string{"unchanged", "unchanged"},
	},
	{
		name: "takes an empty list of accounts", input: `{` + region + `, "accounts": []}`,
		before: "everything is registered but the region",
		given: func(l *laptop) {
			l.registerAll()
			l.SetRegion("")
		},
		asked: "region registered, service unchanged, audit passed", outcome: "completed", writes: 1,
	},
	{
		name:   "has nothing against an account that administers nothing",
		input:  `{` + region + `, "accounts": [{"account_id": "` + another + `"}]}`,
		before: "everything is registered", given: (*laptop).registerAll,
		asked:   "region unchanged, service unchanged, admin skipped, audit passed",
		outcome: "completed", of: []string{"skipped"},
	},
	{
		name:   "waits for an account that is being created",
		input:  `{` + region + `, "accounts": [{"create_account_status_id": "car-1"}]}`,
		before: "everything is registered but the first account, whose creation is in progress a little longer",
		given: func(l *laptop) {
			l.registerAll()
			l.Undelegate(first, "service.SecMaster")
			l.SetCreateAccountStatus("car-1", "succeeded", first)
			inProgress := []byte(`{"create_account_status": {"id": "car-1", "state": "in_progress"}}`)
			l.Script("GET", "/v1/organizations/create-account-status/car-1",
				huaweitest.Fault{Status: 200, Body: inProgress, Times: 2})
		},
		asked: "region unchanged, service unchanged, admin TransientError, admin TransientError, " +
			"admin registered, audit passed",
		outcome: "completed", of: []string{"registered"}, writes: 1,
	},
	{
		name: "audits again while a list lags behind", input: both,
		before: "Huawei Cloud's list of administrators is still empty for two audits",
		given: func(l *laptop) {
			stale := []byte(`{"delegated_administrators": [], "page_info": {"next_marker": null, "current_count": 0}}`)
			l.Script("GET", "/v1/organizations/delegated-administrators",
				huaweitest.Fault{Status: 200, Body: stale, Times: 2})
		},
		asked:   everything + ", audit drifted, wait 300 s, audit drifted, wait 300 s, audit passed",
		outcome: "completed", of: []string{"registered", "registered"}, writes: 5,
	},
	{
		name: "tells what no audit can pass", input: both,
		before:  "an account administers a service that no rule gives it",
		given:   func(l *laptop) { l.Delegate(another, "service.RAM") },
		asked:   everything + strings.Repeat(", audit drifted, wait 300 s", 4) + ", audit drifted",
		outcome: "drifted", of: []string{"registered", "registered"}, writes: 5,
	},
	{
		name: "shows the plan in a stage that only reads", input: both, dryRun: true,
		asked:   "region planned, service planned, audit drifted",
		outcome: "completed",
	},
	{
		name: "plans accounts in a stage that only reads", input: both, dryRun: true,
		before: "everything is registered but the first account",
		given: func(l *laptop) {
			l.registerAll()
			l.Undelegate(first, "service.SecMaster")
		},
		asked:   "region unchanged, service unchanged, admin planned, admin unchanged, audit drifted",
		outcome: "completed", of: []string{"planned", "unchanged"},
	},
	{
		name: "stops at a region that is rejected", input: both,
		before: "another region is registered",
		given:  func(l *laptop) { l.SetRegion("cn-south-1") },
		asked:  "region rejected", outcome: "rejected",
	},
	{
		name: "goes on past a service that is rejected",
		input: strings.Replace(both, `"cn-north-4"`,
			`"cn-north-4", "service_principals": ["service.RAM", "service.SecMaster", "service.CTS"]`, 1),
		before:  "no rule has service.RAM",
		asked:   "region registered, service rejected, wait 30 s, admin registered, admin registered",
		outcome: "rejected", of: []string{"registered", "registered"}, writes: 5,
	},
	{
		name: "goes on past an account that is rejected", input: both,
		before:  "the first account is suspended",
		given:   func(l *laptop) { l.AddAccount(first, "suspended") },
		asked:   "region registered, service registered, wait 30 s, admin rejected, admin registered",
		outcome: "rejected", of: []string{"rejected", "registered"}, writes: 4,
	},
	{
		name: "goes on past an account that fails", input: both,
		before: "the user may not read the first account's services",
		given: func(l *laptop) {
			l.forbid("/v1/organizations/accounts/" + first + "/delegated-services")
		},
		asked:   "region registered, service registered, wait 30 s, admin MisconfiguredError, admin registered",
		outcome: "failed", of: []string{"failed", "registered"}, failure: "MisconfiguredError", writes: 4,
	},
	{
		name: "tries a transient failure again", input: both,
		before: "Huawei Cloud answers 503 twice",
		given: func(l *laptop) {
			l.Script("GET", "/v1/registered-regions", huaweitest.Fault{Status: 503, Code: "APIGW.0201", Times: 2})
		},
		asked:   "region TransientError, region TransientError, " + everything + ", audit passed",
		outcome: "completed", of: []string{"registered", "registered"}, writes: 5,
	},
	{
		name: "stops at a region that is misconfigured", input: both,
		before: "the user may not read the region",
		given:  func(l *laptop) { l.forbid("/v1/registered-regions") },
		asked:  "region MisconfiguredError", outcome: "failed", failure: "MisconfiguredError",
	},
	{
		name: "stops at services that are misconfigured", input: both,
		before:  "the user may not read the trusted services",
		given:   func(l *laptop) { l.forbid("/v1/organizations/trusted-services") },
		asked:   "region registered, service MisconfiguredError",
		outcome: "failed", failure: "MisconfiguredError", writes: 1,
	},
	{
		name: "fails without an audit", input: both,
		before: "the user may not read the accounts",
		given:  func(l *laptop) { l.forbid("/v1/organizations/accounts") },
		asked:  everything + ", audit MisconfiguredError", outcome: "failed",
		of: []string{"registered", "registered"}, failure: "MisconfiguredError", writes: 5,
	},
	{
		name: "refuses an input without accounts", input: `{"region_id": "cn-north-4"}`,
		outcome: "failed", failure: "InvalidInput",
	},
	{
		name: "refuses an account instead of a list", input: `{` + region + `, "accounts": {"account_id": "1"}}`,
		outcome: "failed", failure: "InvalidInput",
	},
	{
		name: "refuses text instead of a list", input: `{` + region + `, "accounts": "[1]"}`,
		outcome: "failed", failure: "InvalidInput",
	},
	{
		name: "begins again when redriven", input: both, redriven: true,
		before:  "the execution failed, and the region is registered",
		given:   func(l *laptop) { l.SetRegion("cn-north-4") },
		asked:   strings.Replace(everything, "region registered", "region unchanged", 1) + ", audit passed",
		outcome: "completed", of: []string{"registered", "registered"}, writes: 4,
	},
}

func TestTheWorkflow(t *testing.T) {
	t.Parallel()
	needsTools(t, "Node.js 20 and the packages of deploy/")
	executions := make([]execution, len(workflowCases))
	t.Run("cases", func(t *testing.T) {
		for i, c := range workflowCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				l := newLaptop(t, c.dryRun)
				if c.given != nil {
					c.given(l)
				}
				executions[i] = l.execute(t, c)
				c.check(t, l, executions[i])
			})
		}
	})
	t.Run("the page about events shows what the first puts on the bus", func(t *testing.T) {
		blocks := docs.Blocks(string(read(t, "docs/events.md")))
		i := slices.IndexFunc(blocks, func(b docs.Block) bool { return b.Heading == "org.onboarding.completed" })
		require.Positive(t, i)
		var shown, put map[string]any
		require.NoError(t, json.Unmarshal([]byte(blocks[i].Text), &shown))
		require.NoError(t, json.Unmarshal(executions[0].Events[0].Detail, &put))
		delete(shown, "time")
		delete(put, "time")
		assert.Equal(t, shown, put)
	})
	if file := os.Getenv("WORKFLOW_REPORT"); file != "" && !t.Failed() {
		var report strings.Builder
		fmt.Fprint(&report, "\nConfiguration: a region, and two services with an account each that administers it.\n",
			"Before, unless a case says otherwise: nothing is registered.\n",
			"Input, unless a case has another: the region, and the two accounts.\n",
			"Then the functions that are asked, with what they answer, and how the execution ends.\n\n")
		for i, c := range workflowCases {
			c.tell(&report, executions[i])
		}
		fmt.Fprintf(&report, "%d executions ended as they must.\n", len(workflowCases))
		require.NoError(t, os.WriteFile(file, []byte(report.String()), 0o600))
	}
}

func (c workflowCase) check(t *testing.T, l *laptop, e execution) {
	t.Helper()
	put := e.result(t)
	assert.Equal(t, c.outcome, put.Outcome)
	assert.Equal(t, c.told("region"), put.Region.Outcome)
	assert.Equal(t, c.told("service"), put.Services.Outcome)
	assert.Equal(t, c.told("audit"), put.Audit.Outcome)
	var outcomes []string
	failure := put.Failure.Error
	for _, account := range put.Accounts {
		outcomes = append(outcomes, account.Outcome)
		if failure == "" {
			failure = account.Failure.Error
		}
	}
	assert.Equal(t, c.of, outcomes)
	assert.Equal(t, c.failure, failure)
	// Two accounts are registered at once, so their order is by chance.
	assert.ElementsMatch(t, strings.Split(c.asked, ", "), strings.Split(e.asked(), ", "))
	assert.Equal(t, c.writes, l.writes())
	answered := map[string]bool{} // ids of events, by the function
	for _, call := range e.Asked {
		if event := call.Function + " " + call.ID; call.ID != "" && !strings.HasSuffix(call.Answered, "Error") {
			assert.False(t, answered[event], "%s is answered twice", event)
			answered[event] = true
		}
	}
	if c.outcome == "completed" {
		assert.Equal(t, "SUCCEEDED", e.Status, e.Cause)
	} else {
		assert.Equal(t, "FAILED", e.Status)
		assert.Equal(t, "NeedsAPerson", e.Trace[len(e.Trace)-1], "the console names the state that failed")
	}
	if c.redriven {
		assert.Equal(t, []string{"Redriven", "NeedsAPerson", "Begin", "CheckInput"}, e.Trace[:4])
	}
}

// told is the outcome that a function answered last, and so what the workflow's result tells of it.
// It is empty if the function wasn't asked, or failed.
func (c workflowCase) told(function string) string {
	var last string
	for call := range strings.SplitSeq(c.asked, ", ") {
		if answered, ok := strings.CutPrefix(call, function+" "); ok {
			last = answered
		}
	}
	if strings.HasSuffix(last, "Error") {
		return ""
	}
	return last
}

// tell writes a case for people: what comes in, what the functions were asked and answered, how it
// ended.
func (c workflowCase) tell(w io.Writer, e execution) {
	fmt.Fprint(w, c.name)
	if c.dryRun {
		fmt.Fprint(w, " (DRY_RUN=true)")
	}
	if c.before != "" {
		fmt.Fprintf(w, " (before: %s)", c.before)
	}
	if c.input != both {
		fmt.Fprintf(w, "\n  input: %s", c.input)
	}
	asked := e.asked()
	if asked == "" {
		asked = "no function is asked"
	}
	fmt.Fprintf(w, "\n  %s\n  => %s", asked, c.outcome)
	if c.failure != "" {
		fmt.Fprintf(w, " by %s", c.failure)
	}
	if c.outcome != "completed" {
		fmt.Fprint(w, ", and the execution fails in the state NeedsAPerson")
	}
	fmt.Fprint(w, "\n\n")
}

// laptop is the workflow on this machine: the built functions behind an Invoke API, and a Huawei
// Cloud that checks signatures and keeps state.
type laptop struct {
	*huaweitest.Cloud
	invoke string // base URL of the Invoke API
}

func newLaptop(t *testing.T, dryRun bool) *laptop {
	t.Helper()
	keys := huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}
	l := &laptop{Cloud: huaweitest.New(keys)}
	l.AddAccount(first, "active")
	l.AddAccount(second, "active")
	l.AddAccount(another, "active")
	cloud := httptest.NewUnstartedServer(l.Cloud)
	cloud.Config.ErrorLog = log.New(io.Discard, "", 0)
	cloud.Start()
	t.Cleanup(cloud.Close)

	names, err := functionNames()
	require.NoError(t, err)
	l.invoke = serveFunctions(t, map[string]string{
		"HUAWEICLOUD_SDK_AK": keys.AccessKey, "HUAWEICLOUD_SDK_SK": keys.SecretKey, "MAX_ATTEMPTS": "1",
		"REGION_ID": "cn-north-4", "ADMINISTRATORS": "service.SecMaster=id:" + first + ",service.CTS=id:" + second,
		"DRY_RUN":                 strconv.FormatBool(dryRun),
		"IDENTITYCENTER_ENDPOINT": cloud.URL, "ORGANIZATIONS_ENDPOINT": cloud.URL,
	}, names...)
	return l
}

// registerAll registers everything that shall be.
func (l *laptop) registerAll() {
	l.SetRegion("cn-north-4")
	l.TrustService("service.SecMaster", "service.CTS")
	l.Delegate(first, "service.SecMaster")
	l.Delegate(second, "service.CTS")
}

// forbid has a path refused for want of a right.
func (l *laptop) forbid(path string) {
	l.Script("GET", path, huaweitest.Fault{Status: 403, Code: "PAP.0001", Times: huaweitest.Forever})
}

func (l *laptop) writes() int {
	n := 0
	for _, r := range l.Requests() {
		if r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

// execution is what came of running the workflow.
type execution struct {
	Status, Error, Cause string
	Trace                []string
	Asked                []struct{ Function, ID, Answered string }
	Events               []struct {
		EventBusName, Source, DetailType string
		Detail                           json.RawMessage
	}
}

// onboarded is the data of the workflow's result.
type onboarded struct {
	Outcome                 string
	Region, Services, Audit struct{ Outcome string }
	Accounts                []struct {
		Outcome string
		Failure struct{ Error string }
	}
	Failure struct{ Error string }
}

// execute runs the workflow from the beginning, or for another time from where it failed.
func (l *laptop) execute(t *testing.T, c workflowCase) execution {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, definition))
	require.NoError(t, err)
	now := time.Now().UTC().Format(time.RFC3339)
	began := map[string]any{"Name": "run-1", "StartTime": now, "RedriveCount": 0, "Input": json.RawMessage(c.input)}
	order := map[string]any{
		"definition": file, "invoke": l.invoke,
		"substitutions": map[string]string{
			"RegisterRegionArn": "register-region", "RegisterServiceArn": "register-service",
			"RegisterAdminArn": "register-admin", "AuditOrganizationArn": "audit-organization",
			"BootstrapType": "org.bootstrap", "AccountType": "account.created", "AuditType": "org.audit",
			"BusName": "registrar-dev", "Source": "/registrar/onboarding",
		},
		"context": map[string]any{"Execution": began, "State": map[string]any{"EnteredTime": now}},
	}
	if c.redriven {
		began["RedriveCount"] = 1
		order["redriven"] = map[string]any{"outcome": "failed", "redrives": 0}
	}
	encoded, err := json.Marshal(order)
	require.NoError(t, err)
	cmd := node(t, "statemachine/run.cjs")
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = bytes.NewReader(encoded), &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var e execution
	require.NoError(t, json.Unmarshal(out, &e), "%s", out)
	return e
}

// asked are the functions that were called, with what each answered.
func (e execution) asked() string {
	var calls []string
	for _, call := range e.Asked {
		name := strings.NewReplacer("register-", "", "-organization", "").Replace(call.Function)
		calls = append(calls, name+" "+call.Answered)
	}
	return strings.Join(calls, ", ")
}

// result is the one that is put on the bus, whatever happens.
func (e execution) result(t *testing.T) onboarded {
	t.Helper()
	require.Len(t, e.Events, 1)
	put := e.Events[0]
	promised, err := docs.LoadSchemas(filepath.Join(root, "docs", "schemas"))
	require.NoError(t, err)
	assert.NoError(t, promised.Check(put.Detail), "%s", put.Detail)
	var event struct {
		ID, Source, Type, CorrelationID string
		Data                            onboarded
	}
	require.NoError(t, json.Unmarshal(put.Detail, &event))
	assert.Equal(t, "registrar-dev", put.EventBusName)
	assert.Equal(t, event.Source, put.Source)
	assert.Equal(t, event.Type, put.DetailType)
	assert.Equal(t, "org.onboarding."+event.Data.Outcome, event.Type)
	assert.Equal(t, "run-1/"+event.Data.Outcome, event.ID)
	assert.Equal(t, "run-1", event.CorrelationID)
	return event.Data
}
