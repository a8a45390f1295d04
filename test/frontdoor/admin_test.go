package frontdoor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

const both = `{"account_id":"` + account + `","service_principals":["` + secMaster + `","` + cts + `"]}`

func TestAdministratorsAreRegisteredAndThenUnchanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.start(t, "register-admin")
	first, failed := s.invokeOn(t, f, sample(t, "account-created.json"))
	require.Nil(t, failed)
	assert.Equal(t, []string{secMaster, cts}, s.Delegations(account))
	assert.Equal(t, "account.admin.registered", first.Type)
	assert.Equal(t, "registered", first.Data.Outcome)
	assert.Equal(t, account, first.Data.AccountID)
	assert.Equal(t, account, first.Subject)
	assert.Equal(t, account, first.PartitionKey)
	assert.Equal(t, "/registrar/register-admin", first.Source)
	assert.Equal(t, []registration{
		{ServicePrincipal: secMaster, Outcome: "registered", Attempts: 1}, {ServicePrincipal: cts, Outcome: "registered", Attempts: 1},
	}, first.Data.Registrations)

	second, failed := s.invokeOn(t, f, sample(t, "account-created.json"))
	require.Nil(t, failed)
	assert.Equal(t, "account.admin.registered", second.Type)
	assert.Equal(t, "unchanged", second.Data.Outcome)
	assert.Equal(t, first.ID, second.ID)
	assert.Equal(t, 2, s.writes(), "none for the duplicate")
}

func TestOnlyWhatIsMissingIsRegistered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Delegate(account, cts)
	r := s.succeed(t, "register-admin", created(both))
	assert.Equal(t, "registered", r.Data.Outcome)
	assert.Equal(t, []registration{{ServicePrincipal: secMaster, Outcome: "registered", Attempts: 1}, {ServicePrincipal: cts, Outcome: "unchanged"}}, r.Data.Registrations)
	assert.Equal(t, 1, s.writes())
}

func TestADelegationOnTheLastOfThreePagesIsSeen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Delegate(account, "service.A", "service.B", "service.C", "service.D", secMaster, cts)
	s.PageSize(2)
	r := s.succeed(t, "register-admin", created(both))
	assert.Equal(t, "unchanged", r.Data.Outcome)
	assert.Equal(t, []string{"GET " + delegated + " 200", "GET " + delegated + " 200", "GET " + delegated + " 200"}, s.calls())
}

func TestADryRunOfAdministratorsWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Delegate(account, cts)
	r := s.succeed(t, "register-admin", created(strings.Replace(both, "{", `{"dry_run":true,`, 1)))
	assert.Equal(t, "account.admin.planned", r.Type)
	assert.Equal(t, "planned", r.Data.Outcome)
	assert.Equal(t, []registration{{ServicePrincipal: secMaster, Outcome: "planned"}, {ServicePrincipal: cts, Outcome: "unchanged"}}, r.Data.Registrations)
	assert.Zero(t, s.writes())
}

func TestTheConfigurationBoundsThePrincipals(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["SERVICE_PRINCIPALS"] = secMaster
	r := s.succeed(t, "register-admin", created(both))
	assert.Equal(t, "account.admin.rejected", r.Type)
	assert.Equal(t, "not_allowed", r.Data.Reason)
	assert.Contains(t, r.Data.Message, cts)
	assert.Equal(t, account, r.Subject)
	assert.Empty(t, r.Data.Registrations)
	assert.Empty(t, s.calls(), "without a call")
	r = s.succeed(t, "register-admin", created(`{"account_id":"`+account+`"}`))
	assert.Equal(t, []registration{{ServicePrincipal: secMaster, Outcome: "registered", Attempts: 1}}, r.Data.Registrations, "they are the default, too")
}

func TestInvalidAccountDataIsRejectedWithoutACall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.succeed(t, "register-admin", created(`{"account_id":"../x","service_principal":"x"}`))
	assert.Equal(t, "account.admin.rejected", r.Type)
	assert.Equal(t, "rejected", r.Data.Outcome)
	assert.Equal(t, "invalid_data", r.Data.Reason)
	assert.NotEmpty(t, r.Data.Message)
	assert.Empty(t, r.Subject)
	assert.Empty(t, r.Data.Registrations)
	assert.Empty(t, s.calls())
}

