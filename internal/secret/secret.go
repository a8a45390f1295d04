// Package secret finds the Huawei Cloud credentials for the client: in the environment, or in AWS Secrets Manager.
//
// The value of the secret is a JSON object, as text or binary:
//
//	{"ak": "...", "sk": "...", "security_token": "...", "domain_id": "..."}
//
// The last two may be absent, empty or null. Other keys are ignored, as the tool that rotates the secret may keep its own there. The
// version labelled AWSCURRENT counts. Reading it takes secretsmanager:GetSecretValue, and kms:Decrypt for a key of one's own.
//
// Region, endpoint and credentials of AWS are found as every AWS SDK finds them; an ARN has a region of its own, which goes before.
// Nothing is kept from one read to the next: the client keeps credentials and asks anew when Huawei Cloud refuses them.
package secret

import (
	"context"
	"crypto/tls"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"registrar/pkg/client"
)

const (
	attempts     = 3 // of one read
	attemptLimit = 5 * time.Second
	stage        = "AWSCURRENT"
)

// New gives the credentials of c. It calls nothing; the func it returns is safe for concurrent use and reads the secret on each call,
// within the deadline of its context. An error names the secret, shows nothing of its value, and wraps [client.ErrMisconfigured] unless it
// may cure itself.
func New(c Config) client.CredentialsFunc {
	if c.ID == "" {
		return client.Static(c.Credentials)
	}
	return newSource(c.ID).read
}

// source is one secret. The AWS client is made by the first read, so that programs without a secret never look for an AWS configuration.
type source struct {
	id   ID
	http *awshttp.BuildableClient
	load func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error)

	lock sync.Mutex
	api  *secretsmanager.Client
}

func newSource(id ID) *source {
	return &source{id: id, http: awshttp.NewBuildableClient().WithTimeout(attemptLimit), load: config.LoadDefaultConfig}
}

func (s *source) read(ctx context.Context) (client.Credentials, error) {
	api, err := s.connect(ctx)
	if err != nil {
		return client.Credentials{}, err
	}
	answer, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: new(string(s.id)), VersionStage: new(stage)})
	if err != nil {
		return client.Credentials{}, s.failure(err)
	}
	value := answer.SecretBinary
	if answer.SecretString != nil {
		value = []byte(*answer.SecretString)
	}
	if value == nil { // no version of a secret is without one: something else than AWS answered
		return client.Credentials{}, fmt.Errorf("secret %s: the answer holds no value", s.id)
	}
	credentials, err := decode(value)
	if err != nil {
		return client.Credentials{}, fmt.Errorf(`%w: secret %s: its value must be like {"ak": "...", "sk": "..."}: %w`, client.ErrMisconfigured, s.id, err)
	}
	return credentials, nil
}

func (s *source) connect(ctx context.Context) (*secretsmanager.Client, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.api != nil {
		return s.api, nil
	}
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(s.http), config.WithRetryMaxAttempts(attempts)}
	if region := s.id.region(); region != "" {
		options = append(options, config.WithRegion(region))
	}
	loaded, err := s.load(ctx, options...)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("secret %s: %w", s.id, err)
	case err != nil:
		return nil, fmt.Errorf("%w: secret %s: mend the AWS configuration: %w", client.ErrMisconfigured, s.id, err)
	case loaded.Region == "":
		return nil, fmt.Errorf("%w: secret %s: no AWS region is known: set AWS_REGION, or give the ARN of the secret", client.ErrMisconfigured, s.id)
	}
	s.api = secretsmanager.NewFromConfig(loaded)
	return s.api, nil
}

// failure says what err means. What the SDK would retry is transient, as is whatever came without an answer.
func (s *source) failure(err error) error {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	transient := retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err).Bool() && !untrusted

	status, code := 0, ""
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = response.HTTPStatusCode() // 0 if none came
	}
	refusal, spoke := errors.AsType[interface {
		error
		ErrorCode() string
	}](err)
	switch {
	case spoke:
		code = refusal.ErrorCode()
	case status != 0: // somebody answered, but not as AWS does, and err may quote from it
		err = fmt.Errorf("the answer, of status %d, can't be read", status)
	}
	if !transient && (untrusted || final(status)) {
		return fmt.Errorf("%w: secret %s: %s: %w", client.ErrMisconfigured, s.id, remedy(code), err)
	}
	return fmt.Errorf("secret %s: %w", s.id, err)
}

// final is true of the statuses that stay the same however often one asks.
func final(status int) bool {
	return status >= 300 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

func remedy(code string) string {
	switch code {
	case "ResourceNotFoundException":
		return "create it, or correct HUAWEICLOUD_CREDENTIALS_SECRET or the AWS region"
	case "AccessDeniedException":
		return "allow secretsmanager:GetSecretValue on it, and kms:Decrypt on its key"
	case "DecryptionFailure":
		return "allow kms:Decrypt on its key, and see that the key is enabled"
	case "InvalidRequestException":
		return "restore it if it is to be deleted"
	case "InvalidParameterException", "ValidationException":
		return "correct HUAWEICLOUD_CREDENTIALS_SECRET"
	default:
		return "check the AWS credentials and the way to AWS Secrets Manager"
	}
}

// decode reads the value of a secret. Errors of encoding/json are replaced, since they quote.
func decode(value []byte) (client.Credentials, error) {
	var object map[string]json.RawMessage // its keys are exact, those of a struct are not
	if err := json.Unmarshal(value, &object); err != nil || object == nil {
		return client.Credentials{}, errors.New("it is no JSON object")
	}
	var (
		c    client.Credentials
		errs []error
	)
	for _, field := range []struct {
		key      string
		target   encoding.TextUnmarshaler
		required bool
	}{
		{"ak", &c.AccessKey, true},
		{"sk", &c.SecretKey, true},
		{"security_token", &c.SecurityToken, false},
		{"domain_id", &c.DomainID, false},
	} {
		var text string
		if raw, ok := object[field.key]; ok && json.Unmarshal(raw, &text) != nil {
			errs = append(errs, fmt.Errorf("%s: is no string", field.key))
			continue
		}
		if text == "" && field.required {
			errs = append(errs, fmt.Errorf("%s: is missing", field.key))
		}
		if err := field.target.UnmarshalText([]byte(text)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field.key, err))
		}
	}
	return c, errors.Join(errs...)
}
