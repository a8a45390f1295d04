package test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestDependabotKnowsEveryFolderWithDependencies(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../.github/dependabot.yml")
	require.NoError(t, err)
	var config struct {
		Updates []struct {
			Ecosystem   string         `yaml:"package-ecosystem"`
			Directories []string       `yaml:"directories"`
			Groups      map[string]any `yaml:"groups"`
		} `yaml:"updates"`
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	known := map[string][]string{}
	for _, update := range config.Updates {
		known[update.Ecosystem] = append(known[update.Ecosystem], update.Directories...)
		assert.NotEmpty(t, update.Groups, "%s: a change for each dependency", update.Ecosystem)
	}
	there := map[string][]string{"github-actions": {"/"}}
	for ecosystem, name := range map[string]string{"gomod": ".mod", "npm": "package.json"} {
		for _, file := range files(t, name) {
			if base := path.Base(file); base == "go.mod" || base == "package.json" {
				there[ecosystem] = append(there[ecosystem], path.Join("/", path.Dir(file)))
			}
		}
	}
	assert.Greater(t, len(there["gomod"]), 3)
	assert.NotEmpty(t, there["npm"])
	for ecosystem := range there {
		assert.ElementsMatch(t, there[ecosystem], known[ecosystem], ecosystem)
	}
	assert.Len(t, known, len(there))
}

// A tag can be moved to another commit, a commit can't. Dependabot keeps the version behind it.
func TestActionsArePinnedByCommit(t *testing.T) {
	t.Parallel()
	workflows, err := filepath.Glob("../.github/workflows/*.yml")
	require.NoError(t, err)
	pinned := regexp.MustCompile(`^\s*(- )?uses: [\w./-]+@[0-9a-f]{40} # v[0-9.]+$`)
	seen := 0
	for _, file := range workflows {
		for n, line := range lines(t, strings.TrimPrefix(file, "../")) {
			if strings.Contains(line, "uses:") {
				seen++
				assert.Regexp(t, pinned, line, "%s:%d", file, n+1)
			}
		}
	}
	assert.Positive(t, seen)
}
