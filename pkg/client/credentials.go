package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// Secret is text that no log, error or encoding shows: it prints as "[redacted]" under every verb.
// Convert it to string to use it. The empty Secret prints as "[redacted]" too.
type Secret string

// Format implements [fmt.Formatter], for every verb and flag.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, wire.Redacted) }

// MarshalText implements [encoding.TextMarshaler], and so JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(wire.Redacted), nil }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(wire.Redacted) }

// UnmarshalText takes text as it is. A character that can't stand in an HTTP header is an error
// that doesn't show it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return fitsHeader(text)
}

// DomainID is the id of the account that owns the credentials.
type DomainID string

// UnmarshalText takes text as it is. A character that can't stand in an HTTP header is an error.
func (d *DomainID) UnmarshalText(text []byte) error {
	*d = DomainID(text)
	return fitsHeader(text)
}

func fitsHeader(text []byte) error {
	if bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("contains white space or a character outside ASCII; was it pasted with a line break?")
	}
	return nil
}

// Credentials sign requests to Huawei Cloud. The variables are those of Huawei Cloud's SDKs. None
// is required by its tag, since credentials may come from elsewhere; whoever reads them from the
// environment alone must see that both keys are there.
type Credentials struct {
	AccessKey     Secret   `env:"HUAWEICLOUD_SDK_AK"`
	SecretKey     Secret   `env:"HUAWEICLOUD_SDK_SK"`
	SecurityToken Secret   `env:"HUAWEICLOUD_SDK_SECURITY_TOKEN"` // set if the keys are temporary
	DomainID      DomainID `env:"HUAWEICLOUD_SDK_DOMAIN_ID"`      // sent as X-Domain-Id if set

	Expires  time.Time // when the keys end to be valid; the zero time if nobody says
	Narrowed bool      // by a session policy, which a refused call then names as a possible cause
}

// A CredentialsFunc loads the credentials. Its result is kept until Huawei Cloud refuses it, or
// until 5 minutes before it expires; then the func is called again, once for all calls. An error
// isn't kept. It fails the call, and those that wait for it, with the error's kind, see
// [attempt.KindOf], unless it is about credentials that still hold: then it is logged, and tried
// again half a minute later.
type CredentialsFunc func(context.Context) (Credentials, error)

// Static always returns c.
func Static(c Credentials) CredentialsFunc {
	return func(context.Context) (Credentials, error) { return c, nil }
}

type givenKey struct{}

// WithCredentials returns a context whose calls are signed with c alone, as if each were the first
// of a client that has nothing else: they are neither kept nor reloaded.
func WithCredentials(ctx context.Context, c Credentials) context.Context {
	return context.WithValue(ctx, givenKey{}, newLoaded(c, 1))
}

const (
	renewBefore = 5 * time.Minute  // how long before credentials expire others are loaded
	renewAgain  = 30 * time.Second // when that is tried again if it failed
	renewTime   = 5 * time.Second  // how long it may keep the one call that does it

	lastWord = 100 * time.Millisecond // for a load that ends with the same deadline as who waits for it
)

// credentialsCache keeps what load returned, and counts the loads.
type credentialsCache struct {
	load CredentialsFunc

	mu      sync.Mutex // guards the rest
	last    loaded
	running *load // nil if none is
}

// load is a load of credentials by one call, for which others may wait.
type load struct {
	done chan struct{} // closed at its end
	err  error         // why it failed, once it is done
	cut  bool          // it failed because its own time was over, so another may try
}

// loaded are credentials with the number of the load that they came from, 1 for the first.
type loaded struct {
	credentials Credentials
	number      int
	renew       time.Time    // when others are to be loaded, though these still hold; the zero time means never
	secrets     wire.Secrets // must not go on from an answer, should a server have quoted them
}

// newLoaded prepares credentials. Those that live for less than twice renewBefore are renewed after
// half of their life. STS gives none for less than a quarter of an hour: if some seem to have less
// left than renewBefore, it is our clock that is wrong, and they are kept until they are refused.
func newLoaded(c Credentials, number int) loaded {
	l := loaded{credentials: c, number: number, secrets: wire.NewSecrets(
		string(c.AccessKey), string(c.SecretKey), string(c.SecurityToken))}
	if life := time.Until(c.Expires); life >= renewBefore {
		l.renew = c.Expires.Add(-min(renewBefore, life/2))
	} else {
		l.credentials.Expires = time.Time{}
	}
	return l
}

