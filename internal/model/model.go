// Package model checks that a function is truthful: it draws thousands of sequences of events,
// faults, kills, changes by others and redeliveries, runs the function in each of them on a clock
// of its own, and compares what it did and said with what was true meanwhile. What must become of
// an event is written in oracle.go from the documentation alone, so that it shares no mistake with
// the program.
package model

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"registrar/internal/handler"
	"registrar/internal/lambdalocal"
	"registrar/internal/planted"
	"registrar/internal/racedetector"
	"registrar/internal/sink"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/wire"
)

// visibility is how long it takes until what failed is delivered again.
const visibility = 6 * time.Minute

// Run checks the function of a folder, which build makes of its own configuration, as its main
// does. Each kind of trouble is a test, with as many sequences as -rapid.checks says, of which the
// race detector has time for a fifth. It takes all lines that are logged meanwhile, so no other
// test may run beside it.
func Run[C any](t *testing.T, function string, build func(*client.Client, C) handler.Function) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if racedetector.Enabled && !given { // it makes a sequence much slower
		require.NoError(t, flag.Set("rapid.checks", "20"))
	}
	before := slog.Default()
	slog.SetDefault(slog.New(router{}))
	t.Cleanup(func() { slog.SetDefault(before) })
	total := &tally{counts: map[string]int{}}
	t.Cleanup(func() { total.report(t, function) })
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				plan := plans(p, function).Draw(t, "plan")
				rapid.SyncTest(t, func(t *rapid.T) {
					s := newSequence(plan, func(api *client.Client) (handler.Function, error) {
						var own C
						err := envconfig.ProcessWith(t.Context(), &envconfig.Config{
							Target: &own, Lookuper: envconfig.MapLookuper(plan.cfg.env(function)),
						})
						if v, ok := any(own).(interface{ Validate() error }); ok && err == nil {
							err = v.Validate()
						}
						return build(api, own), err
					})
					s.run(t)
					total.add(s.world.counted)
				})
			})
		})
	}
}

// sequence is a plan that is carried out.
type sequence struct {
	world *world
	build func(*client.Client) (handler.Function, error)
	drawn time.Time

	queue, letters *lambdalocal.Queue
	bodies         map[string]message // by their texts
	messages       map[string]sent    // by their ids in the queue
	by             map[string]*delivery

	mu      sync.Mutex
	process *handler.Handler
}

func newSequence(p plan, build func(*client.Client) (handler.Function, error)) *sequence {
	s := &sequence{
		world: newWorld(p), build: build, drawn: time.Now(),
		bodies: map[string]message{}, messages: map[string]sent{}, by: map[string]*delivery{},
	}
	s.world.order = s.checkOrder
	return s
}

// run delivers everything until it is quiet, and fails if an invariant didn't hold.
func (s *sequence) run(t *rapid.T) {
	t.Helper()
	w, p := s.world, s.world.plan
	require.NoError(t, s.start())
	suffix := ""
	if p.fifo {
		suffix = ".fifo"
	}
	var err error
	s.letters, err = lambdalocal.NewQueue(lambdalocal.QueueConfig{Name: "letters" + suffix})
	require.NoError(t, err)
	s.queue, err = lambdalocal.NewQueue(lambdalocal.QueueConfig{
		Name: "events" + suffix, VisibilityTimeout: visibility, DeadLetters: s.letters, MaxReceiveCount: 3,
	})
	require.NoError(t, err)
	for _, m := range p.messages {
		body := m.body(s.drawn)
		s.bodies[body] = m
		_, err := s.queue.Send(body, m.group)
		require.NoError(t, err)
	}
	mapping := lambdalocal.Mapping{
		Queue: s.queue, Invoke: s.invoke, BatchSize: p.batch, Concurrency: p.pollers, OnDelivery: s.settled,
	}
	deliver := func(rounds int) {
		for range rounds {
			_, err := mapping.Deliver(t.Context())
			require.NoError(t, err)
			time.Sleep(visibility + time.Second)
			if len(s.queue.Messages()) == 0 {
				return
			}
		}
	}
	deliver(p.rounds)
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	deliver(6 * len(p.messages))
	w.counted["dead letters"] += len(s.letters.Messages())
	w.counted["redriven"] += s.letters.Redrive()
	deliver(6 * len(p.messages))
	s.checkLetters()
	s.checkSecrets()
	if len(w.broken) == 0 {
		s.foretell(t)
	}
	w.counted["sequences"]++
	s.judge(t)
}

