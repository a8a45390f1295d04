package frontdoor

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tool runs a program of the project in its root, with the given variables, and returns what it
// printed and its exit status.
func tool(ctx context.Context, variables []string, stdin, name string, args ...string) (string, int) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}, variables...)
	cmd.Dir = "../.."
	cmd.Stdin = strings.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// project is that of the functions on FunctionGraph.
const project = "07f7a1b2c3d4e5f60718293a4b5c6d7e"

// What make run delivers unless it is told otherwise.
const firstSample, secondSample = "events/org-bootstrap.json", "events/account-created.json"

func TestTheSandboxRunsTheSamplesTwice(t *testing.T) {
	t.Parallel()
	out, status := tool(t.Context(), nil, "", "sandbox", "run", dist, firstSample, secondSample)
	assert.Zero(t, status, out)
	assert.NotContains(t, out, "\x1b", "colour is for terminals")
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, len([]rune(line)), 101, line)
	}
	for _, value := range []string{
		"REGION_ID=cn-north-4",
		"ADMINISTRATORS=service.SecMaster=id:" + account,
		"TRUSTED_SERVICES=service.SecMaster,service.RAM",
	} {
		assert.Contains(t, out, value)
	}
	for _, block := range []string{
		`
events/org-bootstrap.json
  event       org.bootstrap region_id=cn-north-4
`, `
  registered  register-region: org.region.registered, cn-north-4
              GET  /v1/registered-regions 404 IIC.1254 (none registered yet)
              POST /v1/register-regions 200 cn-north-4
`, `
events/org-bootstrap.json, delivered again
`, `
  unchanged   register-region: org.region.registered, cn-north-4
              GET  /v1/registered-regions 200
`, `
events/account-created.json
  event       account.created account_id=05261f923e80d3890f33c0056e9b3f80
              service_principals=service.SecMaster
`, `
  registered  register-admin: account.admin.registered, 05261f92…
              service.SecMaster registered
`, `
              POST /v1/organizations/delegated-administrators/register 201 service.SecMaster
`, `
  unchanged   register-admin: account.admin.registered, 05261f92…
              service.SecMaster unchanged
`,
	} {
		assert.Contains(t, out, block)
	}
	assert.Regexp(t, `\n2 events delivered twice: \d registered, \d unchanged\. Next: make start\n$`, out)
	assert.NotContains(t, out, "InvalidEventError", "who doesn't take an event isn't shown")
}

func TestTheSandboxTakesTheDeployedConfiguration(t *testing.T) {
	t.Parallel()
	run := func(variable string) string {
		out, status := tool(t.Context(), []string{variable}, "", "sandbox", "run", dist, firstSample, secondSample)
		assert.Zero(t, status, out)
		return out
	}
	out := run("DRY_RUN=1")
	assert.Regexp(t, `2 events delivered twice: \d planned\.`, out)
	assert.NotContains(t, out, "POST")
	out = run("REGION_ID=cn-south-1")
	assert.Contains(t, out, "REGION_ID=cn-south-1 (yours)")
	assert.Contains(t, out, `
  rejected    register-region: org.region.rejected, cn-north-4
              not_allowed: `)
	out = run("ADMINISTRATORS=service.SecMaster=name:shop")
	assert.Contains(t, out, "\n  rejected    register-admin: account.admin.rejected, 05261f92…\n")
	for _, own := range []string{
		"ORGANIZATIONS_ENDPOINT=http://127.0.0.1:1", "RESULT_SINK=http://127.0.0.1:1", "K_SINK=http://127.0.0.1:1",
		"HUAWEICLOUD_SDK_AK=other", "HUAWEICLOUD_CREDENTIALS_SECRET=other", "AWS_PROFILE=other",
		"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1",
	} {
		assert.Regexp(t, `2 events delivered twice: \d registered, \d unchanged\.`, run(own), own)
	}
}

