// Package secret finds the Huawei Cloud credentials for the client: in the environment, or in AWS
// Secrets Manager.
//
// The value of the secret is a JSON object, as text or binary:
//
//	{"ak": "...", "sk": "...", "security_token": "...", "domain_id": "..."}
//
// The last two may be absent, empty or null. Other keys are ignored, since the tool that rotates
// the secret may keep its own there, and so is a UTF-8 byte order mark. The version AWSCURRENT is
// read. That needs the right secretsmanager:GetSecretValue, and kms:Decrypt if the secret has its
// own key.
//
// Region, endpoint and credentials of AWS are found as every AWS SDK finds them. The secret is read
// in the region of its ARN, if it is given as one.
package secret

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"registrar/internal/awsapi"
	"registrar/pkg/client"
)

// Config says where the credentials are: in the environment itself, or in the secret it names.
type Config struct {
	Credentials client.Credentials
	ID          ID `env:"HUAWEICLOUD_CREDENTIALS_SECRET"` // the secret; the zero ID means that Credentials are used

	LoadAWS awsapi.Load // finds the configuration of AWS; nil reads it from the environment
}

// Validate names each variable that is missing, or that is set although a secret is named.
func (c Config) Validate() error {
	stored := c.ID != ID{}
	var errs []error
	for _, v := range []struct {
		name     string
		set      bool
		required bool
	}{
		{"HUAWEICLOUD_SDK_AK", c.Credentials.AccessKey != "", true},
		{"HUAWEICLOUD_SDK_SK", c.Credentials.SecretKey != "", true},
		{"HUAWEICLOUD_SDK_SECURITY_TOKEN", c.Credentials.SecurityToken != "", false},
		{"HUAWEICLOUD_SDK_DOMAIN_ID", c.Credentials.DomainID != "", false},
	} {
		switch {
		case stored && v.set:
			errs = append(errs, fmt.Errorf(
				"%s: is set, and so is HUAWEICLOUD_CREDENTIALS_SECRET; unset one of them", v.name))
		case !stored && !v.set && v.required:
			errs = append(errs, fmt.Errorf("%s: is not set, nor is HUAWEICLOUD_CREDENTIALS_SECRET", v.name))
		}
	}
	return errors.Join(errs...)
}

// ID is the name or the ARN of a secret. The zero ID names none.
type ID struct {
	name   string // name or ARN
	region string // the region in the ARN; empty for a name
}

// UnmarshalText takes a name or an ARN. Its error doesn't show the text, which may be the value of
// the secret, put in the wrong place.
func (id *ID) UnmarshalText(text []byte) error {
	match := regexp.MustCompile(`^(?:arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:)?` +
		`[A-Za-z0-9/_+=.@!-]{1,520}$`).FindStringSubmatch(string(text))
	if match == nil {
		return errors.New("must be the name or the ARN of a secret in AWS Secrets Manager")
	}
	*id = ID{name: match[0], region: match[1]}
	return nil
}

// New makes the func that returns the credentials of c. New itself calls nothing. Its error is
// misconfigured, and says what is wrong with the configuration of AWS.
//
// The func is safe for concurrent use. It reads the secret on each call, within the deadline of its
// context, and keeps nothing: the client keeps credentials, and asks again when Huawei Cloud
// refuses them. Its error names the secret and shows nothing of its value.
func New(ctx context.Context, c Config) (client.CredentialsFunc, error) {
	if c.ID == (ID{}) {
		return client.Static(c.Credentials), nil
	}
	return fromAWS(ctx, c.LoadAWS, c.ID)
}