// judge fails if an invariant didn't hold. While it shrinks, rapid takes failures with the same
// text for the same, so the story is told beside it.
func (s *sequence) judge(t *rapid.T) {
	t.Helper()
	if broken := s.world.broken; len(broken) > 0 {
		t.Log(s.story() + "\n" + strings.Join(broken, "\n"))
		t.Fatal(s.world.first)
	}
}

// start starts a process.
func (s *sequence) start() error {
	w, p := s.world, s.world.plan
	api := client.New(client.Config{
		IdentityCenter: endpoint("https://identitycenter.myhuaweicloud.com"),
		Organizations:  endpoint("https://organizations.myhuaweicloud.com"),
		MaxAttempts:    p.cfg.maxAttempts, RequestTimeout: 10 * time.Second, Transport: w,
	}, w.load)
	function, err := s.build(api)
	if err != nil {
		return err
	}
	s.process = &handler.Handler{
		Name: p.function, Function: function,
		Config: handler.Config{DryRun: p.cfg.dryRun, Concurrency: p.cfg.concurrency},
	}
	if p.sink {
		var target sink.Target
		if err := target.UnmarshalText([]byte("https://sink.example/results")); err != nil {
			return err
		}
		s.process.Sink, err = sink.New(sink.Config{Target: target, Transport: receiver{w}})
	}
	return err
}

func endpoint(text string) wire.Endpoint {
	e, err := wire.ParseEndpoint(text)
	if err != nil {
		panic(err) // it is written above
	}
	return e
}

// load loads the credentials that are valid now, or fails as planned.
func (w *world) load(context.Context) (client.Credentials, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads++
	if !w.calm && slices.Contains(w.plan.loadFaults, w.loads) {
		w.count("fault of the secret store")
		denies := w.loads%2 == 1
		for _, d := range w.deliveries {
			d.unsent = d.unsent || d.ended.IsZero()
			d.wrong = d.wrong || denies && d.ended.IsZero()
		}
		if !denies {
			return client.Credentials{}, errors.New("the secret store is away")
		}
		return client.Credentials{}, attempt.Misconfigured.Errorf("the secret store denies it")
	}
	if w.plan.lifetime > 0 && time.Until(w.keys.Expires) < w.plan.lifetime/2 {
		w.count("expired credentials")
		w.rotate()
	}
	return client.Credentials{
		AccessKey: client.Secret(w.keys.AccessKey), SecretKey: client.Secret(w.keys.SecretKey),
		SecurityToken: client.Secret(w.keys.SecurityToken), Expires: w.keys.Expires,
	}, nil
}

// invoke is the function as a queue sees it.
func (s *sequence) invoke(ctx context.Context, payload []byte) (lambdalocal.Answer, error) {
	var batch struct {
		Records []struct {
			MessageID  string `json:"messageId"`
			Body       string
			Attributes struct {
				SentTimestamp string
				Group         string `json:"MessageGroupId"`
			}
		}
	}
	if err := json.Unmarshal(payload, &batch); err != nil {
		return lambdalocal.Answer{}, err
	}
	var messages []sent
	for _, r := range batch.Records {
		var at int64
		_, _ = fmt.Sscan(r.Attributes.SentTimestamp, &at)
		m := s.bodies[r.Body]
		m.group = r.Attributes.Group
		messages = append(messages, sent{m, r.MessageID, time.UnixMilli(at)})
	}
	d := s.world.begin(messages)
	s.world.mu.Lock()
	for _, m := range messages {
		s.messages[m.id], s.by[m.id] = m, d
	}
	s.world.mu.Unlock()
	answer, failed := s.deliver(ctx, d, payload)
	if failed != nil || d.dead {
		answer = []byte(`{"errorType":"Runtime.ExitError"}`)
		return lambdalocal.Answer{FunctionError: "Unhandled", Payload: answer}, nil //nolint:nilerr // it is the answer
	}
	return lambdalocal.Answer{Payload: answer}, nil
}

// deliver has the process handle a payload. A process that dies is replaced.
func (s *sequence) deliver(ctx context.Context, d *delivery, payload []byte) ([]byte, error) {
	s.mu.Lock()
	h := s.process
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, deliveryKey{}, d), s.world.plan.timeout)
	defer cancel()
	answer, err := h.Invoke(ctx, payload)
	if err != nil {
		d.failure = handler.ErrorType(err)
	}
	s.world.end(d)
	s.world.mu.Lock()
	fmt.Fprintf(&d.log, "answer %s %v\n", answer, err)
	s.world.mu.Unlock()
	s.checkDelivery(d)
	if d.dead {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.process == h {
			if err := s.start(); err != nil {
				return nil, err
			}
		}
	}
	return answer, err
}

