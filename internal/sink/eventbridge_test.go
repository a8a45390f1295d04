package sink_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/internal/sink"
	"registrar/pkg/attempt"
)

// bridge is the sink of the bus "results" of a fake EventBridge.
func bridge(t *testing.T, h http.Handler) sink.Sink {
	t.Helper()
	c := to(t, "eventbridge://results")
	c.AWS = awstest.Config(h)
	send, err := sink.New(c)
	require.NoError(t, err)
	return send
}

// serveBridge is a sink at a real server, through the transport that the sink makes for itself.
func serveBridge(t *testing.T, h http.Handler, start func(*httptest.Server)) sink.Sink {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(server)
	t.Cleanup(server.Close)
	c := to(t, "eventbridge://results")
	c.AWS = awstest.Config(nil)
	c.AWS.Transport, c.AWS.Endpoint = nil, server.URL
	send, err := sink.New(c)
	require.NoError(t, err)
	return send
}

func TestTheEntryCarriesExactlyTheEvent(t *testing.T) {
	t.Parallel()
	bus := new(awstest.EventBridge)
	send := serveBridge(t, bus, (*httptest.Server).Start)
	require.NoError(t, send(t.Context(), resultEvent()))
	require.Len(t, bus.Entries(), 1)
	got := bus.Entries()[0]
	assert.Equal(t, encoded(t, resultEvent()), got.Detail)
	assert.InDelta(t, float64(resultEvent().Time().UnixMilli())/1000, got.Time, 0.001)
	got.Detail, got.Time = "", 0
	assert.Equal(t, awstest.Entry{
		EventBusName: "results", Source: "/registrar/register-region", DetailType: "org.region.registered",
		Region: "us-east-1",
	}, got)
}

func TestABusInAnotherRegionIsCalledThere(t *testing.T) {
	t.Parallel()
	bus, c := new(awstest.EventBridge), to(t, "eventbridge://"+busARN)
	c.AWS = awstest.Config(bus)
	send, err := sink.New(c)
	require.NoError(t, err)
	require.NoError(t, send(t.Context(), resultEvent()))
	assert.Equal(t, busARN, bus.Entries()[0].EventBusName)
	assert.Equal(t, "eu-west-3", bus.Entries()[0].Region)
}

func TestAnEventWithoutTimeHasNone(t *testing.T) {
	t.Parallel()
	bus, e := new(awstest.EventBridge), resultEvent()
	e.SetTime(time.Time{})
	require.NoError(t, bridge(t, bus)(t.Context(), e))
	assert.Zero(t, bus.Entries()[0].Time)
}

func TestEachAnswerOfEventBridgeHasItsKind(t *testing.T) {
	t.Parallel()
	const request = " (request " + awstest.RequestID + ")"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   attempt.Kind
		text   string
	}{
		"an entry that failed inside": {awstest.FailEntry("InternalFailure"), attempt.Transient, "InternalFailure"},
		"an entry that is one too many": {
			awstest.FailEntry("ThrottlingException"), attempt.Transient, "ThrottlingException",
		},
		"an entry that may not be put": {
			awstest.FailEntry("AccessDeniedException"), attempt.Misconfigured, "AccessDeniedException",
		},
		"an entry that is malformed": {
			awstest.FailEntry("MalformedDetail"), attempt.Misconfigured, "MalformedDetail",
		},
		"a failed entry without a reason": {
			awstest.FailEntry(""), attempt.Transient, "AWS says no, and doesn't say why",
		},
		"a failure without an entry": {
			awstest.Garbage(200, `{"FailedEntryCount":1}`), attempt.Transient, "AWS says no, and doesn't say why",
		},
		"a failed entry with an id": {
			awstest.Garbage(200, `{"FailedEntryCount":1,"Entries":[{"EventId":"1","ErrorCode":"MalformedDetail"}]}`),
			attempt.Misconfigured, "MalformedDetail",
		},
		"an empty answer": {
			awstest.Garbage(200, `{}`), attempt.Transient, "AWS says no, and doesn't say why",
		},
		"an answer that is not JSON": {
			awstest.Garbage(200, `<html>`), attempt.Transient, "status 200 and the answer can't be read",
		},
		"access denied": {
			awstest.Refuse(400, "AccessDeniedException"), attempt.Misconfigured,
			"status 400 AccessDeniedException" + request,
		},
		"a token that is expired": {
			awstest.Refuse(403, "ExpiredTokenException"), attempt.Transient,
			"status 403 ExpiredTokenException" + request,
		},
		"throttled": {
			awstest.Refuse(400, "ThrottlingException"), attempt.Transient,
			"status 400 ThrottlingException" + request,
		},
		"a gateway's error":        {awstest.Garbage(503, "<html>"), attempt.Transient, "status 503"},
		"a body that is too large": {awstest.Garbage(413, ""), attempt.Misconfigured, "status 413"},
		"a redirect":               {awstest.Garbage(301, ""), attempt.Misconfigured, "status 301"},
		"an unknown code": {
			awstest.Refuse(400, "NewException"), attempt.Transient, "status 400 NewException" + request,
		},
		"an echo of the token": {awstest.Echo, attempt.Transient, "status 400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := new(awstest.EventBridge)
				bus.Script(c.answer)
				err := bridge(t, bus)(t.Context(), resultEvent())
				assertKind(t, err, c.kind)
				require.EqualError(t, err, "the sink eventbridge://results: "+c.text)
				attempts := 1
				if c.kind == attempt.Transient {
					attempts = 4
				}
				assert.Equal(t, attempts, bus.Attempts())
			})
		})
	}
}

