package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const secMaster = "service.SecMaster"

// adopting makes the account of each event an administrator, unless it reads that it is one.
func adopting(environment map[string]string) *program[struct{}] {
	return &program[struct{}]{
		name:   "register-admin",
		policy: `{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["organizations:*"]}]}`,
		function: func(api *client.Client, _ struct{}) handler.Function {
			return handler.NewFunction(events.AccountCreatedInput(),
				func(ctx context.Context, _ events.Event, d events.AccountCreated) (events.Result, error) {
					one := events.Registration{ServicePrincipal: secMaster}
					listed, err := api.DelegatedServices(ctx, string(d.AccountID))
					switch {
					case err != nil:
					case slices.Contains(listed, secMaster):
						one.Outcome = events.Unchanged
					default:
						var sent client.Sent
						sent, err = api.RegisterDelegatedAdministrator(ctx, string(d.AccountID), secMaster)
						one.Outcome, one.Attempts, one.RequestID = events.Registered, sent.Attempts, sent.RequestID
					}
					return events.AdminResult{AccountID: d.AccountID, RegistrationsResult: events.RegistrationsResult{
						Registrations: []events.Registration{one},
					}}, err
				})
		},
		environment: envconfig.MapLookuper(environment),
		level:       new(slog.LevelVar),
	}
}

// adopt is a payload of so many events, each about an account of its own. One comes by itself.
func adopt(cloud *huaweitest.Cloud, n int) []byte {
	var all []string
	for i := range n {
		id := fmt.Sprintf("account-%d", i)
		cloud.AddAccount(id, "active")
		all = append(all, fmt.Sprintf(
			`{"specversion":"1.0","id":%q,"source":"/s","type":"account.created","data":{"account_id":%[1]q}}`, id))
	}
	if n == 1 {
		return []byte(all[0])
	}
	return []byte("[" + strings.Join(all, ",") + "]")
}

// logged lets what is logged go to a buffer until the test ends.
func logged(t *testing.T) *left {
	t.Helper()
	out, before := new(left), slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return out
}

// unhurried is a cloud that takes its time, and knows when it was asked.
type unhurried struct {
	*huaweitest.Cloud
	mu    sync.Mutex
	pace  string
	seen  map[string]int // requests of a URL and a body
	asked []time.Time
}

func (u *unhurried) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	pace := u.pace
	u.asked = append(u.asked, time.Now())
	u.seen[r.URL.String()]++
	first := u.seen[r.URL.String()] == 1
	u.mu.Unlock()
	deadline, _ := r.Context().Deadline()
	switch {
	case pace == "at once", pace == "written, then never" && r.Method == http.MethodGet:
		return u.Cloud.RoundTrip(r)
	case pace == "late":
		time.Sleep(time.Until(deadline) * 9 / 10)
		return u.Cloud.RoundTrip(r)
	case pace == "busy, then never" && first:
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody}, nil
	case pace == "written, then never":
		_, _ = u.Cloud.RoundTrip(r)
	}
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// When an invocation ends whose calls are never answered. 0 is at once: no call would fit in it.
var ends = []struct{ timeout, bare, withSink time.Duration }{
	{100 * time.Millisecond, 0, 0},
	{250 * time.Millisecond, 0, 0},
	{499 * time.Millisecond, 0, 0},
	{500 * time.Millisecond, 0, 0},
	{501 * time.Millisecond, 0, 0},
	{599 * time.Millisecond, 0, 0},
	{600 * time.Millisecond, 100 * time.Millisecond, 0},
	{time.Second, 500 * time.Millisecond, 0},
	{1500 * time.Millisecond, time.Second, 0},
	{1999 * time.Millisecond, 1499 * time.Millisecond, 0},
	{2000 * time.Millisecond, 1500 * time.Millisecond, 0},
	{2001 * time.Millisecond, 1501 * time.Millisecond, 0},
	{2100 * time.Millisecond, 1600 * time.Millisecond, 100 * time.Millisecond},
	{3 * time.Second, 2500 * time.Millisecond, time.Second},
	{5 * time.Second, 4500 * time.Millisecond, 3 * time.Second},
	{15 * time.Second, 14500 * time.Millisecond, 13 * time.Second},
	{60 * time.Second, 59500 * time.Millisecond, 58 * time.Second}, // a single event: four attempts of 10 s
}

