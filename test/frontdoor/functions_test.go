package frontdoor

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

// The decision tables stand beside the functions. A few of their rows are repeated here with the
// built binaries.

const (
	north = `{"region_id":"cn-north-4"}`
	both  = `{"account_id":"` + account + `","service_principals":["` + secMaster + `","` + cts + `"]}`
)

func TestTheRegionIsRegisteredAndThenUnchanged(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		f := s.start(t, "register-region")
		first, failed := s.invokeOn(t, f, sample(t, "org-bootstrap.json"))
		require.Nil(t, failed)
		assert.Equal(t, "cn-north-4", s.Region())
		assert.Equal(t, "org.region.registered", first.Type)
		assert.Equal(t, "registered", first.Data.Outcome)
		assert.Equal(t, 1, first.Data.Attempts)
		assert.NotEmpty(t, first.Data.RequestID)
		assert.Equal(t, "cn-north-4", first.Data.RegionID)
		assert.Equal(t, "cn-north-4", first.Subject)
		assert.Equal(t, "cn-north-4", first.PartitionKey)
		assert.Equal(t, "/registrar/register-region", first.Source)
		assert.Equal(t, "b3f1c8f2-6f0e-4a57-9a37-5f1f6f0c1a01", first.CausationID)
		assert.Equal(t, first.CausationID, first.CorrelationID)
		assert.Equal(t, first.CausationID, first.Data.Cause.ID)
		assert.Equal(t, "/landing-zone/organization", first.Data.Cause.Source)
		if s.host == onLambda {
			assert.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$`, first.TraceParent, "from Lambda's trace")
		} else {
			assert.Empty(t, first.TraceParent, "only Lambda gives a trace")
		}
		assert.WithinDuration(t, time.Now(), first.Time, time.Minute)

		second, failed := s.invokeOn(t, f, sample(t, "org-bootstrap.json"))
		require.Nil(t, failed)
		assert.Equal(t, "org.region.registered", second.Type)
		assert.Equal(t, "unchanged", second.Data.Outcome)
		assert.Equal(t, 0, second.Data.Attempts)
		assert.Equal(t, first.ID, second.ID, "consumers can drop it")
		assert.Equal(t, []string{
			"GET " + regions + " 404", "POST " + register + " 200", "GET " + regions + " 200",
		}, s.calls())
	})
}

func TestAdministratorsAreRegisteredAndThenUnchanged(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		f := s.start(t, "register-admin")
		first, failed := s.invokeOn(t, f, created(both))
		require.Nil(t, failed)
		assert.Equal(t, []string{secMaster, cts}, s.Delegations(account))
		assert.Equal(t, "account.admin.registered", first.Type)
		assert.Equal(t, "registered", first.Data.Outcome)
		assert.Equal(t, account, first.Data.AccountID)
		assert.Equal(t, account, first.Subject)
		assert.Equal(t, account, first.PartitionKey)
		assert.Equal(t, "/registrar/register-admin", first.Source)
		require.Len(t, first.Data.Registrations, 2)
		for i, principal := range []string{secMaster, cts} {
			assert.Equal(t, principal, first.Data.Registrations[i].ServicePrincipal)
			assert.Equal(t, "registered", first.Data.Registrations[i].Outcome)
			assert.NotEmpty(t, first.Data.Registrations[i].RequestID)
		}
		registered := first.Data.Registrations
		assert.NotEqual(t, registered[0].RequestID, registered[1].RequestID, "each has its own")

		second, failed := s.invokeOn(t, f, created(both))
		require.Nil(t, failed)
		assert.Equal(t, "account.admin.registered", second.Type)
		assert.Equal(t, "unchanged", second.Data.Outcome)
		assert.Equal(t, first.ID, second.ID)
		assert.Equal(t, 2, s.writes(), "the duplicate writes nothing")
	})
}

func TestTheConfigurationBoundsWhatEventsMayAskFor(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.env["REGION_ID"], s.env["ADMINISTRATORS"] = "cn-north-4", cts+"=id:another"
		r := s.succeed(t, "register-region", bootstrap(`{"region_id":"cn-south-1"}`))
		assert.Equal(t, "org.region.rejected", r.Type)
		assert.Equal(t, "not_allowed", r.Data.Reason)
		assert.Equal(t, "cn-south-1", r.Subject)
		r = s.succeed(t, "register-admin", created(both))
		assert.Equal(t, "account.admin.rejected", r.Type)
		assert.Equal(t, account, r.Subject)
		require.Len(t, r.Data.Registrations, 2)
		for _, one := range r.Data.Registrations {
			assert.Equal(t, "not_allowed", one.Reason)
		}
		assert.Equal(t, "skipped", s.succeed(t, "register-admin", created(`{"account_id":"`+account+`"}`)).Data.Outcome)
		assert.Empty(t, s.calls(), "nothing is called")
	})
}

func TestADryRunWritesNothing(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.env["DRY_RUN"] = "true"
		assert.Equal(t, "org.region.planned", s.succeed(t, "register-region", bootstrap(north)).Type)
		assert.Equal(t, "account.admin.planned", s.succeed(t, "register-admin", created(both)).Type)
		assert.Zero(t, s.writes())
	})
}

func TestAnUnknownAccountIsWaitedForAndThenRejected(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.eventsChoose()
		unknown := `{"account_id":"another","service_principal":"` + secMaster + `"}`
		young := createdAt(time.Now().Add(-time.Minute), unknown)
		failed := s.fail(t, "register-admin", young)
		assert.Equal(t, "TransientError", failed.ErrorType)
		assert.Contains(t, failed.ErrorMessage, "another is not ready")
		s.env["ACCOUNT_READY_WITHIN"] = "10s"
		r := s.succeed(t, "register-admin", young)
		require.Len(t, r.Data.Registrations, 1)
		assert.Equal(t, "account_not_found", r.Data.Registrations[0].Reason)
		s.AddAccount("another", "active")
		assert.Equal(t, "registered", s.succeed(t, "register-admin", young).Data.Outcome)
	})
}

func TestAFailureIsLoggedWithWhatWasDoneBeforeIt(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.Script("POST", delegations, huaweitest.Fault{
			Skip: 1, Status: 403, Code: "Organizations.1007", Message: "policy does not allow it",
			Body: []byte(`{"error_code":"Organizations.1007","error_msg":"policy does not allow it",` +
				`"encoded_authorization_message":"b3BhcXVl"}`),
		})
		failed := s.fail(t, "register-admin", created(both))
		assert.Equal(t, "MisconfiguredError", failed.ErrorType)
		assert.Contains(t, failed.ErrorMessage, "403 Organizations.1007 policy does not allow it")
		assert.NotContains(t, failed.ErrorMessage, "b3BhcXVl")
		logged := s.log.parse(t)
		require.Len(t, logged, 1)
		assert.Equal(t, "b3BhcXVl", logged[0]["encoded_authorization_message"])
		assert.Contains(t, logged[0]["hint"], "decode")
		registrations, _ := logged[0]["registrations"].([]any)
		require.Len(t, registrations, 2)
		done, _ := registrations[0].(map[string]any)
		assert.Equal(t, secMaster, done["service_principal"])
		assert.Equal(t, "registered", done["outcome"])
		var written string
		for _, r := range s.Requests() {
			if r.Method == http.MethodPost && r.Status == 201 {
				written = r.ID
			}
		}
		assert.Equal(t, written, done["request_id"])

		r := s.succeed(t, "register-admin", created(both)) // the policy was fixed
		assert.Equal(t, "unchanged", r.Data.Registrations[0].Outcome)
		assert.Equal(t, "registered", r.Data.Registrations[1].Outcome)
	})
}
