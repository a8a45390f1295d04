package handler

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

// TransientError is a failure that may cure itself: the event must be delivered again. Lambda calls it
// by this name.
type TransientError struct{ Err error }

func (e *TransientError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TransientError) Unwrap() error { return e.Err }

// MisconfiguredError is a failure that an operator must fix before the event is delivered again. Lambda
// calls it by this name.
type MisconfiguredError struct{ Err error }

func (e *MisconfiguredError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *MisconfiguredError) Unwrap() error { return e.Err }

// meaning is what a kind of failure is called, and what it does to whoever waits for an answer.
type meaning struct {
	name   string     // the Go type of the error, which Lambda reports as errorType; without "Error" it is the metric
	level  slog.Level // of the log line
	status int        // of an HTTP answer
	rank   int        // of several failures, the one with the highest rank stands for all
}

// meaningOf is the one table of the kinds of failure. The error is one of the three named types.
func meaningOf(err error) meaning {
	switch e := err.(type) { //nolint:errorlint // the outermost type is what counts
	case *events.InvalidEventError:
		return meaning{"InvalidEventError", slog.LevelError, max(e.Status, http.StatusBadRequest), 1}
	case *MisconfiguredError:
		return meaning{"MisconfiguredError", slog.LevelError, http.StatusInternalServerError, 3}
	default:
		return meaning{"TransientError", slog.LevelWarn, http.StatusServiceUnavailable, 2}
	}
}

// named makes one of the three named types the outermost error. A refusal that nobody made a result of
// is transient, like everything else that isn't classified.
func named(err error) error {
	if err == nil {
		return nil
	}
	if invalid, ok := errors.AsType[*events.InvalidEventError](err); ok {
		return invalid
	}
	if attempt.KindOf(err) == attempt.Misconfigured {
		return &MisconfiguredError{err}
	}
	return &TransientError{err}
}

// worst makes one error of those of several records, nil if there are none. It shows the first of the
// worst; the log has them all.
func worst(all []handled) error {
	var worst error
	failed, total := 0, 0
	for _, one := range all {
		total += one.record.Count
		if one.err == nil {
			continue
		}
		failed += one.record.Count
		if worst == nil || meaningOf(one.err).rank > meaningOf(worst).rank {
			worst = one.err
		}
	}
	if total <= 1 || worst == nil {
		return worst
	}
	switch e := worst.(type) { //nolint:errorlint // the outermost type is what counts
	case *events.InvalidEventError:
		return &events.InvalidEventError{
			Reason: fmt.Sprintf("%d of %d events failed: %s", failed, total, e.Reason), Status: e.Status,
		}
	case *MisconfiguredError:
		return &MisconfiguredError{fmt.Errorf("%d of %d events failed: %w", failed, total, e.Err)}
	default:
		return &TransientError{fmt.Errorf("%d of %d events failed: %w", failed, total, errors.Unwrap(e))}
	}
}
