package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
)

const (
	firstWait   = 200 * time.Millisecond
	longestWait = 20 * time.Second
	skewLimit   = 5 * time.Minute // the gateway itself refuses at 15
	warmLimit   = 2 * time.Second
	maxBody     = 1 << 20
)

// Config of a [Client]. It is read from the environment; a literal must set all but Transport.
type Config struct {
	IdentityCenter Endpoint      `env:"IDENTITYCENTER_ENDPOINT, default=https://identitycenter.myhuaweicloud.com"`
	Organizations  Endpoint      `env:"ORGANIZATIONS_ENDPOINT, default=https://organizations.myhuaweicloud.com"`
	MaxAttempts    int           `env:"MAX_ATTEMPTS, default=4"`      // of one call, at least 1
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT, default=10s"` // of one attempt

	Transport http.RoundTripper // nil: HTTP/1.1 with keep-alive, through the proxy that the environment names
}

// Validate names each variable that is out of its bounds.
func (c Config) Validate() error {
	var errs []error
	if c.MaxAttempts < 1 || c.MaxAttempts > 100 {
		errs = append(errs, errors.New("MAX_ATTEMPTS: must be between 1 and 100"))
	}
	if c.RequestTimeout <= 0 {
		errs = append(errs, errors.New("REQUEST_TIMEOUT: must be more than 0"))
	}
	return errors.Join(errs...)
}

// Endpoint is the base URL of a service, without a slash at its end.
type Endpoint string

// UnmarshalText takes an https URL, or an http URL of a loopback address.
func (e *Endpoint) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("must be a URL of scheme, host and maybe a path, such as https://organizations.myhuaweicloud.com")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		*e = Endpoint(strings.TrimRight(string(text), "/"))
		return nil
	}
	return errors.New("must begin with https:// (http:// is for loopback addresses only)")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Client calls Huawei Cloud. It is safe for concurrent use.
type Client struct {
	config      Config
	http        *http.Client
	credentials *credentialsCache
}

// New makes a client. It calls nothing, not even credentials.
func New(config Config, credentials CredentialsFunc) *Client {
	transport := config.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		transport = t
	}
	return &Client{
		config: config,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		credentials: &credentialsCache{load: credentials, lock: make(chan struct{}, 1)},
	}
}

// Warm opens a connection to the endpoint and loads the credentials, so that the first call doesn't wait for them. It takes at
// most 2 s and ignores what comes of it.
func (c *Client) Warm(ctx context.Context, endpoint Endpoint) {
	ctx, cancel := context.WithTimeout(ctx, warmLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, string(endpoint)+"/", nil)
	if err != nil {
		return
	}
	if resp, err := c.http.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	_, _, _ = c.credentials.newer(ctx, 0)
}

// Response tells of a call that was answered, in success and in failure.
type Response struct {
	Attempts  int    // requests sent
	RequestID string // of the last answer; empty when it had none
}

type watchKey struct{}

// WithWatch returns a context whose calls report how long each attempt took, from the goroutine of the call.
func WithWatch(ctx context.Context, attempt func(took time.Duration)) context.Context {
	return context.WithValue(ctx, watchKey{}, attempt)
}

// operation is one API call. Its body is nil or JSON.
type operation struct {
	name   string
	method string
	url    string
	body   []byte
}

// do sends the operation until it is answered for good. A success is decoded into answer, unless that is nil.
func (c *Client) do(ctx context.Context, op operation, answer any) (Response, error) {
	var (
		sent Response
		last *APIError
	)
	if ctx.Err() != nil {
		return sent, cutShort(ctx, op, 0, nil)
	}
	s, err := c.newSigner(ctx)
	if err != nil {
		return sent, &APIError{Operation: op.name, Err: err}
	}
	for retries := 0; ; {
		if ctx.Err() != nil {
			return sent, cutShort(ctx, op, sent.Attempts, last)
		}
		failure := c.attempt(ctx, op, s, answer, &sent)
		if failure == nil {
			return sent, nil
		}
		if ctx.Err() != nil && failure.Status == 0 && last != nil {
			return sent, cutShort(ctx, op, sent.Attempts, last)
		}
		mended, err := s.mend(ctx, failure)
		if err != nil {
			return sent, &APIError{Operation: op.name, Err: err}
		}
		if mended {
			continue
		}
		retries++
		wait, worthIt := failure.wait(retries)
		deadline, limited := ctx.Deadline()
		if !worthIt || retries >= c.config.MaxAttempts || limited && time.Until(deadline) <= wait {
			return sent, failure
		}
		last = failure
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// cutShort is the error of a call whose context ended: with the last real error, if there was one.
func cutShort(ctx context.Context, op operation, attempts int, last *APIError) error {
	if last == nil {
		return &APIError{Operation: op.name, Err: fmt.Errorf("no time left: %w", context.Cause(ctx))}
	}
	return fmt.Errorf("%w after %d attempts: %w", context.Cause(ctx), attempts, last)
}

// attempt sends one request and counts it in sent.
func (c *Client) attempt(ctx context.Context, op operation, s *signer, answer any, sent *Response) *APIError {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.RequestTimeout,
		fmt.Errorf("no answer within %s: %w", c.config.RequestTimeout, context.DeadlineExceeded))
	defer cancel()

	failure := &APIError{Operation: op.name}
	req, err := http.NewRequestWithContext(ctx, op.method, op.url, bytes.NewReader(op.body))
	if err != nil {
		failure.Err = err
		return failure
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "registrar")
	s.sign(req, op.body)

	sent.Attempts++
	if watch, ok := ctx.Value(watchKey{}).(func(time.Duration)); ok {
		defer func(start time.Time) { watch(time.Since(start)) }(time.Now())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // the operation says more than the URL
		}
		failure.Err = err
		return failure
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	failure.Status = resp.StatusCode
	failure.readError(resp, body, s.creds.redact)
	sent.RequestID = failure.RequestID
	switch {
	case resp.StatusCode/100 != 2:
		if err != nil && len(body) <= maxBody {
			failure.Err = fmt.Errorf("the answer broke off: %w", err)
		}
		return failure
	case answer == nil:
		return nil
	case err == nil && failure.Code != "":
		err = errors.New("it is an error")
	case err == nil:
		reflect.ValueOf(answer).Elem().SetZero() // of what an attempt before may have left
		err = json.Unmarshal(body, answer)
	}
	if err != nil {
		failure.Err = fmt.Errorf("the answer can't be read: %w", err)
		return failure
	}
	return nil
}
