package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"registrar/pkg/attempt"
)

const maxError = 1 << 10 // bytes of a text of an error

// Unanswered tells what err, of an [http.Client] or of reading a body, means for an attempt that
// ran in ctx. The failure shows neither the URL, which may hold a secret, nor what a server sent:
// net/http quotes an answer that it can't read, and a server may echo the request in it. What else
// it shows is cleaned of the secrets as [Secrets.Clean] does.
func Unanswered(ctx context.Context, err error, secrets Secrets) *attempt.Failure {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	var text string
	if ctx.Err() != nil {
		err = context.Cause(ctx) // rather than what became of it in the layers below
		text = err.Error()
	} else {
		if f := socksFailed(err); f != nil {
			err = f
		}
		text = safeText(err)
	}
	kind := attempt.KindOf(err)
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		kind = attempt.Misconfigured
	}
	return &attempt.Failure{Kind: kind, Err: cleanError{err, secrets.Clean(text, maxError)}}
}

// safeText is the text of that in err which can't quote an answer: failures of registrar itself, of
// the network and of TLS, and those that have one fixed text. For all else there is one text.
func safeText(err error) string {
	if f, ok := errors.AsType[*attempt.Failure](err); ok {
		return f.Error()
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	for _, fixed := range []error{
		io.ErrUnexpectedEOF, io.EOF, http.ErrSchemeMismatch, context.Canceled, net.ErrClosed,
	} {
		if errors.Is(err, fixed) {
			return fixed.Error()
		}
	}
	// These have no type. Nothing of an answer stands at the beginning of an error.
	if text := err.Error(); strings.HasPrefix(text, "tls: ") || text == "http: server closed idle connection" {
		return text
	}
	return "malformed HTTP " + Redacted
}

// cleanError is an error with another text.
type cleanError struct {
	error
	text string
}

func (e cleanError) Error() string { return e.text }

func (e cleanError) Unwrap() error { return e.error }
