package frontdoor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// patience bounds what is waited for; it is long, since the machine may be busy.
const patience = time.Minute

// held stands before the cloud, and holds back the answers to writes.
type held struct {
	written chan struct{} // gets an element when an answer is held back
	release chan struct{} // lets all go on once it is closed
}

// hold lets the writes of a stage's functions wait for their answers, but for the first so many.
func (s *stage) hold(t *testing.T, skip int) *held {
	t.Helper()
	h := &held{make(chan struct{}, 100), make(chan struct{})}
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			s.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		skip--
		hold := skip < 0
		mu.Unlock()
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		if hold {
			h.written <- struct{}{}
			<-h.release
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	t.Cleanup(h.letGo)
	s.env["IDENTITYCENTER_ENDPOINT"], s.env["ORGANIZATIONS_ENDPOINT"] = server.URL, server.URL
	s.env["REQUEST_TIMEOUT"] = "60s" // nobody else ends the wait
	return h
}

func (h *held) letGo() {
	select {
	case <-h.release:
	default:
		close(h.release)
	}
}

// wait waits until the answer to a write is held back.
func (h *held) wait(t *testing.T) {
	t.Helper()
	select {
	case <-h.written:
	case <-time.After(patience):
		require.FailNow(t, "nothing was written")
	}
}

// sink is where results go.
func (s *stage) sink(t *testing.T) *receiver {
	t.Helper()
	to := new(receiver)
	server := httptest.NewServer(to)
	t.Cleanup(server.Close)
	s.env["RESULT_SINK"] = server.URL
	return to
}

// results are the outcomes that arrived, in their order, as "<cause id>: <outcome>", and the ids.
func (r *receiver) results(t *testing.T) (outcomes, ids []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.got {
		var data struct {
			Registrations []struct{ Outcome string }
			Cause         struct{ ID string }
		}
		require.NoError(t, json.Unmarshal(e.Data(), &data))
		outcomes = append(outcomes, data.Cause.ID+": "+data.Registrations[0].Outcome)
		ids = append(ids, e.ID())
	}
	return outcomes, ids
}

// resultID is the id of the result that makes an account an administrator.
func resultID(cause string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("/landing-zone\n"+cause+"\naccount.admin.registered")).String()
}

// three are the events of three accounts.
func (s *stage) three() []string {
	s.eventsChoose()
	var all []string
	for _, id := range []string{"a1", "a2", "a3"} {
		s.AddAccount(id, "active")
		all = append(all, adopt(id))
	}
	return all
}

// begin sends a request and returns where its answer will be.
func begin(t *testing.T, url, mediaType, body string) <-chan *http.Response {
	t.Helper()
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := http.Post(url, mediaType, strings.NewReader(body))
		if err != nil {
			resp = nil
		}
		answered <- resp
	}()
	return answered
}

// ended waits for the end of a process.
func ended(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience + 30*time.Second):
		require.FailNow(t, "the process doesn't end")
		return nil
	}
}

func TestTheServerFinishesItsBatchBeforeItEnds(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			batch, to, gate := s.three(), s.sink(t), s.hold(t, 1)
			url, cmd := s.serveHTTP(t, "register-admin")
			idle, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			defer idle.Close()
			_, err = io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			answers := bufio.NewReader(idle)
			healthy, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, healthy.StatusCode)

			answered := begin(t, url, events.BatchMediaType, "["+strings.Join(batch, ",")+"]")
			gate.wait(t) // the second event of the batch
			require.NoError(t, cmd.Process.Signal(signal))
			_, err = answers.ReadByte()
			require.ErrorIs(t, err, io.EOF, "an idle connection is closed at once")
			require.Eventually(t, func() bool {
				_, err := http.Get(url + "/healthz")
				return err != nil
			}, patience, 10*time.Millisecond, "nothing else is taken, so that nobody sends more")
			outcomes, _ := to.results(t)
			assert.Equal(t, []string{"a1: registered"}, outcomes)

			gate.letGo()
			resp := <-answered
			require.NotNil(t, resp)
			defer resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Len(t, resultsIn(t, body), 3)
			require.NoError(t, ended(t, cmd), "with 0")
			outcomes, _ = to.results(t)
			assert.Equal(t, []string{"a1: registered", "a2: registered", "a3: registered"}, outcomes)
		})
	}
}

