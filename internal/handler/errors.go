package handler

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

// TransientError is a failure that may cure itself: the event must be delivered again. Lambda calls it by this name.
type TransientError struct{ Err error }

func (e *TransientError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *TransientError) Unwrap() error { return e.Err }

// MisconfiguredError is a failure that an operator must mend before the event is delivered again. Lambda calls it by this name.
type MisconfiguredError struct{ Err error }

func (e *MisconfiguredError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *MisconfiguredError) Unwrap() error { return e.Err }

// classify makes one of the three named errors the outermost. What nobody classified is transient.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if invalid, ok := errors.AsType[*events.InvalidEventError](err); ok {
		return invalid
	}
	if errors.Is(err, client.ErrMisconfigured) {
		return &MisconfiguredError{err}
	}
	return &TransientError{err}
}

// worst makes one error of those of several records, nil if there are none. Misconfigured is worse than transient, and that than invalid;
// the first of the worst kind is shown, and the log has them all.
func worst(all []handled) error {
	var errs []error
	for _, one := range all {
		if one.err != nil {
			errs = append(errs, one.err)
		}
	}
	if len(errs) == 0 || len(all) == 1 {
		return cmp.Or(errs...)
	}
	among := func(err error) error {
		return fmt.Errorf("%d of %d events failed: %w", len(errs), len(all), err)
	}
	joined := errors.Join(errs...)
	if misconfigured, ok := errors.AsType[*MisconfiguredError](joined); ok {
		return &MisconfiguredError{among(misconfigured.Err)}
	}
	if transient, ok := errors.AsType[*TransientError](joined); ok {
		return &TransientError{among(transient.Err)}
	}
	return &events.InvalidEventError{Reason: among(errs[0]).Error()}
}

// typeName is what Lambda calls one of the three named errors.
func typeName(err error) string { return reflect.TypeOf(err).Elem().Name() }
