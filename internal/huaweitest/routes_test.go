package huaweitest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"registrar/internal/huaweitest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRegions(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	cl := newClient(t, c)

	got := cl.call("GET", registered, "")
	assert.Equal(t, 404, got.status)
	assert.Equal(t, "IIC.1254", got.Code)

	got = cl.call("POST", regions, `{"region_id":"cn-north-4"}`+"\n")
	assert.Equal(t, 200, got.status)
	assert.Empty(t, got.raw)
	assert.NotEmpty(t, got.header.Get("X-Request-Id"))
	assert.Equal(t, "cn-north-4", c.Region())

	got = cl.call("GET", registered, "")
	assert.Equal(t, 200, got.status)
	assert.JSONEq(t, `{"regions":[{"region_id":"cn-north-4"}]}`, got.raw)

	for _, region := range []string{"cn-north-4", "ap-southeast-3"} {
		got = cl.call("POST", regions, `{"region_id":"`+region+`"}`)
		assert.Equal(t, 409, got.status, region)
		assert.Equal(t, "IIC.1216", got.Code, region)
		assert.Equal(t, "cn-north-4", c.Region())
	}

	c.SetRegion("")
	assert.Equal(t, 404, cl.call("GET", registered, "").status)
	c.SetRegion("eu-west-101")
	assert.JSONEq(t, `{"regions":[{"region_id":"eu-west-101"}]}`, cl.call("GET", registered, "").raw)
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"none":               "",
		"not JSON":           "region_id=cn-north-4",
		"cut short":          `{"region_id":"cn-north-4"`,
		"two objects":        `{"region_id":"cn-north-4"}{}`,
		"an array":           `["cn-north-4"]`,
		"null":               "null",
		"without the field":  `{}`,
		"in another case":    `{"Region_ID":"cn-north-4","Account_ID":"a1","Service_Principal":"s"}`,
		"an empty field":     `{"region_id":"","account_id":"","service_principal":"service.SecMaster"}`,
		"a field of null":    `{"region_id":null,"account_id":"a1","service_principal":null}`,
		"a field of numbers": `{"region_id":4,"account_id":4,"service_principal":"service.SecMaster"}`,
		"an unknown field": `{"region_id":"cn-north-4","account_id":"a1","service_principal":"service.SecMaster",` +
			`"dry_run":"true"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			c.AddAccount("a1", "active")
			c.TrustService("service.SecMaster")
			cl := newClient(t, c)

			got := cl.call("POST", regions, body)
			assert.Equal(t, 400, got.status)
			assert.Equal(t, "IIC.400", got.Code)
			assert.Empty(t, c.Region())

			got = cl.call("POST", admins, body)
			assert.Equal(t, 400, got.status)
			assert.Equal(t, "Organizations.9900", got.Code)
			assert.Empty(t, c.Delegations("a1"))

			c.Delegate("a1", "service.SecMaster")
			for _, path := range []string{deregister, enable, disable} {
				got = cl.call("POST", path, body)
				assert.Equal(t, 400, got.status, path)
				assert.Equal(t, "Organizations.9900", got.Code, path)
			}
			assert.Equal(t, []string{"service.SecMaster"}, c.Delegations("a1"))
			assert.Equal(t, []string{"service.SecMaster"}, c.Trusted())
		})
	}
	t.Run("Content-Type", func(t *testing.T) {
		t.Parallel()
		for contentType, want := range map[string]int{
			"": 400, "text/plain": 400, "application/json; charset=UTF-8": 200,
		} {
			cl := newClient(t, huaweitest.New(permanent))
			req := cl.request("POST", regions, `{"region_id":"cn-north-4"}`)
			req.Header.Set("Content-Type", contentType)
			got, err := cl.do(req)
			require.NoError(t, err)
			assert.Equal(t, want, got.status, contentType)
		}
	})
}

func TestUnknownAPIs(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"the path of the API page's example": "POST /v1/regions/register",
		"another method":                     "GET " + regions,
		"HEAD is not GET":                    "HEAD " + registered,
		"a slash at the end":                 "GET " + registered + "/",
		"an account without an id":           "GET " + accounts,
		"a creation without an id":           "GET " + creations,
		"an escaped slash":                   "GET /v1/organizations%2Ftrusted-services",
		"not built yet":                      "POST /v1/organizations/accounts",
		"the warming of a connection":        "HEAD /",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			method, path, _ := strings.Cut(target, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, "https://huawei.example"+path, nil)
			require.NoError(t, err)
			got, err := newClient(t, c).do(req)
			require.NoError(t, err)
			assert.Equal(t, 404, got.status)
			if method != "HEAD" {
				assert.Equal(t, "APIGW.0101", got.Code)
			}
			require.Len(t, c.Requests(), 1)
			assert.Equal(t, "APIGW.0101", last(c).ErrorCode)
			assert.Equal(t, method, last(c).Method)
			assert.Equal(t, path, last(c).Path)
			assert.False(t, last(c).Verified)
		})
	}
}

func TestDelegation(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent, temporary)
	at := time.Date(2026, 1, 2, 11, 4, 5, 678, time.FixedZone("", 8*3600))
	c.SetClock(func() time.Time { return at })
	c.AddAccount("a1", "active")
	c.TrustService("service.SecMaster", "service.AOM", "service.SecMaster")
	cl := newClient(t, c)
	cl.creds, cl.at = temporary, at

	assert.JSONEq(
		t, `{"delegated_services":[],"page_info":{"next_marker":null,"current_count":0}}`,
		cl.call("GET", accounts+"a1/delegated-services", "").raw,
	)
	for _, principal := range []string{"service.SecMaster", "service.AOM"} {
		got := cl.call("POST", admins, `{"service_principal":"`+principal+`","account_id":"a1"}`)
		assert.Equal(t, 201, got.status, got.raw)
		assert.Empty(t, got.raw)
	}
	assert.Equal(t, []string{"service.SecMaster", "service.AOM"}, c.Delegations("a1"))
	assert.JSONEq(t, `{"delegated_services":[
		{"service_principal":"service.SecMaster","delegation_enabled_at":"2026-01-02T03:04:05Z"},
		{"service_principal":"service.AOM","delegation_enabled_at":"2026-01-02T03:04:05Z"}
		],"page_info":{"next_marker":null,"current_count":2}}`,
		cl.call("GET", accounts+"a1/delegated-services", "").raw)
	assert.JSONEq(t, `{"trusted_services":[
		{"service_principal":"service.SecMaster","enabled_at":"2026-01-02T03:04:05Z"},
		{"service_principal":"service.AOM","enabled_at":"2026-01-02T03:04:05Z"}
		],"page_info":{"next_marker":null,"current_count":2}}`, cl.call("GET", trusted, "").raw)
	assert.JSONEq(t, `{"account":{"id":"a1","urn":"organizations::management:account:o-fake/a1","name":"account-a1",
		"join_method":"created","joined_at":"2026-01-02T03:04:05Z","status":"active"}}`,
		cl.call("GET", accounts+"a1", "").raw)

	c.Delegate("a2", "service.CTS", "service.CTS", "service.AOM")
	assert.Equal(t, []string{"service.CTS", "service.AOM"}, c.Delegations("a2"), "in order, trusted or not")
	c.AddAccount("a2", "suspended")
	assert.Contains(t, cl.call("GET", accounts+"a2", "").raw, `"status":"suspended"`)
	assert.Equal(t, []string{"service.CTS", "service.AOM"}, c.Delegations("a2"), "kept when the status changes")
	assert.Nil(t, c.Delegations("a3"))
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.SetClock(func() time.Time { return at })
	cl := newClient(t, c)
	cl.at = at
	// assertAccounts compares the list with its items, and each of them with the account itself.
	assertAccounts := func(want ...string) {
		t.Helper()
		for i, account := range want {
			id, rest, _ := strings.Cut(account, " ")
			name, rest, _ := strings.Cut(rest, " ")
			joinMethod, status, _ := strings.Cut(rest, " ")
			want[i] = fmt.Sprintf(`{"id":%q,"urn":"organizations::management:account:o-fake/%[1]s","name":%q,
				"join_method":%q,"status":%q,"joined_at":"2026-01-02T03:04:05Z"}`, id, name, joinMethod, status)
			got := cl.call("GET", accounts+id, "")
			assert.Equal(t, 200, got.status)
			assert.JSONEq(t, `{"account":`+want[i]+`}`, got.raw)
		}
		got := cl.call("GET", members, "")
		assert.Equal(t, 200, got.status)
		assert.JSONEq(t, fmt.Sprintf(`{"accounts":[%s],"page_info":{"next_marker":null,"current_count":%d}}`,
			strings.Join(want, ","), len(want)), got.raw)
	}

	assertAccounts()
	c.NameAccount("b", "security")
	c.AddAccount("c", "pending_closure")
	c.InviteAccount("a", "guest")
	c.Delegate("d", "service.AOM")
	assertAccounts(
		"b security created active", "c account-c created pending_closure", "a guest invited active",
		"d account-d created active",
	)
	c.NameAccount("a", "security")
	c.AddAccount("a", "suspended")
	c.InviteAccount("c", "c")
	c.RemoveAccount("b")
	c.AddAccount("b", "active")
	c.RemoveAccount("nobody")
	assertAccounts(
		"c c invited active", "a security invited suspended", "d account-d created active",
		"b account-b created active",
	)
}

func TestDelegatedAdministrators(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.SetClock(func() time.Time { return at })
	cl := newClient(t, c)
	cl.at = at
	// list returns the accounts and the times since which they are administrators.
	list := func(query string) []string {
		t.Helper()
		got := cl.call("GET", delegated+query, "")
		require.Equal(t, 200, got.status, got.raw)
		var answer struct {
			Items []map[string]string `json:"delegated_administrators"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.raw), &answer))
		items := []string{}
		for _, item := range answer.Items {
			items = append(items, item["account_id"]+" "+item["delegation_enabled_at"])
		}
		return items
	}

	assert.JSONEq(
		t, `{"delegated_administrators":[],"page_info":{"next_marker":null,"current_count":0}}`,
		cl.call("GET", delegated, "").raw,
	)
	c.AddAccount("ordinary", "active")
	c.InviteAccount("log", "logs")
	c.AddAccount("security", "active")
	c.TrustService("service.SecMaster", "service.CTS")
	c.Delegate("security", "service.SecMaster")
	at = at.Add(time.Minute)
	c.Delegate("log", "service.CTS")
	c.Delegate("security", "service.CTS")

	assert.Equal(t, []string{"log 2026-01-02T03:05:05Z", "security 2026-01-02T03:04:05Z"}, list(""),
		"in the order of joining, each once, since its first delegation")
	assert.Equal(
		t, []string{"log 2026-01-02T03:05:05Z", "security 2026-01-02T03:05:05Z"},
		list("?service_principal=service.CTS"),
	)
	assert.Equal(t, []string{"security 2026-01-02T03:04:05Z"}, list("?service_principal=service.SecMaster"))
	assert.Empty(t, list("?service_principal=service.AOM"))
	assert.Empty(t, list("?service_principal=service.cts"))
	c.PageSize(1)
	got := cl.call("GET", delegated, "")
	assert.Contains(t, got.raw, `"delegated_administrators":[{"account_id":"log","account_name":"logs",`+
		`"account_urn":"organizations::management:account:o-fake/log","delegation_enabled_at":"2026-01-02T03:05:05Z",`+
		`"join_method":"invited","joined_at":"2026-01-02T03:04:05Z"}]`)
	c.PageSize(0)

	for name, body := range map[string]string{
		"another service": `{"service_principal":"service.AOM","account_id":"log"}`,
		"another account": `{"service_principal":"service.CTS","account_id":"ordinary"}`,
		"nobody":          `{"service_principal":"service.CTS","account_id":"nobody"}`,
	} {
		got = cl.call("POST", deregister, body)
		assert.Equal(t, 400, got.status, name)
		assert.Equal(t, "Organizations.1500", got.Code, name)
	}
	assert.Equal(t, []string{"service.CTS"}, c.Delegations("log"))

	c.Distrust("service.CTS")
	c.AddAccount("security", "suspended")
	got = cl.call("POST", deregister, `{"service_principal":"service.CTS","account_id":"security"}`)
	assert.Equal(t, 200, got.status, "trusted and active or not")
	assert.Empty(t, got.raw)
	assert.Equal(t, []string{"service.SecMaster"}, c.Delegations("security"))
	got = cl.call("POST", deregister, `{"service_principal":"service.CTS","account_id":"security"}`)
	assert.Equal(t, "Organizations.1500", got.Code, "a second time")
	assert.Equal(t, []string{"log 2026-01-02T03:05:05Z"}, list("?service_principal=service.CTS"))

	c.Delegate("security", "service.CTS", "service.AOM")
	c.Undelegate("security", "service.SecMaster", "service.AOM", "service.RAM")
	c.Undelegate("nobody", "service.CTS")
	assert.Equal(t, []string{"service.CTS"}, c.Delegations("security"))
	c.Undelegate("security")
	assert.Equal(t, []string{"service.CTS"}, c.Delegations("security"), "no principals are none")
	c.Undelegate("log", "service.CTS")
	assert.Equal(t, []string{"security 2026-01-02T03:05:05Z"}, list(""))
}

