// Package decisions runs decision tables: a function's rows of state, answers of the cloud, outcome and
// calls. Each row runs in this process, on a clock of its own, against a fake Huawei Cloud that keeps
// state and checks signatures.
package decisions

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

// Account is the member account of every row's organization. It is active. Trusted are the services with
// trusted access.
const (
	Account = "05261f923e80d3890f33c0056e9b3f80"
	Trusted = "service.SecMaster service.CTS"
)

// Row is one row of a decision table.
type Row struct {
	Data  string                         // the data of the event
	Age   time.Duration                  // how old the event is; Timeless if it has no time
	Cloud func(*huaweitest.Cloud)        // the state before, and what the cloud will answer; nil for the usual
	Want  string                         // the outcome and reason of the result, or the name of the error
	Each  string                         // the outcomes and reasons of several registrations, if there are any
	Text  string                         // what the message or the error must contain
	Calls string                         // the calls in their order, each a method and the end of a path
	State func(*huaweitest.Cloud) string // what to look at afterwards; nil for nothing
	Is    string                         // what State must return
}

// Timeless as a Row's Age is an event without a time.
const Timeless = time.Duration(-1)

// Run runs each row against the function that make returns.
func Run(t *testing.T, eventType string, make func(*client.Client) handler.Function, rows map[string]Row) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { row.run(t, eventType, make) })
		})
	}
}

func (row Row) run(t *testing.T, eventType string, make func(*client.Client) handler.Function) {
	t.Helper()
	keys := huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}
	cloud := huaweitest.New(keys)
	cloud.AddAccount(Account, "active")
	cloud.TrustService(strings.Fields(Trusted)...)
	if row.Cloud != nil {
		row.Cloud(cloud)
	}
	h := handler.Handler{Name: "function", Function: make(newClient(t, cloud, keys))}

	event := map[string]any{
		"specversion": "1.0", "id": "1", "source": "/landing-zone", "type": eventType, "data": json.RawMessage(row.Data),
	}
	if row.Age != Timeless {
		event["time"] = time.Now().Add(-row.Age).Format(time.RFC3339)
	}
	payload, err := json.Marshal(event)
	require.NoError(t, err)
	answer, err := h.Invoke(t.Context(), payload)

	want, each, text := told(t, answer, err)
	assert.Equal(t, row.Want, want)
	assert.Equal(t, row.Each, each)
	assert.Contains(t, text, row.Text)
	assert.Equal(t, row.Calls, calls(cloud))
	if row.State != nil {
		assert.Equal(t, row.Is, row.State(cloud))
	}
}

func newClient(t *testing.T, cloud *huaweitest.Cloud, keys huaweitest.Credentials) *client.Client {
	t.Helper()
	endpoint := func(text string) wire.Endpoint {
		e, err := wire.ParseEndpoint(text)
		require.NoError(t, err)
		return e
	}
	return client.New(client.Config{
		IdentityCenter: endpoint("https://identitycenter.myhuaweicloud.com"),
		Organizations:  endpoint("https://organizations.myhuaweicloud.com"),
		MaxAttempts:    4, RequestTimeout: 10 * time.Second, Transport: cloud,
	}, client.Static(client.Credentials{
		AccessKey: client.Secret(keys.AccessKey), SecretKey: client.Secret(keys.SecretKey),
	}))
}

// told is what an answer says: the outcome with its reason, those of each registration, and the messages.
func told(t *testing.T, answer []byte, err error) (whole, each, text string) {
	t.Helper()
	if err != nil {
		name := fmt.Sprintf("%T", err)
		return name[strings.LastIndex(name, ".")+1:], "", err.Error()
	}
	type part struct{ Outcome, Reason, Message string }
	var result struct {
		Data struct {
			part
			Registrations []part
		}
	}
	require.NoError(t, json.Unmarshal(answer, &result))
	said := func(p part) string { return strings.TrimSpace(p.Outcome + " " + p.Reason) }
	var outcomes []string
	messages := []string{result.Data.Message}
	for _, one := range result.Data.Registrations {
		outcomes, messages = append(outcomes, said(one)), append(messages, one.Message)
	}
	return said(result.Data.part), strings.Join(outcomes, ", "), strings.Join(messages, " ")
}

// calls are the requests that the cloud saw, with as much of their paths as tells them apart.
func calls(cloud *huaweitest.Cloud) string {
	var all []string
	for _, r := range cloud.Requests() {
		path := strings.TrimPrefix(strings.TrimPrefix(r.Path, "/v1/"), "organizations/")
		path = strings.Replace(path, Account, "{id}", 1)
		all = append(all, r.Method+" "+path)
	}
	return strings.Join(all, ", ")
}