// Lines are logged by the default logger, which it replaces, so it can't run beside others.
func TestInvocationsEndBeforeTheirDeadline(t *testing.T) { //nolint:paralleltest // see above
	for _, row := range ends {
		for _, sink := range []string{"", "at once", "never"} {
			for _, pace := range []string{"at once", "late", "never", "busy, then never", "written, then never"} {
				for _, batch := range []struct{ events, concurrency int }{{1, 1}, {10, 1}, {10, 5}} {
					name := fmt.Sprintf("%s, sink %q, %s, %d events by %d",
						row.timeout, sink, pace, batch.events, batch.concurrency)
					t.Run(name, func(t *testing.T) {
						end, last := row.bare, row.timeout-500*time.Millisecond
						if sink != "" {
							end = row.withSink
						}
						synctest.Test(t, func(t *testing.T) {
							d := deadlines{t: t, end: end, last: last, sink: sink, pace: pace, events: batch.events}
							d.run(row.timeout, batch.concurrency)
						})
					})
				}
			}
		}
	}
}

// deadlines is one case of the test above.
type deadlines struct {
	t          *testing.T
	end        time.Duration // when the last call of Huawei Cloud has ended
	last       time.Duration // when the last call of the sink has
	sink, pace string
	events     int
}

func (d deadlines) run(timeout time.Duration, concurrency int) {
	t, out := d.t, logged(d.t)
	cloud := &unhurried{
		Cloud: huaweitest.New(huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}),
		pace:  d.pace, seen: map[string]int{},
	}
	cloud.TrustService(secMaster)
	payload := adopt(cloud.Cloud, d.events)
	bus := new(awstest.EventBridge)
	environment := map[string]string{
		"HUAWEICLOUD_SDK_AK": "AKEXAMPLE0001", "HUAWEICLOUD_SDK_SK": "SKexample0001",
		"CONCURRENCY": fmt.Sprint(concurrency),
	}
	if d.sink != "" {
		environment["RESULT_SINK"] = "eventbridge://results"
	}
	p := adopting(environment)
	p.common.Client.Transport = cloud
	var sent []time.Time // when the sink was called
	var mu sync.Mutex
	p.common.Sink.AWS = awstest.Config(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		sent = append(sent, time.Now())
		mu.Unlock()
		bus.ServeHTTP(w, r)
	}))
	if d.sink == "never" {
		bus.Script(awstest.Silence)
	}
	h, _, err := p.build(t.Context())
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	start := time.Now()
	_, err = h.Invoke(ctx, payload)
	took := time.Since(start)
	lines := strings.Count(out.String(), "\n")
	if d.end == 0 {
		require.ErrorAs(t, err, new(*handler.MisconfiguredError))
		require.ErrorContains(t, err, "set the function's timeout to 60s, or at least to")
		assert.Zero(t, took)
		assert.Empty(t, cloud.asked)
		assert.Equal(t, 1, lines)
		return
	}
	assert.Equal(t, d.events, lines, "one line for each event: %s", out)
	begun := 0
	for u := range cloud.seen {
		if strings.Contains(u, "/delegated-services") {
			begun++
		}
	}
	assert.Equal(t, d.events-begun, strings.Count(out.String(), `"msg":"event held back"`), "%s", out)
	for _, at := range cloud.asked {
		assert.Less(t, at.Sub(start), d.end, "a call is begun past the margin")
	}
	for _, at := range sent {
		assert.Less(t, at.Sub(start), d.last, "a delivery is begun past the margin")
	}
	d.check(err, took)

	// The next time all is well. What was written is found, and its result is the same.
	cloud.mu.Lock()
	cloud.pace = "at once"
	written := len(cloud.Delegations("account-0"))
	cloud.mu.Unlock()
	bus.Script()
	answer, err := h.Invoke(t.Context(), payload)
	require.NoError(t, err)
	if first := outcomes(t, answer)[0]; written > 0 {
		assert.Equal(t, "unchanged", first)
	} else {
		assert.Equal(t, "registered", first)
	}
	for i := range d.events {
		assert.Equal(t, []string{secMaster}, cloud.Delegations(fmt.Sprintf("account-%d", i)))
	}
}

