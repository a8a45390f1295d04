package events_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

// trace is what a CTS trigger of FunctionGraph hands on, constructed from the documents, with
// members changed to those given; "" leaves one out.
func trace(changed members) string {
	object := map[string]json.RawMessage{}
	for name, value := range map[string]string{
		"time":          `1767323650000`,
		"user":          `{"name":"admin","id":"user-1","domain":{"name":"caller","id":"caller-1"}}`,
		"request":       `{"name":"security"}`,
		"response":      `{"create_account_status":{"id":"car-1","account_id":"account-1","state":"succeeded"}}`,
		"code":          `200`,
		"service_type":  `"Organizations"`,
		"resource_type": `"account"`,
		"resource_name": `"security"`,
		"resource_id":   `"resource-1"`,
		"trace_name":    `"createAccount"`,
		"trace_type":    `"ApiCall"`,
		"record_time":   `1767323655000`,
		"trace_id":      `"trace-1"`,
		"trace_status":  `"normal"`,
	} {
		object[name] = json.RawMessage(value)
	}
	for name, value := range changed {
		if value == "" {
			delete(object, name)
		} else {
			object[name] = json.RawMessage(value)
		}
	}
	b, err := json.Marshal(map[string]any{"cts": object})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// one is the only record of a trace.
func one(t *testing.T, payload string) events.Record {
	t.Helper()
	envelope, err := events.Unwrap([]byte(payload))
	require.NoError(t, err)
	require.Equal(t, events.CTS, envelope.Shape)
	require.Len(t, envelope.Records, 1)
	require.NotNil(t, envelope.Records[0].Trace)
	return envelope.Records[0]
}

func TestWhatTracesBecome(t *testing.T) {
	t.Parallel()
	const (
		organizations, rgc = `"Organizations"`, `"RGC"`
		creation           = `{"create_account_status":{"id":"car-1"}}`
		enrolled           = `{"account_id":"account-2"}`
		account1           = `{"account_id":"account-1"}`
		account2           = `{"account_id":"account-2"}`
		status             = `{"create_account_status_id":"car-1"}`
	)
	for name, c := range map[string]struct {
		changed members
		source  string // /huaweicloud/cts/ is before it
		cause   string // the type
		data    string
	}{
		"an organization": {
			members{"trace_name": `"createOrganization"`, "response": ""}, "Organizations", "org.bootstrap", `{}`,
		},
		"a landing zone": {
			members{"service_type": rgc, "trace_name": `"setupLandingZone"`}, "RGC", "org.bootstrap", `{}`,
		},
		"an account": {nil, "Organizations", "account.created", account1},
		"an account that is ordered": {
			members{"response": creation}, "Organizations", "account.created", status,
		},
		"version 2": {
			members{"trace_name": `"createAccountV2"`, "response": creation},
			"Organizations", "account.created", status,
		},
		"an invited account": {
			members{"trace_name": `"acceptHandshake"`}, "Organizations", "account.created", `{"account_id":"caller-1"}`,
		},
		"an account of a landing zone": {
			members{"service_type": rgc, "response": enrolled}, "RGC", "account.created", account2,
		},
		"an enrolled account": {
			members{"service_type": rgc, "trace_name": `"enrollAccount"`, "response": quoted(enrolled)},
			"RGC", "account.created", account2,
		},
		"other cases": {
			members{"service_type": `"ORGANIZATIONS"`, "trace_name": `"CreateAccount"`},
			"Organizations", "account.created", account1,
		},
		"other cases of RGC": {
			members{"service_type": `"rgc"`, "trace_name": `"setuplandingzone"`}, "RGC", "org.bootstrap", `{}`,
		},
		"a response of text": {members{"response": quoted(creation)}, "Organizations", "account.created", status},
		"a status of text": {
			members{"response": `{"create_account_status":` + quoted(`{"id":"car-1"}`) + `}`},
			"Organizations", "account.created", status,
		},
		"a user of text": {
			members{"trace_name": `"acceptHandshake"`, "user": quoted(`{"domain":{"id":"caller-2"}}`)},
			"Organizations", "account.created", `{"account_id":"caller-2"}`,
		},
		"ids that are numbers": {
			members{"response": `{"create_account_status":{"account_id":12345678901234567890}}`},
			"Organizations", "account.created", `{"account_id":"12345678901234567890"}`,
		},
		"an account id that is empty": {
			members{"response": `{"create_account_status":{"id":"car-1","account_id":""}}`},
			"Organizations", "account.created", status,
		},
		"an account id that is null": {
			members{"response": `{"create_account_status":{"id":"car-1","account_id":null}}`},
			"Organizations", "account.created", status,
		},
		"an account id that is an object": {
			members{"response": `{"create_account_status":{"id":"car-1","account_id":{}}}`},
			"Organizations", "account.created", status,
		},
		"no request":  {members{"request": ""}, "Organizations", "account.created", account1},
		"no code":     {members{"code": ""}, "Organizations", "account.created", account1},
		"code 204":    {members{"code": `"204"`}, "Organizations", "account.created", account1},
		"code 399.5":  {members{"code": `399.5`}, "Organizations", "account.created", account1},
		"null code":   {members{"code": `null`}, "Organizations", "account.created", account1},
		"object code": {members{"code": `{}`}, "Organizations", "account.created", account1},
		"text code":   {members{"code": `"OK"`}, "Organizations", "account.created", account1},
		"no number":   {members{"code": `"Infinity"`}, "Organizations", "account.created", account1},
		"a large request, which isn't used": {
			members{"request": quoted(strings.Repeat("x", 300<<10))}, "Organizations", "account.created", account1,
		},
		"a response with a byte order mark": {
			members{"response": quoted("\ufeff" + `{"create_account_status":{"account_id":"account-1"}}`)},
			"Organizations", "account.created", account1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := one(t, trace(c.changed))
			require.NoError(t, r.Err)
			assert.Equal(t, events.Trace{}, *r.Trace)
			assert.JSONEq(t, c.data, string(r.Event.Data))
			r.Event.Data = nil
			assert.Equal(t, events.Event{
				Cause: events.Cause{ID: "trace-1", Source: "/huaweicloud/cts/" + c.source, Type: c.cause},
				Time:  time.Date(2026, 1, 2, 3, 14, 15, 0, time.UTC),
			}, r.Event)
		})
	}
}

