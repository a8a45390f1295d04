//go:build unix

package measure

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

func subjects(t *testing.T) []Subject {
	t.Helper()
	all, err := Subjects(root)
	require.NoError(t, err)
	return all
}

func find(t *testing.T, name string) Subject {
	t.Helper()
	for _, s := range subjects(t) {
		if s.Name == name {
			return s
		}
	}
	require.FailNow(t, "no subject "+name)
	return Subject{}
}

// start builds a subject and starts it in a settled organization, until the test ends.
func start(t *testing.T, s Subject, o *Organization, counting bool) (*Process, *Server) {
	t.Helper()
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, s.Build(t.Context(), Target{Counting: counting}, bootstrap))
	server, err := Serve(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	p, err := Start(t.Context(), Config{Bootstrap: bootstrap, Env: o.Environment(server.URL), Counting: counting})
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p, server
}

func settledOrganization(t *testing.T) *Organization {
	t.Helper()
	o, err := NewOrganization(root)
	require.NoError(t, err)
	return o
}

func TestAllFunctionsAreSubjects(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	require.NoError(t, err)
	all := subjects(t)
	assert.Equal(t, []string{Bare, Minimal}, []string{all[0].Name, all[1].Name})
	assert.Len(t, all, 2+len(folders))
	for i, s := range all {
		assert.Equal(t, i >= 2, s.IsFunction(), s.Name)
	}
}

// What is measured is what is deployed, to the byte.
func TestSubjectsAreBuiltAsTheMakefileBuildsThem(t *testing.T) {
	t.Parallel()
	dist := t.TempDir()
	make := exec.CommandContext(t.Context(), "make", "-s", "-C", root, "DIST="+dist, "GOOS=linux", "GOARCH=amd64",
		dist+"/register-region/bootstrap")
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS") {
			make.Env = append(make.Env, variable)
		}
	}
	out, err := make.CombinedOutput()
	require.NoError(t, err, "%s", out)
	want, err := os.ReadFile(filepath.Join(dist, "register-region", "bootstrap"))
	require.NoError(t, err)

	s, ours := find(t, "register-region"), filepath.Join(dist, "ours", "bootstrap")
	require.NoError(t, s.Build(t.Context(), Target{OS: "linux", Arch: "amd64"}, ours))
	got, err := os.ReadFile(ours)
	require.NoError(t, err)
	assert.True(t, slices.Equal(want, got), "the binaries differ")

	binary, zipped, err := Sizes(ours)
	require.NoError(t, err)
	assert.Equal(t, len(got), binary)
	assert.Less(t, zipped, binary*6/10)
	assert.Greater(t, zipped, binary/10)
}

func TestPackagesAreThoseThatAreLinked(t *testing.T) {
	t.Parallel()
	packages, err := find(t, "register-region").Packages(t.Context())
	require.NoError(t, err)
	assert.Contains(t, packages, "registrar/pkg/client")
	assert.Contains(t, packages, "runtime")
	assert.NotContains(t, packages, "net/rpc", "the build tag leaves it out")
	assert.NotContains(t, packages, "testing")
}

func TestAProcessIsMeasured(t *testing.T) {
	t.Parallel()
	p, _ := start(t, find(t, Bare), settledOrganization(t), false)
	assert.Positive(t, p.Init)
	before, err := p.Usage()
	if runtime.GOOS != "linux" {
		assert.ErrorContains(t, err, runtime.GOOS)
		return
	}
	require.NoError(t, err)
	for range 20 {
		answer, took, err := p.Invoke([]byte(`{"a":1}`))
		require.NoError(t, err)
		assert.JSONEq(t, `{"a":1}`, string(answer))
		assert.Positive(t, took)
	}
	after, err := p.Usage()
	require.NoError(t, err)
	assert.Greater(t, after.CPU, before.CPU)
	assert.Positive(t, before.MinorFaults)
	assert.GreaterOrEqual(t, after.MinorFaults, before.MinorFaults)
	assert.Greater(t, after.Peak, 1<<20)
	assert.Less(t, after.Peak, 1<<28)

	_, _, err = p.Allocations(nil, 1)
	assert.ErrorContains(t, err, "doesn't count")

	p.Stop()
	ended := p.cmd.ProcessState
	const tick = 20 * time.Millisecond // the kernel's books at the end may be no finer
	assert.InDelta(t, ended.UserTime()+ended.SystemTime(), after.CPU, float64(tick))
}

func TestFailuresAreToldWithTheirReason(t *testing.T) {
	t.Parallel()
	p, _ := start(t, find(t, Minimal), settledOrganization(t), false)
	_, _, err := p.Invoke([]byte(`{}`))
	assert.ErrorContains(t, err, "specversion")
	p.Stop()
	_, _, err = p.Invoke([]byte(`{}`))
	assert.ErrorContains(t, err, "killed")

	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, find(t, Minimal).Build(t.Context(), Target{}, bootstrap))
	_, err = Start(t.Context(), Config{Bootstrap: bootstrap})
	assert.ErrorContains(t, err, "ORGANIZATIONS_ENDPOINT", "what it logged before it ended")
}

// Each function finds a sample that is a duplicate to it, over one connection, and its allocations
// are told: more than those of a program that does nothing.
func TestDuplicatesAndTheirAllocations(t *testing.T) {
	t.Parallel()
	bare, _ := start(t, find(t, Bare), settledOrganization(t), true)
	least, _, err := bare.Allocations([]byte(`{}`), 200)
	require.NoError(t, err)
	assert.Greater(t, least, 10.0)
	assert.Less(t, least, 300.0)
	for _, s := range subjects(t)[1:] {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			o := settledOrganization(t)
			p, server := start(t, s, o, true)
			payload := o.AccountCreated
			if s.IsFunction() {
				payload, err = o.Duplicate(p)
				require.NoError(t, err)
			}
			for range 20 {
				_, _, err := p.Invoke(payload)
				require.NoError(t, err)
			}
			objects, bytes, err := p.Allocations(payload, 200)
			require.NoError(t, err)
			t.Logf("%.0f objects, %.0f bytes", objects, bytes)
			assert.Greater(t, objects, least+50)
			assert.Less(t, objects, least+2000)
			assert.Greater(t, bytes, objects*8)
			assert.Equal(t, 1, server.Connections())
			for _, r := range o.Requests() {
				assert.True(t, r.Verified || r.Method == http.MethodHead, r)
				assert.NotEqual(t, http.MethodPost, r.Method)
			}
		})
	}
}

func TestTheTemplateSaysWhatIsDeployed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "template.yaml"), []byte(`
Globals:
  Function:
    MemorySize: 512
    Environment:
      Variables:
        GOMAXPROCS: 1
        SSL_CERT_DIR: /nowhere
        RESULT_SINK: !Sub eventbridge://${Bus.Arn}
        SECRET: !If [HasOidc, a, b]
`), 0o644))
	env, err := Deployed(folder)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "GOMAXPROCS": "1", "SSL_CERT_DIR": "/nowhere",
	}, env)

	env, err = Deployed(root)
	require.NoError(t, err)
	assert.Regexp(t, `^\d+$`, env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
	assert.NotContains(t, env, "RESULT_SINK")
}
