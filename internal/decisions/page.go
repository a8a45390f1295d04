package decisions

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pagePath is the page about outcomes, from the folder of any function and of this package.
const pagePath = "../../docs/outcomes.md"

// checkPage compares a section of the page with the text that it must have. With UPDATE_GOLDEN it
// writes the section.
func checkPage(t *testing.T, section, text string) {
	t.Helper()
	page, err := os.ReadFile(pagePath)
	require.NoError(t, err)
	begin, end := fmt.Sprintf("<!-- tables of %s -->\n", section), fmt.Sprintf("<!-- end of %s -->\n", section)
	before, rest, found := strings.Cut(string(page), begin)
	require.True(t, found, "docs/outcomes.md has no %q", begin)
	was, after, found := strings.Cut(rest, end)
	require.True(t, found, "docs/outcomes.md has no %q", end)
	text = "\n" + strings.TrimSpace(text) + "\n\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(pagePath, []byte(before+begin+text+end+after), 0o600))
		return
	}
	is, shall := strings.Split(was, "\n"), strings.Split(text, "\n")
	for len(is) > 0 && len(shall) > 0 && is[0] == shall[0] {
		is, shall = is[1:], shall[1:]
	}
	assert.Equal(t, append(shall, "the end")[0], append(is, "the end")[0],
		"docs/outcomes.md isn't what the rows say, first here: run\n"+
			"UPDATE_GOLDEN=1 go test -p 1 -run TestDecisions/outcomes.md ./functions/... ./internal/decisions")
}

// page is what docs/outcomes.md shows of the function.
func (f Function[C]) page() string {
	var b strings.Builder
	b.WriteString("| in the tables | the call |\n|---|---|\n")
	told := map[string]bool{}
	for _, call := range f.Calls {
		if !told[call.Call] {
			told[call.Call] = true
			fmt.Fprintf(&b, "| %s | `%s` |\n", f.Words[call.Call], call.Call)
		}
	}
	for _, table := range f.Tables {
		fmt.Fprintf(&b, "\n### %s\n\n| case | outcome | calls |\n|---|---|---|\n", table.Title)
		for _, row := range table.Rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", row.Name, row.outcome(), f.arrows(row.Calls))
		}
	}
	b.WriteString("\n### Whatever a call is answered\n\n| the call | if it | outcome | then |\n|---|---|---|---|\n")
	for _, call := range f.Calls {
		name := strings.TrimSpace(f.Words[call.Call] + " " + call.When)
		for _, m := range []Meaning{Works, Lost, Refused, NoRegion, Conflict, Contradicted, Transient, Misconfigured} {
			if end, ok := call.Ends[m]; ok {
				row := Row{Want: end.Want, Each: end.Each, Found: end.Found}
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, m, row.outcome(), f.arrows(end.Calls))
				name = ""
			}
		}
	}
	return b.String()
}

// outcome is what a reader sees of what comes of a row.
func (row Row) outcome() string {
	var text string
	switch row.Want {
	case "TransientError":
		text = "transient"
	case "MisconfiguredError":
		text = "**misconfigured**"
	default:
		text = counted(cmp.Or(row.Each, row.Want), "; ", func(outcome string) string {
			return "`" + strings.ReplaceAll(outcome, " ", "`, `") + "`"
		})
	}
	if row.Found != "" {
		text += ": `" + strings.ReplaceAll(row.Found, ", ", "`, `") + "`"
	}
	if row.Sent != "" {
		text += "; sends `" + strings.NewReplacer(", ", "`, `", Account, "{id}").Replace(row.Sent) + "`"
	}
	return text
}

// arrows are calls in short words.
func (f Function[C]) arrows(calls string) string {
	return counted(calls, " → ", func(call string) string { return cmp.Or(f.Words[call], "`"+call+"`") })
}

// counted is a list as a reader sees it. What is repeated is counted.
func counted(list, separator string, word func(string) string) string {
	if list == "" {
		return ""
	}
	var all []string
	items := strings.Split(list, ", ")
	for n := 1; len(items) > 0; n++ {
		if n < len(items) && items[n] == items[0] {
			continue
		}
		text := word(items[0])
		if n > 1 {
			text = fmt.Sprintf("%d × %s", n, text)
		}
		all, items, n = append(all, text), items[n:], 0
	}
	return strings.Join(all, separator)
}

// classesPage is what docs/outcomes.md shows of the classes of answers, ordered by their statuses.
func classesPage() string {
	type line struct{ statuses, text string }
	var lines []line
	for _, c := range Classes() {
		meaning := fmt.Sprintf("| %s | %s | %d × |", c.Read, c.Write, c.Times)
		if c.WriteTimes != 0 {
			meaning = fmt.Sprintf("| %s | %s | %d ×, a write %d × |", c.Read, c.Write, c.Times, c.WriteTimes)
		}
		var own []line
		for status, names := range c.names() {
			text := "| " + c.when() + strings.Join(names, ", ") + " " + meaning
			i := slices.IndexFunc(own, func(l line) bool { return l.text == text })
			if i < 0 {
				own = append(own, line{status, text})
			} else {
				own[i].statuses += ", " + status
			}
		}
		lines = append(lines, own...)
	}
	slices.SortStableFunc(lines, func(a, b line) int { return strings.Compare(a.statuses[:3], b.statuses[:3]) })

	var b strings.Builder
	b.WriteString("| status | the answer | to a read | to a write | calls |\n|---|---|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s %s\n", l.statuses, l.text)
	}
	return b.String()
}

// when is what all answers of the class have in common.
func (c Class) when() string {
	var all []string
	for _, common := range []struct{ ending, instead string }{
		{once, "once, and then as ever"},
		{thrice, "three times, and then as ever"},
		{byWorking, "though a write works"},
	} {
		if strings.Contains(c.Answers[0].Name, common.ending) {
			all = append(all, common.instead)
		}
	}
	if c.Lists {
		all = append(all, "to a list that has pages")
	}
	if all == nil {
		return ""
	}
	return strings.Join(all, ", ") + ": "
}

// names are the names of the answers by their statuses, in order.
func (c Class) names() iter.Seq2[string, []string] {
	of := map[string][]string{}
	for _, a := range c.Answers {
		status, rest, _ := strings.Cut(strings.NewReplacer(once, "", thrice, "", byWorking, "").Replace(a.Name), " ")
		of[status] = append(of[status], rest)
	}
	return func(yield func(string, []string) bool) {
		for _, status := range slices.Sorted(maps.Keys(of)) {
			if !yield(status, of[status]) {
				return
			}
		}
	}
}
