package deploy

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
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
	input      = `{"organization": {"region_id": "cn-north-4"}, "accounts": [
		{"account_id": "` + first + `", "service_principals": ["service.SecMaster"]},
		{"account_id": "` + second + `", "service_principals": ["service.CTS"]}]}`
)

// laptop is the workflow on this machine: the built functions behind an Invoke API, and a Huawei Cloud that checks signatures and keeps state.
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

// execution is what came of running the workflow.
type execution struct {
	Status, Error, Cause string
	Trace                []string
	Events               []struct {
		EventBusName, Source, DetailType string
		Detail                           struct {
			SpecVersion, ID, Source, Type, CorrelationID string
			Time                                         time.Time
			Data                                         struct {
				Outcome  string
				Region   struct{ Outcome string }
				Accounts []struct {
					Outcome string
					Account struct {
						ID string `json:"account_id"`
					}
					Failure failure
				}
				Failure failure
			}
		}
	}
}

type failure struct{ Error, Cause string }

func (l *laptop) run(t *testing.T, input string) execution {
	t.Helper()
	return l.execute(t, input, 0)
}

// execute runs the workflow from the beginning, or for another time from where it failed.
func (l *laptop) execute(t *testing.T, input string, redrives int) execution {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, definition))
	require.NoError(t, err)
	order := map[string]any{
		"definition": file, "invoke": l.invoke,
		"substitutions": map[string]string{
			"RegisterRegionArn": "register-region", "RegisterAdminArn": "register-admin", "BusName": "registrar-dev",
			"Source": "/registrar/onboarding", "BootstrapType": "org.bootstrap", "AccountType": "account.created",
		},
		"context": map[string]any{
			"Execution": map[string]any{"Name": "run-1", "StartTime": time.Now().UTC().Format(time.RFC3339), "RedriveCount": redrives, "Input": json.RawMessage(input)},
			"State":     map[string]any{"EnteredTime": time.Now().UTC().Format(time.RFC3339)},
		},
	}
	if redrives > 0 {
		order["redriven"] = map[string]any{"outcome": "failed", "redrives": redrives - 1}
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
	t.Logf("%s %s\nstates: %s\nresult: %s", e.Status, e.Error, strings.Join(e.Trace, ", "), out[strings.Index(string(out), `"events"`):])
	require.Len(t, e.Events, 1, "whatever happens, one result is put on the bus: %s", out)
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
	return e
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

// ended asserts how an execution that didn't complete ends: in the choice from which a redriven one begins anew.
func ended(t *testing.T, e execution, outcome string) {
	t.Helper()
	assert.Equal(t, "FAILED", e.Status)
	assert.Equal(t, "States.NoChoiceMatched", e.Error)
	assert.Equal(t, "End", e.Trace[len(e.Trace)-1])
	assert.Equal(t, outcome, e.Events[0].Detail.Data.Outcome)
}

func TestTheWorkflowSetsUpAnOrganization(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	e := l.run(t, input)
	assert.Equal(t, "SUCCEEDED", e.Status, e.Cause)
	data := e.Events[0].Detail.Data
	assert.Equal(t, "completed", data.Outcome)
	assert.Equal(t, "registered", data.Region.Outcome)
	require.Len(t, data.Accounts, 2)
	assert.Equal(t, first, data.Accounts[0].Account.ID)
	assert.Equal(t, "registered", data.Accounts[1].Outcome)
	assert.Equal(t, "cn-north-4", l.Region())
	assert.Equal(t, []string{"service.SecMaster"}, l.Delegations(first))
	assert.Equal(t, []string{"service.CTS"}, l.Delegations(second))

	again, writes := l.run(t, input), l.writes()
	assert.Equal(t, "SUCCEEDED", again.Status)
	assert.Equal(t, "unchanged", again.Events[0].Detail.Data.Region.Outcome)
	assert.Equal(t, "unchanged", again.Events[0].Detail.Data.Accounts[0].Outcome)
	assert.Equal(t, 3, writes, "the second run wrote nothing")
}

func TestTheWorkflowStopsAtARejectedRegion(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.SetRegion("cn-south-1")
	e := l.run(t, input)
	ended(t, e, "rejected")
	assert.Equal(t, "rejected", e.Events[0].Detail.Data.Region.Outcome)
	assert.NotContains(t, e.Trace, "RegisterAdmin")
	assert.Zero(t, l.writes())
}

func TestTheWorkflowTriesATransientFailureAgain(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.Script("GET", "/v1/registered-regions", huaweitest.Fault{Status: 503, Code: "APIGW.0201", Times: 2})
	l.Script("GET", "/v1/organizations/accounts/{account_id}/delegated-services", huaweitest.Fault{Status: 502, Code: "APIGW.0201"})
	e := l.run(t, input)
	assert.Equal(t, "SUCCEEDED", e.Status, e.Cause)
	assert.Equal(t, "completed", e.Events[0].Detail.Data.Outcome)
	counts := map[string]int{}
	for _, state := range e.Trace {
		counts[state]++
	}
	assert.Equal(t, 2, counts["RegisterRegion again"])
	assert.Equal(t, 1, counts["RegisterAdmin again"])
}

func TestTheWorkflowFailsWhenMisconfigured(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.Script("GET", "/v1/registered-regions", huaweitest.Fault{Status: 403, Code: "IIC.1000", Times: huaweitest.Forever})
	e := l.run(t, input)
	ended(t, e, "failed")
	assert.Equal(t, "MisconfiguredError", e.Events[0].Detail.Data.Failure.Error)
	assert.Contains(t, e.Events[0].Detail.Data.Failure.Cause, "IIC.1000")
	assert.NotContains(t, e.Trace, "RegisterRegion again", "that doesn't cure itself")
	assert.Zero(t, l.writes())
}

func TestTheWorkflowGoesOnPastAnAccountThatFails(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.Script("GET", "/v1/organizations/accounts/"+first+"/delegated-services", huaweitest.Fault{Status: 403, Code: "Organizations.1007", Times: huaweitest.Forever})
	e := l.run(t, input)
	ended(t, e, "failed")
	accounts := e.Events[0].Detail.Data.Accounts
	require.Len(t, accounts, 2)
	assert.Equal(t, "failed", accounts[0].Outcome)
	assert.Equal(t, "MisconfiguredError", accounts[0].Failure.Error)
	assert.Equal(t, "registered", accounts[1].Outcome)
}

func TestTheWorkflowReportsARejectedAccount(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.AddAccount(first, "suspended")
	e := l.run(t, input)
	ended(t, e, "rejected")
	assert.Equal(t, "rejected", e.Events[0].Detail.Data.Accounts[0].Outcome)
	assert.Equal(t, "registered", e.Events[0].Detail.Data.Accounts[1].Outcome)
}

func TestTheWorkflowTakesAnEmptyListOfAccounts(t *testing.T) {
	t.Parallel()
	e := newLaptop(t).run(t, `{"organization": {"region_id": "cn-north-4"}, "accounts": []}`)
	assert.Equal(t, "SUCCEEDED", e.Status, e.Cause)
}

func TestTheWorkflowRefusesAnIncompleteInput(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"nothing that is needed":       `{"region_id": "cn-north-4"}`,
		"an account instead of a list": `{"organization": {"region_id": "cn-north-4"}, "accounts": {"account_id": "1"}}`,
		"text instead of a list":       `{"organization": {"region_id": "cn-north-4"}, "accounts": "1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLaptop(t)
			e := l.run(t, input)
			ended(t, e, "failed")
			assert.Equal(t, "InvalidInput", e.Events[0].Detail.Data.Failure.Error)
			assert.Empty(t, l.Requests())
		})
	}
}

func TestTheWorkflowBeginsAnewWhenRedriven(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.SetRegion("cn-north-4")
	e := l.execute(t, input, 1)
	require.Equal(t, "SUCCEEDED", e.Status, e.Cause)
	assert.Equal(t, []string{"Redriven", "End", "CheckInput", "Begin"}, e.Trace[:4])
	assert.Equal(t, "unchanged", e.Events[0].Detail.Data.Region.Outcome)
	assert.Equal(t, "registered", e.Events[0].Detail.Data.Accounts[0].Outcome)
}
