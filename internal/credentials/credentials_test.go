package credentials

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

const (
	name = "prod/huawei-cloud"
	good = `{"ak":"AKEXAMPLE","sk":"SKexample","security_token":"TOKEN==","domain_id":"domain-1"}`
	// No header can hold these values, so they are refused. Each part of them has Ж, AK or SK in
	// it.
	bad = `{"ak":"AKЖEXAMPLE","sk":"SKЖexample"}`
)

// stored is the configuration for a secret in a fake of Secrets Manager.
func stored(t *testing.T, vault http.Handler, id string) Config {
	t.Helper()
	c := Config{AWS: awstest.Config(vault)}
	require.NoError(t, c.Secret.UnmarshalText([]byte(id)))
	return c
}

func newCredentials(t *testing.T, c Config) client.CredentialsFunc {
	t.Helper()
	credentials, err := New(c, client.Config{}, client.Session{})
	require.NoError(t, err)
	return credentials
}

func mustRead(t *testing.T, credentials client.CredentialsFunc) string {
	t.Helper()
	c, err := credentials(t.Context())
	require.NoError(t, err)
	return text(c)
}

func text(c client.Credentials) string {
	return strings.Join([]string{
		string(c.AccessKey), string(c.SecretKey), string(c.SecurityToken), string(c.DomainID),
	}, " ")
}

func TestTheConfigurationNamesOneSourceOfCredentials(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"AK": "HUAWEICLOUD_SDK_AK", "SK": "HUAWEICLOUD_SDK_SK", "TOKEN": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
		"DOMAIN": "HUAWEICLOUD_SDK_DOMAIN_ID", "SECRET": "HUAWEICLOUD_CREDENTIALS_SECRET",
		"PROVIDER": "HUAWEICLOUD_OIDC_PROVIDER_URN", "TRUSTING": "HUAWEICLOUD_OIDC_AGENCY_URN",
		"AUDIENCE": "HUAWEICLOUD_OIDC_AUDIENCE", "FILE": "HUAWEICLOUD_OIDC_TOKEN_FILE",
		"AGENCY": "HUAWEICLOUD_AGENCY_URN",
	}
	values := map[string]string{
		"PROVIDER": "iam::a1:oidcProvider:p", "TRUSTING": "iam::a1:agency:b", "AGENCY": "iam::a1:agency:c",
	}
	const none = "AK: is not set, nor is SECRET or PROVIDER\nSK: is not set, nor is SECRET or PROVIDER"
	for title, test := range map[string]struct {
		environment, errs string
		given             bool
	}{
		"keys":                     {environment: "AK SK"},
		"keys, token and domain":   {environment: "AK SK TOKEN DOMAIN"},
		"a secret":                 {environment: "SECRET"},
		"a token of AWS":           {environment: "PROVIDER TRUSTING AUDIENCE"},
		"a token in a file":        {environment: "PROVIDER TRUSTING FILE DOMAIN"},
		"keys of an agency":        {environment: "AK SK DOMAIN AGENCY"},
		"a secret for an agency":   {environment: "SECRET AGENCY"},
		"nothing":                  {environment: "", errs: none},
		"a domain alone":           {environment: "DOMAIN", errs: none},
		"one key":                  {environment: "SK", errs: "AK: is not set, nor is SECRET or PROVIDER"},
		"a token without keys":     {environment: "TOKEN", errs: none},
		"an agency without keys":   {environment: "AGENCY", errs: none},
		"given: nothing":           {given: true},
		"given: a domain":          {environment: "DOMAIN", given: true},
		"given: keys, if it isn't": {environment: "AK SK", given: true},
		"given: one key": {
			environment: "AK", given: true, errs: "SK: is not set, nor is SECRET or PROVIDER",
		},
		"given: an agency without keys": {
			environment: "AGENCY", given: true,
			errs: "AGENCY: is for keys that assume an agency, and there are none; unset it",
		},
		"keys and secret": {
			environment: "AK SK SECRET",
			errs: "AK: is set, and so is SECRET; unset one of them\n" +
				"SK: is set, and so is SECRET; unset one of them",
		},
		"a domain with a secret": {
			environment: "DOMAIN TOKEN SECRET",
			errs: "TOKEN: is set, and so is SECRET; unset one of them\n" +
				"DOMAIN: is set, and so is SECRET; unset one of them",
		},
		"keys and a token of AWS": {
			environment: "AK SK PROVIDER TRUSTING AUDIENCE",
			errs: "AK: is set, and so is PROVIDER; unset one of them\n" +
				"SK: is set, and so is PROVIDER; unset one of them",
		},
		"a secret and a token of AWS": {
			environment: "SECRET PROVIDER TRUSTING AUDIENCE",
			errs:        "PROVIDER: is set, and so is SECRET; unset one of them",
		},
		"both agencies": {
			environment: "PROVIDER TRUSTING AUDIENCE AGENCY",
			errs:        "AGENCY: must not be set together with PROVIDER; TRUSTING names the agency",
		},
		"a provider alone": {
			environment: "PROVIDER",
			errs: "TRUSTING: is not set, but other HUAWEICLOUD_OIDC_ variables are\n" +
				"AUDIENCE: is not set; name one of the provider's client ids, or set FILE",
		},
		"an audience alone": {
			environment: "AUDIENCE",
			errs: "PROVIDER: is not set, but other HUAWEICLOUD_OIDC_ variables are\n" +
				"TRUSTING: is not set, but other HUAWEICLOUD_OIDC_ variables are",
		},
		"two tokens": {
			environment: "PROVIDER TRUSTING AUDIENCE FILE",
			errs:        "AUDIENCE: must not be set together with FILE: the token in the file has an audience already",
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{}
			for variable := range strings.FieldsSeq(test.environment) {
				environment[variables[variable]] = cmp.Or(values[variable], "value")
			}
			c := Config{Given: test.given}
			require.NoError(t, envconfig.ProcessWith(t.Context(), &envconfig.Config{
				Target: &c, Lookuper: envconfig.MapLookuper(environment),
			}))
			err := c.Validate()
			if test.errs == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			message := err.Error()
			for short, variable := range variables {
				message = strings.ReplaceAll(message, variable, short)
			}
			assert.Equal(t, test.errs, message)
		})
	}
}