func TestTheTimeOfATrace(t *testing.T) {
	t.Parallel()
	const recorded, called, none = "2026-01-02T03:14:15Z", "2026-01-02T03:14:10Z", "0001-01-01T00:00:00Z"
	for _, c := range []struct{ record, time, want string }{
		{`1767323655000`, `1767323650000`, recorded},
		{`"1767323655000"`, `1767323650000`, recorded},
		{`"2026-01-02T11:14:15+08:00"`, `1767323650000`, recorded},
		{"", `1767323650000`, called},
		{"", `"1767323650000"`, called},
		{`""`, `1767323650000`, called},
		{`null`, `1767323650000`, called},
		{`{}`, `1767323650000`, called},
		{`-1`, `1767323650000`, called},
		{`1767323655`, `1767323650000`, called},
		{`"soon"`, `1767323650000`, called},
		{"", "", none},
		{`null`, `null`, none},
		{`{}`, `[]`, none},
		{`1e300`, `0`, none},
	} {
		r := one(t, trace(members{"record_time": c.record, "time": c.time}))
		require.NoError(t, r.Err)
		assert.Equal(t, c.want, r.Event.Time.UTC().Format(time.RFC3339), "%s, %s", c.record, c.time)
	}
}

func TestTracesThatAskForNothing(t *testing.T) {
	t.Parallel()
	const asks, tells = "asks for nothing", " tells no account: account_id: is missing"
	rgc := members{"service_type": `"RGC"`}
	accepted := members{"trace_name": `"acceptHandshake"`}
	long := quoted(strings.Repeat("x", 100_000) + "\n")
	type row struct {
		changed members
		reason  string
		suspect bool
	}
	rows := map[string]row{
		"another name":         {members{"trace_name": `"delete"`}, `"delete" of "Organizations" ` + asks, false},
		"another service":      {members{"service_type": `"vpc"`}, `"createAccount" of "vpc" ` + asks, false},
		"names of two rows":    {members{"service_type": `"RGC"`, "trace_name": `"acceptHandshake"`}, asks, false},
		"our own write":        {members{"trace_name": `"registerDelegatedAdministrator"`}, asks, false},
		"our own region":       {members{"service_type": `"IIC"`, "trace_name": `"RegisterRegion"`}, asks, false},
		"long names":           {members{"service_type": long, "trace_name": long}, asks, false},
		"a call that failed":   {members{"code": `400`}, `createAccount of Organizations failed with code "4`, false},
		"likewise, as text":    {members{"code": `"403"`}, `failed with code "403"`, false},
		"likewise, with words": {members{"code": `" 500 Internal"`}, `failed with code " 500 Internal"`, false},
		"likewise, a fraction": {members{"code": `4.04e2`}, `failed with code "4.04e2"`, false},
		"a server that failed": {members{"code": `500`, "response": ""}, `failed with code "500"`, false},
		"a failed bootstrap":   {members{"trace_name": `"createOrganization"`, "code": `500`}, `failed`, false},
		"an account id that isn't one": {
			members{"response": `{"create_account_status":{"id":"car-1","account_id":"a/b"}}`},
			`tells no account: account_id: "a/b" is not an account id`, true,
		},
		"a number that isn't an id": {
			members{"response": `{"create_account_status":{"account_id":1.5}}`}, `"1.5" is not an account id`, true,
		},
		"the id of a creation that isn't one": {
			members{"response": `{"create_account_status":{"id":` + long + `}}`}, "is not the id of a creation", true,
		},
	}
	for name, response := range map[string]string{
		"no response": "", "null": `null`, "text": `"hello"`, "a number": `5`, "an array": `[]`, "no status": `{}`,
		"cut": quoted(`{"create_account_status":{"id":"car`), "null status": `{"create_account_status":null}`,
		"status of a number": `{"create_account_status":5}`, "no ids": `{"create_account_status":{}}`,
		"null ids": `{"create_account_status":{"id":null,"account_id":null}}`,
		"booleans": `{"create_account_status":{"id":true,"account_id":[]}}`,
		"twice":    `{"create_account_status":{"id":"a"},"create_account_status":{"id":"b"}}`,
		"account":  `{"account_id":"account-1"}`, // where RGC has it
	} {
		rows["createAccount, response: "+name] = row{
			members{"response": response}, "createAccount of Organizations" + tells, true,
		}
	}
	for name, response := range map[string]string{
		"none": "", "an operation": `{"operation_id":"op-1"}`, "null": `{"account_id":null}`, "text": `"hello"`,
		"an object": `{"account_id":{"id":"x"}}`,
		"a status":  `{"create_account_status":{"account_id":"x"}}`, // where Organizations has it
	} {
		changed := maps.Clone(rgc)
		changed["response"] = response
		rows["RGC, response: "+name] = row{changed, "createAccount of RGC" + tells, true}
	}
	for name, user := range map[string]string{
		"none": "", "null": `null`, "text": `"admin"`, "no domain": `{"id":"user-1"}`, "null domain": `{"domain":null}`,
		"domain of text": `{"domain":"x"}`, "no id": `{"domain":{"name":"x"}}`, "null id": `{"domain":{"id":null}}`,
		"an object": `{"domain":{"id":{}}}`,
	} {
		changed := maps.Clone(accepted)
		changed["user"] = user
		rows["acceptHandshake, user: "+name] = row{changed, "acceptHandshake of Organizations" + tells, true}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := one(t, trace(row.changed))
			require.NoError(t, r.Err)
			assert.Contains(t, r.Trace.Ignored, row.reason)
			assert.Equal(t, row.suspect, r.Trace.Suspect)
			assert.Less(t, len(r.Trace.Ignored), 300)
			assert.Equal(t, "trace-1", r.Event.ID, "its line in the log can be found")
			assert.Nil(t, r.Event.Data)
		})
	}
}

