package huaweitest

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Cloud is a fake Huawei Cloud, made by [New]. All its methods are safe for concurrent use.
type Cloud struct {
	mu sync.Mutex // held for moments only: never while waiting, writing an answer, or calling clock or onRequest

	clock       func() time.Time
	credentials map[string]Credentials // the key is the access key
	policies    map[string][]string    // what temporary credentials may do at most, by access key; the others may all
	issued      []Session
	trusts      map[relation]Trust
	assumable   map[string][]string // the URNs of agencies, by the access key that may assume them
	expiration  func(time.Time) any
	unpublished Unpublished
	pageSize    int
	quota       quota
	script      []*scripted
	onRequest   func(Request)

	region    string
	accounts  map[string]*account
	joined    []*account // the same accounts, in the order in which they joined
	creations map[string]*creation
	services  []string // that can have trusted access
	trusted   []grant

	requests  []Request // the last of them if keep isn't 0
	keep      int
	forgotten int // how many requests there were before
}

// Credentials are what a client signs with. SecurityToken is set for temporary credentials only.
// With an empty DomainID any X-Domain-Id passes. From Expires on, by the cloud's clock, they are
// refused; the zero Expires is never.
type Credentials struct {
	AccessKey     string
	SecretKey     string
	SecurityToken string
	DomainID      string
	Expires       time.Time
}

type account struct {
	id         string
	name       string
	joinMethod string // created, invited
	status     string
	joined     time.Time
	delegated  []grant // in the order of registration
}

// creation is an account on its way into the organization, as its create-account-status has it.
type creation struct {
	state     string
	accountID string
	created   time.Time
	completed time.Time // zero while the creation is in progress
}

// grant is a service principal with the time since which it is trusted or delegated.
type grant struct {
	principal string
	at        time.Time
}

// New returns an organization without a region, accounts and trusted services, that knows the given
// credentials. A few services that landing zones use can have trusted access.
func New(credentials ...Credentials) *Cloud {
	c := &Cloud{
		clock:       time.Now,
		credentials: map[string]Credentials{},
		policies:    map[string][]string{},
		trusts:      map[relation]Trust{},
		assumable:   map[string][]string{},
		accounts:    map[string]*account{},
		creations:   map[string]*creation{},
		services: []string{
			"service.SecMaster", "service.CTS", "service.RAM", "service.IdentityCenter", "service.AOM", "service.CFW",
		},
	}
	c.SetUnpublished(Unpublished{})
	c.SetExpiration(nil)
	c.AddCredentials(credentials...)
	return c
}

// AddCredentials makes the credentials known; those with the same access key are replaced.
func (c *Cloud) AddCredentials(credentials ...Credentials) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, creds := range credentials {
		c.credentials[creds.AccessKey] = creds
		delete(c.policies, creds.AccessKey)
	}
}

// RemoveCredentials makes an access key unknown, as after a rotation. That of temporary credentials
// is revoked so.
func (c *Cloud) RemoveCredentials(accessKey string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.credentials, accessKey)
}

// SetClock sets the cloud's clock, by which it checks signatures, dates its answers and counts
// quotas; nil is [time.Now]. Delays are waited for in the time of package time.
func (c *Cloud) SetClock(now func() time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock = now
	if now == nil {
		c.clock = time.Now
	}
}

func (c *Cloud) now() time.Time {
	c.mu.Lock()
	clock := c.clock
	c.mu.Unlock()
	return clock()
}

// PageSize limits the items of a page to n, whatever limit a request has; 0 removes it.
func (c *Cloud) PageSize(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pageSize = n
}

// RateLimit answers 429 from the (n+1)th authenticated call of an API within a window on; n = 0
// removes the limit. Windows begin with an API's first call and last for per by the cloud's clock.
func (c *Cloud) RateLimit(n int, per time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quota = quota{n: n, per: per, windows: map[string]*window{}}
}

// Error is what a service answers in place of doing what it was asked. A Status below 400 makes it
// a success without a body.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Unpublished holds the answers that Huawei does not publish. The zero Error stands for the default
// that the package documentation names.
type Unpublished struct {
	AlreadyDelegated Error // register
	UnknownAccount   Error // register, account, delegated-services
	InactiveAccount  Error // register, any status but "active"
	UntrustedService Error // register
	AlreadyTrusted   Error // enable
	UnknownService   Error // enable
	UnknownCreation  Error // create-account-status
	InvalidRequest   Error // Organizations: body, query. The reason is appended to Message

	InvalidExchange Error // STS: body, policy. The reason is appended to Message
	InvalidToken    Error // assume-with-oidc: what is not a JWT. The reason is appended to Message
	ExpiredToken    Error // assume-with-oidc
	UnknownProvider Error // assume-with-oidc
	UnknownAgency   Error // assume-with-oidc, assume
	Denied          Error // whatever a session policy does not allow
}

