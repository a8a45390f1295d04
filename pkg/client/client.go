package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"registrar/pkg/wire"
)

const warmLimit = 2 * time.Second

// Config of a [Client]. It is read from the environment; a literal must set all but Transport.
type Config struct {
	IdentityCenter wire.Endpoint `env:"IDENTITYCENTER_ENDPOINT, default=https://identitycenter.myhuaweicloud.com"`
	Organizations  wire.Endpoint `env:"ORGANIZATIONS_ENDPOINT, default=https://organizations.myhuaweicloud.com"`
	STS            wire.Endpoint `env:"HUAWEICLOUD_SDK_STS_ENDPOINT, default=https://sts.cn-north-4.myhuaweicloud.com"`
	MaxAttempts    int           `env:"MAX_ATTEMPTS, default=4"`      // attempts of one call: 1 to 100
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT, default=10s"` // limit of one request: 100 ms to 60 s

	Transport http.RoundTripper // nil: the transport of [wire.Client]
}

// Validate names each variable that is out of its bounds.
func (c Config) Validate() error {
	var errs []error
	if c.MaxAttempts < 1 || c.MaxAttempts > 100 {
		errs = append(errs, errors.New("MAX_ATTEMPTS: must be between 1 and 100"))
	}
	if c.RequestTimeout < 100*time.Millisecond || c.RequestTimeout > time.Minute {
		errs = append(errs, errors.New("REQUEST_TIMEOUT: must be between 100ms and 60s"))
	}
	return errors.Join(errs...)
}

// Client calls Huawei Cloud. It is safe for concurrent use.
type Client struct {
	config      Config
	http        *http.Client
	credentials *credentialsCache
}

// New makes a client. It calls nothing, not even credentials.
func New(config Config, credentials CredentialsFunc) *Client {
	return &Client{
		config:      config,
		http:        wire.Client(config.Transport),
		credentials: &credentialsCache{load: credentials},
	}
}

// Warm opens a connection to each of the endpoints and loads the credentials, all at once, so that
// the first calls don't wait for them. It takes at most 2 s and ignores what comes of it.
func (c *Client) Warm(ctx context.Context, endpoints ...wire.Endpoint) {
	ctx, cancel := context.WithTimeout(ctx, warmLimit)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { _, _, _ = c.credentials.newer(ctx, 0) })
	opened := map[string]bool{} // by host
	for _, endpoint := range endpoints {
		u := endpoint.URL("")
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
		if err != nil || opened[u.Host] {
			continue
		}
		opened[u.Host] = true
		all.Go(func() {
			if resp, err := c.http.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
}

// WarmOrganizations is [Client.Warm] for the endpoint of Organizations.
func (c *Client) WarmOrganizations(ctx context.Context) { c.Warm(ctx, c.config.Organizations) }

// WarmIdentityCenter is [Client.Warm] for the endpoint of IAM Identity Center.
func (c *Client) WarmIdentityCenter(ctx context.Context) { c.Warm(ctx, c.config.IdentityCenter) }

// WarmBoth is [Client.Warm] for the endpoints of Organizations and IAM Identity Center.
func (c *Client) WarmBoth(ctx context.Context) {
	c.Warm(ctx, c.config.Organizations, c.config.IdentityCenter)
}

// Sent describes a finished call, successful or not.
type Sent struct {
	Attempts  int    // requests sent
	RequestID string // Huawei Cloud's id of the last request that was answered; empty if the answer had none
}

type watchKey struct{}

// WithWatch returns a context whose calls report how long each request took, from the goroutine of
// the call.
func WithWatch(ctx context.Context, request func(took time.Duration)) context.Context {
	return context.WithValue(ctx, watchKey{}, request)
}
