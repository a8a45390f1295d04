package oracle

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	centermodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/identitycenter/v1/model"
	orgmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/organizations/v1/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/client"
)

// call is one API call, made by either client.
type call struct {
	official func(official) error
	ours     func(context.Context, *client.Client) error
}

func callRegisterRegion() call {
	return call{
		func(o official) error { _, err := o.RegisterRegion(registerRegion(region)); return err },
		func(ctx context.Context, c *client.Client) error { _, err := c.RegisterRegion(ctx, region); return err },
	}
}

func callRegisterAdministrator() call {
	return call{
		func(o official) error {
			_, err := o.RegisterDelegatedAdministrator(registerAdministrator(secMaster))
			return err
		},
		func(ctx context.Context, c *client.Client) error {
			_, err := c.RegisterDelegatedAdministrator(ctx, account, secMaster)
			return err
		},
	}
}

func callAccount(id string) call {
	return call{
		func(o official) error { _, err := o.ShowAccount(showAccount(id)); return err },
		func(ctx context.Context, c *client.Client) error { _, err := c.Account(ctx, id); return err },
	}
}

func callDelegatedServices() call {
	return call{
		func(o official) error {
			_, err := o.ListDelegatedServices(&orgmodel.ListDelegatedServicesRequest{
				AccountId: account, Limit: new(int32(200)),
			})
			return err
		},
		func(ctx context.Context, c *client.Client) error {
			_, err := c.DelegatedServices(ctx, account)
			return err
		},
	}
}

func callTrustedServices() call {
	return call{
		func(o official) error {
			_, err := o.ListTrustedServices(&orgmodel.ListTrustedServicesRequest{Limit: new(int32(200))})
			return err
		},
		func(ctx context.Context, c *client.Client) error { _, err := c.TrustedServices(ctx); return err },
	}
}

func callAccounts() call {
	return call{
		func(o official) error {
			_, err := o.ListAccounts(&orgmodel.ListAccountsRequest{Limit: new(int32(200))})
			return err
		},
		func(ctx context.Context, c *client.Client) error { _, err := c.Accounts(ctx); return err },
	}
}

func callDelegatedAdministrators() call {
	return call{
		func(o official) error {
			_, err := o.ListDelegatedAdministrators(&orgmodel.ListDelegatedAdministratorsRequest{
				ServicePrincipal: new(secMaster), Limit: new(int32(200)),
			})
			return err
		},
		func(ctx context.Context, c *client.Client) error {
			_, err := c.DelegatedAdministrators(ctx, secMaster)
			return err
		},
	}
}

func callCreateAccountStatus() call {
	return call{
		func(o official) error {
			_, err := o.ShowCreateAccountStatus(showCreation("car-1"))
			return err
		},
		func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateAccountStatus(ctx, "car-1")
			return err
		},
	}
}

func callRegisteredRegions() call {
	return call{
		func(o official) error {
			_, err := o.DescribeRegisteredRegions(&centermodel.DescribeRegisteredRegionsRequest{})
			return err
		},
		func(ctx context.Context, c *client.Client) error { _, err := c.RegisteredRegions(ctx); return err },
	}
}

// reading is what a client took from an error.
type reading struct {
	Status                                        int
	Code, Message, RequestID, AuthorizationDetail string
}

// readings makes the call with each client, each against a site of its own, so that both come to
// the same state.
func (c call) readings(t *testing.T, set func(*testing.T, *site)) (theirs, ours reading) {
	t.Helper()
	prepare := func() site {
		s := newSite(t, kindsOfCredentials()["temporary credentials with a domain"])
		if set != nil {
			set(t, &s)
		}
		return s
	}
	s := prepare()
	err := c.official(s.official(t))
	their, ok := errors.AsType[*sdkerr.ServiceResponseError](err)
	require.True(t, ok, "%T: %v", err, err)
	s = prepare()
	err = c.ours(t.Context(), s.ours())
	our, ok := errors.AsType[*client.APIError](err)
	require.True(t, ok, "%T: %v", err, err)
	return reading{
			their.StatusCode, their.ErrorCode, their.ErrorMessage, their.RequestId, their.EncodedAuthorizationMessage,
		},
		reading{our.Status, our.Code, our.Message, our.RequestID, our.EncodedAuthorizationMessage}
}

