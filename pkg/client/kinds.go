package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"registrar/pkg/attempt"
)

// kindOf is the one table from what Huawei Cloud answers to what it means. A code alone is
// ambiguous: the same code comes with several statuses. Only an answer that names its error by a
// code can refuse, since whoever answers without one (a proxy, a firewall, a maintenance page)
// doesn't know the state. Sources: the pages of error codes of IAM Identity Center (IIC),
// Organizations and API Gateway (APIGW).
func kindOf(status int, code string) attempt.Kind {
	if number, ok := strings.CutPrefix(code, "IdentityCenter."); ok {
		code = "IIC." + number
	}
	is := func(codes ...string) bool { return slices.Contains(codes, code) }
	at := func(statuses ...int) bool { return slices.Contains(statuses, status) }
	switch {
	case status/100 == 3, at(401, 405, 413, 414), at(403) && !is("IIC.1219"),
		at(404) && (is("", "Organizations.1010") || strings.HasPrefix(code, "APIGW.")),
		at(400) && is("IIC.1215", "IIC.1263", "Organizations.1005", "Organizations.1008", "Organizations.1009",
			"Organizations.1011", "Organizations.1012", "Organizations.1305"):
		return attempt.Misconfigured
	case is("", "IIC.1219"),
		at(409) && is("IIC.1006", "IIC.1007", "Organizations.1003"),
		at(400) && is("Organizations.1004", "Organizations.1006"):
		return attempt.Transient
	case at(400, 404, 409, 422):
		return attempt.Refused
	}
	return attempt.Transient // 408, 429, 5xx, any other 4xx, and a success that holds an error
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
		slices.Contains([]string{"IIC.404", "IIC.1254", "IdentityCenter.404", "IdentityCenter.1254"}, e.Code)
}
