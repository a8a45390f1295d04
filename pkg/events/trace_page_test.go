package events

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page about triggers shows each trace that becomes an event, and no other.
func TestThePageShowsEachTrace(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/triggers.md")
	require.NoError(t, err)
	var shown, taken [][3]string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\| `(org.bootstrap|account.created)` \\|").
		FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1) {
			shown = append(shown, [3]string{row[1], name[1], row[3]})
		}
	}
	for _, m := range traces() {
		taken = append(taken, [3]string{m.service, m.name, m.eventType})
	}
	assert.ElementsMatch(t, taken, shown)
}
