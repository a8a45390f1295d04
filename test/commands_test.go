package test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	makeCommand = regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
	makeTarget  = regexp.MustCompile(`^([a-z][a-z-]*):`)
	placeholder = regexp.MustCompile(`<[^<>|]*>`)
)

// What a page tells the reader to make is a target, and its blocks of shell parse. Whether they do
// what the page says, only whoever runs them knows.
func TestCommandsInMarkdownCanBeTyped(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, line := range lines(t, "Makefile") {
		if match := makeTarget.FindStringSubmatch(line); match != nil {
			targets[match[1]] = true
		}
	}
	var found []string
	seen := 0
	for _, file := range files(t, ".md") {
		shell, script := false, ""
		for n, line := range lines(t, file) {
			text := strings.TrimSpace(line)
			code := strings.Join(inlineCode.FindAllString(line, -1), " ")
			switch {
			case text == "```sh":
				shell, script = true, ""
			case shell && text == "```":
				check := exec.CommandContext(t.Context(), "sh", "-n")
				check.Stdin = strings.NewReader(script)
				if out, err := check.CombinedOutput(); err != nil {
					found = append(found, fmt.Sprintf("%s:%d: the block before it: %s", file, n+1, out))
				}
				shell = false
			case shell:
				code, script = line, script+placeholder.ReplaceAllString(line, "X")+"\n"
			}
			for _, match := range makeCommand.FindAllStringSubmatch(code, -1) {
				seen++
				if !targets[match[1]] {
					found = append(found, fmt.Sprintf("%s:%d: make has no %s", file, n+1, match[1]))
				}
			}
		}
	}
	assert.Greater(t, seen, 20)
	assert.Empty(t, strings.Join(found, "\n"))
}
