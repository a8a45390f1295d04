package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
)

// The keys. They open nothing but the fake; what is planted must not be seen anywhere.
const (
	accessKey     = "SOAK-ACCESS-KEY"
	secretKey     = "soakSecretKey+/0123456789abcdef"
	securityToken = "soakSecurityToken/+fedcba9876543210=="
	sinkPath      = "soak-sink-path-0a1b2c3d4e5f"
)

var secrets = []string{secretKey, securityToken, sinkPath}

// The times of the queues and the functions behind them.
const (
	invocationTime    = 5 * time.Second
	visibilityTimeout = 6 * time.Second
	auditTime         = 10 * time.Second
	auditEvery        = 5 * time.Second
	redriveEvery      = 10 * time.Second
)

// soak is everything that runs.
type soak struct {
	dist   string
	seed   uint64
	world  *world
	books  *books
	leaks  *leaks
	phases *phases

	instances []*instance
	triggers  map[string]lambdalocal.Trigger
	lambdas   map[string][]*instance
	servers   map[string][]*instance
	jobs      map[string]chan job

	mu      sync.Mutex
	members []*event
	unsent  []string // the keys of the events that clients still have
	samples map[string][]sample
	once    map[string]int // goroutines after one event, by kind
}

func newSoak(dist string, seed uint64) *soak {
	cloud := huaweitest.New(huaweitest.Credentials{
		AccessKey: accessKey, SecretKey: secretKey, SecurityToken: securityToken,
	})
	cloud.KeepRequests(1) // the gate looks at them as they come
	cloud.PageSize(25)
	w := newWorld(cloud)
	b := newBooks(w)
	s := &soak{
		dist: dist, seed: seed, world: w, books: b, leaks: &leaks{books: b}, phases: &phases{},
		triggers: map[string]lambdalocal.Trigger{}, lambdas: map[string][]*instance{},
		servers: map[string][]*instance{}, jobs: map[string]chan job{},
		samples: map[string][]sample{}, once: map[string]int{},
	}
	for name := range rules { // so that each rule fits an account at any time
		w.join(w.plan("permanent-"+name, rules[name]), name, false)
	}
	return s
}

// serve serves a door to the cloud and the sink, and returns its URL.
func (s *soak) serve(ctx context.Context, cloud http.Handler) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle("/", cloud)
	sinkDice := newDice(s.seed, 3)
	mux.HandleFunc("POST /"+sinkPath+"/{function}", func(w http.ResponseWriter, r *http.Request) {
		s.sink(w, r, sinkDice)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { server.Close() })
	return "http://" + listener.Addr().String(), nil
}

// environment is what all functions have.
func environment(base, function string) map[string]string {
	return map[string]string{
		"ADMINISTRATORS": administrates, "REGION_ID": region, "TRUSTED_SERVICES": trustedList,
		"HUAWEICLOUD_SDK_AK": accessKey, "HUAWEICLOUD_SDK_SK": secretKey,
		"HUAWEICLOUD_SDK_SECURITY_TOKEN": securityToken,
		"IDENTITYCENTER_ENDPOINT":        base, "ORGANIZATIONS_ENDPOINT": base,
		"RESULT_SINK": base + "/" + sinkPath + "/" + function,
		"CONCURRENCY": "4", "GOTRACEBACK": "all",
	}
}

// start starts all functions, each once to be kept and once to be killed.
func (s *soak) start(ctx context.Context) error {
	for _, function := range []string{"register-region", "register-service", "register-admin", "audit-organization"} {
		for _, kept := range []bool{true, false} {
			i, err := s.newLambda(ctx, function, kept)
			if err != nil {
				return err
			}
			s.lambdas[function] = append(s.lambdas[function], i)
		}
		if function == "audit-organization" {
			continue
		}
		trigger, err := lambdalocal.NewTrigger(nil, function, visibilityTimeout)
		if err != nil {
			return err
		}
		s.triggers[function] = trigger
	}
	for _, function := range []string{"register-region", "register-admin"} {
		s.jobs[function] = make(chan job, 100)
		for _, kept := range []bool{true, false} {
			i, err := s.newServer(ctx, function, kept)
			if err != nil {
				return err
			}
			s.servers[function] = append(s.servers[function], i)
		}
	}
	return nil
}

