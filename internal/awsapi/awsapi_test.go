package awsapi_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// verified answers by h what is signed as it should be with the keys.
func verified(t *testing.T, keys aws.Credentials, h http.Handler) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		got := r.Header.Get("Authorization")
		_, scope, _ := strings.Cut(got, "Credential="+keys.AccessKeyID+"/")
		parts := strings.Split(scope, "/") // date, region and service
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if !assert.NoError(t, err) || !assert.Greater(t, len(parts), 3, got) {
			return
		}
		again := r.Clone(r.Context())
		again.Header.Del("Authorization")
		hash := sha256.Sum256(body)
		assert.NoError(t, v4.NewSigner().SignHTTP(
			t.Context(), keys, again, hex.EncodeToString(hash[:]), parts[2], parts[1], at))
		assert.Equal(t, again.Header.Get("Authorization"), got)
		assert.Equal(t, keys.SessionToken, r.Header.Get("X-Amz-Security-Token"))
		assert.Equal(t, "registrar", r.UserAgent())
		h.ServeHTTP(w, r)
	})
}

var example = aws.Credentials{
	AccessKeyID: awstest.AccessKey, SecretAccessKey: awstest.SecretKey, SessionToken: awstest.SessionToken,
}

func TestACallIsSigned(t *testing.T) {
	t.Parallel()
	vault := new(awstest.SecretsManager)
	vault.Put("a", "value")
	for range 2 {
		value, f := read(t.Context(), client(t, verified(t, example, vault), nil))
		require.Nil(t, f)
		assert.Equal(t, "value", value)
	}
	sts, err := awsapi.New(awstest.Config(verified(t, example, new(awstest.STS))), awsapi.STS, "eu-west-1")
	require.NoError(t, err)
	var out struct {
		Token string `xml:"GetWebIdentityTokenResult>WebIdentityToken"`
	}
	require.Nil(t, sts.Query(t.Context(), "GetWebIdentityToken", url.Values{
		"Audience.member.1": {"a b&c"}, "SigningAlgorithm": {"RS256"}, "DurationSeconds": {"300"},
	}, &out))
	assert.NotEmpty(t, out.Token)
}

func TestTheRegionThatIsWantedGoesBeforeThatOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const refusal = "AWS_REGION: must be a region such as eu-central-1"
	for name, c := range map[string]struct{ environment, other, wanted, want, err string }{
		"all":                     {"eu-west-1", "eu-west-2", "ap-southeast-1", "ap-southeast-1", ""},
		"only the environment's":  {"eu-west-1", "eu-west-2", "", "eu-west-1", ""},
		"the environment's other": {"", "eu-west-2", "", "eu-west-2", ""},
		"only the wanted one":     {"", "", "cn-north-1", "cn-north-1", ""},
		"none": {
			"", "", "", "", "no AWS region is known: set AWS_REGION, or give an ARN, which has a region in it",
		},
		"what can't be one": {"eu west 1", "", "", "", refusal},
		"a host":            {"eu-west-1.example", "", "", "", refusal},
		"too long a one":    {strings.Repeat("a", 64), "", "", "", refusal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var called []string
			vault := new(awstest.SecretsManager)
			vault.Put("a", "value")
			config := byWebIdentity(t)
			config.Transport = awstest.Transport(recorded(&called, hosts(t, vault)))
			config.Region, config.DefaultRegion = c.environment, c.other
			api, err := awsapi.New(config, awsapi.SecretsManager, c.wanted)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
				return
			}
			require.NoError(t, err)
			_, f := read(t.Context(), api)
			require.Nil(t, f)
			assert.Equal(t, []string{c.want + " a"}, vault.Reads())
			own := cmp.Or(c.environment, c.other, c.wanted)
			assert.True(t, strings.HasPrefix(called[0], "sts."+own+".amazonaws.com"), "where credentials are asked for")
		})
	}
}

// recorded is h, and keeps which hosts were called.
func recorded(called *[]string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*called = append(*called, r.Host)
		h.ServeHTTP(w, r)
	})
}

func TestEachPartitionHasItsEndpoints(t *testing.T) {
	t.Parallel()
	for region, domain := range map[string]string{
		"us-east-1": "amazonaws.com", "mx-central-1": "amazonaws.com", "us-gov-west-1": "amazonaws.com",
		"cn-northwest-1": "amazonaws.com.cn", "eusc-de-east-1": "amazonaws.eu", "us-iso-west-1": "c2s.ic.gov",
		"us-isob-east-1": "sc2s.sgov.gov", "eu-isoe-west-1": "cloud.adc-e.uk", "us-isof-south-1": "csp.hci.ic.gov",
	} {
		for _, service := range []awsapi.Service{awsapi.EventBridge, awsapi.SecretsManager, awsapi.STS} {
			got, err := awsapi.Config{}.URL(service, region)
			require.NoError(t, err)
			assert.Equal(t, "https://"+string(service)+"."+region+"."+domain+"/", got)
		}
	}
}

