package huaweitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	var principals []string
	for i := range 5 {
		principals = append(principals, fmt.Sprintf("service.S%d", i))
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
			path: accounts + "a1/delegated-services", pageSize: 2, want: []int{2, 2, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := huaweitest.New(permanent)
			c.TrustService(principals...)
			c.Delegate("a1", principals...)
			c.PageSize(tt.pageSize)
			cl := newClient(t, c)
			var pages []int
			var all []string
			marker := ""
			for len(pages) < 9 {
				query := ""
				if tt.limit != "" {
					query = "&limit=" + tt.limit
				}
				if marker != "" {
					query += "&marker=" + strings.ReplaceAll(url.QueryEscape(marker), "+", "%20")
				}
				got := cl.call("GET", tt.path+strings.Replace(query, "&", "?", 1), "")
				require.Equal(t, 200, got.status, got.raw)
				var p struct {
					Trusted   []map[string]string `json:"trusted_services"`
					Delegated []map[string]string `json:"delegated_services"`
					Page      struct {
						Next  *string `json:"next_marker"`
						Count int     `json:"current_count"`
					} `json:"page_info"`
				}
				require.NoError(t, json.Unmarshal([]byte(got.raw), &p))
				for _, item := range append(p.Trusted, p.Delegated...) {
					all = append(all, item["service_principal"])
				}
				pages = append(pages, p.Page.Count)
				if p.Page.Next == nil {
					break
				}
				marker = *p.Page.Next
				for _, special := range []string{"/", "+", "=", " "} {
					assert.Contains(t, marker, special)
				}
			}
			assert.Equal(t, tt.want, pages)
			assert.Equal(t, principals, all)
		})
	}
}

func TestBadPages(t *testing.T) {
	t.Parallel()
	c := huaweitest.New(permanent)
	c.TrustService("service.A", "service.B")
	c.Delegate("a1", "service.A", "service.B")
	cl := newClient(t, c)
	got := cl.call("GET", trusted+"?limit=1", "")
	_, after, _ := strings.Cut(got.raw, `"next_marker":"`)
	marker, _, _ := strings.Cut(after, `"`)
	require.NotEmpty(t, marker)
	escaped := strings.ReplaceAll(url.QueryEscape(marker), "+", "%20")
	assert.Contains(t, cl.call("GET", trusted+"?limit=1&marker="+escaped, "").raw, "service.B")

	unescaped := cl.request("GET", trusted+"?limit=1&marker="+escaped, "") // signed as it should be, sent as it is
	unescaped.URL.RawQuery = "limit=1&marker=" + strings.ReplaceAll(marker, " ", "%20")
	raw, err := cl.do(unescaped)
	require.NoError(t, err)
	assert.Equal(t, 401, raw.status, "a marker not escaped is another one")

	for name, path := range map[string]string{
		"limit 0":               trusted + "?limit=0",
		"limit 2001":            trusted + "?limit=2001",
		"limit of words":        trusted + "?limit=all",
		"an empty limit":        trusted + "?limit=",
		"an unknown marker":     trusted + "?marker=x",
		"an empty marker":       trusted + "?marker=",
		"a doubly escaped one":  trusted + "?marker=" + strings.ReplaceAll(escaped, "%", "%25"),
		"another list's marker": accounts + "a1/delegated-services?marker=" + escaped,
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