func TestDisablingTrustedServices(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	cl := newClient(t, c)
	c.TrustService("service.SecMaster", "service.CTS", "service.AOM")
	c.Delegate("a1", "service.CTS")

	got := cl.call("POST", disable, `{"service_principal":"service.CTS"}`)
	assert.Equal(t, 200, got.status)
	assert.Empty(t, got.raw)
	assert.Equal(t, []string{"service.SecMaster", "service.AOM"}, c.Trusted())
	assert.Equal(t, []string{"service.CTS"}, c.Delegations("a1"), "kept")
	for _, principal := range []string{"service.CTS", "service.RAM", "service.Nothing"} {
		got = cl.call("POST", disable, `{"service_principal":"`+principal+`"}`)
		assert.Equal(t, 400, got.status, principal)
		assert.Equal(t, "Organizations.1900", got.Code, principal)
	}
	assert.Equal(t, 200, cl.call("POST", enable, `{"service_principal":"service.CTS"}`).status)
	assert.Equal(t, []string{"service.SecMaster", "service.AOM", "service.CTS"}, c.Trusted())

	c.Distrust()
	assert.Len(t, c.Trusted(), 3, "no principals are none")
	c.Distrust("service.SecMaster", "service.CTS", "service.Nothing")
	assert.Equal(t, []string{"service.AOM"}, c.Trusted())
	assert.Equal(t, []string{"service.CTS"}, c.Delegations("a1"), "kept")
	assert.Contains(t, cl.call("GET", services, "").raw, "service.CTS", "it can be trusted again")
}

