package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Block is a block of code in Markdown.
type Block struct {
	Heading  string // the last heading before the block
	Language string // the language of a fenced block; empty for an indented one
	Text     string
}

// Blocks finds the fenced and the indented blocks of code.
func Blocks(markdown string) []Block {
	var (
		all     []Block
		heading string
		block   *Block // the block that the line may belong to
		fence   bool
		blank   = true // whether the line before is blank
	)
	for line := range strings.Lines(markdown) {
		language, isFence := strings.CutPrefix(line, "```")
		indented, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case isFence && fence:
			block, fence = nil, false
		case fence:
			block.Text += line
		case isFence:
			all = append(all, Block{Heading: heading, Language: strings.TrimSpace(language)})
			block, fence = &all[len(all)-1], true
		case isIndented && (blank || block != nil):
			if block == nil {
				all = append(all, Block{Heading: heading})
				block = &all[len(all)-1]
			}
			block.Text += indented
		default:
			if strings.HasPrefix(line, "#") {
				heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			}
			block = nil
		}
		blank = strings.TrimSpace(line) == ""
	}
	return all
}

// Events finds the CloudEvents that Markdown shows as blocks of JSON, one or more in a block.
func Events(markdown string) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for _, b := range Blocks(markdown) {
		isJSON := (b.Language == "" || b.Language == "json") && strings.HasPrefix(b.Text, "{")
		if !isJSON || !strings.Contains(b.Text, `"specversion"`) {
			continue
		}
		for decoder := json.NewDecoder(strings.NewReader(b.Text)); ; {
			var event json.RawMessage
			err := decoder.Decode(&event)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("under %q: %w in %s", b.Heading, err, b.Text)
			}
			all = append(all, event)
		}
	}
	return all, nil
}
