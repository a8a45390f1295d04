package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/internal/credentials"
	"registrar/internal/sink"
	"registrar/pkg/client"
)

// shape is all of a request but for what differs from one to the next, and what the SDK says of
// itself.
func (s *signed) shape(t *testing.T) map[string]any {
	t.Helper()
	r := s.request
	require.NotNil(t, r)
	header := r.Header.Clone()
	for _, name := range []string{ // the time and what follows from it; the SDK; compression
		"X-Amz-Date", "Authorization", "User-Agent", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Accept-Encoding",
	} {
		header.Del(name)
	}
	header.Set("Content-Length", fmt.Sprint(len(s.body))) // the SDK sets it on the request alone
	if r.ContentLength > 0 {
		assert.EqualValues(t, len(s.body), r.ContentLength)
	}
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "/")
	scope, list, _ := strings.Cut(scope, ", SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	covered := slices.DeleteFunc(strings.Split(list, ";"), func(name string) bool {
		return strings.HasPrefix(name, "amz-sdk-") || name == "accept-encoding"
	})
	var body any
	if json.Unmarshal(s.body, &body) != nil {
		form, err := url.ParseQuery(string(s.body))
		require.NoError(t, err)
		body = form
	} else {
		header.Del("Content-Length") // the order of members and escapes may differ
	}
	day := r.Header.Get("X-Amz-Date")
	return map[string]any{
		"line": r.Method + " " + r.URL.RequestURI(), "host": r.Host, "header": header, "body": body,
		"scope": strings.TrimPrefix(scope, day[:min(8, len(day))]), "covered": covered,
	}
}

func TestOurCallsAreThoseOfTheSDK(t *testing.T) {
	t.Parallel()
	e := event.New()
	e.SetID("1")
	e.SetSource("/registrar/register-region")
	e.SetType("org.region.registered")
	e.SetTime(time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC))
	message := map[string]string{"message": "a \"quoted\" <b> & ü € \u2028"}
	require.NoError(t, e.SetData(event.ApplicationJSON, message))
	timeless := e.Clone()
	timeless.SetTime(time.Time{})
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("a.b+/=.c"), 0o600))
	const arn = "arn:aws:events:eu-west-3:123456789012:event-bus/results"
	entry := func(e event.Event, at *time.Time) types.PutEventsRequestEntry {
		detail, err := e.MarshalJSON()
		require.NoError(t, err)
		return types.PutEventsRequestEntry{
			EventBusName: new(arn), Source: new(e.Source()), DetailType: new(e.Type()), Detail: new(string(detail)),
			Time: at,
		}
	}
	fromConfig := func(t *testing.T, c credentials.Config) error {
		t.Helper()
		get, err := credentials.New(c, client.Config{}, client.Session{})
		require.NoError(t, err)
		_, err = get(t.Context())
		return err
	}
	for name, c := range map[string]struct {
		theirs func(aws.Config) error
		ours   func(*testing.T, awsapi.Config) error
	}{
		"PutEvents": {
			func(c aws.Config) error {
				c.Region = "eu-west-3"
				_, err := eventbridge.NewFromConfig(c).PutEvents(t.Context(), &eventbridge.PutEventsInput{
					Entries: []types.PutEventsRequestEntry{entry(e, new(e.Time())), entry(timeless, nil)},
				})
				return err
			},
			func(t *testing.T, c awsapi.Config) error {
				t.Helper()
				config := sink.Config{AWS: c}
				require.NoError(t, config.Target.UnmarshalText([]byte("eventbridge://"+arn)))
				send, err := sink.New(config)
				require.NoError(t, err)
				return send(t.Context(), e, timeless)
			},
		},
		"GetSecretValue": {
			func(c aws.Config) error {
				input := secretsmanager.GetSecretValueInput{
					SecretId: new("prod/huawei+cloud"), VersionStage: new("AWSCURRENT"),
				}
				_, err := secretsmanager.NewFromConfig(c).GetSecretValue(t.Context(), &input)
				return err
			},
			func(t *testing.T, c awsapi.Config) error {
				t.Helper()
				config := credentials.Config{AWS: c}
				require.NoError(t, config.Secret.UnmarshalText([]byte("prod/huawei+cloud")))
				return fromConfig(t, config)
			},
		},
		"GetWebIdentityToken": {
			func(c aws.Config) error {
				_, err := sts.NewFromConfig(c).GetWebIdentityToken(t.Context(), ask("https://huawei.example/a b&c"))
				return err
			},
			func(t *testing.T, c awsapi.Config) error {
				t.Helper()
				return fromConfig(t, credentials.Config{AWS: c, OIDC: credentials.OIDC{
					ProviderURN: "iam::a:oidcProvider:p", AgencyURN: "iam::a:agency:n",
					Audience: "https://huawei.example/a b&c",
				}})
			},
		},
		"AssumeRoleWithWebIdentity": {
			func(c aws.Config) error {
				input := sts.AssumeRoleWithWebIdentityInput{
					RoleArn: new(awstest.Role), RoleSessionName: new("registrar"), WebIdentityToken: new("a.b+/=.c"),
				}
				_, err := sts.NewFromConfig(c).AssumeRoleWithWebIdentity(t.Context(), &input)
				return err
			},
			func(t *testing.T, c awsapi.Config) error {
				t.Helper()
				c.AccessKey, c.SecretKey, c.SessionToken = "", "", ""
				c.WebIdentityFile, c.RoleARN = file, awstest.Role
				config := credentials.Config{AWS: c}
				require.NoError(t, config.Secret.UnmarshalText([]byte("a")))
				return fromConfig(t, config)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := new(signed), new(signed)
			require.Error(t, c.theirs(load(theirs))) // which has no answers
			require.Error(t, c.ours(t, awstest.Config(ours)))
			assert.Equal(t, theirs.shape(t), ours.shape(t))
		})
	}
}