// After a kill nobody knows what was written; the next delivery finds it.
func TestAServerThatIsKilledLeavesWhatTheNextDeliveryFinds(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]syscall.Signal{
		"killed":          {syscall.SIGKILL},
		"a second signal": {syscall.SIGTERM, syscall.SIGTERM},
		"another one":     {syscall.SIGINT, syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			batch, to, gate := "["+strings.Join(s.three(), ",")+"]", s.sink(t), s.hold(t, 1)
			url, cmd := s.serveHTTP(t, "register-admin")
			answered := begin(t, url, events.BatchMediaType, batch)
			gate.wait(t)
			for _, signal := range signals {
				require.NoError(t, cmd.Process.Signal(signal))
			}
			var resp *http.Response
			require.Eventually(t, func() bool {
				_ = cmd.Process.Signal(signals[len(signals)-1]) // the first may not have been taken yet
				select {
				case resp = <-answered:
					return true
				default:
					return false
				}
			}, patience, 10*time.Millisecond)
			assert.Nil(t, resp, "it ends at once")
			require.Error(t, ended(t, cmd))
			assert.Equal(t, []string{secMaster}, s.Delegations("a2"), "it was written")
			gate.letGo()

			s.log = new(lines) // the address of another process
			url, _ = s.serveHTTP(t, "register-admin")
			status, _, body := post(t, url, events.BatchMediaType, []byte(batch))
			require.Equal(t, http.StatusOK, status, "%s", body)
			outcomes, ids := to.results(t)
			assert.Equal(t, []string{"a1: registered", "a1: unchanged", "a2: unchanged", "a3: registered"}, outcomes)
			assert.Equal(t, []string{resultID("a1"), resultID("a1"), resultID("a2"), resultID("a3")}, ids)
		})
	}
}

// Lambda ends its processes without a word, and an invocation that was cut off is delivered again.
func TestAFunctionThatIsKilledInItsBatchLosesNothing(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.timeout = patience
			batch, to, gate := s.three(), s.sink(t), s.hold(t, 1)
			f := s.start(t, "register-admin")
			queue, dead, mapping := newQueue(t, f, "")
			for _, event := range batch {
				_, err := queue.Send(event, "")
				require.NoError(t, err)
			}
			delivered := make(chan error, 1)
			go func() {
				_, err := mapping.Deliver(t.Context())
				delivered <- err
			}()
			gate.wait(t)
			require.NoError(t, f.Processes()[0].Signal(signal))
			require.NoError(t, <-delivered)
			assert.Len(t, queue.Messages(), 3, "the whole batch stays")
			assert.Equal(t, []string{secMaster}, s.Delegations("a2"), "it was written")
			gate.letGo()
			queue.Advance(visibility)
			drain(t, queue, mapping)
			assert.Empty(t, dead.Messages())
			outcomes, ids := to.results(t)
			// Every second delivery begins with the last message.
			assert.Equal(t, []string{"a1: registered", "a3: registered", "a2: unchanged", "a1: unchanged"}, outcomes)
			assert.Equal(t, []string{resultID("a1"), resultID("a3"), resultID("a2"), resultID("a1")}, ids)
		})
	}
}

func TestOnFunctionGraphASignalWaitsForTheBatchAndAKillIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal   syscall.Signal
		finishes bool
	}{{syscall.SIGTERM, true}, {syscall.SIGINT, true}, {syscall.SIGKILL, false}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.host, s.timeout = onFunctionGraph, patience
			batch, to, gate := "["+strings.Join(s.three(), ",")+"]", s.sink(t), s.hold(t, 1)
			f := s.start(t, "register-admin")
			answered := make(chan lambdalocal.Answer, 1)
			invoke := func() {
				answer, err := f.Invoke(t.Context(), []byte(batch))
				assert.NoError(t, err)
				answered <- answer
			}
			go invoke()
			gate.wait(t)
			process := f.Processes()[0]
			require.NoError(t, process.Signal(c.signal))
			want := []string{"a1: registered", "a2: registered", "a3: registered"}
			if !c.finishes {
				assert.NotEmpty(t, (<-answered).FunctionError)
				assert.Equal(t, []string{secMaster}, s.Delegations("a2"), "it was written")
				gate.letGo()
				go invoke()
				want = []string{"a1: registered", "a1: unchanged", "a2: unchanged", "a3: registered"}
			}
			gate.letGo()
			answer := <-answered
			require.Empty(t, answer.FunctionError, "%s", answer.Payload)
			assert.Len(t, resultsIn(t, answer.Payload), 3)
			outcomes, ids := to.results(t)
			assert.Equal(t, want, outcomes)
			assert.Equal(t, resultID("a3"), ids[len(ids)-1])
			if c.finishes { // an event that was on its way to the process is delivered again
				require.Eventually(t, func() bool {
					invoke()
					return (<-answered).FunctionError == "" && !slices.Contains(f.Processes(), process)
				}, patience, 10*time.Millisecond, "the process ends once it has taken the signal")
			}
		})
	}
}

