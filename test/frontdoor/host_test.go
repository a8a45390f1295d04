package frontdoor

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

func TestEachKindOfFailureHasItsErrorType(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		payload string
		fault   huaweitest.Fault
		want    failure
	}{
		"a server error":             {bootstrap(north), huaweitest.Fault{Status: 503, Code: "APIGW.0201", Message: "Backend unavailable"}, failure{"TransientError", "RegisteredRegions: status 503 APIGW.0201 Backend unavailable"}},
		"a connection that breaks":   {bootstrap(north), huaweitest.Fault{Reset: true}, failure{"TransientError", "RegisteredRegions: "}},
		"an answer of garbage":       {bootstrap(north), huaweitest.Fault{Status: 200, Body: []byte("<html>")}, failure{"TransientError", "the answer can't be read"}},
		"an error of garbage":        {bootstrap(north), huaweitest.Fault{Status: 500, Body: []byte("\xff\xfe")}, failure{"TransientError", "status 500 Internal Server Error, without a JSON object"}},
		"no permission":              {bootstrap(north), huaweitest.Fault{Status: 403, Code: "IIC.1000"}, failure{"MisconfiguredError", "403 IIC.1000"}},
		"not the management account": {bootstrap(north), huaweitest.Fault{Status: 401, Code: "Organizations.1001"}, failure{"MisconfiguredError", "401 Organizations.1001"}},
		"a path that isn't there":    {bootstrap(north), huaweitest.Fault{Status: 404, Code: "APIGW.0101"}, failure{"MisconfiguredError", "404 APIGW.0101"}},
		"no JSON":                    {`hello`, huaweitest.Fault{}, failure{"InvalidEventError", "payload is not JSON"}},
		"the console's test event":   {`{"key1":"value1","key2":"value2"}`, huaweitest.Fault{}, failure{"InvalidEventError", "the Lambda console's own test event; it must be a CloudEvent in JSON"}},
		"no valid CloudEvent":        {`{"specversion":"1.0","id":"1","type":"org.bootstrap"}`, huaweitest.Fault{}, failure{"InvalidEventError", "source: is missing"}},
		"specversion 0.3":            {strings.Replace(bootstrap(north), "1.0", "0.3", 1), huaweitest.Fault{}, failure{"InvalidEventError", `specversion: must be "1.0"`}},
		"a type for another":         {created(both), huaweitest.Fault{}, failure{"InvalidEventError", `register-region takes events of type org.bootstrap, not "account.created"`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.env["MAX_ATTEMPTS"] = "1"
			c.fault.Times = huaweitest.Forever
			s.Script("GET", "", c.fault)
			got := s.fail(t, "register-region", c.payload)
			assert.Equal(t, c.want.ErrorType, got.ErrorType)
			assert.Contains(t, got.ErrorMessage, c.want.ErrorMessage)
			logged := s.log.parse(t)
			require.Len(t, logged, 1, "one line")
			assert.Equal(t, c.want.ErrorType, logged[0]["error_type"])
			assert.Equal(t, map[string]string{"TransientError": "WARN"}[got.ErrorType] == "WARN", logged[0]["level"] == "WARN")
			assert.NotEmpty(t, logged[0]["requestId"])
			assert.Zero(t, s.writes())
		})
	}
}

func TestAnArrayOfEvents(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := s.start(t, "register-region")
	answer, err := f.Invoke(t.Context(), []byte("["+bootstrap(north)+","+bootstrap(`{"region_id":"cn-south-1"}`)+"]"))
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
	assert.Equal(t, "cn-north-4", s.Region(), "the other one was handled")
}

func TestABadConfigurationIsAnsweredByName(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	maps.Copy(s.env, map[string]string{
		"HUAWEICLOUD_SDK_AK": "", "IDENTITYCENTER_ENDPOINT": "http://identitycenter.example", "MAX_ATTEMPTS": "0", "REQUEST_TIMEOUT": "10",
		"REGION_ID": "Beijing", "EVENT_TYPES": "account.admin.registered", "DRY_RUN": "maybe",
	})
	f := s.start(t, "register-region")
	for range 2 {
		_, failed := s.invokeOn(t, f, bootstrap(north))
		require.NotNil(t, failed)
		assert.Equal(t, "MisconfiguredError", failed.ErrorType)
		for _, name := range []string{"HUAWEICLOUD_SDK_AK", "IDENTITYCENTER_ENDPOINT", "MAX_ATTEMPTS", "REQUEST_TIMEOUT", "REGION_ID", "EVENT_TYPES", "DRY_RUN"} {
			assert.Contains(t, failed.ErrorMessage, name)
		}
	}
	assert.Empty(t, s.calls())
	last := s.log.parse(t)[2] // after that of the start
	assert.Equal(t, []any{"register-region", 1.0}, []any{last["function"], last["Misconfigured"]}, "the alarm counts by this name")

	s.env["ACCOUNT_READY_WITHIN"], s.env["SERVICE_PRINCIPALS"] = "-1s", "a b"
	failed := s.fail(t, "register-admin", created(both))
	assert.Contains(t, failed.ErrorMessage, "ACCOUNT_READY_WITHIN: must not be negative")
	s.env["SERVICE_PRINCIPALS"] = strings.TrimSuffix(strings.Repeat("service.A,", 21), ",")
	assert.Contains(t, s.fail(t, "register-admin", created(both)).ErrorMessage, "SERVICE_PRINCIPALS: names 21 services; at most 20")
	assert.Contains(t, failed.ErrorMessage, "SERVICE_PRINCIPALS")
}