func TestURNsHaveTheirForm(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"": true,
		"iam::05261f923e80d3890f33c0056e9b3f80:agency:registrar": true,
		"iam::a:agency:team/registrar":                           true,
		"iam::a:agency:Verwaltung der Konten":                    true,
		"iam::a:agency:":                                         false,
		"iam::a:agency:b:c":                                      false,
		"iam::a:agency:b\n":                                      false,
		"iam:::agency:b":                                         false,
		"iam::a:oidcProvider:b":                                  false,
		" iam::a:agency:b":                                       false,
		"iam::" + strings.Repeat("a", 64) + ":agency:b":          true,
		"iam::" + strings.Repeat("a", 65) + ":agency:b":          false,
		"iam::a:agency:" + strings.Repeat("ü", 128):              true,
		"iam::a:agency:" + strings.Repeat("ü", 129):              false,
		"iam::a:agency:b\u202ec":                                 false, // it turns the text around
		"iam::a b:agency:c":                                      false,
		"arn:aws:iam::123456789012:role/a":                       false,
	} {
		var agency AgencyURN
		var provider ProviderURN
		err := agency.UnmarshalText([]byte(text))
		other := provider.UnmarshalText([]byte(strings.Replace(text, ":agency:", ":oidcProvider:", 1)))
		if good {
			require.NoError(t, err, text)
			require.NoError(t, other, text)
			assert.EqualValues(t, text, agency)
			continue
		}
		require.EqualError(t, err, "must be like iam::<account id>:agency:<name>", text)
		if !strings.Contains(text, "oidcProvider") {
			require.EqualError(t, other, "must be like iam::<account id>:oidcProvider:<name>", text)
		}
	}
	var off Off
	for text, want := range map[string]bool{"": false, "off": true} {
		require.NoError(t, off.UnmarshalText([]byte(text)))
		assert.EqualValues(t, want, off)
	}
	require.EqualError(t, off.UnmarshalText([]byte("false")), "must be off, or not set")
}

