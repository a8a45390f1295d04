// Package aws holds the AWS SDK's own clients against ours: the fakes in internal/awstest are made
// for both, and internal/awsapi must find what the SDK finds, send what it sends and read what it
// reads.
package aws

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
)

// signed keeps the last request that the SDK sent.
type signed struct {
	request *http.Request
	body    []byte
}

func (s *signed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.request = r
	s.body, _ = io.ReadAll(r.Body)
	awstest.Refuse(http.StatusBadRequest, "ValidationException")(w, r)
}

// load is a configuration of the SDK whose clients are answered by h.
func load(h http.Handler) aws.Config {
	return aws.Config{
		Region:     "us-east-1",
		HTTPClient: &http.Client{Transport: awstest.Transport(h)},
		Retryer:    func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider(
			awstest.AccessKey, awstest.SecretKey, awstest.SessionToken),
	}
}

func TestAFakeRefusesWhatAWSWouldRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string // the code that it is refused with; empty if it is answered
	}{
		"nothing is wrong": {func(*http.Request) {}, ""},
		"not signed": {
			func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException",
		},
		"a host in another region": {
			func(r *http.Request) { r.Host = "secretsmanager.eu-west-1.amazonaws.com" }, "InvalidSignatureException",
		},
		"another operation": {
			func(r *http.Request) { r.Header.Set("X-Amz-Target", "secretsmanager.PutSecretValue") },
			"UnknownOperationException",
		},
		"another method": {func(r *http.Request) { r.Method = http.MethodGet }, "UnknownOperationException"},
		"another media type": {
			func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "SerializationException",
		},
		"a field that AWS doesn't know": {
			func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"SecretID":1,"X":1}`)) },
			"SerializationException",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := new(signed)
			_, err := secretsmanager.NewFromConfig(load(sent)).GetSecretValue(t.Context(),
				&secretsmanager.GetSecretValueInput{SecretId: new("a"), VersionStage: new("AWSCURRENT")})
			require.ErrorContains(t, err, "ValidationException")
			r := sent.request.Clone(context.WithoutCancel(t.Context()))
			r.Body = io.NopCloser(bytes.NewReader(sent.body))
			c.change(r)

			vault := new(awstest.SecretsManager)
			vault.Put("a", "value")
			w := httptest.NewRecorder()
			vault.ServeHTTP(w, r)
			if c.want == "" {
				assert.Contains(t, w.Body.String(), `"SecretString":"value"`)
				assert.Len(t, vault.Reads(), 1)
				return
			}
			assert.Contains(t, w.Body.String(), c.want)
			assert.Empty(t, vault.Reads())
		})
	}
}

func TestAScriptEndsWithItsLastAnswer(t *testing.T) {
	t.Parallel()
	bus := new(awstest.EventBridge)
	c := load(bus)
	put := func() bool {
		out, err := eventbridge.NewFromConfig(c).PutEvents(t.Context(), &eventbridge.PutEventsInput{
			Entries: []types.PutEventsRequestEntry{{Source: new("s"), DetailType: new("t"), Detail: new("{}")}},
		})
		return err == nil && out.FailedEntryCount == 0
	}
	assert.True(t, put())
	bus.Script(nil, awstest.FailEntry("InternalFailure"), awstest.Abort)
	assert.True(t, put())
	for range 3 {
		assert.False(t, put())
	}
	bus.Script()
	assert.True(t, put())
	assert.Equal(t, 6, bus.Attempts())
	assert.Len(t, bus.Entries(), 3)
}
