package frontdoor

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
)

// newVault moves the stage's credentials to a secret in a fake of Secrets Manager.
func newVault(t *testing.T, s *stage) *awstest.SecretsManager {
	t.Helper()
	v := new(awstest.SecretsManager)
	v.Put("huaweicloud", secretOf(s.keys))
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	for _, name := range []string{
		"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN", "HUAWEICLOUD_SDK_DOMAIN_ID",
	} {
		delete(s.env, name)
	}
	s.env["HUAWEICLOUD_CREDENTIALS_SECRET"] = "huaweicloud"
	s.env["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = server.URL
	s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"] = awstest.AccessKey, awstest.SecretKey
	return v
}

// secretOf is the value of a secret that holds keys.
func secretOf(keys huaweitest.Credentials) string {
	return fmt.Sprintf(`{"ak":%q,"sk":%q,"security_token":%q,"domain_id":%q}`,
		keys.AccessKey, keys.SecretKey, keys.SecurityToken, keys.DomainID)
}

func TestARotationLosesNothing(t *testing.T) {
	t.Parallel()
	const rotations, batches = 3, 4
	s := newStage(t)
	s.eventsChoose()
	v := newVault(t, s)
	s.env["CONCURRENCY"] = "5"
	f := s.start(t, "register-admin")
	secrets := []string{s.keys.SecretKey, s.keys.SecurityToken}

	n := 0
	flow := func() {
		for range batches {
			var messages []string
			for range 10 {
				n++
				id := fmt.Sprintf("account-%d", n)
				s.AddAccount(id, "active")
				messages = append(messages, message(id, adopt(id)))
			}
			answer, err := f.Invoke(t.Context(), []byte(batch(messages...)))
			require.NoError(t, err)
			require.JSONEq(t, `{"batchItemFailures":[]}`, string(answer.Payload), "every event succeeds")
		}
	}
	flow()
	for i := range rotations {
		old := s.keys
		s.keys.AccessKey, s.keys.SecretKey = fmt.Sprintf("AKROTATED%d", i), fmt.Sprintf("SKrotated%d", i)
		s.keys.SecurityToken = fmt.Sprintf("TOKENrotated%d", i)
		secrets = append(secrets, s.keys.SecretKey, s.keys.SecurityToken, s.keys.AccessKey)
		s.AddCredentials(s.keys)
		v.Put("huaweicloud", secretOf(s.keys))
		s.RemoveCredentials(old.AccessKey)
		flow()
	}
	for i := 1; i <= n; i++ {
		assert.Equal(t, []string{secMaster}, s.Delegations(fmt.Sprintf("account-%d", i)))
	}
	assert.Len(t, v.Reads(), 1+rotations, "one at start, one for each rotation")
	for _, secret := range append(secrets, awstest.SecretKey) {
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
			v.Script(awstest.Refuse(c.status, code))
			f := s.start(t, "register-region")
			_, failed := s.invokeOn(t, f, bootstrap(north))
			require.NotNil(t, failed)
			assert.Equal(t, c.errorType, failed.ErrorType)
			assert.Contains(t, failed.ErrorMessage, "secret huaweicloud")
			v.Script()
			r, failed := s.invokeOn(t, f, bootstrap(north))
			require.Nil(t, failed)
			assert.Equal(t, "registered", r.Data.Outcome)
		})
	}
}

func TestTwoSourcesOfCredentialsAreAConfigurationError(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["HUAWEICLOUD_CREDENTIALS_SECRET"] = "huaweicloud"
	failed := s.fail(t, "register-region", bootstrap(north))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "HUAWEICLOUD_SDK_AK: is set, and so is HUAWEICLOUD_CREDENTIALS_SECRET")
}
