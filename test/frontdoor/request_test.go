package frontdoor

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// onEachURL runs a test with the URL of register-region as an HTTP server, and with its function
// URL.
func onEachURL(t *testing.T, test func(t *testing.T, s *stage, url string)) {
	t.Helper()
	t.Run("HTTP server", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		url, _ := s.serveHTTP(t, "register-region")
		test(t, s, url)
	})
	t.Run("function URL", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		f, ok := s.start(t, "register-region").(*lambdalocal.Function)
		require.True(t, ok)
		server := httptest.NewServer(lambdalocal.URL{Function: f})
		t.Cleanup(server.Close)
		test(t, s, server.URL)
	})
}

// send posts a request, and returns the answer with its body.
func send(t *testing.T, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(answer)
}

func structuredMode() http.Header { return http.Header{"Content-Type": {events.StructuredMediaType}} }

// binaryMode are the headers of an event in binary mode. A pair replaces one, or adds one.
func binaryMode(pairs ...string) http.Header {
	h := http.Header{
		"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"in-1"},
		"Ce-Source": {"/landing-zone"}, "Ce-Type": {"org.bootstrap"},
	}
	for pair := range slices.Chunk(pairs, 2) {
		h[pair[0]] = []string{pair[1]}
	}
	return h
}

// Some senders write a byte order mark, repeat a header, or send headers of their own. None of that
// is a reason to refuse an event, nor to take another than was meant.
func TestWhatNobodyReadsCostsNoEvent(t *testing.T) {
	t.Parallel()
	twice := binaryMode()
	twice["Ce-Id"] = []string{"1", "2"}
	for name, c := range map[string]struct {
		header  http.Header
		body    string
		id      string // the event's
		outcome string
	}{
		"a mark before the event": {structuredMode(), "\ufeff" + bootstrap(north), "in-1", "registered"},
		"a mark before a batch": {
			http.Header{"Content-Type": {events.BatchMediaType}},
			"\ufeff[" + bootstrap(north) + "]", "in-1", "registered",
		},
		"a mark before the data": {binaryMode(), "\ufeff" + north, "in-1", "registered"},
		"a leap second": {
			structuredMode(), input("org.bootstrap", north, `"time":"1998-12-31T23:59:60Z",`), "in-1", "registered",
		},
		"a percent sign in a header": {
			binaryMode("Ce-Knativeerrordata", "disk 100% full"), north, "in-1", "registered",
		},
		"a header like data":        {binaryMode("Ce-Data_base64", "e30="), north, "in-1", "registered"},
		"a header like data, alone": {binaryMode("Ce-Data_base64", "!"), "", "in-1", "skipped"},
		"an id twice":               {twice, north, "1,2", "registered"},
		"a form without data": {
			binaryMode("Content-Type", "application/x-www-form-urlencoded"), "", "in-1", "skipped",
		},
		"an attribute that is an array": {
			structuredMode(), input("org.bootstrap", north, `"ext":[{}],`), "in-1", "registered",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachURL(t, func(t *testing.T, s *stage, url string) {
				resp, body := send(t, url, c.header.Clone(), c.body)
				require.Equal(t, http.StatusOK, resp.StatusCode, body)
				r := resultsIn(t, []byte(body))[0]
				assert.Equal(t, c.outcome, r.Data.Outcome)
				assert.Equal(t, c.id, r.CausationID)
				assert.Equal(t, map[string]string{"registered": "cn-north-4"}[c.outcome], s.Region())
			})
			if c.header.Get("Content-Type") == "application/json" || c.body == "" {
				return
			}
			onEachHost(t, func(t *testing.T, s *stage) { // what is not a header comes in any other way, too
				f := s.start(t, "register-region")
				answer, err := f.Invoke(t.Context(), []byte(c.body))
				require.NoError(t, err)
				require.Empty(t, answer.FunctionError, "%s", answer.Payload)
				assert.Equal(t, c.outcome, resultsIn(t, answer.Payload)[0].Data.Outcome)
				answer, err = f.Invoke(t.Context(), []byte(queued(c.body)))
				require.NoError(t, err)
				assert.JSONEq(t, `{"batchItemFailures":[]}`, string(answer.Payload))
			})
		})
	}
}

