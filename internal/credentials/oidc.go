package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

const (
	algorithm    = "RS256" // as GitHub signs its tokens, which others exchange on Huawei Cloud
	tokenSeconds = "300"   // what AWS STS gives if nothing else is asked for; the token is used at once
	maxToken     = 20_000  // bytes, as many as Huawei Cloud takes
	maxClaim     = 300     // bytes of a claim that are shown
)

// A tokenFunc gets an OIDC token.
type tokenFunc func(context.Context) (client.Secret, error)

// withOIDC makes the func that gets a token and exchanges it on each call.
func withOIDC(c Config, api client.Config, session client.Session) (client.CredentialsFunc, error) {
	token := fromFile(c.OIDC.TokenFile)
	if c.OIDC.TokenFile == "" {
		var err error
		if token, err = fromAWSSTS(c.AWS, c.OIDC.Audience); err != nil {
			return nil, fmt.Errorf("OIDC token: %w", err)
		}
	}
	exchange := client.New(api, none)
	session.AgencyURN = string(c.OIDC.AgencyURN)
	return func(ctx context.Context) (client.Credentials, error) {
		t, err := token(ctx)
		if err != nil {
			return client.Credentials{}, fmt.Errorf("OIDC token: %w", err)
		}
		got, err := exchange.AssumeAgencyWithOIDC(ctx, session, string(c.OIDC.ProviderURN), t)
		answered, ok := errors.AsType[*client.APIError](err)
		if ok && answered.Status != 0 && attempt.KindOf(err) == attempt.Misconfigured {
			advice := "compare it with the provider's URL and client ids, and with the agency's trust policy"
			if at := expiry(t); c.OIDC.TokenFile != "" && at.Before(time.Now()) {
				advice = fmt.Sprintf("the token in HUAWEICLOUD_OIDC_TOKEN_FILE has expired, on %s: "+
					"see that whatever writes the file renews it", at.UTC().Format(time.RFC3339))
			}
			err = attempt.Misconfigured.Errorf("%w; Huawei Cloud was shown a token %s: %s", err, claims(t), advice)
		}
		got.DomainID = c.Keys.DomainID
		return got, err
	}, nil
}

// payload is what a token says, nil if it isn't a JSON Web Token. Nothing of it is verified.
func payload(token client.Secret) (claims map[string]any) { // a struct would also take keys in another case
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(b, &claims) != nil {
		return nil
	}
	return claims
}

// expiry is when a token expires by its own word, a time far ahead if it doesn't say.
func expiry(token client.Secret) time.Time {
	const farAhead = 1 << 40 // seconds since 1970
	at, ok := payload(token)["exp"].(float64)
	if !ok || at < 0 || at > farAhead {
		at = farAhead
	}
	return time.Unix(int64(at), 0)
}

// claims says whom a token is about, and nothing that could be used in its place.
func claims(token client.Secret) string {
	payload := payload(token)
	secrets := wire.NewSecrets(string(token))
	show := func(claim string) string {
		value, ok := payload[claim] // an audience may be an array
		if !ok {
			return "none"
		}
		return secrets.Clean(fmt.Sprint(value), maxClaim)
	}
	return fmt.Sprintf("of issuer %s for audience %s about subject %s", show("iss"), show("aud"), show("sub"))
}

// fromFile reads the token of a file, again for each exchange, since it is replaced all the time.
func fromFile(name string) tokenFunc {
	return func(context.Context) (client.Secret, error) {
		text, err := awsapi.ReadToken(name)
		var token client.Secret
		if err == nil {
			token, err = parseToken(text)
		}
		if err != nil {
			return "", attempt.Misconfigured.Errorf("HUAWEICLOUD_OIDC_TOKEN_FILE: %w", err)
		}
		return token, nil
	}
}

// parseToken checks what Huawei Cloud would refuse without a word that helps.
func parseToken(text string) (token client.Secret, err error) {
	switch {
	case len(text) == 0:
		return "", errors.New("the token is empty")
	case len(text) > maxToken:
		return "", fmt.Errorf("the token has more than %d bytes", maxToken)
	}
	if err = token.UnmarshalText([]byte(text)); err == nil && payload(token) == nil {
		err = errors.New("the token is not a JSON Web Token")
	}
	return token, err
}

// fromAWSSTS asks AWS STS for a token about the role that the function has. That needs the right
// sts:GetWebIdentityToken, and that the AWS account issues tokens at all.
func fromAWSSTS(c awsapi.Config, audience string) (tokenFunc, error) {
	api, err := awsapi.New(c, awsapi.STS, "")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (client.Secret, error) {
		token, err := ask(ctx, func(ctx context.Context) (client.Secret, *attempt.Failure) {
			var out struct {
				Token string `xml:"GetWebIdentityTokenResult>WebIdentityToken"`
			}
			if f := api.Query(ctx, "GetWebIdentityToken", url.Values{
				"Audience.member.1": {audience}, "SigningAlgorithm": {algorithm}, "DurationSeconds": {tokenSeconds},
			}, &out); f != nil {
				return "", withRemedy(f, tokenRemedy)
			}
			token, err := parseToken(out.Token)
			if err != nil { // AWS always answers with one: this was not AWS
				return "", &attempt.Failure{Err: err, Answered: true}
			}
			return token, nil
		})
		if err != nil {
			return "", fmt.Errorf("AWS STS: %w", err)
		}
		return token, nil
	}, nil
}

func tokenRemedy(code string) string {
	switch strings.TrimSuffix(code, "Exception") { // some are documented without it, and sent with it
	case "OutboundWebIdentityFederationDisabled":
		return "let the AWS account issue tokens: aws iam enable-outbound-web-identity-federation"
	case "AccessDenied":
		return "allow sts:GetWebIdentityToken for the audience HUAWEICLOUD_OIDC_AUDIENCE"
	case "JWTPayloadSizeExceeded":
		return "take tags away from the role, which are in the token"
	case "ValidationError", "InvalidParameterValue":
		return "correct HUAWEICLOUD_OIDC_AUDIENCE"
	default:
		return "check the AWS credentials and the way to AWS STS"
	}
}
