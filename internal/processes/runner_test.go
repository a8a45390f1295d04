//go:build unix

package processes

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program of these tests is its own bootstrap: with this variable it serves instead of testing.
const serveAt = "BOOTSTRAP_TEST_SERVE_AT"

func TestMain(m *testing.M) {
	if address := os.Getenv(serveAt); address != "" {
		if err := answerPIDs("http://" + address); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

// answerPIDs answers each invocation by the id of this process.
func answerPIDs(api string) error {
	for {
		resp, err := http.Get(api + "/next")
		if err != nil {
			return err
		}
		id, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		resp, err = http.Post(api+"/"+string(id), "", strings.NewReader(strconv.Itoa(os.Getpid())))
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
}

func newRunner(t *testing.T) *Runner {
	t.Helper()
	r, err := New(Config{
		Name: "pid", Bootstrap: os.Args[0], Timeout: time.Minute, InitTimeout: time.Minute, Concurrency: 1,
		Environ: func(address string) map[string]string { return map[string]string{serveAt: address} },
		API: func(p *Process) http.Handler {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /next", func(w http.ResponseWriter, r *http.Request) {
				if inv, err := p.Next(r.Context()); err == nil {
					_, _ = io.WriteString(w, inv.ID)
				}
			})
			mux.HandleFunc("POST /{id}", func(_ http.ResponseWriter, r *http.Request) {
				pid, err := ReadAll(r.Body, 100)
				assert.NoError(t, err)
				assert.NoError(t, p.Post(r.PathValue("id"), Answer{Payload: pid}))
			})
			return mux
		},
		Failed: func(string, End) Answer { return Answer{FunctionError: "failed"} },
	})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func TestAnIdleProcessThatDiesIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	for range 2 {
		a, err := r.Invoke(t.Context(), "1", nil)
		require.NoError(t, err)
		p, err := r.acquire()
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(p.cmd.Process.Pid), string(a.Payload))
		require.Equal(t, []*os.Process{p.cmd.Process}, r.Processes())
		r.release(p)
		require.NoError(t, syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL))
		<-p.exited
		require.Empty(t, r.Processes())
		_, err = p.invoke(&Invocation{done: make(chan struct{})})
		require.ErrorIs(t, err, errNotTaken)
		a, err = r.Invoke(t.Context(), "2", nil)
		require.NoError(t, err)
		assert.True(t, a.ColdStart)
	}
}
