package frontdoor

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

func TestEachKindOfFailureHasItsErrorType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload string
		fault   huaweitest.Fault
		want    failure
		level   string
	}{
		"a server error": {
			payload: bootstrap(north),
			fault:   huaweitest.Fault{Status: 503, Code: "APIGW.0201", Message: "Backend unavailable"},
			want:    failure{"TransientError", "RegisteredRegions: status 503 APIGW.0201 Backend unavailable"},
			level:   "WARN",
		},
		"a connection that breaks": {
			payload: bootstrap(north),
			fault:   huaweitest.Fault{Reset: true},
			want:    failure{"TransientError", "RegisteredRegions: "},
			level:   "WARN",
		},
		"no permission": {
			payload: bootstrap(north),
			fault:   huaweitest.Fault{Status: 403, Code: "IIC.1000"},
			want:    failure{"MisconfiguredError", "403 IIC.1000"},
			level:   "ERROR",
		},
		"a payload that isn't JSON": {
			payload: `hello`,
			want:    failure{"InvalidEventError", "payload is not JSON"},
			level:   "ERROR",
		},
		"an event of another function": {
			payload: created(both),
			want: failure{
				"InvalidEventError", `register-region takes events of type org.bootstrap, not "account.created"`,
			},
			level: "ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				s.env["MAX_ATTEMPTS"] = "1"
				fault := c.fault
				fault.Times = huaweitest.Forever
				s.Script("GET", "", fault)
				got := s.fail(t, "register-region", c.payload)
				assert.Equal(t, c.want.ErrorType, got.ErrorType)
				assert.Contains(t, got.ErrorMessage, c.want.ErrorMessage)
				logged := s.log.parse(t)
				require.Len(t, logged, 1, "one line")
				assert.Equal(t, c.want.ErrorType, logged[0]["error_type"])
				assert.Equal(t, c.level, logged[0]["level"])
				assert.NotEmpty(t, logged[0]["requestId"])
				assert.Zero(t, s.writes())
			})
		})
	}
}

func TestAnArrayOfEvents(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		f := s.start(t, "register-region")
		two := "[" + bootstrap(north) + "," + bootstrap(`{"region_id":"cn-south-1"}`) + "]"
		answer, err := f.Invoke(t.Context(), []byte(two))
		require.NoError(t, err)
		require.Empty(t, answer.FunctionError)
		results := resultsIn(t, answer.Payload)
		require.Len(t, results, 2)
		assert.Equal(t, "org.region.registered", results[0].Type)
		assert.Equal(t, "org.region.rejected", results[1].Type)

		answer, err = f.Invoke(t.Context(), []byte("[]"))
		require.NoError(t, err)
		assert.Equal(t, "[]", string(answer.Payload))

		s.SetRegion("")
		_, failed := s.invokeOn(t, f, "["+created(both)+","+bootstrap(north)+"]")
		require.NotNil(t, failed)
		assert.Equal(t, "InvalidEventError", failed.ErrorType)
		assert.Contains(t, failed.ErrorMessage, "1 of 2 events failed")
		assert.Equal(t, "cn-north-4", s.Region(), "the other event was handled")
	})
}

func TestABadConfigurationIsAnsweredWithTheNamesOfItsVariables(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		wrong := map[string]string{
			"HUAWEICLOUD_AGENCY_URN":  "registrar",
			"IDENTITYCENTER_ENDPOINT": "http://identitycenter.example",
			"MAX_ATTEMPTS":            "0",
			"REQUEST_TIMEOUT":         "10",
			"REGION_ID":               "Beijing",
			"EVENT_TYPES":             "account.admin.registered",
			"DRY_RUN":                 "maybe",
		}
		maps.Copy(s.env, wrong)
		f := s.start(t, "register-region")
		for range 2 {
			_, failed := s.invokeOn(t, f, bootstrap(north))
			require.NotNil(t, failed)
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			for name := range wrong {
				assert.Contains(t, failed.ErrorMessage, name)
			}
		}
		assert.Empty(t, s.calls())
		last := s.log.parse(t)[2] // after a line about the start, and one for each invocation
		assert.Equal(t, "MisconfiguredError", last["error_type"])
		if s.host == onLambda {
			assert.Equal(t, "register-region", last["FunctionName"], "the alarm is about this name")
			assert.EqualValues(t, 1, last["Misconfigured"])
		}

		s.env["ACCOUNT_READY_WITHIN"], s.env["SERVICE_PRINCIPALS"] = "-1s", "a b"
		failed := s.fail(t, "register-admin", created(both))
		assert.Contains(t, failed.ErrorMessage, "ACCOUNT_READY_WITHIN: must be a duration from 0s to 24h")
		assert.Contains(t, failed.ErrorMessage, `SERVICE_PRINCIPALS: "a b" is not a service principal`)
	})
}

