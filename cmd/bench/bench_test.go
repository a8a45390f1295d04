//go:build unix

package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/measure"
)

// The tables of a quick run have all their cells. What they say depends on the machine.
func TestAQuickRunMeasuresEverything(t *testing.T) {
	t.Parallel()
	if testing.Short() { // it builds each function four times
		t.Skip("takes about a minute")
	}
	b := bench{
		root: "../..", folder: t.TempDir(), rounds: 2, blocks: 1, latency: 5 * time.Millisecond,
		say: func(string) {},
	}
	r, err := b.run(t.Context())
	require.NoError(t, err)
	text := r.text()
	for _, name := range []string{overHTTP, overHTTPS, warm, built, batches, audits} {
		assert.Contains(t, text, "\n"+name+"\n")
	}
	for _, megabytes := range shares {
		withoutShares := strings.Contains(text, "\nNot measured with a part of a CPU: ")
		assert.NotEqual(t, withoutShares, strings.Contains(text, "\n"+atShare(megabytes)+"\n"))
	}
	if runtime.GOOS != "linux" {
		assert.Contains(t, text, "\nWithout CPU time, page faults and memory: ")
		return
	}
	rows := 0
	for _, table := range r.tables {
		for _, row := range table.rows {
			rows++
			for _, f := range table.figures {
				v, measured := r.samples.value(table, f, row)
				assert.True(t, measured, "%s: %s of %s", table.name, f.name, row)
				isDifference := f.as == beyond || strings.HasPrefix(f.name, connections)
				assert.True(t, v > 0 || isDifference, "%s: %s of %s is %g", table.name, f.name, row, v)
			}
		}
	}
	assert.Greater(t, rows, 40)
	assert.Contains(t, text, "\nGoals\n")
	assert.NotContains(t, text, "not measured")
	assert.Len(t, b.unchanged, len(b.subjects)-3, "all but bare, minimal and the audit")
	for _, s := range b.subjects {
		k := key{overHTTP, startUp, s.Name}
		assert.Len(t, b.samples[k], 2, "a round each")
	}
	one := func(table, figure, row string) float64 { return b.samples[key{table, figure, row}][0] }
	assert.Greater(t, one(overHTTP, startAndFirst, measure.Bare), one(overHTTP, startUp, measure.Bare))
	assert.Greater(t, one(warm, allocated, secretAndBus), one(warm, allocated, registerAdmin)+100, "each result is put")
}

// The folders hold links to what the bundle is beside, by more than a name, which Go follows.
func TestTheTrustStoreIsLaidOutAsOnAmazonLinux(t *testing.T) {
	t.Parallel()
	store, err := newTrustStore(t.TempDir())
	require.NoError(t, err)
	bundle, err := os.ReadFile(store.bundle)
	require.NoError(t, err)
	var trusted *x509.Certificate
	keys := map[x509.PublicKeyAlgorithm]int{}
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		trusted, err = x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		keys[trusted.PublicKeyAlgorithm]++
	}
	assert.Equal(t, map[x509.PublicKeyAlgorithm]int{x509.RSA: 104, x509.ECDSA: 42}, keys)
	leaf, err := x509.ParseCertificate(store.certificate.Certificate[0])
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(trusted)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "127.0.0.1"})
	require.NoError(t, err)

	folders := filepath.SplitList(store.folders)
	assert.Len(t, folders, 2)
	for _, folder := range folders {
		for link, kind := range map[string]string{
			"ca-bundle.crt": "BEGIN CERTIFICATE", "ca-bundle.trust.crt": "BEGIN TRUSTED CERTIFICATE",
		} {
			target, err := os.Readlink(filepath.Join(folder, link))
			require.NoError(t, err)
			assert.Contains(t, target, "/")
			content, err := os.ReadFile(filepath.Join(folder, link))
			require.NoError(t, err)
			assert.Equal(t, roots+1, strings.Count(string(content), kind))
		}
	}
}

func TestTheIdealOfABatch(t *testing.T) {
	t.Parallel()
	const latency = 50 * time.Millisecond
	for l, want := range map[load]time.Duration{
		{10, 10}: latency, {11, 10}: 2 * latency, {10, 50}: latency, {1000, 50}: 20 * latency,
		{100, 1}: 100 * latency / 5,
	} {
		assert.Equal(t, want, l.ideal(latency), "%v", l)
	}
	assert.Equal(t, "100 records, 1 at once, 10ms a call", load{100, 1}.name(latency))
}

func TestTheMessagesOfABatchAreEvents(t *testing.T) {
	t.Parallel()
	var payload struct {
		Records []struct{ MessageID, Body, EventSource string }
	}
	require.NoError(t, json.Unmarshal(messages([]byte(`{"id":"x","type":"t"}`), 3), &payload))
	require.Len(t, payload.Records, 3)
	for i, r := range payload.Records {
		assert.Equal(t, "aws:sqs", r.EventSource)
		assert.JSONEq(t, fmt.Sprintf(`{"id":"event-%d","type":"t"}`, i), r.Body)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"1": 1, "40": 40, "0": 0, "-1": 0, "x": 0} {
		got, err := fromOne(text)
		assert.Equal(t, want, got, text)
		assert.Equal(t, want == 0, err != nil, text)
	}
}
