package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"unicode"

	"github.com/sethvargo/go-envconfig"

	"registrar/pkg/events"
)

// Config is what every function can be told by its environment.
type Config struct {
	Types  EventTypes  `env:"EVENT_TYPES"`  // instead of the kind's type
	Source EventSource `env:"EVENT_SOURCE"` // of the results; empty: /registrar/<name>
	DryRun bool        `env:"DRY_RUN"`      // read only, whatever the event says

	Concurrency int `env:"CONCURRENCY, default=1"` // events of one batch handled at once
}

// Validate names each variable that is out of its bounds.
func (c Config) Validate() error {
	if c.Concurrency < 1 || c.Concurrency > 100 {
		return errors.New("CONCURRENCY: must be between 1 and 100")
	}
	return nil
}

// EventTypes are types of CloudEvents.
type EventTypes []string

// UnmarshalText takes a comma list. The type of a result of ours is an error: the function would feed on its own results.
func (t *EventTypes) UnmarshalText(text []byte) error {
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "" || strings.ContainsFunc(name, unicode.IsControl):
			return errors.New("must be event types, parted by commas")
		case events.IsResult(name):
			return fmt.Errorf("%s is the type of a result: the function would feed on its own results", name)
		}
		*t = append(*t, name)
	}
	return nil
}

// EventSource is the source of a CloudEvent.
type EventSource string

// UnmarshalText takes a URI-reference.
func (s *EventSource) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.String() != string(text) {
		return errors.New("must be a URI-reference such as /registrar/register-region")
	}
	*s = EventSource(text)
	return nil
}

// Load reads a struct of env tags, nested as the packages that use them define it, for go-envconfig. It reports everything that is wrong at
// once, by variable. A variable that is set but empty counts as unset, since templates pass empty strings.
// A struct with a method Validate() error is asked as well.
func Load[C any](ctx context.Context, environment envconfig.Lookuper) (C, error) {
	var config C
	err := load(ctx, reflect.ValueOf(&config).Elem(), nonEmpty{environment})
	return config, err
}

// load fills one field at a time, because go-envconfig stops at the first error.
func load(ctx context.Context, target reflect.Value, environment envconfig.Lookuper) error {
	var errs []error
	for i := range target.NumField() {
		field := target.Type().Field(i)
		tag, tagged := field.Tag.Lookup("env")
		if !tagged {
			if field.Type.Kind() == reflect.Struct {
				errs = append(errs, load(ctx, target.Field(i), environment))
			}
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if _, set := environment.Lookup(name); !set && options == "" {
			continue // go-envconfig would decode an empty text
		}
		alone := reflect.New(reflect.StructOf([]reflect.StructField{field}))
		err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: alone.Interface(), Lookuper: environment})
		switch {
		case errors.Is(err, envconfig.ErrMissingRequired):
			errs = append(errs, fmt.Errorf("%s: is not set", name))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", name, cmp.Or(errors.Unwrap(err), err)))
			// The default keeps Validate from complaining about it once more.
			_ = envconfig.ProcessWith(ctx, &envconfig.Config{Target: alone.Interface(), Lookuper: envconfig.MapLookuper(nil)})
		}
		target.Field(i).Set(alone.Elem().Field(0))
	}
	if v, ok := reflect.TypeAssert[interface{ Validate() error }](target); ok {
		errs = append(errs, v.Validate())
	}
	return errors.Join(errs...)
}

// nonEmpty is an environment in which empty variables are not set.
type nonEmpty struct{ envconfig.Lookuper }

func (e nonEmpty) Lookup(name string) (string, bool) {
	value, ok := e.Lookuper.Lookup(name)
	return value, ok && strings.TrimSpace(value) != ""
}