// The program refuses what the schemas refuse, wherever it comes.
func TestATimeOrASourceThatIsNotOneIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ event, want string }{
		"an offset of a day": {
			input("org.bootstrap", north, `"time":"1990-12-31T15:59:59-24:00",`), "time: must be like",
		},
		"an address in a path": {
			strings.Replace(bootstrap(north), "/landing-zone", "/[::1]", 1), "source: must be a URI-reference",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachURL(t, func(t *testing.T, s *stage, url string) {
				resp, body := send(t, url, structuredMode(), c.event)
				assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
				assert.Contains(t, body, c.want)
				assert.Empty(t, s.calls())
			})
			onEachHost(t, func(t *testing.T, s *stage) {
				failed := s.fail(t, "register-region", c.event)
				assert.Equal(t, "InvalidEventError", failed.ErrorType)
				assert.Contains(t, failed.ErrorMessage, c.want)
			})
		})
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}

// A result would be final, and the sender would drop the event.
func TestAFaultOfTheRequestIsNoResultAboutTheEvent(t *testing.T) {
	t.Parallel()
	charset := structuredMode()
	charset.Set("Content-Type", events.StructuredMediaType+"; charset=utf-16")
	compressed := structuredMode()
	compressed.Set("Content-Encoding", "gzip")
	for name, c := range map[string]struct {
		header http.Header
		body   string
		status int
		coding string // what Accept-Encoding says
	}{
		"compressed data":    {binaryMode("Content-Encoding", "gzip"), gzipped(t, north), 415, "identity"},
		"a compressed event": {compressed, gzipped(t, bootstrap(north)), 415, "identity"},
		"another charset":    {charset, bootstrap(north), 415, ""},
		"data in another": {
			binaryMode("Content-Type", "application/json; charset=utf-16le"), "{\x00}\x00", 415, "",
		},
		"bytes, and no reason": {binaryMode(), gzipped(t, north), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachURL(t, func(t *testing.T, s *stage, url string) {
				resp, body := send(t, url, c.header.Clone(), c.body)
				assert.Equal(t, c.status, resp.StatusCode, body)
				assert.Equal(t, c.coding, resp.Header.Get("Accept-Encoding"))
				assert.Contains(t, body, `"error_type":"InvalidEventError"`)
				assert.Empty(t, s.calls())
			})
		})
	}
}

// logs waits until the log has so many lines, which come after an answer of the HTTP server, and
// fails if it has others.
func (s *stage) logs(t *testing.T, lines int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(s.log.String(), "\n") >= lines },
		10*time.Second, 10*time.Millisecond, "%s", s.log)
	assert.Len(t, s.log.parse(t), lines)
}

func TestEachRefusedRequestHasOneLine(t *testing.T) {
	t.Parallel()
	onEachURL(t, func(t *testing.T, s *stage, url string) {
		before := len(s.log.parse(t))
		resp, err := http.Get(url + "/" + strings.Repeat("x", 4000))
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		resp, _ = send(t, url, structuredMode(), strings.Repeat(" ", 1<<20+1))
		assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
		resp, _ = send(t, url, http.Header{"Content-Type": {"text/plain"}}, "hello")
		assert.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode)
		s.logs(t, before+3)
		for _, line := range s.log.parse(t)[before:] {
			assert.Equal(t, "InvalidEventError", line["error_type"])
		}
		assert.Less(t, len(s.log.String()), 4000)
	})
}

// Nobody on FunctionGraph reads the status in such an answer: a 503 would acknowledge the event.
func TestARequestInAPayloadIsNoEventOnFunctionGraph(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.host = onFunctionGraph
	s.Script("GET", "", huaweitest.Fault{Status: 503, Times: huaweitest.Forever})
	failed := s.fail(t, "register-region", urlRequest(events.StructuredMediaType, bootstrap(north)))
	assert.Equal(t, "InvalidEventError", failed.ErrorType)
	assert.Contains(t, failed.ErrorMessage, "send the event itself")
	assert.Empty(t, s.calls())

	s.given = func(header http.Header) { header.Del("X-CFF-Secret-Key") }
	failed = s.fail(t, "register-region", urlRequest(events.StructuredMediaType, bootstrap(north)))
	assert.Equal(t, "MisconfiguredError", failed.ErrorType)
}

