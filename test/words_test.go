package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// widestComment is how many columns a line that is only a comment may have. A tab has four.
const widestComment = 100

// words are what a native reader stumbles over, each with what to write instead.
var words = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\b(is|are|was|were) no\b`), "is not a ..., or there is no ..."},
	{regexp.MustCompile(`(?i)\bparted\b`), "separated"},
	{regexp.MustCompile(`(?i)\banew\b`), "again"},
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), "fix, correct, remove the cause"},
	{regexp.MustCompile(`(?i)\bdoubles\b`), "duplicates; of tests: fakes"},
	{regexp.MustCompile(`(?i)\blest\b`), "so that ... not"},
	{regexp.MustCompile("(?i)\\balarms?( `[^`]*`)? call(s|ed|ing)?\\b"), "an alarm fires"},
}

// exceptions are lines that keep a word, by their file and a part of them, and the reason why.
var exceptions = []struct{ file, part, why string }{
	{"test/words_test.go", "", "it has all the words, to look for them"},
}

// plain are phrases that look like one of the words and read well.
var plain = regexp.MustCompile(`(?i)\b(there|here) (is|are|was|were) no\b|` +
	`\b(is|are|was|were) no (longer|more|less|matter|reason)\b`)

func TestTheWordsArePlain(t *testing.T) {
	t.Parallel()
	var found []string
	for _, file := range files(t,
		".go", ".yaml", ".yml", ".md", ".json", ".toml", ".sh", ".tf", ".example", "Makefile", "run") {
		for n, line := range lines(t, file) {
			if !isException(file, line) {
				found = append(found, stumbles(fmt.Sprintf("%s:%d", file, n+1), line)...)
			}
		}
	}
	assert.Empty(t, strings.Join(found, "\n"))
}

func isException(file, line string) bool {
	for _, e := range exceptions {
		if e.file == file && strings.Contains(line, e.part) {
			return true
		}
	}
	return false
}

func stumbles(where, line string) []string {
	var found []string
	line = plain.ReplaceAllString(line, "")
	for _, word := range words {
		if match := word.pattern.FindString(line); match != "" {
			found = append(found, fmt.Sprintf("%s: %q, better: %s", where, match, word.instead))
		}
	}
	return found
}

func TestMarkdownHasOneSentenceInALine(t *testing.T) {
	t.Parallel()
	var found []string
	for _, file := range files(t, ".md") {
		for _, fault := range sentenceFaults(lines(t, file)) {
			found = append(found, file+fault)
		}
	}
	assert.Empty(t, strings.Join(found, "\n"))
}

var (
	inlineCode   = regexp.MustCompile("`[^`]*`")
	linkTarget   = regexp.MustCompile(`\]\([^)]*\)`)
	listMarker   = regexp.MustCompile(`^\s*([-*+]|[0-9]+\.)\s+`)
	abbreviation = regexp.MustCompile(`\b(e\.g|i\.e|etc|vs|No)\. `)
	nextSentence = regexp.MustCompile(`[.!?][)"'*_]* +["'(*_\[]*([A-Z]|registrar\b|register-)`)
	sentenceEnd  = regexp.MustCompile(`[.:!?;][)"'*_]*$`)
	notASentence = regexp.MustCompile(`^\s*(\||#|<!--|$)`)
	fence        = regexp.MustCompile("^\\s*```")
)

// sentenceFaults finds the lines with more than one sentence, and those that end within one.
// Tables, headings and code are left out.
func sentenceFaults(lines []string) []string {
	var found []string
	inFence := false
	for n, line := range lines {
		if fence.MatchString(line) {
			inFence = !inFence
			continue
		}
		if inFence || notASentence.MatchString(line) {
			continue
		}
		text := inlineCode.ReplaceAllString(line, "X")
		text = linkTarget.ReplaceAllString(text, "]")
		text = abbreviation.ReplaceAllString(listMarker.ReplaceAllString(text, ""), "")
		if nextSentence.MatchString(text) {
			found = append(found, fmt.Sprintf(":%d: more than one sentence: %s", n+1, line))
		}
		if n+1 < len(lines) && isMore(lines[n+1]) && !sentenceEnd.MatchString(text) {
			found = append(found, fmt.Sprintf(":%d: the line ends within a sentence: %s", n+1, line))
		}
	}
	return found
}

