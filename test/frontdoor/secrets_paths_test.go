package frontdoor

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/planted"
	"registrar/pkg/events"
)

func TestNoSecretLeavesTheProcess(t *testing.T) {
	t.Parallel()
	functions := []string{"register-region", "register-service", "register-admin", "audit-organization"}
	for host, sources := range map[string][]string{
		onLambda:        {"keys", "secret", "token of AWS", "keys of an agency"},
		onFunctionGraph: {"agency", "keys", "token in a file", "agency"},
		onHTTP:          {"token in a file", "keys of an agency", "secret", "keys"},
	} {
		for i, name := range functions {
			source, to := sources[i], []string{"sink", "EventBridge"}[i%2]
			t.Run(fmt.Sprintf("%s on %s with %s", name, host, source), func(t *testing.T) {
				t.Parallel()
				p := newPlanting(t, host, source, to)
				send := p.launch(t, name)
				for number := range 4 {
					send(number, p.asking(name))
				}
				require.NotZero(t, p.peers["Huawei Cloud"].asked())
				p.assertKept(t)
				for at, peer := range p.peers {
					for body := range planted.Bodies {
						form := (body + i) % len(planted.Forms)
						// AWS and the sink do all of it in internal/app, where waits take no time.
						if peer.asked() > 0 && (at == "Huawei Cloud" || at == "STS" || body%len(functions) == i) {
							peer.answer(quote(body, form, body%3))
							send(body, p.asking(name))
							peer.answer(nil)
						}
					}
				}
				p.assertKept(t)
				p.PageSize(1)
				p.InviteAccount("invited", "account-"+account)
				p.Delegate("invited", cts, "service.RAM")
				cloud := p.peers["Huawei Cloud"]
				for leaf := range 16 {
					event := p.asking(name)
					if leaf%3 == 0 {
						p.SetRegion("cn-south-1")
					}
					cloud.answer(cloud.misquote(leaf, leaf/2%len(planted.Forms)))
					send(leaf, event)
					cloud.answer(cloud.misquote(leaf, 0))
					send(leaf, event)
				}
				p.assertKept(t)
			})
		}
	}
}

// variables are those that the program reads, as its source says, and those of the libraries.
func variables(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, folder := range []string{"functions", "internal", "pkg"} {
		require.NoError(t, filepath.WalkDir("../../"+folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, match := range regexp.MustCompile("`env:\"([A-Za-z_]+)").FindAllSubmatch(source, -1) {
				found[string(match[1])] = true
			}
			return err
		}))
	}
	require.Greater(t, len(found), 30)
	for _, ofLibrary := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE",
		"AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_EVENTBRIDGE", "AWS_CONFIG_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CA_BUNDLE",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_DEFAULTS_MODE", "AWS_RETRY_MODE",
		"AWS_MAX_ATTEMPTS", "AWS_USE_FIPS_ENDPOINT", "NO_PROXY", "SSL_CERT_FILE", "GODEBUG",
	} {
		found[ofLibrary] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// What a variable holds is quoted, if it is wrong, only by those that name regions, services,
// accounts and types of events.
func TestASecretInTheWrongVariableIsNotQuoted(t *testing.T) {
	t.Parallel()
	const secret = "planted+Secret/0001=="
	quoted := []string{"ADMINISTRATORS", "EVENT_TYPES", "REGION_ID", "SERVICE_PRINCIPALS", "TRUSTED_SERVICES"}
	hosts := []string{"RUNTIME_API_ADDR", "RUNTIME_TIMEOUT", "PORT", "HOST"} // they belong to other hosts
	for _, variable := range variables(t) {
		if slices.Contains(quoted, variable) || slices.Contains(hosts, variable) {
			continue
		}
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			for _, value := range []string{
				secret + "\n", "https://user:" + secret + "@127.0.0.1:9/",
				"http://127.0.0.1:9/?key=" + secret, "%zz" + secret,
			} {
				sources := []map[string]string{{}}
				switch {
				case strings.HasPrefix(variable, "AWS_"):
					sources = []map[string]string{{
						"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": "", "HUAWEICLOUD_CREDENTIALS_SECRET": "x",
					}}
				case strings.Contains(variable, "OIDC"):
					sources = append(sources, map[string]string{
						"HUAWEICLOUD_SDK_AK": "", "HUAWEICLOUD_SDK_SK": "", "HUAWEICLOUD_OIDC_TOKEN_FILE": "x",
						"HUAWEICLOUD_OIDC_PROVIDER_URN": providerURN, "HUAWEICLOUD_OIDC_AGENCY_URN": agencyURN,
					})
				}
				for _, source := range sources {
					s := newStage(t)
					delete(s.env, "HUAWEICLOUD_SDK_SECURITY_TOKEN")
					delete(s.env, "HUAWEICLOUD_SDK_DOMAIN_ID")
					s.env["MAX_ATTEMPTS"] = "1"
					s.env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
					maps.Copy(s.env, source)
					s.env[variable] = value
					answer, err := s.start(t, "register-region").Invoke(t.Context(), []byte(bootstrap(north)))
					require.NoError(t, err)
					assert.Empty(t, planted.In(s.log.String()+string(answer.Payload), secret), "%q", value)
				}
			}
		})
	}
}

