package frontdoor

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

const north = `{"region_id":"cn-north-4"}`

func TestTheRegionIsRegisteredAndThenUnchanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.start(t, "register-region")
	first, failed := s.invokeOn(t, f, sample(t, "org-bootstrap.json"))
	require.Nil(t, failed)
	assert.Equal(t, "cn-north-4", s.Region())
	assert.Equal(t, "org.region.registered", first.Type)
	assert.Equal(t, "registered", first.Data.Outcome)
	assert.Equal(t, 1, first.Data.Attempts)
	assert.Equal(t, "cn-north-4", first.Data.RegionID)
	assert.Equal(t, "cn-north-4", first.Subject)
	assert.Equal(t, "cn-north-4", first.PartitionKey)
	assert.Equal(t, "/registrar/register-region", first.Source)
	assert.Equal(t, "b3f1c8f2-6f0e-4a57-9a37-5f1f6f0c1a01", first.CausationID)
	assert.Equal(t, first.CausationID, first.CorrelationID)
	assert.Equal(t, first.CausationID, first.Data.Cause.ID)
	assert.Equal(t, "/landing-zone/organization", first.Data.Cause.Source)
	assert.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$`, first.TraceParent, "of Lambda's trace")
	assert.WithinDuration(t, time.Now(), first.Time, time.Minute)

	second, failed := s.invokeOn(t, f, sample(t, "org-bootstrap.json"))
	require.Nil(t, failed)
	assert.Equal(t, "org.region.registered", second.Type)
	assert.Equal(t, "unchanged", second.Data.Outcome)
	assert.Equal(t, 0, second.Data.Attempts)
	assert.Equal(t, first.ID, second.ID, "consumers can drop it")
	assert.Equal(t, []string{"GET " + regions + " 404", "POST " + register + " 200", "GET " + regions + " 200"}, s.calls())
}

func TestAnotherRegionIsAConflictAndNeverReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.SetRegion("cn-south-1")
	r := s.succeed(t, "register-region", bootstrap(north))
	assert.Equal(t, "org.region.rejected", r.Type)
	assert.Equal(t, "rejected", r.Data.Outcome)
	assert.Equal(t, "region_conflict", r.Data.Reason)
	assert.Equal(t, "cn-south-1", r.Data.ObservedRegionID)
	assert.Contains(t, r.Data.Message, "cn-south-1")
	assert.Nil(t, r.Data.Error)
	assert.Zero(t, s.writes())
	assert.Equal(t, "cn-south-1", s.Region())
}

func TestARegionThatComesBetweenReadAndWriteDecides(t *testing.T) {
	t.Parallel()
	for there, want := range map[string]string{"cn-north-4": "unchanged", "cn-south-1": "rejected"} {
		t.Run(there, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.SetRegion(there)
			s.Script("GET", regions, huaweitest.Fault{Status: 404, Code: "IIC.1254"}) // as it was before
			r := s.succeed(t, "register-region", bootstrap(north))
			assert.Equal(t, want, r.Data.Outcome)
			assert.Equal(t, 1, r.Data.Attempts)
			assert.Equal(t, []string{"GET " + regions + " 404", "POST " + register + " 409", "GET " + regions + " 200"}, s.calls())
		})
	}
}

func TestTheStateDecidesWhateverTheRefusalSays(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404, 409} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			refusal := huaweitest.Fault{Status: status, Code: "IIC.9999", Message: "for reasons"}
			s := newStage(t)
			s.Script("POST", register, refusal)
			r, failed := s.invoke(t, "register-region", bootstrap(north))
			switch status {
			case 403:
				require.NotNil(t, failed)
				assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			case 409:
				require.NotNil(t, failed)
				assert.Equal(t, "TransientError", failed.ErrorType)
				assert.Contains(t, failed.ErrorMessage, "409 IIC.9999 for reasons")
			default:
				require.NotNil(t, r)
				assert.Equal(t, "org.region.rejected", r.Type)
				assert.Equal(t, "refused", r.Data.Reason)
				require.NotNil(t, r.Data.Error)
				assert.Equal(t, status, r.Data.Error.Status)
				assert.Equal(t, "IIC.9999", r.Data.Error.Code)
				assert.Equal(t, "for reasons", r.Data.Error.Message)
				assert.NotEmpty(t, r.Data.Error.RequestID)
			}
			if status != 403 {
				s := newStage(t)
				refusal.When = huaweitest.AfterWrite // it was registered all the same
				s.Script("POST", register, refusal)
				assert.Equal(t, "unchanged", s.succeed(t, "register-region", bootstrap(north)).Data.Outcome)
			}
		})
	}
}

func TestALostAnswerIsFoundAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("POST", register, huaweitest.Fault{When: huaweitest.AfterWrite, Reset: true})
	r := s.succeed(t, "register-region", bootstrap(north))
	assert.Equal(t, "unchanged", r.Data.Outcome)
	assert.Equal(t, 2, r.Data.Attempts)
}

func TestADryRunWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["DRY_RUN"] = "true"
	assert.Equal(t, "org.region.planned", s.succeed(t, "register-region", bootstrap(north)).Type)
	s.env["DRY_RUN"] = ""
	r := s.succeed(t, "register-region", bootstrap(`{"region_id":"cn-north-4","dry_run":true}`))
	assert.Equal(t, "org.region.planned", r.Type)
	assert.Equal(t, "planned", r.Data.Outcome)
	assert.Zero(t, s.writes())
	s.SetRegion("cn-north-4")
	assert.Equal(t, "org.region.registered", s.succeed(t, "register-region", bootstrap(`{"region_id":"cn-north-4","dry_run":true}`)).Type)
	s.SetRegion("cn-south-1")
	assert.Equal(t, "org.region.rejected", s.succeed(t, "register-region", bootstrap(`{"region_id":"cn-north-4","dry_run":true}`)).Type)
}

func TestTheConfigurationBoundsTheRegion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["REGION_ID"] = "cn-north-4"
	r := s.succeed(t, "register-region", bootstrap(`{"region_id":"cn-south-1"}`))
	assert.Equal(t, "org.region.rejected", r.Type)
	assert.Equal(t, "not_allowed", r.Data.Reason)
	assert.Equal(t, "cn-south-1", r.Subject)
	assert.Empty(t, s.calls(), "without a call")
	assert.Equal(t, "registered", s.succeed(t, "register-region", bootstrap(`{}`)).Data.Outcome, "it is the default, too")
}

func TestInvalidDataIsRejectedWithoutACall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.succeed(t, "register-region", bootstrap(`{"region_id":"Beijing"}`))
	assert.Equal(t, "org.region.rejected", r.Type)
	assert.Equal(t, "invalid_data", r.Data.Reason)
	assert.Contains(t, r.Data.Message, `"Beijing" is no region id`)
	assert.Empty(t, r.Subject)
	assert.Empty(t, r.PartitionKey)
	assert.Empty(t, s.calls())
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("GET", regions, huaweitest.Fault{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}})
	assert.Equal(t, "MisconfiguredError", s.fail(t, "register-region", bootstrap(north)).ErrorType)
	assert.Len(t, s.calls(), 1)
}
