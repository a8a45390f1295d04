package secret

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vault is a fake AWS Secrets Manager that holds one secret, as the AWSCURRENT version. It checks what it is sent and answers as the real one does.
type vault struct {
	t     *testing.T
	conns chan net.Conn
	down  error // what dialling fails with

	lock   sync.Mutex
	id     string
	value  map[string]any     // SecretString or SecretBinary
	faults []http.HandlerFunc // the answers to the next requests; the last one is repeated
	asked  []string           // region and id of each request
}

// newVault starts a vault in a bubble of testing/synctest: its network is made of pipes.
func newVault(t *testing.T, id, value string) *vault {
	v := &vault{t: t, id: id, conns: make(chan net.Conn)}
	v.rotate(value)
	server := &http.Server{Handler: v}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(v) }()
	t.Cleanup(func() {
		server.Close()
		assert.ErrorIs(t, <-stopped, http.ErrServerClosed)
	})
	return v
}

// source reads from the vault. It is what New uses but for the network and for what AWS would find in the process environment.
func (v *vault) source(id ID, region string) *source {
	s := newSource(id)
	s.http = s.http.WithTransportOptions(func(t *http.Transport) {
		t.Proxy = nil
		t.DialTLSContext = v.dial // plain, so that there is no certificate to fake
	})
	s.load = func(_ context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
		o := config.LoadOptions{Region: region}
		for _, option := range options {
			require.NoError(v.t, option(&o))
		}
		return aws.Config{
			Region: o.Region, HTTPClient: o.HTTPClient, RetryMaxAttempts: o.RetryMaxAttempts,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "example", SessionToken: "session"}, nil
			}),
		}, nil
	}
	return s
}

func (v *vault) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if v.down != nil {
		return nil, v.down
	}
	ours, theirs := net.Pipe()
	select {
	case v.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept, Close and Addr make the vault the listener of its server.
func (v *vault) Accept() (net.Conn, error) {
	conn, open := <-v.conns
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (v *vault) Close() error {
	close(v.conns)
	return nil
}

func (v *vault) Addr() net.Addr { return &net.TCPAddr{} }

func (v *vault) rotate(value string) { v.set(map[string]any{"SecretString": value}) }

func (v *vault) set(value map[string]any) {
	v.lock.Lock()
	defer v.lock.Unlock()
	v.value = value
}

func (v *vault) requests() []string {
	v.lock.Lock()
	defer v.lock.Unlock()
	return v.asked
}

func (v *vault) fault() http.HandlerFunc {
	v.lock.Lock()
	defer v.lock.Unlock()
	if len(v.faults) == 0 {
		return nil
	}
	f := v.faults[0]
	if len(v.faults) > 1 {
		v.faults = v.faults[1:]
	}
	return f
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	region := v.check(r)
	var ask struct{ SecretId, VersionStage string } //nolint:revive // AWS spells it so
	body, err := io.ReadAll(r.Body)
	assert.NoError(v.t, err)
	assert.NoError(v.t, json.Unmarshal(body, &ask))
	assert.Equal(v.t, "AWSCURRENT", ask.VersionStage)
	v.lock.Lock()
	v.asked = append(v.asked, region+" "+ask.SecretId)
	value := v.value
	v.lock.Unlock()

	if fault := v.fault(); fault != nil {
		fault(w, r)
		return
	}
	if ask.SecretId != v.id {
		refuse(http.StatusBadRequest, "ResourceNotFoundException")(w, r)
		return
	}
	answer := map[string]any{
		"ARN": "arn:aws:secretsmanager:" + region + ":123456789012:secret:" + v.id + "-a1B2c3", "Name": v.id, "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE",
		"VersionStages": []string{"AWSCURRENT"}, "CreatedDate": 1523477145.713,
	}
	maps.Copy(answer, value)
	reply(w, http.StatusOK, answer)
}

// check holds the request to AWS JSON 1.1 and the scope of its signature to the host, and returns the region of that.
func (v *vault) check(r *http.Request) string {
	assert.Equal(v.t, "POST /", r.Method+" "+r.URL.String())
	assert.Equal(v.t, "secretsmanager.GetSecretValue", r.Header.Get("X-Amz-Target"))
	assert.Equal(v.t, "application/x-amz-json-1.1", r.Header.Get("Content-Type"))
	assert.Equal(v.t, "session", r.Header.Get("X-Amz-Security-Token"))
	region, domain, _ := strings.Cut(strings.TrimPrefix(r.Host, "secretsmanager."), ".")
	if strings.HasPrefix(region, "cn-") {
		assert.Equal(v.t, "amazonaws.com.cn", domain)
	} else {
		assert.Equal(v.t, "amazonaws.com", domain)
	}
	scope := time.Now().UTC().Format("20060102") + "/" + region + "/secretsmanager/aws4_request"
	assert.Regexp(v.t, `^AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/`+scope+`, SignedHeaders=\S*host;\S*x-amz-target\S*, Signature=[0-9a-f]{64}$`, r.Header.Get("Authorization"))
	return region
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", "request-1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		reply(w, status, map[string]string{"__type": code, "Message": "what AWS says"})
	}
}

func garbage(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// slow doesn't answer before it is given up or a minute has passed.
func slow(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(time.Minute):
	}
}

func mustRead(t *testing.T, s *source) string {
	t.Helper()
	c, err := s.read(t.Context())
	require.NoError(t, err)
	return strings.Join([]string{string(c.AccessKey), string(c.SecretKey), string(c.SecurityToken), string(c.DomainID)}, " ")
}
