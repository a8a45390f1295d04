package frontdoor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveHTTP runs a function outside Lambda, where it is an HTTP server, and returns its URL once it
// answers.
func (s *stage) serveHTTP(t *testing.T, name string) (url string, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command(filepath.Join(dist, name, "bootstrap"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=0"}
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := regexp.MustCompile(`"address":"(127\.0\.0\.1:\d+)"`)
	require.Eventually(t, func() bool {
		match := address.FindStringSubmatch(s.log.String())
		if match == nil {
			return false
		}
		url = "http://" + match[1]
		resp, err := http.Get(url + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond, "%s", s.log)
	return url, cmd
}

func TestOutsideLambdaAFunctionIsAnHTTPServer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	url, cmd := s.serveHTTP(t, "register-region")
	for _, outcome := range []string{"registered", "unchanged"} {
		resp, err := http.Post(url, "application/cloudevents+json", strings.NewReader(sample(t, "org-bootstrap.json")))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, "application/cloudevents+json", resp.Header.Get("Content-Type"))
		r := resultsIn(t, body)[0]
		assert.Equal(t, outcome, r.Data.Outcome)
		assert.Empty(t, r.TraceParent, "Lambda gave no trace")
	}
	assert.Equal(t, "HEAD", s.Requests()[0].Method, "the connection is opened before the first event")

	resp, err := http.Post(url, "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), "it ends by itself, with 0")
}

// A request takes its place before its body is read: with "Expect: 100-continue" the server says
// when it begins to read. So requests that send no body yet hold all places.
func TestTheServerTakes32RequestsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	url, _ := s.serveHTTP(t, "register-region")
	event := sample(t, "org-bootstrap.json")
	// send sends the head of a request, and returns the first answer to it.
	send := func() (net.Conn, *bufio.Reader, *http.Response) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\n"+
			"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(event))
		require.NoError(t, err)
		answers := bufio.NewReader(conn)
		answer, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		return conn, answers, answer
	}
	var last net.Conn
	var answers *bufio.Reader
	for n := range 32 {
		var answer *http.Response
		last, answers, answer = send()
		require.Equal(t, http.StatusContinue, answer.StatusCode, "request %d", n+1)
	}
	_, _, refused := send()
	assert.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	assert.Equal(t, "1", refused.Header.Get("Retry-After"))

	_, err := io.WriteString(last, event)
	require.NoError(t, err)
	answer, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, answer.StatusCode, "who has a place is served")
	_, _, next := send()
	assert.Equal(t, http.StatusContinue, next.StatusCode, "a place is given back")
}

func TestAServerWithABadConfigurationExits(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dist, "register-region", "bootstrap"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=0", "MAX_ATTEMPTS=0"}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 2, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "HUAWEICLOUD_SDK_AK")
	assert.Contains(t, string(out), "MAX_ATTEMPTS")
}
