package frontdoor

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What README shows of make run is what it prints, word for word.
func TestReadmeShowsWhatMakeRunPrints(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "<!-- make run -->\n```text\n")
	require.True(t, found, "README.md has no block of text after the line <!-- make run -->")
	shown, _, found := strings.Cut(rest, "```\n")
	require.True(t, found, "the block of README.md after <!-- make run --> doesn't end")
	printed, status := tool(t.Context(), nil, "", "sandbox", "run", dist)
	require.Zero(t, status, printed)
	if !strings.Contains(printed, "\n"+shown+"\n") {
		require.Failf(t, "README.md shows something else than make run prints",
			"README.md shows, after <!-- make run -->:\n\n%s\nmake run prints:\n\n%s", shown, printed)
	}
}