func TestTheSandboxShowsWhatIsWrappedAndWhatFails(t *testing.T) {
	t.Parallel()
	unknown := filepath.Join(t.TempDir(), "unknown.json")
	data := `{"account_id":"0c7f3e52d69a4b48a7e1f2a3b4c5d6e7","service_principal":"service.SecMaster"}`
	event := createdAt(time.Now(), data)
	require.NoError(t, os.WriteFile(unknown, []byte(event), 0o600))
	rules := "ADMINISTRATORS=service.SecMaster=id:" + account + ",service.SecMaster=id:0c7f3e52d69a4b48a7e1f2a3b4c5d6e7"
	out, status := tool(t.Context(), []string{rules}, "", "sandbox", "run", dist,
		"events/sqs-account-created.json", "events/http-api-account-created.json", unknown)
	assert.Equal(t, 1, status, out)
	for _, block := range []string{
		`
events/sqs-account-created.json
  event       SQS: account.created account_id=05261f923e80d3890f33c0056e9b3f80
              service_principal=service.SecMaster
  event       SQS: account.created account_id=0b6e2d41c58f4a3796d0e1f2a3b4c5d6
  registered  register-admin: account.admin.registered, 05261f92…
              service.SecMaster registered
              GET  /v1/organizations/accounts/05261f92…/delegated-services 200
`, `
  event       HTTP: account.created account_id=05261f923e80d3890f33c0056e9b3f80
`, `
  failed      register-admin: TransientError, account.created 0c7f3e52…
`, `
5 events delivered twice: 1 registered, 2 skipped, 5 unchanged, 2 failed.
`, `
sandbox: not every event was handled
`,
	} {
		assert.Contains(t, out, block)
	}
	assert.Contains(t, out, "              account 0c7f3e52d69a4b48a7e1f2a3b4c5d6e7 is not ready in the organization")
	assert.Regexp(t, `404 Organizations.9902 \(code invented by the\s+fake\)\n`, out)
	last := strings.LastIndex(out, "404 Organizations.9902")
	assert.Less(t, strings.LastIndex(out, "failed  "), last, "the outcome comes first")

	out, status = tool(t.Context(), []string{"MAX_ATTEMPTS=x"}, "", "sandbox", "run", dist, "events/org-bootstrap.json")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "register-region: MisconfiguredError\n              configuration: MAX_ATTEMPTS: ")
	assert.NotContains(t, out, "no function takes it")

	out, status = tool(t.Context(), nil, "", "sandbox", "run", t.TempDir(), "x.json")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "call it by make, which builds the functions first")
	out, status = tool(t.Context(), nil, "", "sandbox", "run", dist, "go.mod")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, `
go.mod
  event       not an event
  failed      no function takes it
  failed      audit-organization: InvalidEventError
`)
	assert.Contains(t, out, "\n1 event: 1 taken by no function.\n")
	out, status = tool(t.Context(), nil, "", "sandbox")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "usage")
}

// startSandbox starts everything on a free port, with copies of the functions, and returns the port
// and what it prints.
func startSandbox(t *testing.T, variables ...string) (port string, functions string, out *lines) {
	t.Helper()
	return startSandboxOf(t, []string{"register-region", "register-admin"}, variables...)
}

