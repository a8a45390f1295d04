// Package test checks what must be true of the project as a whole.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// allowed says which other parts each part of the project may import, as patterns. The first
// pattern that matches a part applies. Imports run one way: functions, internal, pkg/client and
// pkg/events, pkg/wire, pkg/attempt.
var allowed = []struct{ part, imports string }{
	{"pkg/attempt", ""},
	{"pkg/wire", "pkg/attempt"},
	{"pkg/*", "pkg/attempt pkg/wire"}, // client and events don't know each other
	{"internal/huaweitest", ""},
	{"internal/processes", ""},
	{"internal/planted", ""},      // for tests
	{"internal/floor", ""},        // for tests
	{"internal/hostile", ""},      // for tests
	{"internal/racedetector", ""}, // for tests
	{"internal/functiongraphlocal", "internal/processes"},
	{"internal/lambdalocal", "internal/processes"},
	{"internal/awstest", "internal/awsapi"},
	{"internal/awsapi", "pkg/attempt pkg/wire"},
	{"internal/sink", "internal/awsapi pkg/attempt pkg/wire"},
	{"internal/credentials", "internal/awsapi pkg/attempt pkg/client pkg/wire"},
	{"internal/register", "pkg/*"},
	{"internal/handler", "pkg/*"},
	{"internal/app", "internal/handler internal/credentials internal/sink pkg/*"},
	{"internal/decisions", "internal/functiongraphlocal internal/handler internal/huaweitest internal/lambdalocal " +
		"internal/planted pkg/*"}, // for tests
	{"internal/measure", "internal/huaweitest"},
	{"internal/model", "internal/handler internal/huaweitest internal/lambdalocal internal/planted " +
		"internal/racedetector internal/sink pkg/*"}, // for tests
	{"functions/*", "internal/app internal/handler internal/register pkg/*"},
	{"cmd/sandbox", "cmd/internal/show internal/functiongraphlocal internal/huaweitest internal/lambdalocal " +
		"pkg/events"},
	{"cmd/soak", "cmd/internal/setting internal/huaweitest internal/lambdalocal " +
		"internal/planted"}, // it judges pkg, and so does without
	{"cmd/bench", "cmd/internal/setting internal/awstest internal/measure"},
	{"cmd/invoke", "cmd/internal/call cmd/internal/show internal/lambdalocal"},
	{"cmd/audit", "cmd/internal/call internal/lambdalocal pkg/events"},
	{"cmd/pack", ""},
	{"cmd/internal/call", "cmd/internal/show internal/lambdalocal"},
	{"cmd/internal/*", "internal/huaweitest internal/lambdalocal pkg/events"},
	{"test", ""},
	{"test/*", ""}, // their tests import what they test
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "registrar/...")
	out, err := list.Output()
	require.NoError(t, err)
	packages := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		part := strings.TrimPrefix(p.ImportPath, "registrar/")
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, "registrar/"); ok {
				assert.True(t, mayImport(t, part, own), "%s imports %s", part, own)
			}
		}
	}
	assert.Greater(t, packages, 8)
}

func mayImport(t *testing.T, part, own string) bool {
	t.Helper()
	for _, rule := range allowed {
		if matches(rule.part, part) {
			for pattern := range strings.FieldsSeq(rule.imports) {
				if matches(pattern, own) {
					return true
				}
			}
			return false
		}
	}
	assert.Fail(t, "no rule for "+part, "say in allowed what it may import")
	return false
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}
