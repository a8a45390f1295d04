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
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

const (
	definition = "deploy/statemachine/onboarding.asl.json"
	first      = "05261f923e80d3890f33c0056e9b3f80"
	second     = "0a6d25d23900d45c0faac010e0fb4de0"
	region     = `"organization": {"region_id": "cn-north-4"}`
	both       = `{` + region + `, "accounts": [
		{"account_id": "` + first + `", "service_principals": ["service.SecMaster"]},
		{"account_id": "` + second + `", "service_principals": ["service.CTS"]}]}`
)

// workflowCase is an execution of the workflow, and how it must end.
type workflowCase struct {
	name     string
	before   string        // what is there before, in words
	given    func(*laptop) // and in deeds
	input    string
	redriven bool // after it failed once

	asked   string   // the functions in order, with what each answered
	outcome string   // how the execution ended
	region  string   // outcome of the region
	of      []string // outcomes of the accounts
	failure string   // error, of the execution or of the first account that has one
	writes  int      // on Huawei Cloud
}

var workflowCases = []workflowCase{
	{
		name: "sets up an organization", input: both,
		asked:   "region registered, admin registered, admin registered",
		outcome: "completed", region: "registered", of: []string{"registered", "registered"}, writes: 3,
	},
	{
		name: "changes nothing the second time", input: both,
		before: "everything is registered",
		given: func(l *laptop) {
			l.SetRegion("cn-north-4")
			l.Delegate(first, "service.SecMaster")
			l.Delegate(second, "service.CTS")
		},
		asked:   "region unchanged, admin unchanged, admin unchanged",
		outcome: "completed", region: "unchanged", of: []string{"unchanged", "unchanged"},
	},
	{
		name: "takes an empty list of accounts", input: `{` + region + `, "accounts": []}`,
		asked: "region registered", outcome: "completed", region: "registered", writes: 1,
	},
	{
		name: "stops at a region that is rejected", input: both,
		before: "another region is registered",
		given:  func(l *laptop) { l.SetRegion("cn-south-1") },
		asked:  "region rejected", outcome: "rejected", region: "rejected",
	},
	{
		name: "goes on past an account that is rejected", input: both,
		before:  "the first account is suspended",
		given:   func(l *laptop) { l.AddAccount(first, "suspended") },
		asked:   "region registered, admin rejected, admin registered",
		outcome: "rejected", region: "registered", of: []string{"rejected", "registered"}, writes: 3,
	},
	{
		name: "tries a transient failure again", input: both,
		before: "Huawei Cloud answers 503 twice",
		given: func(l *laptop) {
			l.Script("GET", "/v1/registered-regions", huaweitest.Fault{Status: 503, Code: "APIGW.0201", Times: 2})
		},
		asked: "region TransientError, region TransientError, region registered, " +
			"admin registered, admin registered",
		outcome: "completed", region: "registered", of: []string{"registered", "registered"}, writes: 3,
	},
	{
		name: "stops at a region that is misconfigured", input: both,
		before: "the user may not read the region",
		given: func(l *laptop) {
			forbidden := huaweitest.Fault{Status: 403, Code: "IIC.1000", Times: huaweitest.Forever}
			l.Script("GET", "/v1/registered-regions", forbidden)
		},
		asked: "region MisconfiguredError", outcome: "failed", failure: "MisconfiguredError",
	},
	{
		name: "goes on past an account that fails", input: both,
		before: "the user may not read the first account's services",
		given: func(l *laptop) {
			forbidden := huaweitest.Fault{Status: 403, Code: "Organizations.1007", Times: huaweitest.Forever}
			l.Script("GET", "/v1/organizations/accounts/"+first+"/delegated-services", forbidden)
		},
		asked:   "region registered, admin MisconfiguredError, admin registered",
		outcome: "failed", region: "registered", of: []string{"failed", "registered"},
		failure: "MisconfiguredError", writes: 2,
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
		name: "refuses text instead of a list", input: `{` + region + `, "accounts": "1"}`,
		outcome: "failed", failure: "InvalidInput",
	},
	{
		name: "begins again when redriven", input: both, redriven: true,
		before:  "the execution failed, and the region is registered",
		given:   func(l *laptop) { l.SetRegion("cn-north-4") },
		asked:   "region unchanged, admin registered, admin registered",
		outcome: "completed", region: "unchanged", of: []string{"registered", "registered"}, writes: 2,
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
				l := newLaptop(t)
				if c.given != nil {
					c.given(l)
				}
				executions[i] = l.execute(t, c)
				c.check(t, l, executions[i])
			})
		}
	})
	if file := os.Getenv("WORKFLOW_REPORT"); file != "" && !t.Failed() {
		var report strings.Builder
		fmt.Fprint(&report, "\nInput, unless a case has another: a region, and two accounts with a service each.\n",
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
	assert.Equal(t, c.region, put.Region.Outcome)
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
	if c.outcome == "completed" {
		assert.Equal(t, "SUCCEEDED", e.Status, e.Cause)
	} else {
		assert.Equal(t, "FAILED", e.Status)
		assert.Equal(t, "NeedsAPerson", e.Trace[len(e.Trace)-1], "the console names the state that failed")
	}
	if c.redriven {
		assert.Equal(t, []string{"Redriven", "NeedsAPerson", "CheckInput", "Begin"}, e.Trace[:4])
	}
}

// tell writes a case for people: what comes in, what the functions were asked and answered, how it
// ended.
func (c workflowCase) tell(w io.Writer, e execution) {
	fmt.Fprint(w, c.name)
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

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	keys := huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}
	l := &laptop{Cloud: huaweitest.New(keys)}
	l.AddAccount(first, "active")
	l.AddAccount(second, "active")
	l.TrustService("service.SecMaster", "service.CTS")
	cloud := httptest.NewUnstartedServer(l.Cloud)
	cloud.Config.ErrorLog = log.New(io.Discard, "", 0)
	cloud.Start()
	t.Cleanup(cloud.Close)

	names, err := functionNames()
	require.NoError(t, err)
	l.invoke = serveFunctions(t, map[string]string{
		"HUAWEICLOUD_SDK_AK": keys.AccessKey, "HUAWEICLOUD_SDK_SK": keys.SecretKey, "MAX_ATTEMPTS": "1",
		"IDENTITYCENTER_ENDPOINT": cloud.URL, "ORGANIZATIONS_ENDPOINT": cloud.URL,
	}, names...)
	return l
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
	Asked                []struct{ Function, Answered string }
	Events               []struct {
		EventBusName, Source, DetailType string
		Detail                           struct {
			SpecVersion, ID, Source, Type, CorrelationID string
			Time                                         time.Time
			Data                                         onboarded
		}
	}
}

