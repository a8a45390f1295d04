package sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/sink"
	"registrar/pkg/client"
)

const (
	accessKey    = "AKIDEXAMPLE000000000"
	secretKey    = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
	sessionToken = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
	busARN       = "eventbridge://arn:aws:events:eu-west-3:123456789012:event-bus/results"
)

type countingListener struct {
	net.Listener
	accepted *atomic.Int32
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// fakeAWS is EventBridge, as far as it is seen on the wire. Its zero value takes every event.
type fakeAWS struct {
	t      *testing.T
	region string                   // empty: us-east-1
	answer func(attempt int) answer // attempt is from 1; nil: success

	mu       sync.Mutex
	attempts int
	entries  []entry // as received
}

type entry struct {
	EventBusName, Source, DetailType, Detail, TraceHeader string
	Time                                                  float64
	Resources                                             []string
}

// answer of a zero status is success.
type answer struct {
	status int
	body   string
	slow   bool // none comes
}

const success = `{"FailedEntryCount":0,"Entries":[{"EventId":"11710aed-b79e-4468-a20b-bb3c0c3b4860"}]}`

func failedEntry(code, message string) answer {
	return answer{200, fmt.Sprintf(`{"FailedEntryCount":1,"Entries":[{"ErrorCode":%q,"ErrorMessage":%q}]}`, code, message), false}
}

func refusal(status int, code, message string) answer {
	return answer{status, fmt.Sprintf(`{"__type":"com.amazon.coral.service#%s","message":%q}`, code, message), false}
}

func (f *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts++
	region := f.region
	if region == "" {
		region = "us-east-1"
	}
	assert.Equal(f.t, http.MethodPost, r.Method)
	assert.Equal(f.t, "AWSEvents.PutEvents", r.Header.Get("X-Amz-Target"))
	assert.Equal(f.t, "application/x-amz-json-1.1", r.Header.Get("Content-Type"))
	assert.Equal(f.t, sessionToken, r.Header.Get("X-Amz-Security-Token"))
	assert.Regexp(f.t, `^AWS4-HMAC-SHA256 Credential=`+accessKey+`/\d{8}/`+regexp.QuoteMeta(region)+
		`/events/aws4_request, SignedHeaders=\S*host;\S*, Signature=[0-9a-f]{64}$`, r.Header.Get("Authorization"))
	var request struct{ Entries []entry }
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if assert.NoError(f.t, decoder.Decode(&request)) && assert.Len(f.t, request.Entries, 1) {
		f.entries = append(f.entries, request.Entries...)
	}
	var a answer
	if f.answer != nil {
		a = f.answer(f.attempts)
	}
	if a.slow {
		<-r.Context().Done()
		return
	}
	if a.status == 0 {
		a = answer{status: 200, body: success}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "r-1")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// Do serves without a network, so that it works on a fake clock.
func (f *fakeAWS) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return w.Result(), nil
}

func keys(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: sessionToken}, nil
}

func awsConfig() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(keys)}
}

func load(c aws.Config) func(context.Context) (aws.Config, error) {
	return func(context.Context) (aws.Config, error) { return c, nil }
}

func (f *fakeAWS) sink() sink.Sink {
	f.t.Helper()
	c := awsConfig()
	c.HTTPClient = f
	send, err := sink.New(f.t.Context(), sink.Config{Target: "eventbridge://results", LoadAWS: load(c)})
	require.NoError(f.t, err)
	return send
}

// serve is the sink at a real server, through the HTTP client of the SDK.
func (f *fakeAWS) serve(start func(*httptest.Server)) (sink.Sink, *httptest.Server) {
	f.t.Helper()
	server := httptest.NewUnstartedServer(f)
	start(server)
	f.t.Cleanup(server.Close)
	c := awsConfig()
	c.BaseEndpoint = &server.URL
	send, err := sink.New(f.t.Context(), sink.Config{Target: "eventbridge://results", LoadAWS: load(c)})
	require.NoError(f.t, err)
	return send, server
}

