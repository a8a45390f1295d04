//go:build unix

package lambdalocal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// builtDir holds the binaries v1 and v2 of testdata/echo.
var builtDir string

func TestMain(m *testing.M) {
	if bootstrap := os.Getenv("LAMBDALOCAL_PARENT_OF"); bootstrap != "" {
		beParent(bootstrap)
	}
	code, err := buildAndRun(m)
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "lambdalocal")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	builtDir = dir
	for _, version := range []string{"v1", "v2"} {
		build := exec.Command("go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w -X main.version="+version,
			"-o", filepath.Join(dir, version), "./testdata/echo")
		build.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			return slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GOOS", "GOARCH"}, name)
		})
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("building echo: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}

// newEcho returns the echo function, closed at the end of the test.
func newEcho(t *testing.T, cfg Config) *Function {
	t.Helper()
	cfg.Name = "echo"
	if cfg.Bootstrap == "" {
		cfg.Bootstrap = filepath.Join(builtDir, "v1")
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

// alive reports whether a process runs; one that waits for being reaped doesn't.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !bytes.Contains(stat, []byte(") Z "))
}

// logBuffer keeps what is logged and lets a test wait for a line.
type logBuffer struct {
	mu      sync.Mutex
	writes  []string
	changed chan struct{}
}

func newLog() *logBuffer { return &logBuffer{changed: make(chan struct{}, 1)} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes = append(b.writes, string(p))
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (b *logBuffer) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.writes)
}

// hanging waits until a function says that it hangs, and returns the pid it says.
func (b *logBuffer) hanging(t *testing.T) int {
	t.Helper()
	for {
		if m := regexp.MustCompile(`(?m)^hanging (\d+)$`).FindStringSubmatch(strings.Join(b.all(), "")); m != nil {
			pid, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			return pid
		}
		select {
		case <-b.changed:
		case <-t.Context().Done():
			require.FailNow(t, "nothing hangs")
		}
	}
}

// gate is where functions meet: it lets them through in groups of size.
type gate struct {
	url  string
	size int

	mu               sync.Mutex
	here, seen, most int
	open             chan struct{}
}

func newGate(t *testing.T, size int) *gate {
	t.Helper()
	g := &gate{size: size, open: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.here++
		g.seen++
		g.most = max(g.most, g.here)
		open := g.open
		if g.seen%g.size == 0 {
			close(g.open)
			g.open = make(chan struct{})
		}
		g.mu.Unlock()
		select {
		case <-open:
		case <-r.Context().Done():
		}
		g.mu.Lock()
		g.here--
		g.mu.Unlock()
	}))
	t.Cleanup(srv.Close)
	g.url = srv.URL
	return g
}

func (g *gate) meet() string { return fmt.Sprintf(`{"do":"meet","url":%q}`, g.url) }

func (g *gate) visit(t *testing.T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
}

func (g *gate) awaitHere(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.here == n
	}, 20*time.Second, time.Millisecond)
}

func TestNewRefusesWhatCannotRun(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(plain, []byte("x"), 0o644))
	tests := map[string]struct {
		cfg  Config
		want string
	}{
		"no name":           {Config{Bootstrap: plain}, "Config.Name is empty"},
		"missing bootstrap": {Config{Name: "f", Bootstrap: "nowhere/bootstrap"}, "f: stat "},
		"not executable":    {Config{Name: "f", Bootstrap: plain}, "bootstrap is not an executable file"},
		"a folder":          {Config{Name: "f", Bootstrap: t.TempDir()}, "is not an executable file"},
		"negative timeout":  {Config{Name: "f", Bootstrap: plain, Timeout: -1}, "negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tt.cfg)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// assertJSON doesn't print megabytes.
func assertJSON(t *testing.T, want, got string) {
	t.Helper()
	if len(want) > 1000 || len(got) > 1000 {
		if want != got {
			assert.Fail(t, "not equal", "%d bytes, want %d", len(got), len(want))
		}
		return
	}
	assert.JSONEq(t, want, got)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{})
	tests := map[string]struct {
		payload, want, functionError string
	}{
		"the payload comes back":        {`{"a": 1}`, `{"a": 1}`, ""},
		"an empty payload is an object": {``, `{}`, ""},
		"the type's name is the error's": {
			`{"do":"error","text":"later"}`,
			`{"errorType":"BusyError","errorMessage":"later"}`,
			"Unhandled",
		},
		"a stream's failure is an error": {
			`{"do":"streamfail"}`,
			`{"errorType":"BusyError","errorMessage":"midway"}`,
			"Unhandled",
		},
		"an answer may be large": {
			`"` + strings.Repeat("x", 5<<20) + `"`,
			`"` + strings.Repeat("x", 5<<20) + `"`,
			"",
		},
		"an answer too large is an error": {
			`{"do":"large"}`,
			`{"errorType":"Function.ResponseSizeTooLarge",` +
				`"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`,
			"Unhandled",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := do(t, f, tt.payload)
			assert.Equal(t, tt.functionError, a.FunctionError)
			assertJSON(t, tt.want, string(a.Payload))
			assert.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, a.RequestID)
			assert.Positive(t, a.Duration)
		})
	}
}

