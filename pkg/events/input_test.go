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

func received(data string) events.Event {
	return events.Event{
		Cause: events.Cause{ID: "1", Source: "/landing-zone", Type: "t"}, Data: json.RawMessage(data),
	}
}

func TestTheRegionOfAnOrgBootstrap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data    string
		want    events.RegionID
		problem string
	}{
		"a region": {data: `{"region_id":"cn-north-4"}`, want: "cn-north-4"},
		"unknown fields are ignored": {
			data: `{"region_id":"eu-west-101","Region_ID":5,"x":{"y":[]}}`, want: "eu-west-101",
		},
		"services don't matter": {
			data: `{"region_id":"eu-west-101","service_principals":5}`, want: "eu-west-101",
		},
		"no region":                       {data: `{}`},
		"no data is like empty data":      {data: ``},
		"null data is like empty data":    {data: `null`},
		"a null region is like none":      {data: `{"region_id":null}`},
		"the key in another case is none": {data: `{"Region_Id":"cn-north-4"}`},
		"a region of wrong form": {
			data:    `{"region_id":"Beijing 4"}`,
			problem: `data.region_id: "Beijing 4" is not a region id such as cn-north-4`,
		},
		"an empty region": {data: `{"region_id":""}`, problem: `"" is not a region id`},
		"a region that is too long": {
			data: `{"region_id":"a-` + strings.Repeat("b", 63) + `"}`, problem: "is not a region id",
		},
		"a region that is a number": {data: `{"region_id":4}`, problem: "data.region_id: must not be a JSON number"},
		"a region that is a list":   {data: `{"region_id":[]}`, problem: "data.region_id: must not be a JSON array"},
		"a region that is true":     {data: `{"region_id":true}`, problem: "data.region_id: must not be a JSON bool"},
		"a region that is false":    {data: `{"region_id":false}`, problem: "data.region_id: must not be a JSON bool"},
		"a dry_run that is text": {
			data: `{"region_id":"cn-north-4","dry_run":"yes"}`, problem: "data.dry_run: must not be a JSON string",
		},
		"a key twice": {
			data:    `{"region_id":"cn-north-4","region_id":"cn-south-1"}`,
			problem: `data is ambiguous: it has "region_id" twice`,
		},
		"an array": {
			data: `[]`, problem: "data is not a JSON object; it must be a JSON object",
		},
		"JSON in text": {
			data: `"{\"region_id\":\"cn-north-4\"}"`, problem: "data is not a JSON object",
		},
		"something after the object":       {data: `{}{}`, problem: "data is not JSON: invalid character"},
		"not UTF-8, as data_base64 can be": {data: "{\"x\":\"\xff\"}", problem: "data is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := received(c.data)
			data, err := events.BootstrapRegionInput().Decode(&e)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, data.RegionID)
		})
	}
}

