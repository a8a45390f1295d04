// Package deploy tests what deploys the functions: the template, its stages, the workflow and the commands of the Makefile, all without a cloud.
package deploy

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

var dist string // the built functions, for this machine

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if dist, err = os.MkdirTemp("", "deploy"); err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(dist)
		if out, err := makeIn(root, "-s", "build", "DIST="+dist, "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH).CombinedOutput(); err != nil {
			log.Fatalf("make build: %v\n%s", err, out)
		}
		return m.Run()
	}())
}

// makeIn runs make as nobody's child: without what a make around the tests tells its children.
func makeIn(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("make", args...)
	cmd.Dir = dir
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "MAKE") && name != "MFLAGS" && name != "STAGE" && name != "BUCKET" {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// node runs a script of deploy/. The project's tests need no more than Go, git and make, so it skips where its packages aren't installed; where NEED_NODE is set,
// as make workflow and make check-deploy do, it installs them, and fails if it can't.
func node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "deploy", "node_modules")); err != nil && os.Getenv("NEED_NODE") == "" {
		t.Skip("needs Node.js 20 and the packages of deploy/: make check-deploy installs them and runs this")
	}
	if problem := nodeReady(); problem != "" {
		require.FailNow(t, problem)
	}
	script, err := filepath.Abs(filepath.Join(root, "deploy", script))
	require.NoError(t, err)
	return exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
}

var nodeReady = sync.OnceValue(func() string {
	version, err := exec.Command("node", "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, _ := strconv.Atoi(major); err != nil || n < 20 {
		return "Node.js 20 or newer is missing: install it from https://nodejs.org"
	}
	if out, err := makeIn(root, "-s", "deploy/node_modules").CombinedOutput(); err != nil {
		return "The packages of deploy/package-lock.json can't be installed: " + string(out)
	}
	return ""
})

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return b
}
