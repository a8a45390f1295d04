package main

import (
	"context"
	"fmt"
	"os"
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
