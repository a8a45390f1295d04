package frontdoor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/hostile"
	"registrar/internal/racedetector"
)

const (
	largest    = 6 << 20 // bytes of a payload
	memory     = 256     // MiB of the function
	mostMemory = 232     // MiB that its process may have of them
)

// costly are those of the corpus that cost most in the tests of the handler, or by their kind.
var costly = []string{
	"messages of 100 events that have nothing but an id", "10,000 events", "events with ids of line separators",
	"10,000 lists of Records", "10,000 arrays in arrays", "10,000 objects of many members", "escapes",
	"a request with many attributes", "traces of another function",
}

// peak is the most memory that a process had at once, in MiB.
func peak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	match := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, match, "%s", status)
	kilobytes, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	return kilobytes >> 10
}

func onlyOnLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says how much memory a process had")
	}
}

func corpus(t *testing.T, name string, size int) []byte {
	t.Helper()
	all := hostile.Payloads()
	i := slices.IndexFunc(all, func(p hostile.Payload) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return all[i].Make(size)
}

func TestTheLargestPayloadsFitIntoASmallFunction(t *testing.T) {
	t.Parallel()
	onlyOnLinux(t)
	onEachHost(t, func(t *testing.T, s *stage) {
		s.timeout = time.Minute
		s.env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = strconv.Itoa(memory)
		s.env["RUNTIME_MEMORY"] = strconv.Itoa(memory)
		f := s.start(t, "register-service")
		names := costly
		if racedetector.Enabled {
			names = costly[1:3] // it makes the fakes slow: .ci/run runs all of them without it
		}
		before, process := 0, (*os.Process)(nil)
		for _, name := range names {
			answer, err := f.Invoke(t.Context(), corpus(t, name, largest))
			require.NoError(t, err, name)
			assert.NotContains(t, string(answer.Payload), "Runtime exited", name)
			assert.NotContains(t, string(answer.Payload), "timed out", name)
			if process == nil {
				process = f.Processes()[0]
			}
			require.Equal(t, []*os.Process{process}, f.Processes(), "%s: it is still the same process", name)
			now := peak(t, process.Pid)
			if now > before {
				t.Logf("%d MiB: %s", now, name)
			}
			before = now
			assert.Less(t, now, mostMemory, name)
		}
		for line := range strings.Lines(s.log.String()) {
			if !json.Valid([]byte(line)) {
				require.Fail(t, "not JSON", "%.300s", line)
			}
		}
	})
}

func TestTheLargestRequestsFitIntoASmallServer(t *testing.T) {
	t.Parallel()
	onlyOnLinux(t)
	s := newStage(t)
	url, cmd := s.serveHTTP(t, "register-service")
	for _, name := range []string{
		"10,000 lists of Records", "10,000 objects of many members", "events with ids of line separators", "zeros",
	} {
		body := corpus(t, name, 1<<20) // as large as a body may be
		resp, err := http.Post(url, "application/cloudevents-batch+json", bytes.NewReader(body))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, resp.StatusCode, name)
		assert.Less(t, peak(t, cmd.Process.Pid), 128, name)
	}
	var all sync.WaitGroup
	most := []byte("[" + strings.Repeat(bootstrap("{}")+",", 9_999) + bootstrap("{}") + "]")
	for range 32 {
		all.Go(func() {
			resp, err := http.Post(url, "application/cloudevents-batch+json", bytes.NewReader(most))
			if assert.NoError(t, err) {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	all.Wait()
	assert.Less(t, peak(t, cmd.Process.Pid), 256, "32 batches at once")
	for line := range strings.Lines(s.log.String()) {
		require.True(t, json.Valid([]byte(line)), "%.300s", line)
	}
}