func TestASecretIsGivenByNameOrARN(t *testing.T) {
	t.Parallel()
	const refusal = "must be the name or the ARN of a secret in AWS Secrets Manager"
	for text, want := range map[string]SecretID{
		name: {name: name}, strings.Repeat("a", 520): {name: strings.Repeat("a", 520)},
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/a-a1B2c3": {
			"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/a-a1B2c3", "eu-west-1",
		},
		"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-a1B2c3": {
			"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-a1B2c3", "cn-north-1",
		},
		good: {}, "": {}, "a b": {}, "a\n": {}, "é": {}, strings.Repeat("a", 521): {}, "https://a/b": {},
		"arn:aws:ssm:eu-west-1:123456789012:secret:a":           {},
		"arn:aws:secretsmanager::123456789012:secret:a":         {},
		"arn:aws:secretsmanager:eu.west:123456789012:secret:a":  {},
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:": {},
		"arn:aws:secretsmanager:eu-west-1:1:secret:a":           {},
	} {
		t.Run(fmt.Sprintf("%.60q", text), func(t *testing.T) {
			t.Parallel()
			var id SecretID
			err := id.UnmarshalText([]byte(text))
			assert.Equal(t, want, id)
			if want == (SecretID{}) {
				require.EqualError(t, err, refusal)
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestKeysOfTheEnvironmentAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	want := client.Credentials{AccessKey: "ak", SecretKey: "sk", SecurityToken: "t", DomainID: "d"}
	got, err := newCredentials(t, Config{Keys: want})(t.Context()) // for AWS, a region would be missing
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestASecretIsReadAgainEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault := new(awstest.SecretsManager)
		vault.Put(name, good)
		credentials := newCredentials(t, stored(t, vault, name))
		assert.Empty(t, vault.Reads(), "nothing is read before the first call")
		assert.Equal(t, "AKEXAMPLE SKexample TOKEN== domain-1", mustRead(t, credentials))

		vault.Put(name, `{"ak":"AKNEW","sk":"SKnew"}`)
		assert.Equal(t, "AKNEW SKnew  ", mustRead(t, credentials))
		assert.Equal(t, []string{"us-east-1 " + name, "us-east-1 " + name}, vault.Reads())
	})
}

func TestASecretIsReadInTheRegionOfItsARN(t *testing.T) {
	t.Parallel()
	for arn, region := range map[string]string{
		"arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:a-a1B2c3":    "ap-southeast-1",
		"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-a1B2c3":     "cn-north-1",
		"arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b-c": "us-gov-west-1",
	} {
		t.Run(region, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				vault := new(awstest.SecretsManager)
				vault.Put(arn, good)
				mustRead(t, newCredentials(t, stored(t, vault, arn)))
				assert.Equal(t, []string{region + " " + arn}, vault.Reads())
			})
		})
	}
}

