package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// rule gives a service to an account, by its id or by its name.
type rule struct{ principal, id, name string }

func (r rule) selector() string {
	if r.id != "" {
		return "id:" + r.id
	}
	return "name:" + r.name
}

func (r rule) fits(id string, a account) bool {
	return r.id != "" && r.id == id || r.name != "" && r.name == a.name && !a.invited
}

// config is what an operator says, as the documentation names it.
type config struct {
	rules       []rule   // ADMINISTRATORS
	services    []string // SERVICE_PRINCIPALS or TRUSTED_SERVICES
	anyService  bool     // one of these is *
	region      string   // REGION_ID
	anyRegion   bool
	dryRun      bool
	readyWithin time.Duration
	concurrency int
	maxAttempts int
}

// env is the same as environment variables.
func (c config) env(function string) map[string]string {
	env := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			env[name] = value
		}
	}
	var rules []string
	for _, r := range c.rules {
		rules = append(rules, r.principal+"="+r.selector())
	}
	set("ADMINISTRATORS", strings.Join(rules, ","))
	services := strings.Join(c.services, ",")
	if c.anyService {
		services = "*"
	}
	if function == "register-admin" {
		set("SERVICE_PRINCIPALS", services)
		env["ACCOUNT_READY_WITHIN"] = c.readyWithin.String()
	} else {
		set("TRUSTED_SERVICES", services)
	}
	set("REGION_ID", c.region)
	if c.anyRegion {
		env["REGION_ID"] = "*"
	}
	return env
}

// ruled are the services that the rules name.
func (c config) ruled() (all []string) {
	for _, r := range c.rules {
		if !slices.Contains(all, r.principal) {
			all = append(all, r.principal)
		}
	}
	return all
}

// trusts are the services that shall have trusted access.
func (c config) trusts() []string {
	if c.services != nil {
		return c.services
	}
	return c.ruled()
}

// given are the services that the rules give an account.
func (c config) given(id string, s *state) (all []string) {
	a, known := s.accounts[id]
	for _, r := range c.rules {
		if !slices.Contains(all, r.principal) && (r.id == id || known && r.fits(id, a)) {
			all = append(all, r.principal)
		}
	}
	return all
}

// one is what must become of one thing.
type one struct{ thing, outcome, reason string }

// verdict is what must become of an event: a failure, or an outcome with what became of each thing.
type verdict struct {
	fail    string // the name of the error; empty for a result
	outcome string
	reason  string // why an event is rejected as a whole
	each    []one
}

// asked is the account that an event is about, and the things that it asks for. It may be that
// nobody knows which account it is.
func (c config) asked(function string, in input, s *state) (id string, things []string) {
	if in.invalid {
		return "", nil
	}
	switch function {
	case "register-region":
		if wanted := cmp.Or(in.region, c.region); wanted != "" {
			things = []string{"region " + wanted}
		}
	case "register-service":
		wanted := in.services
		if wanted == nil {
			wanted = c.trusts()
		}
		for _, principal := range wanted {
			things = append(things, "service "+principal)
		}
	case "register-admin":
		id = in.account
		if in.creation != "" {
			id = s.creations[in.creation].account
		}
		wanted := in.services
		if wanted == nil {
			wanted = c.given(id, s)
		}
		for _, principal := range wanted {
			things = append(things, "admin "+id+" "+principal)
		}
	}
	return id, things
}

// allows says whether the configuration lets an event ask for a thing.
func (c config) allows(function, thing string, s *state) bool {
	_, name, _ := strings.Cut(thing, " ")
	switch function {
	case "register-region":
		return c.anyRegion || name == c.region
	case "register-service":
		return c.anyService || slices.Contains(c.trusts(), name)
	case "register-admin":
		id, principal, _ := strings.Cut(name, " ")
		if c.rules == nil {
			return c.anyService || slices.Contains(c.services, principal)
		}
		return slices.Contains(c.given(id, s), principal)
	}
	return false // an audit writes nothing
}

// mayWrite says whether one of the messages asks for a write that the configuration allows.
func (c config) mayWrite(function string, messages []sent, thing string, s *state) bool {
	for _, m := range messages {
		for _, in := range m.inputs {
			if in.dryRun || c.dryRun || in.garbage || in.ignored {
				continue
			}
			_, things := c.asked(function, in, s)
			if slices.Contains(things, thing) && c.allows(function, thing, s) {
				return true
			}
		}
	}
	return false
}