func (s *soak) newInstance(
	ctx context.Context, host, function string, kept bool,
) (i *instance, bootstrap string, env map[string]string, err error) {
	i = newInstance(host+" "+function, kept, s.books, s.leaks)
	part := uint64(10 + len(s.instances))
	base, err := s.serve(ctx, &gate{
		world: s.world, books: s.books, phases: s.phases, dice: newDice(s.seed, part), instance: i,
		answers: map[string]answer{},
	})
	s.instances = append(s.instances, i)
	return i, filepath.Join(s.dist, function, "bootstrap"), environment(base, function), err
}

func (s *soak) newLambda(ctx context.Context, function string, kept bool) (*instance, error) {
	i, bootstrap, env, err := s.newInstance(ctx, "Lambda", function, kept)
	if err != nil {
		return nil, err
	}
	timeout := invocationTime
	if function == "audit-organization" {
		timeout = auditTime
	}
	start := func() (err error) {
		i.lambda, err = lambdalocal.New(lambdalocal.Config{
			Name: function, Bootstrap: bootstrap, Env: env, Timeout: timeout, MemoryMB: 256, Concurrency: 1, Log: i,
		})
		return err
	}
	return i, s.first(i, start, func() error {
		_, err := i.lambda.Invoke(ctx, s.firstEvent(function))
		return err
	})
}

func (s *soak) newServer(ctx context.Context, function string, kept bool) (*instance, error) {
	i, bootstrap, env, err := s.newInstance(ctx, "HTTP", function, kept)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	env["HOST"], env["PORT"], _ = net.SplitHostPort(address)
	if function == "register-region" { // its senders go by the answer
		delete(env, "RESULT_SINK")
	}
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	i.server = &server{bootstrap: bootstrap, address: address, env: environ, log: i}
	return i, s.first(i, func() error { return i.server.start(ctx) }, func() error {
		_, _, _, err := post(ctx, http.DefaultClient, "http://"+address, s.firstEvent(function))
		http.DefaultClient.CloseIdleConnections()
		return err
	})
}

// first counts the goroutines of a process that has had one event, if it is to be kept, and starts
// another one.
func (s *soak) first(i *instance, start, event func() error) error {
	if err := start(); err != nil || !i.kept {
		return err
	}
	if err := event(); err != nil {
		return err
	}
	n, err := i.goroutines()
	if err != nil {
		return err
	}
	s.once[i.kind] = n
	i.mu.Lock()
	i.dumping = false
	i.mu.Unlock()
	return start()
}

// firstEvent is a dry run, which changes nothing.
func (s *soak) firstEvent(function string) []byte {
	e := &event{function: function, id: "first", services: []string{services[0]}, dryRun: true}
	data := map[string]any{"dry_run": true}
	eventType := "org.bootstrap"
	switch function {
	case "register-admin":
		eventType, data["account_id"], data["service_principals"] = "account.created", "permanent-security", e.services
		e.account = s.world.find("permanent-security")
	case "audit-organization":
		eventType = "org.audit"
	case "register-service":
		data["service_principals"] = e.services
	}
	e.id += "-" + function
	j := newJob(e, eventType, time.Now(), data)
	s.books.sent(j.event)
	s.books.begun(j.key(), "first", time.Now())
	s.books.gone(j.key(), time.Now().Add(10*time.Second)) // both hosts have it
	return j.body
}

