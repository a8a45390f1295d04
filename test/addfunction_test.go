package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/test/docs"
)

// The worked example of CONTRIBUTING.md is done, block by block, in a copy of the project, and what comes out is run.
func TestTheWorkedExampleWorks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/worked-example/README.md")
	require.NoError(t, err)
	project := copyProject(t)
	for _, block := range docs.Blocks(string(page)) {
		path, isFile := strings.CutPrefix(strings.TrimSuffix(block.Heading, "`"), "`")
		switch block.Language {
		case "sh":
		case "diff":
			require.Contains(t, block.Text, "+++ b/"+path+"\n")
			run(t, project, block.Text, "git", "apply", "-")
		default:
			require.True(t, isFile, "the block under %q names no file", block.Heading)
			file := filepath.Join(project, path)
			require.NoFileExists(t, file)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(block.Text), 0o600))
		}
	}
	assert.Empty(t, run(t, project, "", "gofmt", "-l", "."))
	run(t, project, "", "go", "vet", "./pkg/...", "./functions/...")

	shown := run(t, project, "", "make", "run", "EVENTS=events/service-adopted.json")
	assert.Contains(t, shown, "POST /v1/organizations/trusted-services/enable 200")
	assert.Equal(t, 1, strings.Count(shown, "POST "), shown)
	_, again, _ := strings.Cut(shown, "registered: org.service.registered, id ")
	assert.Contains(t, again, "unchanged: org.service.registered, id ", shown)

	run(t, project, "", "go", "test", "./pkg/...", "./internal/huaweitest")
	run(t, project, "", "go", "test", "-run", "Sample|Schema|Imports|Adopted", "./test/...")
}

// copyProject copies what git knows of the project, and what is new and not ignored, as it is in the work tree.
func copyProject(t *testing.T) string {
	t.Helper()
	project := t.TempDir()
	for name := range strings.SplitSeq(run(t, "..", "", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		info, err := os.Stat(filepath.Join("..", name))
		if name == "" || err != nil { // deleted, and not yet committed
			continue
		}
		content, err := os.ReadFile(filepath.Join("..", name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(project, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(project, name), content, info.Mode()))
	}
	return project
}

// run runs a program in dir and returns what it says.
func run(t *testing.T, dir, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"GIT_CEILING_DIRECTORIES=" + filepath.Dir(dir)}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS") && !strings.HasPrefix(variable, "GIT_") {
			cmd.Env = append(cmd.Env, variable) // this make is nobody's child, and git is to look where it is
		}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out)
}
