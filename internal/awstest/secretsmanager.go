package awstest

import (
	"maps"
	"net/http"
	"slices"
)

// SecretsManager is a fake AWS Secrets Manager. It holds the AWSCURRENT versions of secrets. The
// zero SecretsManager holds none. It is safe for concurrent use.
type SecretsManager struct {
	script
	secrets map[string]map[string]any // by name or ARN, as they are asked for
	reads   []string
}

// Put sets the text of a secret, which is asked for by the name or ARN id.
func (s *SecretsManager) Put(id, text string) { s.put(id, "SecretString", text) }

// PutBinary sets the binary value of a secret.
func (s *SecretsManager) PutBinary(id string, value []byte) { s.put(id, "SecretBinary", value) }

func (s *SecretsManager) put(id, field string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = map[string]map[string]any{}
	}
	s.secrets[id] = map[string]any{field: value}
}

// Reads returns the region and the id of each request so far, as "eu-central-1 name".
func (s *SecretsManager) Reads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reads)
}

func (s *SecretsManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ SecretId, VersionStage string } //nolint:revive // AWS spells it so
	region, ok := call{"secretsmanager", "secretsmanager", "secretsmanager.GetSecretValue"}.read(w, r, &in)
	if !ok {
		return
	}
	s.mu.Lock()
	s.reads = append(s.reads, region+" "+in.SecretId)
	answer, value := s.next(), s.secrets[in.SecretId]
	s.mu.Unlock()

	switch {
	case answer != nil:
		answer(w, r)
	case value == nil || in.VersionStage != "AWSCURRENT":
		Refuse(http.StatusBadRequest, "ResourceNotFoundException")(w, r)
	default:
		body := map[string]any{
			"ARN":       "arn:aws:secretsmanager:" + region + ":123456789012:secret:" + in.SecretId + "-a1B2c3",
			"Name":      in.SecretId,
			"VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", "VersionStages": []string{"AWSCURRENT"},
			"CreatedDate": 1523477145.713,
		}
		maps.Copy(body, value)
		reply(w, http.StatusOK, body)
	}
}
