package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// load fills a struct of env tags, and returns what is wrong with each variable, and how it should
// be. go-envconfig stops at the first one, so it runs again without that one until it has read the
// rest: what failed is the variable that it looked up last. What it has read, it doesn't read
// again.
//
// A variable that is set but blank counts as unset, since templates pass empty strings. For a
// variable that is unset and has no default, go-envconfig calls UnmarshalText with the empty text.
func load(ctx context.Context, target any, environment envconfig.Lookuper) problems {
	var found problems
	e := &lookuper{Lookuper: environment, wrong: map[string]bool{}}
	for {
		err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: target, Lookuper: e})
		if err == nil {
			return found
		}
		found = append(found, problem{e.last, fmt.Errorf("%s: %s", e.last, wanted(err))})
		if e.wrong[e.last] { // a struct that can't be read at all: a mistake of ours
			return found
		}
		e.wrong[e.last] = true
	}
}

// problems are variables that can't be read.
type problems []problem

type problem struct {
	variable string
	err      error
}

// and joins the problems with those that show only when variables are compared. What another one
// has to say about a variable that can't be read would only confuse.
func (p problems) and(others error) error {
	var errs []error
	for _, one := range p {
		errs = append(errs, one.err)
	}
	if others == nil {
		return errors.Join(errs...)
	}
	for line := range strings.SplitSeq(others.Error(), "\n") {
		if !slices.ContainsFunc(p, func(one problem) bool { return strings.Contains(line, one.variable) }) {
			errs = append(errs, errors.New(line))
		}
	}
	return errors.Join(errs...)
}

type lookuper struct {
	envconfig.Lookuper
	last  string          // the variable that was looked up last
	wrong map[string]bool // the variables that can't be read
}

func (l *lookuper) Lookup(name string) (string, bool) {
	l.last = name
	value, ok := l.Lookuper.Lookup(name)
	if !ok || l.wrong[name] || strings.TrimSpace(value) == "" {
		return "", false
	}
	return value, true
}

// wanted says how a variable should be, without the field names that go-envconfig puts before it.
func wanted(err error) string {
	if number, ok := errors.AsType[*strconv.NumError](err); ok {
		if number.Func == "ParseBool" {
			return "must be true or false"
		}
		if errors.Is(number, strconv.ErrRange) {
			return "is too large or too small a number"
		}
		return "must be a whole number"
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	if strings.HasPrefix(err.Error(), "time: ") {
		return "must be a duration such as 500ms, 10s or 15m"
	}
	return err.Error()
}
