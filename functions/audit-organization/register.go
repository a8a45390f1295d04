package main

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"registrar/internal/register"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

type function struct {
	api     *client.Client
	region  events.RegionID           // the region that shall be registered; empty if any will do
	trusted []events.ServicePrincipal // the services that shall have trusted access
	rules   register.Administrators   // the administrators that shall be, and all that may be
}

func newFunction(api *client.Client, c config) function {
	return function{api, c.Region.ID, c.Trusted.Wanted(), c.Trusted.Administrators}
}

// audit compares what is registered in the organization with what shall be. It writes nothing.
func (f function) audit(ctx context.Context, e events.Event, _ events.Audit) (events.Result, error) {
	now, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	found := f.compare(now)
	r := events.AuditResult{Outcome: events.Drifted, AuditFindings: found}
	r.Requests = turn(requests(found, now.trusted), e.Time)
	if found.Absent() == 0 && found.Counts.Unexpected == 0 {
		r.Outcome = events.Passed
	}
	return r, nil
}

// organization is what is registered.
type organization struct {
	region         events.RegionID // empty if there is none
	trusted        []string
	accounts       []client.Account
	administrators []client.Administrator
	services       [][]string // what each of the administrators administers, in their order
}

// readers is how many administrators' services are read at once. It is a compromise between the
// time that an audit takes and Huawei Cloud's quotas.
const readers = 8

// read reads the same lists that registering believes.
func (f function) read(ctx context.Context) (now organization, err error) {
	regions, err := f.api.RegisteredRegions(ctx)
	if err != nil {
		return now, err
	}
	switch {
	case slices.Contains(regions, string(f.region)):
		now.region = f.region
	case len(regions) > 0:
		now.region = events.RegionID(regions[0])
	}
	if now.trusted, err = f.api.TrustedServices(ctx); err != nil {
		return now, err
	}
	// Before the accounts: else one that joins in between would administer what no rule gives it.
	if now.administrators, err = f.api.DelegatedAdministrators(ctx, ""); err != nil {
		return now, err
	}
	if now.accounts, err = f.api.Accounts(ctx); err != nil {
		return now, err
	}
	if len(now.accounts) == 0 { // the management account is one
		return now, attempt.Transient.Errorf("Organizations lists no account, which can't be true")
	}
	now.services = make([][]string, len(now.administrators))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(readers)
	for i, a := range now.administrators {
		all.Go(func() (err error) {
			now.services[i], err = f.api.DelegatedServices(ctx, a.AccountID)
			return err
		})
	}
	return now, all.Wait()
}

// compare finds what isn't as it shall be.
func (f function) compare(now organization) *events.AuditFindings {
	found := &events.AuditFindings{Region: events.AuditedRegion{Wanted: f.region, Observed: now.region}}
	for _, principal := range f.trusted {
		if slices.Contains(now.trusted, string(principal)) {
			found.RegisteredServices = append(found.RegisteredServices, principal)
		} else {
			found.MissingServices = append(found.MissingServices, principal)
		}
	}

	is, shall := map[events.Administrator]bool{}, map[events.Administrator]bool{}
	for i, a := range now.administrators {
		for _, principal := range now.services[i] {
			is[administrator(a.AccountID, events.ServicePrincipal(principal))] = true
		}
	}
	for _, rule := range f.rules {
		unmatched := events.UnmatchedSelector{ServicePrincipal: rule.ServicePrincipal, Selector: rule.Selector()}
		fits := false
		for _, account := range now.accounts {
			if !rule.Fits(account) {
				if rule.AccountName != "" && rule.AccountName == account.Name {
					unmatched.InvitedAccountID = events.AccountID(account.ID)
				}
				continue
			}
			fits = true
			resolved := events.ResolvedSelector{Selector: rule.Selector(), AccountID: events.AccountID(account.ID)}
			if rule.AccountName != "" && !slices.Contains(found.Resolved, resolved) {
				found.Resolved = append(found.Resolved, resolved)
			}
			one := administrator(account.ID, rule.ServicePrincipal)
			switch {
			case shall[one]: // by another rule
			case account.Status != "active":
				inactive := one
				inactive.Status = account.Status
				found.Inactive = append(found.Inactive, inactive)
			case is[one]:
				found.Registered = append(found.Registered, one)
			default:
				found.Missing = append(found.Missing, one)
			}
			shall[one] = true
		}
		if !fits {
			found.Unmatched = append(found.Unmatched, unmatched)
		}
	}
	for i, a := range now.administrators {
		for _, principal := range now.services[i] {
			one := administrator(a.AccountID, events.ServicePrincipal(principal))
			if !shall[one] {
				one.AccountName = a.AccountName
				found.Unexpected = append(found.Unexpected, one)
			}
		}
	}
	found.Counts = found.Total(len(now.accounts))
	return found
}

func administrator(accountID string, principal events.ServicePrincipal) events.Administrator {
	return events.Administrator{AccountID: events.AccountID(accountID), ServicePrincipal: principal}
}

// requests ask for what can be registered now: trusted access, and administrators of services that
// have it.
func requests(found *events.AuditFindings, trusted []string) []events.Request {
	var all []events.Request
	if found.MissingServices != nil {
		all = append(all, events.Request{ServicePrincipals: found.MissingServices})
	}
	of := map[events.AccountID]int{} // the index of an account's request
	for _, one := range found.Missing {
		i, ok := of[one.AccountID]
		switch {
		case !slices.Contains(trusted, string(one.ServicePrincipal)):
		case ok:
			all[i].ServicePrincipals = append(all[i].ServicePrincipals, one.ServicePrincipal)
		default:
			of[one.AccountID] = len(all)
			all = append(all, events.Request{
				AccountID: one.AccountID, ServicePrincipals: []events.ServicePrincipal{one.ServicePrincipal},
			})
		}
	}
	return all
}

// maxRequests is how many requests an audit makes.
const maxRequests = 100

// turn leaves at most maxRequests requests. With which of them it begins depends on the time of the
// audit, so that those that never succeed don't keep the rest from being made.
func turn(all []events.Request, at time.Time) []events.Request {
	if len(all) <= maxRequests {
		return all
	}
	first := int(uint64(at.Unix()/60) % uint64(len(all)))
	return slices.Concat(all[first:], all[:first])[:maxRequests]
}