func TestBothClientsReadTheSameOfAnError(t *testing.T) {
	t.Parallel()
	type test struct {
		call   call
		set    func(*testing.T, *site)
		status int
		code   string
		detail string // encoded_authorization_message
	}
	tests := map[string]test{
		"another region is registered": {
			call: callRegisterRegion(), status: 409, code: "IIC.1216",
			set: func(t *testing.T, s *site) { s.SetRegion("cn-south-1") },
		},
		"the service is not trusted": {
			call: callRegisterAdministrator(), status: 400, code: "Organizations.1900",
			set: func(t *testing.T, s *site) { s.AddAccount(account, "active") },
		},
		"delegated already": {
			call: callRegisterAdministrator(), status: 409, code: "Organizations.9901",
			set: func(t *testing.T, s *site) { s.Delegate(account, secMaster) },
		},
		"the account is suspended": {
			call: callRegisterAdministrator(), status: 400, code: "Organizations.9903",
			set: func(t *testing.T, s *site) { s.AddAccount(account, "suspended") },
		},
		"an unknown creation": {call: callCreateAccountStatus(), status: 404, code: "Organizations.9906"},
		"an unknown path":     {call: callAccount(""), status: 404, code: "APIGW.0101"},
		"a wrong secret key": {
			call: callRegisterRegion(), status: 401, code: "APIGW.0301",
			set: func(t *testing.T, s *site) { s.keys.SecretKey = "another" },
		},
		"an unknown access key": {
			call: callTrustedServices(), status: 401, code: "APIGW.0301",
			set: func(t *testing.T, s *site) { s.RemoveCredentials(s.keys.AccessKey) },
		},
		"throttled": {
			call: callRegisterRegion(), status: 429, code: "APIGW.0308",
			set: func(t *testing.T, s *site) {
				s.RateLimit(1, time.Hour)
				_, err := s.ours().RegisterRegion(t.Context(), region)
				require.NoError(t, err)
			},
		},
	}
	for name, c := range map[string]call{
		"register":           callRegisterAdministrator(),
		"account":            callAccount(account),
		"delegated services": callDelegatedServices(),
	} {
		for _, unknown := range []huaweitest.Error{
			{Status: 400, Code: "Organizations.1300", Message: "No such account."},
			{Status: 403, Code: "Organizations.1007", Message: "The policy does not allow it."},
			{Status: 404, Code: "Organizations.1301", Message: `Konto "unbekannt" <&> 不存在`},
			{Status: 409, Code: "Organizations.1302", Message: "In conflict."},
		} {
			tests[fmt.Sprintf("unknown account, %s, %d", name, unknown.Status)] = test{
				call: c, status: unknown.Status, code: unknown.Code,
				set: func(t *testing.T, s *site) { s.SetUnpublished(huaweitest.Unpublished{UnknownAccount: unknown}) },
			}
		}
	}
	for name, tt := range map[string]struct {
		call   call
		status int
		code   string
	}{
		"concurrent changes":               {callRegisterAdministrator(), 409, "Organizations.1003"},
		"no management account":            {callTrustedServices(), 401, "Organizations.1001"},
		"no organization":                  {callDelegatedServices(), 401, "Organizations.1015"},
		"a header is missing":              {callAccount(account), 404, "Organizations.1010"},
		"a region of another prefix":       {callRegisterRegion(), 409, "IdentityCenter.1216"},
		"no right to list accounts":        {callAccounts(), 403, "PAP5.0012"},
		"no right to list who administers": {callDelegatedAdministrators(), 403, "PAP5.0012"},
		"not to be read":                   {callRegisteredRegions(), 403, "IIC.1000"},
		"a backend that has no answer":     {callRegisterRegion(), 504, "APIGW.0201"},
		"a body too large":                 {callRegisterRegion(), 413, "APIGW.0201"},
	} {
		tests[name] = test{call: tt.call, status: tt.status, code: tt.code, set: func(t *testing.T, s *site) {
			s.Script(
				"", "",
				huaweitest.Fault{
					When: huaweitest.AfterSignature, Status: tt.status, Code: tt.code, Message: "About " + name + ".",
				},
			)
		}}
	}
	const (
		denied = `"error_code":"PAP5.0001","error_msg":"Denied."`
		detail = `"encoded_authorization_message":"opaque+/="`
	)
	for name, body := range map[string]string{
		"denied by a policy":                 `{` + denied + `,` + detail + `}`,
		"denied, with the other keys":        `{"code":"PAP5.0001","message":"Denied.",` + detail + `}`,
		"denied, nested":                     `{"error":{"code":"PAP5.0001","message":"Denied.",` + detail + `}}`,
		"denied, with the detail at the top": `{` + detail + `,"error":{` + denied + `}}`,
		"denied, with details and a request id": `{` + denied + `,"request_id":"no",` +
			`"details":[{"error_code":"X","error_msg":"x"}],` + detail + `}`,
	} {
		set := func(_ *testing.T, s *site) {
			s.Script("", "", huaweitest.Fault{When: huaweitest.AfterSignature, Status: 403, Body: []byte(body)})
		}
		tests[name] = test{
			call: callRegisterAdministrator(), status: 403, code: "PAP5.0001", detail: "opaque+/=", set: set,
		}
	}
	// A refused signature is told with the hash of what was received, and the two clients sign
	// other headers.
	hash := regexp.MustCompile("[0-9a-f]{64}$")

	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := tt.call.readings(t, tt.set)
			theirs.Message, ours.Message = hash.ReplaceAllString(theirs.Message, "..."), hash.ReplaceAllString(
				ours.Message, "...",
			)
			assert.Equal(t, theirs, ours)
			assert.Equal(t, tt.status, ours.Status)
			assert.Equal(t, tt.code, ours.Code)
			assert.NotEmpty(t, ours.Message)
			assert.Len(t, ours.RequestID, 32)
			assert.Equal(t, tt.detail, ours.AuthorizationDetail)
		})
	}
}