// hold reports whether the credentials have not expired.
func (l loaded) hold() bool {
	return l.credentials.Expires.IsZero() || time.Now().Before(l.credentials.Expires)
}

func (l loaded) due() bool { return !l.renew.IsZero() && !time.Now().Before(l.renew) }

// newer returns the credentials of a later load than that of the given number, 0 for any. If there
// are none it loads others, and now is true. Those that still hold but are due are renewed by one
// call, for a few seconds, while the others go on with them.
func (c *credentialsCache) newer(ctx context.Context, than int) (_ loaded, now bool, err error) {
	end, ends := ctx.Deadline()
	busy := ends && time.Until(end) < 2*renewTime // the call itself needs the time
	for {
		c.mu.Lock()
		last, other := c.last, c.running
		usable := last.number > than && last.hold()
		if usable && (!last.due() || busy || other != nil) {
			c.mu.Unlock()
			return last, false, nil
		}
		if other == nil {
			mine := &load{done: make(chan struct{})}
			c.running = mine
			c.mu.Unlock()
			return c.run(ctx, mine, last, usable)
		}
		c.mu.Unlock()
		if err := other.wait(ctx); err != nil {
			return loaded{}, false, err
		}
	}
}

// wait returns why the load failed, or nil if it is worth while to look again.
func (l *load) wait(ctx context.Context) error {
	select {
	case <-l.done:
		if end, ends := ctx.Deadline(); l.cut && (!ends || time.Until(end) > lastWord) {
			return nil
		}
		return l.err
	case <-ctx.Done():
	}
	select {
	case <-l.done: // it says more than that the time is over
		if l.err != nil {
			return l.err
		}
	case <-time.After(lastWord):
	}
	return fmt.Errorf("another call is loading them: %w", context.Cause(ctx))
}

// run loads others than the last credentials. If it fails, and the last are usable, they are
// renewed later.
func (c *credentialsCache) run(ctx context.Context, l *load, last loaded, usable bool) (_ loaded, now bool, _ error) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last, c.running = last, nil
		close(l.done)
	}()
	if usable {
		var cancel context.CancelFunc
		ctx, cancel = attempt.Timeout(ctx, renewTime)
		defer cancel()
	}
	credentials, err := c.load(ctx)
	l.err, l.cut = err, ctx.Err() != nil
	switch {
	case err == nil:
		last = newLoaded(credentials, last.number+1)
		return last, true, nil
	case usable && last.hold():
		slog.WarnContext(ctx, "the credentials can't be renewed, and still hold", "err", err)
		last.renew = time.Now().Add(renewAgain)
		return last, false, nil
	}
	return loaded{}, false, err
}

// signer signs the requests of one call. It begins with the credentials at hand and our own clock.
type signer struct {
	loaded
	unsigned bool          // the request itself says who sends it
	fresh    bool          // there are no others to be had: this call loaded them, or they were given
	skew     time.Duration // the server's clock less ours
	adjusted bool          // skew was set in this attempt
	signed   time.Time     // the time in the last signature
	cache    *credentialsCache
}

func (c *Client) newSigner(ctx context.Context) (*signer, error) {
	if given, ok := ctx.Value(givenKey{}).(loaded); ok {
		return &signer{loaded: given, fresh: true}, nil
	}
	credentials, fresh, err := c.credentials.newer(ctx, 0)
	return &signer{loaded: credentials, fresh: fresh, cache: c.credentials}, err
}

func (s *signer) sign(req *http.Request, body []byte) {
	if !s.unsigned {
		s.signed = time.Now().Add(s.skew)
		Sign(req, body, s.credentials, s.signed)
	}
}

// fix reports whether the next request will be signed in another way, because a 401 may be the
// fault of our clock, or of credentials that were replaced since they were loaded. It tries the
// clock once in each attempt, since ours may be set right in between, and other credentials once.
// Services that answer 401 with a code of their own (Organizations.10xx) don't speak of the
// signature.
func (s *signer) fix(ctx context.Context, r *reply) (bool, error) {
	if r == nil || s.unsigned || r.Status != http.StatusUnauthorized || strings.HasPrefix(r.Code, "Organizations.10") {
		return false, nil
	}
	if r.blamesClock(s.signed) && !s.adjusted {
		s.skew, s.adjusted = time.Until(r.Date), true
		return true, nil
	}
	if s.fresh {
		return false, nil
	}
	newer, _, err := s.cache.newer(ctx, s.number)
	if err != nil {
		return false, err
	}
	other := newer.credentials != s.credentials
	s.loaded, s.fresh = newer, true
	return other, nil
}
