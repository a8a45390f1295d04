// Package decisions runs decision tables. A row says in which state the cloud is, what it answers,
// and which outcome and calls of a function must follow. Each row runs in this process, on its own
// clock, against a fake Huawei Cloud that keeps state and checks signatures.
package decisions

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
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

// Row is one row of a decision table.
type Row struct {
	Type      string                         // the type of the event; empty for that of the table
	Data      string                         // the data of the event
	Age       time.Duration                  // how old the event is; Timeless if it has no time
	Cloud     func(*huaweitest.Cloud)        // sets the state, and answers of the cloud; nil leaves both alone
	Want      string                         // the outcome and reason of the result, or the name of the error
	Each      string                         // the outcomes and reasons of several registrations, if there are any
	Text      string                         // what the message, with what was observed, or the error must contain
	Calls     string                         // the calls in their order, each a method and the end of a path
	Sent      string                         // the requests that are sent: each a type, an account and services
	State     func(*huaweitest.Cloud) string // reads the state afterwards; nil if it doesn't matter
	WantState string                         // what State must return
}

// Timeless is the Age of an event without a time.
const Timeless = time.Duration(-1)

// Run runs each row against the function that build returns.
func Run(t *testing.T, eventType string, build func(*client.Client) handler.Function, rows map[string]Row) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { row.run(t, eventType, build) })
		})
	}
}

func (row Row) run(t *testing.T, eventType string, build func(*client.Client) handler.Function) {
	t.Helper()
	keys := huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}
	cloud := huaweitest.New(keys)
	cloud.AddAccount(Account, "active")
	cloud.TrustService(strings.Fields(Trusted)...)
	if row.Cloud != nil {
		row.Cloud(cloud)
	}
	var sent []string
	h := handler.Handler{Name: "function", Function: build(newClient(t, cloud, keys))}
	h.Sink = func(_ context.Context, all ...event.Event) error {
		sent = append(sent, requests(t, all)...)
		return nil
	}

	in := map[string]any{
		"specversion": "1.0", "id": "1", "source": "/landing-zone", "type": cmp.Or(row.Type, eventType),
		"data": json.RawMessage(row.Data),
	}
	if row.Age != Timeless {
		in["time"] = time.Now().Add(-row.Age).Format(time.RFC3339)
	}
	payload, err := json.Marshal(in)
	require.NoError(t, err)
	answer, err := h.Invoke(t.Context(), payload)

	whole, each, text := summary(t, answer, err)
	assert.Equal(t, row.Want, whole)
	assert.Equal(t, row.Each, each)
	assert.Contains(t, text, row.Text)
	assert.Equal(t, row.Calls, calls(cloud))
	assert.Equal(t, row.Sent, strings.Join(sent, ", "))
	if row.State != nil {
		assert.Equal(t, row.WantState, row.State(cloud))
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

// summary is what an answer says: the outcome with its reason as a whole and of each registration,
// and the messages, each with the status and the accounts that were observed.
func summary(t *testing.T, answer []byte, err error) (whole, each, text string) {
	t.Helper()
	if err != nil {
		name := fmt.Sprintf("%T", err)
		return name[strings.LastIndex(name, ".")+1:], "", err.Error()
	}
	type part struct {
		Outcome, Reason, Message string
		ObservedStatus           string   `json:"observed_status"`
		ObservedAccountIDs       []string `json:"observed_account_ids"`
	}
	var out struct {
		Data struct {
			part
			Registrations []part
		}
	}
	require.NoError(t, json.Unmarshal(answer, &out))
	outcome := func(p part) string { return strings.TrimSpace(p.Outcome + " " + p.Reason) }
	var outcomes []string
	messages := []string{out.Data.Message}
	for _, r := range out.Data.Registrations {
		outcomes = append(outcomes, outcome(r))
		messages = append(append(messages, r.Message, r.ObservedStatus), r.ObservedAccountIDs...)
	}
	return outcome(out.Data.part), strings.Join(outcomes, ", "), strings.Join(messages, " ")
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

// calls are the requests that the cloud saw: each a method and the end of a path.
func calls(cloud *huaweitest.Cloud) string {
	var all []string
	for _, r := range cloud.Requests() {
		path := strings.TrimPrefix(strings.TrimPrefix(r.Path, "/v1/"), "organizations/")
		path = strings.Replace(path, Account, "{id}", 1)
		all = append(all, r.Method+" "+path)
	}
	return strings.Join(all, ", ")
}