func TestTheEntryCarriesExactlyTheEvent(t *testing.T) {
	t.Parallel()
	aws := &fakeAWS{t: t}
	send, _ := aws.serve((*httptest.Server).Start)
	require.NoError(t, send(t.Context(), result()))
	require.Len(t, aws.entries, 1)
	got := aws.entries[0]
	assert.Equal(t, encoded(t, result()), got.Detail)
	assert.InDelta(t, float64(result().Time().UnixMilli())/1000, got.Time, 0.001)
	got.Detail, got.Time = "", 0
	assert.Equal(t, entry{EventBusName: "results", Source: "/registrar/register-region", DetailType: "org.region.registered"}, got)
}

func TestABusInAnotherRegionIsCalledThere(t *testing.T) {
	t.Parallel()
	var host string
	aws := &fakeAWS{t: t, region: "eu-west-3"}
	c := awsConfig()
	c.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		host = r.URL.String()
		return aws.Do(r)
	})
	send, err := sink.New(t.Context(), sink.Config{Target: busARN, LoadAWS: load(c)})
	require.NoError(t, err)
	require.NoError(t, send(t.Context(), result()))
	assert.Equal(t, "https://events.eu-west-3.amazonaws.com/", host)
	assert.Equal(t, "arn:aws:events:eu-west-3:123456789012:event-bus/results", aws.entries[0].EventBusName)
}

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnEventWithoutTimeHasNone(t *testing.T) {
	t.Parallel()
	aws, e := &fakeAWS{t: t}, result()
	e.SetTime(time.Time{})
	require.NoError(t, aws.sink()(t.Context(), e))
	assert.Zero(t, aws.entries[0].Time)
}

// A signature that doesn't fit is answered with what was signed.
const canonical = "The request signature we calculated does not match. Key " + accessKey + ".\n\nThe Canonical String should have been\n'POST\n/\n\nx-amz-security-token:" + sessionToken + "'"

