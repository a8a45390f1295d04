package sink_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/pkg/attempt"
)

// several are so many events, whose ids are their numbers from 1.
func several(n int) []event.Event {
	all := make([]event.Event, n)
	for i := range all {
		all[i] = resultEvent()
		all[i].SetID(fmt.Sprint(i + 1))
	}
	return all
}

// numbers are the ids of so many events, from first to last.
func numbers(first, last int) string {
	var all []string
	for n := first; n <= last; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return strings.Join(all, " ")
}

// entries is an EventBridge that answers each entry by itself. It isn't for concurrent use.
type entries struct {
	codes  map[string][]string // the errors that an event gets, one at each attempt, before it is taken
	silent bool                // the first answer counts a failure, and doesn't say which it is
	calls  []string            // the ids in each call
}

func (b *entries) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Entries []struct{ Detail string } }
	_ = json.NewDecoder(r.Body).Decode(&in)
	var ids []string
	failed, results := 0, []map[string]string{}
	for _, entry := range in.Entries {
		var e struct{ ID string }
		_ = json.Unmarshal([]byte(entry.Detail), &e)
		ids = append(ids, e.ID)
		if codes := b.codes[e.ID]; len(codes) > 0 {
			failed++
			b.codes[e.ID] = codes[1:]
			results = append(results, map[string]string{"ErrorCode": codes[0], "ErrorMessage": "what EventBridge says"})
			continue
		}
		results = append(results, map[string]string{"EventId": awstest.RequestID})
	}
	if b.calls = append(b.calls, strings.Join(ids, " ")); b.silent {
		b.silent, failed = false, 1
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": failed, "Entries": results})
}

func TestABusGetsTenEventsAtOnce(t *testing.T) {
	t.Parallel()
	const busy, denied, malformed = "ThrottlingException", "AccessDeniedException", "MalformedDetail"
	for name, c := range map[string]struct {
		events int
		codes  map[string][]string
		silent bool
		calls  []string
		kind   attempt.Kind // the kind of the error
		fails  string       // the end of the error; empty if all are sent
	}{
		"none":        {events: 0},
		"one":         {events: 1, calls: []string{"1"}},
		"ten":         {events: 10, calls: []string{numbers(1, 10)}},
		"eleven":      {events: 11, calls: []string{numbers(1, 10), "11"}},
		"twenty-five": {events: 25, calls: []string{numbers(1, 10), numbers(11, 20), numbers(21, 25)}},
		"only those that fail are sent again, before any other": {
			events: 12, codes: map[string][]string{"2": {busy}, "9": {busy, "InternalFailure"}},
			calls: []string{numbers(1, 10), "2 9", "9", "11 12"},
		},
		"a failure that isn't said to be of any": {
			events: 12, silent: true, calls: []string{numbers(1, 10), numbers(1, 10), "11 12"},
		},
		"the last of four attempts": {
			events: 2, codes: map[string][]string{"2": {busy, busy, busy}}, calls: []string{"1 2", "2", "2", "2"},
		},
		"one attempt too many, and the others stay": {
			events: 12, codes: map[string][]string{"2": {busy, busy, busy, busy}},
			calls: []string{numbers(1, 10), "2", "2", "2"}, kind: attempt.Transient, fails: busy,
		},
		"misconfigured after transient": {
			events: 12, codes: map[string][]string{"2": {busy}, "3": {denied}},
			calls: []string{numbers(1, 10)}, kind: attempt.Misconfigured, fails: denied,
		},
		"misconfigured before transient": {
			events: 12, codes: map[string][]string{"2": {malformed}, "3": {busy}},
			calls: []string{numbers(1, 10)}, kind: attempt.Misconfigured, fails: malformed,
		},
		"misconfigured at the second attempt": {
			events: 3, codes: map[string][]string{"2": {busy, denied}, "3": {busy}},
			calls: []string{"1 2 3", "2 3"}, kind: attempt.Misconfigured, fails: denied,
		},
		"misconfigured in the second call": {
			events: 12, codes: map[string][]string{"11": {denied}},
			calls: []string{numbers(1, 10), "11 12"}, kind: attempt.Misconfigured, fails: denied,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := &entries{codes: c.codes, silent: c.silent}
				err := bridge(t, bus)(t.Context(), several(c.events)...)
				assert.Equal(t, c.calls, bus.calls)
				if c.fails == "" {
					require.NoError(t, err)
					return
				}
				assertKind(t, err, c.kind)
				require.EqualError(t, err, "the sink eventbridge://results: "+c.fails)
			})
		})
	}
}

func TestAURLGetsOneEventAfterAnother(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events int
		status map[string][]int // the answers to an event, one at each attempt, before it is taken; 0 is none
		sent   string           // the ids in their order
		kind   attempt.Kind     // the kind of the error
		fails  string           // what the error says; empty if all are sent
	}{
		"none":  {events: 0},
		"three": {events: 3, sent: "1 2 3"},
		"one is sent again before the next": {
			events: 3, status: map[string][]int{"2": {503, 0}}, sent: "1 2 2 2 3",
		},
		"the first failure ends it": {
			events: 3, status: map[string][]int{"2": {403}}, sent: "1 2",
			kind: attempt.Misconfigured, fails: "status 403",
		},
		"so does one that doesn't cure itself": {
			events: 3, status: map[string][]int{"1": {503, 503, 503, 503}}, sent: "1 1 1 1",
			kind: attempt.Transient, fails: "status 503",
		},
		"each has attempts of its own": {
			events: 2, status: map[string][]int{"1": {503, 503, 503}, "2": {503, 503, 503}}, sent: "1 1 1 1 2 2 2 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sent []string
				send := toHook(t, func(r *http.Request, _ int) (*http.Response, error) {
					var e struct{ ID string }
					assert.NoError(t, json.Unmarshal([]byte(body(r)), &e))
					sent = append(sent, e.ID)
					if answers := c.status[e.ID]; len(answers) > 0 {
						if c.status[e.ID] = answers[1:]; answers[0] == 0 {
							return nil, errors.New("reset")
						}
						return response(answers[0], "", nil), nil
					}
					return response(http.StatusAccepted, "", nil), nil
				})
				err := send(t.Context(), several(c.events)...)
				assert.Equal(t, c.sent, strings.Join(sent, " "))
				if c.fails == "" {
					require.NoError(t, err)
					return
				}
				assertKind(t, err, c.kind, c.fails)
			})
		})
	}
}

func TestAnEventThatCannotBeEncodedKeepsThoseBesideItBack(t *testing.T) {
	t.Parallel()
	bus := new(entries)
	all := several(12)
	all[11] = event.Event{}
	assertKind(t, bridge(t, bus)(t.Context(), all...), attempt.Transient)
	assert.Equal(t, []string{numbers(1, 10)}, bus.calls)
}
