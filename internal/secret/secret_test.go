package secret

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
)

const (
	name  = "prod/huawei-cloud"
	value = `{"ak":"AKЖEXAMPLE","sk":"SKЖexample"}` // no header can hold it: whoever shows a part of it shows Ж, AK or SK
	good  = `{"ak":"AKEXAMPLE","sk":"SKexample","security_token":"TOKEN==","domain_id":"domain-1"}`
)

func TestTheConfigurationNamesOneSourceOfCredentials(t *testing.T) {
	t.Parallel()
	keys := client.Credentials{AccessKey: "ak", SecretKey: "sk"}
	tests := map[string]struct {
		environment map[string]string
		want        Config
		errs        []string
	}{
		"keys":                     {environment: map[string]string{"AK": "ak", "SK": "sk", "SECRET": " "}, want: Config{Credentials: keys}},
		"keys, token and domain":   {environment: map[string]string{"AK": "ak", "SK": "sk", "TOKEN": "t", "DOMAIN": "d"}, want: Config{Credentials: client.Credentials{AccessKey: "ak", SecretKey: "sk", SecurityToken: "t", DomainID: "d"}}},
		"the name of a secret":     {environment: map[string]string{"SECRET": name, "AK": "", "SK": ""}, want: Config{ID: name}},
		"the ARN of a secret":      {environment: map[string]string{"SECRET": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/a-a1B2c3"}, want: Config{ID: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/a-a1B2c3"}},
		"nothing":                  {errs: []string{"AK: is not set, nor is SECRET", "SK: is not set, nor is SECRET"}},
		"one key":                  {environment: map[string]string{"SK": "sk"}, errs: []string{"AK: is not set, nor is SECRET"}},
		"a token without keys":     {environment: map[string]string{"TOKEN": "t"}, errs: []string{"AK: is not set, nor is SECRET", "SK: is not set, nor is SECRET"}},
		"a bad key, told once":     {environment: map[string]string{"AK": "a k", "SK": "sk"}, errs: []string{"AK: contains white space or a character outside ASCII; was it pasted with a line break?"}},
		"keys and secret":          {environment: map[string]string{"AK": "ak", "SK": "sk", "SECRET": name}, errs: []string{"AK: is set, and so is SECRET; unset one of them", "SK: is set, and so is SECRET; unset one of them"}},
		"a domain beside a secret": {environment: map[string]string{"DOMAIN": "d", "TOKEN": "t", "SECRET": name}, errs: []string{"TOKEN: is set, and so is SECRET; unset one of them", "DOMAIN: is set, and so is SECRET; unset one of them"}},
	}
	for _, bad := range []string{
		good, "a b", "a\n", "é", strings.Repeat("a", 521), "arn:aws:ssm:eu-west-1:123456789012:secret:a", "arn:aws:secretsmanager::123456789012:secret:a",
		"arn:aws:secretsmanager:eu.west:123456789012:secret:a", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:", "arn:aws:secretsmanager:eu-west-1:1:secret:a", "https://a/b",
	} {
		tests[fmt.Sprintf("no id: %.60q", bad)] = struct {
			environment map[string]string
			want        Config
			errs        []string
		}{environment: map[string]string{"SECRET": bad}, errs: []string{"SECRET: must be the name or the ARN of a secret in AWS Secrets Manager"}}
	}
	variables := map[string]string{
		"AK": "HUAWEICLOUD_SDK_AK", "SK": "HUAWEICLOUD_SDK_SK", "TOKEN": "HUAWEICLOUD_SDK_SECURITY_TOKEN", "DOMAIN": "HUAWEICLOUD_SDK_DOMAIN_ID",
		"SECRET": "HUAWEICLOUD_CREDENTIALS_SECRET",
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			environment := envconfig.MapLookuper(nil)
			if test.environment != nil {
				full := map[string]string{}
				for k, v := range test.environment {
					full[variables[k]] = v
				}
				environment = envconfig.MapLookuper(full)
			}
			c, err := handler.Load[Config](t.Context(), environment)
			if test.errs == nil {
				require.NoError(t, err)
				assert.Equal(t, test.want, c)
				return
			}
			var want []string
			for _, line := range test.errs {
				variable, rest, _ := strings.Cut(line, ":")
				want = append(want, variables[variable]+":"+strings.Replace(rest, "SECRET", variables["SECRET"], 1))
			}
			require.EqualError(t, err, strings.Join(want, "\n"))
		})
	}
}

func TestKeysOfTheEnvironmentAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	want := client.Credentials{AccessKey: "ak", SecretKey: "sk", SecurityToken: "t", DomainID: "d"}
	got, err := New(Config{Credentials: want})(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestASecretIsReadAnewEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, name, good)
		s := v.source(name, "eu-west-1")
		assert.Nil(t, s.api, "nobody asked yet")
		assert.Equal(t, "AKEXAMPLE SKexample TOKEN== domain-1", mustRead(t, s))
		api := s.api
		assert.Zero(t, api.Options().ClientLogMode, "bodies would be logged")

		v.rotate(`{"ak":"AKNEW","sk":"SKnew"}`)
		assert.Equal(t, "AKNEW SKnew  ", mustRead(t, s))
		assert.Same(t, api, s.api)
		assert.Equal(t, []string{"eu-west-1 " + name, "eu-west-1 " + name}, v.requests())
	})
}

func TestTheRegionOfAnARNGoesBeforeThatOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for arn, region := range map[ID]string{
		"arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:a-a1B2c3":    "ap-southeast-1",
		"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a-a1B2c3":     "cn-north-1",
		"arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b-c": "us-gov-west-1",
	} {
		for _, environment := range []string{"eu-west-1", ""} {
			t.Run(region+" in "+environment, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					v := newVault(t, string(arn), good)
					mustRead(t, v.source(arn, environment))
					assert.Equal(t, []string{region + " " + string(arn)}, v.requests())
				})
			})
		}
	}
}

func TestValuesOfASecret(t *testing.T) {
	t.Parallel()
	const noKeys = "ak: is missing\nsk: is missing"
	for title, test := range map[string]struct {
		value, want, err string
	}{
		"all four":                     {value: good, want: "AKEXAMPLE SKexample TOKEN== domain-1"},
		"only the keys":                {value: ` {"ak":"a","sk":"s"} `, want: "a s  "},
		"optional ones empty or null":  {value: `{"ak":"a","sk":"s","security_token":"","domain_id":null}`, want: "a s  "},
		"what a rotation tool added":   {value: `{"ak":"a","sk":"s","user_id":7,"rotated":{"by":["x"]}}`, want: "a s  "},
		"keys in another case":         {value: `{"AK":"AKЖ","Sk":"SKЖ"}`, err: noKeys},
		"null for the keys":            {value: `{"ak":null,"sk":null}`, err: noKeys},
		"empty keys":                   {value: `{"ak":"","sk":""}`, err: noKeys},
		"one key":                      {value: `{"sk":"SK"}`, err: "ak: is missing"},
		"null":                         {value: `null`, err: "it is no JSON object"},
		"an array":                     {value: `["AKЖ"]`, err: "it is no JSON object"},
		"a string":                     {value: `"AKЖ"`, err: "it is no JSON object"},
		"no JSON":                      {value: `Ж` + value, err: "it is no JSON object"},
		"cut short":                    {value: value[:20], err: "it is no JSON object"},
		"more after it":                {value: value + "Ж", err: "it is no JSON object"},
		"nothing":                      {value: "", err: "it is no JSON object"},
		"numbers":                      {value: `{"ak":7313,"sk":["SK"],"security_token":{}}`, err: "ak: is no string\nsk: is no string\nsecurity_token: is no string"},
		"a line break":                 {value: `{"ak":"AKEXAMPLE\n","sk":"s"}`, err: "ak: contains white space"},
		"what no header can hold":      {value: value, err: "ak: contains white space"},
		"a bad token":                  {value: `{"ak":"a","sk":"s","security_token":"AKЖ"}`, err: "security_token: contains white space"},
		"a bad domain":                 {value: `{"ak":"a","sk":"s","domain_id":"AKЖ"}`, err: "domain_id: contains white space"},
		"what is not UTF-8 in the key": {value: "{\"ak\":\"AK\xff\",\"sk\":\"s\"}", err: "ak: contains white space"},
	} {
		for _, kind := range []string{"SecretString", "SecretBinary"} {
			t.Run(title+" in "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					v := newVault(t, name, "")
					v.set(map[string]any{kind: test.value})
					if kind == "SecretBinary" {
						v.set(map[string]any{kind: base64.StdEncoding.EncodeToString([]byte(test.value))})
					}
					s := v.source(name, "eu-west-1")
					if test.err == "" {
						assert.Equal(t, test.want, mustRead(t, s))
						return
					}
					c, err := s.read(t.Context())
					require.ErrorContains(t, err, test.err)
					require.ErrorContains(t, err, "secret "+name+": its value must be like")
					require.ErrorIs(t, err, client.ErrMisconfigured)
					assert.Zero(t, c)
					showsNothing(t, err)
				})
			})
		}
	}
}

// showsNothing looks for parts of the values in all that err is made of. They all have a Ж, AK, SK or 7313 in them.
// encoding/json quotes the first byte of the Ж, and more than that in other places.
func showsNothing(t *testing.T, err error) {
	t.Helper()
	encoded, _ := json.Marshal(err)
	text := fmt.Sprintf("%v %+v %#v %s", err, err, err, encoded)
	for _, part := range []string{"Ж", "Ð", `\u0416`, "AK", "SK", "7313", "invalid character"} {
		assert.NotContains(t, text, part)
	}
}