// The statuses that an unpublished refusal may come with; 403 is a permission that is missing, whatever its code.
var statuses = []int{400, 403, 404, 409}

func refusal(status int) huaweitest.Answer {
	return huaweitest.Answer{Status: status, Code: "Organizations.9999", Message: "for reasons"}
}

func TestAnAccountUnknownToOrganizations(t *testing.T) {
	t.Parallel()
	young, old := time.Now().Add(-time.Minute), time.Now().Add(-time.Hour)
	for _, status := range statuses {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.SetUnpublished(huaweitest.Unpublished{UnknownAccount: refusal(status)})
			unknown := `{"account_id":"another","service_principal":"` + secMaster + `"}`
			if status == 403 {
				assert.Equal(t, "MisconfiguredError", s.fail(t, "register-admin", createdAt(old, unknown)).ErrorType)
				return
			}
			for _, event := range []string{createdAt(young, unknown), created(unknown), createdAt(time.Now().Add(time.Hour), unknown)} {
				failed := s.fail(t, "register-admin", event)
				assert.Equal(t, "TransientError", failed.ErrorType)
				assert.Contains(t, failed.ErrorMessage, "another is not ready")
				assert.Contains(t, failed.ErrorMessage, "for reasons")
			}
			r := s.succeed(t, "register-admin", createdAt(old, unknown))
			assert.Equal(t, "account.admin.rejected", r.Type)
			require.Len(t, r.Data.Registrations, 1)
			assert.Equal(t, "account_not_found", r.Data.Registrations[0].Reason)
			assert.Equal(t, "for reasons", r.Data.Registrations[0].Error.Message)

			s.env["ACCOUNT_READY_WITHIN"] = "10s"
			assert.Equal(t, "account.admin.rejected", s.succeed(t, "register-admin", createdAt(young, unknown)).Type)

			s.AddAccount("another", "active") // known at last
			assert.Equal(t, "registered", s.succeed(t, "register-admin", createdAt(young, unknown)).Data.Outcome)
		})
	}
}

func TestAStatusNobodyDocumentedIsAnAccountNotReady(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.AddAccount(account, "creating")
	assert.Equal(t, "TransientError", s.fail(t, "register-admin", createdAt(time.Now(), both)).ErrorType)
	r := s.succeed(t, "register-admin", createdAt(time.Now().Add(-time.Hour), both))
	assert.Equal(t, "account_not_found", r.Data.Registrations[0].Reason)
	s.AddAccount(account, "active")
	assert.Equal(t, "registered", s.succeed(t, "register-admin", createdAt(time.Now(), both)).Data.Outcome)
}

func TestAnAccountThatIsNotActive(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"suspended", "pending_closure"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.AddAccount(account, status)
			r := s.succeed(t, "register-admin", createdAt(time.Now(), both))
			assert.Equal(t, "account.admin.rejected", r.Type)
			require.Len(t, r.Data.Registrations, 2)
			for _, one := range r.Data.Registrations {
				assert.Equal(t, "account_not_active", one.Reason)
				assert.Contains(t, one.Message, status)
				assert.Equal(t, 1, one.Attempts)
			}
		})
	}
}

func TestAServiceWithoutTrustedAccess(t *testing.T) {
	t.Parallel()
	for _, status := range statuses {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.SetUnpublished(huaweitest.Unpublished{UntrustedService: refusal(status)})
			failed := s.fail(t, "register-admin", created(`{"account_id":"`+account+`","service_principals":["`+secMaster+`","service.Other"]}`))
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			if status != 403 {
				assert.Contains(t, failed.ErrorMessage, "enable trusted access for service.Other first")
			}
			assert.Equal(t, []string{secMaster}, s.Delegations(account), "what could be done is done")
		})
	}
}

func TestAnAccountThatIsDelegatedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, status := range statuses {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.SetUnpublished(huaweitest.Unpublished{AlreadyDelegated: refusal(status)})
			s.Delegate(account, secMaster)
			s.Script("GET", delegated, huaweitest.Fault{Status: 200, Body: []byte(`{"delegated_services":[],"page_info":{"next_marker":null}}`)}) // as it was before
			event := created(`{"account_id":"` + account + `","service_principal":"` + secMaster + `"}`)
			if status == 403 {
				assert.Equal(t, "MisconfiguredError", s.fail(t, "register-admin", event).ErrorType)
				return
			}
			r := s.succeed(t, "register-admin", event)
			assert.Equal(t, "unchanged", r.Data.Outcome)
			assert.Equal(t, 1, r.Data.Registrations[0].Attempts)
		})
	}
}

func TestARefusedReadOfDelegationsCountsAsNone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("GET", delegated, huaweitest.Fault{Status: 400, Code: "Organizations.9999"})
	assert.Equal(t, "registered", s.succeed(t, "register-admin", created(both)).Data.Outcome)
}

func TestOneRefusedPrincipalDoesntStopTheOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("POST", delegations, huaweitest.Fault{Status: 400, Code: "Organizations.9999", Message: "for reasons"})
	r := s.succeed(t, "register-admin", created(both))
	assert.Equal(t, "account.admin.rejected", r.Type)
	require.Len(t, r.Data.Registrations, 2)
	assert.Equal(t, "rejected", r.Data.Registrations[0].Outcome)
	assert.Equal(t, "refused", r.Data.Registrations[0].Reason)
	assert.Contains(t, r.Data.Registrations[0].Message, "for reasons")
	assert.Equal(t, "Organizations.9999", r.Data.Registrations[0].Error.Code)
	assert.Equal(t, 400, r.Data.Registrations[0].Error.Status)
	assert.Equal(t, registration{ServicePrincipal: cts, Outcome: "registered", Attempts: 1}, r.Data.Registrations[1])
	assert.Equal(t, []string{cts}, s.Delegations(account))
}

func TestAConflictThatLeftNothingIsTransient(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("POST", delegations, huaweitest.Fault{Status: 409, Code: "Organizations.9999"})
	failed := s.fail(t, "register-admin", created(both))
	assert.Equal(t, "TransientError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "409 Organizations.9999")
	assert.Equal(t, "registered", s.succeed(t, "register-admin", created(both)).Data.Outcome)
}

func TestAForbiddenPrincipalEndsTheEventAndWhatIsDoneIsUnchangedLater(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("POST", delegations, huaweitest.Fault{
		Skip: 1, Status: 403, Code: "Organizations.1007", Message: "policy does not allow it",
		Body: []byte(`{"error_code":"Organizations.1007","error_msg":"policy does not allow it","encoded_authorization_message":"b3BhcXVl"}`),
	})
	failed := s.fail(t, "register-admin", created(both))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "403 Organizations.1007 policy does not allow it")
	assert.NotContains(t, failed.ErrorMessage, "b3BhcXVl")
	logged := s.log.parse(t)
	require.Len(t, logged, 1)
	assert.Equal(t, "b3BhcXVl", logged[0]["encoded_authorization_message"])
	assert.Contains(t, logged[0]["hint"], "decode")

	r := s.succeed(t, "register-admin", created(both)) // the policy was mended
	assert.Equal(t, []registration{{ServicePrincipal: secMaster, Outcome: "unchanged"}, {ServicePrincipal: cts, Outcome: "registered", Attempts: 1}}, r.Data.Registrations)
}

func TestReadsAfterARefusalThatFailKeepBothErrors(t *testing.T) {
	t.Parallel()
	for _, path := range []string{delegated, accounts, trusted} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.env["MAX_ATTEMPTS"] = "1"
			s.Script("POST", delegations, huaweitest.Fault{Status: 400, Code: "Organizations.9999"})
			fault := huaweitest.Fault{Status: 503}
			if path == delegated {
				fault.Skip = 1
			}
			s.Script("GET", path, fault)
			failed := s.fail(t, "register-admin", created(both))
			assert.Equal(t, "TransientError", failed.ErrorType)
			assert.Contains(t, failed.ErrorMessage, "503")
			assert.Contains(t, failed.ErrorMessage, "Organizations.9999")
		})
	}
}
