package sink_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/pkg/attempt"
)

// numbered are events with the ids 0 to n-1.
func numbered(n int) []event.Event {
	var all []event.Event
	for i := range n {
		e := resultEvent()
		e.SetID(fmt.Sprint(i))
		all = append(all, e)
	}
	return all
}

// bus is an EventBridge that answers with one code for each entry, of which "" means success.
type bus struct {
	mu    sync.Mutex
	calls []string   // the ids of the entries of each call
	codes [][]string // the answers of the first calls; later ones succeed
	count bool       // answer only that an entry failed, with ids for all
}

func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Entries []struct{ Detail string } }
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &in)
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	out := struct {
		FailedEntryCount int
		Entries          []map[string]string
	}{}
	for i, entry := range in.Entries {
		var e struct{ ID string }
		_ = json.Unmarshal([]byte(entry.Detail), &e)
		ids = append(ids, e.ID)
		code := ""
		if n := len(b.calls); n < len(b.codes) && i < len(b.codes[n]) {
			code = b.codes[n][i]
		}
		answer := map[string]string{"EventId": awstest.RequestID}
		if code != "" {
			out.FailedEntryCount++
			if !b.count {
				answer = map[string]string{"ErrorCode": code}
			}
		}
		out.Entries = append(out.Entries, answer)
	}
	b.calls = append(b.calls, strings.Join(ids, " "))
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}

func TestABusGetsTenEventsAtOnce(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]string{
		0:  nil,
		1:  {"0"},
		10: {"0 1 2 3 4 5 6 7 8 9"},
		21: {"0 1 2 3 4 5 6 7 8 9", "10 11 12 13 14 15 16 17 18 19", "20"},
	} {
		b := &bus{}
		require.NoError(t, bridge(t, b)(t.Context(), numbered(n)...))
		assert.Equal(t, want, b.calls)
	}
}

func TestOnlyEntriesThatFailedAreSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const failed = "InternalFailure"
		b := &bus{codes: [][]string{{"", failed, "", failed}, {failed, ""}}}
		require.NoError(t, bridge(t, b)(t.Context(), numbered(4)...))
		assert.Equal(t, []string{"0 1 2 3", "1 3", "1"}, b.calls)
	})
}

func TestTheWorstEntryDecides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bus{codes: [][]string{{"InternalFailure", "AccessDeniedException", "ThrottlingException"}}}
		err := bridge(t, b)(t.Context(), numbered(12)...)
		assertKind(t, err, attempt.Misconfigured, "AccessDeniedException")
		assert.Len(t, b.calls, 1, "neither again, nor the next ten")
	})
}

func TestAFailureThatNoEntryTellsOfIsThatOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bus{codes: [][]string{{"InternalFailure", ""}}, count: true}
		require.NoError(t, bridge(t, b)(t.Context(), numbered(2)...))
		assert.Equal(t, []string{"0 1", "0 1"}, b.calls)
	})
}

func TestAURLGetsOneEventAfterAnother(t *testing.T) {
	t.Parallel()
	var got []string
	refuse := -1
	send := toHook(t, func(r *http.Request, _ int) (*http.Response, error) {
		var e struct{ ID string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&e))
		if got = append(got, e.ID); len(got) == refuse {
			return response(http.StatusForbidden, "", nil), nil
		}
		return response(http.StatusAccepted, "", nil), nil
	})
	require.NoError(t, send(t.Context()))
	require.NoError(t, send(t.Context(), numbered(3)...))
	assert.Equal(t, []string{"0", "1", "2"}, got)
	got, refuse = nil, 2
	assertKind(t, send(t.Context(), numbered(3)...), attempt.Misconfigured, "status 403")
	assert.Equal(t, []string{"0", "1"}, got, "what follows a failure isn't sent")
}
