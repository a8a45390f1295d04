package app

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
)

// network leads to servers, over TLS, in memory, so that its time is a bubble's. One of them hangs.
type network struct {
	servers map[string]http.Handler // by host
	trust   *tls.Config             // what clients trust
	inbound pipes                   // to the one server that stands for all

	mu   sync.Mutex
	host string // who hangs
	how  string
}

// hang makes a host hang in some way; with "" nobody does.
func (n *network) hang(host, how string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.host, n.how = host, how
}

func (n *network) hangs(host string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == n.host {
		return n.how
	}
	return ""
}

const proxy = "proxy.example"

// How a host hangs.
const (
	noAccept  = "it doesn't accept the connection"
	noTLS     = "it says nothing in TLS"
	noConnect = "the proxy doesn't answer CONNECT"
	noAnswer  = "it doesn't answer"
	inHead    = "it stops in the middle of the head"
	inBody    = "it stops in the middle of the body"
	trickles  = "it trickles"
)

// transport is how clients come to the servers.
func (n *network) transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: n.trust,
		Proxy: func(r *http.Request) (*url.URL, error) {
			if n.hangs(r.URL.Host) == noConnect {
				return &url.URL{Scheme: "http", Host: proxy}, nil
			}
			return nil, nil
		},
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			how := n.hangs(host)
			if how == noAccept {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			ours, theirs := net.Pipe()
			if how == noTLS || host == proxy {
				go func() { _, _ = io.Copy(io.Discard, theirs); theirs.Close() }()
			} else {
				n.inbound <- theirs
			}
			return ours, nil
		},
	}
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	how := n.hangs(r.Host)
	switch how {
	case "":
		n.servers[r.Host].ServeHTTP(w, r)
		return
	case noAnswer, inHead:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		if how == inHead {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Ty")
		}
		_, _ = io.Copy(io.Discard, conn) // until the client is gone
		return
	}
	answer := httptest.NewRecorder()
	n.servers[r.Host].ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()+100))
	w.WriteHeader(answer.Code)
	text := append(answer.Body.Bytes()[:answer.Body.Len()/2], strings.Repeat(" ", 100)...)
	for _, b := range text {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		pause := 3 * time.Second
		if how == inBody {
			pause = time.Hour
		}
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
	}
}

// start serves until the func that it returns is called, which leaves nothing behind.
func (n *network) start(certificate tls.Certificate) (stop func()) {
	n.inbound = make(pipes)
	server := &http.Server{Handler: n, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	go func() {
		_ = server.Serve(tls.NewListener(n.inbound, &tls.Config{Certificates: []tls.Certificate{certificate}}))
		close(ended)
	}()
	return func() {
		_ = server.Close()
		<-ended
	}
}

// Lines are logged by the default logger, which it replaces, so it can't run beside others.
func TestWhoeverHangsTheEventFailsInTimeAndTheNextOneWorks(t *testing.T) { //nolint:paralleltest // see above
	ways := []string{noAccept, noTLS, noConnect, noAnswer, inHead, inBody, trickles}
	byToken := map[string]string{
		"HUAWEICLOUD_OIDC_PROVIDER_URN": providerURN, "HUAWEICLOUD_OIDC_AGENCY_URN": agencyURN,
		"HUAWEICLOUD_OIDC_AUDIENCE": "huaweicloud", "RESULT_SINK": "eventbridge://results",
	}
	bySecret := map[string]string{
		"HUAWEICLOUD_CREDENTIALS_SECRET": "registrar", "RESULT_SINK": "https://hooks.example/in",
	}
	certified := httptest.NewTLSServer(nil) // for its certificate
	certified.Close()
	roots := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for host, c := range map[string]struct {
		environment map[string]string
		named       string
	}{
		"organizations.myhuaweicloud.com":        {byToken, "DelegatedServices: "},
		"sts.cn-north-4.myhuaweicloud.com":       {byToken, "AssumeAgencyWithOIDC: "},
		"sts.us-east-1.amazonaws.com":            {byToken, "credentials: OIDC token: AWS STS: "},
		"events.us-east-1.amazonaws.com":         {byToken, "the sink eventbridge://results: "},
		"secretsmanager.us-east-1.amazonaws.com": {bySecret, "credentials: secret registrar: "},
		"hooks.example":                          {bySecret, "the sink https://hooks.example: "},
	} {
		for _, how := range ways {
			t.Run(host+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := &network{trust: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
					defer n.start(certified.TLS.Certificates[0])()
					hanging{t, n, host, how, c.named}.run(c.environment)
				})
			})
		}
	}
}

type hanging struct {
	t *testing.T
	*network
	host, how, named string
}

func (c hanging) run(environment map[string]string) {
	t, out := c.t, logged(c.t)
	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"})
	cloud.TrustService(secMaster)
	cloud.TrustOIDC(providerURN, agencyURN, huaweitest.Trust{
		Issuer: awstest.Issuer, Audience: "huaweicloud", Subjects: []string{awstest.Role},
	})
	vault := new(awstest.SecretsManager)
	vault.Put("registrar", `{"ak":"AKEXAMPLE0001","sk":"SKexample0001"}`)
	c.servers = map[string]http.Handler{
		"organizations.myhuaweicloud.com": cloud, "sts.cn-north-4.myhuaweicloud.com": cloud,
		"sts.us-east-1.amazonaws.com": new(awstest.STS), "secretsmanager.us-east-1.amazonaws.com": vault,
		"events.us-east-1.amazonaws.com": new(awstest.EventBridge),
		"hooks.example": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
		}),
	}
	transport := c.transport()
	defer transport.CloseIdleConnections()
	aws := awstest.Config(nil)
	aws.Transport = transport
	p := adopting(environment)
	p.common.Client.Transport, p.common.Sink.Transport = transport, transport
	p.common.Credentials.AWS, p.common.Sink.AWS = aws, aws
	h, _, err := p.build(t.Context())
	require.NoError(t, err)

	const timeout = 20 * time.Second
	invoke := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		start := time.Now()
		_, err := h.Invoke(ctx, adopt(cloud, 1))
		assert.LessOrEqual(t, time.Since(start), timeout-500*time.Millisecond)
		return err
	}
	c.hang(c.host, c.how)
	err = invoke()
	if c.host == "hooks.example" && (c.how == inBody || c.how == trickles) {
		require.NoError(t, err, "the status decides")
	} else {
		require.ErrorAs(t, err, new(*handler.TransientError))
		require.ErrorContains(t, err, c.named)
		assert.Contains(t, out.String(), c.named, "the line names who hung")
	}
	c.hang("", "")
	require.NoError(t, invoke())
	assert.Equal(t, []string{secMaster}, cloud.Delegations("account-0"))
	assert.Equal(t, 2, strings.Count(out.String(), `"cause_id":`), "%s", out)
}