func TestAnEntryThatFailsInsideEventBridgeIsSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := new(awstest.EventBridge)
		bus.Script(
			awstest.FailEntry("InternalFailure"), awstest.Refuse(400, "ThrottlingException"), awstest.Silence, nil)
		start := time.Now()
		require.NoError(t, bridge(t, bus)(t.Context(), resultEvent()))
		assert.Equal(t, 4, bus.Attempts())
		require.Len(t, bus.Entries(), 1)
		assert.Greater(t, time.Since(start), 10*time.Second, "the silent attempt")
		assert.Less(t, time.Since(start), 12*time.Second)
	})
}

func TestTheErrorOfEventBridgeIsKeptWhenTheDeadlineCuts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		want    string
	}{
		"one that came before": {
			[]http.HandlerFunc{awstest.FailEntry("InternalFailure"), awstest.Silence},
			"context deadline exceeded after 2 attempts: InternalFailure",
		},
		"none came": {[]http.HandlerFunc{awstest.Silence}, "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				bus := new(awstest.EventBridge)
				bus.Script(c.answers...)
				err := bridge(t, bus)(ctx, resultEvent())
				assertKind(t, err, attempt.Transient)
				require.EqualError(t, err, "the sink eventbridge://results: "+c.want)
			})
		})
	}
}

func TestEventBridgeThatIsDownIsTransient(t *testing.T) {
	t.Parallel()
	c := to(t, "eventbridge://results")
	c.AWS = awstest.Config(nil)
	c.AWS.Transport, c.AWS.Endpoint = nil, nobody
	send, err := sink.New(c)
	require.NoError(t, err)
	err = send(t.Context(), resultEvent())
	assertKind(t, err, attempt.Transient, "the sink eventbridge://results: dial tcp", "connection refused")
}

func TestEventBridgeWithAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	bus := new(awstest.EventBridge)
	send := serveBridge(t, bus, (*httptest.Server).StartTLS)
	assertKind(t, send(t.Context(), resultEvent()), attempt.Misconfigured,
		"the sink eventbridge://results: tls: failed to verify certificate")
	assert.Zero(t, bus.Attempts())
}

func TestMakingASinkOfABusCallsNothing(t *testing.T) {
	t.Parallel()
	c := to(t, "eventbridge://results")
	for _, from := range []func(*awsapi.Config){
		func(*awsapi.Config) {},
		func(from *awsapi.Config) { from.AccessKey, from.SecretKey, from.ContainerPath = "", "", "/x" },
		func(from *awsapi.Config) {
			from.AccessKey, from.SecretKey, from.WebIdentityFile, from.RoleARN = "", "", "absent", "arn"
		},
	} {
		c.AWS = awstest.Config(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("a request was sent")
		}))
		from(&c.AWS)
		_, err := sink.New(c)
		require.NoError(t, err)
	}
}

