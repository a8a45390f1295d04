package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/events"
	"registrar/pkg/wire"
)

// large is an organization of ten thousand accounts, of which thirty administer a service, and the
// function that audits it.
func large(tb testing.TB) (*huaweitest.Cloud, function) {
	tb.Helper()
	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AK", SecretKey: "SK"})
	cloud.SetRegion("cn-north-4")
	cloud.TrustService("service.SecMaster")
	var rules []string
	for i := range 10_000 {
		id := fmt.Sprintf("%032d", i)
		if i%334 == 0 {
			cloud.Delegate(id, "service.SecMaster")
			rules = append(rules, "service.SecMaster=id:"+id)
		}
		cloud.AddAccount(id, "active")
	}
	require.Len(tb, rules, 30)
	var c config
	require.NoError(tb, c.Trusted.Administrators.UnmarshalText([]byte(strings.Join(rules, ","))))
	endpoint, err := wire.ParseEndpoint("https://myhuaweicloud.com")
	require.NoError(tb, err)
	api := client.New(client.Config{
		IdentityCenter: endpoint, Organizations: endpoint, MaxAttempts: 1, RequestTimeout: 10 * time.Second,
		Transport: cloud,
	}, client.Static(client.Credentials{AccessKey: "AK", SecretKey: "SK"}))
	return cloud, newFunction(api, c)
}

func TestALargeOrganizationTakesAsFewCallsAsItsPages(t *testing.T) {
	t.Parallel()
	cloud, f := large(t)
	r, err := f.audit(t.Context(), events.Event{}, events.Audit{})
	require.NoError(t, err)
	assert.Equal(t, events.Passed, r.Whole().Outcome)
	calls := map[string]int{}
	for _, request := range cloud.Requests() {
		calls[request.Path[strings.LastIndexByte(request.Path, '/')+1:]]++
	}
	assert.Equal(t, map[string]int{
		"registered-regions": 1, "trusted-services": 1, "accounts": 20, "delegated-administrators": 1,
		"delegated-services": 30,
	}, calls)
}

// The floor is what it takes to read the accounts alone.
func BenchmarkAudit(b *testing.B) {
	_, f := large(b)
	var audit, floor time.Duration
	for b.Loop() {
		start := time.Now()
		_, err := f.audit(b.Context(), events.Event{}, events.Audit{})
		require.NoError(b, err)
		audit += time.Since(start)
		start = time.Now()
		_, err = f.api.Accounts(b.Context())
		require.NoError(b, err)
		floor += time.Since(start)
	}
	b.ReportMetric(float64(audit)/float64(floor), "audit/accounts")
}