// The proxy gets a password, and says in its answer to CONNECT whatever it likes.
func TestAProxyThatQuotesItsPasswordGetsItNowhere(t *testing.T) {
	t.Parallel()
	for _, host := range []string{onLambda, onFunctionGraph, onHTTP} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			p := newPlanting(t, host, "keys", "EventBridge")
			basic := base64.StdEncoding.EncodeToString([]byte("user:" + plantedProxy))
			to := map[string][]string{"Proxy-Authorization": {plantedProxy}}
			proxy, at := newPeer(t, http.NotFoundHandler(), to)
			p.peers["proxy"], p.secrets = proxy, append(p.secrets, plantedProxy, basic)
			proxy.may["Proxy-Authorization"] = append(proxy.may["Proxy-Authorization"], basic)
			delete(p.env, "IDENTITYCENTER_ENDPOINT") // no proxy is used for loopback addresses
			p.env["HTTPS_PROXY"] = strings.Replace(at, "http://", "http://user:"+plantedProxy+"@", 1)
			send := p.launch(t, "register-region")
			for body := range planted.Bodies {
				for form := range planted.Forms {
					if planted.Bodies[body].Status != 200 && (body+form)%3 == 0 {
						proxy.answer(quote(body, form, 0))
						send(body, bootstrap(north))
					}
				}
			}
			require.NotZero(t, proxy.asked())
			p.assertKept(t)
		})
	}
}

// A caller may make net/http quote what it can't read.
func TestWhatACallerSendsBesideTheEventIsNotShown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	at, _ := s.serveHTTP(t, "register-region")
	const head = "POST /?code=" + plantedCaller + " HTTP/1.1\r\nHost: x\r\n" +
		"Content-Type: application/cloudevents+json\r\n"
	// The first two reach the handler. What net/http answers by itself goes to the caller alone.
	for name, request := range map[string]string{
		"a trailer without a colon": head + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + plantedCaller + "\r\n\r\n",
		"the size of a chunk":       head + "Transfer-Encoding: chunked\r\n\r\n" + plantedCaller + "\r\n",
		"a header without a colon":  head + plantedCaller + "\r\n\r\n",
		"a length":                  head + "Content-Length: " + plantedCaller + "\r\n\r\n",
		"a body":                    head + "Content-Length: 30\r\n\r\n{\"" + plantedCaller + "\":" + plantedCaller,
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, request)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			text := s.log.String()
			if strings.Contains(string(answer), "application/problem+json") {
				text += string(answer)
			}
			assert.Empty(t, planted.In(text, plantedCaller))
			s.log.reset()
		})
	}
}

// What the runtime of Go writes when it is told to end shows addresses, not texts.
func TestNoSignalGetsASecretOut(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		p := newPlanting(t, onHTTP, "keys", "sink")
		at, cmd := p.serveHTTP(t, "register-region")
		arrived := make(chan bool, 1)
		p.peers["Huawei Cloud"].answer(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			arrived <- true
			if signal == syscall.SIGQUIT {
				<-r.Context().Done()
			}
			return false
		})
		go func() {
			if resp, err := http.Post(at, events.StructuredMediaType, strings.NewReader(bootstrap(north))); err == nil {
				_ = resp.Body.Close()
			}
		}()
		<-arrived
		p.peers["Huawei Cloud"].answer(nil)
		require.NoError(t, cmd.Process.Signal(signal))
		err := cmd.Wait()
		assert.Equal(t, signal == syscall.SIGTERM, err == nil, signal)
		assert.Equal(t, signal == syscall.SIGQUIT, strings.Contains(p.log.String(), "goroutine "), signal)
		p.assertKept(t)
	}
}