// container is a sink whose credentials are those of a container.
func container(t *testing.T, credentials http.HandlerFunc, bus http.Handler) sink.Sink {
	t.Helper()
	c := to(t, "eventbridge://results")
	c.AWS = awstest.Config(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "169.254.170.2" {
			credentials(w, r)
			return
		}
		bus.ServeHTTP(w, r)
	}))
	c.AWS.AccessKey, c.AWS.SecretKey, c.AWS.SessionToken, c.AWS.ContainerPath = "", "", "", "/v2/credentials"
	send, err := sink.New(c)
	require.NoError(t, err)
	return send
}

func TestAFailureToFindAWSCredentialsIsTransient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		away := func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q}`, awstest.AccessKey, awstest.SecretKey)
		}
		require.NoError(t, container(t, away, new(awstest.EventBridge))(t.Context(), resultEvent()))
		assert.Equal(t, 2, asked)

		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		asked = 0
		assertKind(t, container(t, away, new(awstest.EventBridge))(ctx, resultEvent()), attempt.Transient,
			"the sink eventbridge://results: AWS credentials: status 503")
	})
}

func TestTheEnvironmentConfiguresAWS(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		variables []string // =URL is replaced by the URL of the fake
		region    string
		want      string // the error of the program; empty if it succeeds
	}{
		"the endpoint of all services": {
			[]string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=URL"}, "us-east-1", "",
		},
		"the endpoint of EventBridge": {
			[]string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ENDPOINT_URL_EVENTBRIDGE=URL"},
			"us-east-1", "",
		},
		"the region of the bus": {
			[]string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=URL", "RESULT_SINK=eventbridge://" + busARN},
			"eu-west-3", "",
		},
		"no region but that of the bus": {
			[]string{"AWS_ENDPOINT_URL=URL", "RESULT_SINK=eventbridge://" + busARN}, "eu-west-3", "",
		},
		"no region": {[]string{"AWS_ENDPOINT_URL=URL"}, "", "no AWS region is known"},
		"an endpoint that is not a URL": {
			[]string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=localhost"},
			"",
			"AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566",
		},
		"a profile instead of keys": {
			[]string{"AWS_REGION=us-east-1", "AWS_PROFILE=some", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="},
			"", "no AWS credentials are found: ",
		},
		"the SDK's way to a trust store": {
			[]string{"AWS_REGION=us-east-1", "AWS_CA_BUNDLE=/etc/ca.pem"}, "", "AWS_CA_BUNDLE: isn't read",
		},
		"retries of the SDK": {
			[]string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=URL", "AWS_MAX_ATTEMPTS=7"}, "us-east-1", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := new(awstest.EventBridge)
			server := httptest.NewServer(bus)
			t.Cleanup(server.Close)
			run := exec.CommandContext(t.Context(), self)
			run.Env = []string{
				"SINK_TEST_SEND=1", "RESULT_SINK=eventbridge://results",
				"AWS_ACCESS_KEY_ID=" + awstest.AccessKey, "AWS_SECRET_ACCESS_KEY=" + awstest.SecretKey,
			}
			for _, variable := range c.variables {
				run.Env = append(run.Env, strings.Replace(variable, "=URL", "="+server.URL, 1))
			}
			output, err := run.Output()
			if c.want == "" {
				require.NoError(t, err, string(output))
				require.Len(t, bus.Entries(), 1)
				assert.Equal(t, c.region, bus.Entries()[0].Region)
				return
			}
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(string(output), "the sink eventbridge://results: "+c.want), string(output))
			assert.NotContains(t, string(output), awstest.SecretKey)
		})
	}
}

func TestNothingIsLoggedOfWhatAnEndpointSends(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	bus := new(awstest.EventBridge)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, awstest.SessionToken, r.Header.Get("X-Amz-Security-Token"))
		w.Header().Set("Date", r.Header.Get("X-Amz-Security-Token"))
		bus.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	run := exec.CommandContext(t.Context(), self)
	run.Env = []string{
		"SINK_TEST_SEND=1", "RESULT_SINK=eventbridge://results",
		"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + server.URL,
		"AWS_ACCESS_KEY_ID=" + awstest.AccessKey, "AWS_SECRET_ACCESS_KEY=" + awstest.SecretKey,
		"AWS_SESSION_TOKEN=" + awstest.SessionToken,
	}
	var stderr strings.Builder
	run.Stderr = &stderr
	lines, err := run.Output()
	require.NoError(t, err)
	assert.Empty(t, stderr.String())
	assert.Empty(t, string(lines))
}