func TestCreateAccountStatus(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c.SetClock(func() time.Time { return at })
	cl := newClient(t, c)
	c.SetCreateAccountStatus("car1", "in_progress", "")
	c.NameAccount("named", "security")
	at = at.Add(time.Minute)
	cl.at = at
	for _, tt := range []struct{ name, state, accountID, want string }{
		{
			"as it was set", "", "",
			`"state":"in_progress","account_id":null,"account_name":"account-car1","completed_at":null`,
		},
		{
			"with an account in progress", "in_progress", "a1",
			`"state":"in_progress","account_id":"a1","account_name":"account-car1","completed_at":null`,
		},
		{
			"succeeded, the account not visible yet", "succeeded", "a1",
			`"state":"succeeded","account_id":"a1","account_name":"account-car1","completed_at":"2026-01-02T03:05:05Z"`,
		},
		{
			"succeeded", "succeeded", "named",
			`"state":"succeeded","account_id":"named","account_name":"security","completed_at":"2026-01-02T03:05:05Z"`,
		},
		{
			"failed", "failed", "",
			`"state":"failed","account_id":null,"account_name":"account-car1","completed_at":"2026-01-02T03:05:05Z",
			"failure_reason":"EMAIL_ALREADY_EXISTS"`,
		},
		{
			"in a state of its own", "beamed_up", "",
			`"state":"beamed_up","account_id":null,"account_name":"account-car1","completed_at":"2026-01-02T03:05:05Z"`,
		},
		{
			"in progress again", "in_progress", "",
			`"state":"in_progress","account_id":null,"account_name":"account-car1","completed_at":null`,
		},
	} {
		if tt.state != "" {
			c.SetCreateAccountStatus("car1", tt.state, tt.accountID)
		}
		got := cl.call("GET", creations+"car1", "")
		assert.Equal(t, 200, got.status, tt.name)
		want := `{"create_account_status":{"id":"car1","created_at":"2026-01-02T03:04:05Z",` + tt.want + `}}`
		assert.JSONEq(t, want, got.raw, tt.name)
	}
	assert.Equal(t, 404, cl.call("GET", accounts+"a1", "").status, "no account is added")
}

