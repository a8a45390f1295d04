package events_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/hostile"
	"registrar/pkg/events"
)

// members are members of a JSON object, each as JSON.
type members = map[string]string

// with returns a valid structured event with members changed to those given; "" leaves a member
// out.
func with(t testing.TB, changed members) string {
	t.Helper()
	object := map[string]json.RawMessage{
		"specversion": json.RawMessage(`"1.0"`),
		"id":          json.RawMessage(`"1"`),
		"source":      json.RawMessage(`"/landing-zone"`),
		"type":        json.RawMessage(`"org.bootstrap"`),
		"data":        json.RawMessage(`{"region_id":"cn-north-4"}`),
	}
	for name, value := range changed {
		if value == "" {
			delete(object, name)
		} else {
			object[name] = json.RawMessage(value)
		}
	}
	b, err := json.Marshal(object)
	require.NoError(t, err)
	return string(b)
}

func TestAStructuredEventIsReadAsReceived(t *testing.T) {
	t.Parallel()
	envelope, err := events.Unwrap([]byte("\ufeff \n" + `{
		"specversion": "1.0", "id": "a/1 ü", "source": "HTTP://Example.com/a#", "type": "org.bootstrap",
		"time": "2026-01-02t03:04:05.678901234+08:00",
		"datacontenttype": "application/json", "dataschema": "", "subject": null,
		"ttl": "4000", "count": 1.5, "flag": true,
		"correlationid": "c",
		"traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "tracestate": "a=b",
		"data": {"region_id": "cn-north-4"}
	}`))
	require.NoError(t, err)
	require.Equal(t, events.Structured, envelope.Shape)
	require.Len(t, envelope.Records, 1)
	require.NoError(t, envelope.Records[0].Err)
	assert.Equal(t, events.Event{
		Cause:         events.Cause{ID: "a/1 ü", Source: "HTTP://Example.com/a#", Type: "org.bootstrap"},
		Time:          time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 8*3600)),
		CorrelationID: "c", TraceParent: "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", TraceState: "a=b",
		ContentType: "application/json", Data: json.RawMessage(`{"region_id": "cn-north-4"}`),
	}, envelope.Records[0].Event)
}

func TestUnwrapKeepsNothingOfThePayload(t *testing.T) {
	t.Parallel()
	payload := []byte(with(t, nil))
	envelope, err := events.Unwrap(payload)
	require.NoError(t, err)
	for i := range payload {
		payload[i] = '!'
	}
	assert.JSONEq(t, `{"region_id":"cn-north-4"}`, string(envelope.Records[0].Event.Data))
	assert.Equal(t, "1", envelope.Records[0].Event.ID)
}

func TestTheElementsOfAnArrayAreReadEachOnItsOwn(t *testing.T) {
	t.Parallel()
	second := with(t, members{"id": `"2"`})
	envelope, err := events.Unwrap([]byte("[" + with(t, nil) + `, {"specversion":"1.0"}, 5, null, [], ` + second + "]"))
	require.NoError(t, err)
	require.Equal(t, events.Array, envelope.Shape)
	require.Len(t, envelope.Records, 3)
	for i, wrong := range []bool{false, true, false} {
		assert.Equal(t, wrong, envelope.Records[i].Err != nil, i)
	}
	assert.Equal(t, 4, envelope.Records[1].Count, "elements without an id share a record")
	assert.Equal(t, "2", envelope.Records[2].Event.ID)

	envelope, err = events.Unwrap([]byte(" []"))
	require.NoError(t, err)
	assert.Equal(t, events.Envelope{Shape: events.Array, Records: []events.Record{}}, envelope)
}

func TestPayloadsThatAreNotEvents(t *testing.T) {
	t.Parallel()
	for payload, reason := range map[string]string{
		"":                              "payload is empty",
		" \n":                           "payload is empty",
		"null":                          "payload is not a JSON object",
		"5":                             "payload is not a JSON object",
		`"{}"`:                          "payload is not a JSON object",
		"{":                             "payload is not JSON",
		"{}":                            "it has no specversion; it must be a CloudEvent in JSON, an array of them, or",
		`{"key1":"value1"}`:             "it has no specversion",
		`{"SpecVersion":"1.0"}`:         "it has no specversion",
		`{"specversion":"1.0"} {}`:      "payload is not JSON: invalid character '{' after top-level value",
		`{"a":1,"a":2}`:                 `payload is ambiguous: it has "a" twice`,
		"[":                             "payload is not JSON",
		"[] []":                         "payload is not JSON",
		"{\"specversion\":\"1.0\xff\"}": "payload is not UTF-8",
		`{"specversion":"1.0","a\ud800":1,"a\udfff":2}`: "twice",
	} {
		_, err := events.Unwrap([]byte(payload))
		require.ErrorAs(t, err, new(*events.InvalidEventError), payload)
		require.ErrorContains(t, err, reason, payload)
	}
}

