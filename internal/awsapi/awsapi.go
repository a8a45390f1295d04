// Package awsapi calls AWS: it finds region, endpoint and credentials, signs, makes one attempt,
// and says which kind of failure an answer means.
package awsapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

const (
	maxBody    = 1 << 20         // bytes of an answer that are read
	mostOff    = 4 * time.Minute // a clock that is off by more may be why AWS refuses
	renewAhead = 5 * time.Minute // time before the end of credentials
)

// Client calls a service of AWS in a region. It is safe for concurrent use.
type Client struct {
	http        *http.Client
	url         string
	service     Service
	region      string
	signer      *v4.Signer
	credentials *aws.CredentialsCache // nil: requests aren't signed
	ahead       atomic.Int64          // how far AWS's clock is ahead of ours, a [time.Duration]
}

// New makes a client of a service. The empty region is that of the environment, where credentials
// are asked for in any case if it has one. New calls nothing. Its error is misconfigured, and names
// what to set.
func New(c Config, service Service, region string) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	own := cmp.Or(c.Region, c.DefaultRegion)
	client, err := newClient(c, service, cmp.Or(region, own))
	if err != nil {
		return nil, err
	}
	from, err := c.credentials(cmp.Or(own, region))
	if err != nil {
		return nil, err
	}
	client.credentials = aws.NewCredentialsCache(from, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow = renewAhead
	})
	return client, nil
}

// newClient makes a client that doesn't sign.
func newClient(c Config, service Service, region string) (*Client, error) {
	if err := checkRegion(region); err != nil {
		return nil, err
	}
	u, err := c.URL(service, region)
	if err != nil {
		return nil, err
	}
	return &Client{
		http: wire.Client(c.Transport), url: u, service: service, region: region, signer: v4.NewSigner(),
	}, nil
}

// JSON makes one attempt to call an operation, named as in the header X-Amz-Target, of a service
// that speaks JSON.
func (c *Client) JSON(ctx context.Context, target string, in, out any) *attempt.Failure {
	body, err := json.Marshal(in)
	if err != nil {
		return &attempt.Failure{Err: err}
	}
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {target}}
	return c.post(ctx, header, body, json.Unmarshal, out)
}

// Query makes one attempt to call an operation of STS, which takes a form and answers in XML.
func (c *Client) Query(ctx context.Context, operation string, form url.Values, out any) *attempt.Failure {
	form.Set("Action", operation)
	form.Set("Version", "2011-06-15")
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return c.post(ctx, header, []byte(form.Encode()), xml.Unmarshal, out)
}

func (c *Client) post(
	ctx context.Context, header http.Header, body []byte, decode decoder, out any,
) *attempt.Failure {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return wire.Unanswered(ctx, err, wire.Secrets{})
	}
	req.Header = header
	if c.credentials == nil {
		_, f := send(c.http, req, decode, out)
		return f
	}
	credentials, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return noCredentials(ctx, err)
	}
	ahead, hash := time.Duration(c.ahead.Load()), sha256.Sum256(body)
	err = c.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(hash[:]),
		string(c.service), c.region, time.Now().Add(ahead))
	if err != nil {
		return wire.Unanswered(ctx, err, wire.Secrets{})
	}
	answered, f := send(c.http, req, decode, out)
	if f != nil {
		c.learn(f, answered, ahead)
	}
	return f
}

// learn takes from a refusal what makes the next attempt better: other credentials if these are
// expired, whatever our clock says, and the time by AWS's clock if the clock by which we signed may
// be to blame.
func (c *Client) learn(f *attempt.Failure, answered http.Header, ahead time.Duration) {
	refusal, ok := errors.AsType[*APIError](f)
	if !ok {
		return
	}
	switch strings.TrimSuffix(refusal.Code, "Exception") {
	case "ExpiredToken":
		c.credentials.Invalidate()
	case "InvalidSignature", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired", "AuthFailure",
		"AccessDenied":
		date, err := http.ParseTime(answered.Get("Date"))
		if now := time.Until(date); err == nil && (now-ahead).Abs() > mostOff {
			c.ahead.Store(int64(now))
			f.Kind = attempt.Transient
		}
	}
}

// A decoder is [json.Unmarshal] or [xml.Unmarshal].
type decoder func([]byte, any) error

// send makes one attempt, and decodes the body of a success into out. Any other answer is an error
// of AWS. The header is that of the answer, nil if there is none.
func send(client *http.Client, req *http.Request, decode decoder, out any) (http.Header, *attempt.Failure) {
	req.Header.Set("User-Agent", wire.UserAgent)
	resp, err := client.Do(req)
	if err != nil {
		return nil, wire.Unanswered(req.Context(), err, wire.Secrets{})
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxBody))
	switch {
	case err != nil && req.Context().Err() != nil:
		return nil, wire.Unanswered(req.Context(), err, wire.Secrets{})
	case err == nil && resp.StatusCode/100 == 2 && decode(body, out) == nil:
		return resp.Header, nil
	}
	return resp.Header, refused(resp, body, decode)
}