func TestTrustedServices(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	cl := newClient(t, c)
	assert.Contains(t, cl.call("GET", services, "").raw, `"service.AOM"`)
	assert.NotContains(t, cl.call("GET", services, "").raw, "service.X")
	c.AddService("service.X", "service.CTS", "service.X")
	c.TrustService("service.Y", "service.CTS")
	assert.Equal(t, 1, strings.Count(cl.call("GET", services, "").raw, "service.X"))
	assert.Equal(t, 1, strings.Count(cl.call("GET", services, "").raw, "service.CTS"))
	assert.Contains(t, cl.call("GET", services, "").raw, "service.Y", "it is trusted, so it exists")
	got := cl.call("POST", enable, `{"service_principal":"service.AOM"}`)
	assert.Equal(t, 200, got.status)
	assert.Empty(t, got.raw)
	assert.Equal(t, []string{"service.Y", "service.CTS", "service.AOM"}, c.Trusted())
	assert.Contains(t, cl.call("GET", trusted, "").raw, "service.AOM")
	assert.Equal(t, 400, cl.call("POST", enable, `{"service_principal":""}`).status)
}

func TestUnpublishedAnswers(t *testing.T) {
	t.Parallel()
	register := func(account, principal string) [3]string {
		return [3]string{"POST", admins, `{"service_principal":"` + principal + `","account_id":"` + account + `"}`}
	}
	for name, tt := range map[string]struct {
		call [3]string
		want huaweitest.Error // by default
		set  func(huaweitest.Error) huaweitest.Unpublished
	}{
		"already delegated": {
			register("active", "service.AOM"),
			huaweitest.Error{Status: 409, Code: "Organizations.9901"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{AlreadyDelegated: a} },
		},
		"unknown account on register": {
			register("nobody", "service.AOM"),
			huaweitest.Error{Status: 404, Code: "Organizations.9902"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownAccount: a} },
		},
		"unknown account on read": {
			[3]string{"GET", accounts + "nobody"},
			huaweitest.Error{Status: 404, Code: "Organizations.9902"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownAccount: a} },
		},
		"unknown account on delegated services": {
			[3]string{"GET", accounts + "nobody/delegated-services"},
			huaweitest.Error{Status: 404, Code: "Organizations.9902"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownAccount: a} },
		},
		"suspended account": {
			register("suspended", "service.AOM"),
			huaweitest.Error{Status: 400, Code: "Organizations.9903"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{InactiveAccount: a} },
		},
		"account with a status of its own": {
			register("odd", "service.AOM"),
			huaweitest.Error{Status: 400, Code: "Organizations.9903"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{InactiveAccount: a} },
		},
		"untrusted service": {
			register("active", "service.CTS"),
			huaweitest.Error{Status: 400, Code: "Organizations.1900"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UntrustedService: a} },
		},
		"trusted already": {
			[3]string{"POST", enable, `{"service_principal":"service.AOM"}`},
			huaweitest.Error{Status: 409, Code: "Organizations.9904"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{AlreadyTrusted: a} },
		},
		"unknown service": {
			[3]string{"POST", enable, `{"service_principal":"service.Nothing"}`},
			huaweitest.Error{Status: 400, Code: "Organizations.9905"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownService: a} },
		},
		"unknown creation": {
			[3]string{"GET", creations + "car-none"},
			huaweitest.Error{Status: 404, Code: "Organizations.9906"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{UnknownCreation: a} },
		},
		"invalid request": {
			[3]string{"GET", trusted + "?limit=0"},
			huaweitest.Error{Status: 400, Code: "Organizations.9900"},
			func(a huaweitest.Error) huaweitest.Unpublished { return huaweitest.Unpublished{InvalidRequest: a} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			c.TrustService("service.AOM")
			c.Delegate("active", "service.AOM")
			c.AddAccount("suspended", "suspended")
			c.AddAccount("odd", "beamed_up")
			cl := newClient(t, c)
			check := func(want huaweitest.Error) {
				got := cl.call(tt.call[0], tt.call[1], tt.call[2])
				assert.Equal(t, want.Status, got.status)
				assert.Equal(t, want.Code, got.Code)
				assert.Contains(t, got.raw, want.Message)
				assert.Equal(t, want.Code, last(c).ErrorCode)
			}
			check(tt.want)
			for _, status := range []int{400, 403, 404, 409} {
				a := huaweitest.Error{Status: status, Code: "Organizations.7777", Message: "guess"}
				c.SetUnpublished(tt.set(a))
				check(a)
			}
			c.SetUnpublished(huaweitest.Unpublished{})
			check(tt.want)
			assert.Equal(t, []string{"service.AOM"}, c.Delegations("active"))
			assert.Empty(t, c.Delegations("suspended"))
		})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	// The services have these names, and the accounts have them as ids.
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprintf("service.S%d", i))
	}
	for name, tt := range map[string]struct {
		path     string
		pageSize int
		limit    string
		want     []int // the items of each page
	}{
		"the whole list by default":     {path: trusted, want: []int{5}},
		"a limit that divides":          {path: trusted, limit: "1", want: []int{1, 1, 1, 1, 1}},
		"a limit that does not":         {path: trusted, limit: "2", want: []int{2, 2, 1}},
		"as many as there are":          {path: trusted, limit: "5", want: []int{5}},
		"pages shorter than the limit":  {path: trusted, limit: "2000", pageSize: 3, want: []int{3, 2}},
		"a limit below the pages' size": {path: trusted, limit: "2", pageSize: 3, want: []int{2, 2, 1}},
		"delegated services page as well": {
			path: accounts + "service.S0/delegated-services", pageSize: 2, want: []int{2, 2, 1},
		},
		"accounts":       {path: members, limit: "2", want: []int{2, 2, 1}},
		"administrators": {path: delegated, limit: "2", want: []int{2, 2, 1}},
		"administrators of a service": {
			path: delegated + "?service_principal=service.S0", limit: "2", pageSize: 1, want: []int{1, 1, 1, 1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			c.TrustService(names...)
			for _, name := range names {
				c.Delegate(name, "service.S0")
			}
			c.Delegate("service.S0", names...)
			c.PageSize(tt.pageSize)
			cl := newClient(t, c)
			target, err := url.Parse(tt.path)
			require.NoError(t, err)
			query := target.Query()
			if tt.limit != "" {
				query.Set("limit", tt.limit)
			}
			var pages []int
			var all []string
			for len(pages) < 9 {
				got := cl.call("GET", target.Path+"?"+strings.ReplaceAll(query.Encode(), "+", "%20"), "")
				require.Equal(t, 200, got.status, got.raw)
				var p struct {
					Trusted        []map[string]string `json:"trusted_services"`
					Services       []map[string]string `json:"delegated_services"`
					Accounts       []map[string]string `json:"accounts"`
					Administrators []map[string]string `json:"delegated_administrators"`
					Page           struct {
						Next  *string `json:"next_marker"`
						Count int     `json:"current_count"`
					} `json:"page_info"`
				}
				require.NoError(t, json.Unmarshal([]byte(got.raw), &p))
				for _, item := range slices.Concat(p.Trusted, p.Services, p.Accounts, p.Administrators) {
					all = append(all, cmp.Or(item["service_principal"], item["id"], item["account_id"]))
				}
				pages = append(pages, p.Page.Count)
				if p.Page.Next == nil {
					break
				}
				query.Set("marker", *p.Page.Next)
				for _, special := range []string{"/", "+", "=", " "} {
					assert.Contains(t, *p.Page.Next, special)
				}
			}
			assert.Equal(t, tt.want, pages)
			assert.Equal(t, names, all)
		})
	}
}

