package frontdoor

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
)

// vault speaks the wire format of AWS Secrets Manager.
type vault struct {
	mu     sync.Mutex
	value  string
	status int // instead of the value, if not 0
	code   string
	reads  int
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || !strings.Contains(r.Header.Get("Authorization"), "/secretsmanager/aws4_request") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if v.status != 0 {
		w.WriteHeader(v.status)
		_, _ = io.WriteString(w, `{"__type":"`+v.code+`","message":"no"}`)
		return
	}
	v.reads++
	_ = json.NewEncoder(w).Encode(map[string]string{"Name": "huaweicloud", "SecretString": v.value})
}

func (v *vault) set(keys huaweitest.Credentials) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.value = fmt.Sprintf(`{"ak":%q,"sk":%q,"security_token":%q,"domain_id":%q}`, keys.AccessKey, keys.SecretKey, keys.SecurityToken, keys.DomainID)
}

// newVault makes the stage's credentials come from a secret.
func newVault(t *testing.T, s *stage) *vault {
	t.Helper()
	v := new(vault)
	v.set(s.keys)
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	for _, name := range []string{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN", "HUAWEICLOUD_SDK_DOMAIN_ID"} {
		delete(s.env, name)
	}
	s.env["HUAWEICLOUD_CREDENTIALS_SECRET"] = "huaweicloud"
	s.env["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = server.URL
	s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"] = "AKIDEXAMPLE", "awssecretexample"
	return v
}

func TestARotationLosesNothing(t *testing.T) {
	t.Parallel()
	const rotations, batches = 3, 4
	s := newStage(t)
	v := newVault(t, s)
	s.env["CONCURRENCY"] = "5"
	f := s.start(t, "register-admin")
	secrets := []string{s.keys.SecretKey, s.keys.SecurityToken}

	n := 0
	flow := func() {
		for range batches {
			var records []string
			for range 10 {
				n++
				id := fmt.Sprintf("account-%d", n)
				s.AddAccount(id, "active")
				records = append(records, strings.TrimSuffix(strings.TrimPrefix(queued(id, adopt(id)), `{"Records":[`), `]}`))
			}
			answer, err := f.Invoke(t.Context(), []byte(`{"Records":[`+strings.Join(records, ",")+`]}`))
			require.NoError(t, err)
			require.JSONEq(t, `{"batchItemFailures":[]}`, string(answer.Payload), "every event ends registered")
		}
	}
	flow()
	for i := range rotations {
		old := s.keys
		s.keys.AccessKey, s.keys.SecretKey, s.keys.SecurityToken = fmt.Sprintf("AKROTATED%d", i), fmt.Sprintf("SKrotated%d", i), fmt.Sprintf("TOKENrotated%d", i)
		secrets = append(secrets, s.keys.SecretKey, s.keys.SecurityToken, s.keys.AccessKey)
		s.AddCredentials(s.keys)
		v.set(s.keys)
		s.RemoveCredentials(old.AccessKey)
		flow()
	}
	for i := 1; i <= n; i++ {
		assert.Equal(t, []string{secMaster}, s.Delegations(fmt.Sprintf("account-%d", i)))
	}
	assert.Equal(t, 1+rotations, v.reads, "one at start, one for each rotation")
	for _, secret := range append(secrets, "awssecretexample") {
		assert.NotContains(t, s.log.String(), secret)
	}
}

func TestAFailedReadOfTheSecretIsNotKept(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		status    int
		errorType string
	}{
		"InternalServiceError":      {500, "TransientError"},
		"AccessDeniedException":     {400, "MisconfiguredError"},
		"ResourceNotFoundException": {400, "MisconfiguredError"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			v := newVault(t, s)
			v.mu.Lock()
			v.status, v.code = c.status, code
			v.mu.Unlock()
			f := s.start(t, "register-region")
			_, failed := s.invokeOn(t, f, bootstrap(north))
			require.NotNil(t, failed)
			assert.Equal(t, c.errorType, failed.ErrorType)
			assert.Contains(t, failed.ErrorMessage, "secret huaweicloud")
			v.mu.Lock()
			v.status = 0
			v.mu.Unlock()
			r, failed := s.invokeOn(t, f, bootstrap(north))
			require.Nil(t, failed)
			assert.Equal(t, "registered", r.Data.Outcome)
		})
	}
}

func TestBothSourcesOfCredentialsAreOneTooMany(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["HUAWEICLOUD_CREDENTIALS_SECRET"] = "huaweicloud"
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "HUAWEICLOUD_SDK_AK: is set, and so is HUAWEICLOUD_CREDENTIALS_SECRET")
}
