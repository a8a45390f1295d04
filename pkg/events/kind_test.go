package events_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func received(data string) events.Event[json.RawMessage] {
	return events.Event[json.RawMessage]{
		Cause: events.Cause{ID: "1", Source: "/landing-zone", Type: "t"}, Data: json.RawMessage(data),
	}
}

func TestOrgBootstrap(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		data    string
		allowed events.RegionID
		want    events.RegionID
		reason  events.Reason
		message string
	}{
		"the event names the region":                {data: `{"region_id":"cn-north-4"}`, want: "cn-north-4"},
		"unknown fields are ignored":                {data: `{"region_id":"eu-west-101","Region_ID":5,"x":{"y":[]}}`, want: "eu-west-101"},
		"the configuration names it":                {data: `{}`, allowed: "cn-north-4", want: "cn-north-4"},
		"no data is like empty data":                {data: ``, allowed: "cn-north-4", want: "cn-north-4"},
		"null data is like empty data":              {data: `null`, allowed: "cn-north-4", want: "cn-north-4"},
		"a null region is like none":                {data: `{"region_id":null}`, allowed: "cn-north-4", want: "cn-north-4"},
		"both name the same":                        {data: `{"region_id":"cn-north-4"}`, allowed: "cn-north-4", want: "cn-north-4"},
		"the event names one that is not allowed":   {data: `{"region_id":"cn-south-1"}`, allowed: "cn-north-4", want: "cn-south-1", reason: events.NotAllowed, message: "Region cn-south-1 is not the one that REGION_ID allows, cn-north-4."},
		"neither names one":                         {data: `{}`, reason: events.InvalidData, message: "data.region_id: is missing, and REGION_ID names no default"},
		"the key in another case counts as missing": {data: `{"Region_Id":"cn-north-4"}`, reason: events.InvalidData, message: "is missing"},
		"a region of wrong form":                    {data: `{"region_id":"Beijing 4"}`, reason: events.InvalidData, message: `data.region_id: "Beijing 4" is no region id such as cn-north-4`},
		"an empty region":                           {data: `{"region_id":""}`, allowed: "cn-north-4", reason: events.InvalidData, message: `"" is no region id`},
		"a region that is too long":                 {data: `{"region_id":"a-` + strings.Repeat("b", 63) + `"}`, reason: events.InvalidData, message: "is no region id"},
		"a region that is a number":                 {data: `{"region_id":4}`, reason: events.InvalidData, message: "data.region_id: must not be a JSON number"},
		"a dry_run that is text":                    {data: `{"region_id":"cn-north-4","dry_run":"yes"}`, reason: events.InvalidData, message: "data.dry_run: must not be a JSON string"},
		"a key twice":                               {data: `{"region_id":"cn-north-4","region_id":"cn-south-1"}`, reason: events.InvalidData, message: `data is ambiguous: it has "region_id" twice`},
		"an array":                                  {data: `[]`, reason: events.InvalidData, message: "data is not a JSON object; it must be a JSON object"},
		"JSON in text":                              {data: `"{\"region_id\":\"cn-north-4\"}"`, reason: events.InvalidData, message: "data is not a JSON object"},
		"something after the object":                {data: `{}{}`, reason: events.InvalidData, message: "data is not JSON: invalid character"},
		"not UTF-8 (from data_base64)":              {data: "{\"x\":\"\xff\"}", reason: events.InvalidData, message: "data is not UTF-8"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, rejected := events.OrgBootstrapKind(c.allowed).Decode(received(c.data))
			if c.reason == "" {
				require.Nil(t, rejected)
				assert.Equal(t, c.want, e.Data.RegionID)
				return
			}
			require.NotNil(t, rejected)
			whole := rejected.Summary()
			assert.Equal(t, events.Rejected, whole.Outcome)
			assert.Equal(t, c.reason, whole.Reason)
			assert.Contains(t, whole.Message, c.message)
			assert.Equal(t, string(c.want), rejected.Subject())
		})
	}
}

