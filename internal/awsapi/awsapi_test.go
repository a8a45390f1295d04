package awsapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
)

func TestTheRegionThatIsWantedGoesBeforeThatOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ environment, wanted, want, err string }{
		"both":                   {"eu-west-1", "ap-southeast-1", "ap-southeast-1", ""},
		"only the environment's": {"eu-west-1", "", "eu-west-1", ""},
		"only the wanted one":    {"", "cn-north-1", "cn-north-1", ""},
		"none": {
			"", "", "", "no AWS region is known: set AWS_REGION, or give an ARN, which has a region in it",
		},
		"what can't be one": {"eu west 1", "", "", "AWS_REGION: must be a region such as eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var credentials string // the region in which they are asked for
			load := func(_ context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
				var o config.LoadOptions
				for _, option := range options {
					require.NoError(t, option(&o))
				}
				loaded := aws.Config{Region: c.environment}
				if loaded.Region == "" {
					loaded.Region = o.DefaultRegion
				}
				credentials = loaded.Region
				return loaded, nil
			}
			got, err := awsapi.Config(t.Context(), load, c.wanted)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got.Region)
			if c.environment != "" {
				assert.Equal(t, c.environment, credentials, "they are the environment's")
			}
		})
	}
}

func TestAConfigurationThatCannotBeLoadedIsMisconfigured(t *testing.T) {
	t.Parallel()
	_, err := awsapi.Config(t.Context(),
		func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error) {
			return aws.Config{}, errors.New("failed to get shared config profile,\nresults")
		}, "eu-west-1")
	require.EqualError(t, err, "AWS configuration: failed to get shared config profile, results")
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
}

func TestAnEndpointOfTheEnvironmentIsAURL(t *testing.T) {
	t.Parallel()
	require.NoError(t, awsapi.CheckEndpoint("EVENTBRIDGE", nil))
	for _, good := range []string{"http://localhost:4566", "https://vpce-1.events.eu-west-1.vpce.amazonaws.com"} {
		require.NoError(t, awsapi.CheckEndpoint("EVENTBRIDGE", &good))
	}
	for _, bad := range []string{"localhost:4566", "localhost", "https://", "https://:443", "http://a b", "%"} {
		err := awsapi.CheckEndpoint("EVENTBRIDGE", &bad)
		require.EqualError(t, err,
			"AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566", bad)
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
	f := failure(t.Context(), t, client(t, nil, realClient(t, func(transport *http.Transport) {
		transport.Proxy = http.ProxyURL(address)
	})))
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(f))
	require.ErrorContains(t, f, "the proxy "+address.Host+" answered CONNECT with status 407")
}
