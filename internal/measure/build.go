// Package measure runs built Lambda functions on this machine, one process at a time, and says what
// they need: time, CPU time, memory, page faults, allocations, connections, and bytes to deploy.
//
//	subjects, err := measure.Subjects(".") // the root of the project
//	err = subjects[0].Build(ctx, measure.Target{}, "build/bare/bootstrap")
//	p, err := measure.Start(ctx, measure.Config{Bootstrap: "build/bare/bootstrap"})
//	defer p.Stop()
//	answer, took, err := p.Invoke([]byte(`{}`))
//	usage, err := p.Usage()
//
// Nothing is measured by the functions: their binaries are those that are deployed, and only a
// binary that is built to count its allocations has anything added.
package measure

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// The subjects that functions are measured against.
const (
	// Bare answers with its event.
	Bare = "bare"
	// Minimal makes one signed call with what most people would make it with.
	Minimal = "minimal"
)

// Subject is a program that can be measured.
type Subject struct {
	Name string
	root string // the project's
	path string // its package, from there
}

// Subjects are [Bare], [Minimal], and all functions of the project whose root is given.
func Subjects(root string) ([]Subject, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	functions, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		return nil, err
	}
	var all []Subject
	for _, name := range []string{Bare, Minimal} {
		all = append(all, Subject{name, root, "./internal/measure/testdata/" + name})
	}
	for _, f := range functions {
		if !f.IsDir() {
			continue
		}
		all = append(all, Subject{f.Name(), root, "./functions/" + f.Name()})
	}
	return all, nil
}

// IsFunction reports whether the subject is a function of the project.
func (s Subject) IsFunction() bool { return strings.HasPrefix(s.path, "./functions/") }

// Target is what a subject is built for. The zero Target is this machine.
type Target struct {
	OS, Arch string
	Counting bool // with what [Process.Allocations] asks; that is in no binary that is deployed
}

// recipe is the command by which the Makefile builds a function.
var recipe = regexp.MustCompile(`(?m)^\t(.* go build .* \./functions/\$\*)$`)

// Build builds the subject exactly as the Makefile builds functions.
func (s Subject) Build(ctx context.Context, t Target, bootstrap string) error {
	makefile, err := os.ReadFile(filepath.Join(s.root, "Makefile"))
	if err != nil {
		return err
	}
	found := recipe.FindSubmatch(makefile)
	if found == nil {
		return fmt.Errorf("no recipe of the Makefile is like %s", recipe)
	}
	command := strings.NewReplacer(
		"$(GOOS)", cmp.Or(t.OS, runtime.GOOS), "$(GOARCH)", cmp.Or(t.Arch, runtime.GOARCH),
		"$@", `"$1"`, "./functions/$*", `"$2"`,
	).Replace(string(found[1]))
	if bootstrap, err = filepath.Abs(bootstrap); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command, "sh", bootstrap, s.path)
	cmd.Dir = s.root
	if t.Counting {
		overlay, err := s.overlay(bootstrap)
		if err != nil {
			return err
		}
		cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" '-overlay="+overlay+"'")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.Name, err, out)
	}
	return nil
}

// overlay writes, beside the binary, which file is laid over the subject's package.
func (s Subject) overlay(bootstrap string) (string, error) {
	added := filepath.Join(s.root, "internal/measure/testdata/allocations/allocations.go")
	text, err := json.Marshal(map[string]any{
		"Replace": map[string]string{filepath.Join(s.root, s.path, "allocations.go"): added},
	})
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(bootstrap), 0o755); err != nil {
		return "", err
	}
	file := bootstrap + ".overlay.json"
	return file, os.WriteFile(file, text, 0o644)
}

// Packages lists the packages that are linked into the subject as it is deployed, on arm64.
func (s Subject) Packages(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-tags", "lambda.norpc", s.path)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	packages := strings.Fields(string(out))
	slices.Sort(packages)
	return packages, nil
}

// Sizes returns the bytes of a file, and those of a zip with it, which is what is uploaded.
func Sizes(file string) (binary, zipped int, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	entry, err := w.CreateHeader(&zip.FileHeader{Name: filepath.Base(file), Method: zip.Deflate})
	if err != nil {
		return 0, 0, err
	}
	if _, err := io.Copy(entry, bytes.NewReader(content)); err != nil {
		return 0, 0, err
	}
	err = w.Close()
	return len(content), packed.Len(), err
}