func TestAccountCreated(t *testing.T) {
	t.Parallel()
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf(`"service.S%d"`, i)
	}
	type principals = []events.ServicePrincipal
	cases := map[string]struct {
		data    string
		allowed principals
		want    principals
		subject string
		reason  events.Reason
		message string
	}{
		"one principal":               {data: `{"account_id":"a_1","service_principal":"service.SecMaster"}`, want: principals{"service.SecMaster"}},
		"several":                     {data: `{"account_id":"a_1","service_principals":["service.B","service.A"]}`, want: principals{"service.B", "service.A"}},
		"both, and doubles collapse":  {data: `{"account_id":"a_1","service_principal":"b","service_principals":["a","b","a","B"]}`, want: principals{"b", "a", "B"}},
		"none, with a default":        {data: `{"account_id":"a_1"}`, allowed: principals{"x", "y"}, want: principals{"x", "y"}},
		"an empty list is none":       {data: `{"account_id":"a_1","service_principals":[]}`, allowed: principals{"x"}, want: principals{"x"}},
		"a part of what is allowed":   {data: `{"account_id":"a_1","service_principal":"y"}`, allowed: principals{"x", "y"}, want: principals{"y"}},
		"20 after doubles collapse":   {data: `{"account_id":"a_1","service_principals":[` + strings.Join(append(many[:20:20], many[0]), ",") + `]}`, want: make(principals, 20)},
		"one that is not allowed":     {data: `{"account_id":"a_1","service_principals":["x","z"]}`, allowed: principals{"x"}, subject: "a_1", reason: events.NotAllowed, message: "SERVICE_PRINCIPALS doesn't allow z."},
		"case matters":                {data: `{"account_id":"a_1","service_principal":"X"}`, allowed: principals{"x"}, subject: "a_1", reason: events.NotAllowed, message: "doesn't allow X"},
		"none, and no default":        {data: `{"account_id":"a_1"}`, subject: "a_1", reason: events.InvalidData, message: "data.service_principals: is missing, and SERVICE_PRINCIPALS names no default"},
		"too many":                    {data: `{"account_id":"a_1","service_principals":[` + strings.Join(many, ",") + `]}`, subject: "a_1", reason: events.InvalidData, message: "more than 20 of them"},
		"no account":                  {data: `{"service_principal":"x"}`, reason: events.InvalidData, message: "data.account_id: is missing"},
		"an account of wrong form":    {data: `{"account_id":"../x","service_principal":"x"}`, reason: events.InvalidData, message: `data.account_id: "../x" is no account id`},
		"an account that is too long": {data: `{"account_id":"` + strings.Repeat("a", 65) + `","service_principal":"x"}`, reason: events.InvalidData, message: "is no account id"},
		"an account that is a number": {data: `{"account_id":5,"service_principal":"x"}`, reason: events.InvalidData, message: "data.account_id: must not be a JSON number"},
		"a principal of wrong form":   {data: `{"account_id":"a_1","service_principal":"service SecMaster"}`, subject: "a_1", reason: events.InvalidData, message: `data.service_principals: "service SecMaster" is no service principal`},
		"a principal that is empty":   {data: `{"account_id":"a_1","service_principals":[""]}`, subject: "a_1", reason: events.InvalidData, message: "data.service_principals"},
		"a principal that is null":    {data: `{"account_id":"a_1","service_principals":[null]}`, subject: "a_1", reason: events.InvalidData, message: "must not hold null"},
		"principals that are no list": {data: `{"account_id":"a_1","service_principals":"x"}`, subject: "a_1", reason: events.InvalidData, message: "data.service_principals"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, rejected := events.AccountCreatedKind(c.allowed).Decode(received(c.data))
			if c.reason == "" {
				require.Nil(t, rejected)
				assert.Equal(t, events.AccountID("a_1"), e.Data.AccountID)
				assert.Len(t, e.Data.ServicePrincipals, len(c.want))
				if c.want[0] != "" {
					assert.Equal(t, c.want, e.Data.ServicePrincipals)
				}
				return
			}
			require.NotNil(t, rejected)
			whole := rejected.Summary()
			assert.Equal(t, events.Rejected, whole.Outcome)
			assert.Equal(t, c.reason, whole.Reason)
			assert.Contains(t, whole.Message, c.message)
			assert.Equal(t, c.subject, rejected.Subject())
		})
	}
}

func TestDataIsJSON(t *testing.T) {
	t.Parallel()
	for contentType, ok := range map[string]bool{
		"": true, "application/json": true, "Application/JSON; charset=utf-8": true, "application/vnd.x+json": true, "text/json": true,
		"text/plain": false, "application/xml": false, "application/json; charset": false, "json": false, "application/jsonx": false,
	} {
		e := received(`{"region_id":"cn-north-4"}`)
		e.ContentType = contentType
		_, rejected := events.OrgBootstrapKind("").Decode(e)
		assert.Equal(t, ok, rejected == nil, contentType)
		if !ok {
			assert.Equal(t, events.InvalidData, rejected.Summary().Reason)
			assert.Contains(t, rejected.Summary().Message, contentType)
		}
	}
}

func TestDryRunOfTheEventOrOfTheHost(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{`"dry_run":true`: true, `"dry_run":false`: false, `"dry_run":null`: false} {
		e := received(`{"region_id":"cn-north-4",` + data + `}`)
		decoded, _ := events.OrgBootstrapKind("").Decode(e)
		assert.Equal(t, want, decoded.DryRun)
		e.DryRun = true
		decoded, _ = events.OrgBootstrapKind("").Decode(e)
		assert.True(t, decoded.DryRun, "an event can't lift it")
	}
}