func TestAnEndpointOfTheEnvironmentGoesBeforeThatOfAWS(t *testing.T) {
	t.Parallel()
	c := awsapi.Config{
		Endpoint: "http://localhost:4566", EventBridgeEndpoint: "https://vpce-1.events.eu-west-1.vpce.amazonaws.com/a/",
		STSEndpoint: "https://sts.example",
	}
	const aws = "https://events.eu-west-1.amazonaws.com/"
	for _, want := range []struct {
		service awsapi.Service
		url     string
	}{
		{awsapi.EventBridge, "https://vpce-1.events.eu-west-1.vpce.amazonaws.com/a/"},
		{awsapi.SecretsManager, "http://localhost:4566/"},
		{awsapi.STS, "https://sts.example/"},
	} {
		got, err := c.URL(want.service, "eu-west-1")
		require.NoError(t, err)
		assert.Equal(t, want.url, got)
	}
	c.SecretsManagerEndpoint = "https://own.example"
	got, err := c.URL(awsapi.SecretsManager, "eu-west-1")
	require.NoError(t, err)
	assert.Equal(t, "https://own.example/", got)

	c.IgnoreEndpoints = true
	got, err = c.URL(awsapi.EventBridge, "eu-west-1")
	require.NoError(t, err)
	assert.Equal(t, aws, got)
}

func TestAnEndpointOfTheEnvironmentIsAURL(t *testing.T) {
	t.Parallel()
	for service, variable := range map[awsapi.Service]string{
		awsapi.EventBridge: "EVENTBRIDGE", awsapi.SecretsManager: "SECRETS_MANAGER", awsapi.STS: "STS",
	} {
		for _, bad := range []string{"localhost:4566", "localhost", "https://", "https://:443", "http://a b", "%"} {
			c := awstest.Config(nil)
			c.Endpoint = bad
			_, err := awsapi.New(c, service, "")
			require.EqualError(t, err, "AWS_ENDPOINT_URL_"+variable+
				" or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566", bad)
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		}
	}
}

// Without a word, calls would go another way than the operator thinks.
func TestWhatIsNotFollowedIsRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*awsapi.Config){
		"AWS_CA_BUNDLE: isn't read; unset it, and set SSL_CERT_FILE": func(c *awsapi.Config) { c.CABundle = "/a" },
		"AWS_USE_FIPS_ENDPOINT: isn't followed; unset it, and set AWS_ENDPOINT_URL_EVENTBRIDGE, ": func(
			c *awsapi.Config,
		) {
			c.FIPS = true
		},
		"AWS_USE_DUALSTACK_ENDPOINT: isn't followed; unset it, and set AWS_ENDPOINT_URL_EVENTBRIDGE, ": func(
			c *awsapi.Config,
		) {
			c.DualStack = true
		},
	} {
		c := awstest.Config(nil)
		change(&c)
		_, err := awsapi.New(c, awsapi.STS, "")
		require.ErrorContains(t, err, want)
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
	}
}

func TestAProxyThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	address, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	transport := wire.Client(nil).Transport.(*http.Transport)
	transport.Proxy = http.ProxyURL(address)
	f := failure(t.Context(), t, client(t, nil, func(c *awsapi.Config) { c.Transport = transport }))
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(f))
	require.ErrorContains(t, f, "the proxy "+address.Host+" answered CONNECT with status 407")
}

// What AWS refuses because our clock is wrong is signed by its clock the next time.
func TestARefusalThatTheClockMayExplainIsTransientOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "AccessDeniedException", "RequestExpired",
	} {
		otherwise := attempt.KindOf(awsapi.Refusal(http.StatusForbidden, code, ""))
		for off, want := range map[time.Duration]attempt.Kind{
			5 * time.Minute: attempt.Transient, -5 * time.Minute: attempt.Transient,
			3 * time.Minute: otherwise, -3 * time.Minute: otherwise,
		} {
			synctest.Test(t, func(t *testing.T) {
				var signed []string
				api := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					signed = append(signed, r.Header.Get("X-Amz-Date"))
					w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
					awstest.Refuse(http.StatusForbidden, code)(w, r)
				}), nil)
				assert.Equal(t, want, attempt.KindOf(failure(t.Context(), t, api)), "%s %s", code, off)
				again := failure(t.Context(), t, api)
				assert.Equal(t, otherwise, attempt.KindOf(again), "it wasn't the clock")
				at := time.Now()
				if off.Abs() == 5*time.Minute {
					at = at.Add(off)
				}
				assert.Equal(t, at.UTC().Format("20060102T150405Z"), signed[1])
			})
		}
	}
}

func TestAClockThatDoesNotMatterIsNotFollowed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"another code": awstest.Refuse(400, "ValidationException"),
		"a page":       awstest.Garbage(403, ""),
		"no date": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", "yesterday")
			awstest.Refuse(403, "InvalidSignatureException")(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var signed []string
			synctest.Test(t, func(t *testing.T) {
				api := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					signed = append(signed, r.Header.Get("X-Amz-Date"))
					w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
					answer(w, r)
				}), nil)
				for range 2 {
					assert.Equal(t, attempt.Misconfigured, attempt.KindOf(failure(t.Context(), t, api)))
				}
				assert.Equal(t, signed[0], signed[1])
			})
		})
	}
}