// checkLetters checks that only what can't be done is left, after all was delivered in a calm.
func (s *sequence) checkLetters() {
	w, cfg := s.world, s.world.plan.cfg
	if left := len(s.queue.Messages()); left > 0 {
		w.breaks("%d messages are left in the queue", left)
	}
	for _, letter := range s.letters.Messages() {
		m, last := s.messages[letter.ID], s.by[letter.ID].ended
		fails := slices.ContainsFunc(m.inputs, func(in input) bool {
			return !in.ignored && cfg.expect(w.plan.function, in, w.now(), in.young(cfg, m, s.drawn, last)).fail != ""
		})
		if !fails && m.group == "" {
			w.breaks("message %s is a dead letter, and nothing is wrong with it: %s", letter.ID, letter.Failure)
		}
	}
}

// checkSecrets checks that nothing that left the function shows a secret. Searching takes long, so
// it is done where an answer quoted one, and now and then.
func (s *sequence) checkSecrets() {
	w := s.world
	if !w.echoed && w.calls%8 != 0 {
		return
	}
	var all strings.Builder
	for _, d := range w.deliveries {
		all.WriteString(d.log.String())
	}
	for _, e := range w.emitted {
		all.WriteString(e.body)
	}
	w.count("searches for secrets")
	if found := planted.In(all.String(), w.secrets[:3]...); found != nil {
		w.breaks("a secret has left: %q", found)
	}
}

// foretell runs an event of the sequence first dry and then for real, in the organization as it was
// at first, where nothing goes wrong: the real run must do what the dry run foretold, and what the
// documentation says.
func (s *sequence) foretell(t *rapid.T) {
	t.Helper()
	if s.world.plan.cfg.dryRun {
		return // nothing is ever real
	}
	for _, m := range s.world.plan.messages {
		for _, in := range m.inputs {
			if in.garbage || in.ignored || in.invalid || in.trace != "" {
				continue
			}
			p := s.world.plan
			p.faults, p.changes, p.kills, p.sinkFaults, p.loadFaults = nil, nil, nil, nil, nil
			p.timeout = time.Minute
			copied := newSequence(p, s.build)
			copied.drawn = s.drawn
			require.NoError(t, copied.start())
			foretold := copied.direct(t, in, true)
			states := len(copied.world.history)
			real := copied.direct(t, in, false)
			w := copied.world
			if states > 1 {
				w.breaks("a dry run changed something")
			}
			young := in.young(p.cfg, sent{}, s.drawn, time.Now())
			want := p.cfg.expect(p.function, real.in, w.history[0], young)
			want = sameWords(want)
			if got := real.verdict; !slices.Equal(got.each, want.each) || got.fail != want.fail ||
				want.fail == "" && got.outcome != want.outcome {
				w.breaks("%s %s ended as %+v, but must as %+v", in.eventType, in.data, got, want)
			}
			undocumented := w.history[0].accounts[in.account].status == "pending_verification"
			same := sameWords(foretold.verdict)
			if got := real.verdict; p.function != "audit-organization" && in.creation == "" && !undocumented &&
				(!slices.Equal(got.each, same.each) || got.fail != same.fail || got.outcome != same.outcome) {
				w.breaks("a dry run of %s %s foretold %+v, and what came was %+v", in.eventType, in.data, same, got)
			}
			s.world.counted["foretold"]++
			copied.judge(t)
			return
		}
	}
}

// sameWords is a verdict of a dry run as that of the real one. A failure tells nothing of things.
func sameWords(v verdict) verdict {
	v.each = slices.Clone(v.each)
	for i := range v.each {
		if v.each[i].outcome == "planned" {
			v.each[i].outcome = "registered"
		}
	}
	if v.outcome == "planned" {
		v.outcome = "registered"
	}
	if v.fail != "" {
		v = verdict{fail: v.fail}
	}
	return v
}

// ended is how an event ended that was delivered by itself.
type ended struct {
	in input
	verdict
}