func TestOurOwnResultTypes(t *testing.T) {
	t.Parallel()
	for _, own := range []string{"org.region.registered", "org.region.rejected", "org.region.planned", "account.admin.registered", "account.admin.rejected", "account.admin.planned"} {
		assert.True(t, events.IsResult(own), own)
	}
	for _, other := range []string{"", "org.bootstrap", "account.created", "org.region", "org.region.", "org.region.unchanged", "my.account.admin.registered", "account.registered"} {
		assert.False(t, events.IsResult(other), other)
	}
}

func cause() events.Event[json.RawMessage] {
	return events.Event[json.RawMessage]{Cause: events.Cause{ID: "in-1", Source: "/landing-zone", Type: "org.bootstrap"}}
}

func TestAResultEventSaysWhatBecameOfItsCause(t *testing.T) {
	t.Parallel()
	e := cause()
	e.TraceParent, e.TraceState = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "a=b"
	result, err := events.OrgBootstrapKind("").ResultEvent("/registrar/register-region", e, events.RegionResult{
		RegionID: "cn-north-4", Registration: events.Registration{Outcome: events.Registered, Attempts: 1, RequestID: "never shown"},
	}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	require.NoError(t, err)
	encoded, err := result.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"specversion": "1.0", "id": "8bb22d32-fd1c-5850-8ea4-2fbcd3be82d9", "source": "/registrar/register-region", "type": "org.region.registered",
		"subject": "cn-north-4", "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json",
		"causationid": "in-1", "correlationid": "in-1", "partitionkey": "cn-north-4",
		"traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "tracestate": "a=b",
		"data": {"outcome": "registered", "region_id": "cn-north-4", "attempts": 1,
			"cause": {"id": "in-1", "source": "/landing-zone", "type": "org.bootstrap"}}
	}`, string(encoded))
}

func TestTypesOfResults(t *testing.T) {
	t.Parallel()
	r, u, p, x := events.Registered, events.Unchanged, events.Planned, events.Rejected
	for _, c := range []struct {
		parts  []events.Outcome
		whole  events.Outcome
		suffix string
	}{
		{[]events.Outcome{r}, r, ".registered"},
		{[]events.Outcome{u}, u, ".registered"},
		{[]events.Outcome{p}, p, ".planned"},
		{[]events.Outcome{x}, x, ".rejected"},
		{[]events.Outcome{u, r}, r, ".registered"},
		{[]events.Outcome{r, u}, r, ".registered"},
		{[]events.Outcome{p, u}, p, ".planned"},
		{[]events.Outcome{x, r, u}, x, ".rejected"},
		{[]events.Outcome{u, p, x}, x, ".rejected"},
	} {
		admins := events.AdminResult{AccountID: "a"}
		for _, part := range c.parts {
			admins.Registrations = append(admins.Registrations, events.AdminRegistration{Registration: events.Registration{Outcome: part}})
		}
		result, err := events.AccountCreatedKind(nil).ResultEvent("/s", cause(), admins, time.Now())
		require.NoError(t, err)
		assert.Equal(t, c.whole, admins.Summary().Outcome)
		assert.Equal(t, "account.admin"+c.suffix, result.Type())
		assert.Contains(t, string(result.Data()), `{"outcome":"`+string(c.whole)+`"`)

		if len(c.parts) == 1 {
			region := events.RegionResult{RegionID: "cn-north-4", Registration: events.Registration{Outcome: c.whole}}
			result, err := events.OrgBootstrapKind("").ResultEvent("/s", cause(), region, time.Now())
			require.NoError(t, err)
			assert.Equal(t, "org.region"+c.suffix, result.Type())
			assert.Contains(t, string(result.Data()), `"outcome":"`+string(c.whole)+`"`)
		}
	}
}

func TestTheIDOfAResultIsDerived(t *testing.T) {
	t.Parallel()
	id := func(source string, e events.Event[json.RawMessage], o events.Outcome) string {
		result, err := events.OrgBootstrapKind("").ResultEvent(source, e, events.RegionResult{Registration: events.Registration{Outcome: o}}, time.Now())
		require.NoError(t, err)
		return result.ID()
	}
	first := id("/s", cause(), events.Registered)
	assert.Equal(t, first, id("/other", cause(), events.Unchanged), "the same cause and the same type")
	assert.NotEqual(t, first, id("/s", cause(), events.Rejected))
	other := cause()
	other.ID = "in-2"
	assert.NotEqual(t, first, id("/s", other, events.Registered))
	other = cause()
	other.Source = "/other"
	assert.NotEqual(t, first, id("/s", other, events.Registered))
}

func TestWhatIsUnknownIsAbsent(t *testing.T) {
	t.Parallel()
	result, err := events.OrgBootstrapKind("").ResultEvent("/s", cause(), events.RegionResult{
		Registration: events.Registration{Outcome: events.Rejected, Reason: events.InvalidData, Message: "no"},
	}, time.Now())
	require.NoError(t, err)
	encoded, err := result.MarshalJSON()
	require.NoError(t, err)
	for _, absent := range []string{"subject", "partitionkey", "traceparent", "tracestate", "region_id", "observed_region_id", "error", "data_base64"} {
		assert.NotContains(t, string(encoded), `"`+absent+`"`)
	}
	e := cause()
	e.CorrelationID, e.TraceState = "flow", "a=b"
	result, err = events.AccountCreatedKind(nil).ResultEvent("/s", e, events.AdminResult{Outcome: events.Rejected, Reason: events.InvalidData, Message: "no"}, time.Now())
	require.NoError(t, err)
	assert.JSONEq(t, `{"outcome":"rejected","reason":"invalid_data","message":"no","cause":{"id":"in-1","source":"/landing-zone","type":"org.bootstrap"}}`, string(result.Data()))
	assert.Equal(t, "flow", result.Extensions()["correlationid"])
	assert.NotContains(t, result.Extensions(), "tracestate", "it means nothing without a traceparent")
}

func TestResultsStaySmall(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"plain": "x", "quoted": `"`, "HTML": "<", "wide": "界", "control": "\x01"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat(text, 200_000)
			r := events.AdminResult{AccountID: "a"}
			for range 20 {
				r.Registrations = append(r.Registrations, events.AdminRegistration{ServicePrincipal: events.ServicePrincipal(strings.Repeat("p", 100)), Registration: events.Registration{
					Outcome: events.Rejected, Reason: events.Refused, Message: long, Error: &events.Error{Status: 400, Code: strings.Repeat("c", 100), Message: long, RequestID: strings.Repeat("r", 100)},
				}})
			}
			e := cause()
			e.ID, e.Source, e.CorrelationID, e.TraceParent, e.TraceState = strings.Repeat("<", 1024), "/"+strings.Repeat("&", 1023), strings.Repeat("\"", 1024), strings.Repeat("t", 1024), strings.Repeat("t", 1024)
			result, err := events.AccountCreatedKind(nil).ResultEvent("/s", e, r, time.Now())
			require.NoError(t, err)
			encoded, err := result.MarshalJSON()
			require.NoError(t, err)
			assert.LessOrEqual(t, len(encoded), 60<<10)
			assert.Greater(t, len(encoded), 20<<10, "texts are cut no more than needed")
			var data events.AdminResult
			require.NoError(t, json.Unmarshal(result.Data(), &data))
			assert.NotEmpty(t, data.Registrations[19].Message)
			assert.Len(t, r.Registrations[0].Message, len(long), "the result itself is left alone")
		})
	}
	result, err := events.OrgBootstrapKind("").ResultEvent("/s", cause(), events.RegionResult{Registration: events.Registration{Outcome: events.Rejected, Message: strings.Repeat("ü", 2000)}}, time.Now())
	require.NoError(t, err)
	var data events.RegionResult
	require.NoError(t, json.Unmarshal(result.Data(), &data))
	assert.LessOrEqual(t, len(data.Message), 1024)
	assert.Greater(t, len(data.Message), 1000)
}