// SetUnpublished replaces all the unpublished answers.
func (c *Cloud) SetUnpublished(u Unpublished) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unpublished = Unpublished{
		AlreadyDelegated: cmp.Or(
			u.AlreadyDelegated, Error{409, "Organizations.9901", "The account is a delegated administrator already."},
		),
		UnknownAccount:  cmp.Or(u.UnknownAccount, Error{404, "Organizations.9902", "The account does not exist."}),
		InactiveAccount: cmp.Or(u.InactiveAccount, Error{400, "Organizations.9903", "The account is not active."}),
		UntrustedService: cmp.Or(
			u.UntrustedService, Error{400, "Organizations.1900", "The trusted service is disabled."},
		),
		AlreadyTrusted: cmp.Or(u.AlreadyTrusted, Error{409, "Organizations.9904", "The service is trusted already."}),
		UnknownService: cmp.Or(u.UnknownService, Error{400, "Organizations.9905", "The service does not exist."}),
		UnknownCreation: cmp.Or(
			u.UnknownCreation, Error{404, "Organizations.9906", "The request to create an account does not exist."},
		),
		InvalidRequest: cmp.Or(u.InvalidRequest, Error{400, "Organizations.9900", "Bad request"}),

		InvalidExchange: cmp.Or(u.InvalidExchange, Error{400, "STS5.9900", "Bad request"}),
		InvalidToken:    cmp.Or(u.InvalidToken, Error{400, "STS5.9901", "The ID token is invalid"}),
		ExpiredToken:    cmp.Or(u.ExpiredToken, Error{400, "STS5.9902", "The ID token has expired."}),
		UnknownProvider: cmp.Or(u.UnknownProvider, Error{400, "STS5.9903", "The OIDC provider does not exist."}),
		UnknownAgency:   cmp.Or(u.UnknownAgency, Error{400, "STS5.9904", "The agency does not exist."}),
		Denied:          u.Denied, // its default depends on the service
	}
}

// SetRegion registers a region in place of any other; "" leaves none.
func (c *Cloud) SetRegion(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.region = id
}

// Region returns the registered region, "" for none.
func (c *Cloud) Region() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.region
}

// AddAccount adds a member account that was created, or changes its status: "active", "suspended",
// "pending_closure", or one nobody documented. Its name is its id after "account-".
func (c *Cloud) AddAccount(id, status string) {
	c.change(id, func(a *account) { a.status = status })
}

// NameAccount renames an account. An unknown one is added, as created and active.
func (c *Cloud) NameAccount(id, name string) {
	c.change(id, func(a *account) { a.name = name })
}

// InviteAccount adds an active account that was invited, with the name that it brings along, or
// makes one of an account.
func (c *Cloud) InviteAccount(id, name string) {
	c.change(id, func(a *account) { a.joinMethod, a.name, a.status = "invited", name, "active" })
}

// change applies f to the account, which joins first if it is unknown.
func (c *Cloud) change(id string, f func(*account)) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.accounts[id]
	if a == nil {
		a = &account{id: id, name: "account-" + id, joinMethod: "created", status: "active", joined: now}
		c.accounts[id] = a
		c.joined = append(c.joined, a)
	}
	f(a)
}

// RemoveAccount makes an account unknown.
func (c *Cloud) RemoveAccount(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.accounts, id)
	c.joined = slices.DeleteFunc(c.joined, func(a *account) bool { return a.id == id })
}

// SetCreateAccountStatus says how far a request to create an account got: "in_progress",
// "succeeded", "failed", or a state nobody documented. An empty accountID is none. The account need
// not be known, and is not added.
func (c *Cloud) SetCreateAccountStatus(id, state, accountID string) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	cr := c.creations[id]
	if cr == nil {
		cr = &creation{created: now}
		c.creations[id] = cr
	}
	cr.state, cr.accountID, cr.completed = state, accountID, time.Time{}
	if state != "in_progress" {
		cr.completed = now
	}
}

// AddService adds principals that can have trusted access.
func (c *Cloud) AddService(principals ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addServices(principals)
}

func (c *Cloud) addServices(principals []string) {
	for _, p := range principals {
		if !slices.Contains(c.services, p) {
			c.services = append(c.services, p)
		}
	}
}

// TrustService enables trusted access for the principals, and adds those that are unknown.
func (c *Cloud) TrustService(principals ...string) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addServices(principals)
	c.trusted = grantAll(c.trusted, principals, now)
}

// Distrust disables trusted access for the principals, delegations or not.
func (c *Cloud) Distrust(principals ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted = revoke(c.trusted, principals)
}

// Trusted returns the principals that have trusted access, in the order in which they got it.
func (c *Cloud) Trusted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return principalsOf(c.trusted)
}

// Delegate makes the account a delegated administrator for the principals, trusted or not. An
// unknown account is added, as created and active.
func (c *Cloud) Delegate(accountID string, principals ...string) {
	now := c.now()
	c.change(accountID, func(a *account) { a.delegated = grantAll(a.delegated, principals, now) })
}

// Undelegate ends the account's being a delegated administrator for the principals.
func (c *Cloud) Undelegate(accountID string, principals ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.accounts[accountID]; a != nil {
		a.delegated = revoke(a.delegated, principals)
	}
}

// Delegations returns the principals the account is a delegated administrator for, in the order of
// registration.
func (c *Cloud) Delegations(accountID string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.accounts[accountID]
	if a == nil {
		return nil
	}
	return principalsOf(a.delegated)
}

func principalsOf(grants []grant) []string {
	var principals []string
	for _, g := range grants {
		principals = append(principals, g.principal)
	}
	return principals
}

func grantAll(grants []grant, principals []string, at time.Time) []grant {
	for _, p := range principals {
		if !granted(grants, p) {
			grants = append(grants, grant{p, at})
		}
	}
	return grants
}

func revoke(grants []grant, principals []string) []grant {
	return slices.DeleteFunc(grants, func(g grant) bool { return slices.Contains(principals, g.principal) })
}

func granted(grants []grant, principal string) bool {
	return slices.ContainsFunc(grants, func(g grant) bool { return g.principal == principal })
}