func startSandboxOf(t *testing.T, names []string, variables ...string) (port string, functions string, out *lines) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())

	functions = t.TempDir()
	for _, name := range names {
		install(t, name, filepath.Join(functions, name))
	}
	out = &lines{}
	cmd := exec.Command(filepath.Join(bin, "sandbox"), "start", functions)
	cmd.Dir = "../.."
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "PORT=" + port}, variables...)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(os.Interrupt))
		assert.NoError(t, cmd.Wait(), "it ends by itself: %s", out)
	})
	out.await(t, "http://127.0.0.1:8080\n")
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
		"aws lambda invoke --endpoint-url " + base + " --region eu-central-1 --no-sign-request " +
			"--function-name register-admin --payload fileb://events/account-created.json /dev/stdout",
		"curl -H 'Content-Type: application/cloudevents+json' -d @events/org-bootstrap.json " +
			base + "/url/register-region",
		"curl -d @events/org-bootstrap.json " + base + "/queue/register-region",
		"curl -d @events/org-bootstrap.json " + base + "/v2/" + project + "/fgs/functions/" +
			"urn:fss:cn-north-4:" + project + ":function:default:register-region:latest/invocations",
		"make invoke FUNCTION=register-admin EVENT=events/account-created.json PORT=" + port,
	} {
		assert.Contains(t, out.String(), "\n  "+line+"\n", "each function has the sample that it takes")
	}
	request := func(method, path, contentType, body string) (int, string) {
		req, err := http.NewRequest(method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}
	post := func(path, contentType, body string) (int, string) { return request("POST", path, contentType, body) }
	status, answer := request("GET", "/", "", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, out.String(), answer, "what there is can be read again")
	status, answer = request("GET", "/nowhere", "", "")
	assert.Equal(t, 404, status)
	assert.Contains(t, answer, "What there is: curl "+base)

	status, answer = post("/url/register-region", "application/cloudevents+json", sample(t, "org-bootstrap.json"))
	assert.Equal(t, 200, status)
	assert.Contains(t, answer, `"outcome":"registered"`)
	out.await(t, " POST /v1/register-regions")
	assert.Regexp(t, `\n\n\d\d:\d\d:\d\d HTTP: org.bootstrap region_id=cn-north-4
  registered  register-region: org.region.registered, cn-north-4
              GET  /v1/registered-regions 404 IIC.1254 \(none registered yet\)
              POST /v1/register-regions 200 cn-north-4
`, out.String())
	status, _ = post("/url/register-region", "application/json", "{}")
	assert.Equal(t, 415, status)

	status, _ = post("/queue/register-admin", "", sample(t, "account-created.json"))
	assert.Equal(t, 200, status)
	out.await(t, " is done\n")
	assert.Regexp(t, `\n\d\d:\d\d:\d\d SQS: account.created account_id=05261f923e80d3890f33c0056e9b3f80 .*
  registered  register-admin: account.admin.registered, 05261f92…
`, out.String())
	_, _ = post("/queue/register-admin", "", `{"x":1}`)
	out.await(t, "comes again in 10s, received 1 of 5 times")
	assert.Regexp(t, `SQS: not an event\n  failed      register-admin: InvalidEventError\n`, out.String())
	status, _ = post("/queue/register-admin", "", "")
	assert.Equal(t, 400, status)

	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			status, answer := post(
				"/2015-03-31/functions/register-admin/invocations", "", sample(t, "account-created.json"),
			)
			assert.Equal(t, 200, status)
			assert.Contains(t, answer, `"outcome":"unchanged"`)
		})
	}
	wg.Wait()
	out.await(t, ", all as before")
	assert.Regexp(t, `\n\n\d\d:\d\d:\d\d account.created .*
  unchanged   register-admin: account.admin.registered, 05261f92…, all as before
`, out.String(), "what went as before is short")

	// The other function's binary in its place stands for an edit: it answers from the next event
	// on.
	install(t, "register-admin", filepath.Join(functions, "register-region"))
	_, answer = post("/2015-03-31/functions/register-region/invocations", "", sample(t, "account-created.json"))
	assert.Contains(t, answer, `"account.admin.registered"`)

	text, code := tool(t.Context(), []string{"PORT=" + port}, "", "sandbox", "start", dist)
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "port "+port+" is taken")
}

// FunctionGraph's functions have no keys: the headers of each invocation bring them.
func TestTheSandboxServesFunctionGraph(t *testing.T) {
	t.Parallel()
	port, _, out := startSandbox(t)
	post := func(way, version, file string) (int, string) {
		url := "http://127.0.0.1:" + port + "/v2/" + project + "/fgs/functions/urn:fss:cn-north-4:" + project +
			":function:default:register-region:latest/" + way
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(sample(t, file)))
		require.NoError(t, err)
		req.Header.Set("X-CFF-Request-Version", version)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}
	status, answer := post("invocations", "v0", "org-bootstrap.json")
	assert.Equal(t, 200, status)
	assert.Contains(t, answer, `"outcome":"registered"`)
	out.await(t, " POST /v1/register-regions")
	assert.Regexp(t, `\n\d\d:\d\d:\d\d org.bootstrap region_id=cn-north-4
  registered  register-region: org.region.registered, cn-north-4
              GET  /v1/registered-regions 404 IIC.1254 \(none registered yet\)
              POST /v1/register-regions 200 cn-north-4
`, out.String(), "on the same screen, by the same door")
	status, answer = post("invocations", "v1", "account-created.json")
	assert.Equal(t, 200, status)
	assert.Contains(t, answer, `\"errorType\":\"InvalidEventError\"`)
	assert.Contains(t, answer, `"status":500`)
	status, _ = post("invocations-async", "", "org-bootstrap.json")
	assert.Equal(t, 202, status)
	out.await(t, "unchanged   register-region: org.region.registered, cn-north-4")
	assert.NotContains(t, out.String(), " 401", "each invocation signs with its own keys")
}

func TestTheSandboxSaysAtOnceWhichFunctionCannotWork(t *testing.T) {
	t.Parallel()
	_, _, out := startSandbox(t, "DRY_RUN=yes")
	assert.Contains(t, out.String(), "\nregister-admin can't work: configuration: DRY_RUN: ")
}

