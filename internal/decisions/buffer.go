package decisions

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/planted"
)

// buffer collects what several goroutines write.
type buffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

func (b *buffer) add(texts ...string) { _, _ = b.Write([]byte(strings.Join(texts, " ") + "\n")) }

// showNoSecret looks for the keys in all that was collected.
func (b *buffer) showNoSecret(t *testing.T) {
	t.Helper()
	all := b.String()
	for _, form := range planted.In(all, accessKey, secretKey, securityToken) {
		for line := range strings.Lines(all) {
			assert.NotContains(t, line, form)
		}
	}
}

// events are the lines as events.
func (b *buffer) events(t *testing.T) []event.Event {
	t.Helper()
	var all []event.Event
	for line := range strings.Lines(b.String()) {
		var e event.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		all = append(all, e)
	}
	return all
}
