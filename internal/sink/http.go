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

	"registrar/pkg/client"
)

const (
	maxDrain = 64 << 10 // bytes of an answer that are read, so that the connection can be used again
	redacted = "[redacted]"
)

// endpoint takes CloudEvents by POST.
type endpoint struct {
	name   string // all that errors may show: the path and the query may be what lets us in
	url    *url.URL
	client *http.Client
}

func newHTTP(target string, transport http.RoundTripper) (Sink, error) {
	u, err := parseURL(target)
	if err != nil {
		return nil, misconfigured("sink", "%w", err)
	}
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		transport = t
	}
	s := &endpoint{u.Scheme + "://" + u.Host, u, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return s.send, nil
}

func (s *endpoint) send(ctx context.Context, e event.Event) error {
	body, err := e.MarshalJSON()
	if err != nil {
		return unencodable(s.name, err)
	}
	return deliver(ctx, s.name, func(ctx context.Context) *failure { return s.post(ctx, body) })
}

// post makes one attempt.
func (s *endpoint) post(ctx context.Context, body []byte) *failure {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return unanswered(ctx, err)
	}
	req.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
	req.Header.Set("User-Agent", "registrar")
	resp, err := s.client.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxDrain)) // the status decides, whatever becomes of the body
	if resp.StatusCode/100 == 2 {
		return nil
	}
	f := &failure{answered: true, after: client.RetryAfter(resp.Header)}
	f.kind, f.again = kindOfStatus(resp.StatusCode)
	text := strings.TrimSpace(fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	if f.after > 0 && f.again {
		text += fmt.Sprintf(", retry after %s", f.after)
	}
	if said := firstLine(s.redact(string(answer))); said != "" && !strings.HasPrefix(said, "<") { // no HTML
		text += ": " + said
	}
	f.err = errors.New(text)
	return f
}

// redact removes path and query from what a server said: "Cannot POST /hooks/..." is a common answer.
func (s *endpoint) redact(said string) string {
	secrets := []string{s.url.RequestURI(), s.url.RawQuery, s.url.EscapedPath(), s.url.Path}
	for pair := range strings.SplitSeq(s.url.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		secrets = append(secrets, value)
	}
	for _, values := range s.url.Query() {
		secrets = append(secrets, values...)
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, secret := range secrets {
		if len(secret) > 1 { // "/" hides nothing
			said = strings.ReplaceAll(said, secret, redacted)
		}
	}
	return said
}
