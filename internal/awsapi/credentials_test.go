package awsapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/pkg/attempt"
)

const (
	role  = "arn:aws:iam::123456789012:role/registrar"
	token = "eyJ.an+OIDC/token.=="
)

// handedOut are the credentials that the hosts below hand out.
var handedOut = aws.Credentials{
	AccessKeyID: "ASIAEXAMPLE000000001", SecretAccessKey: "SK/handed+out", SessionToken: "TOKEN/handed+out==",
}

// byWebIdentity is a configuration for a token that stands in a file.
func byWebIdentity(t *testing.T) awsapi.Config {
	t.Helper()
	return awsapi.Config{Region: "us-east-1", WebIdentityFile: written(t, token+"\n"), RoleARN: role}
}

// written is a file with a text.
func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// hosts are ECS, EKS and the part of AWS STS that hands out credentials. What they aren't asked for
// is answered by h.
func hosts(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		switch {
		case strings.HasPrefix(r.Host, "sts.") && r.Header.Get("Authorization") == "":
			assert.NoError(t, r.ParseForm())
			assert.Equal(t, "POST /", r.Method+" "+r.URL.Path)
			assert.Equal(t, url.Values{
				"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role},
				"RoleSessionName": {"registrar"}, "WebIdentityToken": {token},
			}, r.PostForm)
			fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
				`<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>%s</SessionToken>`+
				`<SecretAccessKey>%s</SecretAccessKey><Expiration>%s</Expiration><AccessKeyId>%s</AccessKeyId>`+
				`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
				handedOut.SessionToken, handedOut.SecretAccessKey, end, handedOut.AccessKeyID)
		case strings.Contains(r.URL.Path, "credentials"):
			assert.Equal(t, http.MethodGet, r.Method)
			assert.Equal(t, "application/json", r.Header.Get("Accept"))
			assert.Empty(t, r.Header.Get("X-Amz-Security-Token"))
			if r.Host != "169.254.170.2" {
				assert.Equal(t, "Basic "+token, r.Header.Get("Authorization"))
			}
			fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q,"RoleArn":%q}`,
				handedOut.AccessKeyID, handedOut.SecretAccessKey, handedOut.SessionToken, end, role)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

func TestCredentialsComeFromWhereTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	const (
		keys = "AWS_ACCESS_KEY_ID=" + awstest.AccessKey + " AWS_SECRET_ACCESS_KEY=" + awstest.SecretKey
		all  = " AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/1 " +
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://absent.example"
	)
	fixed := aws.Credentials{AccessKeyID: awstest.AccessKey, SecretAccessKey: awstest.SecretKey}
	temporary := fixed
	temporary.SessionToken = awstest.SessionToken
	for name, c := range map[string]struct {
		environment string // TOKEN is a file with the token; BASIC or BASIC_FILE is what a container shows
		want        aws.Credentials
		host        string // that hands them out
	}{
		"keys":           {keys, fixed, ""},
		"temporary keys": {keys + " AWS_SESSION_TOKEN=" + awstest.SessionToken, temporary, ""},
		"keys, and all else": {
			keys + all + " AWS_WEB_IDENTITY_TOKEN_FILE=TOKEN AWS_ROLE_ARN=" + role + " AWS_PROFILE=prod", fixed, "",
		},
		"a token for a role": {
			"AWS_WEB_IDENTITY_TOKEN_FILE=TOKEN AWS_ROLE_ARN=" + role + all, handedOut, "sts.eu-west-1.amazonaws.com",
		},
		"ECS": {all, handedOut, "169.254.170.2"},
		"EKS": {
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials " +
				"AWS_CONTAINER_AUTHORIZATION_TOKEN=wrong AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=BASIC_FILE",
			handedOut, "169.254.170.23",
		},
		"EKS with IPv6": {
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://[fd00:ec2::23]/v1/credentials " +
				"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=BASIC_FILE", handedOut, "[fd00:ec2::23]",
		},
		"a helper on this machine": {
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost:9911/credentials " +
				"AWS_CONTAINER_AUTHORIZATION_TOKEN=BASIC", handedOut, "localhost:9911",
		},
		"another host, by https": {
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=https://example.com/credentials?a=b " +
				"AWS_CONTAINER_AUTHORIZATION_TOKEN=BASIC", handedOut, "example.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{"AWS_REGION": "eu-west-1"}
			for variable := range strings.FieldsSeq(c.environment) {
				variable, value, _ := strings.Cut(variable, "=")
				switch value {
				case "TOKEN":
					value = written(t, token+"\n")
				case "BASIC":
					value = "Basic " + token
				case "BASIC_FILE":
					value = written(t, "Basic "+token+"\n")
				}
				environment[variable] = value
			}
			var config awsapi.Config
			require.NoError(t, envconfig.ProcessWith(t.Context(), &envconfig.Config{
				Target: &config, Lookuper: envconfig.MapLookuper(environment),
			}))
			var called []string
			vault := new(awstest.SecretsManager)
			vault.Put("a", "value")
			config.Transport = awstest.Transport(recorded(&called, hosts(t, verified(t, c.want, vault))))
			api, err := awsapi.New(config, awsapi.SecretsManager, "ap-south-1")
			require.NoError(t, err)
			for range 3 {
				value, f := read(t.Context(), api)
				require.Nil(t, f)
				assert.Equal(t, "value", value)
			}
			const service = "secretsmanager.ap-south-1.amazonaws.com"
			want := []string{service, service, service}
			if c.host != "" {
				want = append([]string{c.host}, want...) // they are kept
			}
			assert.Equal(t, want, called)
		})
	}
}

