package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMakeVulncheckFailsOverAFindingAndSaysWhenThereIsNoDatabase has databases of its own, made by
// hand: one finds fault with what the code calls, one with what it doesn't, and one isn't there.
func TestMakeVulncheckFailsOverAFindingAndSaysWhenThereIsNoDatabase(t *testing.T) {
	t.Parallel()
	needsTools(t, "the tool of tools/vulncheck, and curl")
	for name, c := range map[string]struct {
		symbol string
		fails  bool
		says   string
	}{
		"what the code calls":  {"NewSHA1", true, "Vulnerability #1: GO-2026-9999"},
		"what it doesn't call": {"NewDCEPerson", false, "No vulnerabilities found"},
		"no database":          {"", false, "left out: known vulnerabilities"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := t.TempDir()
			if c.symbol != "" {
				database(t, db, c.symbol)
			}
			out, err := makeIn(root, "vulncheck", "GOVULNDB=file://"+db).CombinedOutput()
			assert.Equal(t, c.fails, err != nil, "%s", out)
			assert.Contains(t, string(out), c.says)
		})
	}
}

// database makes one in which a symbol of github.com/google/uuid is vulnerable in every version.
func database(t *testing.T, dir, symbol string) {
	t.Helper()
	const entry = `{"id": "GO-2026-9999", "modified": "2026-01-02T03:04:05Z"`
	for file, text := range map[string]string{
		"index/db.json":      `{"modified": "2026-01-02T03:04:05Z"}`,
		"index/modules.json": `[{"path": "github.com/google/uuid", "vulns": [` + entry + `}]}]`,
		"index/vulns.json":   `[` + entry + `}]`,
		"ID/GO-2026-9999.json": entry + `, "schema_version": "1.3.1", "published": "2026-01-02T03:04:05Z",
			"database_specific": {"url": "https://pkg.go.dev/vuln/GO-2026-9999"}, "summary": "a test", "affected": [{
				"package": {"name": "github.com/google/uuid", "ecosystem": "Go"},
				"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
				"ecosystem_specific": {"imports": [{"path": "github.com/google/uuid", "symbols": ["` + symbol + `"]}]}
			}]}`,
	} {
		path := filepath.Join(dir, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}
