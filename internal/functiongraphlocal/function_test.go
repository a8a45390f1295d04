//go:build unix

package functiongraphlocal

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo is the path of the built testdata/echo.
var echo string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "functiongraphlocal")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(dir)
		echo = filepath.Join(dir, "bootstrap")
		build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", echo, "./testdata/echo")
		build.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GOOS", "GOARCH"}, name)
		})
		if out, err := build.CombinedOutput(); err != nil {
			log.Fatalf("building echo: %v\n%s", err, out)
		}
		return m.Run()
	}())
}

// newEcho returns the echo function, closed at the end of the test.
func newEcho(t *testing.T, cfg Config) *Function {
	t.Helper()
	cfg.Name = "echo"
	if cfg.Bootstrap == "" {
		cfg.Bootstrap = echo
	}
	f, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

func do(t *testing.T, f *Function, payload string) Answer {
	t.Helper()
	a, err := f.Invoke(t.Context(), []byte(payload))
	require.NoError(t, err)
	return a
}

func pidOf(t *testing.T, a Answer) int {
	t.Helper()
	require.Empty(t, a.FunctionError, string(a.Payload))
	pid, err := strconv.Atoi(string(a.Payload))
	require.NoError(t, err)
	return pid
}

// logBuffer keeps what is logged and lets a test wait for a line.
type logBuffer struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{}
}

func newLog() *logBuffer { return &logBuffer{changed: make(chan struct{}, 1)} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(p))
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (b *logBuffer) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

func (b *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(strings.Join(b.all(), ""), text) {
		select {
		case <-b.changed:
		case <-t.Context().Done():
			require.FailNow(t, "not logged", text)
		}
	}
}

func TestNewRefusesWhatCannotRun(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(plain, []byte("x"), 0o644))
	for name, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"no name":           {Config{Bootstrap: echo}, "Config.Name is empty"},
		"missing bootstrap": {Config{Name: "f", Bootstrap: "nowhere/bootstrap"}, "f: stat "},
		"not executable":    {Config{Name: "f", Bootstrap: plain}, "bootstrap is not an executable file"},
		"negative timeout":  {Config{Name: "f", Bootstrap: echo, Timeout: -1}, "negative"},
		"negative memory":   {Config{Name: "f", Bootstrap: echo, MemoryMB: -1}, "negative"},
		"negative refusals": {Config{Name: "f", Bootstrap: echo, Refuse: -1}, "negative"},
	} {
		_, err := New(tt.cfg)
		assert.ErrorContains(t, err, "functiongraphlocal: ", name)
		assert.ErrorContains(t, err, tt.want, name)
	}
}

func TestAWarmProcessIsUsedAgain(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{})
	first := do(t, f, `{"do":"pid"}`)
	failed := do(t, f, `{"do":"error","text":"later"}`)
	second := do(t, f, `{"do":"pid"}`)
	assert.True(t, first.ColdStart)
	assert.False(t, failed.ColdStart)
	assert.Equal(t, "FunctionError", failed.FunctionError)
	assert.Equal(t, "BusyError", failed.Failure())
	assert.JSONEq(t, `{"errorType":"BusyError","errorMessage":"later"}`, string(failed.Payload))
	assert.Equal(t, pidOf(t, first), pidOf(t, second))
	assert.NotEqual(t, first.RequestID, second.RequestID)
	assert.Positive(t, first.Duration)
	assert.Equal(t, ` [1]`, string(do(t, f, ` [1]`).Payload), "the payload comes as it is")
}

func TestAfterTheEndOfAProcessANewOneServes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ payload, errorType, message string }{
		"exit 1":  {`{"do":"exit","text":"1"}`, "FunctionExited", "the function exited: exit status 1"},
		"exit 0":  {`{"do":"exit"}`, "FunctionExited", "the function exited: exit status 0"},
		"timeout": {`{"do":"hang"}`, "FunctionTimeout", "the function timed out after 500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newEcho(t, Config{Timeout: 500 * time.Millisecond, Concurrency: 1})
			before := pidOf(t, do(t, f, `{"do":"pid"}`))
			a := do(t, f, tt.payload)
			assert.Equal(t, tt.errorType, a.Failure())
			assert.Contains(t, string(a.Payload), tt.message)
			next := do(t, f, `{"do":"pid"}`)
			assert.True(t, next.ColdStart)
			assert.NotEqual(t, before, pidOf(t, next))
		})
	}
}

func TestAFunctionThatNeverAsksFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg             Config
		errorType, text string
	}{
		"it exits": {Config{Env: map[string]string{"ECHO_INIT": "exit"}}, "FunctionExited", "exit status 3"},
		"it hangs": {
			Config{Env: map[string]string{"ECHO_INIT": "hang"}, InitTimeout: 200 * time.Millisecond},
			"FunctionTimeout", "after 200ms",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newEcho(t, tt.cfg)
			for range 2 { // each invocation tries again
				a := do(t, f, `{}`)
				assert.True(t, a.ColdStart)
				assert.Zero(t, a.Duration)
				assert.Equal(t, tt.errorType, a.Failure())
				assert.Contains(t, string(a.Payload), tt.text)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(path, nil, 0o755))
	a := do(t, newEcho(t, Config{Bootstrap: path}), `{}`)
	assert.Equal(t, "FunctionNotStarted", a.Failure())
	assert.Contains(t, string(a.Payload), "exec format error")
}

func TestEachInvocationGetsItsHeaders(t *testing.T) {
	t.Parallel()
	calls := 0
	f := newEcho(t, Config{Concurrency: 1, Headers: func() http.Header {
		calls++
		return http.Header{"X-Cff-Access-Key": {fmt.Sprint("AK", calls)}, "X-Cff-Request-Id": {"forged"}}
	}})
	for n := 1; n < 3; n++ {
		var got http.Header
		a := do(t, f, `{"do":"headers"}`)
		require.NoError(t, json.Unmarshal(a.Payload, &got))
		assert.Equal(t, fmt.Sprint("AK", n), got.Get("X-CFF-Access-Key"))
		assert.Equal(t, "sync", got.Get("X-CFF-Invoke-Type"))
		assert.Equal(t, []string{a.RequestID}, got.Values("X-CFF-Request-Id"))
	}
	plain := do(t, newEcho(t, Config{}), `{"do":"headers"}`)
	assert.NotContains(t, string(plain.Payload), "Access-Key")
}

func TestTheEnvironmentIsFunctionGraphsAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{
		MemoryMB: 256, Timeout: 2500 * time.Millisecond,
		Env: map[string]string{"OWN": "a=b", "RUNTIME_API_ADDR": "nowhere", "RUNTIME_FUNC_NAME": "other"},
	})
	var list []string
	require.NoError(t, json.Unmarshal(do(t, f, `{"do":"env"}`).Payload, &list))
	got := map[string]string{}
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		got[k] = v
	}
	assert.Regexp(t, `^127\.0\.0\.1:\d+$`, got["RUNTIME_API_ADDR"])
	assert.JSONEq(t, `{"OWN":"a=b","RUNTIME_API_ADDR":"nowhere","RUNTIME_FUNC_NAME":"other"}`, got["RUNTIME_USERDATA"])
	delete(got, "RUNTIME_API_ADDR")
	delete(got, "RUNTIME_USERDATA")
	assert.Equal(t, map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin", "OWN": "a=b",
		"RUNTIME_PROJECT_ID": projectID, "RUNTIME_PACKAGE": "default", "RUNTIME_FUNC_NAME": "echo",
		"RUNTIME_FUNC_VERSION": "latest", "RUNTIME_HANDLER": "bootstrap.handler", "RUNTIME_TIMEOUT": "3",
		"RUNTIME_CPU": "300", "RUNTIME_MEMORY": "256", "RUNTIME_CODE_ROOT": filepath.Dir(echo),
		"RUNTIME_MAX_RESP_BODY_SIZE": "6291456",
	}, got)
	plain := do(t, newEcho(t, Config{}), `{"do":"env"}`)
	assert.Contains(t, string(plain.Payload), `"RUNTIME_USERDATA={}"`)
}

func TestTheRuntimeAPIRefusesMisuse(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out})
	a := do(t, f, `{"do":"misuse"}`)
	assert.Empty(t, a.FunctionError)
	assert.Equal(t, `"first"`, string(a.Payload), "only the first answer counts")
	assert.Equal(t, []string{
		"response/0: 404\n", "error/0: 404\n", "response/<id>: 200\n", "response/<id>: 409\n", "error/<id>: 409\n",
	}, out.all())

	a = do(t, f, `{"do":"forget"}`)
	assert.Empty(t, a.FunctionError)
	out.await(t, "request while running: 409\n")

	a = do(t, f, `{"do":"large"}`)
	assert.Equal(t, "FunctionResponseTooLarge", a.Failure())
	out.await(t, "response: 413\n")
	assert.False(t, do(t, f, `1`).ColdStart, "it goes on")
}

func TestPollsAreRefusedFirst(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{Refuse: 4})
	a := do(t, f, `{"do":"refused"}`)
	assert.JSONEq(t, `[204,500,200,204]`, string(a.Payload))
	a = do(t, f, `{"do":"refused"}`)
	assert.JSONEq(t, `[204,500,200,204]`, string(a.Payload), "only the first ones")
}

func TestTheLogIsThereBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out})
	do(t, f, `{"do":"print","text":"one"}`)
	assert.Equal(t, []string{"one\n", "to stderr\n"}, out.all())
	f.Close()
	assert.Equal(t, []string{"one\n", "to stderr\n", "half a line\n"}, out.all())
}

func TestInstancesServeOneEventEach(t *testing.T) {
	t.Parallel()
	here := make(chan struct{})
	open := make(chan struct{})
	gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		here <- struct{}{}
		<-open
	}))
	t.Cleanup(gate.Close)
	f := newEcho(t, Config{Concurrency: 2, Timeout: time.Minute})
	pids := make(chan int, 3)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			a, err := f.Invoke(t.Context(), fmt.Appendf(nil, `{"do":"meet","url":%q}`, gate.URL))
			if assert.NoError(t, err) {
				pids <- pidOf(t, a)
			}
		})
	}
	<-here
	<-here
	close(open)
	<-here
	wg.Wait()
	close(pids)
	seen := map[int]bool{}
	for pid := range pids {
		seen[pid] = true
	}
	assert.Len(t, seen, 2)
}

func TestCloseCutsOffInvocations(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out, Timeout: time.Hour})
	cut := make(chan error)
	go func() {
		_, err := f.Invoke(t.Context(), []byte(`{"do":"hang"}`))
		cut <- err
	}()
	out.await(t, "hanging")
	f.Close()
	require.ErrorIs(t, <-cut, ErrClosed)
	_, err := f.Invoke(t.Context(), nil)
	require.ErrorIs(t, err, ErrClosed)
}

func TestAnInvocationIsWatched(t *testing.T) {
	t.Parallel()
	var seen []string
	f := newEcho(t, Config{Concurrency: 1, Watch: func(payload []byte) func(Answer, error) {
		seen = append(seen, string(payload))
		return func(a Answer, err error) {
			assert.NoError(t, err)
			seen = append(seen, string(a.Payload))
		}
	}})
	do(t, f, `[2]`)
	assert.Equal(t, []string{`[2]`, `[2]`}, seen)
}
