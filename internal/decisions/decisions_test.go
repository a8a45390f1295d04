package decisions

import "testing"

func TestDecisions(t *testing.T) {
	t.Parallel()
	t.Run("outcomes.md", func(t *testing.T) { checkPage(t, "decisions", classesPage()) })
}
