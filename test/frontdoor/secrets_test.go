package frontdoor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/functiongraphlocal"
	"registrar/internal/huaweitest"
	"registrar/internal/planted"
	"registrar/pkg/events"
)

// The secrets that an operator or a host gives to a function. They have what escapes differently,
// where their form allows it.
const (
	plantedAK       = "AKPLANTED0000001"
	plantedSK       = `SK+planted/=&"<1>`
	plantedToken    = `TOKEN+planted/=&"<2>==`
	plantedAWSAK    = "AKIDPLANTED000000003"
	plantedAWSSK    = `aws/SK+planted=&"<4>`
	plantedAWSToken = `aws/TOKEN+planted/=&"<5>==`
	plantedPath     = "sink-path-planted-0006"
	plantedQuery    = "sink-query-planted-0007"
	plantedProxy    = "proxy-password-planted-0008"
	plantedAuth     = `MII+planted/=&"<9>auth==`
	plantedCaller   = "caller+planted/=0010"
)

// peer is something that a function calls. It keeps what it gets.
type peer struct {
	http.Handler
	may map[string][]string // the secrets that it may get, by where they stand in a request

	mu    sync.Mutex
	echo  func(w http.ResponseWriter, r *http.Request, got string) bool // answers, or returns false
	got   map[string]map[string]bool                                    // where -> texts
	calls int
}

// newPeer starts a peer, and returns its URL.
func newPeer(t *testing.T, own http.Handler, may map[string][]string) (*peer, string) {
	t.Helper()
	p := &peer{Handler: own, may: may, got: map[string]map[string]bool{}}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return p, server.URL
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dump, _ := httputil.DumpRequest(r, true)
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	p.calls++
	keep := func(where, text string) {
		if p.got[where] == nil {
			p.got[where] = map[string]bool{}
		}
		p.got[where][text] = true
	}
	keep("URL", r.RequestURI)
	keep("body", string(body))
	for name, values := range r.Header {
		keep(name, strings.Join(values, "\n"))
	}
	echo := p.echo
	p.mu.Unlock()
	if echo == nil || r.Method == http.MethodHead || !echo(w, r, string(dump)) {
		p.Handler.ServeHTTP(w, r)
	}
}