func TestValuesOfASecret(t *testing.T) {
	t.Parallel()
	const (
		noKeys   = "ak: is missing\nsk: is missing"
		noObject = "it is not a JSON object"
		noHeader = "contains white space"
	)
	for title, test := range map[string]struct{ value, want, err string }{
		"all four":                    {value: good, want: "AKEXAMPLE SKexample TOKEN== domain-1"},
		"a byte order mark before it": {value: "\ufeff" + good, want: "AKEXAMPLE SKexample TOKEN== domain-1"},
		"only the keys":               {value: ` {"ak":"a","sk":"s"} `, want: "a s  "},
		"optional ones empty or null": {
			value: `{"ak":"a","sk":"s","security_token":"","domain_id":null}`, want: "a s  ",
		},
		"what a rotation tool added": {
			value: `{"ak":"a","sk":"s","user_id":7,"rotated":{"by":["x"]}}`, want: "a s  ",
		},
		"keys in another case":       {value: `{"AK":"AKЖ","Sk":"SKЖ"}`, err: noKeys},
		"null for the keys":          {value: `{"ak":null,"sk":null}`, err: noKeys},
		"empty keys":                 {value: `{"ak":"","sk":""}`, err: noKeys},
		"one key":                    {value: `{"sk":"SK"}`, err: "ak: is missing"},
		"null":                       {value: `null`, err: noObject},
		"an array":                   {value: `["AKЖ"]`, err: noObject},
		"a string":                   {value: `"AKЖ"`, err: noObject},
		"what is not JSON":           {value: `Ж` + bad, err: noObject},
		"a byte order mark too many": {value: "\ufeff\ufeff" + bad, err: noObject},
		"a byte order mark alone":    {value: "\ufeff", err: noObject},
		"cut short":                  {value: bad[:20], err: noObject},
		"more after it":              {value: bad + "Ж", err: noObject},
		"nothing":                    {value: "", err: noObject},
		"numbers": {
			value: `{"ak":7313,"sk":["SK"],"security_token":{}}`,
			err:   "ak: must be a string\nsk: must be a string\nsecurity_token: must be a string",
		},
		"a line break":            {value: `{"ak":"AKEXAMPLE\n","sk":"s"}`, err: "ak: " + noHeader},
		"what no header can hold": {value: bad, err: "ak: " + noHeader},
		"a bad token": {
			value: `{"ak":"a","sk":"s","security_token":"AKЖ"}`, err: "security_token: " + noHeader,
		},
		"a bad domain":           {value: `{"ak":"a","sk":"s","domain_id":"AKЖ"}`, err: "domain_id: " + noHeader},
		"a key that isn't UTF-8": {value: "{\"ak\":\"AK\xff\",\"sk\":\"s\"}", err: "ak: " + noHeader},
	} {
		for form, put := range map[string]func(*awstest.SecretsManager){
			"as text":   func(vault *awstest.SecretsManager) { vault.Put(name, test.value) },
			"as binary": func(vault *awstest.SecretsManager) { vault.PutBinary(name, []byte(test.value)) },
		} {
			t.Run(title+" "+form, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					vault := new(awstest.SecretsManager)
					put(vault)
					credentials := newCredentials(t, stored(t, vault, name))
					if test.err == "" {
						assert.Equal(t, test.want, mustRead(t, credentials))
						return
					}
					c, err := credentials(t.Context())
					require.ErrorContains(t, err, test.err)
					require.ErrorContains(t, err, "secret "+name+": its value must be like")
					assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
					assert.Zero(t, c)
					showsNothing(t, err)
				})
			})
		}
	}
}

// showsNothing looks for parts of the values in every form of err. Each value has Ж, AK, SK or
// 7313 in it. In its errors encoding/json quotes the first byte of the Ж, or more.
func showsNothing(t *testing.T, err error) {
	t.Helper()
	encoded, _ := json.Marshal(err)
	text := fmt.Sprintf("%v %+v %#v %s", err, err, err, encoded)
	for _, part := range []string{
		"Ж", "Ð", `\u0416`, "AK", "SK", "7313", "invalid character", awstest.SessionToken,
	} {
		assert.NotContains(t, text, part)
	}
}