// What the sandbox prints to run a function as an HTTP server is pasted into a shell, with a port
// that is free.
func TestAFunctionAsAnHTTPServerReachesTheSandbox(t *testing.T) {
	t.Parallel()
	_, _, out := startSandbox(t)
	pasted := regexp.MustCompile(`(?m)^  (env .*) PORT=8080 (.*)$`).FindStringSubmatch(out.String())
	require.NotEmpty(t, pasted, out.String())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	server := exec.Command("sh", "-c", "exec "+pasted[1]+" PORT="+port+" "+pasted[2])
	log := &lines{}
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		assert.NoError(t, server.Process.Signal(os.Interrupt))
		assert.NoError(t, server.Wait(), log)
	})
	log.await(t, "serving CloudEvents by HTTP")
	event := strings.NewReader(sample(t, "account-created.json"))
	resp, err := http.Post("http://"+address, "application/cloudevents+json", event)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode, log)
	out.await(t, " 201 service.SecMaster, from elsewhere\n")
	out.await(t, " a result from elsewhere\n  registered  account.admin.registered, 05261f92…\n")
}

func TestInvokeOnThisMachine(t *testing.T) {
	t.Parallel()
	port, _, _ := startSandbox(t)
	invoke := func(variables ...string) (string, int) {
		return tool(t.Context(), append(variables, "PORT="+port), "", "invoke")
	}
	text, code := invoke("FUNCTION=register-region", "EVENT=events/org-bootstrap.json", "DRY_RUN=1")
	assert.Zero(t, code, text)
	assert.Equal(t, "  planned     register-region: org.region.planned, cn-north-4\n", text)
	text, code = invoke("FUNCTION=register-region", "EVENT=events/org-bootstrap.json")
	assert.Zero(t, code, text)
	assert.Equal(t, "  registered  register-region: org.region.registered, cn-north-4\n", text)
	text, code = invoke("FUNCTION=register-admin", "EVENT=events/cloudevents-batch.json", "DRY_RUN=1")
	assert.Zero(t, code, text)
	assert.Equal(t, 2, strings.Count(text, "  planned     register-admin: account.admin.planned, "), text)
	text, code = invoke("FUNCTION=register-admin", "EVENT=events/sqs-account-created.json", "DRY_RUN=1")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "set dry_run in EVENT itself", "events in a text stay as they are")
	text, code = invoke("FUNCTION=register-region", "EVENT=events/account-created.json")
	assert.Equal(t, 1, code)
	assert.Regexp(t, `^  failed      register-region: InvalidEventError(, account.created)?\n`, text)
	assert.Contains(t, text, "org.bootstrap, not")
	text, code = invoke("FUNCTION=register-nobody", "EVENT=events/account-created.json")
	assert.Equal(t, 1, code)
	assert.Equal(t, "invoke: Function not found: register-nobody\n", text)
	text, code = invoke("FUNCTION=register-region")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "say which function and which event")
	text, code = tool(t.Context(), []string{"PORT=1", "FUNCTION=register-region", "EVENT=" + firstSample}, "", "invoke")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "call make start in another terminal first")
}

// noteAWS makes an aws client in the folder path that notes in the file noted what it is asked to
// do. A function that it invokes answers what ANSWER says, and fails as FUNCTION_ERROR says.
func noteAWS(t *testing.T) (path, noted string) {
	t.Helper()
	path = t.TempDir()
	noted = filepath.Join(path, "noted")
	script := `#!/bin/sh
case "$1 $2" in
"sts get-caller-identity") echo 123456789012 ;;
"configure get") echo eu-central-1 ;;
"lambda invoke")
	echo "$@" >> '` + noted + `'
	while [ $# -gt 1 ]; do [ "$1" = --payload ] && cat "${2#fileb://}" >> '` + noted + `'; shift; done
	[ "$ANSWER" ] || ANSWER='{"answer":1}'
	echo "$ANSWER" > "$1"
	echo "${FUNCTION_ERROR:-None}" ;;
esac
`
	require.NoError(t, os.WriteFile(filepath.Join(path, "aws"), []byte(script), 0o755))
	return path, noted
}