func TestAHugeListOfPrincipalsIsRefusedAtOnceAndInFewWords(t *testing.T) {
	t.Parallel()
	names := make([]string, 40_000)
	for i := range names {
		names[i] = fmt.Sprintf(`"s%d"`, i)
	}
	for name, list := range map[string]string{"different": strings.Join(names, ","), "doubles": strings.TrimSuffix(strings.Repeat(`"a",`, 60_000), ",")} {
		start := time.Now()
		_, rejected := events.AccountCreatedKind([]events.ServicePrincipal{"x"}).Decode(received(`{"account_id":"a_1","service_principals":[` + list + `]}`))
		require.NotNil(t, rejected, name)
		assert.Less(t, len(rejected.Summary().Message), 200)
		assert.Less(t, time.Since(start), 2*time.Second, "it took seconds when each name was compared with all others")
	}
}

func TestASummarySaysWhy(t *testing.T) {
	t.Parallel()
	why := events.Registration{Outcome: events.Rejected, Reason: events.Refused, Message: "why", Error: &events.Error{Status: 400}}
	whole := events.AdminResult{Registrations: []events.AdminRegistration{
		{Registration: events.Registration{Outcome: events.Registered, Attempts: 1}}, {Registration: why}, {Registration: events.Registration{Outcome: events.Unchanged}},
	}}.Summary()
	assert.Equal(t, events.Registration{Outcome: events.Rejected, Attempts: 1, Reason: events.Refused, Message: "why", Error: why.Error}, whole)
}