func TestEventsThatAreNotValid(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		changed members
		reason  string
	}{
		"no id":                    {members{"id": ""}, "id: is missing"},
		"empty id":                 {members{"id": `""`}, "id: is missing"},
		"id of spaces":             {members{"id": `"\u2003\u00a0 "`}, "id: is missing"},
		"null id":                  {members{"id": `null`}, "id: is missing"},
		"id in another case":       {members{"id": "", "ID": `"1"`}, `"ID": is not the name of an attribute`},
		"id that is a number":      {members{"id": "1"}, "id: must be a string"},
		"id that is an object":     {members{"id": "{}"}, "id: must be a string"},
		"id with a line break":     {members{"id": `"a\nb"`}, "id: has a control character"},
		"id with half a character": {members{"id": `"a\ud800"`}, "is not valid Unicode"},
		"id that is too long": {
			members{"id": `"` + strings.Repeat("x", 1025) + `"`}, "id: is longer than 1024 bytes",
		},
		"no source":                      {members{"source": ""}, "source: is missing"},
		"source with a space":            {members{"source": `"a b"`}, "source: must be a URI-reference"},
		"source beyond ASCII":            {members{"source": `"/ü"`}, "source: must be a URI-reference"},
		"source that is not a URI":       {members{"source": `"1:2"`}, "source: must be a URI-reference"},
		"source with a bad escape":       {members{"source": `"/%zz"`}, "source: must be a URI-reference"},
		"no type":                        {members{"type": ""}, "type: is missing"},
		"type of spaces":                 {members{"type": `"\u3000"`}, "type: is missing"},
		"specversion 0.3":                {members{"specversion": `"0.3"`}, `specversion: must be "1.0"`},
		"specversion that is a number":   {members{"specversion": `1.0`}, `specversion: must be a string`},
		"null specversion":               {members{"specversion": `null`}, `specversion: must be "1.0"`},
		"time that is not one":           {members{"time": `"yesterday"`}, "time: must be like"},
		"extension name":                 {members{"my-ext": `"x"`}, `"my-ext": is not the name of an attribute`},
		"empty extension name":           {members{"": `"x"`}, `"": is not the name of an attribute`},
		"correlationid that is a number": {members{"correlationid": `1`}, "correlationid: must be a string"},
		"data beside data_base64":        {members{"data_base64": `"e30="`}, "data: must not stand beside data_base64"},
		"data_base64 that is a number":   {members{"data": "", "data_base64": `5`}, "data_base64: must be a string"},
		"data_base64 that is not base64": {members{"data": "", "data_base64": `"!"`}, "data_base64: is not base64"},
		"data_base64 without padding":    {members{"data": "", "data_base64": `"e30"`}, "data_base64: is not base64"},
		"too large": {
			members{"data": `"` + strings.Repeat("x", 256<<10) + `"`}, "at most 262144 are taken",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			envelope, err := events.Unwrap([]byte(with(t, c.changed)))
			require.NoError(t, err)
			require.ErrorAs(t, envelope.Records[0].Err, new(*events.InvalidEventError))
			require.ErrorContains(t, envelope.Records[0].Err, c.reason)
			assert.Less(t, len(envelope.Records[0].Err.Error()), 300)
		})
	}
}

// The members of an object have no order in memory.
func TestOfSeveralWrongNamesTheSameIsAlwaysTold(t *testing.T) {
	t.Parallel()
	for range 50 {
		envelope, err := events.Unwrap([]byte(with(t, members{"c-": `1`, "a-": `2`, "b-": `3`, "id": `4`})))
		require.NoError(t, err)
		require.ErrorContains(t, envelope.Records[0].Err, `"a-": is not the name of an attribute`)
	}
}

func TestAKeyThatIsThereTwiceIsAmbiguous(t *testing.T) {
	t.Parallel()
	ambiguous := strings.Replace(with(t, nil), `{`, `{"id":"2",`, 1)
	_, err := events.Unwrap([]byte(ambiguous))
	require.ErrorContains(t, err, `"id" twice`)
	envelope, err := events.Unwrap([]byte("[" + ambiguous + "]"))
	require.NoError(t, err)
	require.ErrorContains(t, envelope.Records[0].Err, `"id" twice`)
}

