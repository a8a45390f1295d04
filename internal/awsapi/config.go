package awsapi

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// Config is what the environment says about AWS, in the variables of the AWS SDKs. What they say is
// checked by [New] alone, since most of them are set where AWS isn't called, too.
type Config struct {
	Region        string `env:"AWS_REGION"`
	DefaultRegion string `env:"AWS_DEFAULT_REGION"` // if there is no Region

	// Where credentials come from. The first that is set is taken.
	AccessKey          Secret `env:"AWS_ACCESS_KEY_ID"`
	SecretKey          Secret `env:"AWS_SECRET_ACCESS_KEY"`
	SessionToken       Secret `env:"AWS_SESSION_TOKEN"`
	WebIdentityFile    string `env:"AWS_WEB_IDENTITY_TOKEN_FILE"` // as on EKS
	RoleARN            string `env:"AWS_ROLE_ARN"`
	RoleSession        string `env:"AWS_ROLE_SESSION_NAME"`
	Profile            string `env:"AWS_PROFILE"`                            // is refused
	ContainerPath      Secret `env:"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"` // as on ECS
	ContainerURL       Secret `env:"AWS_CONTAINER_CREDENTIALS_FULL_URI"`     // as with EKS Pod Identity
	ContainerToken     Secret `env:"AWS_CONTAINER_AUTHORIZATION_TOKEN"`
	ContainerTokenFile string `env:"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"` // goes before ContainerToken

	Endpoint               string `env:"AWS_ENDPOINT_URL"` // for services without one of their own
	EventBridgeEndpoint    string `env:"AWS_ENDPOINT_URL_EVENTBRIDGE"`
	SecretsManagerEndpoint string `env:"AWS_ENDPOINT_URL_SECRETS_MANAGER"`
	STSEndpoint            string `env:"AWS_ENDPOINT_URL_STS"`
	IgnoreEndpoints        bool   `env:"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"`

	// These are refused.
	CABundle  string `env:"AWS_CA_BUNDLE"`
	FIPS      bool   `env:"AWS_USE_FIPS_ENDPOINT"`
	DualStack bool   `env:"AWS_USE_DUALSTACK_ENDPOINT"`

	Transport http.RoundTripper // nil: the transport of [wire.Client]
}

// Secret is a value that no verb shows.
type Secret string

// Format implements [fmt.Formatter], for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, wire.Redacted) }

// MarshalText implements [encoding.TextMarshaler], and so JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(wire.Redacted), nil }

// Service is a service of AWS. It is what requests are signed for, and what its hosts begin with.
type Service string

// The services that are called.
const (
	EventBridge    Service = "events"
	SecretsManager Service = "secretsmanager"
	STS            Service = "sts"
)

// URL is where a service is called in a region: what the environment says, or AWS itself. The
// error names the variables.
func (c Config) URL(service Service, region string) (string, error) {
	var variable, own string
	switch service {
	case EventBridge:
		variable, own = "AWS_ENDPOINT_URL_EVENTBRIDGE", c.EventBridgeEndpoint
	case SecretsManager:
		variable, own = "AWS_ENDPOINT_URL_SECRETS_MANAGER", c.SecretsManagerEndpoint
	case STS:
		variable, own = "AWS_ENDPOINT_URL_STS", c.STSEndpoint
	}
	text := cmp.Or(own, c.Endpoint)
	if text == "" || c.IgnoreEndpoints {
		return "https://" + string(service) + "." + region + "." + domain(region) + "/", nil
	}
	u, err := wire.ParseURL(text, "http://localhost:4566")
	if err != nil {
		return "", attempt.Misconfigured.Errorf("%s or AWS_ENDPOINT_URL: %w", variable, err)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// domain is what the names of hosts in a region end with, which tells the partition.
func domain(region string) string {
	for _, partition := range []struct{ prefix, domain string }{
		{"cn-", "amazonaws.com.cn"},
		{"eusc-", "amazonaws.eu"},
		{"us-iso-", "c2s.ic.gov"},
		{"us-isob-", "sc2s.sgov.gov"},
		{"eu-isoe-", "cloud.adc-e.uk"},
		{"us-isof-", "csp.hci.ic.gov"},
	} {
		if strings.HasPrefix(region, partition.prefix) {
			return partition.domain
		}
	}
	return "amazonaws.com" // also of us-gov-
}

// check refuses what would have calls go another way than they go here, and says what to do.
func (c Config) check() error {
	const endpoints = "isn't followed; unset it, and set AWS_ENDPOINT_URL_EVENTBRIDGE, _SECRETS_MANAGER and _STS"
	switch {
	case c.CABundle != "":
		return attempt.Misconfigured.Errorf("AWS_CA_BUNDLE: isn't read; unset it, and set SSL_CERT_FILE")
	case c.FIPS:
		return attempt.Misconfigured.Errorf("AWS_USE_FIPS_ENDPOINT: %s", endpoints)
	case c.DualStack:
		return attempt.Misconfigured.Errorf("AWS_USE_DUALSTACK_ENDPOINT: %s", endpoints)
	}
	return nil
}

func checkRegion(region string) error {
	const longest = 63
	switch {
	case region == "":
		return attempt.Misconfigured.Errorf(
			"no AWS region is known: set AWS_REGION, or give an ARN, which has a region in it")
	case len(region) > longest || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(region):
		return attempt.Misconfigured.Errorf("AWS_REGION: must be a region such as eu-central-1")
	}
	return nil
}
