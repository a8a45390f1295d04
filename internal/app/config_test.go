package app

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/register"
	"registrar/pkg/events"
)

// everything is a configuration with all variables of all functions.
type everything struct {
	Config
	RegionID   events.RegionID     `env:"REGION_ID"`
	Principals register.Principals `env:"SERVICE_PRINCIPALS"`
	Within     time.Duration       `env:"ACCOUNT_READY_WITHIN, default=15m"`
}

func read(t *testing.T, environment map[string]string) (everything, error) {
	t.Helper()
	var c everything
	found := load(t.Context(), &c, envconfig.MapLookuper(environment))
	return c, found.and(errors.Join(c.Validate(), c.Credentials.Validate()))
}

func TestTheConfigurationHasDefaults(t *testing.T) {
	t.Parallel()
	c, err := read(t, map[string]string{
		"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": "sk",
		// Templates pass empty strings for parameters that aren't set.
		"MAX_ATTEMPTS": "", "REQUEST_TIMEOUT": " ", "ORGANIZATIONS_ENDPOINT": "", "DRY_RUN": "", "EVENT_TYPES": "",
		"EVENT_SOURCE": "", "REGION_ID": "", "SERVICE_PRINCIPALS": "", "RESULT_SINK": "", "K_SINK": "",
		"HUAWEICLOUD_CREDENTIALS_SECRET": "", "AWS_LAMBDA_LOG_LEVEL": "", "HTTPS_PROXY": "", "ACCOUNT_READY_WITHIN": "",
	})
	require.NoError(t, err)
	assert.Equal(t, "https://identitycenter.myhuaweicloud.com", c.Client.IdentityCenter.String())
	assert.Equal(t, "https://organizations.myhuaweicloud.com", c.Client.Organizations.String())
	assert.Equal(t, 4, c.Client.MaxAttempts)
	assert.Equal(t, 10*time.Second, c.Client.RequestTimeout)
	assert.Equal(t, 1, c.Handler.Concurrency)
	assert.Equal(t, "ak", string(c.Credentials.Keys.AccessKey))
	assert.Equal(t, slog.LevelInfo, slog.Level(c.LogLevel))
	assert.Equal(t, 15*time.Minute, c.Within)
	assert.Nil(t, c.Handler.Types)
	assert.Zero(t, c.Principals)
	assert.Zero(t, c.Sink)
}