func TestAWarmProcessIsUsedAgain(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{})
	first := do(t, f, `{"do":"pid"}`)
	failed := do(t, f, `{"do":"error"}`)
	second := do(t, f, `{"do":"pid"}`)
	assert.True(t, first.ColdStart)
	assert.False(t, failed.ColdStart)
	assert.False(t, second.ColdStart)
	assert.Equal(t, pidOf(t, first), pidOf(t, second))
	assert.NotEqual(t, first.RequestID, second.RequestID)
}

func TestAfterTheEndOfAProcessANewOneServes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		payload, errorType, message string // message without the request's id
	}{
		"panic":   {`{"do":"panic","text":"ouch"}`, "string", "ouch"},
		"exit 1":  {`{"do":"exit","text":"1"}`, "Runtime.ExitError", "Runtime exited with error: exit status 1"},
		"exit 0":  {`{"do":"exit"}`, "Runtime.ExitError", "Runtime exited without providing a reason"},
		"timeout": {`{"do":"hang"}`, "Sandbox.Timedout", "Task timed out after 0.50 seconds"},
		"answer too big": {
			`{"do":"large"}`,
			"Function.ResponseSizeTooLarge",
			"Response payload size exceeded maximum allowed payload size (6291556 bytes).",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newEcho(t, Config{Timeout: 500 * time.Millisecond, Concurrency: 1})
			before := pidOf(t, do(t, f, `{"do":"pid"}`))

			a := do(t, f, tt.payload)
			assert.Equal(t, "Unhandled", a.FunctionError)
			var got struct{ ErrorType, ErrorMessage string }
			require.NoError(t, json.Unmarshal(a.Payload, &got))
			assert.Equal(t, tt.errorType, got.ErrorType)
			assert.Equal(t, tt.message, strings.TrimPrefix(got.ErrorMessage, "RequestId: "+a.RequestID+" Error: "))
			assert.False(t, alive(before))

			next := do(t, f, `{"do":"pid"}`)
			assert.True(t, next.ColdStart)
			assert.NotEqual(t, before, pidOf(t, next))
		})
	}
}

func TestATimeoutKillsWhatTheProcessStarted(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Timeout: 500 * time.Millisecond, Log: out})
	a := do(t, f, `{"do":"fork"}`)
	assert.Contains(t, string(a.Payload), "Sandbox.Timedout")
	assert.GreaterOrEqual(t, a.Duration, 500*time.Millisecond)
	child := out.hanging(t)
	assert.Eventually(t, func() bool { return !alive(child) }, 10*time.Second, time.Millisecond)
}

func TestInitFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ init, errorType, message string }{
		"by an exit":    {"exit", "Runtime.ExitError", "Runtime exited with error: exit status 3"},
		"by a hang":     {"hang", "Sandbox.Timedout", "Task timed out after 0.20 seconds"},
		"with a reason": {"report", "Init.Bad", "bad configuration"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Env: map[string]string{"ECHO_INIT": tt.init}}
			if tt.init == "hang" {
				cfg.InitTimeout = 200 * time.Millisecond
			}
			f := newEcho(t, cfg)
			for range 2 { // each invocation tries again
				a := do(t, f, `{}`)
				assert.Equal(t, "Unhandled", a.FunctionError)
				assert.True(t, a.ColdStart)
				assert.Zero(t, a.Duration)
				var got struct{ ErrorType, ErrorMessage string }
				require.NoError(t, json.Unmarshal(a.Payload, &got))
				assert.Equal(t, tt.errorType, got.ErrorType)
				assert.Equal(t, tt.message, strings.TrimPrefix(got.ErrorMessage, "RequestId: "+a.RequestID+" Error: "))
			}
		})
	}
}

func TestABrokenBinaryIsAnAnswer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(path, nil, 0o755))
	f := newEcho(t, Config{Bootstrap: path})
	for range 2 {
		a := do(t, f, `{}`)
		assert.Equal(t, "Unhandled", a.FunctionError)
		assert.Contains(t, string(a.Payload), "Runtime.InvalidEntrypoint")
		assert.Contains(t, string(a.Payload), "exec format error")
	}
}

func TestTheContextOfAnInvocation(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{Timeout: 42 * time.Second, Env: map[string]string{"AWS_REGION": "eu-west-1"}})
	var got struct {
		LeftMS         int64 `json:"left_ms"`
		ID, ARN, Trace string
	}
	a := do(t, f, `{"do":"context"}`)
	require.NoError(t, json.Unmarshal(a.Payload, &got))
	assert.LessOrEqual(t, got.LeftMS, int64(42_000))
	assert.Greater(t, got.LeftMS, int64(32_000))
	assert.Equal(t, a.RequestID, got.ID)
	assert.Equal(t, "arn:aws:lambda:eu-west-1:123456789012:function:echo", got.ARN)
	assert.Regexp(t, `^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`, got.Trace)
}

func TestTheEnvironmentIsLambdasAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{MemoryMB: 256, Env: map[string]string{
		"OWN": "a=b", "AWS_LAMBDA_LOG_LEVEL": "DEBUG", "AWS_LAMBDA_RUNTIME_API": "nowhere",
	}})
	var list []string
	require.NoError(t, json.Unmarshal(do(t, f, `{"do":"env"}`).Payload, &list))
	got := map[string]string{}
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		got[k] = v
	}
	assert.Regexp(t, `^127\.0\.0\.1:\d+$`, got["AWS_LAMBDA_RUNTIME_API"])
	assert.Regexp(t, `^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`, got["AWS_LAMBDA_LOG_STREAM_NAME"])
	for _, variable := range []string{
		"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME",
		"_X_AMZN_TRACE_ID", // set by the runtime in the process itself
	} {
		delete(got, variable)
	}
	assert.Equal(t, map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8", "TZ": ":UTC",
		"LAMBDA_TASK_ROOT": builtDir, "_HANDLER": "bootstrap",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
		"AWS_LAMBDA_FUNCTION_NAME": "echo", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/echo",
		"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "OWN": "a=b",
	}, got)
}

func TestTheRuntimeAPIRefusesMisuse(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out})
	a := do(t, f, `{"do":"misuse"}`)
	assert.Empty(t, a.FunctionError)
	assert.Equal(t, `"first"`, string(a.Payload), "only the first answer counts")
	lines := out.all()
	require.GreaterOrEqual(t, len(lines), 7)
	assert.Equal(t, []string{
		"next while running: 403\n",
		"response to a stranger: 400\n",
		"error to a stranger: 400\n",
		"init error after init: 403\n",
		"response: 202\n",
		"response again: 403\n",
		"error after response: 403\n",
	}, lines[:7])
	assert.Equal(t, `1`, string(do(t, f, `1`).Payload))
}

func TestTheLogIsThereBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out})
	do(t, f, `{"do":"print","text":"one"}`)
	assert.Equal(t, []string{"one\n", "to stderr\n"}, out.all())
	do(t, f, `{"do":"print","text":"two"}`)
	assert.Equal(t, []string{"one\n", "to stderr\n", "half a linetwo\n", "to stderr\n"}, out.all())
	f.Close()
	assert.Equal(t, []string{"one\n", "to stderr\n", "half a linetwo\n", "to stderr\n", "half a line\n"}, out.all())
}

