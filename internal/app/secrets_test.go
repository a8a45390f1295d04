package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/internal/planted"
	"registrar/internal/racedetector"
)

const (
	plantedAK    = "AKPLANTED0000001"
	plantedSK    = `SK+planted/=&"<1>`
	plantedToken = `TOKEN+planted/=&"<2>==`
)

// quoter is a way to a peer that answers as it should, or quotes what it got.
type quoter struct {
	send       func(*http.Request) (*http.Response, error)
	calls      int
	quoting    bool
	host       string // what the hosts begin with whose requests are quoted; empty for all
	body, form int    // how
}

func (q *quoter) RoundTrip(r *http.Request) (*http.Response, error) {
	q.calls++
	if !q.quoting || !strings.HasPrefix(r.URL.Host, q.host) {
		return q.send(r)
	}
	got, err := httputil.DumpRequestOut(r, true)
	if err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(strings.NewReader(planted.Quote(string(got), q.body, q.form))), r)
}

// toAWS is a way to a fake of AWS.
func toAWS(q *quoter, fake http.Handler) awsapi.Config {
	c := awstest.Config(fake)
	q.send, c.Transport = c.Transport.RoundTrip, q
	return c
}

// Each peer quotes each request in each way and form, wherever an answer has room for it.
// Lines are logged by the default logger, which the test replaces, so it can't run beside others.
func TestWhoeverQuotesARequestGetsNoSecretInto(t *testing.T) { //nolint:paralleltest // see above
	keys := map[string]string{
		"HUAWEICLOUD_SDK_AK": plantedAK, "HUAWEICLOUD_SDK_SK": plantedSK,
		"HUAWEICLOUD_SDK_SECURITY_TOKEN": plantedToken,
	}
	for name, c := range map[string]struct {
		environment map[string]string
		sink        string
	}{
		"keys": {keys, "eventbridge://results"},
		"a secret for an agency": {map[string]string{
			"HUAWEICLOUD_CREDENTIALS_SECRET": "huaweicloud", "HUAWEICLOUD_AGENCY_URN": agencyURN,
		}, "https://sink.example/path-planted-0003?key=key-planted-0004"},
		"a token": {map[string]string{
			"HUAWEICLOUD_OIDC_PROVIDER_URN": providerURN, "HUAWEICLOUD_OIDC_AGENCY_URN": agencyURN,
			"HUAWEICLOUD_OIDC_AUDIENCE": "huaweicloud",
		}, "eventbridge://results"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { beQuoted(t, c.environment, c.sink) })
		})
	}
}