func TestEachAnswerHasItsKind(t *testing.T) {
	t.Parallel()
	transient, misconfigured := client.ErrTransient, client.ErrMisconfigured
	cases := map[string]struct {
		answer   answer
		kind     error
		attempts int
		text     string
	}{
		"an entry that failed inside":              {failedEntry("InternalFailure", "an internal error"), transient, 4, "InternalFailure an internal error"},
		"an entry that failed with an exception":   {failedEntry("InternalException", ""), transient, 4, "InternalException"},
		"an entry that is one too many":            {failedEntry("ThrottlingException", "Rate exceeded"), transient, 4, "ThrottlingException Rate exceeded"},
		"an entry that failed for unknown reasons": {failedEntry("RedactionFailure", "x"), transient, 1, "RedactionFailure x"},
		"an entry that may not be put":             {failedEntry("AccessDeniedException", "User is not authorized"), misconfigured, 1, "AccessDeniedException User is not authorized"},
		"an entry of a source that may not":        {failedEntry("NotAuthorizedForSourceException", ""), misconfigured, 1, "NotAuthorizedForSourceException"},
		"an entry of a type that may not":          {failedEntry("NotAuthorizedForDetailTypeException", ""), misconfigured, 1, "NotAuthorizedForDetailTypeException"},
		"an entry of an invalid account":           {failedEntry("InvalidAccountIdException", ""), misconfigured, 1, "InvalidAccountIdException"},
		"an entry that is malformed":               {failedEntry("MalformedDetail", "Detail is malformed."), misconfigured, 1, "MalformedDetail Detail is malformed."},
		"an entry that is invalid":                 {failedEntry("InvalidArgument", "x"), misconfigured, 1, "InvalidArgument x"},
		"a failed entry without a reason":          {answer{200, `{"FailedEntryCount":1,"Entries":[{}]}`, false}, transient, 1, "the event was not taken, and no reason given"},
		"a failure without an entry":               {answer{200, `{"FailedEntryCount":1}`, false}, transient, 1, "the event was not taken, and no reason given"},
		"a failed entry with an id":                {answer{200, `{"FailedEntryCount":1,"Entries":[{"EventId":"1","ErrorCode":"MalformedDetail"}]}`, false}, misconfigured, 1, "MalformedDetail"},
		"an empty answer":                          {answer{200, `{}`, false}, transient, 1, "the event was not taken, and no reason given"},
		"an answer that is no JSON":                {answer{200, `<html>`, false}, transient, 1, "status 200 the answer can't be read (request r-1)"},
		"access denied":                            {refusal(400, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: events:PutEvents"), misconfigured, 1, "status 400 AccessDeniedException User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: events:PutEvents (request r-1)"},
		"no such bus":                              {refusal(400, "ResourceNotFoundException", "Event bus x does not exist."), misconfigured, 1, "status 400 ResourceNotFoundException Event bus x does not exist. (request r-1)"},
		"validation":                               {refusal(400, "ValidationException", "1 validation error"), misconfigured, 1, "status 400 ValidationException 1 validation error (request r-1)"},
		"a key that is unknown":                    {refusal(400, "UnrecognizedClientException", "The security token included in the request is invalid."), misconfigured, 1, "status 400 UnrecognizedClientException The security token included in the request is invalid. (request r-1)"},
		"a wrong signature":                        {refusal(400, "InvalidSignatureException", canonical), misconfigured, 1, "status 400 InvalidSignatureException The request signature we calculated does not match. Key [redacted]. (request r-1)"},
		"a token that is expired":                  {refusal(403, "ExpiredTokenException", "The security token included in the request is expired"), transient, 1, "status 403 ExpiredTokenException The security token included in the request is expired (request r-1)"},
		"throttled":                                {refusal(400, "ThrottlingException", "Rate exceeded"), transient, 4, "status 400 ThrottlingException Rate exceeded (request r-1)"},
		"an error inside":                          {refusal(500, "InternalException", ""), transient, 4, "status 500 InternalException (request r-1)"},
		"a gateway's error":                        {answer{503, "<html>", false}, transient, 4, "status 503 the answer can't be read (request r-1)"},
		"a body that is too large":                 {answer{413, "", false}, misconfigured, 1, "status 413 (request r-1)"},
		"a body that is too large, by its code":    {refusal(400, "RequestEntityTooLargeException", ""), misconfigured, 1, "status 400 RequestEntityTooLargeException (request r-1)"},
		"an unknown code":                          {refusal(400, "NewException", "x"), transient, 1, "status 400 NewException x (request r-1)"},
		"an unknown code of a refusal":             {refusal(403, "NewException", "x"), misconfigured, 1, "status 403 NewException x (request r-1)"},
		"a redirect":                               {answer{301, "", false}, misconfigured, 1, "status 301 "},
		"a message that is long":                   {refusal(400, "ValidationException", strings.Repeat("ü", 5000)), misconfigured, 1, "status 400 ValidationException " + strings.Repeat("ü", 148) + "… (request r-1)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				aws := &fakeAWS{t: t, answer: func(int) answer { return c.answer }}
				err := aws.sink()(t.Context(), result())
				assertKind(t, err, c.kind, "eventbridge://results: "+c.text)
				assert.Equal(t, c.attempts, aws.attempts)
			})
		})
	}
}

func TestAnEntryThatFailedInsideIsPutAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		aws := &fakeAWS{t: t, answer: func(attempt int) answer {
			return []answer{1: failedEntry("InternalFailure", ""), 2: refusal(400, "ThrottlingException", ""), 3: {slow: true}, 4: {}}[attempt]
		}}
		start := time.Now()
		require.NoError(t, aws.sink()(t.Context(), result()))
		require.Len(t, aws.entries, 4)
		for _, got := range aws.entries {
			assert.Equal(t, aws.entries[0], got)
		}
		assert.Greater(t, time.Since(start), 10*time.Second, "the slow attempt")
		assert.Less(t, time.Since(start), 12*time.Second)
	})
}

