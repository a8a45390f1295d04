package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// load fills a struct with env tags. The error names every variable that is wrong, and how it
// should be. go-envconfig stops at the first of them, which is the variable that it looked up last.
// So it runs again without that one, until it has read the rest. What it has read, it doesn't read
// again.
//
// A variable that is set but blank counts as unset, since templates pass empty strings. For a
// variable that is unset and has no default, go-envconfig calls UnmarshalText with the empty text.
func load(ctx context.Context, target any, environment envconfig.Lookuper) error {
	var errs []error
	e := &lookuper{Lookuper: environment, wrong: map[string]bool{}}
	for {
		err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: target, Lookuper: e})
		if err == nil || e.wrong[e.last] {
			return errors.Join(append(errs, err)...)
		}
		e.wrong[e.last] = true
		errs = append(errs, fmt.Errorf("%s: %s", e.last, wanted(err)))
	}
}

// lookuper looks variables up, but not those that are known to be wrong.
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
		return "must be a whole number in range"
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	if strings.HasPrefix(err.Error(), "time: ") {
		return "must be a duration such as 500ms, 10s or 15m"
	}
	return err.Error()
}
