package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"registrar/pkg/attempt"
)

// kindOf is the one table from what Huawei Cloud answers to what it means. A code alone is
// ambiguous: the same code comes with several statuses. Only a code that names its service can
// refuse, since whoever answers without one (a proxy, a firewall, a maintenance page) doesn't know
// the state; any other code counts as none.
//
// A success that holds an error is transient. Only a write is refused by it: the write may have
// worked, so the state must be read before the next one.
//
// Sources: the pages of error codes of IAM Identity Center (IIC), Organizations and API Gateway
// (APIGW).
func kindOf(method string, status int, code string) attempt.Kind {
	if !namesService(code) {
		code = ""
	}
	is := func(codes ...string) bool { return slices.Contains(codes, short(code)) }
	at := func(statuses ...int) bool { return slices.Contains(statuses, status) }
	switch {
	case status/100 == 3,
		at(401, 405, 407, 413, 414),
		at(403) && !is("IIC.1219"),
		at(404) && (is("") || strings.HasPrefix(code, "APIGW.")), // the endpoint is wrong
		at(404) && is("Organizations.1010"),                      // a header is missing
		at(400) && is(
			"IIC.1215",           // the caller isn't the organization's administrator
			"IIC.1263",           // the account may not use the service yet
			"Organizations.1005", // what the enterprise is can't be found out
			"Organizations.1008", // bad request for the check of permissions
			"Organizations.1009", // bad request for impersonation
			"Organizations.1011", // invalid profile of the user
			"Organizations.1012", // invalid attributes of the context
			"Organizations.1305", // a quota of the account is used up
		):
		return attempt.Misconfigured
	case is(""), // whoever answered isn't the service
		is("IIC.1219"), // no identity token could be had
		at(409) && is(
			"IIC.1006",           // concurrent change
			"IIC.1007",           // conflicting data
			"Organizations.1003", // concurrent change
		),
		at(400) && is(
			"Organizations.1004", // no token for service management could be made
			"Organizations.1006", // no token to assume a role could be made
		):
		return attempt.Transient
	case at(400, 404, 409, 422), status/100 == 2 && method != http.MethodGet:
		return attempt.Refused
	}
	return attempt.Transient // 408, 429, 5xx, any other 4xx, and a read that succeeds with an error
}

// namesService reports whether an error code has the form of Huawei Cloud's, such as "IIC.1216".
func namesService(code string) bool {
	service, number, _ := strings.Cut(code, ".")
	return only(service, letters+digits) && !only(service[:1], digits) && only(number, digits)
}

// short is the code as this package writes it: IAM Identity Center spells its own in two ways.
func short(code string) string {
	if number, ok := strings.CutPrefix(code, "IdentityCenter."); ok {
		return "IIC." + number
	}
	return code
}

// Refusal returns what Huawei Cloud answered if err is of kind [attempt.Refused], else nil.
func Refusal(err error) *APIError {
	if attempt.KindOf(err) != attempt.Refused {
		return nil
	}
	e, _ := errors.AsType[*APIError](err)
	return e
}

// noneRegistered reports whether err says that no region is registered yet.
func noneRegistered(err error) bool {
	e := Refusal(err)
	return e != nil && e.Status == http.StatusNotFound &&
		slices.Contains([]string{"IIC.404", "IIC.1254"}, short(e.Code))
}
