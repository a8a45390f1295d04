package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/internal/planted"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	agencyURN   = "iam::a1:agency:registrar"
	providerURN = "iam::a1:oidcProvider:aws"
	administer  = `{"Version":"5.0","Statement":[{"Effect":"Allow",` +
		`"Action":["organizations:delegatedAdministrators:register"]}]}`
)

// registering makes the account of each event an administrator, in one call.
func registering(environment map[string]string) *program[struct{}] {
	return &program[struct{}]{
		name:   "register-admin",
		policy: administer,
		function: func(api *client.Client, _ struct{}) handler.Function {
			return handler.NewFunction(events.AccountCreatedInput(),
				func(ctx context.Context, _ events.Event, d events.AccountCreated) (events.Result, error) {
					one := events.Registration{ServicePrincipal: "service.SecMaster", Outcome: events.Registered}
					sent, err := api.RegisterDelegatedAdministrator(ctx, string(d.AccountID), "service.SecMaster")
					if client.Refusal(err) != nil { // an attempt before it was lost on the way back
						one.Outcome, err = events.Unchanged, nil
					}
					one.Attempts, one.RequestID = sent.Attempts, sent.RequestID
					return events.AdminResult{AccountID: d.AccountID, RegistrationsResult: events.RegistrationsResult{
						Outcome: one.Outcome, Registrations: []events.Registration{one},
					}}, err
				})
		},
		environment: envconfig.MapLookuper(environment),
		level:       new(slog.LevelVar),
	}
}

// echoing is a gateway that now and then refuses 25 requests in a row, and quotes what it got.
type echoing struct {
	http.RoundTripper
	mu   sync.Mutex
	seen int
}

func (e *echoing) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	e.seen++
	seen := e.seen
	e.mu.Unlock()
	if seen%200 >= 25 {
		return e.RoundTripper.RoundTrip(r)
	}
	var got bytes.Buffer
	for name, values := range r.Header {
		fmt.Fprintf(&got, "%s: %s\n", name, values)
	}
	_, _ = io.Copy(&got, r.Body)
	forms := []string{got.String(), base64.StdEncoding.EncodeToString(got.Bytes()), url.QueryEscape(got.String())}
	body, _ := json.Marshal(map[string]string{"error_code": "APIGW.0201", "error_msg": forms[seen%len(forms)]})
	return &http.Response{
		StatusCode: http.StatusBadGateway, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}, nil
}

// left collects what left the process.
type left struct {
	mu sync.Mutex
	strings.Builder
}

func (l *left) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

// Lines are logged by the default logger, which it replaces, so it can't run beside others.
func TestHoursWithCredentialsThatExpire(t *testing.T) { //nolint:paralleltest // see above
	for name, c := range map[string]struct {
		environment map[string]string
		path        string // where credentials are exchanged
	}{
		"by token": {map[string]string{
			"HUAWEICLOUD_OIDC_PROVIDER_URN": providerURN, "HUAWEICLOUD_OIDC_AGENCY_URN": agencyURN,
			"HUAWEICLOUD_OIDC_AUDIENCE": "huaweicloud",
		}, "/v5/agencies/assume-with-oidc"},
		"by key": {map[string]string{
			"HUAWEICLOUD_SDK_AK": "AKEXAMPLE0001", "HUAWEICLOUD_SDK_SK": "SKexample0001",
			"HUAWEICLOUD_AGENCY_URN": agencyURN,
		}, "/v5/agencies/assume"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { work(t, c.environment, c.path) })
		})
	}
}

// work works for some hours under load.
func work(t *testing.T, environment map[string]string, path string) {
	t.Helper()
	out, before := new(left), slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(out, nil)))
	defer slog.SetDefault(before)

	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"})
	cloud.TrustService("service.SecMaster")
	cloud.AllowAssume("AKEXAMPLE0001", agencyURN)
	cloud.TrustOIDC(providerURN, agencyURN, huaweitest.Trust{
		Issuer: awstest.Issuer, Audience: "huaweicloud", Subjects: []string{awstest.Role},
	})
	sts, bus := new(awstest.STS), new(awstest.EventBridge)
	environment["RESULT_SINK"], environment["CONCURRENCY"] = "eventbridge://results", "5"
	p := registering(environment)
	p.common.Client.Transport = &echoing{RoundTripper: cloud}
	p.common.Credentials.AWS, p.common.Sink.AWS = awstest.Config(sts), awstest.Config(bus)
	h, _, err := p.build(t.Context())
	require.NoError(t, err)

	const hours, batch = 3, 10
	registered, failed := 0, 0
	for begun := time.Now(); time.Since(begun) < hours*time.Hour; time.Sleep(time.Minute) {
		var records []string
		for range batch {
			id := fmt.Sprintf("account-%d", registered)
			registered++
			cloud.AddAccount(id, "active")
			records = append(records, fmt.Sprintf(
				`{"specversion":"1.0","id":%q,"source":"/s","type":"account.created","data":{"account_id":%[1]q}}`, id))
		}
		payload := "[" + strings.Join(records, ",") + "]"
		for { // as a queue delivers it again
			answer, err := h.Invoke(t.Context(), []byte(payload))
			if err == nil {
				_, _ = out.Write(answer)
				break
			}
			failed++
			fmt.Fprintln(out, err)
			require.Less(t, failed, registered, "nothing succeeds")
		}
	}
	require.Greater(t, failed, 10, "the gateway was in the way")
	for n := range registered {
		require.Len(t, cloud.Delegations(fmt.Sprintf("account-%d", n)), 1)
	}
	assert.GreaterOrEqual(t, len(bus.Entries()), registered)

	issued := cloud.Issued()
	require.Len(t, issued, 4, "one for each 55 minutes")
	secrets := []string{
		"AKEXAMPLE0001", "SKexample0001", awstest.AccessKey, awstest.SecretKey, awstest.SessionToken,
	}
	for _, s := range issued {
		secrets = append(secrets, s.AccessKey, s.SecretKey, s.SecurityToken)
	}
	exchanges := 0
	for _, r := range cloud.Requests() {
		if r.Path == path {
			exchanges++
		}
	}
	assert.Equal(t, len(issued), exchanges, "one exchange for each")
	for _, token := range sts.Tokens() {
		secrets = append(secrets, token)
		secrets = append(secrets, strings.Split(token, ".")[1:]...)
	}
	for _, entry := range bus.Entries() {
		fmt.Fprintln(out, entry)
	}
	all := out.String()
	assert.Contains(t, all, "[redacted]", "secrets were quoted")
	assert.Empty(t, planted.In(all, secrets...), "secrets left the process")
}
