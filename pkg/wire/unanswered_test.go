package wire_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

func TestNoAnswerHasAKind(t *testing.T) {
	t.Parallel()
	const idle = "http: server closed idle connection"
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	for name, c := range map[string]struct {
		err  error
		kind attempt.Kind
		text string
	}{
		"a reset": {io.ErrUnexpectedEOF, attempt.Transient, "unexpected EOF"},
		"its URL is not shown": {
			&url.Error{Op: "Get", URL: "https://a.example/?key=SKexample", Err: io.EOF}, attempt.Transient, "EOF",
		},
		"an untrusted certificate": {
			&url.Error{Err: fmt.Errorf("dial: %w", untrusted)}, attempt.Misconfigured,
			"tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		"a kind of its own": {
			fmt.Errorf("dial: %w", attempt.Misconfigured.Errorf("proxy: 407")), attempt.Misconfigured, "proxy: 407",
		},
		"a host that isn't known": {
			&net.OpError{
				Op: "dial", Net: "tcp",
				Err: &net.DNSError{Err: "no such host", Name: "a.example", IsNotFound: true},
			},
			attempt.Transient, "dial tcp: lookup a.example: no such host",
		},
		"a connection that is reset": {
			fmt.Errorf("net/http: broken: %w", &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}),
			attempt.Transient, "read tcp: connection reset by peer",
		},
		"a handshake that fails":   {errors.New("tls: no cipher suite"), attempt.Transient, "tls: no cipher suite"},
		"a server without TLS":     {http.ErrSchemeMismatch, attempt.Transient, http.ErrSchemeMismatch.Error()},
		"an idle connection":       {errors.New(idle), attempt.Transient, idle},
		"more than an idle one":    {errors.New(idle + " x"), attempt.Transient, "malformed HTTP [redacted]"},
		"whatever else":            {errors.New("malformed x"), attempt.Transient, "malformed HTTP [redacted]"},
		"a secret in what is safe": {attempt.Transient.Errorf("SKexample\r\n"), attempt.Transient, "[redacted]"},
		"a text without end": {
			attempt.Transient.Errorf("%s", strings.Repeat("x", 5000)),
			attempt.Transient, strings.Repeat("x", 1021) + "…",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failure := wire.Unanswered(t.Context(), c.err, wire.NewSecrets("SKexample"))
			require.EqualError(t, failure, c.text)
			assert.Equal(t, c.kind, attempt.KindOf(failure))
			assert.False(t, failure.Answered)
		})
	}
	failure := wire.Unanswered(t.Context(), io.EOF, wire.Secrets{})
	require.ErrorIs(t, failure, io.EOF)
}

func TestTheCauseOfAnEndedContextIsToldRatherThanWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := attempt.Timeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	closed := &url.Error{Op: "Get", URL: "x", Err: errors.New("use of closed network connection")}
	failure := wire.Unanswered(ctx, closed, wire.Secrets{})
	require.EqualError(t, failure, "no answer within 1ns: context deadline exceeded")
	require.ErrorIs(t, failure, context.DeadlineExceeded)
	assert.Equal(t, attempt.Transient, attempt.KindOf(failure))
}

// answering is the address of a server that takes one thing after another and sends what belongs to
// it, as it is. Then it hangs up.
func answering(t *testing.T, answers ...string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for _, answer := range answers {
			_, _ = conn.Read(make([]byte, 64<<10))
			_, _ = io.WriteString(conn, answer)
		}
	}()
	return listener.Addr().String()
}

func TestNothingOfAnAnswerThatNetHTTPCannotReadIsShown(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, answer := range map[string]string{
		"no HTTP":                   "QUOTED",
		"a version":                 "HTTP/QUOTED 200 OK\r\n\r\n",
		"a status":                  "HTTP/1.1 QUOTED OK\r\n\r\n",
		"a negative status":         "HTTP/1.1 -QUOTED\r\n\r\n",
		"a header without a colon":  ok + "bad QUOTED\r\n\r\n",
		"a header without a name":   ok + ": QUOTED\r\n\r\n",
		"a first line that goes on": ok + " QUOTED\r\n\r\n",
		"a length":                  ok + "Content-Length: QUOTED\r\n\r\n",
		"two lengths":               ok + "Content-Length: 1\r\nContent-Length: QUOTED\r\n\r\n",
		"a transfer encoding":       ok + "Transfer-Encoding: QUOTED\r\n\r\n",
		"two transfer encodings":    ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: QUOTED\r\n\r\n",
		"a trailer that can't be": ok +
			"Transfer-Encoding: chunked\r\nTrailer: Content-Length, QUOTED\r\n\r\n0\r\n\r\n",
		"the size of a chunk":        ok + "Transfer-Encoding: chunked\r\n\r\nQUOTED\r\n",
		"the end of a chunk":         ok + "Transfer-Encoding: chunked\r\n\r\n1\r\naQUOTED\r\n",
		"a trailer without a colon":  ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nQUOTED\r\n\r\n",
		"a body that isn't gzip":     ok + "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\nQUOTEDQUOTEDQUOTEDQU",
		"informational, and no HTTP": "HTTP/1.1 103 Early Hints\r\n\r\nQUOTED\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, err := wire.Client(nil).Get("http://" + answering(t, answer))
			if err == nil {
				defer resp.Body.Close()
				_, err = io.ReadAll(resp.Body)
			}
			require.Error(t, err)
			require.EqualError(t, wire.Unanswered(t.Context(), err, wire.Secrets{}), "malformed HTTP [redacted]", err)
		})
	}
}

func TestFailuresOfTheNetworkAreToldApart(t *testing.T) {
	t.Parallel()
	get := func(url string) string {
		resp, err := wire.Client(nil).Get(url)
		if err == nil {
			resp.Body.Close()
		}
		require.Error(t, err)
		return wire.Unanswered(t.Context(), err, wire.Secrets{}).Error()
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := listener.Addr().String()
	listener.Close()
	assert.Equal(t, "dial tcp "+closed+": connect: connection refused", get("http://"+closed))
	assert.Equal(t, "EOF", get("http://"+answering(t, "")))
	assert.Equal(t, "unexpected EOF", get("http://"+answering(t, "HTTP/1.1 200 OK\r\na: b")))
	assert.Equal(t, "tls: first record does not look like a TLS handshake", get("https://"+answering(t, "SSH-2.0\r\n")))
	assert.Equal(t, "http: server gave HTTP response to HTTPS client",
		get("https://"+answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n")))
}
