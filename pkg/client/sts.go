package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// sessionTime is how long assumed credentials hold: what STS gives if nothing else is asked for,
// the most for an agency that is assumed with credentials that are temporary themselves, and never
// more than an agency allows.
const sessionTime = time.Hour

// maxKeys is how many bytes credentials may have together: they are sent with each call.
const maxKeys = 32 << 10

// Session describes the temporary credentials that are wanted.
type Session struct {
	AgencyURN string // iam::<account id>:agency:<name>
	Name      string // 2 to 128 characters; traces name it
	Policy    string // bounds what the agency allows, JSON of 2 to 2048 characters; empty bounds nothing
}

func (s Session) fields() map[string]any {
	fields := map[string]any{
		"agency_urn": s.AgencyURN, "agency_session_name": s.Name, "duration_seconds": int(sessionTime.Seconds()),
	}
	if s.Policy != "" {
		fields["policy"] = s.Policy
	}
	return fields
}

// AssumeAgency gets temporary credentials of an agency. The client's own credentials need the right
// sts:agencies:assume on it. If they have a DomainID, so have those of the agency: its account. An
// error is transient or misconfigured.
//
// Source: page AssumeAgency of the IAM API reference.
func (c *Client) AssumeAgency(ctx context.Context, session Session) (Credentials, error) {
	const name = "AssumeAgency"
	s, err := c.newSigner(ctx)
	if err != nil {
		return Credentials{}, operation{name: name}.failed(fmt.Errorf("credentials: %w", err))
	}
	got, err := c.assume(ctx, name, "assume", session, session.fields(), s)
	if s.credentials.DomainID != "" && err == nil {
		got.DomainID = accountIn(session.AgencyURN)
	}
	return got, err
}

// accountIn is the account whose URN it is.
func accountIn(urn string) DomainID {
	account, _, _ := strings.Cut(strings.TrimPrefix(urn, "iam::"), ":")
	return DomainID(account)
}

// AssumeAgencyWithOIDC exchanges the token of an OpenID Connect provider, iam::<account
// id>:oidcProvider:<name>, for temporary credentials of an agency that trusts it. The client's own
// credentials aren't used. An error is transient or misconfigured.
//
// Source: page AssumeAgencyWithOIDC of the IAM API reference.
func (c *Client) AssumeAgencyWithOIDC(
	ctx context.Context, session Session, providerURN string, token Secret,
) (Credentials, error) {
	fields := session.fields()
	fields["provider_urn"] = providerURN
	fields["id_token"] = string(token)
	s := &signer{unsigned: true, loaded: loaded{
		secrets: wire.NewSecrets(append(strings.Split(string(token), "."), string(token))...), // parts are quoted, too
	}}
	return c.assume(ctx, "AssumeAgencyWithOIDC", "assume-with-oidc", session, fields, s)
}

// assume posts the fields and reads temporary credentials from the answer.
func (c *Client) assume(
	ctx context.Context, name, path string, session Session, fields map[string]any, s *signer,
) (Credentials, error) {
	body, _ := json.Marshal(fields) // strings and a number can't fail
	var assumed Credentials
	_, err := c.doAs(ctx, operation{
		name, http.MethodPost, c.config.STS.URL("v5", "agencies", path), body,
		func(answer object, _ wire.Secrets) (err error) {
			assumed, err = readAssumed(answer)
			return err
		},
	}, s)
	switch {
	case attempt.KindOf(err) == attempt.Refused && err != nil: // there is no state to read
		return Credentials{}, attempt.Misconfigured.Errorf("%w", err)
	case err != nil:
		return Credentials{}, err
	}
	assumed.Narrowed = session.Policy != ""
	return assumed, nil
}

// readAssumed reads the credentials of an answer. An expiration that can't be read is the time that
// was asked for.
func readAssumed(answer object) (Credentials, error) {
	got, err := member[struct {
		AccessKey     Secret          `json:"access_key_id"`
		SecretKey     Secret          `json:"secret_access_key"`
		SecurityToken Secret          `json:"security_token"`
		Expiration    json.RawMessage `json:"expiration"`
	}](answer, "credentials")
	if err != nil {
		return Credentials{}, err
	}
	if got.AccessKey == "" || got.SecretKey == "" || got.SecurityToken == "" {
		return Credentials{}, errors.New("it has no credentials")
	}
	if len(got.AccessKey)+len(got.SecretKey)+len(got.SecurityToken) > maxKeys {
		return Credentials{}, fmt.Errorf("its credentials are longer than %d bytes", maxKeys)
	}
	expires, err := time.Parse(time.RFC3339, text(got.Expiration))
	if err != nil {
		expires = time.Now().Add(sessionTime)
	}
	return Credentials{
		AccessKey: got.AccessKey, SecretKey: got.SecretKey, SecurityToken: got.SecurityToken, Expires: expires,
	}, nil
}