func TestDataBase64IsDecoded(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"region_id":"cn-north-4"}`))
	envelope, err := events.Unwrap([]byte(with(t, members{"data": "", "data_base64": `"` + encoded + `"`})))
	require.NoError(t, err)
	require.NoError(t, envelope.Records[0].Err)
	assert.JSONEq(t, `{"region_id":"cn-north-4"}`, string(envelope.Records[0].Event.Data))
}

// Whatever we accept is valid for the CloudEvents SDK too, with the same id, source and type.
func FuzzUnwrap(f *testing.F) {
	samples, err := filepath.Glob("../../events/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, samples)
	for _, sample := range samples {
		payload, err := os.ReadFile(sample)
		require.NoError(f, err)
		f.Add(payload)
		f.Add([]byte("[" + string(payload) + ",{}]"))
	}
	for _, changed := range []members{
		{"data": "", "data_base64": `"e30="`},
		{"data_base64": `5`},
		{"time": `"2026-01-02T03:04:05Z"`},
		{"id": `"\ud800"`},
		{"type": `"\u00a0"`},
		{"ttl": `"4000"`, "dataschema": `""`},
		{"type": `"account.created"`, "data": `{"account_id":"a","service_principals":["a","b",null]}`},
		{"type": `"account.created"`, "data": `{"create_account_status_id":"car-1"}`},
		{"type": `"org.audit"`, "data": `{"dry_run":true}`},
		{"type": `"org.audit"`, "time": `"9999-12-31T23:59:59-01:00"`},
		{"type": `"org.audit"`, "time": `"0000-01-01T00:00:00+01:00"`},
	} {
		f.Add([]byte(with(f, changed)))
	}
	f.Add([]byte(`[[[[`))
	for _, payload := range hostile.Payloads() {
		f.Add(payload.Make(300))
	}
	for _, name := range []string{"createOrganization", "createAccount", "acceptHandshake", "deleteGraph"} {
		f.Add([]byte(trace(members{"trace_name": quoted(name)})))
		f.Add([]byte(trace(members{"trace_name": quoted(name), "response": `"{}"`, "user": `null`, "code": `"400"`})))
	}
	for _, at := range []string{`"2026-01-02T11:14:15+08:00"`, `1767323655000`, `null`} {
		f.Add([]byte(timer(at, with(f, nil))))
		f.Add([]byte(timer(at, quoted(with(f, nil)))))
	}
	for _, outer := range wrappings() {
		for _, inner := range wrappings() {
			f.Add([]byte(outer(inner(with(f, nil)))))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		envelope, err := events.Unwrap(payload)
		if err != nil {
			require.ErrorAs(t, err, new(*events.InvalidEventError))
			return
		}
		for _, record := range envelope.Records {
			if record.Err != nil {
				require.ErrorAs(t, record.Err, new(*events.InvalidEventError))
				continue
			}
			if record.Trace != nil && record.Trace.Ignored != "" {
				require.Less(t, len(record.Trace.Ignored), 1000)
				continue
			}
			e := record.Event
			again := event.New()
			again.SetID(e.ID)
			again.SetSource(e.Source)
			again.SetType(e.Type)
			again.SetTime(e.Time)
			require.NoError(t, again.Validate())

			checkDecoding(t, e, events.BootstrapRegionInput())
			checkDecoding(t, e, events.BootstrapServicesInput())
			checkDecoding(t, e, events.AccountCreatedInput())
			checkDecoding(t, e, events.AuditInput())
		}
	})
}

// checkDecoding checks that data is rejected by a valid and small result event, or else is as it
// must be.
func checkDecoding[T events.Data](t *testing.T, e events.Event, input events.Input[T]) {
	t.Helper()
	data, err := input.Decode(&e)
	if err != nil {
		result := data.Reject(events.InvalidData, err.Error())
		out, err := events.NewResultEvent("/registrar/test", e, result, time.Unix(0, 0))
		require.NoError(t, err)
		require.NoError(t, out.Validate())
		encoded, err := out.MarshalJSON()
		require.NoError(t, err)
		require.True(t, json.Valid(encoded))
		require.LessOrEqual(t, len(encoded), 60<<10)
		return
	}
	switch d := any(data).(type) {
	case events.BootstrapRegion:
		require.NoError(t, new(events.RegionID).UnmarshalText([]byte(d.RegionID)))
	case events.Audit:
		out, err := events.NewRequestEvent("/registrar/test", e, events.Request{AccountID: "a"}, time.Unix(0, 0))
		require.NoError(t, err)
		encoded, err := out.MarshalJSON()
		require.NoError(t, err)
		request, err := events.Unwrap(encoded)
		require.NoError(t, err)
		require.NoError(t, request.Records[0].Err, "whoever takes the request can read it: %s", encoded)
	case events.AccountCreated:
		_, err := events.ParseAccountID(cmp.Or(string(d.AccountID), string(d.CreateAccountStatusID)))
		require.NoError(t, err)
		require.True(t, d.AccountID == "" || d.CreateAccountStatusID == "")
		require.LessOrEqual(t, len(d.ServicePrincipals), events.MaxPrincipals)
	}
}