func TestEachFailureHasItsKind(t *testing.T) {
	t.Parallel()
	const (
		status     = http.StatusBadRequest
		unreadable = "status 200 and the answer can't be read"
		noValue    = "the answer holds no value"
	)
	for title, test := range map[string]struct {
		answer http.HandlerFunc
		kind   attempt.Kind
		want   string
	}{
		"no such secret": {
			awstest.Refuse(status, "ResourceNotFoundException"), attempt.Misconfigured, "create it and give it a value",
		},
		"access denied": {
			awstest.Refuse(status, "AccessDeniedException"),
			attempt.Misconfigured, "allow secretsmanager:GetSecretValue on it",
		},
		"decryption failure": {
			awstest.Refuse(status, "DecryptionFailure"), attempt.Misconfigured, "allow kms:Decrypt on its key",
		},
		"marked for deletion": {awstest.Refuse(status, "InvalidRequestException"), attempt.Misconfigured, "restore it"},
		"bad name": {
			awstest.Refuse(status, "InvalidParameterException"), attempt.Misconfigured,
			"correct HUAWEICLOUD_CREDENTIALS_SECRET",
		},
		"bad AWS credentials": {
			awstest.Refuse(status, "UnrecognizedClientException"), attempt.Misconfigured, "check the AWS credentials",
		},
		"expired AWS credentials": {
			awstest.Refuse(status, "ExpiredTokenException"), attempt.Transient, "ExpiredTokenException",
		},
		"a code that is not known": {
			awstest.Refuse(status, "NewException"), attempt.Transient, "status 400 NewException",
		},
		"a proxy's refusal": {
			awstest.Garbage(http.StatusForbidden, "<html>Ж</html>"), attempt.Misconfigured, "status 403",
		},
		"a redirect": {awstest.Garbage(http.StatusFound, "Ж"), attempt.Misconfigured, "status 302"},
		"throttled":  {awstest.Refuse(status, "ThrottlingException"), attempt.Transient, "ThrottlingException"},
		"too many requests": {
			awstest.Refuse(http.StatusTooManyRequests, "SomeException"), attempt.Transient, "SomeException",
		},
		"an error of AWS": {
			awstest.Refuse(500, "InternalServiceError"), attempt.Transient, "status 500 InternalServiceError",
		},
		"unavailable":          {awstest.Garbage(http.StatusServiceUnavailable, "Ж"), attempt.Transient, "status 503"},
		"an empty answer":      {awstest.Garbage(http.StatusOK, ""), attempt.Transient, unreadable},
		"an answer of nothing": {awstest.Garbage(http.StatusOK, "{}"), attempt.Transient, noValue},
		"what is not JSON":     {awstest.Garbage(http.StatusOK, "Ж"+bad), attempt.Transient, unreadable},
		"JSON cut short":       {awstest.Garbage(http.StatusOK, `{"SecretString":"Ж`), attempt.Transient, unreadable},
		"an object as value": {
			awstest.Garbage(http.StatusOK, `{"SecretString":`+bad+`}`), attempt.Transient, unreadable,
		},
		"a number as value": {
			awstest.Garbage(http.StatusOK, `{"SecretString":7313}`), attempt.Transient, unreadable,
		},
		"what is not base64": {
			awstest.Garbage(http.StatusOK, `{"SecretBinary":"ЖAK=SK"}`), attempt.Transient, unreadable,
		},
		"a connection cut": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"SecretString":"Ж`))
			awstest.Abort(w, r)
		}, attempt.Transient, unreadable},
		"a connection lost":    {awstest.Abort, attempt.Transient, "EOF"},
		"an echo of the token": {awstest.Echo, attempt.Transient, "status 400"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				vault := new(awstest.SecretsManager)
				vault.Put(name, good)
				vault.Script(test.answer)
				credentials := newCredentials(t, stored(t, vault, name))
				c, err := credentials(t.Context())
				require.ErrorContains(t, err, test.want)
				assert.True(t, strings.HasPrefix(err.Error(), "secret "+name+": "), err)
				assert.Equal(t, test.kind, attempt.KindOf(err), err)
				attempts := 1
				if test.kind == attempt.Transient {
					attempts = 3
				}
				assert.Len(t, vault.Reads(), attempts)
				assert.Zero(t, c)
				showsNothing(t, err)

				vault.Script()
				assert.Equal(t, "AKEXAMPLE SKexample TOKEN== domain-1", mustRead(t, credentials),
					"a failure isn't kept")
			})
		})
	}
}

func TestAMissingSecretIsMisconfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, err := newCredentials(t, stored(t, new(awstest.SecretsManager), "another"))(t.Context())
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		require.EqualError(t, err, "secret another: create it and give it a value, or correct "+
			"HUAWEICLOUD_CREDENTIALS_SECRET or the AWS region: status 400 ResourceNotFoundException "+
			"(request "+awstest.RequestID+")")
	})
}

func TestAReadIsAttemptedAgainAfterTransientFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault := new(awstest.SecretsManager)
		vault.Put(name, good)
		vault.Script(awstest.Silence, awstest.Refuse(http.StatusInternalServerError, "InternalServiceError"), nil)
		assert.Equal(t, "AKEXAMPLE SKexample TOKEN== domain-1", mustRead(t, newCredentials(t, stored(t, vault, name))))
		assert.Len(t, vault.Reads(), 3)
	})
}

func TestNoNetworkIsTransient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := stored(t, nil, name)
		c.AWS.Transport = down{}
		_, err := newCredentials(t, c)(t.Context())
		require.ErrorContains(t, err, "secret "+name)
		require.ErrorContains(t, err, syscall.ECONNREFUSED.Error())
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
	})
}

type down struct{}

func (down) RoundTrip(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }

func TestNoAttemptTakesLongerThanFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault := new(awstest.SecretsManager)
		vault.Script(awstest.Silence)
		began := time.Now()
		_, err := newCredentials(t, stored(t, vault, name))(t.Context())
		require.EqualError(t, err, "secret "+name+": no answer within 5s: context deadline exceeded")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
		assert.Len(t, vault.Reads(), 3)
		assert.InDelta(t, 15.3, time.Since(began).Seconds(), 0.31,
			"three times 5 s, and waits of up to 0.2 s and 0.4 s")
	})
}

func TestAReadEndsAtTheDeadlineOfItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vault := new(awstest.SecretsManager)
		vault.Script(awstest.Silence)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := newCredentials(t, stored(t, vault, name))(ctx)
		require.EqualError(t, err, "secret "+name+": context deadline exceeded")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
		assert.Equal(t, time.Second, time.Since(began))
	})
}

func TestABadConfigurationOfAWSIsMisconfigured(t *testing.T) {
	t.Parallel()
	for title, test := range map[string]struct {
		aws  awsapi.Config
		want string
	}{
		"no region":      {want: "no AWS region is known: set AWS_REGION, or give an ARN"},
		"no credentials": {awsapi.Config{Region: "eu-west-1", Profile: "prod"}, "no AWS credentials are found: "},
		"an endpoint that is not a URL": {
			awsapi.Config{Region: "eu-west-1", Endpoint: "localhost"},
			"AWS_ENDPOINT_URL_SECRETS_MANAGER or AWS_ENDPOINT_URL: must be a URL",
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			c := stored(t, nil, name)
			c.AWS = test.aws
			_, err := New(c, client.Config{}, client.Session{})
			require.ErrorContains(t, err, "secret "+name+": "+test.want)
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		})
	}
}

// The keys are rotated several times while calls run. Each time new ones are made and put into the
// secret, and then the old ones are deleted.
func TestCallsSucceedWhileTheKeysAreRotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers, rotations = 10, 3
		keys := func(n int) huaweitest.Credentials {
			return huaweitest.Credentials{
				AccessKey:     fmt.Sprintf("AK%d", n),
				SecretKey:     fmt.Sprintf("SK%d", n),
				SecurityToken: fmt.Sprintf("T%d", n),
			}
		}
		text := func(k huaweitest.Credentials) string {
			return fmt.Sprintf(`{"ak":%q,"sk":%q,"security_token":%q}`, k.AccessKey, k.SecretKey, k.SecurityToken)
		}
		cloud := huaweitest.New(keys(0))
		// The cloud is slow, so that calls overlap.
		cloud.Script("", "", huaweitest.Fault{Delay: 100 * time.Millisecond, Times: 1 << 20})
		vault := new(awstest.SecretsManager)
		vault.Put(name, text(keys(0)))

		var c client.Config
		require.NoError(t, envconfig.ProcessWith(t.Context(), &envconfig.Config{
			Target: &c, Lookuper: envconfig.MapLookuper(nil),
		}))
		c.MaxAttempts, c.RequestTimeout, c.Transport = 1, time.Second, cloud
		api := client.New(c, newCredentials(t, stored(t, vault, name)))

		var (
			done  = make(chan struct{})
			calls atomic.Int32
			wg    sync.WaitGroup
		)
		for n := range callers {
			wg.Go(func() {
				for time.Sleep(time.Duration(n) * 7 * time.Millisecond); ; calls.Add(1) {
					select {
					case <-done:
						return
					default:
					}
					if _, err := api.RegisteredRegions(t.Context()); !assert.NoError(t, err) {
						return // a loop of calls that fail at once would stop the clock of the bubble
					}
				}
			})
		}
		for n := range rotations {
			<-time.After(3 * time.Second)
			assert.Len(t, vault.Reads(), n+1, "the first read, and one for each rotation")
			cloud.AddCredentials(keys(n + 1))
			vault.Put(name, text(keys(n+1)))
			cloud.RemoveCredentials(keys(n).AccessKey)
		}
		<-time.After(3 * time.Second)
		close(done)
		wg.Wait()
		assert.Len(t, vault.Reads(), rotations+1)
		assert.Greater(t, calls.Load(), int32(callers*rotations*20))
	})
}
