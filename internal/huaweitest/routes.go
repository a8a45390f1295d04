package huaweitest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route is one API. Its pattern may have one {...}, which stands for one segment. serve runs with
// the cloud's lock held.
type route struct {
	method  string
	pattern string
	serve   func(*Cloud, call) reply
}

// routes is the whole of the fake's APIs: a new one is an entry here and a method below.
func routes() []route {
	return []route{
		{http.MethodPost, "/v1/register-regions", (*Cloud).registerRegion},
		{http.MethodGet, "/v1/registered-regions", (*Cloud).registeredRegions},
		{
			http.MethodPost, "/v1/organizations/delegated-administrators/register",
			(*Cloud).registerDelegatedAdministrator,
		},
		{http.MethodGet, "/v1/organizations/accounts/{account_id}", (*Cloud).showAccount},
		{http.MethodGet, "/v1/organizations/accounts/{account_id}/delegated-services", (*Cloud).listDelegatedServices},
		{http.MethodGet, "/v1/organizations/services", (*Cloud).listServices},
		{http.MethodGet, "/v1/organizations/trusted-services", (*Cloud).listTrustedServices},
		{http.MethodPost, "/v1/organizations/trusted-services/enable", (*Cloud).enableTrustedService},
	}
}

// match returns the route of a request and what stands for its {...}, or a route without serve.
func match(method, escapedPath string) (route, string) {
	path := segments(escapedPath)
	for _, rt := range routes() {
		id := ""
		same := slices.EqualFunc(strings.Split(rt.pattern, "/"), path, func(want, got string) bool {
			if strings.HasPrefix(want, "{") && got != "" {
				id = got
				return true
			}
			return want == got
		})
		if rt.method == method && same {
			return rt, id
		}
	}
	return route{}, ""
}

// segments splits a path before it decodes it: an escaped slash is not a separator.
func segments(escapedPath string) []string {
	parts := strings.Split(escapedPath, "/")
	for i, p := range parts {
		parts[i], _ = url.PathUnescape(p) // a [url.URL] has no invalid escapes
	}
	return parts
}

func (c *Cloud) registerRegion(q call) reply {
	body, err := fields(q, "region_id")
	switch {
	case err != nil:
		return fail(400, "IIC.400", "Bad Request: "+err.Error())
	case c.region != "":
		return fail(409, "IIC.1216", "Only one region can be registered.")
	}
	c.region = body["region_id"]
	return success(200, nil)
}

func (c *Cloud) registeredRegions(call) reply {
	if c.region == "" {
		return fail(404, "IIC.1254", "No region registered.")
	}
	return success(200, map[string]any{"regions": []map[string]string{{"region_id": c.region}}})
}

func (c *Cloud) registerDelegatedAdministrator(q call) reply {
	body, err := fields(q, "account_id", "service_principal")
	if err != nil {
		return c.invalid(err)
	}
	a, principal := c.accounts[body["account_id"]], body["service_principal"]
	switch {
	case a == nil:
		return reply{Error: c.unpublished.UnknownAccount}
	case granted(a.delegated, principal):
		return reply{Error: c.unpublished.AlreadyDelegated}
	case a.status != "active":
		return reply{Error: c.unpublished.InactiveAccount}
	case !granted(c.trusted, principal):
		return reply{Error: c.unpublished.UntrustedService}
	}
	a.delegated = append(a.delegated, grant{principal, q.Time})
	return success(201, nil)
}

func (c *Cloud) showAccount(q call) reply {
	a := c.accounts[q.id]
	if a == nil {
		return reply{Error: c.unpublished.UnknownAccount}
	}
	return success(200, map[string]any{"account": map[string]string{
		"id":          q.id,
		"urn":         "organizations::management:account:o-fake/" + q.id,
		"name":        "account-" + q.id,
		"join_method": "created",
		"joined_at":   timestamp(a.joined),
		"status":      a.status,
	}})
}

func (c *Cloud) listDelegatedServices(q call) reply {
	a := c.accounts[q.id]
	if a == nil {
		return reply{Error: c.unpublished.UnknownAccount}
	}
	return c.page(q, "delegated_services", "delegation_enabled_at", a.delegated)
}

func (c *Cloud) listTrustedServices(q call) reply {
	return c.page(q, "trusted_services", "enabled_at", c.trusted)
}

func (c *Cloud) listServices(call) reply {
	return success(200, map[string]any{"services": append([]string{}, c.services...)})
}

func (c *Cloud) enableTrustedService(q call) reply {
	body, err := fields(q, "service_principal")
	if err != nil {
		return c.invalid(err)
	}
	principal := body["service_principal"]
	switch {
	case granted(c.trusted, principal):
		return reply{Error: c.unpublished.AlreadyTrusted}
	case !slices.Contains(c.services, principal):
		return reply{Error: c.unpublished.UnknownService}
	}
	c.trusted = append(c.trusted, grant{principal, q.Time})
	return success(200, nil)
}

// page answers the part of the list that the request asks for.
func (c *Cloud) page(q call, listName, timeName string, list []grant) reply {
	query := (&url.URL{RawQuery: q.RawQuery}).Query()
	limit, start := 200, 0
	if query.Has("limit") {
		n, err := strconv.Atoi(query.Get("limit"))
		if err != nil || n < 1 || n > 2000 {
			return c.invalid(errors.New("limit is not a number from 1 to 2000"))
		}
		limit = n
	}
	if c.pageSize > 0 {
		limit = min(limit, c.pageSize)
	}
	if query.Has("marker") {
		last := slices.IndexFunc(list, func(g grant) bool { return marker(q.Path, g) == query.Get("marker") })
		if last < 0 {
			return c.invalid(errors.New("unknown marker"))
		}
		start = last + 1
	}

	end := min(start+limit, len(list))
	items := []map[string]string{}
	for _, g := range list[start:end] {
		items = append(items, map[string]string{"service_principal": g.principal, timeName: timestamp(g.at)})
	}
	var next *string
	if end < len(list) {
		next = new(marker(q.Path, list[end-1]))
	}
	return success(200, map[string]any{
		listName:    items,
		"page_info": map[string]any{"next_marker": next, "current_count": len(items)},
	})
}

// marker stands for the place after g in the list at path. It is opaque and has what a client may
// forget to escape.
func marker(path string, g grant) string {
	sum := sha256.Sum256([]byte(path + "\n" + g.principal))
	return "after /+ " + base64.StdEncoding.EncodeToString(sum[:])
}

// fields reads a body that must be a JSON object of exactly the named strings, none of them empty.
func fields(q call, names ...string) (map[string]string, error) {
	mediaType, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, errors.New("Content-Type is not application/json")
	}
	var body map[string]string
	if err := json.Unmarshal(q.Body, &body); err != nil {
		return nil, fmt.Errorf("the body is not a JSON object of strings: %w", err)
	}
	for _, name := range names {
		if body[name] == "" {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	if len(body) > len(names) {
		return nil, fmt.Errorf("fields other than %s", strings.Join(names, ", "))
	}
	return body, nil
}

func (c *Cloud) invalid(err error) reply {
	a := c.unpublished.InvalidRequest
	a.Message += ": " + err.Error()
	return reply{Error: a}
}

func fail(status int, code, message string) reply {
	return reply{Error: Error{status, code, message}}
}

func success(status int, body any) reply {
	return reply{Error: Error{Status: status}, body: body}
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