func beQuoted(t *testing.T, environment map[string]string, to string) {
	t.Helper()
	out, before := new(left), slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug - 4})))
	defer slog.SetDefault(before)

	cloud := huaweitest.New(huaweitest.Credentials{
		AccessKey: plantedAK, SecretKey: plantedSK, SecurityToken: plantedToken,
	})
	cloud.TrustService("service.SecMaster")
	cloud.AllowAssume(plantedAK, agencyURN)
	cloud.TrustOIDC(providerURN, agencyURN, huaweitest.Trust{
		Issuer: awstest.Issuer, Audience: "huaweicloud", Subjects: []string{awstest.Role},
	})
	sts, vault := new(awstest.STS), new(awstest.SecretsManager)
	vault.Put("huaweicloud", fmt.Sprintf(`{"ak":%q,"sk":%q,"security_token":%q}`, plantedAK, plantedSK, plantedToken))
	credentials := http.Handler(sts)
	if environment["HUAWEICLOUD_CREDENTIALS_SECRET"] != "" {
		credentials = vault
	}
	environment["RESULT_SINK"], environment["MAX_ATTEMPTS"] = to, "2"
	huawei, ofAWS, bus, receiver := new(quoter), new(quoter), new(quoter), new(quoter)
	huawei.send = cloud.RoundTrip
	receiver.send = func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody, Request: r}, nil
	}
	p := registering(environment)
	p.common.Client.Transport, p.common.Sink.Transport = huawei, receiver
	p.common.Credentials.AWS = toAWS(ofAWS, credentials)
	p.common.Sink.AWS = toAWS(bus, new(awstest.EventBridge))

	every := map[bool]int{false: 4, true: 9} // all ways of all answers would take a minute
	if racedetector.Enabled {
		every = map[bool]int{false: 11, true: 22} // .ci/run runs the others without it
	}
	accounts := 0
	h, _, err := p.build(t.Context())
	require.NoError(t, err)
	for _, q := range []struct {
		*quoter
		host string
		keys bool // it has to do with credentials, which must not be there then
	}{
		{huawei, "organizations.", false},
		{huawei, "sts.", true},
		{ofAWS, "", true},
		{bus, "", false},
		{receiver, "", false},
	} {
		if q.calls == 0 && accounts > 0 {
			continue // it isn't part of this
		}
		for body := range planted.Bodies {
			for form := range planted.Forms {
				if (body+form)%every[q.keys] != 0 {
					continue
				}
				if q.keys {
					h, _, err = p.build(t.Context())
					require.NoError(t, err)
				}
				accounts++
				id := fmt.Sprint("account-", accounts)
				cloud.AddAccount(id, "active")
				for _, quoting := range []bool{true, false} {
					q.quoting, q.quoter.host, q.body, q.form = quoting, q.host, body, form
					answer, err := h.Invoke(t.Context(), fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"/s",`+
						`"type":"account.created","data":{"account_id":%[1]q}}`, id))
					fmt.Fprintln(out, string(answer), err)
					if !quoting {
						require.NoError(t, err, "afterwards all is well")
					}
				}
			}
		}
	}
	secrets := []string{
		plantedAK, plantedSK, plantedToken, awstest.AccessKey, awstest.SecretKey, awstest.SessionToken,
		"path-planted-0003", "key-planted-0004",
	}
	secrets = append(secrets, sts.Tokens()...)
	for _, s := range cloud.Issued() {
		secrets = append(secrets, s.AccessKey, s.SecretKey, s.SecurityToken)
	}
	assert.Contains(t, out.String(), "[redacted]", "secrets were quoted")
	assert.Empty(t, planted.In(out.String(), secrets...), "secrets left the process")
}

// The configuration is printed by accident sooner or later, as a whole or in part.
func TestNoVerbShowsASecretOfTheConfiguration(t *testing.T) {
	t.Parallel()
	const secret = "planted-secret-0005"
	c := new(Config)
	const proxy, sink = "http://user:" + secret + "@proxy.example:3128", "https://sink.example/" + secret
	require.Empty(t, load(t.Context(), c, envconfig.MapLookuper(map[string]string{
		"HUAWEICLOUD_SDK_AK": secret, "HUAWEICLOUD_SDK_SK": secret, "HUAWEICLOUD_SDK_SECURITY_TOKEN": secret,
		"RESULT_SINK": sink, "K_SINK": sink,
		"AWS_ACCESS_KEY_ID": secret, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": secret,
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": secret, "AWS_CONTAINER_CREDENTIALS_FULL_URI": sink,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN": secret,
		"HTTPS_PROXY":                       proxy, "HTTP_PROXY": proxy, "https_proxy": proxy, "http_proxy": proxy,
	})))
	parts := 0
	var show func(at string, v reflect.Value)
	show = func(at string, v reflect.Value) {
		parts++
		var out strings.Builder
		for _, value := range []any{v.Interface(), v.Addr().Interface(), []any{v.Interface()}, fmt.Errorf("%v", v)} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			_ = json.NewEncoder(&out).Encode(value)
			for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
				slog.New(h).Info("config", "value", value)
			}
		}
		assert.Empty(t, planted.In(out.String(), secret), at)
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				if field := v.Type().Field(i); field.IsExported() {
					show(at+"."+field.Name, v.Field(i))
				}
			}
		}
	}
	show("Config", reflect.ValueOf(c).Elem())
	assert.Greater(t, parts, 30)
}
