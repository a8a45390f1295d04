package credentials

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

// SecretID is the name or the ARN of a secret. The zero SecretID names none.
//
// The value of the secret is a JSON object, as text or binary:
//
//	{"ak": "...", "sk": "...", "security_token": "...", "domain_id": "..."}
//
// The last two may be absent, empty or null. Other keys are ignored, since the tool that rotates
// the secret may keep its own there, and so is a UTF-8 byte order mark. The version AWSCURRENT is
// read, in the region of the ARN if there is one. That needs the right
// secretsmanager:GetSecretValue, and kms:Decrypt if the secret has its own key.
type SecretID struct {
	name   string // name or ARN
	region string // the region in the ARN; empty for a name
}

// UnmarshalText takes a name or an ARN. Its error doesn't show the text, which may be the value of
// the secret, put in the wrong place.
func (id *SecretID) UnmarshalText(text []byte) error {
	const longest = 520 // characters of a name; the form has no number for them, which would make it slow
	match := regexp.MustCompile(`^(?:arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:)?` +
		`([A-Za-z0-9/_+=.@!-]+)$`).FindStringSubmatch(string(text))
	if match == nil || len(match[2]) > longest {
		return errors.New("must be the name or the ARN of a secret in AWS Secrets Manager")
	}
	*id = SecretID{name: match[0], region: match[1]}
	return nil
}

// fromSecretsManager makes the func that reads the secret on each call.
func fromSecretsManager(c awsapi.Config, id SecretID) (client.CredentialsFunc, error) {
	api, err := awsapi.New(c, awsapi.SecretsManager, id.region)
	if err != nil {
		return nil, named(id, err)
	}
	return func(ctx context.Context) (client.Credentials, error) {
		value, err := ask(ctx, func(ctx context.Context) ([]byte, *attempt.Failure) { return get(ctx, api, id.name) })
		if err != nil {
			return client.Credentials{}, named(id, err)
		}
		credentials, err := decode(value)
		if err != nil {
			return client.Credentials{}, named(id, attempt.Misconfigured.Errorf(
				`its value must be like {"ak": "...", "sk": "..."}: %w`, err))
		}
		return credentials, nil
	}, nil
}

// get makes one attempt to read the value of a secret.
func get(ctx context.Context, api *awsapi.Client, id string) ([]byte, *attempt.Failure) {
	var out struct {
		SecretString *string
		SecretBinary []byte
	}
	in := map[string]string{"SecretId": id, "VersionStage": "AWSCURRENT"}
	f := api.JSON(ctx, "secretsmanager.GetSecretValue", in, &out)
	switch {
	case f != nil:
		return nil, withRemedy(f, secretRemedy)
	case out.SecretString != nil:
		return []byte(*out.SecretString), nil
	case out.SecretBinary != nil:
		return out.SecretBinary, nil
	default: // AWS always returns one of the two: this was not AWS
		return nil, &attempt.Failure{Err: errors.New("the answer holds no value"), Answered: true}
	}
}

// named adds the name of the secret to err.
func named(id SecretID, err error) error { return fmt.Errorf("secret %s: %w", id.name, err) }

func secretRemedy(code string) string {
	switch code {
	case "ResourceNotFoundException":
		return "create it and give it a value, or correct HUAWEICLOUD_CREDENTIALS_SECRET or the AWS region"
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

// decode reads the value of a secret. Errors of encoding/json are replaced, since they quote it.
func decode(value []byte) (client.Credentials, error) {
	value = bytes.TrimPrefix(value, []byte("\ufeff")) // some editors write a byte order mark
	var object map[string]json.RawMessage             // a struct would also take keys in another case
	if err := json.Unmarshal(value, &object); err != nil || object == nil {
		return client.Credentials{}, errors.New("it is not a JSON object")
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
			errs = append(errs, fmt.Errorf("%s: must be a string", field.key))
			continue
		}
		if text == "" && field.required {
			errs = append(errs, fmt.Errorf("%s: is missing", field.key))
		}
		if err := field.target.UnmarshalText([]byte(text)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field.key, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return client.Credentials{}, err
	}
	return c, nil
}
