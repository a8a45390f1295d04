package frontdoor

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
)

const visibility = 6 * time.Minute

// newQueue returns a queue, its dead-letter queue, and the mapping that delivers its messages to
// the function.
func newQueue(t *testing.T, f function, suffix string) (
	queue, dead *lambdalocal.Queue, mapping lambdalocal.Mapping,
) {
	t.Helper()
	trigger, err := lambdalocal.NewTrigger(f.Invoke, "queue"+suffix, visibility)
	require.NoError(t, err)
	return trigger.Queue, trigger.DeadLetters, trigger.Mapping
}

// drain delivers until nothing is left, letting visibility timeouts pass.
func drain(t *testing.T, queue *lambdalocal.Queue, mapping lambdalocal.Mapping) {
	t.Helper()
	for range 100 {
		_, err := mapping.Deliver(t.Context())
		require.NoError(t, err)
		if len(queue.Messages()) == 0 {
			return
		}
		queue.Advance(visibility)
	}
	require.Fail(t, "the queue doesn't empty")
}

// adopt is the event that makes the account an administrator of SecMaster.
func adopt(account string) string {
	event := created(`{"account_id":"` + account + `","service_principal":"` + secMaster + `"}`)
	return strings.Replace(event, "in-1", account, 1)
}

func TestWhatCanBeRegisteredIsAndTheRestEndsInTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.eventsChoose()
	s.env["MAX_ATTEMPTS"] = "1"
	s.Script("GET", "/v1/organizations/accounts/throttled/delegated-services",
		huaweitest.Fault{Status: 429, Code: "APIGW.0308", Times: huaweitest.Forever})
	s.Script("GET", "/v1/organizations/accounts/forbidden/delegated-services",
		huaweitest.Fault{Status: 403, Code: "Organizations.1007", Times: huaweitest.Forever})
	queue, dead, mapping := newQueue(t, s.start(t, "register-admin"), "")
	bodies := []string{adopt("throttled")} // first, so that it holds back all others
	for i := range 5 {
		id := fmt.Sprintf("good-%d", i)
		s.AddAccount(id, "active")
		bodies = append(bodies, adopt(id))
	}
	bodies = append(bodies, adopt("x")[:30], " ", bootstrap(north), adopt("forbidden"))
	for _, body := range bodies {
		_, err := queue.Send(body, "")
		require.NoError(t, err)
	}
	_, err := mapping.Deliver(t.Context())
	require.NoError(t, err)
	assert.Zero(t, s.writes(), "the first delivery")
	drain(t, queue, mapping)

	for i := range 5 {
		assert.Equal(t, []string{secMaster}, s.Delegations(fmt.Sprintf("good-%d", i)))
	}
	var left []string
	for _, m := range dead.Messages() {
		left = append(left, m.Body)
	}
	assert.ElementsMatch(t, []string{bodies[0], bodies[6], bodies[7], bodies[8], bodies[9]}, left)
	for _, reason := range []string{
		"429 APIGW.0308", "payload is not JSON", "payload is empty", "takes events of type account.created",
		"403 Organizations.1007",
	} {
		assert.Contains(t, strings.ReplaceAll(s.log.String(), `\"`, `"`), reason, "the log says why")
	}
	for _, line := range s.log.parse(t) {
		assert.NotEmpty(t, line["message_id"])
	}
}

func TestAFIFOQueueKeepsTheOrderOfItsGroups(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.eventsChoose()
	s.env["MAX_ATTEMPTS"] = "1"
	s.Script("GET", "/v1/organizations/accounts/a2/delegated-services",
		huaweitest.Fault{Status: 403, Code: "Organizations.1007", Times: huaweitest.Forever})
	queue, dead, mapping := newQueue(t, s.start(t, "register-admin"), ".fifo")
	for _, id := range []string{"a1", "b1", "a2", "a3", "b2", "a4", "b3"} {
		s.AddAccount(id, "active")
		_, err := queue.Send(adopt(id), id[:1])
		require.NoError(t, err)
	}
	_, err := mapping.Deliver(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{secMaster}, s.Delegations("a1"))
	assert.Equal(t, []string{secMaster}, s.Delegations("b3"), "the other group goes on")
	assert.Empty(t, s.Delegations("a3"), "those behind the failure wait")
	queue.Advance(visibility)
	mapping.BatchSize = 1 // in a larger batch the followers are received, and dead-lettered, together with the failure
	drain(t, queue, mapping)

	order := map[string][]string{}
	for _, r := range s.Requests() {
		if r.Method == http.MethodPost {
			id := string(r.Body[len(`{"account_id":"`):][:2])
			order[id[:1]] = append(order[id[:1]], id)
		}
	}
	assert.Equal(t, map[string][]string{"a": {"a1", "a3", "a4"}, "b": {"b1", "b2", "b3"}}, order)
	var left []string
	for _, m := range dead.Messages() {
		left = append(left, m.Body)
	}
	assert.Equal(t, []string{adopt("a2")}, left)
}

func TestAnAccountBecomesReadyWhileItsEventIsRedelivered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.eventsChoose()
	queue, dead, mapping := newQueue(t, s.start(t, "register-admin"), "")
	young := `"time":"` + time.Now().Format(time.RFC3339) + `","data"`
	_, err := queue.Send(strings.Replace(adopt("late"), `"data"`, young, 1), "")
	require.NoError(t, err)
	for range 2 {
		_, err = mapping.Deliver(t.Context())
		require.NoError(t, err)
		require.Len(t, queue.Messages(), 1, "not ready")
		queue.Advance(visibility)
	}
	s.AddAccount("late", "active")
	drain(t, queue, mapping)
	assert.Equal(t, []string{secMaster}, s.Delegations("late"))
	assert.Empty(t, dead.Messages())
}

// The quota is 20 calls per second and API. SOAK=1 sends a thousand records, which takes a minute.
func TestManyRecordsWithinAQuota(t *testing.T) {
	t.Parallel()
	records, perSecond := 100, 20
	if os.Getenv("SOAK") != "" {
		records = 1000
	}
	s := newStage(t)
	s.eventsChoose()
	s.timeout = time.Minute
	s.RateLimit(perSecond, time.Second)
	s.Script("", "", huaweitest.Fault{Times: huaweitest.Forever, Header: http.Header{"Retry-After": {"1"}}})
	queue, dead, mapping := newQueue(t, s.start(t, "register-admin"), "")
	mapping.Concurrency = 2 // the least that AWS allows
	for i := range records {
		id := fmt.Sprintf("account-%d", i)
		s.AddAccount(id, "active")
		_, err := queue.Send(adopt(id), "")
		require.NoError(t, err)
	}
	start := time.Now()
	drain(t, queue, mapping)

	assert.Empty(t, dead.Messages(), "none is lost")
	for i := range records {
		assert.Equal(t, []string{secMaster}, s.Delegations(fmt.Sprintf("account-%d", i)))
	}
	calls, writes := 0, map[string]int{}
	for _, r := range s.Requests() {
		if r.Method == http.MethodHead {
			continue
		}
		calls++
		if r.Status == http.StatusCreated {
			writes[string(r.Body)]++
		}
	}
	assert.Len(t, writes, records)
	for body, n := range writes {
		assert.Equal(t, 1, n, body)
	}
	least := float64(4 * records) // three reads and a write each
	took := time.Since(start).Round(time.Second)
	t.Logf("%d calls, %.2f of the least possible, in %s", calls, float64(calls)/least, took)
	assert.LessOrEqual(t, float64(calls), 1.3*least)
}