// onboarded is the data of the workflow's result.
type onboarded struct {
	Outcome  string
	Region   struct{ Outcome string }
	Accounts []struct {
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
			"RegisterRegionArn": "register-region", "RegisterAdminArn": "register-admin", "BusName": "registrar-dev",
			"Source": "/registrar/onboarding", "BootstrapType": "org.bootstrap", "AccountType": "account.created",
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
		calls = append(calls, strings.TrimPrefix(call.Function, "register-")+" "+call.Answered)
	}
	return strings.Join(calls, ", ")
}

// result is the one that is put on the bus, whatever happens.
func (e execution) result(t *testing.T) onboarded {
	t.Helper()
	require.Len(t, e.Events, 1)
	put := e.Events[0]
	assert.Equal(t, "registrar-dev", put.EventBusName)
	assert.Equal(t, "/registrar/onboarding", put.Source)
	assert.Equal(t, "org.onboarding."+put.Detail.Data.Outcome, put.DetailType)
	assert.Equal(t, put.DetailType, put.Detail.Type)
	assert.Equal(t, put.Source, put.Detail.Source)
	assert.Equal(t, "run-1/"+put.Detail.Data.Outcome, put.Detail.ID)
	assert.Equal(t, "run-1", put.Detail.CorrelationID)
	assert.Equal(t, "1.0", put.Detail.SpecVersion)
	assert.False(t, put.Detail.Time.IsZero())
	return put.Detail.Data
}