// Whoever can send traces can name any account where it isn't read, and nothing comes of it.
func TestATraceIsReadWhereItsRowSaysAndNowhereElse(t *testing.T) {
	t.Parallel()
	const forged = `"forged"`
	everywhere := members{
		"resource_id": forged, "resource_name": forged, "request": `{"account_id":"forged","id":"forged"}`,
		"user": `{"id":"forged","name":"forged","account_id":"forged","domain":{"id":"forged","name":"forged"}}`,
		"response": `{"account_id":"forged","id":"forged","account":{"account_id":"forged"},` +
			`"create_account_status":{"id":"car-1","account_name":"forged"}}`,
		"account_id": forged, "data": `{"account_id":"forged"}`, "region_id": forged,
	}
	for service, names := range map[string][]string{
		"Organizations": {"createOrganization", "createAccount", "createAccountV2"}, "RGC": {"setupLandingZone"},
	} {
		for _, name := range names {
			everywhere["service_type"], everywhere["trace_name"] = quoted(service), quoted(name)
			r := one(t, trace(everywhere))
			require.NoError(t, r.Err)
			assert.NotContains(t, string(r.Event.Data), "forged", name)
		}
	}
	for _, name := range []string{"createAccount", "enrollAccount"} {
		everywhere["service_type"], everywhere["trace_name"] = `"RGC"`, quoted(name)
		everywhere["response"] = `{"create_account_status":{"account_id":"forged"},"account":{"account_id":"forged"}}`
		r := one(t, trace(everywhere))
		assert.True(t, r.Trace.Suspect, name)
	}
	everywhere["service_type"], everywhere["trace_name"] = `"Organizations"`, `"acceptHandshake"`
	everywhere["user"] = `{"id":"forged","name":"forged","account_id":"forged","domain":{"name":"forged"}}`
	assert.True(t, one(t, trace(everywhere)).Trace.Suspect, "only the caller's account")
}

