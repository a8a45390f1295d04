package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
)

// printer writes for people: in colour on a terminal, plain elsewhere. It is safe for concurrent use.
type printer struct {
	mu     sync.Mutex
	out    *os.File
	colour bool
}

func newPrinter(out *os.File) *printer {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{out: out, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (p *printer) in(s style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

func (p *printer) line(label string, s style, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "  %s %s\n", p.in(s, fmt.Sprintf("%-12s", label)), fmt.Sprintf(format, args...))
}

func (p *printer) title(functions int, endpoint string) {
	fmt.Fprintf(p.out, "%d functions, as built for Lambda, and a fake Huawei Cloud at %s\n", functions, endpoint)
}

func (p *printer) event(file string, payload []byte, delivery int) {
	var event struct {
		ID, Source, Type string
		Data             json.RawMessage
	}
	_ = json.Unmarshal(payload, &event) // shown as far as it can be read
	again := ""
	if delivery > 1 {
		again = ", delivered again"
	}
	fmt.Fprintf(p.out, "\n%s\n", p.in(bold, file+again))
	p.line("event", cyan, "%s %s", event.Type, compact(event.Data))
}

func (p *printer) call(r huaweitest.Request) {
	if r.Method == http.MethodHead {
		return // warms the connection
	}
	p.line("Huawei Cloud", dim, "%s", strings.TrimSpace(fmt.Sprintf("%s %s", r, r.Body)))
}

func (p *printer) answer(function string, a lambdalocal.Answer) error {
	if a.FunctionError != "" {
		p.line(function, red, "%s", a.Payload)
		return fmt.Errorf("%s failed", function)
	}
	var result struct {
		ID, Type string
		Data     json.RawMessage
	}
	if err := json.Unmarshal(a.Payload, &result); err != nil {
		return fmt.Errorf("%s answered no JSON: %w", function, err)
	}
	var data struct{ Outcome string }
	_ = json.Unmarshal(result.Data, &data)
	s := map[string]style{"registered": green, "unchanged": green, "planned": yellow}[data.Outcome]
	p.line("result", cmp.Or(s, red), "%s: %s, id %s, in %s", p.in(bold, data.Outcome), result.Type, result.ID, a.Duration.Round(100*time.Microsecond))
	p.line("", "", "%s", compact(result.Data))
	return nil
}

// compact writes JSON in one line.
func compact(b []byte) string {
	var line bytes.Buffer
	if json.Compact(&line, b) != nil {
		return string(b)
	}
	return line.String()
}