func TestNearTheDeadlineAFunctionAnswersWithTheLastRealError(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.timeout = 3 * time.Second
		s.Script("GET", regions,
			huaweitest.Fault{Status: 503, Code: "APIGW.0201", Header: http.Header{"Retry-After": {"1"}}},
			huaweitest.Fault{Delay: time.Minute})
		start := time.Now()
		failed := s.fail(t, "register-region", bootstrap(north))
		assert.Equal(t, "TransientError", failed.ErrorType, "not Sandbox.Timedout")
		assert.Contains(t, failed.ErrorMessage,
			"deadline exceeded after 2 attempts: RegisteredRegions: status 503 APIGW.0201")
		assert.Less(t, time.Since(start), 3*time.Second)
	})
}

func TestTheClockOfHuaweiCloudMayDiffer(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.SetClock(func() time.Time { return time.Now().Add(-3 * time.Hour) })
		r := s.succeed(t, "register-region", bootstrap(north))
		assert.Equal(t, "registered", r.Data.Outcome)
	})
}

func TestTheConnectionIsWarmBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.succeed(t, "register-region", bootstrap(north))
		first := s.Requests()[0]
		assert.Equal(t, "HEAD", first.Method)
		assert.Empty(t, first.Header.Get("Authorization"))
	})
}

func TestOneLineIsLoggedPerEvent(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		r := s.succeed(t, "register-region", bootstrap(north))
		logged := s.log.parse(t)
		require.Len(t, logged, 1)
		for key, want := range map[string]any{
			"level":    "INFO",
			"message":  "event handled",
			"cause_id": "in-1",
			"type":     "org.bootstrap",
			"source":   "/landing-zone",
			"outcome":  "registered",
			"subject":  r.Subject,
			"attempts": 1.0,
		} {
			assert.Equal(t, want, logged[0][key], key)
		}
		assert.NotEmpty(t, logged[0]["request_id"], "Huawei Cloud's")
		assert.NotEmpty(t, logged[0]["requestId"], "the host's")
		assert.Contains(t, logged[0], "duration_ms")
		assert.Contains(t, logged[0], "timestamp")
		if s.host != onLambda {
			assert.NotContains(t, logged[0], "_aws", "metrics are for CloudWatch")
			return
		}
		assert.EqualValues(t, 1, logged[0]["Registered"], "the line holds metrics, too")
		assert.EqualValues(t, 2, logged[0]["HuaweiCloudAttempts"])
		assert.Len(t, logged[0]["HuaweiCloudLatency"], 2)

		s.env["AWS_LAMBDA_LOG_LEVEL"] = "ERROR"
		s.succeed(t, "register-region", bootstrap(north))
		logged = s.log.parse(t)
		require.Len(t, logged, 2)
		assert.NotContains(t, logged[1], "cause_id", "info is below the level")
		assert.EqualValues(t, 1, logged[1]["Unchanged"], "but metrics are not")
		s.SetRegion("cn-south-1")
		s.succeed(t, "register-region", bootstrap(north))
		assert.Equal(t, "region_conflict", s.log.parse(t)[2]["reason"], "a rejection is logged at ERROR")
	})
}

func TestATimeoutThatLeavesNoTimeForASinkIsMisconfigured(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.timeout = 2 * time.Second
	s.env["RESULT_SINK"] = "http://127.0.0.1:9"
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "set the function's timeout to 60s")
	assert.Empty(t, s.calls())
}

func TestAProxyThatCantBeReadIsReportedAndNothingIsCalled(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		for _, name := range []string{
			"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
		} {
			s.env[name] = "http://corp:pa%ss@127.0.0.1:9"
			failed := s.fail(t, "register-region", bootstrap(north))
			delete(s.env, name)
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			assert.Contains(t, failed.ErrorMessage, "configuration: "+name+": must be ")
			assert.NotContains(t, failed.ErrorMessage, "pa%ss")
			assert.Empty(t, s.Requests())
		}
	})
}

func TestTheProxyOfTheEnvironmentIsUsedAndItsRefusalSaysSo(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	s := newStage(t)
	delete(s.env, "IDENTITYCENTER_ENDPOINT") // no proxy is used for loopback addresses
	s.env["HTTPS_PROXY"] = proxy.URL
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage,
		"the proxy "+strings.TrimPrefix(proxy.URL, "http://")+" answered CONNECT with status 407")
	assert.Equal(t, "CONNECT identitycenter.myhuaweicloud.com:443", <-asked)
}