func TestATraceNeedsAnID(t *testing.T) {
	t.Parallel()
	for id, reason := range map[string]string{
		"": "createAccount of Organizations has no trace_id", `null`: "has no trace_id", `""`: "has no trace_id",
		`{}`: "has no trace_id", `"  "`: "has no trace_id", `true`: "has no trace_id",
		quoted(strings.Repeat("x", 1025)): "id: is longer than 1024 bytes", `"a\u0000b"`: "id: has a control character",
	} {
		r := one(t, trace(members{"trace_id": id}))
		require.ErrorAs(t, r.Err, new(*events.InvalidEventError), id)
		require.ErrorContains(t, r.Err, reason)
		r = one(t, trace(members{"trace_id": id, "trace_name": `"deleteGraph"`}))
		require.NoError(t, r.Err, "whoever asks for nothing needs none")
		assert.LessOrEqual(t, len(r.Event.ID), 1024)
	}
	r := one(t, trace(members{"trace_id": `5`}))
	require.NoError(t, r.Err)
	assert.Equal(t, "5", r.Event.ID)
}

func TestATraceMayBeWrapped(t *testing.T) {
	t.Parallel()
	for name, wrap := range wrappings() {
		for inner, again := range wrappings() {
			envelope, err := events.Unwrap([]byte(wrap(again(trace(nil)))))
			require.NoError(t, err)
			require.Len(t, envelope.Records, 1)
			require.NoError(t, envelope.Records[0].Err, "%s of %s", name, inner)
			assert.Equal(t, "trace-1", envelope.Records[0].Event.ID, "%s of %s", name, inner)
			assert.NotNil(t, envelope.Records[0].Trace)
		}
	}
	envelope, err := events.Unwrap([]byte("[" + trace(members{"trace_name": `"x"`}) + "," + with(t, nil) + "]"))
	require.NoError(t, err)
	require.Len(t, envelope.Records, 2)
	assert.NotEmpty(t, envelope.Records[0].Trace.Ignored)
	assert.Nil(t, envelope.Records[1].Trace)
}

func TestWhatIsNotATrace(t *testing.T) {
	t.Parallel()
	for _, changed := range []members{
		{"trace_name": ""},
		{"trace_name": `null`},
		{"trace_name": `5`},
		{"trace_name": `{}`},
		{"trace_name": `""`},
		{"service_type": ""},
		{"service_type": `null`},
		{"service_type": `5`},
		{"service_type": `[]`},
	} {
		_, err := events.Unwrap([]byte(trace(changed)))
		require.ErrorAs(t, err, new(*events.InvalidEventError), changed)
	}
	for _, payload := range []string{
		`{"cts":null}`, `{"cts":"x"}`, `{"cts":5}`, `{"cts":[]}`, `{"cts":{}}`, `{"CTS":{}}`,
	} {
		_, err := events.Unwrap([]byte(payload))
		require.ErrorAs(t, err, new(*events.InvalidEventError), payload)
	}
}