func TestCredentialsAreRenewedBeforeTheyExpireOnceForAllCallers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*awsapi.Config){
		"of a container": func(c *awsapi.Config) { c.WebIdentityFile, c.ContainerPath = "", "/credentials" },
		"for a token":    func(*awsapi.Config) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := byWebIdentity(t)
			change(&config)
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				asked := 0
				vault := new(awstest.SecretsManager)
				vault.Put("a", "value")
				slow := hosts(t, vault)
				config.Transport = awstest.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("X-Amz-Target") == "" {
						mu.Lock()
						asked++
						mu.Unlock()
						time.Sleep(time.Second)
					}
					slow.ServeHTTP(w, r)
				}))
				api, err := awsapi.New(config, awsapi.SecretsManager, "")
				require.NoError(t, err)
				for n, wait := range []time.Duration{0, 54 * time.Minute, 2 * time.Minute, 50 * time.Minute} {
					time.Sleep(wait)
					var wg sync.WaitGroup
					for range 20 {
						wg.Go(func() {
							_, f := read(t.Context(), api)
							assert.Nil(t, f)
						})
					}
					wg.Wait()
					assert.Equal(t, []int{1, 1, 2, 2}[n], asked)
				}
			})
		})
	}
}

func TestTheEnvironmentMayNameTheSessionOfARole(t *testing.T) {
	t.Parallel()
	var name string
	config := byWebIdentity(t)
	config.RoleSession = "pod"
	config.Transport = awstest.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name = r.FormValue("RoleSessionName")
		awstest.Refuse(http.StatusForbidden, "AccessDenied")(w, r)
	}))
	api, err := awsapi.New(config, awsapi.SecretsManager, "")
	require.NoError(t, err)
	_ = failure(t.Context(), t, api)
	assert.Equal(t, "pod", name)
}

