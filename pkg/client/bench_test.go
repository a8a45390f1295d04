package client_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/floor"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
)

// The floor is to hash as much, with the key once.
func BenchmarkSign(b *testing.B) {
	body := `{"region_id":"cn-north-4"}`
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost,
		"https://identitycenter.myhuaweicloud.com"+registerPath, strings.NewReader(body))
	require.NoError(b, err)
	req.Header.Set("Content-Type", "application/json")
	signed, signer, at := []byte(body), credentials(keys()), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		client.Sign(req, signed, signer, at)
	}
	canonical, key := make([]byte, 300), []byte(signer.SecretKey)
	floor.Report(b, "sign/hashes", func() {
		sha256.Sum256(signed)
		sum := sha256.Sum256(canonical)
		mac := hmac.New(sha256.New, key)
		mac.Write(sum[:])
		mac.Sum(nil)
	})
	cloud := huaweitest.New(keys())
	resp, err := cloud.RoundTrip(req)
	require.NoError(b, err)
	assert.Equal(b, http.StatusOK, resp.StatusCode, "the signature holds")
}

// A read as register-admin makes it for each event, from the method to the list. The answer is
// there at once: what is measured is the client. The floor is a request with nothing around it.
func BenchmarkCall(b *testing.B) {
	const answer = `{"delegated_services":[{"service_principal":"` + secMaster + `",` +
		`"delegation_enabled_at":"2026-01-02T03:04:05Z"}],"page_info":{"next_marker":null,"current_count":1}}`
	sent := 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent++
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"X-Request-Id": {"r-1"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)),
		}, nil
	})
	c, plain := client.New(config(transport), client.Static(credentials(keys()))), http.Client{Transport: transport}
	var (
		services []string
		err      error
	)
	b.ReportAllocs()
	for b.Loop() {
		services, err = c.DelegatedServices(b.Context(), account)
	}
	require.NoError(b, err)
	assert.Equal(b, []string{secMaster}, services)
	assert.Equal(b, b.N, sent, "each is one request")
	floor.Report(b, "call/request", func() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://organizations.example/", nil)
		require.NoError(b, err)
		resp, err := plain.Do(req)
		require.NoError(b, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(b, err)
	})
}
