package secret

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"registrar/pkg/client"
)

// Config says where the credentials are: in the environment itself, or in the secret it names.
type Config struct {
	Credentials client.Credentials
	ID          ID `env:"HUAWEICLOUD_CREDENTIALS_SECRET"` // of the secret; empty: Credentials hold
}

// Validate names each variable that is missing, or that is set although a secret is named.
func (c Config) Validate() error {
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
		case c.ID != "" && v.set:
			errs = append(errs, fmt.Errorf("%s: is set, and so is HUAWEICLOUD_CREDENTIALS_SECRET; unset one of them", v.name))
		case c.ID == "" && !v.set && v.required:
			errs = append(errs, fmt.Errorf("%s: is not set, nor is HUAWEICLOUD_CREDENTIALS_SECRET", v.name))
		}
	}
	return errors.Join(errs...)
}

// ID is the name or the ARN of a secret. An ARN also says in which region the secret is.
type ID string

// UnmarshalText takes a name or an ARN. Its error doesn't show the text: that may be the value of the secret, put in the wrong place.
func (id *ID) UnmarshalText(text []byte) error {
	*id = ID(text)
	if !regexp.MustCompile(`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@!-]{1,520}$`).Match(text) {
		return errors.New("must be the name or the ARN of a secret in AWS Secrets Manager")
	}
	return nil
}

// region is empty for a name.
func (id ID) region() string {
	if parts := strings.Split(string(id), ":"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}
