package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two builders whose files have other modes and times, and other files beside them.
func TestTheSameBootstrapMakesTheSameZip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var zips [][]byte
	for i, mode := range []os.FileMode{0o600, 0o777} {
		folder := filepath.Join(dir, mode.String())
		require.NoError(t, os.Mkdir(folder, 0o700))
		file := filepath.Join(folder, "bootstrap")
		require.NoError(t, os.WriteFile(file, []byte("an executable"), mode))
		modified := time.Date(2026, time.January, 2+i, 3, 4, 5, 0, time.Local)
		require.NoError(t, os.Chtimes(file, modified, modified))
		require.NoError(t, os.WriteFile(filepath.Join(folder, mode.String()), nil, mode))

		require.NoError(t, run([]string{folder + "/"}))
		packed, err := os.ReadFile(folder + ".zip")
		require.NoError(t, err)
		zips = append(zips, packed)
	}
	assert.Equal(t, zips[0], zips[1])

	r, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	require.NoError(t, err)
	require.Len(t, r.File, 1)
	assert.Equal(t, "bootstrap", r.File[0].Name)
	assert.Equal(t, os.FileMode(0o755), r.File[0].Mode())
	assert.Equal(t, "1980-01-01T00:00:00Z", r.File[0].Modified.UTC().Format(time.RFC3339))
	content, err := r.File[0].Open()
	require.NoError(t, err)
	read, err := io.ReadAll(content)
	require.NoError(t, err)
	assert.Equal(t, "an executable", string(read))
}

func TestWhatIsNotBuiltIsNotPacked(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "register-region")
	require.ErrorIs(t, run([]string{folder}), os.ErrNotExist)
	assert.NoFileExists(t, folder+".zip")
	assert.ErrorContains(t, run(nil), "usage")
}