// What a client does with its connection doesn't concern the events that it sent.
func TestAClientOfTheServerMayGoAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	batch, to, gate := "["+strings.Join(s.three(), ",")+"]", s.sink(t), s.hold(t, 1)
	url, _ := s.serveHTTP(t, "register-admin")
	send := func(length int, body string) *net.TCPConn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			events.BatchMediaType, length, body)
		require.NoError(t, err)
		return conn.(*net.TCPConn)
	}
	half := send(len(batch), batch)
	require.NoError(t, half.CloseWrite())
	gate.wait(t)
	gate.letGo()
	resp, err := http.ReadResponse(bufio.NewReader(half), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode, "%s", body)
	want := []string{"a1: registered", "a2: registered", "a3: registered"}
	outcomes, _ := to.results(t)
	assert.Equal(t, want, outcomes)

	// More clients than there are places leave in the middle of a body: each place is given back.
	before := len(s.calls())
	const clients = 40
	for n := range clients {
		send(len(batch), batch[:n]).Close()
		reset := send(len(batch), batch[:n])
		require.NoError(t, reset.SetLinger(0)) // which may go before the server has seen anything
		reset.Close()
	}
	require.Eventually(t, func() bool {
		text := s.log.String()
		return strings.Count(text, "the body can't be read")+strings.Count(text, "too many requests") >= clients
	}, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		assert.Len(t, s.calls(), before, "half an event is none")
		status, _, _ := post(t, url, events.BatchMediaType, []byte("[]"))
		return status == http.StatusOK
	}, patience, 10*time.Millisecond)
}

func TestAWriteThatHasBegunIsFinishedAndToldThoughItsClientIsGone(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*net.TCPConn) error{
		"it closes": (*net.TCPConn).Close,
		"it resets": func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			batch, to, gate := "["+strings.Join(s.three(), ",")+"]", s.sink(t), s.hold(t, 0)
			url, cmd := s.serveHTTP(t, "register-admin")
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
				events.BatchMediaType, len(batch), batch)
			require.NoError(t, err)
			gate.wait(t)
			require.NoError(t, leave(conn.(*net.TCPConn)))
			// A signal shows that the work counts as under way, though nobody waits for it.
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.Eventually(t, func() bool {
				_, err := http.Get(url + "/healthz")
				return err != nil
			}, patience, 10*time.Millisecond)
			gate.letGo()
			require.NoError(t, ended(t, cmd), "with 0")
			outcomes, _ := to.results(t)
			assert.Equal(t, []string{"a1: registered", "a2: registered", "a3: registered"}, outcomes)
		})
	}
}

// A peer that takes connections and says nothing, as seen by the built functions.
func TestASilentPeerIsNamedBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environment func(silent string) map[string]string
		want        string
	}{
		"the cloud": {func(silent string) map[string]string {
			return map[string]string{"IDENTITYCENTER_ENDPOINT": "http://" + silent}
		}, "RegisteredRegions: context deadline exceeded"},
		"the cloud, in TLS": {func(silent string) map[string]string {
			return map[string]string{"IDENTITYCENTER_ENDPOINT": "https://" + silent}
		}, "RegisteredRegions: context deadline exceeded"},
		"a proxy": {func(silent string) map[string]string {
			return map[string]string{
				"IDENTITYCENTER_ENDPOINT": "https://identitycenter.example", "HTTPS_PROXY": "http://" + silent,
			}
		}, "RegisteredRegions: context deadline exceeded"},
		"a sink": {func(silent string) map[string]string {
			return map[string]string{"RESULT_SINK": "http://" + silent}
		}, "registered, but the result can't be delivered: the sink http://127.0.0.1:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachHost(t, func(t *testing.T, s *stage) {
				silent, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { silent.Close() })
				maps.Copy(s.env, c.environment(silent.Addr().String()))
				s.timeout = 4 * time.Second // 3 s are the least with a sink
				failed := s.fail(t, "register-region", bootstrap(north))
				assert.Equal(t, "TransientError", failed.ErrorType, "not that of the host: %s", failed.ErrorMessage)
				assert.Contains(t, failed.ErrorMessage, c.want)
			})
		})
	}
}
