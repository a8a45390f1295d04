package budget

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/internal/measure"
)

func TestOneConnectionServesAllInvocations(t *testing.T) {
	t.Parallel()
	for _, f := range functions {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			o := organization(t)
			p, server := start(t, f, here, o, nil)
			payload, err := o.Duplicate(p)
			require.NoError(t, err)
			for range 200 {
				_, _, err := p.Invoke(payload)
				require.NoError(t, err)
			}
			holdExactly(t, "connections, sequence", server.Connections(), limits.Connections.Sequence)
		})
	}
}

// meet has n reads of what an account administers answered at once, and then the next n, so that as
// many connections are needed, whatever else the machine is doing.
func meet(o *measure.Organization, n int) {
	const patience = 30 * time.Second // which a client that asks for too few at once needs
	var mu sync.Mutex
	came, all := 0, make(chan struct{})
	o.OnRequest(func(r huaweitest.Request) {
		if !strings.HasSuffix(r.Path, "/delegated-services") {
			return
		}
		mu.Lock()
		together := all
		if came++; came >= n {
			close(together)
			came, all = 0, make(chan struct{})
		}
		mu.Unlock()
		select {
		case <-together:
		case <-time.After(patience):
			mu.Lock()
			n = 1
			mu.Unlock()
		}
	})
}

// What was used at once is kept, so that the next batch needs no others.
func TestABatchOpensAsManyConnectionsAsItUsesAtOnce(t *testing.T) {
	t.Parallel()
	assert.Len(t, limits.Connections.Batch, 2)
	for concurrency, limit := range limits.Connections.Batch {
		t.Run(strconv.Itoa(concurrency), func(t *testing.T) {
			t.Parallel()
			o := organization(t)
			meet(o, concurrency)
			p, server := start(t, named(t, "register-admin"), here, o, map[string]string{
				"CONCURRENCY": strconv.Itoa(concurrency), "REQUEST_TIMEOUT": "60s",
			})
			for _, events := range []int{1000, concurrency} {
				payload, err := json.Marshal(slices.Repeat([]json.RawMessage{o.AccountCreated}, events))
				require.NoError(t, err)
				answer, _, err := p.Invoke(payload)
				require.NoError(t, err)
				assert.Equal(t, events, strings.Count(string(answer), `"outcome":"unchanged","registrations"`))
			}
			holdExactly(t, "connections, batch, "+strconv.Itoa(concurrency), server.Connections(), limit)
		})
	}
}

func TestAnAuditOpensAsManyConnectionsAsItUsesAtOnce(t *testing.T) {
	t.Parallel()
	o := organization(t)
	meet(o, limits.Connections.Audit)
	const administrators = 80 // ten times as many as are read at once
	delegate(o, administrators)
	p, server := start(t, named(t, "audit-organization"), here, o, map[string]string{
		"ADMINISTRATORS": rules(administrators), "REQUEST_TIMEOUT": "60s",
	})
	for range 2 {
		answer, _, err := p.Invoke([]byte(event("org.audit", `{}`)))
		require.NoError(t, err)
		assert.Contains(t, string(answer), `"org.audit.passed"`)
	}
	holdExactly(t, "connections, audit", server.Connections(), limits.Connections.Audit)
}

func named(t *testing.T, name string) measure.Subject {
	t.Helper()
	i := slices.IndexFunc(functions, func(f measure.Subject) bool { return f.Name == name })
	require.NotEqual(t, -1, i, name)
	return functions[i]
}