func TestTheDataOfAnAccountCreated(t *testing.T) {
	t.Parallel()
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf(`"service.S%d"`, i)
	}
	list := func(names []string) string {
		return `{"account_id":"a_1","service_principals":[` + strings.Join(names, ",") + `]}`
	}
	type principals = []events.ServicePrincipal
	for name, c := range map[string]struct {
		data     string
		want     principals
		creation events.CreateAccountStatusID // in place of the account
		account  events.AccountID             // what is read of the account in spite of the problem
		problem  string
	}{
		"one principal": {
			data: `{"account_id":"a_1","service_principal":"service.SecMaster"}`, want: principals{"service.SecMaster"},
		},
		"several": {
			data: `{"account_id":"a_1","service_principals":["service.B","service.A"]}`,
			want: principals{"service.B", "service.A"},
		},
		"both, and duplicates collapse": {
			data: `{"account_id":"a_1","service_principal":"b","service_principals":["a","b","a","B"]}`,
			want: principals{"b", "a", "B"},
		},
		"none":                         {data: `{"account_id":"a_1"}`},
		"an empty list is none":        {data: `{"account_id":"a_1","service_principals":[]}`},
		"20 after duplicates collapse": {data: list(append(many[:20:20], many[0])), want: make(principals, 20)},
		"too many":                     {data: list(many), account: "a_1", problem: "more than 20 of them"},
		"no account": {
			data:    `{"service_principal":"x"}`,
			problem: "data.account_id: is missing, and so is create_account_status_id",
		},
		"neither of the ids": {
			data:    `{"account_id":null,"create_account_status_id":null}`,
			problem: "data.account_id: is missing, and so is create_account_status_id",
		},
		"a creation": {data: `{"create_account_status_id":"car-1_X"}`, creation: "car-1_X"},
		"a creation, and services": {
			data:     `{"create_account_status_id":"car-1","account_id":null,"service_principals":["b","a"]}`,
			creation: "car-1", want: principals{"b", "a"},
		},
		"the longest creation": {
			data:     `{"create_account_status_id":"` + strings.Repeat("c", 64) + `"}`,
			creation: events.CreateAccountStatusID(strings.Repeat("c", 64)),
		},
		"an account and a creation": {
			data: `{"account_id":"a_1","create_account_status_id":"car-1"}`, account: "a_1",
			problem: "data.create_account_status_id: must not stand beside account_id",
		},
		"an account and a creation of wrong form": {
			data: `{"account_id":"a_1","create_account_status_id":"car/1"}`, account: "a_1",
			problem: `data.create_account_status_id: "car/1" is not the id of a creation: 1 to 64 letters`,
		},
		"an account of wrong form and a creation": {
			data:    `{"account_id":"","create_account_status_id":"car-1"}`,
			problem: `data.account_id: "" is not an account id`,
		},
		"a creation that is empty": {
			data:    `{"create_account_status_id":""}`,
			problem: `data.create_account_status_id: "" is not the id of a creation`,
		},
		"a creation that is too long": {
			data:    `{"create_account_status_id":"` + strings.Repeat("c", 65) + `"}`,
			problem: "is not the id of a creation",
		},
		"a creation that is a number": {
			data: `{"create_account_status_id":5}`, problem: "data.create_account_status_id: must not be a JSON number",
		},
		"a creation, and a principal of wrong form": {
			data:    `{"create_account_status_id":"car-1","service_principal":"a b"}`,
			problem: "data.service_principals: ",
		},
		"an account of wrong form": {
			data:    `{"account_id":"../x","service_principal":"x"}`,
			problem: `data.account_id: "../x" is not an account id`,
		},
		"an account that is too long": {
			data: `{"account_id":"` + strings.Repeat("a", 65) + `"}`, problem: "is not an account id",
		},
		"an account that is a number": {
			data: `{"account_id":5,"service_principal":"x"}`, problem: "data.account_id: must not be a JSON number",
		},
		"a principal of wrong form": {
			data: `{"account_id":"a_1","service_principal":"service SecMaster"}`, account: "a_1",
			problem: `data.service_principals: "service SecMaster" is not a service principal`,
		},
		"a principal that is empty": {
			data: `{"account_id":"a_1","service_principals":[""]}`, account: "a_1", problem: "data.service_principals",
		},
		"a principal that is null": {
			data: `{"account_id":"a_1","service_principals":[null]}`, account: "a_1", problem: "must not hold null",
		},
		"a principal that is a number": {
			data: `{"account_id":"a_1","service_principal":5}`, account: "a_1",
			problem: "data.service_principal: must not be a JSON number",
		},
		"a principal of the list that is a number": {
			data: `{"account_id":"a_1","service_principals":["a",5]}`, account: "a_1",
			problem: "data.service_principals: must not be a JSON number",
		},
		"principals that are not a list": {
			data: `{"account_id":"a_1","service_principals":"x"}`, account: "a_1", problem: "data.service_principals",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := received(c.data)
			data, err := events.AccountCreatedInput().Decode(&e)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				assert.Equal(t, c.account, data.AccountID)
				rejected := data.Reject(events.InvalidData, err.Error())
				assert.Equal(t, string(c.account), rejected.Subject())
				assert.Equal(t, events.Rejected, rejected.Whole().Outcome)
				assert.Equal(t, events.InvalidData, rejected.Whole().Reason)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.creation, data.CreateAccountStatusID)
			assert.Equal(t, c.creation == "", data.AccountID == "a_1")
			assert.Equal(t, c.creation != "", data.AccountID == "")
			assert.Len(t, data.ServicePrincipals, len(c.want))
			if len(c.want) < 20 {
				assert.Equal(t, c.want, data.ServicePrincipals)
			}
		})
	}
}

