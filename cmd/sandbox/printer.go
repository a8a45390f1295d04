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

	"registrar/internal/huaweitest"
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

func (p *printer) title(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *printer) event(file string, payload []byte, again bool) {
	var event struct {
		Type string
		Data json.RawMessage
	}
	_ = json.Unmarshal(payload, &event) // shown as far as it can be read
	if again {
		file += ", delivered again"
	}
	p.title("\n%s", p.in(bold, file))
	p.line("event", cyan, "%s %s", event.Type, compact(event.Data))
}

func (p *printer) call(r huaweitest.Request) {
	if r.Method == http.MethodHead {
		return // warms the connection
	}
	p.line("Huawei Cloud", dim, "%s", strings.TrimSpace(fmt.Sprintf("%s %s", r, r.Body)))
}

// result shows a result event, or whatever else came instead of one.
func (p *printer) result(payload []byte) {
	var result struct {
		ID, Type string
		Data     json.RawMessage
	}
	var data struct{ Outcome string }
	if json.Unmarshal(payload, &result) != nil || json.Unmarshal(result.Data, &data) != nil {
		p.line("result", "", "%s", payload)
		return
	}
	s := map[string]style{"registered": green, "unchanged": green, "planned": yellow}[data.Outcome]
	p.line("result", cmp.Or(s, red), "%s: %s, id %s", p.in(bold, data.Outcome), result.Type, result.ID)
	p.line("", "", "%s", compact(result.Data))
}

// Write shows a line that a function logged.
func (p *printer) Write(b []byte) (int, error) {
	var line struct {
		Level, Message, Function, Type, Outcome, Subject, Err string
		CauseID                                               string `json:"cause_id"`
		Reason                                                string
	}
	if _ = json.Unmarshal(b, &line); line.Message == "" { // not a line of ours
		p.line("log", dim, "%s", bytes.TrimSpace(b))
		return len(b), nil
	}
	s := map[string]style{"INFO": green, "WARN": yellow, "ERROR": red}[line.Level]
	p.line(cmp.Or(line.Function, "log"), s, "%s", strings.Join(strings.Fields(strings.Join([]string{
		line.Type, line.CauseID, line.Message, line.Outcome, line.Reason, line.Subject, line.Err,
	}, " ")), " "))
	return len(b), nil
}

// compact writes JSON in one line.
func compact(b []byte) string {
	var line bytes.Buffer
	if json.Compact(&line, b) != nil {
		return string(b)
	}
	return line.String()
}