func TestNearTheDeadlineItAnswersWithTheLastRealError(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.timeout = 3 * time.Second
	s.Script("GET", regions,
		huaweitest.Fault{Status: 503, Code: "APIGW.0201", Header: http.Header{"Retry-After": {"1"}}},
		huaweitest.Fault{Delay: time.Minute})
	start := time.Now()
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "TransientError", failed.ErrorType, "not Sandbox.Timedout")
	assert.Contains(t, failed.ErrorMessage, "deadline exceeded after 2 attempts: RegisteredRegions: status 503 APIGW.0201")
	assert.Less(t, time.Since(start), 3*time.Second)
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{
		"seconds": "1",
		"date":    time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat), // by the cloud's clock
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			header := http.Header{"Retry-After": {after}}
			if name == "date" {
				at, err := http.ParseTime(after)
				require.NoError(t, err)
				header.Set("Date", at.Add(-time.Second).Format(http.TimeFormat))
			}
			s.Script("POST", register, huaweitest.Fault{Status: 429, Code: "APIGW.0308", Header: header})
			start := time.Now()
			r := s.succeed(t, "register-region", bootstrap(north))
			assert.Equal(t, "registered", r.Data.Outcome)
			assert.Equal(t, 2, r.Data.Attempts)
			assert.GreaterOrEqual(t, time.Since(start), time.Second)
		})
	}
}

func TestA429WithoutRetryAfterIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("POST", register, huaweitest.Fault{Status: 429, Code: "APIGW.0308"})
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "TransientError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "429 APIGW.0308")
	assert.Equal(t, 1, s.writes(), "retries count against the quota")
}

func TestAClockThatIsOff(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.SetClock(func() time.Time { return time.Now().Add(-3 * time.Hour) })
	r := s.succeed(t, "register-region", bootstrap(north))
	assert.Equal(t, "registered", r.Data.Outcome)
}

func TestTheConnectionIsWarmBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.succeed(t, "register-region", bootstrap(north))
	first := s.Requests()[0]
	assert.Equal(t, "HEAD", first.Method)
	assert.Empty(t, first.Header.Get("Authorization"))
}

func TestAColdStartWithoutNetworkIsNoFailure(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Script("HEAD", "", huaweitest.Fault{Reset: true})
	assert.Equal(t, "registered", s.succeed(t, "register-region", bootstrap(north)).Data.Outcome)
}

func TestOneLineIsLoggedPerEvent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.succeed(t, "register-region", bootstrap(north))
	logged := s.log.parse(t)
	require.Len(t, logged, 1)
	for key, want := range map[string]any{
		"level": "INFO", "message": "event handled", "cause_id": "in-1", "type": "org.bootstrap", "source": "/landing-zone",
		"outcome": "registered", "subject": r.Subject, "attempts": 1.0,
	} {
		assert.Equal(t, want, logged[0][key], key)
	}
	assert.NotEmpty(t, logged[0]["request_id"], "Huawei Cloud's")
	assert.NotEmpty(t, logged[0]["requestId"], "Lambda's")
	assert.Contains(t, logged[0], "duration_ms")
	assert.Contains(t, logged[0], "timestamp")
	assert.Equal(t, []any{1.0, 2.0}, []any{logged[0]["Registered"], logged[0]["HuaweiCloudAttempts"]}, "it is a metric, too")
	assert.Len(t, logged[0]["HuaweiCloudLatency"], 2)

	s.env["AWS_LAMBDA_LOG_LEVEL"] = "ERROR"
	s.succeed(t, "register-region", bootstrap(north))
	assert.Len(t, s.log.parse(t), 1, "info is below the level")
	s.SetRegion("cn-south-1")
	s.succeed(t, "register-region", bootstrap(north))
	assert.Equal(t, "region_conflict", s.log.parse(t)[1]["reason"], "a rejection is for a person")
}

func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	asked := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			asked <- strings.TrimSpace(line)
			_ = conn.Close()
		}
	}()
	s := newStage(t)
	delete(s.env, "IDENTITYCENTER_ENDPOINT") // loopback addresses go past any proxy
	s.env["HTTPS_PROXY"], s.env["MAX_ATTEMPTS"] = "http://"+listener.Addr().String(), "1"
	assert.Equal(t, "TransientError", s.fail(t, "register-region", bootstrap(north)).ErrorType)
	assert.Equal(t, "CONNECT identitycenter.myhuaweicloud.com:443 HTTP/1.1", <-asked)
}
