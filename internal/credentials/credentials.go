// Package credentials finds the Huawei Cloud credentials for the client. They stand in the
// environment or in AWS Secrets Manager, or they are temporary ones of an agency, got without a
// stored key in exchange for an OpenID Connect token, or with keys that can do nothing else.
//
// Region, endpoint and credentials of AWS are found as package awsapi says.
package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"unicode"
	"unicode/utf8"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

// Config says where the credentials are: in the environment itself, in the secret it names, or with
// the agency that trusts an OIDC token. Given says that the host gives other ones with each
// invocation, so that there may be none here.
type Config struct {
	Keys      client.Credentials
	Secret    SecretID `env:"HUAWEICLOUD_CREDENTIALS_SECRET"`
	OIDC      OIDC
	AgencyURN AgencyURN `env:"HUAWEICLOUD_AGENCY_URN"`     // the keys only assume this agency; empty for none
	NoPolicy  Off       `env:"HUAWEICLOUD_SESSION_POLICY"` // don't bound an agency by the function's session policy

	AWS awsapi.Config // for a secret, and a token of AWS

	Given bool
}

// OIDC is an agency that trusts the tokens of an OpenID Connect provider. The zero OIDC is none.
type OIDC struct {
	ProviderURN ProviderURN `env:"HUAWEICLOUD_OIDC_PROVIDER_URN"`
	AgencyURN   AgencyURN   `env:"HUAWEICLOUD_OIDC_AGENCY_URN"`
	Audience    string      `env:"HUAWEICLOUD_OIDC_AUDIENCE"`   // whom AWS STS makes the token for
	TokenFile   string      `env:"HUAWEICLOUD_OIDC_TOKEN_FILE"` // has the token, instead
}

// Validate names each variable that is missing, or that is set although the credentials are
// elsewhere.
func (c Config) Validate() error {
	const secret, provider = "HUAWEICLOUD_CREDENTIALS_SECRET", "HUAWEICLOUD_OIDC_PROVIDER_URN"
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	elsewhere, keys := "", c.Keys.AccessKey+c.Keys.SecretKey+c.Keys.SecurityToken != ""
	switch {
	case c.Secret != SecretID{}:
		elsewhere = secret
	case c.OIDC != OIDC{}:
		elsewhere = provider
	}
	for _, v := range []struct {
		name          string
		set, required bool
	}{
		{"HUAWEICLOUD_SDK_AK", c.Keys.AccessKey != "", keys || !c.Given},
		{"HUAWEICLOUD_SDK_SK", c.Keys.SecretKey != "", keys || !c.Given},
		{"HUAWEICLOUD_SDK_SECURITY_TOKEN", c.Keys.SecurityToken != "", false},
		{"HUAWEICLOUD_SDK_DOMAIN_ID", c.Keys.DomainID != "" && elsewhere == secret, false}, // else it goes with all
		{provider, c.OIDC != OIDC{} && elsewhere == secret, false},
	} {
		switch {
		case elsewhere != "" && v.set:
			wrong("%s: is set, and so is %s; unset one of them", v.name, elsewhere)
		case elsewhere == "" && !v.set && v.required:
			wrong("%s: is not set, nor is %s or %s", v.name, secret, provider)
		}
	}
	switch {
	case c.AgencyURN == "":
	case c.OIDC != OIDC{}:
		wrong("HUAWEICLOUD_AGENCY_URN: must not be set together with %s; HUAWEICLOUD_OIDC_AGENCY_URN names the agency",
			provider)
	case elsewhere == "" && !keys && c.Given:
		wrong("HUAWEICLOUD_AGENCY_URN: is for keys that assume an agency, and there are none; unset it")
	}
	return errors.Join(append(errs, c.OIDC.validate())...)
}

