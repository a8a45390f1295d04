package awsapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

const (
	retrieveLimit = 5 * time.Second // time for one attempt to get credentials
	maxToken      = 40_000          // bytes of a file with a token that are read
)

// credentials finds where credentials come from. Those that are exchanged for a token are asked for
// in the region.
func (c Config) credentials(region string) (aws.CredentialsProviderFunc, error) {
	switch {
	case c.AccessKey != "" && c.SecretKey != "":
		fixed := aws.Credentials{
			AccessKeyID: string(c.AccessKey), SecretAccessKey: string(c.SecretKey),
			SessionToken: string(c.SessionToken),
		}
		if !fitsHeader(fixed.AccessKeyID) || !fitsHeader(fixed.SessionToken) {
			return nil, attempt.Misconfigured.Errorf("AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN: contain a line break " +
				"or a character outside ASCII")
		}
		return func(context.Context) (aws.Credentials, error) { return fixed, nil }, nil
	case c.AccessKey+c.SecretKey != "":
		return nil, attempt.Misconfigured.Errorf(
			"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: set both, or none of them")
	case c.WebIdentityFile != "":
		return c.byToken(region)
	case c.Profile != "" || c.ContainerPath+c.ContainerURL == "":
		return nil, attempt.Misconfigured.Errorf("no AWS credentials are found: set AWS_ACCESS_KEY_ID and " +
			"AWS_SECRET_ACCESS_KEY, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or " +
			"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI; neither AWS_PROFILE nor files of profiles nor the " +
			"metadata of an instance are read (aws configure export-credentials --format env has what to set)")
	}
	return c.ofContainer()
}

// issued are credentials as they are handed out.
type issued struct {
	AccessKeyID     string `json:"AccessKeyId" xml:"AccessKeyId"`
	SecretAccessKey string
	Token           string    `xml:"SessionToken"`
	Expiration      time.Time // zero: they don't expire
}

func (i issued) credentials() (aws.Credentials, error) {
	if i.AccessKeyID == "" || i.SecretAccessKey == "" {
		return aws.Credentials{}, &attempt.Failure{Err: errors.New("the answer holds none"), Answered: true}
	}
	return aws.Credentials{
		AccessKeyID: i.AccessKeyID, SecretAccessKey: i.SecretAccessKey, SessionToken: i.Token,
		CanExpire: !i.Expiration.IsZero(), Expires: i.Expiration,
	}, nil
}

// byToken exchanges the token in a file for credentials of a role.
func (c Config) byToken(region string) (aws.CredentialsProviderFunc, error) {
	if c.RoleARN == "" {
		return nil, attempt.Misconfigured.Errorf("AWS_ROLE_ARN: is not set, but AWS_WEB_IDENTITY_TOKEN_FILE is")
	}
	sts, err := newClient(c, STS, region)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := attempt.Timeout(ctx, retrieveLimit)
		defer cancel()
		token, err := ReadToken(c.WebIdentityFile)
		if err != nil {
			return aws.Credentials{}, attempt.Misconfigured.Errorf("AWS_WEB_IDENTITY_TOKEN_FILE: %w", err)
		}
		var out struct {
			Credentials issued `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
		}
		if f := sts.Query(ctx, "AssumeRoleWithWebIdentity", url.Values{
			"RoleArn": {c.RoleARN}, "RoleSessionName": {cmp.Or(c.RoleSession, wire.UserAgent)},
			"WebIdentityToken": {token},
		}, &out); f != nil {
			return aws.Credentials{}, f
		}
		return out.Credentials.credentials()
	}, nil
}

// ofContainer gets the credentials that ECS or EKS has for a container. As in the SDKs, only an
// address of the machine or of these services is asked for them in clear text.
func (c Config) ofContainer() (aws.CredentialsProviderFunc, error) {
	variable, address := "AWS_CONTAINER_CREDENTIALS_FULL_URI", string(c.ContainerURL)
	if c.ContainerPath != "" {
		variable, address = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "http://169.254.170.2"+string(c.ContainerPath)
	}
	u, err := wire.ParseURL(address, "http://169.254.170.23/v1/credentials")
	if err == nil && u.Scheme != "https" && !wire.Loopback(u.Hostname()) &&
		!slices.Contains([]string{"169.254.170.2", "169.254.170.23", "fd00:ec2::23"}, u.Hostname()) {
		err = errors.New("must begin with https:// (http:// is for loopback addresses and those of ECS and EKS only)")
	}
	if err != nil {
		return nil, attempt.Misconfigured.Errorf("%s: %w", variable, err)
	}
	client := wire.Client(c.Transport)
	return func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := attempt.Timeout(ctx, retrieveLimit)
		defer cancel()
		token, err := c.containerToken()
		if err != nil {
			return aws.Credentials{}, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return aws.Credentials{}, wire.Unanswered(ctx, err, wire.Secrets{})
		}
		req.Header.Set("Accept", "application/json")
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		var out issued
		if _, f := send(client, req, json.Unmarshal, &out); f != nil {
			return aws.Credentials{}, f
		}
		return out.credentials()
	}, nil
}

// containerToken is what a container shows to be given credentials, empty if it needs nothing. A
// file is read each time, since it is replaced all the time.
func (c Config) containerToken() (token string, err error) {
	variable, token := "AWS_CONTAINER_AUTHORIZATION_TOKEN", string(c.ContainerToken)
	if c.ContainerTokenFile != "" {
		variable += "_FILE"
		token, err = ReadToken(c.ContainerTokenFile)
	}
	if err == nil && !fitsHeader(token) {
		err = errors.New("contains a line break or a character outside ASCII")
	}
	if err != nil {
		return "", attempt.Misconfigured.Errorf("%s: %w", variable, err)
	}
	return token, nil
}

func fitsHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// ReadToken reads a file with a token, and takes white space around it away. Of one that is far too
// large it reads the beginning. Its error doesn't show the name, which may be the token, put in the
// wrong place.
func ReadToken(name string) (token string, err error) {
	defer func() {
		if inner, ok := errors.AsType[*fs.PathError](err); ok {
			err = inner.Err
		}
	}()
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular(): // another one may block for ever
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	return string(bytes.TrimSpace(text)), err
}