// direct delivers an event by itself, as an asynchronous invocation does.
func (s *sequence) direct(t *rapid.T, in input, dry bool) ended {
	t.Helper()
	var data map[string]any
	require.NoError(t, json.Unmarshal([]byte(in.data), &data))
	delete(data, "dry_run")
	if in.dryRun = dry; dry {
		data["dry_run"] = true
	}
	encoded, err := json.Marshal(data)
	require.NoError(t, err)
	in.data = string(encoded)
	m := sent{message: message{inputs: []input{in}, shape: "event"}}
	d := s.world.begin([]sent{m})
	d.calm = true
	answer, err := s.deliver(t.Context(), d, []byte(m.body(s.drawn)))
	if err != nil {
		return ended{in, verdict{fail: d.failure}}
	}
	var result told
	require.NoError(t, json.Unmarshal(answer, &result))
	l := line{Subject: result.Subject, Registrations: result.Data.Registrations}
	if s.world.plan.function == "register-region" && result.Data.Outcome != "skipped" {
		l.Registrations = []registration{result.Data.registration}
	}
	return ended{in, verdict{
		outcome: result.Data.Outcome, reason: result.Data.Reason, each: inOrder(l.each(s.world.plan.function)),
	}}
}

// receiver is the end of an HTTP sink.
type receiver struct{ *world }

// RoundTrip takes an event, or fails as planned.
func (r receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	w, d := r.world, r.deliveryOf(req.Context())
	body, _ := io.ReadAll(req.Body)
	_ = req.Body.Close()
	w.mu.Lock()
	w.sends++
	kind := ""
	for _, f := range w.plan.sinkFaults {
		if f.send == w.sends && !w.calm {
			kind = f.kind
			w.count("fault of the sink " + kind)
		}
	}
	dead := d.dead
	d.unsent = d.unsent || kind != ""
	w.mu.Unlock()
	if dead {
		return nil, io.EOF
	}
	status := http.StatusAccepted
	switch kind {
	case "reset":
		return nil, io.EOF
	case "slow":
		select {
		case <-time.After(11 * time.Second):
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
	case "503", "503 wait":
		status = http.StatusServiceUnavailable
	case "429":
		status = http.StatusTooManyRequests
	case "403":
		status = http.StatusForbidden
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d.wrong = d.wrong || status == http.StatusForbidden
	if status == http.StatusAccepted {
		w.take(d, string(body))
	}
	d.dead = d.dead || kind == "die"
	if kind == "lost" || kind == "die" {
		return nil, io.EOF
	}
	resp := answer(req, status, nil)
	if kind == "503 wait" {
		resp.Header.Set("Retry-After", "90")
	}
	return resp, nil
}

// router hands lines of the log to the delivery that they are about.
type router struct{}

func (router) Enabled(ctx context.Context, _ slog.Level) bool {
	return ctx.Value(deliveryKey{}) != nil
}

func (router) Handle(ctx context.Context, r slog.Record) error {
	d := ctx.Value(deliveryKey{}).(*delivery)
	var text strings.Builder
	err := slog.NewJSONHandler(&text, nil).Handle(ctx, r)
	d.world.log(d, text.String())
	return err
}

func (r router) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r router) WithGroup(string) slog.Handler      { return r }

// tally adds up what the sequences of a function covered.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(counts map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, n := range counts {
		c.counts[what] += n
	}
}

// report prints what was covered, and fails if something that matters was not.
func (c *tally) report(t *testing.T, function string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		all = append(all, fmt.Sprintf("%s: %d", what, c.counts[what]))
	}
	t.Logf("%s covered\n%s", function, strings.Join(all, "\n"))
	if t.Failed() || c.counts["sequences"] < 100*len(profiles()) {
		return // too few to speak of
	}
	for _, what := range reached(function) {
		assert.Positive(t, c.counts[what], "no sequence had %s", what)
	}
}

// reached is what the sequences of a function must have reached.
func reached(function string) []string {
	all := []string{
		"acknowledged", "dead letters", "redriven", "kills", "changes by others", "held back", "ignored",
		"results and requests", "searches for secrets", "foretold", "expired credentials",
		"fault of the secret store", "fault an earlier answer", "faults transient", "faults misconfigured",
		"faults refused", "faults without an answer",
		"TransientError", "MisconfiguredError", "InvalidEventError", "reason invalid_data",
	}
	if function == "audit-organization" {
		return append(all, "outcome passed", "outcome drifted", "requests", "audits of a quiet cloud")
	}
	all = append(all, "writes", "writes whose answers are lost", "outcome registered", "outcome unchanged",
		"outcome planned", "outcome skipped", "outcome rejected", "reason not_allowed", "reason refused")
	switch function {
	case "register-region":
		return append(all, "reason region_conflict")
	case "register-service":
		return append(all, "reason unknown_service")
	}
	return append(all, "reason unknown_service", "reason account_not_found", "reason account_not_active",
		"reason creation_failed")
}
