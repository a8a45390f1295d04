package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	dropped  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	runbooks = regexp.MustCompile(`(docs/[a-z]+\.md)#([a-z-]+)`)
)

func TestLinksInMarkdownLeadSomewhere(t *testing.T) {
	t.Parallel()
	var found []string
	for _, file := range files(t, ".md") {
		for n, line := range lines(t, file) {
			for _, match := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, "X"), -1) {
				if fault := follow(t, file, match[1]); fault != "" {
					found = append(found, fmt.Sprintf("%s:%d: %s", file, n+1, fault))
				}
			}
		}
	}
	assert.Empty(t, strings.Join(found, "\n"))
}

// Alarms lead to a part of the runbook, which must be there.
func TestLinksInTemplatesLeadSomewhere(t *testing.T) {
	t.Parallel()
	var found []string
	for _, file := range files(t, ".yaml") {
		for n, line := range lines(t, file) {
			for _, match := range runbooks.FindAllStringSubmatch(line, -1) {
				if !slices.Contains(anchors(t, match[1]), match[2]) {
					found = append(found, fmt.Sprintf("%s:%d: %s has no heading #%s", file, n+1, match[1], match[2]))
				}
			}
		}
	}
	assert.Empty(t, strings.Join(found, "\n"))
}

// follow says what is wrong with a link of a page. Links to other hosts are not checked.
func follow(t *testing.T, page, target string) string {
	t.Helper()
	if strings.Contains(target, "://") {
		return ""
	}
	path, anchor, _ := strings.Cut(target, "#")
	file := page
	if path != "" {
		file = filepath.Join(filepath.Dir(page), path)
	}
	if _, err := os.Stat(filepath.Join("..", file)); err != nil {
		return target + ": there is no such file"
	}
	if anchor != "" && !slices.Contains(anchors(t, file), anchor) {
		return target + ": there is no such heading"
	}
	return ""
}

// anchors are the anchors of the headings of a page.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var all []string
	inFence := false
	for _, line := range lines(t, page) {
		if fence.MatchString(line) {
			inFence = !inFence
		}
		if heading := strings.TrimLeft(line, "#"); heading != line && !inFence {
			heading = dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}