func TestInvokeOfADeployedFunctionAsksFirst(t *testing.T) {
	t.Parallel()
	path, noted := noteAWS(t)
	event := filepath.Join(t.TempDir(), "mine.json")
	require.NoError(t, os.WriteFile(event, []byte(bootstrap(north)), 0o600))
	invoke := func(stdin string, variables ...string) (string, int) {
		return tool(t.Context(), append([]string{
			"PATH=" + path + ":" + os.Getenv("PATH"), "REMOTE=1", "STACK=registrar-prod", "FUNCTION=register-region",
			"EVENT=" + event,
		}, variables...), stdin, "invoke")
	}
	for _, no := range []string{"", "n\n", "yep\n"} {
		text, code := invoke(no)
		assert.Equal(t, 1, code)
		assert.Contains(t, "\n"+text, `
  function    registrar-prod-register-region
  account     123456789012
  region      eu-central-1
  event       org.bootstrap region_id=cn-north-4
  mode        register
`)
		assert.Contains(t, text, "nothing was sent")
	}
	assert.NoFileExists(t, noted)

	text, code := invoke("", "EVENT=events/org-bootstrap.json", "YES=1")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "one of the samples")
	assert.NoFileExists(t, noted)

	text, code = invoke("y\n", "DRY_RUN=yes")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "DRY_RUN=yes: say 1 or 0")
	assert.NoFileExists(t, noted)
	text, code = invoke("y\n", "DRY_RUN=true")
	assert.Zero(t, code, text)
	assert.Contains(t, text, "mode        dry run: read only")
	assert.Contains(t, text, `answered    register-region: {"answer":1}`)
	sent, err := os.ReadFile(noted)
	require.NoError(t, err)
	assert.Contains(t, string(sent),
		"lambda invoke --region eu-central-1 --function-name registrar-prod-register-region")
	assert.Contains(t, string(sent), `"dry_run":true`)

	text, code = invoke("", "YES=1", "FUNCTION_ERROR=Unhandled")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "  failed      register-region: Unhandled\n")
	text, code = tool(t.Context(), []string{"PATH=/nowhere", "REMOTE=1", "FUNCTION=x", "EVENT=" + event}, "", "invoke")
	assert.Equal(t, 1, code)
	assert.Contains(t, text, "the aws client is missing")
}

// await waits until text is among the lines.
func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	there := func() bool { return strings.Contains(l.String(), text) }
	require.Eventually(t, there, 10*time.Second, 10*time.Millisecond, "%s", text)
}

// make run without files tells the whole story.
func TestTheSandboxTellsOfAnOrganization(t *testing.T) {
	t.Parallel()
	out, status := tool(t.Context(), nil, "", "sandbox", "run", dist)
	require.Zero(t, status, out)
	rest := out
	for _, next := range []string{
		"\nThe organization is set up: events/org-bootstrap.json\n",
		"  registered  register-region: org.region.registered, cn-north-4\n",
		"              service.SecMaster registered\n",
		"\nAn account joins that administers nothing: events/account-ordinary.json\n",
		"  skipped     register-admin: account.admin.skipped, 0b6e2d41…\n",
		"\nThe account joins that shall administer SecMaster: events/account-created.json\n",
		"  registered  register-admin: account.admin.registered, 05261f92…\n",
		"\nAn audit: events/org-audit.json\n",
		"  passed      audit-organization: org.audit.passed\n",
		"\nSomebody takes the administrator away",
		"\nThe next audit: events/org-audit.json\n",
		"  drifted     audit-organization: org.audit.drifted\n",
		"              05261f92… doesn't administer service.SecMaster\n",
		"              sent account.admin.missing account_id=" + account,
		"\nWhat it asked for\n",
		"  registered  register-admin: account.admin.registered, 05261f92…\n",
		"  unchanged   register-admin: account.admin.registered, 05261f92…\n",
		"\nThe audit after that: events/org-audit.json\n",
		"  passed      audit-organization: org.audit.passed\n",
		"\n7 events, all but the audits delivered twice: " +
			"4 registered, 4 unchanged, 2 skipped, 2 passed, 1 drifted. Next: make start\n",
	} {
		_, after, found := strings.Cut(rest, next)
		require.True(t, found, "after what came before, %q is missing in\n%s", next, out)
		rest = after
	}

	out, status = tool(t.Context(), []string{"DRY_RUN=true"}, "", "sandbox", "run", dist)
	require.Zero(t, status, out)
	assert.NotContains(t, out, "POST")
	assert.Contains(t, out, "  planned     register-admin: account.admin.planned, 05261f92…\n")
	assert.Contains(t, out, "  drifted     audit-organization: org.audit.drifted\n")
	assert.NotContains(t, out, "What it asked for", "a dry run asks for nothing")
}

