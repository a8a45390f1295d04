package handler

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"registrar/pkg/attempt"
	"registrar/pkg/events"
)

// TransientError is a failure that may pass by itself: the event must be delivered again. Lambda
// reports its name as errorType.
type TransientError struct{ Err error }

func (e *TransientError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TransientError) Unwrap() error { return e.Err }

// MisconfiguredError is a failure whose cause an operator must remove before the event is delivered
// again. Lambda reports its name as errorType.
type MisconfiguredError struct{ Err error }

func (e *MisconfiguredError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *MisconfiguredError) Unwrap() error { return e.Err }

// meaning is what a kind of failure is called, and how it is logged and answered.
type meaning struct {
	name   string     // the Go type of the error, which Lambda reports as errorType; without "Error" it is the metric
	level  slog.Level // the level of the log line
	status int        // the status of an HTTP answer
	rank   int        // the failure with the highest rank stands for all of a payload
}

// meaningOf is the one table of the kinds of failure. The error is one of the three named errors.
func meaningOf(err error) meaning {
	switch e := err.(type) { //nolint:errorlint // the outermost type decides
	case *events.InvalidEventError:
		return meaning{"InvalidEventError", slog.LevelError, max(e.Status, http.StatusBadRequest), 1}
	case *MisconfiguredError:
		return meaning{"MisconfiguredError", slog.LevelError, http.StatusInternalServerError, 3}
	default:
		return meaning{"TransientError", slog.LevelWarn, http.StatusServiceUnavailable, 2}
	}
}

// ErrorType is the name by which hosts tell apart the errors that [Handler.Invoke] returns.
func ErrorType(err error) string { return meaningOf(err).name }

// classified makes the outermost error one of the three named ones. A refusal that no function made
// a result of is transient, like everything else that isn't classified.
func classified(err error) error {
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

// waitOf is how long err asks to wait before the event is delivered again, 0 if it doesn't say.
func waitOf(err error) time.Duration {
	if failed, ok := errors.AsType[*attempt.Failure](err); ok {
		return failed.RetryAfter
	}
	return 0
}

// worst makes one error of those of several records, nil if there are none. It shows the first
// error of the highest rank, or of those the first that asks for the longest wait; the log has them
// all.
func worst(all []handled) error {
	var first error
	failed, total := 0, 0
	for _, done := range all {
		total += done.record.Count // elements without an id share a record
		if done.err == nil {
			continue
		}
		failed += done.record.Count
		if first == nil || cmp.Or(
			cmp.Compare(meaningOf(done.err).rank, meaningOf(first).rank), cmp.Compare(waitOf(done.err), waitOf(first)),
		) > 0 {
			first = done.err
		}
	}
	if total <= 1 || first == nil {
		return first
	}
	// Made again, so that the named type stays the outermost.
	switch e := first.(type) { //nolint:errorlint // the outermost type decides
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
