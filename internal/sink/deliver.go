package sink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"registrar/pkg/client"
)

const (
	maxAttempts    = 4
	attemptTimeout = 10 * time.Second
	firstWait      = 200 * time.Millisecond
	longestWait    = 20 * time.Second // that a sink may ask for
	maxText        = 900              // bytes of a cause
	maxQuote       = 300              // bytes of what a sink said
)

// failure is an attempt that came to nothing.
type failure struct {
	sink     string        // scheme and host, or bus
	kind     error         // client.ErrTransient or client.ErrMisconfigured
	err      error         // the cause
	answered bool          // by the sink
	again    bool          // another attempt may help now
	after    time.Duration // what the sink asks to wait before that; 0: nothing
}

func (f *failure) Error() string { return f.sink + ": " + clean(f.err.Error(), maxText) }

func (f *failure) Unwrap() []error { return []error{f.kind, f.err} }

// unencodable is a failure that needs no attempt, and isn't the operator's.
func unencodable(sink string, err error) *failure {
	return &failure{sink: sink, kind: client.ErrTransient, err: fmt.Errorf("the event can't be encoded: %w", err)}
}

// misconfigured is a failure that needs no attempt.
func misconfigured(sink, format string, args ...any) *failure {
	return &failure{sink: sink, kind: client.ErrMisconfigured, err: fmt.Errorf(format, args...)}
}

// unanswered is a failure to get an answer.
func unanswered(ctx context.Context, err error) *failure {
	f := &failure{kind: client.ErrTransient, err: err, again: true}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		f.err = inner.Err // the URL may have a secret in it
	}
	if ctx.Err() != nil {
		f.err = context.Cause(ctx) // rather than what became of it in the layers below
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		f.kind, f.again = client.ErrMisconfigured, false
	}
	return f
}

// deliver makes attempts until one succeeds or no other would help. Like pkg/client, it begins nothing that the
// deadline would cut, and when the deadline cuts an attempt it keeps the error of the one before.
func deliver(ctx context.Context, sink string, attempt func(context.Context) *failure) error {
	var last *failure
	for attempts := 0; ; {
		if ctx.Err() != nil {
			return cutShort(ctx, sink, attempts, last)
		}
		attempts++
		f := limit(ctx, attempt)
		if f == nil {
			return nil
		}
		f.sink = sink
		if ctx.Err() != nil && !f.answered && last != nil {
			return cutShort(ctx, sink, attempts, last)
		}
		wait := max(f.after, rand.N(firstWait<<(attempts-1)))
		deadline, limited := ctx.Deadline()
		if !f.again || attempts == maxAttempts || f.after > longestWait || limited && time.Until(deadline) <= wait {
			return f
		}
		last = f
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// limit makes one attempt in limited time.
func limit(ctx context.Context, attempt func(context.Context) *failure) *failure {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptTimeout,
		fmt.Errorf("no answer within %s: %w", attemptTimeout, context.DeadlineExceeded))
	defer cancel()
	return attempt(ctx)
}

// cutShort is the error of a delivery whose context ended: with the last real error, if there was one.
func cutShort(ctx context.Context, sink string, attempts int, last *failure) error {
	if last == nil {
		return &failure{sink: sink, kind: client.ErrTransient, err: fmt.Errorf("no time left: %w", context.Cause(ctx))}
	}
	return fmt.Errorf("%w after %d attempts: %w", context.Cause(ctx), attempts, last)
}

// kindOfStatus is what an HTTP status means, and whether another attempt may help now.
func kindOfStatus(status int) (kind error, again bool) {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return client.ErrTransient, true
	case status/100 == 3, slices.Contains([]int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
	}, status):
		return client.ErrMisconfigured, false
	default:
		return client.ErrTransient, false
	}
}

// firstLine is what may be quoted of a text that a sink sent.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return clean(line, maxQuote)
}

// clean makes s valid UTF-8 of at most limit bytes without control characters.
func clean(s string, limit int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // RuneError for what is not UTF-8
	}, s))
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…" // a rune may have been cut
}
