package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"registrar/internal/awstest"
	"registrar/internal/measure"
)

// perBlock is how many warm invocations a block has.
const perBlock = 250

const (
	registerAdmin     = "register-admin"
	auditOrganization = "audit-organization"

	// These rows aren't subjects: the control, the minimal handler with the settings that the
	// template gives functions, and a function with a secret and a bus as sink, as the template
	// configures it.
	control         = measure.Bare + " again"
	minimalLikewise = measure.Minimal + ", settings of the template"
	secretAndBus    = registerAdmin + ", secret and bus"
)

// bench measures what is built from the project at root.
type bench struct {
	root, folder   string
	rounds, blocks int
	latency        time.Duration // with which a call is answered in a batch
	say            func(string)

	subjects     []measure.Subject
	unchanged    []string // the functions whose duplicates come to that; an audit has none
	organization *measure.Organization
	deployed     map[string]string // what the template gives all functions
	payloads     map[string][]byte // by subject: an event that is a duplicate
	samples      samples
	notes        []string
}

// program is one that has its turn in each round.
type program struct {
	name, bootstrap, counting string
	env                       map[string]string
	payload                   []byte
	server                    *measure.Server
}

func (b *bench) run(ctx context.Context) (*report, error) {
	ctx, stop := context.WithCancel(ctx) // ends the servers and processes
	defer stop()
	b.samples, b.payloads = samples{}, map[string][]byte{}
	var err error
	if b.folder, err = filepath.Abs(b.folder); err != nil {
		return nil, err
	}
	if b.subjects, err = measure.Subjects(b.root); err != nil {
		return nil, err
	}
	if b.organization, err = measure.NewOrganization(b.root); err != nil {
		return nil, err
	}
	if b.deployed, err = measure.Deployed(b.root); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{b.build, b.measure, b.handleBatches, b.runAudits} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &report{
		head: fmt.Sprintf("Programs as deployed, on this machine: %s/%s, %d CPUs, %s",
			runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		samples: b.samples, tables: b.tables(), notes: b.notes,
	}, nil
}

func (b *bench) path(names ...string) string { return filepath.Join(b.folder, filepath.Join(names...)) }

// build builds all subjects: for this machine, with what counts allocations, and for the platforms
// on which they are deployed.
func (b *bench) build(ctx context.Context) error {
	for _, s := range b.subjects {
		b.say("building " + s.Name)
		for folder, target := range map[string]measure.Target{
			"linked": {}, "counting": {Counting: true},
			arm: {OS: "linux", Arch: "arm64"}, amd: {OS: "linux", Arch: "amd64"},
		} {
			file := b.path(folder, s.Name, "bootstrap")
			if err := s.Build(ctx, target, file); err != nil {
				return err
			}
			if target.OS == "" {
				continue
			}
			binary, packed, err := measure.Sizes(file)
			if err != nil {
				return err
			}
			b.samples.add(built, folder, s.Name, float64(binary))
			b.samples.add(built, folder+zipped, s.Name, float64(packed))
		}
		if err := b.install(s.Name, s.Name); err != nil {
			return err
		}
	}
	return b.install(measure.Bare, control)
}

// install writes the binary that runs. What a linker wrote lies in smaller pieces in the memory of
// Linux, and a program that runs from there starts more slowly than one that was unpacked.
func (b *bench) install(linked, name string) error {
	content, err := os.ReadFile(b.path("linked", linked, "bootstrap"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.path("here", name), 0o755); err != nil {
		return err
	}
	_ = os.Remove(b.path("here", name, "bootstrap")) // there may be one of an earlier run
	return os.WriteFile(b.path("here", name, "bootstrap"), content, 0o755)
}

// measure measures everything but batches.
func (b *bench) measure(ctx context.Context) error {
	plain, secure, err := b.programs(ctx)
	if err != nil {
		return err
	}
	for n := range b.rounds {
		b.progress("cold round", n, b.rounds)
		if err := errors.Join(b.cold(ctx, overHTTP, plain, nil), b.cold(ctx, overHTTPS, secure, nil)); err != nil {
			return err
		}
	}
	for _, megabytes := range shares {
		limit, err := newShare(megabytes)
		if err != nil {
			b.notes = append(b.notes, "Not measured with a part of a CPU: "+err.Error())
			break
		}
		defer limit.remove()
		few := (b.rounds + 3) / 4
		for n := range few {
			b.progress(fmt.Sprintf("cold round with the CPU of %d MB", megabytes), n, few)
			if err := b.cold(ctx, atShare(megabytes), plain, limit); err != nil {
				return err
			}
		}
	}
	return b.warm(ctx, plain)
}

func (b *bench) progress(what string, n, of int) {
	if n%10 == 0 {
		b.say(fmt.Sprintf("%s %d of %d", what, n+1, of))
	}
}

// programs are those that are measured over HTTP, and over HTTPS. Each has a server of its own, so
// that its connections can be told.
func (b *bench) programs(ctx context.Context) (plain, secure []program, err error) {
	store, err := newTrustStore(b.path("roots"))
	if err != nil {
		return nil, nil, err
	}
	for _, s := range b.subjects {
		p := program{name: s.Name, payload: b.organization.AccountCreated}
		p.bootstrap, p.counting = b.path("here", s.Name, "bootstrap"), b.path("counting", s.Name, "bootstrap")
		trusted := map[string]string{"SSL_CERT_FILE": store.bundle, "SSL_CERT_DIR": store.folders}
		if p.server, err = serve(ctx, b.organization); err != nil {
			return nil, nil, err
		}
		p.env = b.organization.Environment(p.server.URL)
		if s.IsFunction() {
			maps.Copy(p.env, b.deployed)
			trusted["SSL_CERT_DIR"] = cmp.Or(b.deployed["SSL_CERT_DIR"], store.folders)
			if p.payload, err = b.duplicate(ctx, p); err != nil {
				return nil, nil, err
			}
		}
		plain = append(plain, p)
		if s.Name == measure.Bare {
			again := p
			again.name, again.bootstrap = control, b.path("here", control, "bootstrap")
			plain = append(plain, again)
			continue
		}
		if p.server, err = serve(ctx, b.organization, store.certificate); err != nil {
			return nil, nil, err
		}
		p.env = maps.Clone(p.env)
		maps.Copy(p.env, b.organization.Environment(p.server.URL))
		maps.Copy(p.env, trusted)
		secure = append(secure, p)
	}
	find := func(name string) program {
		return plain[slices.IndexFunc(plain, func(p program) bool { return p.name == name })]
	}
	likewise := find(measure.Minimal)
	likewise.name, likewise.env = minimalLikewise, maps.Clone(likewise.env)
	if likewise.server, err = serve(ctx, b.organization); err != nil {
		return nil, nil, err
	}
	maps.Copy(likewise.env, b.organization.Environment(likewise.server.URL))
	maps.Copy(likewise.env, b.deployed)
	configured, err := b.withSecretAndBus(ctx, find(registerAdmin))
	return append(plain, likewise, configured), secure, err
}

// withSecretAndBus is the program with a secret instead of keys, and a bus as sink.
func (b *bench) withSecretAndBus(ctx context.Context, p program) (program, error) {
	const secret = "registrar/keys"
	secrets := &awstest.SecretsManager{}
	secrets.Put(secret, fmt.Sprintf(`{"ak":%q,"sk":%q}`, measure.Keys.AccessKey, measure.Keys.SecretKey))
	p.name, p.env = secretAndBus, maps.Clone(p.env)
	maps.DeleteFunc(p.env, func(name, _ string) bool { return strings.HasPrefix(name, "HUAWEICLOUD_SDK_") })
	maps.Copy(p.env, map[string]string{
		"HUAWEICLOUD_CREDENTIALS_SECRET": secret, "RESULT_SINK": "eventbridge://registrar",
		"AWS_ACCESS_KEY_ID": awstest.AccessKey, "AWS_SECRET_ACCESS_KEY": awstest.SecretKey,
		"AWS_SESSION_TOKEN": awstest.SessionToken,
	})
	for variable, fake := range map[string]http.Handler{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets, "AWS_ENDPOINT_URL_EVENTBRIDGE": &awstest.EventBridge{},
	} {
		server, err := serve(ctx, fake)
		if err != nil {
			return p, err
		}
		p.env[variable] = server.URL
	}
	var err error
	if p.server, err = serve(ctx, b.organization); err != nil {
		return p, err
	}
	p.env["ORGANIZATIONS_ENDPOINT"] = p.server.URL
	return p, nil
}

// serve serves h until ctx ends.
func serve(ctx context.Context, h http.Handler, certificate ...tls.Certificate) (*measure.Server, error) {
	s, err := measure.Serve(ctx, h, certificate...)
	if err == nil {
		context.AfterFunc(ctx, func() { s.Close() })
	}
	return s, err
}

func (p program) start(ctx context.Context) (*measure.Process, error) {
	return measure.Start(ctx, measure.Config{Bootstrap: p.bootstrap, Env: p.env})
}

// duplicate finds the event that is a duplicate to the function, and what that comes to.
func (b *bench) duplicate(ctx context.Context, p program) ([]byte, error) {
	process, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	defer process.Stop()
	if _, err := process.Usage(); err != nil && b.notes == nil {
		b.notes = append(b.notes, "Without CPU time, page faults and memory: "+err.Error())
	}
	payload, err := b.organization.Duplicate(process)
	if err != nil {
		return nil, err
	}
	answer, _, err := process.Invoke(payload)
	if bytes.Contains(answer, []byte(`"unchanged"`)) {
		b.unchanged = append(b.unchanged, p.name)
	}
	b.payloads[p.name] = payload
	return payload, err
}

// cold starts each program for one event, which it handles with a part of a CPU if there is a
// limit. A function has a whole one until it asks for its first event, as on Lambda.
func (b *bench) cold(ctx context.Context, of string, programs []program, limit *share) error {
	for _, i := range rand.Perm(len(programs)) {
		p := programs[i]
		process, err := p.start(ctx)
		if err != nil {
			return err
		}
		usage, noUsage := process.Usage()
		if limit != nil {
			err = limit.take(process.ID())
		}
		var took time.Duration
		if err == nil {
			_, took, err = process.Invoke(p.payload)
		}
		process.Stop()
		if err != nil {
			return err
		}
		b.samples.add(of, startUp, p.name, process.Init.Seconds())
		b.samples.add(of, startAndFirst, p.name, (process.Init + took).Seconds())
		b.samples.add(of, first, p.name, took.Seconds())
		if noUsage == nil {
			b.samples.add(of, faults, p.name, float64(usage.MinorFaults+usage.MajorFaults))
		}
	}
	return nil
}

// warm gives each program one block after another, to one process.
func (b *bench) warm(ctx context.Context, programs []program) error {
	processes, before := make([]*measure.Process, len(programs)), make([]int, len(programs))
	for i, p := range programs {
		var err error
		before[i] = p.server.Connections()
		if processes[i], err = p.start(ctx); err != nil {
			return err
		}
		defer processes[i].Stop()
	}
	for n := range b.blocks {
		b.progress("warm block", n, b.blocks)
		if err := b.block(processes, programs); err != nil {
			return err
		}
	}
	for i, p := range programs {
		b.samples.add(warm, connections, p.name, float64(p.server.Connections()-before[i]))
		if usage, err := processes[i].Usage(); err == nil {
			b.samples.add(warm, peak, p.name, float64(usage.Peak))
		}
		if err := b.allocations(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// block gives each program its invocations in a few turns, so that all meet the same moments.
func (b *bench) block(processes []*measure.Process, programs []program) error {
	const turns = 10
	each, used := make([][]float64, len(programs)), make([]time.Duration, len(programs))
	for range turns {
		for _, i := range rand.Perm(len(programs)) {
			before, _ := processes[i].Usage() // zero where it can't be told
			for range perBlock / turns {
				_, took, err := processes[i].Invoke(programs[i].payload)
				if err != nil {
					return err
				}
				each[i] = append(each[i], took.Seconds())
			}
			after, _ := processes[i].Usage()
			used[i] += after.CPU - before.CPU
		}
	}
	for i, p := range programs {
		b.samples.add(warm, halfOf, p.name, median(each[i]))
		if used[i] > 0 {
			b.samples.add(warm, cpu, p.name, used[i].Seconds()/perBlock)
		}
	}
	return nil
}

// allocations counts what a warm invocation allocates.
func (b *bench) allocations(ctx context.Context, p program) error {
	process, err := measure.Start(ctx, measure.Config{Bootstrap: p.counting, Env: p.env, Counting: true})
	if err != nil {
		return err
	}
	defer process.Stop()
	const warmUp, counted = 100, 500
	if _, _, err := process.Allocations(p.payload, warmUp); err != nil {
		return err
	}
	objects, _, err := process.Allocations(p.payload, counted)
	b.samples.add(warm, allocated, p.name, objects)
	return err
}
