package app

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAHostThatKnowsHowManyCallsThereAreOpensNoMoreConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		invocations int
		concurrency string
		calls       int
		want        int32 // connections of 20 calls at once
	}{
		"one event after another":         {1, "1", 1, 20}, // none is needed
		"two events":                      {1, "2", 1, 2},
		"two events of three invocations": {3, "2", 1, 6},
		"an event of several calls":       {1, "1", 8, 8},
		"as many invocations as come":     {0, "2", 1, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections, calls atomic.Int32
			full := make(chan struct{}) // closed when as many calls as there may be are there together
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == c.want {
					close(full)
				}
				select {
				case <-full:
				case <-r.Context().Done(): // a call has given up, and fails the test
				}
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			t.Cleanup(server.Close)
			p := ownProgram(map[string]string{
				"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": "sk", "REGION_ID": "cn-north-4",
				"ORGANIZATIONS_ENDPOINT": server.URL, "CONCURRENCY": c.concurrency,
				"MAX_ATTEMPTS": "1", "REQUEST_TIMEOUT": "60s",
			})
			p.invocations, p.calls = c.invocations, c.calls
			_, api, err := p.build(t.Context())
			require.NoError(t, err)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					_, err := api.EnableTrustedService(t.Context(), "service.SecMaster")
					assert.NoError(t, err)
				})
			}
			wg.Wait()
			assert.Equal(t, c.want, connections.Load())
		})
	}
}

// A connection that hangs while it is being opened goes on when its call has given up. It must not
// keep the next attempt from opening another.
func TestAConnectionThatHangsMakesRoomForAnother(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	var connections atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			t.Cleanup(func() { conn.Close() }) // until then it says nothing in TLS
		}
	}()
	const attempts = 4
	p := ownProgram(map[string]string{
		"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": "sk", "REGION_ID": "cn-north-4",
		"ORGANIZATIONS_ENDPOINT": "https://" + listener.Addr().String(), "CONCURRENCY": "2",
		"MAX_ATTEMPTS": strconv.Itoa(attempts), "REQUEST_TIMEOUT": "100ms",
	})
	p.invocations, p.calls = 1, 1
	_, api, err := p.build(t.Context())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_, err := api.EnableTrustedService(t.Context(), "service.SecMaster")
			assert.Error(t, err)
		})
	}
	wg.Wait()
	assert.Greater(t, connections.Load(), int32(attempts))
}
