package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"registrar/internal/lambdalocal"
)

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
