// Package show prints, for people, the events that came in and what became of them: the outcome
// first, then what was asked of Huawei Cloud.
package show

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// Printer prints in colour on a terminal and plainly elsewhere. It is safe for concurrent use: each
// call prints its lines together.
type Printer struct {
	mu     sync.Mutex
	out    *os.File
	colour bool
}

// NewPrinter returns a printer to out.
func NewPrinter(out *os.File) *Printer {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &Printer{out: out, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Style is a colour or weight of a terminal's text.
type Style string

// The styles.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Line is what stands beside a label. Without a label it continues the line above.
type Line struct {
	Label string
	Style Style // how the label looks
	Text  string
	Whole bool // keeps Text in one line
}

// Print prints a title in bold, if there is one, and lines below it. A title that begins with a
// line break has an empty line above.
func (p *Printer) Print(title string, lines ...Line) {
	const label, width = 11, 100
	var b strings.Builder
	if rest := strings.TrimPrefix(title, "\n"); rest != "" {
		b.WriteString(title[:len(title)-len(rest)] + p.in(Bold, rest) + "\n")
	}
	for _, l := range lines {
		parts := []string{l.Text}
		if !l.Whole {
			parts = wrap(l.Text, width-label-3)
		}
		head := p.in(l.Style, fmt.Sprintf("%-*s", label, l.Label))
		for _, part := range parts {
			b.WriteString(strings.TrimRight("  "+head+" "+part, " ") + "\n")
			head = strings.Repeat(" ", label)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.out, b.String())
}

func (p *Printer) in(s Style, text string) string {
	if !p.colour || s == Plain || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// wrap breaks a text between words, into parts of at most width runes where words allow it.
func wrap(text string, width int) []string {
	parts := []string{""}
	for word := range strings.SplitSeq(strings.ReplaceAll(text, "\n", " "), " ") {
		last := &parts[len(parts)-1]
		switch {
		case *last == "":
			*last = word
		case len([]rune(*last))+1+len([]rune(word)) <= width:
			*last += " " + word
		default:
			parts = append(parts, word)
		}
	}
	return parts
}
