package frontdoor

import (
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/internal/planted"
)

func always(f huaweitest.Fault) huaweitest.Fault {
	f.Times = huaweitest.Forever
	return f
}

// page is an answer of somebody who doesn't know the state.
func page(status int) huaweitest.Fault {
	return always(huaweitest.Fault{
		Status: status, Body: []byte("<html>no</html>"), Header: http.Header{"Content-Type": {"text/html"}},
	})
}

// What an answer means doesn't depend on the age of the event: only the service itself can say that
// there is no such account, and only a read can say that a write was of use.
func TestOnlyTheServiceIsBelieved(t *testing.T) {
	t.Parallel()
	old := func(data string) string { return createdAt(time.Now().Add(-2*time.Hour), data) }
	for name, c := range map[string]struct {
		function, payload string
		method, path      string
		fault             huaweitest.Fault
		errorType         string // else there is a result
		says              string // in the error
		outcome           string
	}{
		"a page that is not found": {
			"register-admin", old(both), "", "", page(404), "MisconfiguredError", "is its endpoint right?", "",
		},
		"a firewall":  {"register-admin", old(both), "", "", page(418), "TransientError", "status 418", ""},
		"a redirect":  {"register-admin", old(both), "", "", page(302), "MisconfiguredError", "a redirect", ""},
		"maintenance": {"register-admin", old(both), "", "", page(400), "TransientError", "status 400", ""},
		"a success that is an error": {
			"register-region", bootstrap(north), "POST", "",
			always(huaweitest.Fault{Status: 200, Body: []byte(`{"error_code":"IIC.1216","error_msg":"no"}`)}),
			"TransientError", "IIC.1216", "",
		},
		"a success that is an error, after the write": {
			"register-region", bootstrap(north), "POST", "",
			huaweitest.Fault{
				When: huaweitest.AfterWrite, Status: 200, Body: []byte(`{"error_code":"IIC.1216","error_msg":"no"}`),
			},
			"", "", "unchanged",
		},
		"a list with a code inside": {
			"register-region", bootstrap(north), "GET", "",
			huaweitest.Fault{Status: 200, Body: []byte(`{"regions":[],"meta":{"code":"200","message":"ok"}}`)},
			"", "", "registered",
		},
		"a region that can't be one": {
			"register-region", bootstrap(north), "GET", "",
			always(huaweitest.Fault{
				Status: 200, Body: []byte(`{"regions":[{"region_id":"` + strings.Repeat("a-", 250_000) + `a"}]}`),
			}),
			"TransientError", "can't be read", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				s.env["MAX_ATTEMPTS"] = "1"
				s.Script(c.method, c.path, c.fault)
				r, failed := s.invoke(t, c.function, c.payload)
				if c.errorType == "" {
					require.Nil(t, failed, "%+v", failed)
					assert.Equal(t, c.outcome, r.Data.Outcome)
				} else {
					require.NotNil(t, failed, "%+v", r)
					assert.Equal(t, c.errorType, failed.ErrorType)
					assert.Contains(t, failed.ErrorMessage, c.says)
					assert.Less(t, len(failed.ErrorMessage), 2000)
				}
				assert.Len(t, s.log.parse(t), 1)
				assert.Less(t, len(s.log.String()), 4000)
			})
		})
	}
}

// A list that always has another page ends in a failure.
func TestAListThatNeverEndsIsGivenUp(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.env["MAX_ATTEMPTS"] = "1"
		for n := range 200 {
			s.Script("GET", "/v1/organizations/trusted-services", huaweitest.Fault{Status: 200, Body: fmt.Appendf(nil,
				`{"trusted_services":[],"page_info":{"next_marker":"m%d","current_count":0}}`, n)})
		}
		failed := s.fail(t, "register-admin", created(both))
		assert.Equal(t, "TransientError", failed.ErrorType)
		assert.Less(t, len(s.calls()), 110)
	})
}

// An account may become active between our write and the reads that are to explain its refusal.
func TestAnAccountThatBecomesActiveAfterTheWriteIsNotRejected(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.Script("POST", delegations, always(huaweitest.Fault{
			Status: 400, Code: "Organizations.1201", Message: "the account does not exist",
		}))
		s.env["ADMINISTRATORS"] = secMaster + "=id:" + account
		f := s.start(t, "register-admin")
		_, failed := s.invokeOn(t, f, createdAt(time.Now(), `{"account_id":"`+account+`"}`))
		require.NotNil(t, failed)
		assert.Equal(t, "TransientError", failed.ErrorType)
	})
}

