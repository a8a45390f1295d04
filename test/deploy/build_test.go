package deploy

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTwoBuildsAreTheSame builds for Lambda here and from a copy of the sources elsewhere.
func TestTwoBuildsAreTheSame(t *testing.T) {
	t.Parallel()
	sums := map[string][]string{}
	for _, dir := range []string{root, copyOfSources(t)} {
		dist := t.TempDir()
		out, err := makeIn(dir, "-s", "build", "DIST="+dist).CombinedOutput()
		require.NoError(t, err, string(out))
		names, err := functionNames()
		require.NoError(t, err)
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dist, name, "bootstrap"))
			require.NoError(t, err)
			sum := sha256.Sum256(b)
			sums[name] = append(sums[name], string(sum[:]))
		}
	}
	for name, sum := range sums {
		assert.Equal(t, sum[0], sum[1], name)
	}
}

// copyOfSources is a folder with what the functions are built from.
func copyOfSources(t *testing.T) string {
	t.Helper()
	elsewhere := t.TempDir()
	for _, part := range []string{"cmd", "functions", "internal", "pkg"} {
		require.NoError(t, os.CopyFS(filepath.Join(elsewhere, part), os.DirFS(filepath.Join(root, part))))
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile"} {
		require.NoError(t, os.WriteFile(filepath.Join(elsewhere, file), read(t, file), 0o600))
	}
	return elsewhere
}