// isMore reports whether a line goes on with the paragraph of the line before it.
func isMore(line string) bool {
	return !notASentence.MatchString(line) && !listMarker.MatchString(line) && !fence.MatchString(line)
}

func TestGoCommentsAreReadable(t *testing.T) {
	t.Parallel()
	var found []string
	for _, file := range files(t, ".go") {
		found = append(found, commentFaults(t, file, strings.Join(lines(t, file), "\n"))...)
	}
	assert.Empty(t, strings.Join(found, "\n"))
}

// commentFaults finds comments that are too wide, and those that begin with "of", which explain a
// thing by a fragment. What an example is expected to print is not a comment.
func commentFaults(t *testing.T, name, source string) []string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	physical := strings.Split(source, "\n")
	for _, group := range parsed.Comments {
		at := set.Position(group.Pos())
		if strings.HasPrefix(group.Text(), "of ") {
			comment := group.List[0].Text
			found = append(found, fmt.Sprintf("%s:%d: a fragment, say what it holds: %s", name, at.Line, comment))
		}
		if strings.HasPrefix(group.Text(), "Output:") {
			continue
		}
		for n := at.Line; n <= set.Position(group.End()).Line; n++ {
			if line := physical[n-1]; isTooWide(line, group) {
				found = append(found, fmt.Sprintf("%s:%d: %d columns", name, n, columns(line)))
			}
		}
	}
	return found
}

func isTooWide(line string, group *ast.CommentGroup) bool {
	text := strings.TrimSpace(line)
	isDirective := strings.HasPrefix(text, "//go:") || strings.HasPrefix(text, "//nolint")
	isAlone := strings.HasPrefix(text, "//") || strings.HasPrefix(group.List[0].Text, "/*")
	return isAlone && !isDirective && !strings.Contains(line, "://") && columns(line) > widestComment
}

func columns(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
}

// The checks themselves report what they are for, and let pass what reads well.
func TestBadWordsAndLinesAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"it is no URL": 1, "There is no URL. It is no longer used.": 0, "amend, recommend": 0, "mended anew": 2,
		"the alarm `x` calls": 1, "when an alarm fires": 0, "drop doubles, parted by commas": 2,
	} {
		assert.Len(t, stumbles("", text), want, text)
	}
	for text, want := range map[string]int{
		"One sentence.":                    0,
		"One. Two.":                        1,
		"One. registrar is two.":           1,
		"One, `a. B`, and e.g. One.":       0,
		"One (two). `three` is three.":     1,
		"1. One.\n   And two.":             0,
		"One\ntwo.":                        1,
		"One:\n- two\n- three":             0,
		"| One. Two. | Three. |":           0,
		"```text\nOne. Two.\nthree\n```":   0,
		"**One.**\nTwo [three](a. B).":     0,
		"One, see [two](x.md). Three [4].": 1,
	} {
		assert.Len(t, sentenceFaults(strings.Split(text, "\n")), want, text)
	}
	wide := strings.Repeat("x", widestComment)
	for comment, want := range map[string]int{
		"// says it": 0, "// of the thing": 1, "// " + wide: 1, "// https://" + wide: 0, "// Output:\n// " + wide: 0,
		"//nolint:all " + wide: 0, "/* a\n" + wide + "x */": 1,
		"func f() {\n\t// " + wide[7:] + "\n}": 0, "func f() {\n\t// " + wide[6:] + "\n}": 1,
	} {
		assert.Len(t, commentFaults(t, "a.go", "package a\n\n"+comment+"\n"), want, comment)
	}
}

// files lists the project's files whose names end like that.
func files(t *testing.T, endings ...string) []string {
	t.Helper()
	var found []string
	require.NoError(t, fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", ".bin", "dist", "node_modules"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		isOne := slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(path, ending) })
		if isOne && entry.Name() != "package-lock.json" {
			found = append(found, path)
		}
		return nil
	}))
	return found
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	require.NoError(t, err)
	return strings.Split(string(text), "\n")
}