func TestBadPages(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.TrustService("service.A", "service.B")
	c.Delegate("a1", "service.A", "service.B")
	c.Delegate("a2", "service.A", "service.B")
	cl := newClient(t, c)
	markerOf := func(path string) (marker, escaped string) {
		_, after, _ := strings.Cut(cl.call("GET", path, "").raw, `"next_marker":"`)
		marker, _, _ = strings.Cut(after, `"`)
		require.NotEmpty(t, marker)
		return marker, strings.ReplaceAll(url.QueryEscape(marker), "+", "%20")
	}
	marker, escaped := markerOf(trusted + "?limit=1")
	assert.Contains(t, cl.call("GET", trusted+"?limit=1&marker="+escaped, "").raw, "service.B")

	unescaped := cl.request("GET", trusted+"?limit=1&marker="+escaped, "") // signed as it should be, sent as it is
	unescaped.URL.RawQuery = "limit=1&marker=" + strings.ReplaceAll(marker, " ", "%20")
	raw, err := cl.do(unescaped)
	require.NoError(t, err)
	assert.Equal(t, 401, raw.status, "a marker not escaped is another one")

	_, filtered := markerOf(delegated + "?limit=1&service_principal=service.A")
	got := cl.call("GET", delegated+"?limit=2&marker="+filtered+"&service_principal=service.A", "")
	assert.Contains(t, got.raw, `"a2"`, "another limit may be asked for")
	_, gone := markerOf(accounts + "a2/delegated-services?limit=1")
	c.Undelegate("a2", "service.A")

	for name, path := range map[string]string{
		"limit 0":                      trusted + "?limit=0",
		"limit 2001":                   trusted + "?limit=2001",
		"limit of words":               trusted + "?limit=all",
		"an empty limit":               trusted + "?limit=",
		"an unknown marker":            trusted + "?marker=x",
		"an empty marker":              trusted + "?marker=",
		"a doubly escaped one":         trusted + "?marker=" + strings.ReplaceAll(escaped, "%", "%25"),
		"another list's marker":        accounts + "a1/delegated-services?marker=" + escaped,
		"a marker after what is gone":  accounts + "a2/delegated-services?marker=" + gone,
		"the filter left out":          delegated + "?marker=" + filtered,
		"another filter":               delegated + "?marker=" + filtered + "&service_principal=service.B",
		"a filter of nothing":          delegated + "?service_principal=",
		"a long filter":                delegated + "?service_principal=" + strings.Repeat("s", 101),
		"limit 0 of accounts":          members + "?limit=0",
		"limit 2001 of administrators": delegated + "?limit=2001",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newClient(t, c).call("GET", path, "")
			assert.Equal(t, 400, got.status)
			assert.Equal(t, "Organizations.9900", got.Code)
		})
	}
}

func TestParallelRegistrationsLeaveOneRegion(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.TrustService("service.AOM")
	c.AddAccount("a1", "active")
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			cl := newClient(t, c)
			region, err := cl.try("POST", regions, fmt.Sprintf(`{"region_id":"region-%d"}`, i))
			assert.NoError(t, err)
			admin, err := cl.try("POST", admins, `{"account_id":"a1","service_principal":"service.AOM"}`)
			assert.NoError(t, err)
			c.AddAccount(fmt.Sprint(i), "active")
			c.PageSize(i)
			mu.Lock()
			defer mu.Unlock()
			statuses[region.status]++
			statuses[admin.status+1000]++
		})
	}
	wg.Wait()
	assert.Equal(t, map[int]int{200: 1, 409: 49, 1201: 1, 1409: 49}, statuses)
	assert.Equal(t, []string{"service.AOM"}, c.Delegations("a1"))
	ids := map[string]bool{}
	for _, r := range c.Requests() {
		ids[r.ID] = true
		if r.Status == 200 {
			assert.JSONEq(t, `{"region_id":"`+c.Region()+`"}`, string(r.Body))
		}
	}
	assert.Len(t, ids, 100)
}
