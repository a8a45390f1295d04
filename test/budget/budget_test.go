// Package budget holds the functions to budget.yaml: what is built for the platforms, and what its
// processes do against a fake Huawei Cloud. Nothing here depends on how long anything takes.
package budget

import (
	"context"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"registrar/internal/measure"
)

const root = "../.."

// limits is what budget.yaml says.
var limits struct {
	Size map[string]struct{ Binary, Zip int } // by platform

	Packages struct {
		Linked int
		Never  map[string]string
	}
	Initialisation struct{ Own, All allocated }

	Allocations map[string]int // by function
	Connections struct {
		Sequence int
		Batch    map[int]int // by CONCURRENCY
		Audit    int
	}
	Calls map[string]map[string]int // by function and outcome
}

type allocated struct{ Objects, Bytes int }

func (a *allocated) add(objects, bytes int) {
	a.Objects += objects
	a.Bytes += bytes
}

var (
	functions []measure.Subject
	bare      measure.Subject
	dist      string // what is built
	here      = measure.Target{OS: runtime.GOOS, Arch: runtime.GOARCH}
	counting  = measure.Target{OS: runtime.GOOS, Arch: runtime.GOARCH, Counting: true}
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		file, err := os.Open("budget.yaml")
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		decoder := yaml.NewDecoder(file)
		decoder.KnownFields(true)
		if err := decoder.Decode(&limits); err != nil {
			log.Fatal("budget.yaml: ", err)
		}
		if dist, err = os.MkdirTemp("", "budget"); err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(dist)
		if err := build(); err != nil {
			log.Fatal(err)
		}
		return m.Run()
	}())
}

// build builds what the tests share: the functions for each platform and for this machine.
func build() error {
	subjects, err := measure.Subjects(root)
	if err != nil {
		return err
	}
	targets := map[measure.Target]bool{here: true, counting: true}
	for platform := range limits.Size {
		targets[target(platform)] = true
	}
	var all errgroup.Group
	all.SetLimit(runtime.GOMAXPROCS(0))
	for _, s := range subjects {
		switch {
		case s.IsFunction():
			functions = append(functions, s)
		case s.Name == measure.Bare:
			bare = s
		default:
			continue
		}
		for t := range targets {
			if s.IsFunction() || t.Counting {
				all.Go(func() error { return s.Build(context.Background(), t, bootstrap(s, t)) })
			}
		}
	}
	return all.Wait()
}

func target(platform string) measure.Target {
	system, arch, _ := strings.Cut(platform, "/")
	return measure.Target{OS: system, Arch: arch}
}

func bootstrap(s measure.Subject, t measure.Target) string {
	return filepath.Join(dist, fmt.Sprint(t.OS, "-", t.Arch, "-", t.Counting), s.Name, "bootstrap")
}

// hold holds a figure to its limit, which stands at the place in budget.yaml.
func hold(t *testing.T, place string, measured largest, limit int) {
	t.Helper()
	told := fmt.Sprintf("%s: %d (%s), and the limit is %d", place, measured.figure, measured.of, limit)
	switch {
	case measured.figure > limit:
		t.Error(told + ". Find out what has grown. If it is worth it, raise the limit in " +
			"test/budget/budget.yaml, and say in the commit what the project gets for it.")
	case limit > measured.figure+measured.figure/10:
		t.Error(told + ", far above it. Lower the limit in test/budget/budget.yaml, " +
			"so that what was saved isn't lost again unseen.")
	default:
		t.Log(told)
	}
}

// holdExactly is hold for a figure that is what it is by design.
func holdExactly(t *testing.T, place string, figure, budgeted int) {
	t.Helper()
	if figure != budgeted {
		t.Errorf("%s: %d, and not %d as in test/budget/budget.yaml. If that is how it shall be, "+
			"change it there, and say in the commit why.", place, figure, budgeted)
	}
}

// largest is the largest of a figure, and the function whose it is.
type largest struct {
	figure int
	of     string
}

func (l *largest) take(figure int, of string) {
	if l.of == "" || figure > l.figure {
		l.figure, l.of = figure, of
	}
}

func TestTheLargestFunctionIsWithinItsSize(t *testing.T) {
	t.Parallel()
	assert.Len(t, limits.Size, 2, "Lambda's platform, and FunctionGraph's")
	for platform, limit := range limits.Size {
		folders := map[string]string{}
		for _, f := range functions {
			folders[f.Name] = filepath.Dir(bootstrap(f, target(platform)))
		}
		pack := exec.CommandContext(t.Context(), "go", slices.AppendSeq([]string{"run", root + "/cmd/pack"},
			maps.Values(folders))...)
		out, err := pack.CombinedOutput()
		require.NoError(t, err, "%s", out)
		var binary, zip largest
		for name, folder := range folders {
			binary.take(bytesOf(t, filepath.Join(folder, "bootstrap")), name)
			zip.take(bytesOf(t, folder+".zip"), name)
		}
		hold(t, "size, "+platform+", binary", binary, limit.Binary)
		hold(t, "size, "+platform+", zip", zip, limit.Zip)
	}
}

func bytesOf(t *testing.T, file string) int {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	return int(info.Size())
}

func TestNoFunctionLinksMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	var linked largest
	for _, f := range functions {
		packages, err := f.Packages(t.Context())
		require.NoError(t, err)
		linked.take(len(packages), f.Name)
		for never, why := range limits.Packages.Never {
			begin, open := strings.CutSuffix(never, "...")
			for _, p := range packages {
				if p == never || open && strings.HasPrefix(p+"/", begin) {
					t.Errorf("packages, never: %s links %s: %s", f.Name, p, why)
				}
			}
		}
	}
	hold(t, "packages, linked", linked, limits.Packages.Linked)
}

// initialised is what the runtime tells of a package that allocated something before main.
var initialised = regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, (\d+) allocs$`)

func TestPackagesAllocateLittleBeforeMain(t *testing.T) {
	t.Parallel()
	var own, all struct{ objects, bytes largest }
	for _, f := range functions {
		cmd := exec.CommandContext(t.Context(), bootstrap(f, here))
		cmd.Env = []string{"GODEBUG=inittrace=1"}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 2, exit.ExitCode(), "it isn't configured, and ends in main")
		var ofAll, ofOwn allocated
		for _, found := range initialised.FindAllStringSubmatch(string(out), -1) {
			bytes, _ := strconv.Atoi(found[2])
			objects, _ := strconv.Atoi(found[3])
			ofAll.add(objects, bytes)
			if strings.HasPrefix(found[1], "registrar/") || found[1] == "main" {
				ofOwn.add(objects, bytes)
			}
		}
		own.objects.take(ofOwn.Objects, f.Name)
		own.bytes.take(ofOwn.Bytes, f.Name)
		all.objects.take(ofAll.Objects, f.Name)
		all.bytes.take(ofAll.Bytes, f.Name)
	}
	hold(t, "initialisation, own, objects", own.objects, limits.Initialisation.Own.Objects)
	hold(t, "initialisation, own, bytes", own.bytes, limits.Initialisation.Own.Bytes)
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other packages of the standard library")
	}
	hold(t, "initialisation, all, objects", all.objects, limits.Initialisation.All.Objects)
	hold(t, "initialisation, all, bytes", all.bytes, limits.Initialisation.All.Bytes)
}