// answer changes how the peer answers; nil has it do its own work.
func (p *peer) answer(echo func(http.ResponseWriter, *http.Request, string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.echo = echo
}

// asked is how often the peer was called.
func (p *peer) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// planting is a stage in which every secret can be recognised.
type planting struct {
	*stage
	peers   map[string]*peer
	aws     *awstest.STS
	vault   *awstest.SecretsManager
	secrets []string
	out     *lines      // what left the process, besides its log
	given   http.Header // what FunctionGraph gives each invocation
}

// newPlanting is a stage whose credentials and sink are of these kinds.
func newPlanting(t *testing.T, host, source, to string) *planting {
	t.Helper()
	s := newStage(t)
	s.host = host
	s.keys = huaweitest.Credentials{AccessKey: plantedAK, SecretKey: plantedSK, SecurityToken: plantedToken}
	s.AddCredentials(s.keys)
	s.AllowAssume(plantedAK, agencyURN)
	p := &planting{
		stage: s, aws: new(awstest.STS), vault: new(awstest.SecretsManager), peers: map[string]*peer{}, out: &lines{},
		given: http.Header{"X-Cff-Auth-Token": {plantedAuth}},
		secrets: []string{
			plantedAK, plantedSK, plantedToken, plantedAWSAK, plantedAWSSK, plantedAWSToken, plantedPath, plantedQuery,
			plantedAuth, plantedCaller,
		},
	}
	p.vault.Put("huaweicloud", secretOf(s.keys))
	toHuawei := map[string][]string{"Authorization": {plantedAK}, "X-Security-Token": {plantedToken}}
	toAWS := map[string][]string{"Authorization": {plantedAWSAK}, "X-Amz-Security-Token": {plantedAWSToken}}
	start := func(name string, own http.Handler, may map[string][]string, variables ...string) string {
		at := ""
		p.peers[name], at = newPeer(t, own, may)
		for _, variable := range variables {
			s.env[variable] = at
		}
		return at
	}
	start("Huawei Cloud", s.Cloud, toHuawei, "ORGANIZATIONS_ENDPOINT", "IDENTITYCENTER_ENDPOINT")
	start("STS", s.Cloud, toHuawei, "HUAWEICLOUD_SDK_STS_ENDPOINT")
	start("AWS STS", p.aws, toAWS, "AWS_ENDPOINT_URL_STS")
	start("Secrets Manager", p.vault, toAWS, "AWS_ENDPOINT_URL_SECRETS_MANAGER")
	start("EventBridge", new(awstest.EventBridge), toAWS, "AWS_ENDPOINT_URL_EVENTBRIDGE")
	sink := start("sink", &receiver{}, map[string][]string{"URL": {plantedPath, plantedQuery}})
	maps.Copy(s.env, map[string]string{
		"AWS_ACCESS_KEY_ID": plantedAWSAK, "AWS_SECRET_ACCESS_KEY": plantedAWSSK, "AWS_SESSION_TOKEN": plantedAWSToken,
		"AWS_REGION": "eu-central-1", "AWS_LAMBDA_LOG_LEVEL": "TRACE", "MAX_ATTEMPTS": "1",
		"ADMINISTRATORS": secMaster + "=name:account-" + account + "," + cts + "=id:" + account,
		"RESULT_SINK":    "eventbridge://results",
	})
	if to == "sink" {
		s.env["RESULT_SINK"] = sink + "/" + plantedPath + "?key=" + plantedQuery
	}
	p.credentials(t, source)
	return p
}

// credentials sets where a function finds its credentials.
func (p *planting) credentials(t *testing.T, source string) {
	t.Helper()
	maps.DeleteFunc(p.env, func(name, _ string) bool {
		return strings.HasPrefix(name, "HUAWEICLOUD_SDK_") && name != "HUAWEICLOUD_SDK_STS_ENDPOINT"
	})
	trusted := huaweitest.Trust{Issuer: awstest.Issuer, Audience: "huaweicloud", Subjects: []string{awstest.Role}}
	keys := map[string]string{
		"HUAWEICLOUD_SDK_AK": plantedAK, "HUAWEICLOUD_SDK_SK": plantedSK,
		"HUAWEICLOUD_SDK_SECURITY_TOKEN": plantedToken,
	}
	switch source {
	case "keys":
		maps.Copy(p.env, keys)
	case "keys of an agency":
		maps.Copy(p.env, keys)
		p.env["HUAWEICLOUD_AGENCY_URN"] = agencyURN
	case "secret":
		p.env["HUAWEICLOUD_CREDENTIALS_SECRET"] = "huaweicloud"
	case "token of AWS":
		p.env["HUAWEICLOUD_OIDC_AUDIENCE"] = "huaweicloud"
	case "token in a file":
		token := awstest.Token("RS256", map[string]any{
			"iss": awstest.Issuer, "aud": "huaweicloud", "sub": awstest.Role, "exp": time.Now().Add(time.Hour).Unix(),
		})
		file := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
		p.env["HUAWEICLOUD_OIDC_TOKEN_FILE"] = file
		p.secrets = append(p.secrets, token)
		p.peers["STS"].may["body"] = []string{token}
	case "agency":
		given := p.IssueTemporary(time.Hour)
		p.given.Set("X-CFF-Access-Key", given.AccessKey)
		p.given.Set("X-CFF-Secret-Key", given.SecretKey)
		p.given.Set("X-CFF-Security-Token", given.SecurityToken)
	default:
		t.Fatal("no such source: ", source)
	}
	if strings.HasPrefix(source, "token") {
		p.env["HUAWEICLOUD_OIDC_PROVIDER_URN"], p.env["HUAWEICLOUD_OIDC_AGENCY_URN"] = providerURN, agencyURN
		p.TrustOIDC(providerURN, agencyURN, trusted)
	}
}

// launch starts a function, and returns the func that gives it an event, in one of three ways.
func (p *planting) launch(t *testing.T, name string) (send func(way int, event string)) {
	t.Helper()
	if p.host == onHTTP {
		at, _ := p.serveHTTP(t, name)
		return func(_ int, event string) {
			r, err := http.NewRequest(http.MethodPost, at+"/?code="+plantedCaller, strings.NewReader(event))
			require.NoError(t, err)
			r.Header.Set("Content-Type", events.StructuredMediaType)
			for name, value := range called() {
				r.Header.Set(name, value)
			}
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.NoError(t, resp.Write(p.out))
		}
	}
	f := p.function(t, name)
	return func(way int, event string) {
		switch way % 3 {
		case 1:
			event = queued(event)
		case 2:
			event = string(mustEncode(map[string]any{
				"version": "2.0", "rawPath": "/", "rawQueryString": "code=" + plantedCaller, "headers": called(),
				"requestContext": map[string]any{"http": map[string]any{"method": "POST"}}, "body": event,
			}))
		}
		answer, err := f.Invoke(t.Context(), []byte(event))
		require.NoError(t, err)
		fmt.Fprintf(p.out, "%s %s\n", answer.FunctionError, answer.Payload)
	}
}

// onHTTP is a function that is an HTTP server.
const onHTTP = "HTTP"

// function is the function on a host that invokes it, with the environment as it is.
func (p *planting) function(t *testing.T, name string) function {
	t.Helper()
	if p.host == onLambda {
		return p.start(t, name)
	}
	f, err := functiongraphlocal.New(functiongraphlocal.Config{
		Name: name, Bootstrap: filepath.Join(dist, name, "bootstrap"), Env: maps.Clone(p.env), Timeout: p.timeout,
		Log: p.log, Headers: func() http.Header { return p.given },
	})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

// called are the headers that a caller of the server or the function URL sends for what stands in
// front of it.
func called() map[string]string {
	return map[string]string{
		"Content-Type": events.StructuredMediaType, "Authorization": "Bearer " + plantedCaller,
		"Cookie": "session=" + plantedCaller, "X-Cff-Access-Key": plantedCaller, "X-Cff-Secret-Key": plantedCaller,
		"X-Cff-Security-Token": plantedCaller, "X-Api-Key": plantedCaller,
	}
}

func mustEncode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// asking is an event that gives a function something to do, after the cloud was set back.
func (p *planting) asking(name string) string {
	p.SetRegion("")
	p.Undelegate(account, secMaster, cts)
	p.Distrust("service.RAM")
	switch name {
	case "register-region":
		return bootstrap(north)
	case "register-service":
		return bootstrap(`{"service_principals":["service.RAM"]}`)
	case "register-admin":
		return input("account.created", `{"create_account_status_id":"car-0001"}`, "")
	default:
		return input("org.audit", `{}`, "")
	}
}

// all are the secrets that exist by now.
func (p *planting) all() []string {
	all := slices.Clone(p.secrets)
	for _, s := range p.Issued() {
		all = append(all, s.AccessKey, s.SecretKey, s.SecurityToken)
	}
	all = append(all, p.aws.Tokens()...)
	for _, secret := range slices.Clone(all) { // a part of a token is as good for who quotes it
		if parts := strings.Split(secret, "."); len(parts) == 3 {
			all = append(all, parts[1:]...)
		}
	}
	return all
}

// assertKept asserts that each secret stayed where it belongs.
func (p *planting) assertKept(t *testing.T) {
	t.Helper()
	all := p.all()
	assert.Empty(t, planted.In(p.log.String(), all...), "in the log")
	assert.Empty(t, planted.In(p.out.String(), all...), "in answers")
	p.log.reset()
	p.out.reset()
	var ofHuawei []string
	tokens := map[string]bool{}
	for _, s := range p.Issued() {
		ofHuawei = append(ofHuawei, s.AccessKey, s.SecurityToken)
	}
	for _, token := range p.aws.Tokens() {
		tokens[token] = true
	}
	for name, peer := range p.peers {
		peer.mu.Lock()
		for where, texts := range peer.got {
			may := slices.Clone(peer.may[where])
			if name == "Huawei Cloud" && (where == "Authorization" || where == "X-Security-Token") {
				may = append(may, ofHuawei...)
			}
			if name == "STS" && where == "body" {
				may = slices.AppendSeq(may, maps.Keys(tokens))
			}
			for _, token := range slices.Clone(may) {
				may = append(may, strings.Split(token, ".")...)
			}
			forbidden := slices.Clone(all)
			forbidden = slices.DeleteFunc(forbidden, func(one string) bool { return slices.Contains(may, one) })
			text := strings.Join(slices.Collect(maps.Keys(texts)), "\n")
			assert.Empty(t, planted.In(text, forbidden...), "in %s, for %s", where, name)
		}
		clear(peer.got)
		peer.mu.Unlock()
	}
}

// reset forgets what was written.
func (l *lines) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// quote answers each request after the first few with all that it got.
func quote(body, form, skip int) func(http.ResponseWriter, *http.Request, string) bool {
	var calls atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request, got string) bool {
		if calls.Add(1) <= int64(skip) {
			return false
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return false
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, planted.Quote(got, body, form))
		return true
	}
}

// misquote answers as ever, but with what the request holds in place of the leaf of that number.
func (p *peer) misquote(leaf, form int) func(http.ResponseWriter, *http.Request, string) bool {
	return func(w http.ResponseWriter, r *http.Request, got string) bool {
		answer := httptest.NewRecorder()
		p.Handler.ServeHTTP(answer, r)
		var value any
		if json.Unmarshal(answer.Body.Bytes(), &value) == nil {
			left := leaf / 2 // each leaf gets a key, and then a token
			value = replaced(value, planted.Forms[form](planted.Word(got, leaf)), &left)
			answer.Body = bytes.NewBuffer(mustEncode(value))
			answer.Header().Del("Content-Length")
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
		return true
	}
}

// replaced puts a text in place of the text or the null that comes after so many others.
func replaced(value any, text string, left *int) any {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			v[key] = replaced(v[key], text, left)
		}
	case []any:
		for i := range v {
			v[i] = replaced(v[i], text, left)
		}
	case string, nil:
		if *left--; *left == -1 {
			return text
		}
	}
	return value
}