// What is planned is what would be done, read as the real run reads it.
func TestAPlanIsWhatWouldBeDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cloud   func(*stage)
		outcome string // what the result says; empty if there is a failure
		failure string
	}{
		"all is well":         {func(*stage) {}, "planned", ""},
		"it is there":         {func(s *stage) { s.Delegate(account, secMaster, cts) }, "unchanged", ""},
		"there is no account": {func(s *stage) { s.RemoveAccount(account) }, "rejected", ""},
		"it is suspended":     {func(s *stage) { s.AddAccount(account, "suspended") }, "rejected", ""},
		"a service untrusted": {func(s *stage) { s.AddService(cts); s.Distrust(cts) }, "", "MisconfiguredError"},
		"a service misspelled": {
			func(s *stage) { s.env["ADMINISTRATORS"] += ",service.secmaster=id:" + account }, "rejected", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				s.AddService(secMaster, cts)
				c.cloud(s)
				event := createdAt(time.Now().Add(-time.Hour), `{"account_id":"`+account+`"}`)
				s.env["DRY_RUN"] = "true"
				r, failed := s.invoke(t, "register-admin", event)
				assert.Zero(t, s.writes())
				delete(s.env, "DRY_RUN")
				if c.failure != "" {
					require.NotNil(t, failed, "%+v", r)
					assert.Equal(t, c.failure, failed.ErrorType)
					assert.Equal(t, c.failure, s.fail(t, "register-admin", event).ErrorType)
					return
				}
				require.Nil(t, failed, "%+v", failed)
				assert.Equal(t, c.outcome, r.Data.Outcome)
				done := s.succeed(t, "register-admin", event)
				if c.outcome == "planned" {
					assert.Equal(t, "registered", done.Data.Outcome)
				} else {
					assert.Equal(t, c.outcome, done.Data.Outcome)
				}
				require.Len(t, done.Data.Registrations, len(r.Data.Registrations))
				for i, plan := range r.Data.Registrations {
					real := done.Data.Registrations[i]
					assert.Equal(t, plan.Reason, real.Reason)
					assert.Equal(t, strings.Replace(plan.Outcome, "planned", "registered", 1), real.Outcome)
				}
			})
		})
	}
}

// The other is registered whatever the order, and the line names it with its request.
func TestAServiceThatIsNotTrustedStopsNoOther(t *testing.T) {
	t.Parallel()
	for _, order := range []string{secMaster + `","` + cts, cts + `","` + secMaster} {
		t.Run(order[:12], func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				s.AddService(secMaster, cts)
				s.Distrust(cts)
				data := `{"account_id":"` + account + `","service_principals":["` + order + `"]}`
				failed := s.fail(t, "register-admin", created(data))
				assert.Equal(t, "MisconfiguredError", failed.ErrorType)
				assert.Contains(t, failed.ErrorMessage, "enable trusted access for "+cts+" first")
				assert.Equal(t, []string{secMaster}, s.Delegations(account))
				line := s.log.parse(t)[0]
				all, ok := line["registrations"].([]any)
				require.True(t, ok)
				found := false
				for _, one := range all {
					if r, _ := one.(map[string]any); r["service_principal"] == secMaster {
						found = true
						assert.Equal(t, "registered", r["outcome"])
						assert.NotEmpty(t, r["request_id"])
					}
				}
				assert.True(t, found, "%v", line)
			})
		})
	}
}

// Nobody named these accounts, so they become nothing.
func TestAnAccountThatNobodyNamedAdministersNothing(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]map[string]string{
		"by rules":  {"ADMINISTRATORS": secMaster + "=id:another"},
		"by bounds": {"ADMINISTRATORS": "", "SERVICE_PRINCIPALS": secMaster + "," + cts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				maps.Copy(s.env, bound)
				f := s.start(t, "register-admin")
				for n := range 3 {
					id := fmt.Sprint("new-", n)
					s.AddAccount(id, "active")
					r, failed := s.invokeOn(t, f, created(`{"account_id":"`+id+`"}`))
					require.Nil(t, failed, "%+v", failed)
					assert.Equal(t, "account.admin.skipped", r.Type)
					assert.Empty(t, s.Delegations(id))
				}
				assert.Zero(t, s.writes())
			})
		})
	}
}

// A principal that nobody has heard of is told apart from one that isn't trusted yet.
func TestAMisspelledServiceIsUnknown(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.AddService(secMaster)
		s.eventsChoose()
		data := `{"account_id":"` + account + `","service_principal":"service.secmaster"}`
		r := s.succeed(t, "register-admin", created(data))
		require.Len(t, r.Data.Registrations, 1)
		assert.Equal(t, "unknown_service", r.Data.Registrations[0].Reason)
	})
}

// A server may quote what signed the request, in any form and anywhere.
func TestWhatAServerQuotesIsShownNowhere(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.env["MAX_ATTEMPTS"] = "1"
		f := s.start(t, "register-region")
		answer, err := f.Invoke(t.Context(), []byte(bootstrap(north)))
		require.NoError(t, err)
		requests := s.Requests()
		token := requests[len(requests)-1].Header.Get("X-Security-Token")
		for _, form := range []string{
			token, base64.StdEncoding.EncodeToString([]byte(token)), url.QueryEscape(token), html.EscapeString(token),
			base64.URLEncoding.EncodeToString([]byte(`{"token":"` + token + `"}`)),
		} {
			s.Script("GET", "", huaweitest.Fault{
				Status: 400, Body: []byte(form), Header: http.Header{"Content-Type": {"text/html; " + form}},
			}, huaweitest.Fault{Status: 400, Code: "IIC.400", Message: "you sent " + form, Header: http.Header{
				"X-Request-Id": {form},
			}})
			for range 2 {
				answer, err = f.Invoke(t.Context(), []byte(bootstrap(north)))
				require.NoError(t, err)
				assert.Empty(t, planted.In(string(answer.Payload)+s.log.String(), token))
			}
		}
	})
}