func TestCredentialsThatDoNotExpireAreKept(t *testing.T) {
	t.Parallel()
	asked := 0
	vault := new(awstest.SecretsManager)
	vault.Put("a", "value")
	api := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asked++
			fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q}`, awstest.AccessKey, awstest.SecretKey)
			return
		}
		vault.ServeHTTP(w, r)
	}), func(c *awsapi.Config) { c.AccessKey, c.SecretKey, c.ContainerPath = "", "", "/" })
	for range 3 {
		_, f := read(t.Context(), api)
		require.Nil(t, f)
	}
	assert.Equal(t, 1, asked)
}

// Our clock may be wrong, and tell that they are good for years.
func TestCredentialsThatAWSCallsExpiredAreRenewed(t *testing.T) {
	t.Parallel()
	var called []string
	vault := new(awstest.SecretsManager)
	vault.Put("a", "value")
	config := byWebIdentity(t)
	config.Transport = awstest.Transport(recorded(&called, hosts(t, vault)))
	api, err := awsapi.New(config, awsapi.SecretsManager, "")
	require.NoError(t, err)
	_, f := read(t.Context(), api)
	require.Nil(t, f)
	vault.Script(awstest.Refuse(400, "ExpiredTokenException"), nil)
	assert.Equal(t, attempt.Transient, attempt.KindOf(failure(t.Context(), t, api)))
	_, f = read(t.Context(), api)
	require.Nil(t, f)
	const sts, service = "sts.us-east-1.amazonaws.com", "secretsmanager.us-east-1.amazonaws.com"
	assert.Equal(t, []string{sts, service, service, sts, service}, called)
}

func TestWithoutCredentialsTheConfigurationIsWrong(t *testing.T) {
	t.Parallel()
	const (
		none = "no AWS credentials are found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
			"AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI; " +
			"neither AWS_PROFILE nor files of profiles nor the metadata of an instance are read " +
			"(aws configure export-credentials --format env has what to set)"
		half = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: set both, or none of them"
		full = "AWS_CONTAINER_CREDENTIALS_FULL_URI: must "
		path = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: must "
		line = "contain a line break or a character outside ASCII"
	)
	for name, c := range map[string]struct {
		change func(*awsapi.Config)
		want   string
	}{
		"nothing":   {func(*awsapi.Config) {}, none},
		"a profile": {func(c *awsapi.Config) { c.Profile = "prod" }, none},
		"a profile, which might go before the container": {
			func(c *awsapi.Config) { c.Profile, c.ContainerPath = "prod", "/x" }, none,
		},
		"a key":        {func(c *awsapi.Config) { c.AccessKey = "a" }, half},
		"another key":  {func(c *awsapi.Config) { c.SecretKey, c.ContainerPath = "a", "/x" }, half},
		"a line break": {func(c *awsapi.Config) { c.AccessKey, c.SecretKey = "a\n", "b" }, line},
		"a token with a line break": {
			func(c *awsapi.Config) { c.AccessKey, c.SecretKey, c.SessionToken = "a", "b", "planted\n" }, line,
		},
		"a token without a role": {func(c *awsapi.Config) { c.WebIdentityFile = "/a" }, "AWS_ROLE_ARN: is not set"},
		"a bad endpoint of STS": {
			func(c *awsapi.Config) { c.WebIdentityFile, c.RoleARN, c.STSEndpoint = "/a", "b", "c" },
			"AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL: must be a URL",
		},
		"a host in clear text": {
			func(c *awsapi.Config) { c.ContainerURL = "http://planted.example/a" }, full + "begin with https://",
		},
		"metadata of an instance": {
			func(c *awsapi.Config) { c.ContainerURL = "http://169.254.169.254/a" }, full + "begin with https://",
		},
		"no host":  {func(c *awsapi.Config) { c.ContainerURL = "http:///planted" }, full + "be a URL"},
		"a name":   {func(c *awsapi.Config) { c.ContainerURL = "planted" }, full + "be a URL"},
		"a person": {func(c *awsapi.Config) { c.ContainerURL = "https://planted@localhost" }, full + "not have a user"},
		"a path that ends elsewhere": {
			func(c *awsapi.Config) { c.ContainerPath = ".planted.example/" }, path + "begin with https://",
		},
		"a path that begins elsewhere": {
			func(c *awsapi.Config) { c.ContainerPath = "@planted.example/" }, path + "not have a user",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := awsapi.Config{Region: "eu-west-1"}
			c.change(&config)
			_, err := awsapi.New(config, awsapi.EventBridge, "")
			require.ErrorContains(t, err, c.want)
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
			assert.NotContains(t, err.Error(), "planted")
		})
	}
}

func TestAFileWithATokenMustHaveOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config awsapi.Config
		want   string
	}{
		{
			awsapi.Config{WebIdentityFile: "/planted/absent", RoleARN: role},
			"AWS_WEB_IDENTITY_TOKEN_FILE: no such file or directory",
		},
		{
			awsapi.Config{WebIdentityFile: os.DevNull, RoleARN: role},
			"AWS_WEB_IDENTITY_TOKEN_FILE: it is not a regular file",
		},
		{
			awsapi.Config{ContainerPath: "/", ContainerTokenFile: "/planted/absent"},
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: no such file or directory",
		},
		{
			awsapi.Config{ContainerPath: "/", ContainerTokenFile: written(t, "planted\nplanted")},
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: contains a line break or a character outside ASCII",
		},
		{
			awsapi.Config{ContainerPath: "/", ContainerToken: "planted\n"},
			"AWS_CONTAINER_AUTHORIZATION_TOKEN: contains a line break or a character outside ASCII",
		},
	} {
		c.config.Transport = awstest.Transport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("a request was sent")
		}))
		api, err := awsapi.New(c.config, awsapi.SecretsManager, "eu-west-1")
		require.NoError(t, err)
		f := failure(t.Context(), t, api)
		require.EqualError(t, f, "AWS credentials: "+c.want)
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(f))
	}
}

func TestAWSMayRefuseATokenForARole(t *testing.T) {
	t.Parallel()
	config := byWebIdentity(t)
	config.Transport = awstest.Transport(awstest.Refuse(http.StatusForbidden, "AccessDenied"))
	api, err := awsapi.New(config, awsapi.SecretsManager, "")
	require.NoError(t, err)
	f := failure(t.Context(), t, api)
	require.EqualError(t, f, "AWS credentials: status 403 AccessDenied (request "+awstest.RequestID+")")
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(f))
}