func TestTheCodeOfAnErrorIsWhatTheSDKReads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, body string }{
		{"", `{"__type":"DecryptionFailure","message":"m"}`},
		{"", `{"__type":"com.amazonaws.secretsmanager#DecryptionFailure"}`},
		{"", `{"__type":"DecryptionFailure:http://internal.amazon.com/a/b"}`},
		{"", `{"code":"DecryptionFailure"}`},
		{"", `{"__type":"NewException","code":"Another"}`},
		{"DecryptionFailure", `{}`},
		{"DecryptionFailure:http://internal.amazon.com/", `{"__type":"Another"}`},
		{"a.b#NewException", `{"code":"Another"}`},
		{"", `{"message":"m"}`},
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", c.header)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, c.body)
		})
		_, err := secretsmanager.NewFromConfig(load(h)).GetSecretValue(t.Context(),
			&secretsmanager.GetSecretValueInput{SecretId: new("a")})
		theirs, ok := errors.AsType[smithy.APIError](err)
		require.True(t, ok, err)
		api, err := awsapi.New(awstest.Config(h), awsapi.SecretsManager, "")
		require.NoError(t, err)
		f := api.JSON(t.Context(), "secretsmanager.GetSecretValue", struct{}{}, nil)
		ours, ok := errors.AsType[*awsapi.APIError](f)
		require.True(t, ok)
		want := theirs.ErrorCode()
		if want == "UnknownError" { // there was none
			want = ""
		}
		assert.Equal(t, want, ours.Code, c)
	}
}