func TestTheErrorOfEventBridgeIsKeptWhenTheDeadlineCuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		aws := &fakeAWS{t: t, answer: func(attempt int) answer {
			return []answer{1: failedEntry("InternalFailure", "oops"), 2: {slow: true}}[attempt]
		}}
		err := aws.sink()(ctx, result())
		assertKind(t, err, client.ErrTransient)
		require.EqualError(t, err, "context deadline exceeded after 2 attempts: eventbridge://results: InternalFailure oops")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := (&fakeAWS{t: t, answer: func(int) answer { return answer{slow: true} }}).sink()(ctx, result())
		assertKind(t, err, client.ErrTransient)
		require.EqualError(t, err, "eventbridge://results: context deadline exceeded")
	})
}

func TestEventBridgeThatIsDownIsTransient(t *testing.T) {
	t.Parallel()
	send, server := (&fakeAWS{t: t}).serve((*httptest.Server).Start)
	server.Close()
	err := send(t.Context(), result())
	assertKind(t, err, client.ErrTransient, "eventbridge://results: dial tcp", "connection refused")
}

func TestEventBridgeWithAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	aws := &fakeAWS{t: t}
	send, _ := aws.serve(func(s *httptest.Server) {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
	})
	assertKind(t, send(t.Context(), result()), client.ErrMisconfigured, "eventbridge://results: tls: failed to verify certificate")
	assert.Zero(t, aws.attempts)
}

func TestWhatEventBridgeWouldNotTakeIsNotSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source, kind string
		data         int // bytes
		want         string
	}{
		"a source that would be dropped": {strings.Repeat("s", 257), "t", 0, "eventbridge://results: EVENT_SOURCE: has 257 characters, but EventBridge takes at most 256"},
		"a source that is kept for AWS":  {"aws.registrar", "t", 0, "eventbridge://results: EVENT_SOURCE: must not begin with aws., which EventBridge keeps for AWS itself"},
		"a type that is too long":        {"/s", strings.Repeat("t", 129), 0, "eventbridge://results: the type of the event has 129 characters: EventBridge takes at most 128"},
		"an event that is too large":     {"/s", "t", 256 << 10, "eventbridge://results: the event has 262336 bytes: EventBridge takes at most 262144"},
		"the longest source":             {strings.Repeat("s", 256), "t", 0, ""},
		"the longest type":               {"/s", strings.Repeat("t", 128), 0, ""},
		"the largest event":              {"/s", "t", 256<<10 - 192, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := result()
			e.SetSource(c.source)
			e.SetType(c.kind)
			e.SetExtension("causationid", nil)
			e.SetExtension("traceparent", nil)
			e.SetSubject("")
			e.DataEncoded = []byte(`"` + strings.Repeat("x", max(c.data-2, 0)) + `"`)
			aws := &fakeAWS{t: t}
			err := aws.sink()(t.Context(), e)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			assertKind(t, err, client.ErrMisconfigured)
			require.EqualError(t, err, c.want)
			assert.Zero(t, aws.attempts)
		})
	}
}

func TestBuildingOnABadAWSConfigurationIsMisconfigured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*aws.Config)
		err    error
		want   string
	}{
		"it can't be loaded":           {err: errors.New("failed to get shared config profile, results"), want: "AWS configuration: failed to get shared config profile, results"},
		"no region":                    {change: func(c *aws.Config) { c.Region = "" }, want: "AWS_REGION is not set, and the bus is not given as an ARN, which has a region in it"},
		"no credentials":               {change: func(c *aws.Config) { c.Credentials = nil }, want: "there are no AWS credentials"},
		"an endpoint without a scheme": {change: func(c *aws.Config) { c.BaseEndpoint = new("localhost:4566") }, want: "AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566"},
		"a zero config":                {change: func(c *aws.Config) { *c = aws.Config{} }, want: "AWS_REGION is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := awsConfig()
			if c.change != nil {
				c.change(&config)
			}
			_, err := sink.New(t.Context(), sink.Config{Target: "eventbridge://results", LoadAWS: func(context.Context) (aws.Config, error) { return config, c.err }})
			assertKind(t, err, client.ErrMisconfigured, "eventbridge://results: "+c.want)
		})
	}
}

