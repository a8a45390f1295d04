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
	actions string // what the caller must be allowed, separated by spaces, the API's own first; "" if it isn't signed
}

// isOpen reports whether the API takes unsigned requests.
func (rt route) isOpen() bool { return rt.serve != nil && rt.actions == "" }

// routes is the whole of the fake's APIs: a new one is an entry here and a method below.
func routes() []route {
	return []route{
		{
			http.MethodPost, "/v1/register-regions",
			(*Cloud).registerRegion, "IdentityCenter:instance:registerRegion",
		},
		{
			http.MethodGet, "/v1/registered-regions",
			(*Cloud).registeredRegions,
			"IdentityCenter:instance:describeRegisteredRegions organizations:delegatedAdministrators:list",
		},
		{
			http.MethodPost, "/v1/organizations/delegated-administrators/register",
			(*Cloud).registerDelegatedAdministrator, "organizations:delegatedAdministrators:register",
		},
		{
			http.MethodPost, "/v1/organizations/delegated-administrators/deregister",
			(*Cloud).deregisterDelegatedAdministrator, "organizations:delegatedAdministrators:deregister",
		},
		{
			http.MethodGet, "/v1/organizations/delegated-administrators",
			(*Cloud).listDelegatedAdministrators, "organizations:delegatedAdministrators:list",
		},
		{
			http.MethodGet, "/v1/organizations/accounts",
			(*Cloud).listAccounts, "organizations:accounts:list",
		},
		{
			http.MethodGet, "/v1/organizations/accounts/{account_id}",
			(*Cloud).showAccount, "organizations:accounts:get",
		},
		{
			http.MethodGet, "/v1/organizations/accounts/{account_id}/delegated-services",
			(*Cloud).listDelegatedServices, "organizations:delegatedServices:list",
		},
		{
			http.MethodGet, "/v1/organizations/services",
			(*Cloud).listServices, "organizations:services:list",
		},
		{
			http.MethodGet, "/v1/organizations/trusted-services",
			(*Cloud).listTrustedServices, "organizations:trustedServices:list",
		},
		{
			http.MethodPost, "/v1/organizations/trusted-services/enable",
			(*Cloud).enableTrustedService, "organizations:trustedServices:enable",
		},
		{
			http.MethodPost, "/v1/organizations/trusted-services/disable",
			(*Cloud).disableTrustedService, "organizations:trustedServices:disable",
		},
		{
			http.MethodGet, "/v1/organizations/create-account-status/{create_account_status_id}",
			(*Cloud).showCreateAccountStatus, "organizations:createAccountStatuses:get",
		},
		{http.MethodPost, "/v5/agencies/assume", (*Cloud).assumeAgency, "sts:agencies:assume"},
		{http.MethodPost, "/v5/agencies/assume-with-oidc", (*Cloud).assumeAgencyWithOIDC, ""},
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

func (c *Cloud) deregisterDelegatedAdministrator(q call) reply {
	body, err := fields(q, "account_id", "service_principal")
	if err != nil {
		return c.invalid(err)
	}
	a, principal := c.accounts[body["account_id"]], body["service_principal"]
	if a == nil || !granted(a.delegated, principal) {
		return fail(400, "Organizations.1500", "The delegated administrator is not found.")
	}
	a.delegated = revoke(a.delegated, []string{principal})
	return success(200, nil)
}

func (c *Cloud) listDelegatedAdministrators(q call) reply {
	query := q.query()
	principal := query.Get("service_principal")
	if query.Has("service_principal") && (principal == "" || len(principal) > 100) {
		return c.invalid(errors.New("service_principal has not 1 to 100 characters"))
	}
	var administrators []delegation
	for _, a := range c.joined {
		of := func(g grant) bool { return principal == "" || g.principal == principal }
		if i := slices.IndexFunc(a.delegated, of); i >= 0 {
			administrators = append(administrators, delegation{a, a.delegated[i].at})
		}
	}
	return page(c, q, "delegated_administrators", administrators, func(d delegation) map[string]string {
		return map[string]string{
			"account_id":            d.id,
			"account_urn":           d.urn(),
			"account_name":          d.name,
			"join_method":           d.joinMethod,
			"joined_at":             timestamp(d.joined),
			"delegation_enabled_at": timestamp(d.at),
		}
	})
}

// delegation is a delegated administrator with the time since which it is one.
type delegation struct {
	*account
	at time.Time
}

func (c *Cloud) listAccounts(q call) reply {
	return page(c, q, "accounts", c.joined, (*account).show)
}

func (c *Cloud) showAccount(q call) reply {
	a := c.accounts[q.id]
	if a == nil {
		return reply{Error: c.unpublished.UnknownAccount}
	}
	return success(200, map[string]any{"account": a.show()})
}

func (a *account) show() map[string]string {
	return map[string]string{
		"id":          a.id,
		"urn":         a.urn(),
		"name":        a.name,
		"join_method": a.joinMethod,
		"joined_at":   timestamp(a.joined),
		"status":      a.status,
	}
}

func (a *account) urn() string { return "organizations::management:account:o-fake/" + a.id }

func (c *Cloud) showCreateAccountStatus(q call) reply {
	cr := c.creations[q.id]
	if cr == nil {
		return reply{Error: c.unpublished.UnknownCreation}
	}
	status := map[string]any{
		"id":           q.id,
		"state":        cr.state,
		"account_id":   nil,
		"account_name": "account-" + q.id,
		"created_at":   timestamp(cr.created),
		"completed_at": nil,
	}
	if cr.accountID != "" {
		status["account_id"] = cr.accountID
	}
	if a := c.accounts[cr.accountID]; a != nil {
		status["account_name"] = a.name
	}
	if !cr.completed.IsZero() {
		status["completed_at"] = timestamp(cr.completed)
	}
	if cr.state == "failed" {
		status["failure_reason"] = "EMAIL_ALREADY_EXISTS"
	}
	return success(200, map[string]any{"create_account_status": status})
}

func (c *Cloud) listDelegatedServices(q call) reply {
	a := c.accounts[q.id]
	if a == nil {
		return reply{Error: c.unpublished.UnknownAccount}
	}
	return page(c, q, "delegated_services", a.delegated, showGrant("delegation_enabled_at"))
}

func (c *Cloud) listTrustedServices(q call) reply {
	return page(c, q, "trusted_services", c.trusted, showGrant("enabled_at"))
}

func showGrant(timeName string) func(grant) map[string]string {
	return func(g grant) map[string]string {
		return map[string]string{"service_principal": g.principal, timeName: timestamp(g.at)}
	}
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

func (c *Cloud) disableTrustedService(q call) reply {
	body, err := fields(q, "service_principal")
	if err != nil {
		return c.invalid(err)
	}
	principal := body["service_principal"]
	if !granted(c.trusted, principal) {
		return fail(400, "Organizations.1900", "The trusted service is disabled.")
	}
	c.trusted = revoke(c.trusted, []string{principal})
	return success(200, nil)
}

// listed is an item of a list, and what tells it from the others.
type listed interface{ key() string }

func (a *account) key() string { return a.id }
func (g grant) key() string    { return g.principal }

// page answers the part of the list that the request asks for.
func page[T listed](c *Cloud, q call, name string, list []T, show func(T) map[string]string) reply {
	query := q.query()
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
		key := keyOf(q, query.Get("marker"))
		last := slices.IndexFunc(list, func(item T) bool { return item.key() == key })
		if last < 0 {
			return c.invalid(errors.New("unknown marker"))
		}
		start = last + 1
	}

	end := min(start+limit, len(list))
	items := []map[string]string{}
	for _, item := range list[start:end] {
		items = append(items, show(item))
	}
	var next *string
	if end < len(list) {
		next = new(marker(q, list[end-1].key()))
	}
	return success(200, map[string]any{
		name:        items,
		"page_info": map[string]any{"next_marker": next, "current_count": len(items)},
	})
}

// opening has what a client may forget to escape.
const opening = "after /+= "

// marker stands for the place after the item with the key in the list that q reads. It is opaque.
func marker(q call, key string) string {
	return opening + base64.StdEncoding.EncodeToString([]byte(listOf(q)+key))
}

// keyOf returns the key in a marker, or what is not a key in the list that q reads.
func keyOf(q call, marker string) string {
	decoded, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(marker, opening))
	return strings.TrimPrefix(string(decoded), listOf(q))
}

// listOf tells lists apart by their path and filters, so that a page read without the filter of the
// page before is refused.
func listOf(q call) string {
	filters := q.query()
	filters.Del("limit")
	filters.Del("marker")
	sum := sha256.Sum256([]byte(q.Path + "?" + filters.Encode()))
	return string(sum[:8])
}

func (q call) query() url.Values {
	return (&url.URL{RawQuery: q.RawQuery}).Query()
}

// fields reads a body that must be a JSON object of exactly the named strings, none of them empty.
func fields(q call, names ...string) (map[string]string, error) {
	var body map[string]string
	if err := q.decode(&body); err != nil {
		return nil, err
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

// decode reads a body that must be JSON of the given form.
func (q call) decode(into any) error {
	mediaType, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return errors.New("Content-Type is not application/json")
	}
	if err := json.Unmarshal(q.Body, into); err != nil {
		return fmt.Errorf("the body is not JSON of the expected form: %w", err)
	}
	return nil
}

func (c *Cloud) invalid(err error) reply { return because(c.unpublished.InvalidRequest, err) }

// because is the error with its reason.
func because(e Error, err error) reply {
	e.Message += ": " + err.Error()
	return reply{Error: e}
}

func fail(status int, code, message string) reply {
	return reply{Error: Error{status, code, message}}
}

func success(status int, body any) reply {
	return reply{Error: Error{Status: status}, body: body}
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