// check checks how an invocation ended.
func (d deadlines) check(err error, took time.Duration) {
	t := d.t
	const waits = 1400 * time.Millisecond // between four attempts, at most
	silent := d.pace != "at once" && d.pace != "late"
	switch {
	case silent || d.sink == "never":
	case d.pace == "at once":
		require.NoError(t, err)
		assert.Zero(t, took)
		return
	default:
		assert.Less(t, took, d.end)
		if err != nil { // the time wasn't enough for all of them
			assert.Greater(t, d.events, 1)
			require.ErrorAs(t, err, new(*handler.TransientError))
		}
		return
	}
	end := d.end
	if !silent {
		end = d.last
	}
	least, most, attempts := end, end, 2
	switch {
	case d.pace == "busy, then never" && end <= 200*time.Millisecond: // the first wait may be too long
		least, attempts = 0, 0
	case end > 40*time.Second && d.pace == "late": // two calls of 9 s, then the sink
		least, most, attempts = 58*time.Second, end, 4
	case end > 40*time.Second && d.events == 1 && d.pace == "busy, then never":
		least, most, attempts = 30*time.Second, 30*time.Second+waits, 4
	case end > 40*time.Second && d.events == 1:
		least, most, attempts = 40*time.Second, 40*time.Second+waits, 4
	case end > 40*time.Second:
		attempts = 4
	case end > 10*time.Second:
		attempts = 3
	}
	assert.GreaterOrEqual(t, took, least)
	assert.LessOrEqual(t, took, most)
	require.ErrorAs(t, err, new(*handler.TransientError))
	switch {
	case !silent:
		require.ErrorContains(t, err, secMaster+": registered, but the result can't be delivered: "+
			"the sink eventbridge://results: ")
	case d.pace == "written, then never":
		require.ErrorContains(t, err, "RegisterDelegatedAdministrator: ")
	case d.pace == "busy, then never" && (attempts == 2 || attempts == 3): // the last real error
		require.ErrorContains(t, err,
			fmt.Sprintf("context deadline exceeded after %d attempts: DelegatedServices: status 503", attempts))
	default:
		require.ErrorContains(t, err, "DelegatedServices: ")
	}
}

// outcomes are those of an answer's result events.
func outcomes(t *testing.T, answer []byte) []string {
	t.Helper()
	type result struct {
		Data struct{ Registrations []struct{ Outcome string } }
	}
	if !strings.HasPrefix(string(answer), "[") {
		answer = []byte("[" + string(answer) + "]")
	}
	var results []result
	require.NoError(t, json.Unmarshal(answer, &results))
	var all []string
	for _, r := range results {
		all = append(all, r.Data.Registrations[0].Outcome)
	}
	return all
}

// Credentials expire by the clock of Huawei Cloud. That ours is wrong, and set right in between, is
// nothing that an event notices.
func TestHoursWithAClockThatIsWrongAndThenRight(t *testing.T) { //nolint:paralleltest // see above
	const day = 24 * time.Hour
	for _, off := range []time.Duration{
		time.Minute, -time.Minute, 10 * time.Minute, -10 * time.Minute, 50 * time.Minute, -50 * time.Minute,
		day, -day, 3650 * day, -3650 * day,
	} {
		for how, environment := range map[string]map[string]string{
			"by token": {
				"HUAWEICLOUD_OIDC_PROVIDER_URN": providerURN, "HUAWEICLOUD_OIDC_AGENCY_URN": agencyURN,
				"HUAWEICLOUD_OIDC_AUDIENCE": "huaweicloud",
			},
			"by key": {
				"HUAWEICLOUD_SDK_AK": "AKEXAMPLE0001", "HUAWEICLOUD_SDK_SK": "SKexample0001",
				"HUAWEICLOUD_AGENCY_URN": agencyURN,
			},
		} {
			t.Run(fmt.Sprint(how, " ", off), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { workByAnotherClock(t, environment, off) })
			})
		}
	}
}

// workByAnotherClock works for hours while the clocks of all others are ahead of ours, and then are
// not.
func workByAnotherClock(t *testing.T, environment map[string]string, off time.Duration) {
	t.Helper()
	out := logged(t)
	start := time.Now()
	clock := func() time.Time {
		if time.Since(start) > 100*time.Minute {
			return time.Now()
		}
		return time.Now().Add(off)
	}
	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"})
	cloud.SetClock(clock)
	cloud.TrustService(secMaster)
	cloud.AllowAssume("AKEXAMPLE0001", agencyURN)
	cloud.TrustOIDC(providerURN, agencyURN, huaweitest.Trust{
		Issuer: awstest.Issuer, Audience: "huaweicloud", Subjects: []string{awstest.Role},
	})
	sts, bus := new(awstest.STS), new(awstest.EventBridge)
	sts.SetClock(clock)
	environment = maps.Clone(environment)
	environment["RESULT_SINK"] = "eventbridge://results"
	p := adopting(environment)
	p.common.Client.Transport = cloud
	p.common.Credentials.AWS = awstest.Config(awstest.ByClock(clock, sts))
	p.common.Sink.AWS = awstest.Config(awstest.ByClock(clock, bus))
	h, _, err := p.build(t.Context())
	require.NoError(t, err)
	const events = 40 // one each five minutes
	for range events {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := h.Invoke(ctx, adopt(cloud, 1))
		cancel()
		require.NoError(t, err, "after %s: %s", time.Since(start), out)
		time.Sleep(5 * time.Minute)
	}
	assert.Len(t, bus.Entries(), events)
	assert.Len(t, cloud.Delegations("account-0"), 1)
	most := 6 // one for each hour, and what the step costs
	if off == -50*time.Minute {
		most = 24 // they seem to have ten minutes left, and are renewed after half of them
	}
	assert.LessOrEqual(t, len(cloud.Issued()), most)
}