// expect is what must become of an event in a cloud where nothing else happens.
func (c config) expect(function string, in input, s *state, young bool) verdict {
	switch {
	case in.garbage:
		return verdict{fail: "InvalidEventError"}
	case in.invalid:
		return verdict{outcome: "rejected", reason: "invalid_data"}
	case function == "audit-organization" && len(s.accounts) == 0:
		return verdict{fail: "TransientError"}
	case function == "audit-organization":
		if c.audit(s).passed() {
			return verdict{outcome: "passed"}
		}
		return verdict{outcome: "drifted"}
	case in.creation != "":
		made, known := s.creations[in.creation]
		switch {
		case made.state == "in_progress", !known && young:
			return verdict{fail: "TransientError"}
		case !known:
			return verdict{outcome: "rejected", reason: "account_not_found"}
		case made.state == "failed":
			return verdict{outcome: "rejected", reason: "creation_failed"}
		}
	}
	id, things := c.asked(function, in, s)
	account, known := s.accounts[id]
	if function == "register-admin" && !known && c.needsName(id, in.services) {
		if young {
			return verdict{fail: "TransientError"}
		}
		return verdict{outcome: "rejected", reason: "account_not_found"}
	}
	v := verdict{}
	if things == nil {
		return verdict{outcome: "skipped"}
	}
	done := "registered"
	if in.dryRun || c.dryRun {
		done = "planned"
	}
	for _, thing := range things {
		o := one{thing: thing}
		name := thing[strings.LastIndex(thing, " ")+1:]
		switch {
		case !c.allows(function, thing, s):
			o.outcome, o.reason = "rejected", "not_allowed"
		case s.has(thing):
			o.outcome = "unchanged"
		case function == "register-region" && s.region != "":
			o.outcome, o.reason = "rejected", "region_conflict"
		case function == "register-admin" && !known && young:
			return verdict{fail: "TransientError"}
		case function == "register-admin" && !known:
			o.outcome, o.reason = "rejected", "account_not_found"
		case function == "register-admin" && (account.status == "suspended" || account.status == "pending_closure"):
			o.outcome, o.reason = "rejected", "account_not_active"
		case function != "register-region" && !slices.Contains(s.trusted, name) && !slices.Contains(s.services, name):
			o.outcome, o.reason = "rejected", "unknown_service"
		case function == "register-admin" && !slices.Contains(s.trusted, name):
			v.fail = "MisconfiguredError"
		case function == "register-admin" && account.status != "active" && done == "registered":
			if young { // the write decides, and it is refused
				v.fail = cmp.Or(v.fail, "TransientError")
			}
			o.outcome, o.reason = "rejected", "account_not_active"
		default:
			o.outcome = done
		}
		v.each = append(v.each, o)
	}
	v.outcome, v.each = whole(v.each), inOrder(v.each)
	return v
}

// needsName says whether only the account's name tells what an event asks for.
func (c config) needsName(id string, services []string) bool {
	return slices.ContainsFunc(c.rules, func(r rule) bool {
		byID := slices.ContainsFunc(c.rules, func(other rule) bool {
			return other.id == id && other.principal == r.principal
		})
		return r.name != "" && !byID && (services == nil || slices.Contains(services, r.principal))
	})
}

// whole is the outcome of an event, of those of its things.
func whole(each []one) string {
	for _, outcome := range []string{"rejected", "registered", "planned", "unchanged"} {
		if slices.ContainsFunc(each, func(o one) bool { return o.outcome == outcome }) {
			return outcome
		}
	}
	return ""
}

// findings are what an audit must find, each a sorted list.
type findings struct {
	wanted, observed                                          string
	missing, unexpected, unmatched, inactive, missingServices []string
	requests                                                  []string // that heal it
	accounts                                                  int
}

func (f findings) passed() bool {
	return (f.wanted == "" || f.wanted == f.observed) &&
		len(f.missing)+len(f.unexpected)+len(f.unmatched)+len(f.inactive)+len(f.missingServices) == 0
}

// audit is what an audit must find.
func (c config) audit(s *state) findings {
	f := findings{wanted: c.region, observed: s.region, accounts: len(s.accounts)}
	missing, inactive, unmatched := map[string]bool{}, map[string]bool{}, map[string]bool{}
	given := map[string]bool{}
	heals := map[string][]string{}
	for _, r := range c.rules {
		fits := false
		for id, a := range s.accounts {
			if !r.fits(id, a) {
				continue
			}
			fits = true
			pair := id + " " + r.principal
			given[pair] = true
			switch {
			case a.status != "active":
				inactive[pair] = true
			case !slices.Contains(s.delegated[id], r.principal):
				if !missing[pair] && slices.Contains(s.trusted, r.principal) {
					heals[id] = append(heals[id], r.principal)
				}
				missing[pair] = true
			}
		}
		if !fits {
			unmatched[r.principal+" "+r.selector()] = true
		}
	}
	for id, all := range s.delegated {
		for _, principal := range all {
			if _, known := s.accounts[id]; known && !given[id+" "+principal] {
				f.unexpected = append(f.unexpected, id+" "+principal)
			}
		}
	}
	for _, principal := range c.trusts() {
		if !slices.Contains(s.trusted, principal) {
			f.missingServices = append(f.missingServices, principal)
		}
	}
	f.missing, f.inactive = slices.Sorted(maps.Keys(missing)), slices.Sorted(maps.Keys(inactive))
	f.unmatched = slices.Sorted(maps.Keys(unmatched))
	slices.Sort(f.unexpected)
	slices.Sort(f.missingServices)
	if len(f.missingServices) > 0 {
		f.requests = append(f.requests, "org.service.missing  "+strings.Join(f.missingServices, " "))
	}
	for id, all := range heals {
		slices.Sort(all)
		f.requests = append(f.requests, "account.admin.missing "+id+" "+strings.Join(all, " "))
	}
	slices.Sort(f.requests)
	return f
}