func TestTheConfigurationIsRead(t *testing.T) {
	t.Parallel()
	c, err := read(t, map[string]string{
		"HUAWEICLOUD_SDK_AK":      "ak",
		"HUAWEICLOUD_SDK_SK":      "sk",
		"MAX_ATTEMPTS":            "2",
		"DRY_RUN":                 "true",
		"CONCURRENCY":             "3",
		"EVENT_TYPES":             "a, b",
		"EVENT_SOURCE":            "urn:x",
		"REGION_ID":               "cn-north-4",
		"SERVICE_PRINCIPALS":      "service.A, service.B,service.A",
		"IDENTITYCENTER_ENDPOINT": "http://127.0.0.1:1",
		"AWS_LAMBDA_LOG_LEVEL":    "FATAL",
		"https_proxy":             "proxy:3128",
	})
	require.NoError(t, err)
	assert.Equal(t, 2, c.Client.MaxAttempts)
	assert.True(t, c.Handler.DryRun)
	assert.Equal(t, 3, c.Handler.Concurrency)
	assert.EqualValues(t, []string{"a", "b"}, c.Handler.Types)
	assert.EqualValues(t, "urn:x", c.Handler.Source)
	assert.EqualValues(t, "cn-north-4", c.RegionID)
	assert.Equal(t, []events.ServicePrincipal{"service.A", "service.B"}, c.Principals.Names)
	assert.Equal(t, "http://127.0.0.1:1", c.Client.IdentityCenter.String())
	assert.Equal(t, slog.LevelError+4, slog.Level(c.LogLevel))
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := read(t, map[string]string{
		"HUAWEICLOUD_SDK_SK":        "SKexample\n",
		"HUAWEICLOUD_SDK_DOMAIN_ID": "a b",
		"IDENTITYCENTER_ENDPOINT":   "http://identitycenter.example",
		"MAX_ATTEMPTS":              "x",
		"REQUEST_TIMEOUT":           "1ns",
		"EVENT_TYPES":               "org.bootstrap,org.region.registered",
		"EVENT_SOURCE":              "a b",
		"DRY_RUN":                   "maybe",
		"REGION_ID":                 "Beijing",
		"SERVICE_PRINCIPALS":        "service.A,,service.B",
		"CONCURRENCY":               "0",
		"AWS_LAMBDA_LOG_LEVEL":      "LOUD",
		"HTTPS_PROXY":               "http://corp:pa%ss@127.0.0.1:9",
		"ACCOUNT_READY_WITHIN":      "5",
	})
	require.Error(t, err)
	text := err.Error()
	for _, want := range []string{
		"HUAWEICLOUD_SDK_AK: is not set",
		"HUAWEICLOUD_SDK_SK: contains white space",
		"HUAWEICLOUD_SDK_DOMAIN_ID: contains",
		"IDENTITYCENTER_ENDPOINT: must begin with https://",
		"MAX_ATTEMPTS: must be a whole number",
		"REQUEST_TIMEOUT: must be between 100ms and 60s",
		"EVENT_TYPES: org.region.registered is the type of a result",
		"EVENT_SOURCE: must be a URI-reference",
		"DRY_RUN: must be true or false",
		`REGION_ID: "Beijing" is not a region id`,
		`SERVICE_PRINCIPALS: "" is not a service principal`,
		"CONCURRENCY: must be a number from 1 to 100",
		"AWS_LAMBDA_LOG_LEVEL: must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
		"HTTPS_PROXY: must be the URL of a proxy",
		"ACCOUNT_READY_WITHIN: must be a duration such as",
	} {
		assert.Contains(t, text, want)
	}
	assert.Equal(t, 15, strings.Count(text, "\n")+1, "each once: %s", text)
	assert.NotContains(t, text, "SKexample")
	assert.NotContains(t, text, "pa%ss")
}

func TestLambdasLogLevels(t *testing.T) {
	t.Parallel()
	last := LogLevel(-100)
	for _, name := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		var l LogLevel
		require.NoError(t, l.UnmarshalText([]byte(name)))
		assert.Greater(t, l, last, name)
		last = l
	}
	require.Error(t, last.UnmarshalText([]byte("info")))
}

func TestWhatCantBeReadIsNotAlsoSaidToBeMissing(t *testing.T) {
	t.Parallel()
	_, err := read(t, map[string]string{"HUAWEICLOUD_CREDENTIALS_SECRET": "arn:not", "REQUEST_TIMEOUT": "1ns"})
	require.ErrorContains(t, err, "HUAWEICLOUD_CREDENTIALS_SECRET: must be the name or the ARN")
	assert.ErrorContains(t, err, "REQUEST_TIMEOUT: must be between")
	assert.NotContains(t, err.Error(), "is not set", "the keys aren't needed if the secret is read")
}

func TestANumberOutOfRangeIsNamedSo(t *testing.T) {
	t.Parallel()
	_, err := read(t, map[string]string{"MAX_ATTEMPTS": "99999999999999999999"})
	assert.ErrorContains(t, err, "MAX_ATTEMPTS: is too large or too small a number")
}

// FunctionGraph's own variables are as documented, or absent.
func TestTheTimeOfAnInvocationOnFunctionGraph(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{"": 60, "3": 3, "259200": 259200} {
		var fg functionGraph
		require.Empty(t, load(t.Context(), &fg, envconfig.MapLookuper(map[string]string{"RUNTIME_TIMEOUT": text})))
		assert.Equal(t, want, fg.Timeout)
	}
	for _, text := range []string{"-1", "3.5", "60s", "99999999999", "{}", "null"} {
		var fg functionGraph
		wrong := load(t.Context(), &fg, envconfig.MapLookuper(map[string]string{"RUNTIME_TIMEOUT": text}))
		require.Len(t, wrong, 1, text)
		assert.ErrorContains(t, wrong[0].err, "RUNTIME_TIMEOUT: ")
	}
}
