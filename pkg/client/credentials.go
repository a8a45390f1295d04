package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const redacted = "[redacted]"

// Secret is text that no log, error or encoding shows: it prints as "[redacted]" under every verb.
// Convert it to string to use it. The empty Secret prints as "[redacted]" too.
type Secret string

// Format implements [fmt.Formatter], for every verb and flag.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText implements [encoding.TextMarshaler], and so JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText takes text as it is. A character that can't stand in an HTTP header is an error that doesn't show it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return fitsHeader(text)
}

// DomainID is the id of the account that owns the credentials.
type DomainID string

// UnmarshalText takes text as it is. A character that can't stand in an HTTP header is an error.
func (d *DomainID) UnmarshalText(text []byte) error {
	*d = DomainID(text)
	return fitsHeader(text)
}

func fitsHeader(text []byte) error {
	if bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("contains white space or a character outside ASCII; was it pasted with a line break?")
	}
	return nil
}

// Credentials sign requests to Huawei Cloud. The variables are those of Huawei Cloud's SDKs. None is required by its tag, since
// credentials may come from elsewhere; whoever reads them from the environment alone must see that both keys are there.
type Credentials struct {
	AccessKey     Secret   `env:"HUAWEICLOUD_SDK_AK"`
	SecretKey     Secret   `env:"HUAWEICLOUD_SDK_SK"`
	SecurityToken Secret   `env:"HUAWEICLOUD_SDK_SECURITY_TOKEN"` // of temporary credentials; else empty
	DomainID      DomainID `env:"HUAWEICLOUD_SDK_DOMAIN_ID"`      // sent as X-Domain-Id when set
}

// redact removes the credentials from s, should a server have quoted them.
func (c Credentials) redact(s string) string {
	for _, secret := range []Secret{c.AccessKey, c.SecretKey, c.SecurityToken} {
		if secret != "" {
			s = strings.ReplaceAll(s, string(secret), redacted)
		}
	}
	return s
}

// A CredentialsFunc loads the credentials. Its result is kept until Huawei Cloud refuses it; then
// the func is called again, once for all calls that were refused. An error isn't kept.
// An error that wraps [ErrMisconfigured] is one that an operator must mend, any other is transient.
type CredentialsFunc func(context.Context) (Credentials, error)

// Static always returns c.
func Static(c Credentials) CredentialsFunc {
	return func(context.Context) (Credentials, error) { return c, nil }
}

// credentialsCache keeps what load returned and counts how often it did. The channel is the lock:
// whoever waits for it gives up with its context.
type credentialsCache struct {
	load  CredentialsFunc
	lock  chan struct{} // of capacity 1
	value Credentials
	loads int
}

// newer returns the credentials of a later load than the given one (0: of any), loading them if there are none.
func (c *credentialsCache) newer(ctx context.Context, load int) (Credentials, int, error) {
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return Credentials{}, 0, context.Cause(ctx)
	}
	if c.loads <= load {
		value, err := c.load(ctx)
		if err != nil {
			return Credentials{}, 0, err
		}
		c.value, c.loads = value, c.loads+1
	}
	return c.value, c.loads, nil
}

// signer signs the attempts of one call. It begins with the credentials at hand and our own clock.
type signer struct {
	cache   *credentialsCache
	creds   Credentials
	load    int           // that creds came from
	skew    time.Duration // the server's clock less ours
	renewed bool
}

func (c *Client) newSigner(ctx context.Context) (*signer, error) {
	creds, load, err := c.credentials.newer(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return &signer{cache: c.credentials, creds: creds, load: load}, nil
}

func (s *signer) sign(req *http.Request, body []byte) {
	Sign(req, body, s.creds, time.Now().Add(s.skew))
}

// mend reports whether the next attempt will be signed in another way, because a 401 may be the fault of
// our clock or of credentials that were replaced since. It tries each once. Services that answer 401 with a code of
// their own (Organizations.10xx) don't speak of the signature.
func (s *signer) mend(ctx context.Context, failure *APIError) (bool, error) {
	if failure.Status != http.StatusUnauthorized || strings.HasPrefix(failure.Code, "Organizations.10") {
		return false, nil
	}
	if off := failure.clockOff(); off != 0 && s.skew == 0 {
		s.skew = off
		return true, nil
	}
	if s.renewed {
		return false, nil
	}
	s.renewed = true
	creds, load, err := s.cache.newer(ctx, s.load)
	if err != nil {
		return false, fmt.Errorf("credentials: %w (wanted anew because of %s)", err, failure.Error())
	}
	other := creds != s.creds
	s.creds, s.load = creds, load
	return other, nil
}