func (o OIDC) validate() error {
	if o == (OIDC{}) {
		return nil
	}
	var errs []error
	for _, v := range [][2]string{
		{"HUAWEICLOUD_OIDC_PROVIDER_URN", string(o.ProviderURN)}, {"HUAWEICLOUD_OIDC_AGENCY_URN", string(o.AgencyURN)},
	} {
		if v[1] == "" {
			errs = append(errs, fmt.Errorf("%s: is not set, but other HUAWEICLOUD_OIDC_ variables are", v[0]))
		}
	}
	switch {
	case o.Audience == "" && o.TokenFile == "":
		errs = append(errs, errors.New("HUAWEICLOUD_OIDC_AUDIENCE: is not set; "+
			"name one of the provider's client ids, or set HUAWEICLOUD_OIDC_TOKEN_FILE"))
	case o.Audience != "" && o.TokenFile != "":
		errs = append(errs, errors.New("HUAWEICLOUD_OIDC_AUDIENCE: must not be set together with "+
			"HUAWEICLOUD_OIDC_TOKEN_FILE: the token in the file has an audience already"))
	}
	return errors.Join(errs...)
}

// AgencyURN names an agency, iam::<account id>:agency:<name>.
type AgencyURN string

// UnmarshalText takes the URN of an agency, or an empty text, which names none.
func (u *AgencyURN) UnmarshalText(text []byte) error {
	*u = AgencyURN(text)
	return checkURN(text, "agency")
}

// ProviderURN names an OIDC provider, iam::<account id>:oidcProvider:<name>.
type ProviderURN string

// UnmarshalText takes the URN of a provider, or an empty text, which names none.
func (u *ProviderURN) UnmarshalText(text []byte) error {
	*u = ProviderURN(text)
	return checkURN(text, "oidcProvider")
}

func checkURN(text []byte, kind string) error {
	if len(text) == 0 {
		return nil
	}
	const longestID, longestName = 64, 128 // characters
	form := regexp.MustCompile(`^iam::([A-Za-z0-9_-]+):` + kind + `:([^:]+)$`).FindSubmatch(text)
	if form == nil || len(form[1]) > longestID || utf8.RuneCount(form[2]) > longestName ||
		bytes.ContainsFunc(form[2], func(r rune) bool { return unicode.Is(unicode.C, r) }) {
		return fmt.Errorf("must be like iam::<account id>:%s:<name>", kind)
	}
	return nil
}

// Off is whether something is switched off.
type Off bool

// UnmarshalText takes "off", or an empty text, which leaves it on.
func (o *Off) UnmarshalText(text []byte) error {
	*o = string(text) == "off"
	if len(text) > 0 && !*o {
		return errors.New("must be off, or not set")
	}
	return nil
}

// New makes the func that returns the credentials of c. New itself calls nothing, and makes no
// client of anything that isn't configured. Its error is misconfigured: that of Validate, or else
// what is wrong with the configuration of AWS.
//
// Calls to STS are made as api says. Agencies are assumed by the name of the session, bounded by
// its policy unless that is switched off.
//
// The func is safe for concurrent use. It reads the secret or assumes the agency on each call,
// within the deadline of its context, and keeps nothing: the client keeps credentials, and asks
// again before they expire and when Huawei Cloud refuses them. Its error shows no credentials.
func New(c Config, api client.Config, session client.Session) (client.CredentialsFunc, error) {
	if err := c.Validate(); err != nil {
		return nil, attempt.Misconfigured.Errorf("%w", err)
	}
	if c.NoPolicy {
		session.Policy = ""
	}
	if c.OIDC != (OIDC{}) {
		return withOIDC(c, api, session)
	}
	keys := client.Static(c.Keys)
	switch {
	case c.Secret != SecretID{}:
		var err error
		if keys, err = fromSecretsManager(c.AWS, c.Secret); err != nil {
			return nil, err
		}
	case c.Keys.AccessKey == "":
		return none, nil
	}
	if c.AgencyURN == "" {
		return keys, nil
	}
	sts := client.New(api, keys)
	session.AgencyURN = string(c.AgencyURN)
	return func(ctx context.Context) (client.Credentials, error) { return sts.AssumeAgency(ctx, session) }, nil
}

// none is for an invocation to which the host gave nothing.
func none(context.Context) (client.Credentials, error) {
	return client.Credentials{}, attempt.Misconfigured.Errorf("there are none: give the function an agency, " +
		"or set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
}