func TestLinesOfSeveralProcessesStayWhole(t *testing.T) {
	t.Parallel()
	out := newLog()
	f := newEcho(t, Config{Log: out, Timeout: time.Minute})
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			_, err := f.Invoke(t.Context(), fmt.Appendf(nil, `{"do":"flood","text":"%d"}`, i))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	lines := out.all()
	assert.Len(t, lines, 500)
	for _, line := range lines {
		require.Equal(t, strings.Repeat(line[:1], 10_000)+"\n", line)
	}
}

func TestInvocationsAtOnceRunInAsManyProcesses(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{Concurrency: 10, Timeout: time.Minute})
	g := newGate(t, 10)
	pids := make(chan int, 50)
	ids := make(chan string, 50)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			a, err := f.Invoke(t.Context(), []byte(g.meet()))
			if assert.NoError(t, err) && assert.Empty(t, a.FunctionError, string(a.Payload)) {
				pids <- pidOf(t, a)
				ids <- a.RequestID
			}
		})
	}
	wg.Wait()
	close(pids)
	close(ids)
	counts := map[int]int{}
	for pid := range pids {
		counts[pid]++
	}
	seen := map[string]bool{}
	for id := range ids {
		seen[id] = true
	}
	assert.Len(t, counts, 10)
	assert.Len(t, seen, 50)
	assert.Equal(t, 50, g.seen)
	assert.Equal(t, 10, g.most)
}

func TestAnInvocationAboveTheConcurrencyWaits(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{Concurrency: 2, Timeout: time.Minute})
	g := newGate(t, 3)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_, err := f.Invoke(t.Context(), []byte(g.meet()))
			assert.NoError(t, err)
		})
	}
	g.awaitHere(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := f.Invoke(ctx, []byte(g.meet()))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "waiting for a free process")

	waiting := make(chan Answer)
	go func() {
		a, err := f.Invoke(t.Context(), []byte(`1`))
		assert.NoError(t, err)
		waiting <- a
	}()
	g.visit(t) // the third
	assert.False(t, (<-waiting).ColdStart)
	wg.Wait()
	assert.Equal(t, 3, g.seen)
}

func TestAFunctionGoesOnWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{Concurrency: 1, Timeout: time.Minute})
	g := newGate(t, 2)
	pid := pidOf(t, do(t, f, `{"do":"pid"}`))
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := f.Invoke(ctx, []byte(g.meet()))
		left <- err
	}()
	g.awaitHere(t, 1)
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	g.visit(t)
	assert.Equal(t, pid, pidOf(t, do(t, f, `{"do":"pid"}`)), "its process is used again")

	_, err := f.Invoke(ctx, []byte(`1`))
	require.ErrorIs(t, err, context.Canceled)
}

// install puts a binary at path as a build does, in one step.
func install(t *testing.T, version, path string) {
	t.Helper()
	require.NoError(t, os.Link(filepath.Join(builtDir, version), path+".new"))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestARebuiltBinaryIsPickedUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bootstrap")
	install(t, "v1", path)
	f := newEcho(t, Config{
		Bootstrap: path, Concurrency: 2, Timeout: time.Minute,
		Env: map[string]string{"ECHO_SIGTERM": "ignore"}, // stopping takes a while
	})
	g := newGate(t, 2)

	busy := make(chan Answer)
	go func() {
		a, err := f.Invoke(t.Context(), []byte(g.meet()))
		assert.NoError(t, err)
		busy <- a
	}()
	g.awaitHere(t, 1)
	idle := pidOf(t, do(t, f, `{"do":"pid"}`))
	assert.JSONEq(t, `"v1"`, string(do(t, f, `{"do":"version"}`).Payload))
	install(t, "v2", path)
	a := do(t, f, `{"do":"version"}`)
	assert.JSONEq(t, `"v2"`, string(a.Payload))
	assert.True(t, a.ColdStart)
	assert.False(t, alive(idle), "the idle one is stopped")

	g.visit(t)
	old := pidOf(t, <-busy)
	a = do(t, f, `{"do":"version"}`)
	assert.JSONEq(t, `"v2"`, string(a.Payload))
	assert.False(t, a.ColdStart)
	assert.False(t, alive(old), "the busy one has finished and is stopped")

	require.NoError(t, os.Remove(path))
	assert.False(t, do(t, f, `1`).ColdStart, "while there is no binary, what runs is used")
}

