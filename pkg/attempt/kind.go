package attempt

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what must happen before that which failed can succeed.
type Kind string

// The kinds of failure. What nobody classified is [Transient].
const (
	Transient     Kind = "transient"     // it may cure itself: try again later
	Misconfigured Kind = "misconfigured" // an operator must act first
	Refused       Kind = "refused"       // the other side understood and said no; its state tells why
)

// Errorf makes an error of the kind, with a text as [fmt.Errorf] makes it.
func (k Kind) Errorf(format string, args ...any) error {
	return &Failure{Kind: k, Err: fmt.Errorf(format, args...)}
}

// Failure is an error with its kind, and what [Do] needs to know about the attempt that ended in
// it. The zero value of everything but Err is a transient failure without an answer.
type Failure struct { //nolint:errname // a kind of failure is what the project calls it
	Kind       Kind          // the empty Kind is Transient
	Err        error         // says what failed; never nil
	Answered   bool          // the other side answered, so Err tells more than a deadline would
	RetryAfter time.Duration // how long the answer asks to wait; 0 if it asks for nothing
	Throttled  bool          // the answer says that a quota is used up, against which attempts count
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// KindOf returns the kind of the outermost [Failure] in err, and Transient if there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Failure](err); ok && f.Kind != "" {
		return f.Kind
	}
	return Transient
}

// AskedToWait reports whether err asks to begin nothing else for now, because a quota is used up or
// more than [LongestWait] is asked for, and how long to wait. The wait is 0 if err doesn't say.
func AskedToWait(err error) (time.Duration, bool) {
	f, ok := errors.AsType[*Failure](err)
	if !ok || KindOf(err) != Transient || !f.Throttled && f.RetryAfter <= LongestWait {
		return 0, false
	}
	return f.RetryAfter, true
}