// sink takes results and what audits ask for.
func (s *soak) sink(w http.ResponseWriter, r *http.Request, d *dice) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	kind := ""
	if d.chance(s.phases.now().sink) {
		kinds := []string{ // a result that isn't stored is what may get lost
			"sink: an error before", "sink: an error before", "sink: an error before", "sink: a reset before",
			"sink: a reset before", "sink: a reset before", "sink: throttled", "sink: a delay", "sink: an error after",
			"sink: a reset after",
		}
		kind = kinds[d.n(len(kinds))]
		s.books.count(faultsInjected, kind)
	}
	switch kind {
	case "sink: a delay":
		time.Sleep(d.between(5*time.Millisecond, 300*time.Millisecond))
	case "sink: an error before":
		http.Error(w, "try again "+sinkPath, http.StatusServiceUnavailable)
		return
	case "sink: a reset before":
		panic(http.ErrAbortHandler)
	case "sink: throttled":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	s.take(r.PathValue("function"), body)
	switch kind {
	case "sink: an error after":
		w.WriteHeader(http.StatusInternalServerError)
	case "sink: a reset after":
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// take stores a result, or routes a request to its queue as the bus does.
func (s *soak) take(function string, body []byte) {
	s.leaks.look("a result of "+function, body)
	var asked struct {
		ID, Source, Type string
		Data             struct {
			AccountID         string   `json:"account_id"`
			ServicePrincipals []string `json:"service_principals"`
		}
	}
	_ = json.Unmarshal(body, &asked) // the judge says what is wrong with a result
	e := &event{source: asked.Source, id: asked.ID, services: asked.Data.ServicePrincipals}
	given := services
	switch asked.Type {
	case "org.service.missing":
		e.function = "register-service"
	case "account.admin.missing":
		e.function, given = "register-admin", nil
		if e.account = s.world.find(asked.Data.AccountID); e.account != nil {
			given = e.account.given
		}
	default:
		s.books.result(function, atSink, body, time.Now())
		return
	}
	s.books.count(results, asked.Type)
	for _, service := range e.services {
		if !slices.Contains(given, service) {
			s.books.accuse(untrue, fmt.Sprintf("an audit asks for what no rule gives: %.300s", body))
			return
		}
	}
	s.enqueue(job{e, body})
}

// deliver runs the mapping between a queue and an instance until ctx ends.
func (s *soak) deliver(ctx context.Context, function string, i *instance) error {
	d := newDice(s.seed, uint64(50+len(function)))
	m := s.triggers[function].Mapping
	name := func(id string, count int) string { return fmt.Sprintf("%s, %d", id, count) }
	m.Invoke = func(ctx context.Context, payload []byte) (lambdalocal.Answer, error) {
		var batch struct {
			Records []struct {
				MessageID, Body string
				Attributes      struct {
					ApproximateReceiveCount int `json:",string"`
				}
			}
		}
		if err := json.Unmarshal(payload, &batch); err != nil {
			return lambdalocal.Answer{}, err
		}
		now := time.Now()
		for _, r := range batch.Records {
			s.books.begun(keyOf(function, r.Body), name(r.MessageID, r.Attributes.ApproximateReceiveCount), now)
		}
		return s.invoke(ctx, i, payload, d)
	}
	m.OnDelivery = func(batch []lambdalocal.Message) {
		now := time.Now()
		for _, one := range batch {
			if one.ReceiveCount > 1 {
				s.books.count(again, "by queues")
			}
			if one.Failure != "" && one.ReceiveCount >= lambdalocal.MaxReceiveCount {
				s.books.count(deadLetters, "during")
			}
			s.books.ended(keyOf(function, one.Body), name(one.ID, one.ReceiveCount), now, one.Failure == "", atSink)
		}
	}
	return m.Run(ctx)
}

// invoke runs an instance, and kills one that isn't kept now and then in the middle of its work.
func (s *soak) invoke(ctx context.Context, i *instance, payload []byte, d *dice) (lambdalocal.Answer, error) {
	if !i.kept && s.phases.now() != quiet && d.chance(0.1) {
		kill := time.AfterFunc(d.between(0, 150*time.Millisecond), func() {
			if p := i.process(); p != nil && p.Kill() == nil {
				s.books.count(kills, "SIGKILL of a Lambda process")
			}
		})
		defer kill.Stop()
	}
	a, err := i.lambda.Invoke(ctx, payload)
	if failure := a.Failure(); strings.HasPrefix(failure, "Runtime.") || strings.HasPrefix(failure, "Sandbox.") {
		s.books.count(failures, failure)
		i.cutOff()
	}
	s.leaks.look("an answer of "+i.kind, a.Payload)
	return a, err
}

// keyOf is the key of the event in a message.
func keyOf(function, body string) string {
	var e struct{ ID, Source string }
	_ = json.Unmarshal([]byte(body), &e) // all are our own, or a function's
	return key(function, e.Source, e.ID)
}

// audit runs an audit on an instance, and reports whether it passed.
func (s *soak) audit(ctx context.Context, i *instance, d *dice) (bool, error) {
	now := time.Now()
	e := &event{function: "audit-organization", id: "audit-" + now.UTC().Format(time.RFC3339Nano)}
	j := newJob(e, "org.audit", now, map[string]any{})
	s.books.sent(e)
	s.books.begun(j.key(), "audit", now)
	a, err := s.invoke(ctx, i, j.body, d)
	if err != nil || a.FunctionError != "" {
		s.books.gone(j.key(), time.Now()) // the next audit is its retry
		s.books.ended(j.key(), "audit", time.Now(), false)
		return false, err
	}
	s.books.ended(j.key(), "audit", time.Now(), true, atSink)
	return bytes.Contains(a.Payload, []byte(`"org.audit.passed"`)), nil
}

// restart stops and starts a server again and again until ctx ends.
func (s *soak) restart(ctx context.Context, i *instance, d *dice) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d.between(3*time.Second, 8*time.Second)):
		}
		if err := i.server.stop(); err != nil {
			return fmt.Errorf("%s: %w", i.kind, err)
		}
		s.books.count(kills, "SIGTERM of an HTTP server")
		if err := i.server.start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// run does all of it and returns the report.