// Both hosts refuse an answer of more than 6 MB, each time the event is delivered.
func TestAnAnswerThatIsTooLargeIsAFailureThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		var all []string
		for i := range 3000 {
			id := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 800))
			all = append(all, strings.Replace(bootstrap(`{}`), "in-1", id, 1))
		}
		f := s.start(t, "register-region")
		payload := []byte("[" + strings.Join(all, ",") + "]")
		for range 2 {
			answer, err := f.Invoke(t.Context(), payload)
			require.NoError(t, err)
			var failed failure
			require.NoError(t, json.Unmarshal(answer.Payload, &failed), "%.300s", answer.Payload)
			assert.Equal(t, "InvalidEventError", failed.ErrorType)
			assert.Contains(t, failed.ErrorMessage, "handled, but the results")
			assert.Contains(t, failed.ErrorMessage, "send the events again, fewer in one payload")
		}
		answer, err := f.Invoke(t.Context(), []byte("["+strings.Join(all[:1000], ",")+"]"))
		require.NoError(t, err)
		assert.Empty(t, answer.FunctionError)
		assert.Greater(t, len(answer.Payload), 2<<20)
	})
}

// A payload without a single event is told once, whatever it has.
func TestAPayloadOfNoEventsIsOneLine(t *testing.T) {
	t.Parallel()
	zeros := "[" + strings.Repeat("0,", 9_999) + "0]"
	for name, payload := range map[string]string{
		"an array":                zeros,
		"an array in a message":   queued(zeros),
		"an array in SNS":         `{"Records":[{"EventSource":"aws:sns","Sns":{"Message":` + quoted(zeros) + `}}]}`,
		"an array in EventBridge": `{"id":"1","source":"x","detail-type":"x","detail":` + zeros + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				answer, err := s.start(t, "register-region").Invoke(t.Context(), []byte(payload))
				require.NoError(t, err)
				if name == "an array in a message" {
					assert.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"m-1"}]}`, string(answer.Payload))
				} else {
					assert.NotEmpty(t, answer.FunctionError)
				}
				assert.Len(t, s.log.parse(t), 1)
				assert.Less(t, len(s.log.String()), 2000)
			})
		})
	}
	s := newStage(t)
	url, _ := s.serveHTTP(t, "register-region")
	before := len(s.log.parse(t))
	resp, _ := send(t, url, http.Header{"Content-Type": {events.BatchMediaType}}, zeros)
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	s.logs(t, before+1)
}

// One large message doesn't keep those behind it waiting until all are dead letters.
func TestALargeMessageStarvesNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.timeout = 8 * time.Second
	s.eventsChoose()
	s.Script("GET", "", huaweitest.Fault{Delay: 100 * time.Millisecond, Times: huaweitest.Forever})
	many := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(adopt(account)+",", n), ",") + "]" }
	messages := []string{message("too-many", many(1_900)), message("large", many(100))}
	want := map[string]bool{"too-many": true, "large": true}
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		s.AddAccount(id, "active")
		messages = append(messages, message(id, adopt(id)))
	}
	answer, err := s.start(t, "register-admin").Invoke(t.Context(), []byte(batch(messages...)))
	require.NoError(t, err)
	var failed struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	require.NoError(t, json.Unmarshal(answer.Payload, &failed), "%s", answer.Payload)
	got := map[string]bool{}
	for _, item := range failed.BatchItemFailures {
		got[item.ItemIdentifier] = true
	}
	assert.Subset(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		assert.Equal(t, []string{secMaster}, s.Delegations(id))
	}
}

// The envelope's time counts, so that an old event is rejected rather than waited for.
func TestTheTimeOfAnEnvelopeIsThatOfAnEventWithout(t *testing.T) {
	t.Parallel()
	onEachHost(t, func(t *testing.T, s *stage) {
		s.RemoveAccount(account)
		at := func(age time.Duration) string {
			return `{"version":"0","id":"eb","detail-type":"x","source":"com.example","time":"` +
				time.Now().Add(-age).UTC().Format(time.RFC3339) + `","detail":` + created(both) + `}`
		}
		f := s.start(t, "register-admin")
		r, failed := s.invokeOn(t, f, at(time.Hour))
		require.Nil(t, failed, "%+v", failed)
		assert.Equal(t, "account.admin.rejected", r.Type)
		_, failed = s.invokeOn(t, f, at(0))
		require.NotNil(t, failed)
		assert.Equal(t, "TransientError", failed.ErrorType)
	})
}
