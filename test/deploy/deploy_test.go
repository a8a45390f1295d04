// Package deploy tests what deploys the functions: the templates, their stages, the workflow and
// the commands of the Makefile, all without a cloud.
package deploy

import (
	"errors"
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

var tmp string // gone after the tests

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if tmp, err = os.MkdirTemp("", "deploy"); err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(tmp)
		return m.Run()
	}())
}

// built is a folder with the functions, built for this machine.
var built = sync.OnceValues(func() (string, error) {
	dist := filepath.Join(tmp, "dist")
	build := makeIn(root, "-s", "build", "DIST="+dist, "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New("make build: " + string(out))
	}
	return dist, nil
})

// makeIn runs make without what a make around the tests tells the commands that it runs.
func makeIn(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("make", args...)
	cmd.Dir = dir
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "MAKE"), strings.HasPrefix(name, "AWS_"):
		case name == "MFLAGS", name == "STAGE", name == "BUCKET":
		case name == "SUBJECT", name == "ACCOUNT", name == "QUERY", name == "HOURS":
		default:
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// needsTools skips a test that needs more than Go, git and make, unless DEPLOY_TOOLS is set, as
// make check-deploy and make workflow do.
func needsTools(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("DEPLOY_TOOLS") == "" {
		t.Skip("needs " + what + ": make check-deploy runs this")
	}
}

// node is a script of deploy/.
func node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	needsTools(t, "Node.js 20 and the packages of deploy/")
	version, err := exec.Command("node", "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	n, _ := strconv.Atoi(major)
	require.True(t, err == nil && n >= 20, "Node.js 20 or newer is missing: install it from https://nodejs.org")
	require.DirExists(t, filepath.Join(root, "deploy", "node_modules"), "make check-deploy installs it")
	script, err = filepath.Abs(filepath.Join(root, "deploy", script))
	require.NoError(t, err)
	return exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return b
}