func TestTheDataOfARequestReadsLikeThatOfTheEvent(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"account.admin.missing"}, events.AccountCreatedInput().Requests)
	assert.Equal(t, []string{"org.service.missing"}, events.BootstrapServicesInput().Requests)
	assert.Empty(t, events.BootstrapRegionInput().Requests)
	assert.Empty(t, events.AuditInput().Requests)
	services := events.Request{ServicePrincipals: []events.ServicePrincipal{"service.B", "service.A"}}
	account := services
	account.AccountID = "a_1"
	out, err := events.NewRequestEvent("/s", cause(), services, time.Now())
	require.NoError(t, err)
	e := received(string(out.Data()))
	bootstrap, err := events.BootstrapServicesInput().Decode(&e)
	require.NoError(t, err)
	assert.Equal(t, services.ServicePrincipals, bootstrap.ServicePrincipals)

	out, err = events.NewRequestEvent("/s", cause(), account, time.Now())
	require.NoError(t, err)
	e = received(string(out.Data()))
	created, err := events.AccountCreatedInput().Decode(&e)
	require.NoError(t, err)
	assert.Equal(t, events.AccountCreated{AccountID: "a_1", ServicePrincipals: account.ServicePrincipals}, created)
}

func TestTheDataOfAnOrgAudit(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "org.audit", events.AuditInput().Type)
	for data, dry := range map[string]bool{``: false, `null`: false, `{"x":1}`: false, `{"dry_run":true}`: true} {
		e := received(data)
		_, err := events.AuditInput().Decode(&e)
		require.NoError(t, err, data)
		assert.Equal(t, dry, e.DryRun, data)
	}
	for _, wrong := range []string{`[]`, `{"dry_run":3}`, `{"dry_run":true,"dry_run":false}`} {
		e := received(wrong)
		data, err := events.AuditInput().Decode(&e)
		require.Error(t, err, wrong)
		rejected := data.Reject(events.InvalidData, err.Error())
		assert.Equal(t, events.Registration{
			Outcome: events.Rejected, Reason: events.InvalidData, Message: err.Error(),
		}, rejected.Whole())
	}
}

func TestDataIsJSON(t *testing.T) {
	t.Parallel()
	for contentType, ok := range map[string]bool{
		"":                                true,
		"application/json":                true,
		"Application/JSON; charset=utf-8": true,
		"application/vnd.x+json":          true,
		"text/json":                       true,
		"text/plain":                      false,
		"application/xml":                 false,
		"application/json; charset":       false,
		"json":                            false,
		"application/jsonx":               false,
	} {
		e := received(`{"region_id":"cn-north-4"}`)
		e.ContentType = contentType
		_, err := events.BootstrapRegionInput().Decode(&e)
		if ok {
			require.NoError(t, err, contentType)
		} else {
			require.ErrorContains(t, err, contentType)
		}
		for _, none := range []string{"", "null", "\ufeff"} { // there is nothing to judge
			e.Data = json.RawMessage(none)
			_, err = events.BootstrapRegionInput().Decode(&e)
			require.NoError(t, err, contentType)
		}
	}
}

func TestDataMayBeginWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	e := received("\ufeff" + `{"region_id":"cn-north-4"}`)
	data, err := events.BootstrapRegionInput().Decode(&e)
	require.NoError(t, err)
	assert.Equal(t, events.RegionID("cn-north-4"), data.RegionID)
}

func TestTheEventOrTheHostAsksForADryRun(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{`"dry_run":true`: true, `"dry_run":false`: false, `"dry_run":null`: false} {
		for _, host := range []bool{false, true} {
			e := received(`{"region_id":"cn-north-4",` + data + `}`)
			e.DryRun = host
			_, err := events.BootstrapRegionInput().Decode(&e)
			require.NoError(t, err)
			assert.Equal(t, want || host, e.DryRun, "an event can't undo the dry run of the host")
		}
	}
}

func TestAHugeListOfPrincipalsIsReadQuicklyAndRefusedInFewWords(t *testing.T) {
	t.Parallel()
	names := make([]string, 40_000)
	for i := range names {
		names[i] = fmt.Sprintf(`"s%d"`, i)
	}
	for name, list := range map[string]string{
		"different":  strings.Join(names, ","),
		"duplicates": strings.TrimSuffix(strings.Repeat(`"a",`, 60_000), ","),
	} {
		start := time.Now()
		e := received(`{"account_id":"a_1","service_principals":[` + list + `]}`)
		data, err := events.AccountCreatedInput().Decode(&e)
		assert.Less(t, time.Since(start), 2*time.Second, "it took seconds when each name was compared with all others")
		if name == "different" {
			require.ErrorContains(t, err, "more than 20")
			assert.Less(t, len(err.Error()), 200)
		} else {
			assert.Equal(t, []events.ServicePrincipal{"a"}, data.ServicePrincipals)
		}
	}
}
