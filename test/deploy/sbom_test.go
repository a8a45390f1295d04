package deploy

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheBillOfMaterialsNamesEachModuleOfTheBinaryAndIsTheSameEverywhere compares what make sbom
// says with what Go itself wrote into the binary, here and from a copy of the sources elsewhere.
func TestTheBillOfMaterialsNamesEachModuleOfTheBinaryAndIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	needsTools(t, "the tool of tools/sbom")
	elsewhere := copyOfSources(t)
	require.NoError(t, os.CopyFS(filepath.Join(elsewhere, "tools"), os.DirFS(filepath.Join(root, "tools"))))
	names, err := functionNames()
	require.NoError(t, err)
	sums := map[string][][sha256.Size]byte{}
	for _, dir := range []string{root, elsewhere} {
		dist := t.TempDir()
		out, err := makeIn(dir, "-s", "sbom", "DIST="+dist).CombinedOutput()
		require.NoError(t, err, string(out))
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dist, name, "bootstrap.cdx.json"))
			require.NoError(t, err)
			sums[name] = append(sums[name], sha256.Sum256(b))
			info, err := buildinfo.ReadFile(filepath.Join(dist, name, "bootstrap"))
			require.NoError(t, err)
			assert.Equal(t, modulesOf(info), components(t, b), name)
		}
	}
	for name, sum := range sums {
		assert.Equal(t, sum[0], sum[1], name)
	}
}

// modulesOf are the modules and the Go that a binary was built of, with their versions, sorted.
func modulesOf(info *buildinfo.BuildInfo) []string {
	found := []string{"std " + info.GoVersion}
	for _, m := range info.Deps {
		m = cmp.Or(m.Replace, m)
		found = append(found, m.Path+" "+m.Version)
	}
	slices.Sort(found)
	return found
}

// components are what a bill of materials names, likewise.
func components(t *testing.T, bill []byte) []string {
	t.Helper()
	var document struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct{ Name, Version, PURL string }
	}
	require.NoError(t, json.Unmarshal(bill, &document))
	assert.Equal(t, "CycloneDX", document.BOMFormat)
	var found []string
	for _, c := range document.Components {
		assert.Equal(t, "pkg:golang/"+c.Name+"@"+c.Version, c.PURL)
		found = append(found, c.Name+" "+c.Version)
	}
	slices.Sort(found)
	return found
}