func TestBuildingCallsNothing(t *testing.T) {
	t.Parallel()
	c := awsConfig()
	c.HTTPClient = doer(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		t.Error("credentials were asked for")
		return aws.Credentials{}, nil
	})
	_, err := sink.New(t.Context(), sink.Config{Target: "eventbridge://results", LoadAWS: load(c)})
	require.NoError(t, err)
	_, err = sink.New(t.Context(), sink.Config{Target: busARN, LoadAWS: load(aws.Config{Credentials: c.Credentials})})
	require.NoError(t, err, "the ARN has the region")
}

func TestCredentialsThatCannotBeHadAreTransient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := awsConfig()
		c.HTTPClient = &fakeAWS{t: t}
		c.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			if asked++; asked == 1 {
				return aws.Credentials{}, errors.New("the agent is away")
			}
			return keys(ctx)
		})
		send, err := sink.New(t.Context(), sink.Config{Target: "eventbridge://results", LoadAWS: load(c)})
		require.NoError(t, err)
		require.NoError(t, send(t.Context(), result()))

		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		asked = 0
		assertKind(t, send(ctx, result()), client.ErrTransient, "eventbridge://results: AWS credentials: the agent is away")
	})
}

func TestTheEnvironmentIsHonoured(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	none := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		variables func(url string) []string
		region    string
		want      string // what the program says; empty: it succeeds
	}{
		"the endpoint of all services": {func(url string) []string { return []string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + url} }, "", ""},
		"the endpoint of EventBridge": {func(url string) []string {
			return []string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ENDPOINT_URL_EVENTBRIDGE=" + url}
		}, "", ""},
		"the region of the bus": {func(url string) []string {
			return []string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + url, "RESULT_SINK=" + busARN}
		}, "eu-west-3", ""},
		"no region":                      {func(url string) []string { return []string{"AWS_ENDPOINT_URL=" + url} }, "", "eventbridge://results: AWS_REGION is not set"},
		"an endpoint that is no URL":     {func(string) []string { return []string{"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=localhost"} }, "", "eventbridge://results: AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566"},
		"a profile that does not exist":  {func(string) []string { return []string{"AWS_REGION=us-east-1", "AWS_PROFILE=absent"} }, "", "eventbridge://results: AWS configuration: "},
		"a setting that can not be read": {func(string) []string { return []string{"AWS_REGION=us-east-1", "AWS_MAX_ATTEMPTS=x"} }, "", "eventbridge://results: AWS configuration: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aws := &fakeAWS{t: t, region: c.region}
			_, server := aws.serve((*httptest.Server).Start)
			run := exec.CommandContext(t.Context(), self)
			run.Env = append([]string{
				"SINK_TEST_SEND=1", "RESULT_SINK=eventbridge://results", "AWS_EC2_METADATA_DISABLED=true",
				"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_SESSION_TOKEN=" + sessionToken,
				"AWS_CONFIG_FILE=" + none, "AWS_SHARED_CREDENTIALS_FILE=" + none,
			}, c.variables(server.URL)...)
			said, err := run.Output()
			if c.want == "" {
				require.NoError(t, err, string(said))
				assert.Equal(t, 1, aws.attempts)
				return
			}
			require.Error(t, err)
			assert.True(t, bytes.HasPrefix(said, []byte(c.want)), string(said))
			assert.NotContains(t, string(said), secretKey)
		})
	}
}