func (s *soak) run(ctx context.Context, total time.Duration, rate float64, progress func(string)) (*report, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer s.closeAll()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	var background, clients, loading sync.WaitGroup
	fail := func(err error) {
		if err != nil {
			end(err)
		}
	}
	for function := range s.triggers {
		for _, i := range s.lambdas[function] {
			background.Go(func() { fail(s.deliver(ctx, function, i)) })
		}
	}
	for function := range s.jobs {
		for number := range 3 {
			clients.Go(func() { s.client(ctx, function, number) })
		}
	}

	s.phases.begin(total)
	start := time.Now()
	loadCtx, stop := context.WithTimeout(ctx, total)
	defer stop()
	l := &load{soak: s, dice: newDice(s.seed, 1)}
	loading.Go(func() { l.run(loadCtx, rate) })
	loading.Go(func() { s.others(loadCtx) })
	loading.Go(func() {
		d := newDice(s.seed, 4)
		for turn := 0; loadCtx.Err() == nil; turn++ {
			_, err := s.audit(ctx, s.lambdas["audit-organization"][turn%2], d)
			fail(err)
			pause(loadCtx, auditEvery)
		}
	})
	for _, all := range s.servers {
		loading.Go(func() { fail(s.restart(loadCtx, all[1], newDice(s.seed, 5))) })
	}
	for loadCtx.Err() == nil { // the clock of what is done now and then
		second := int(time.Since(start).Seconds())
		s.sample(time.Since(start))
		s.books.forgetDone(time.Now())
		if second%int(redriveEvery.Seconds()) == 9 {
			s.redrive()
		}
		if second%10 == 0 && second > 0 {
			progress(s.progress(time.Since(start)))
		}
		pause(loadCtx, time.Second)
	}
	took := time.Since(start)
	loading.Wait()
	s.phases.stop()
	for _, jobs := range s.jobs {
		close(jobs)
	}
	progress("the faults stop; what is left is delivered")
	passed := s.drain(ctx)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	end(nil) // ends the deliveries and the clients; nothing is left for them
	background.Wait()
	clients.Wait()
	return s.report(took, passed)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// itself is this program in the table, which isn't judged: it remembers what the judge may need.
const itself = "(this program)"

// sample looks at the processes that are kept.
func (s *soak) sample(at time.Duration) {
	for _, i := range s.instances {
		if p := i.process(); i.kept && p != nil {
			if one, ok := look(p.Pid, at); ok {
				s.samples[i.kind] = append(s.samples[i.kind], one)
			}
		}
	}
	if one, ok := look(os.Getpid(), at); ok {
		s.samples[itself] = append(s.samples[itself], one)
	}
}

// redrive puts all dead letters back, as an operator does.
func (s *soak) redrive() {
	for _, t := range s.triggers {
		t.DeadLetters.Redrive()
	}
}

// drain delivers what is left, has the organization repaired, and reports whether an audit passes
// then.
func (s *soak) drain(ctx context.Context) bool {
	d := newDice(s.seed, 7)
	end := time.Now().Add(2 * time.Minute)
	for round := 0; time.Now().Before(end) && ctx.Err() == nil; round++ {
		for _, function := range []string{"register-region", "register-service"} {
			e := &event{function: function, id: fmt.Sprintf("last-bootstrap-%d", round)}
			s.enqueue(newJob(e, "org.bootstrap", time.Now(), map[string]any{}))
		}
		for s.books.waiting() > 0 && time.Now().Before(end) && ctx.Err() == nil {
			pause(ctx, 500*time.Millisecond)
			s.redrive()
		}
		s.tidy() // not earlier: an account that leaves before its event is done looks like a new one
		passed, err := s.audit(ctx, s.lambdas["audit-organization"][round%2], d)
		if err != nil || passed && s.books.waiting() == 0 {
			s.bury(ctx)
			return passed
		}
	}
	return false
}

// bury makes dead letters of what is in the queues, which is nothing but poison.
func (s *soak) bury(ctx context.Context) {
	for range 10 * lambdalocal.MaxReceiveCount {
		left := 0
		for _, t := range s.triggers {
			left += len(t.Queue.Messages())
			t.Queue.Advance(visibilityTimeout)
		}
		if left == 0 {
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// left are the copies of events in queues, among dead letters and with clients, by key.
func (s *soak) left() (left map[string]int, letters int) {
	left = map[string]int{}
	for _, k := range s.unsent {
		left[k]++
	}
	for function, t := range s.triggers {
		dead := t.DeadLetters.Messages()
		letters += len(dead)
		for _, m := range append(t.Queue.Messages(), dead...) {
			left[keyOf(function, m.Body)]++
		}
	}
	return left, letters
}

func (s *soak) report(took time.Duration, passed bool) (*report, error) {
	left, letters := s.left()
	s.books.close(left)
	if !passed {
		s.books.accuse(stuck, "no audit passes, though nothing is in its way")
	}
	r := &report{seed: s.seed, took: took, books: s.books, letters: letters}
	for _, i := range s.instances {
		i.settle()
		if !i.kept {
			continue
		}
		n := summarize(i.kind, s.samples[i.kind], took)
		n.goroutinesOnce = s.once[i.kind]
		var err error
		if n.after, err = i.goroutines(); err != nil {
			return nil, err
		}
		r.needs = append(r.needs, n)
		if took >= time.Minute {
			for _, text := range n.grown() {
				s.books.accuse(growth, text)
			}
		}
	}
	r.needs = append(r.needs, summarize(itself, s.samples[itself], took))
	s.leaks.flush()
	return r, nil
}

func (s *soak) closeAll() {
	var closing sync.WaitGroup
	for _, i := range s.instances {
		if i.lambda != nil || i.server != nil {
			closing.Go(i.close)
		}
	}
	closing.Wait()
}

// progress is one line about what was so far.
func (s *soak) progress(at time.Duration) string {
	sum := func(what string) (n int) {
		for _, v := range s.books.counted(what) {
			n += v
		}
		return n
	}
	return fmt.Sprintf("%4.0f s  %-9s  %d events, %d results, %d failures, %d faults, %d waiting, %d wrong",
		at.Seconds(), s.phases.now().name, s.books.counted(eventsIn)["distinct"], sum(results), sum(failures),
		sum(faultsInjected), s.books.waiting(), s.books.faults())
}

// setting reads a variable of the environment.
func setting[T any](name string, byDefault T, parse func(string) (T, error)) (T, error) {
	text := os.Getenv(name)
	if text == "" {
		return byDefault, nil
	}
	value, err := parse(text)
	if err != nil {
		return byDefault, fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}
