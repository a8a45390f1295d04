package frontdoor

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tool runs a program of the project with the given variables and returns what it printed, and its exit status.
func tool(ctx context.Context, variables []string, stdin, name string, args ...string) (string, int) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}, variables...)
	cmd.Stdin = strings.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func TestTheSandboxRunsTheSamplesTwice(t *testing.T) {
	t.Parallel()
	out, status := tool(t.Context(), nil, "", "sandbox", "run", dist, "../../events/org-bootstrap.json", "../../events/account-created.json")
	assert.Zero(t, status, out)
	var outcomes []string
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "result       "); ok {
			outcome, _, _ := strings.Cut(rest, ",")
			outcomes = append(outcomes, outcome)
		}
	}
	assert.Equal(t, []string{
		"registered: org.region.registered", "unchanged: org.region.registered", "registered: account.admin.registered", "unchanged: account.admin.registered",
	}, outcomes)
	assert.Contains(t, out, "POST /v1/register-regions 200")
	assert.NotContains(t, out, "\x1b", "colour is for terminals")

	out, status = tool(t.Context(), nil, "", "sandbox", "run", t.TempDir(), "x.json")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "call it by make, which builds the functions first")
	out, status = tool(t.Context(), nil, "", "sandbox", "run", dist, "frontdoor_test.go")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "no function takes it")
	out, status = tool(t.Context(), nil, "", "sandbox")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "usage")
}

// startSandbox starts everything on a free port, with copies of the functions, and returns the port and what it prints.
func startSandbox(t *testing.T) (port string, functions string, out *lines) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())

	functions = t.TempDir()
	for _, name := range []string{"register-region", "register-admin"} {
		install(t, name, filepath.Join(functions, name))
	}
	out = &lines{}
	cmd := exec.Command(filepath.Join(bin, "sandbox"), "start", functions)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=" + port}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(os.Interrupt))
		assert.NoError(t, cmd.Wait(), "it ends by itself: %s", out)
	})
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Ctrl-C") }, 10*time.Second, 10*time.Millisecond)
	return port, functions, out
}

// install puts a function into a folder, as a build does.
func install(t *testing.T, name, folder string) {
	t.Helper()
	binary, err := os.ReadFile(filepath.Join(dist, name, "bootstrap"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	path := filepath.Join(folder, "bootstrap")
	require.NoError(t, os.WriteFile(path+".new", binary, 0o755))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestTheSandboxServesUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	port, functions, out := startSandbox(t)
	base := "http://127.0.0.1:" + port
	for _, line := range []string{
		"aws lambda invoke --endpoint-url " + base + " --region eu-central-1 --no-sign-request --function-name register-admin --payload fileb://events/account-created.json /dev/stdout",
		"curl -H 'Content-Type: application/cloudevents+json' -d @events/org-bootstrap.json " + base + "/url/register-region",
		"curl -d @events/org-bootstrap.json " + base + "/queue/register-region",
	} {
		assert.Contains(t, out.String(), line)
	}
	post := func(path, contentType, body string) (int, string) {
		resp, err := http.Post(base+path, contentType, strings.NewReader(body))
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}

	status, answer := post("/url/register-region", "application/cloudevents+json", sample(t, "org-bootstrap.json"))
	assert.Equal(t, 200, status)
	assert.Contains(t, answer, `"outcome":"registered"`)
	assert.Contains(t, out.String(), "registered: org.region.registered", "the result is shown on the other side, at the sink")
	assert.Contains(t, out.String(), "POST /v1/register-regions 200")
	status, _ = post("/url/register-region", "application/json", "{}")
	assert.Equal(t, 415, status)

	status, _ = post("/queue/register-admin", "", sample(t, "account-created.json"))
	assert.Equal(t, 200, status)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "is done") }, 10*time.Second, 10*time.Millisecond)
	assert.Contains(t, out.String(), "registered: account.admin.registered")
	_, _ = post("/queue/register-admin", "", `{"x":1}`)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "comes again in 10s, received 1 of 5 times") }, 10*time.Second, 10*time.Millisecond)
	status, _ = post("/queue/register-admin", "", "")
	assert.Equal(t, 400, status)

	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			status, answer := post("/2015-03-31/functions/register-admin/invocations", "", sample(t, "account-created.json"))
			assert.Equal(t, 200, status)
			assert.Contains(t, answer, `"outcome":"unchanged"`)
		})
	}
	wg.Wait()

	// The other function's binary in its place stands for an edit: it answers from the next event on.
	install(t, "register-admin", filepath.Join(functions, "register-region"))
	_, answer = post("/2015-03-31/functions/register-region/invocations", "", sample(t, "account-created.json"))
	assert.Contains(t, answer, `"account.admin.registered"`)

	text, code := tool(t.Context(), []string{"PORT=" + port}, "", "sandbox", "start", dist)
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "port "+port+" is taken")
}

