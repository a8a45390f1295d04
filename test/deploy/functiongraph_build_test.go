package deploy

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largestZip is what the console of FunctionGraph takes; its API takes 50 MB.
const largestZip = 40_000_000

// TestTwoBuildsForFunctionGraphAreTheSame builds here and from a copy of the sources elsewhere, and
// looks at what came of it.
func TestTwoBuildsForFunctionGraphAreTheSame(t *testing.T) {
	t.Parallel()
	names, err := functionNames()
	require.NoError(t, err)
	built := map[string][][]byte{}
	for _, dir := range []string{root, copyOfSources(t)} {
		dist := t.TempDir()
		out, err := makeIn(dir, "build-functiongraph", "DIST="+dist, "GOARCH=arm64").CombinedOutput()
		require.NoError(t, err, string(out))
		zips, err := filepath.Glob(filepath.Join(dist, "functiongraph", "*.zip"))
		require.NoError(t, err)
		assert.Len(t, zips, len(names))
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dist, "functiongraph", name+".zip"))
			require.NoError(t, err)
			assert.Contains(t, string(out), name+".zip", "its size is told")
			built[name] = append(built[name], b)
		}
	}
	for _, name := range names {
		packed := built[name][0]
		assert.True(t, bytes.Equal(packed, built[name][1]), "%s: two builds differ", name)
		assert.Less(t, len(packed), largestZip, name)
		r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
		require.NoError(t, err)
		require.Len(t, r.File, 1, name)
		assert.Equal(t, "bootstrap", r.File[0].Name, "at the root")
		assert.Equal(t, os.FileMode(0o755), r.File[0].Mode(), name)
		content, err := r.File[0].Open()
		require.NoError(t, err)
		executable, err := io.ReadAll(content)
		require.NoError(t, err)
		file, err := elf.NewFile(bytes.NewReader(executable))
		require.NoError(t, err)
		assert.Equal(t, elf.EM_X86_64, file.Machine, "whatever GOARCH says")
		libraries, err := file.ImportedLibraries()
		require.NoError(t, err)
		assert.Empty(t, libraries, "it needs nothing of the host")
	}
}
