package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// maxDrain is how many bytes of an answer are read, so that the connection can be used again.
const maxDrain = 64 << 10

// newHTTP makes a sink of a URL that takes CloudEvents by POST. Errors show only its scheme and
// host, since the path and the query may be a secret.
func newHTTP(u *url.URL, transport http.RoundTripper) Sink {
	client := wire.Client(transport)
	name := u.Scheme + "://" + u.Host
	return deliverer(name, 1, func(ctx context.Context, one []outgoing) ([]outgoing, *attempt.Failure) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(one[0].encoded))
		if err != nil {
			return one, wire.Unanswered(ctx, err, wire.Secrets{})
		}
		req.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
		req.Header.Set("User-Agent", wire.UserAgent)
		resp, err := client.Do(req)
		if err != nil {
			return one, wire.Unanswered(ctx, err, wire.Secrets{})
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxDrain)) // the status decides
		if resp.StatusCode/100 == 2 {
			return nil, nil
		}
		return one, refused(resp)
	})
}

// refused is the failure of a request that was answered with an error. Only its status is shown,
// since "Cannot POST /hooks/..." is a common answer.
func refused(resp *http.Response) *attempt.Failure {
	f := &attempt.Failure{Kind: kindOf(resp.StatusCode), Answered: true}
	text := strings.TrimSpace(fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	if f.Kind == attempt.Transient {
		if f.RetryAfter = attempt.RetryAfter(resp.Header); f.RetryAfter > 0 {
			text += fmt.Sprintf(", retry after %s", f.RetryAfter)
		}
	}
	f.Err = errors.New(text)
	return f
}

// kindOf is the kind of failure that an HTTP status means.
func kindOf(status int) attempt.Kind {
	if status/100 == 3 || slices.Contains([]int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
	}, status) {
		return attempt.Misconfigured
	}
	return attempt.Transient
}