func TestFailuresAreOfTheirKind(t *testing.T) {
	t.Parallel()
	const status = http.StatusBadRequest
	for title, test := range map[string]struct {
		fault         http.HandlerFunc
		misconfigured bool
		attempts      int
		want          string
	}{
		"no such secret":       {refuse(status, "ResourceNotFoundException"), true, 1, "create it"},
		"no such secret, long": {refuse(status, "com.amazonaws.secretsmanager#ResourceNotFoundException"), true, 1, "create it"},
		"access denied":        {refuse(status, "AccessDeniedException"), true, 1, "allow secretsmanager:GetSecretValue on it"},
		"decryption failure":   {refuse(status, "DecryptionFailure"), true, 1, "allow kms:Decrypt on its key"},
		"marked for deletion":  {refuse(status, "InvalidRequestException"), true, 1, "restore it"},
		"bad name":             {refuse(status, "InvalidParameterException"), true, 1, "correct HUAWEICLOUD_CREDENTIALS_SECRET"},
		"bad AWS credentials":  {refuse(status, "UnrecognizedClientException"), true, 1, "check the AWS credentials"},
		"a code nobody knows":  {refuse(status, "NewException"), true, 1, "NewException: what AWS says"},
		"a proxy's refusal":    {garbage(http.StatusForbidden, "<html>Ж</html>"), true, 1, "the answer, of status 403, can't be read"},
		"a redirect":           {garbage(http.StatusFound, "Ж"), true, 1, "status 302"},
		"throttled":            {refuse(status, "ThrottlingException"), false, 3, "ThrottlingException"},
		"too many requests":    {refuse(http.StatusTooManyRequests, "SomeException"), false, 1, "SomeException"},
		"an error of AWS":      {refuse(http.StatusInternalServerError, "InternalServiceError"), false, 3, "InternalServiceError: what AWS says"},
		"unavailable":          {garbage(http.StatusServiceUnavailable, "Ж"), false, 3, "the answer, of status 503, can't be read"},
		"not implemented":      {refuse(http.StatusNotImplemented, "SomeException"), false, 1, "SomeException"},
		"a timeout of AWS":     {refuse(http.StatusRequestTimeout, "SomeException"), false, 1, "SomeException"},
		"an empty answer":      {garbage(http.StatusOK, ""), false, 1, "the answer holds no value"},
		"an answer of nothing": {garbage(http.StatusOK, "{}"), false, 1, "the answer holds no value"},
		"no JSON":              {garbage(http.StatusOK, "Ж"+value), false, 1, "the answer, of status 200, can't be read"},
		"JSON cut short":       {garbage(http.StatusOK, `{"SecretString":"Ж`), false, 1, "the answer, of status 200, can't be read"},
		"a value of no string": {garbage(http.StatusOK, `{"SecretString":`+value+`}`), false, 1, "the answer"},
		"a number as value":    {garbage(http.StatusOK, `{"SecretString":7313}`), false, 1, "the answer"},
		"no base64":            {garbage(http.StatusOK, `{"SecretBinary":"ЖAK=SK"}`), false, 1, "the answer, of status 200, can't be read"},
		"a connection cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"SecretString":"Ж`))
		}, false, 1, "the answer, of status 200, can't be read"},
		"a connection lost": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, 3, "EOF"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, name, good)
				v.faults = []http.HandlerFunc{test.fault}
				s := v.source(name, "eu-west-1")
				c, err := s.read(t.Context())
				require.ErrorContains(t, err, test.want)
				require.ErrorContains(t, err, "secret "+name)
				assert.Equal(t, test.misconfigured, errors.Is(err, client.ErrMisconfigured), err)
				assert.Len(t, v.requests(), test.attempts)
				assert.Zero(t, c)
				showsNothing(t, err)

				v.faults = nil
				assert.Equal(t, "AKEXAMPLE SKexample TOKEN== domain-1", mustRead(t, s), "a failure isn't kept")
			})
		})
	}
}

func TestAMissingSecretIsMisconfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, err := newVault(t, name, good).source("another", "eu-west-1").read(t.Context())
		require.ErrorIs(t, err, client.ErrMisconfigured)
		require.ErrorContains(t, err, "misconfigured: secret another: create it, or correct HUAWEICLOUD_CREDENTIALS_SECRET or the AWS region: ")
	})
}

func TestAShortDisturbanceIsOvercomeWithinARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, name, good)
		v.faults = []http.HandlerFunc{slow, refuse(http.StatusInternalServerError, "InternalServiceError"), nil}
		assert.Equal(t, "AKEXAMPLE SKexample TOKEN== domain-1", mustRead(t, v.source(name, "eu-west-1")))
		assert.Len(t, v.requests(), 3)
	})
}

func TestNoNetworkIsTransient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, name, good)
		v.down = syscall.ECONNREFUSED
		_, err := v.source(name, "eu-west-1").read(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NotErrorIs(t, err, client.ErrMisconfigured)
		require.ErrorContains(t, err, "secret "+name)
	})
}

func TestAnUntrustedCertificateIsMisconfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, name, good)
		v.down = &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
		_, err := v.source(name, "eu-west-1").read(t.Context())
		require.ErrorIs(t, err, client.ErrMisconfigured)
		require.ErrorContains(t, err, "secret "+name)
	})
}

func TestNoAttemptTakesLongerThanFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, name, good)
		v.faults = []http.HandlerFunc{slow}
		began := time.Now()
		_, err := v.source(name, "eu-west-1").read(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, client.ErrMisconfigured)
		assert.Len(t, v.requests(), 3)
		assert.InDelta(t, 18, time.Since(began).Seconds(), 3.01, "three times 5 s, and two waits of up to 2 s and 4 s")
	})
}

func TestTheDeadlineOfTheContextHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, name, good)
		v.faults = []http.HandlerFunc{slow}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := v.source(name, "eu-west-1").read(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, client.ErrMisconfigured)
		assert.Equal(t, time.Second, time.Since(began))
	})
}

func TestABadConfigurationOfAWSIsMisconfiguredAndNotKept(t *testing.T) {
	t.Parallel()
	for title, test := range map[string]struct {
		err  error
		want string
	}{
		"no region":       {nil, "secret " + name + ": no AWS region is known: set AWS_REGION, or give the ARN"},
		"no such profile": {config.SharedConfigProfileNotExistError{Profile: "p"}, "secret " + name + ": mend the AWS configuration: "},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, name, good)
				s := v.source(name, "eu-west-1")
				load := s.load
				s.load = func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error) {
					return aws.Config{}, test.err
				}
				_, err := s.read(t.Context())
				require.ErrorContains(t, err, test.want)
				require.ErrorIs(t, err, client.ErrMisconfigured)
				canceled, cancel := context.WithCancel(t.Context())
				cancel()
				if test.err != nil {
					_, err = s.read(canceled)
					require.NotErrorIs(t, err, client.ErrMisconfigured, "it may have failed because of that")
				}
				assert.Empty(t, v.requests())
				s.load = load
				mustRead(t, s)
			})
		})
	}
}

// The keys are rotated several times while calls run: first the new ones are made and put into the secret, then the old ones cease to be.
func TestCallsOutliveRotations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers, rotations = 10, 3
		keys := func(n int) huaweitest.Credentials {
			return huaweitest.Credentials{AccessKey: fmt.Sprintf("AK%d", n), SecretKey: fmt.Sprintf("SK%d", n), SecurityToken: fmt.Sprintf("T%d", n)}
		}
		text := func(k huaweitest.Credentials) string {
			return fmt.Sprintf(`{"ak":%q,"sk":%q,"security_token":%q}`, k.AccessKey, k.SecretKey, k.SecurityToken)
		}
		cloud := huaweitest.New(keys(0))
		cloud.Script("", "", huaweitest.Fault{Delay: 100 * time.Millisecond, Times: 1 << 20}) // so that calls overlap
		v := newVault(t, name, text(keys(0)))
		api := client.New(client.Config{
			IdentityCenter: "https://identitycenter.myhuaweicloud.com", Organizations: "https://organizations.myhuaweicloud.com",
			MaxAttempts: 1, RequestTimeout: time.Second, Transport: cloud,
		}, v.source(name, "eu-west-1").read)

		var (
			done  = make(chan struct{})
			calls atomic.Int32
			wg    sync.WaitGroup
		)
		for n := range callers {
			wg.Go(func() {
				for time.Sleep(time.Duration(n) * 7 * time.Millisecond); ; calls.Add(1) { // on the bubble's clock
					select {
					case <-done:
						return
					default:
					}
					if _, err := api.RegisteredRegions(t.Context()); !assert.NoError(t, err) {
						return // or the bubble's clock may never move again
					}
				}
			})
		}
		for n := range rotations {
			<-time.After(3 * time.Second)
			assert.Len(t, v.requests(), n+1, "the first read, and one for each rotation")
			cloud.AddCredentials(keys(n + 1))
			v.rotate(text(keys(n + 1)))
			cloud.RemoveCredentials(keys(n).AccessKey)
		}
		<-time.After(3 * time.Second)
		close(done)
		wg.Wait()
		assert.Len(t, v.requests(), rotations+1)
		assert.Greater(t, calls.Load(), int32(callers*rotations*20))
	})
}