func TestInvokeOnThisMachine(t *testing.T) {
	t.Parallel()
	port, _, _ := startSandbox(t)
	invoke := func(variables ...string) (string, int) {
		return tool(t.Context(), append(variables, "PORT="+port), "", "invoke")
	}
	text, code := invoke("FUNCTION=register-region", "EVENT=../../events/org-bootstrap.json", "DRY_RUN=1")
	assert.Zero(t, code, text)
	assert.Contains(t, text, `"org.region.planned"`)
	text, code = invoke("FUNCTION=register-region", "EVENT=../../events/org-bootstrap.json")
	assert.Zero(t, code, text)
	assert.Contains(t, text, `"outcome":"registered"`)
	text, code = invoke("FUNCTION=register-region", "EVENT=../../events/account-created.json")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "InvalidEventError")
	text, code = invoke("FUNCTION=register-region")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "say which function and which event")
	text, code = tool(t.Context(), []string{"PORT=1", "FUNCTION=register-region", "EVENT=../../events/org-bootstrap.json"}, "", "invoke")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "call make start in another terminal first")
}

// The aws client is one that notes what it is asked to do.
func TestInvokeOfADeployedFunctionAsksFirst(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	noted := filepath.Join(path, "noted")
	script := `#!/bin/sh
case "$1 $2" in
"sts get-caller-identity") echo 123456789012 ;;
"configure get") echo eu-central-1 ;;
"lambda invoke")
	echo "$@" >> '` + noted + `'
	while [ $# -gt 1 ]; do [ "$1" = --payload ] && cat "${2#fileb://}" >> '` + noted + `'; shift; done
	echo '{"answer":1}' > "$1"
	echo "${FUNCTION_ERROR:-None}" ;;
esac
`
	require.NoError(t, os.WriteFile(filepath.Join(path, "aws"), []byte(script), 0o755))
	event := filepath.Join(t.TempDir(), "mine.json")
	require.NoError(t, os.WriteFile(event, []byte(bootstrap(north)), 0o600))
	invoke := func(stdin string, variables ...string) (string, int) {
		return tool(t.Context(), append([]string{"PATH=" + path + ":" + os.Getenv("PATH"), "REMOTE=1", "STACK=registrar-prod", "FUNCTION=register-region", "EVENT=" + event}, variables...), stdin, "invoke")
	}
	for _, no := range []string{"", "n\n", "yep\n"} {
		text, code := invoke(no)
		assert.Equal(t, 1, code)
		assert.Contains(t, text, "function registrar-prod-register-region\naccount  123456789012\nregion   eu-central-1\nsubject  cn-north-4\n")
		assert.Contains(t, text, "nothing was sent")
	}
	assert.NoFileExists(t, noted)

	text, code := invoke("", "EVENT=../../events/org-bootstrap.json", "YES=1")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "one of the samples")
	assert.NoFileExists(t, noted)

	text, code = invoke("y\n", "DRY_RUN=yes")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "DRY_RUN=yes: say 1 or 0")
	assert.NoFileExists(t, noted)
	text, code = invoke("y\n", "DRY_RUN=true")
	assert.Zero(t, code, text)
	assert.Contains(t, text, "mode     dry run: read only")
	assert.Contains(t, text, `{"answer":1}`)
	sent, err := os.ReadFile(noted)
	require.NoError(t, err)
	assert.Contains(t, string(sent), "lambda invoke --region eu-central-1 --function-name registrar-prod-register-region")
	assert.Contains(t, string(sent), `"dry_run":true`)

	text, code = invoke("", "YES=1", "FUNCTION_ERROR=Unhandled")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "registrar-prod-register-region failed")
	text, code = tool(t.Context(), []string{"PATH=/nowhere", "REMOTE=1", "FUNCTION=x", "EVENT=" + event}, "", "invoke")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "the aws client is missing")
}