// host is ECS, EKS, AWS STS and Secrets Manager. It keeps what it is asked.
type host struct{ asked []string }

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	authorization, _, _ := strings.Cut(r.Header.Get("Authorization"), ", ")
	if before, scope, ok := strings.Cut(authorization, "/"); ok && strings.HasPrefix(before, "AWS4") {
		authorization = before + scope[8:] // without the day
	}
	h.asked = append(h.asked, strings.Join([]string{
		r.Method, r.URL.RequestURI(), form.Get("Action"), form.Get("RoleArn"), form.Get("WebIdentityToken"),
		authorization, r.Header.Get("X-Amz-Security-Token"),
	}, "|"))
	end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	switch {
	case r.Method == http.MethodGet:
		_, _ = fmt.Fprintf(w, `{"AccessKeyId":"OFCONTAINER","SecretAccessKey":"s","Token":"t","Expiration":%q}`, end)
	case form.Get("Action") != "":
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
			`<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>OFROLE</AccessKeyId><SecretAccessKey>s`+
			`</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials>`+
			`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, end)
	default:
		_, _ = io.Copy(w, bytes.NewReader([]byte(`{"SecretString":"value"}`)))
	}
}

// Both read the environment of the process, so no test can run beside it.
func TestOurClientFollowsTheEnvironmentAsTheSDKDoes(t *testing.T) { //nolint:paralleltest // see above
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("a.b.c"), 0o600))
	server := &host{}
	site := httptest.NewServer(server)
	t.Cleanup(site.Close)
	const (
		start     = "AWS_REGION=eu-west-1 AWS_ENDPOINT_URL=URL "
		keys      = "AWS_ACCESS_KEY_ID=OFKEYS AWS_SECRET_ACCESS_KEY=s "
		container = "AWS_CONTAINER_CREDENTIALS_FULL_URI=URL/v1/c?a=b "
		// The SDK doesn't follow AWS_ENDPOINT_URL for these, as our client does.
		role = "AWS_ENDPOINT_URL_STS=URL AWS_WEB_IDENTITY_TOKEN_FILE=FILE AWS_ROLE_ARN=" + awstest.Role + " "
	)
	for name, environment := range map[string]string{
		"keys":             start + keys,
		"temporary keys":   start + keys + "AWS_SESSION_TOKEN=t",
		"the other region": "AWS_DEFAULT_REGION=eu-west-2 AWS_ENDPOINT_URL=URL " + keys,
		"both regions":     start + keys + "AWS_DEFAULT_REGION=eu-west-2",
		"an endpoint of its own": start + keys + "AWS_ENDPOINT_URL=http://127.0.0.1:1 " +
			"AWS_ENDPOINT_URL_SECRETS_MANAGER=URL",
		"an endpoint with a path":  start + keys + "AWS_ENDPOINT_URL=URL/a/b",
		"an endpoint with both":    start + keys + "AWS_ENDPOINT_URL=URL/a/b/",
		"an endpoint with a slash": start + keys + "AWS_ENDPOINT_URL=URL/",
		"what is off": start + keys + "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false AWS_USE_FIPS_ENDPOINT=false " +
			"AWS_USE_DUALSTACK_ENDPOINT=False",
		"a role":                       start + role + "AWS_ROLE_SESSION_NAME=n",
		"keys before a role":           start + role + keys,
		"a container":                  start + container,
		"a container that has a token": start + container + "AWS_CONTAINER_AUTHORIZATION_TOKEN=x",
		"a container that has a file": start + container + "AWS_CONTAINER_AUTHORIZATION_TOKEN=x " +
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=FILE",
		"keys before a container":   start + container + keys,
		"a role before a container": start + container + role,
	} {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{"AWS_CONFIG_FILE": file + "x", "AWS_SHARED_CREDENTIALS_FILE": file + "x"}
			for variable := range strings.FieldsSeq(environment) {
				name, value, _ := strings.Cut(variable, "=")
				variables[name] = strings.NewReplacer("URL", site.URL, "FILE", file).Replace(value)
			}
			for _, name := range slices.Sorted(maps.Keys(variables)) {
				t.Setenv(name, variables[name])
			}
			loaded, err := config.LoadDefaultConfig(t.Context())
			require.NoError(t, err)
			server.asked = nil
			_, err = secretsmanager.NewFromConfig(loaded).GetSecretValue(t.Context(),
				&secretsmanager.GetSecretValueInput{SecretId: new("a")})
			require.NoError(t, err)
			theirs := server.asked

			var c awsapi.Config
			require.NoError(t, envconfig.ProcessWith(context.WithoutCancel(t.Context()), &envconfig.Config{
				Target: &c, Lookuper: envconfig.MapLookuper(variables),
			}))
			api, err := awsapi.New(c, awsapi.SecretsManager, "")
			require.NoError(t, err)
			server.asked = nil
			var out any
			require.Nil(t, api.JSON(t.Context(), "secretsmanager.GetSecretValue", struct{}{}, &out))
			assert.Equal(t, theirs, server.asked)
		})
	}
}