func TestNoRegionIsAnErrorToTheOfficialClientAndAnEmptyListToOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["permanent credentials"])
	_, err := s.official(t).DescribeRegisteredRegions(&centermodel.DescribeRegisteredRegionsRequest{})
	assertError(t, err, 404, "IIC.1254")
	regions, err := s.ours().RegisteredRegions(t.Context())
	require.NoError(t, err)
	assert.Empty(t, regions)
	assert.Equal(t, "IIC.1254", s.last(t).ErrorCode, "the same answer")
}

// Where the official client reads less of an error, or hands on the whole body for a message, ours
// differs on purpose.
func TestOurClientReadsMoreOfAnError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body, code, message string
	}{
		"a code without a message": {`{"error_code":"IIC.1006"}`, "IIC.1006", ""},
		"a code that is a number":  {`{"code":1006,"message":"Later."}`, "1006", "Later."},
		"no JSON": {
			"<html>gone</html>", "", "Conflict, without a JSON object (17 bytes of text/html; charset=utf-8)",
		},
		"nothing":            {"", "", "Conflict, without a JSON object (0 bytes of text/plain; charset=utf-8)"},
		"control characters": {`{"error_code":"IIC.1006","error_msg":"a\nb"}`, "IIC.1006", "a b"},
		"a long message": {
			`{"error_code":"IIC.1006","error_msg":"` + strings.Repeat("x", 2000) + `"}`,
			"IIC.1006", strings.Repeat("x", 1021) + "…",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := callRegisterRegion().readings(t, func(t *testing.T, s *site) {
				s.Script("", "", huaweitest.Fault{Status: http.StatusConflict, Body: []byte(tt.body)})
			})
			assert.Equal(t, reading{Status: 409, Code: tt.code, Message: tt.message, RequestID: theirs.RequestID}, ours)
			assert.Equal(t, 409, theirs.Status)
			assert.NotEqual(t, theirs, ours)
		})
	}
}