func TestAuditOnThisMachine(t *testing.T) {
	t.Parallel()
	port, _, out := startSandboxOf(t,
		[]string{"audit-organization", "register-admin", "register-region", "register-service"})
	audit := func(variables ...string) (string, int) {
		return tool(t.Context(), append(variables, "PORT="+port), "", "audit")
	}
	text, code := audit()
	assert.Equal(t, 1, code)
	assert.Equal(t, `
WANTED                                                          NOW
region cn-north-4                                               DIFFERS: none
trusted access for service.SecMaster                            enabled
trusted access for service.RAM                                  MISSING
05261f923e80d3890f33c0056e9b3f80 administers service.SecMaster  MISSING
drifted: accounts 2, missing 3, unexpected 0, requests sent 0
`, "\n"+text)
	text, code = audit("HEAL=1")
	assert.Equal(t, 1, code, "it tells what it found")
	assert.Contains(t, text, "requests sent 2\n")
	out.await(t, " POST /v1/organizations/delegated-administrators/register 201")
	text,
		code = tool(t.Context(), []string{"PORT=" + port, "FUNCTION=register-region", "EVENT=" + firstSample}, "",
		"invoke")
	require.Zero(t, code, text)
	text, code = audit()
	assert.Zero(t, code, text)
	assert.Contains(t, text, "passed: accounts 2, missing 0, unexpected 0, requests sent 0\n")
	text, code = audit("HEAL=maybe")
	assert.Equal(t, 2, code)
	assert.Equal(t, "audit: HEAL=maybe: say 1 or 0\n", text)
	text, code = tool(t.Context(), []string{"PORT=1"}, "", "audit")
	assert.Equal(t, 2, code)
	assert.Contains(t, text, "call make start in another terminal first")
}

func TestAuditOfADeployedFunctionAsksOnlyBeforeItHeals(t *testing.T) {
	t.Parallel()
	path, noted := noteAWS(t)
	audit := func(stdin string, variables ...string) (string, int) {
		return tool(t.Context(), append([]string{
			"PATH=" + path + ":" + os.Getenv("PATH"), "REMOTE=1", "STACK=registrar-prod",
			`ANSWER={"data":{"outcome":"drifted","region":{"observed":"cn-north-4"},` +
				`"inactive":[{"account_id":"1","service_principal":"service.A","status":"suspended"}],` +
				`"unmatched":[{"service_principal":"service.A","selector":"name:ops","invited_account_id":"2"}],` +
				`"unexpected":[{"account_id":"3","account_name":"three","service_principal":"service.B"}],` +
				`"resolved":[{"selector":"name:sec","account_id":"4"}],` +
				`"counts":{"accounts":9,"inactive":1,"unmatched":1,"unexpected":1},"requests_sent":0}}`,
		}, variables...), stdin, "audit")
	}
	text, code := audit("")
	assert.Equal(t, 1, code)
	assert.Equal(t, `
  function    registrar-prod-audit-organization
  account     123456789012
  region      eu-central-1
  event       org.audit dry_run=true
  mode        dry run: read only
WANTED                          NOW
any region                      cn-north-4
1 administers service.A         ACCOUNT IS suspended
name:ops administers service.A  NO SUCH ACCOUNT, but 2, which was invited, has the name
nothing                         UNEXPECTED: 3 (three) administers service.B
name:sec is 4
drifted: accounts 9, missing 2, unexpected 1, requests sent 0
`, "\n"+text)
	sent, err := os.ReadFile(noted)
	require.NoError(t, err)
	assert.Contains(t, string(sent),
		"lambda invoke --region eu-central-1 --function-name registrar-prod-audit-organization")
	assert.Regexp(t, `"id":"audit/20\d\d-.*"type":"org.audit"`, string(sent))
	require.NoError(t, os.Remove(noted))

	text, code = audit("n\n", "HEAL=1")
	assert.Equal(t, 2, code)
	assert.Contains(t, text, "mode        ask for what is missing")
	assert.Contains(t, text, "nothing was sent")
	assert.NoFileExists(t, noted)
	text, code = audit("y\n", "HEAL=1")
	assert.Equal(t, 1, code, text)
	sent, err = os.ReadFile(noted)
	require.NoError(t, err)
	assert.Contains(t, string(sent), `"dry_run":false`)

	text,
		code = audit("", "FUNCTION_ERROR=Unhandled",
		`ANSWER={"errorType":"MisconfiguredError","errorMessage":"no rights"}`)
	assert.Equal(t, 2, code)
	assert.Contains(t, text, "audit: MisconfiguredError: no rights\n")
	text, code = audit("", `ANSWER={"data":{"outcome":"rejected"}}`)
	assert.Equal(t, 2, code)
	assert.Contains(t, text, "audit: it answered something else than an audit")
}