func TestAnswerAndTimeoutAtTheSameMoment(t *testing.T) {
	t.Parallel()
	f := newEcho(t, Config{Timeout: 30 * time.Millisecond, Concurrency: 2})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a, err := f.Invoke(t.Context(), []byte(`{"do":"late"}`))
			assert.NoError(t, err)
			if a.FunctionError == "" {
				assert.Equal(t, `"late"`, string(a.Payload))
			} else {
				assert.Contains(t, string(a.Payload), a.RequestID+" Error: Task timed out after 0.03 seconds")
			}
		})
	}
	wg.Wait()
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"of a process that dies of SIGTERM": "",
		"of one that says good-bye":         "exit",
		"of one that ignores SIGTERM":       "ignore",
	}
	for name, onSIGTERM := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := newLog()
			var hanging int
			var runtimeAPI []string
			pprof.Do(t.Context(), pprof.Labels("test", t.Name()), func(context.Context) {
				f := newEcho(t, Config{Log: out, Timeout: time.Hour, Env: map[string]string{"ECHO_SIGTERM": onSIGTERM}})
				cut := make(chan error)
				go func() {
					_, err := f.Invoke(t.Context(), []byte(`{"do":"hang"}`))
					cut <- err
				}()
				hanging = out.hanging(t)
				var env []string
				require.NoError(t, json.Unmarshal(do(t, f, `{"do":"env"}`).Payload, &env))
				runtimeAPI = slices.DeleteFunc(env, func(kv string) bool {
					return !strings.HasPrefix(kv, "AWS_LAMBDA_RUNTIME_API=")
				})
				idle := pidOf(t, do(t, f, `{"do":"pid"}`))

				var wg sync.WaitGroup
				for range 2 {
					wg.Go(f.Close)
				}
				require.ErrorIs(t, <-cut, ErrClosed)
				wg.Wait()
				assert.False(t, alive(hanging))
				assert.False(t, alive(idle))
				_, err := f.Invoke(t.Context(), nil)
				require.ErrorIs(t, err, ErrClosed)
			})
			assert.Equal(t, onSIGTERM == "exit", slices.Contains(out.all(), "bye\n"))

			require.Len(t, runtimeAPI, 1)
			_, err := (&net.Dialer{}).DialContext(
				t.Context(),
				"tcp",
				strings.TrimPrefix(runtimeAPI[0], "AWS_LAMBDA_RUNTIME_API="),
			)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)

			// What Close has waited for may still be returning.
			assert.Eventually(t, func() bool {
				var b strings.Builder
				assert.NoError(t, pprof.Lookup("goroutine").WriteTo(&b, 1))
				return !strings.Contains(b.String(), strconv.Quote(t.Name()))
			}, 10*time.Second, time.Millisecond)
		})
	}
}

func TestCloseAmidInvocations(t *testing.T) {
	t.Parallel()
	for range 5 {
		f := newEcho(t, Config{Concurrency: 3, Timeout: time.Minute})
		first := make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for {
					a, err := f.Invoke(t.Context(), []byte(`1`))
					if err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						return
					}
					assert.Equal(t, `1`, string(a.Payload))
					once.Do(func() { close(first) })
				}
			})
		}
		<-first
		f.Close()
		wg.Wait()
	}
}

// beParent is another program, which is to die hard while its function hangs.
func beParent(bootstrap string) {
	f, err := New(Config{Name: "echo", Bootstrap: bootstrap, Timeout: time.Hour, Log: os.Stdout})
	if err != nil {
		log.Fatal(err)
	}
	go func() { _, _ = f.Invoke(context.Background(), []byte(`{"do":"hang"}`)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
