package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"registrar/cmd/internal/show"
	"registrar/internal/functiongraphlocal"
	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// The keys that the fake knows. They are not a secret: they open nothing else.
const (
	accessKey = "SANDBOX-ACCESS-KEY"
	secretKey = "SANDBOX-SECRET-KEY"
)

// invocationTime is the most that an invocation may take.
const invocationTime = time.Minute

// The accounts of the samples: one that administers something, and an ordinary one.
const (
	security = "05261f923e80d3890f33c0056e9b3f80"
	ordinary = "0b6e2d41c58f4a3796d0e1f2a3b4c5d6"
)

// defaults let the samples in events/ work, as they do in the stage dev.
var defaults = map[string]string{
	"ADMINISTRATORS":   "service.SecMaster=id:" + security,
	"REGION_ID":        "cn-north-4",
	"TRUSTED_SERVICES": "service.SecMaster,service.RAM",
}

// environment is what the functions get of the environment of this program, with the defaults. A
// variable that is set, even to nothing, has no default.
func environment(environ []string) map[string]string {
	env := maps.Clone(defaults)
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		own := slices.Contains([]string{"RESULT_SINK", "K_SINK", "PORT", "HOST", "PATH"}, name) ||
			strings.HasPrefix(name, "HUAWEICLOUD_") || strings.HasSuffix(name, "_ENDPOINT") ||
			strings.HasPrefix(name, "AWS_") && name != "AWS_LAMBDA_LOG_LEVEL" ||
			strings.HasPrefix(name, "LAMBDA_") || strings.HasPrefix(name, "RUNTIME_") || strings.HasPrefix(name, "_")
		if !own {
			env[name] = value
		}
	}
	return env
}

// yours begins the hint how to set others.
const yours = "Set whatever a function reads: "

// settings are the variables that have a default, with their values.
func settings(env map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		text := name + "=" + env[name]
		if env[name] != defaults[name] {
			text += " (yours)"
		}
		all = append(all, text)
	}
	if dry := env["DRY_RUN"]; dry != "" {
		all = append(all, "DRY_RUN="+dry+" (yours)")
	}
	return all
}

// access is how a function reaches the fake at base.
func access(base string) map[string]string {
	return map[string]string{
		"HUAWEICLOUD_SDK_AK": accessKey, "HUAWEICLOUD_SDK_SK": secretKey,
		"IDENTITYCENTER_ENDPOINT": base, "ORGANIZATIONS_ENDPOINT": base, "RESULT_SINK": base + "/sink",
	}
}

// sandbox is an organization in the fake Huawei Cloud, and the functions that work on it.
type sandbox struct {
	cloud     *huaweitest.Cloud
	env       map[string]string // what all functions get; each has its own access as well
	functions []*function
	ended     func(f *function, payload []byte, i *show.Invocation)
	asked     func(request []byte) // takes what an audit asks other functions for
}

// newSandbox makes the organization: nothing registered, the two accounts of the samples created,
// two services with trusted access. The functions are those in dist. When the invocation of one has
// ended, ended is told what it did; asked takes the requests of audits as they are sent.
func newSandbox(
	ctx context.Context, dist string, ended func(*function, []byte, *show.Invocation), asked func([]byte),
) (*sandbox, error) {
	s := &sandbox{
		ended: ended, asked: asked,
		cloud: huaweitest.New(huaweitest.Credentials{AccessKey: accessKey, SecretKey: secretKey}),
		env:   environment(os.Environ()),
	}
	s.cloud.NameAccount(security, "security")
	s.cloud.NameAccount(ordinary, "shop")
	s.cloud.TrustService("service.SecMaster", "service.CTS")

	bootstraps, err := filepath.Glob(filepath.Join(dist, "*", "bootstrap"))
	if err != nil || len(bootstraps) == 0 {
		missing := filepath.Join(dist, "<function>", "bootstrap")
		return nil, fmt.Errorf("no %s: call it by make, which builds the functions first", missing)
	}
	for _, bootstrap := range bootstraps {
		f, err := s.newFunction(ctx, bootstrap)
		if err != nil {
			s.close()
			return nil, err
		}
		s.functions = append(s.functions, f)
	}
	return s, nil
}

// close ends all functions at once, since one may wait for the turn of another.
func (s *sandbox) close() {
	var closing sync.WaitGroup
	for _, f := range s.functions {
		closing.Go(f.Close)
		closing.Go(f.graph.Close)
	}
	closing.Wait()
}

// onRequest shows each function's calls where the rest of its invocation is shown, and gives other
// the calls that came in by no function's door.
func (s *sandbox) onRequest(other func(show.Call)) {
	s.cloud.OnRequest(func(r huaweitest.Request) {
		if r.Method == http.MethodHead {
			return // warms the connection
		}
		call := show.Call{
			Time: r.Time, Method: r.Method, Path: r.Path, RawQuery: r.RawQuery, Body: r.Body,
			Status: r.Status, ErrorCode: r.ErrorCode,
		}
		at := slices.IndexFunc(s.functions, func(f *function) bool { return f.door == r.Host })
		if at < 0 {
			other(call)
			return
		}
		s.functions[at].doing(func(i *show.Invocation) { i.Call(call) })
	})
}

// function is a function with a door of its own to the fake and to a sink, and one invocation at a
// time, on Lambda or on FunctionGraph: so what it does can be told from what others do meanwhile.
type function struct {
	*lambdalocal.Function
	graph *functiongraphlocal.Function
	name  string
	door  string // host and port where the function reaches the fake

	turn sync.Mutex // is held during an invocation
	mu   sync.Mutex
	now  *show.Invocation // the invocation under way, or nil
}

func (s *sandbox) newFunction(ctx context.Context, bootstrap string) (*function, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &function{name: filepath.Base(filepath.Dir(bootstrap)), door: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.Handle("/", s.cloud)
	mux.Handle("POST /sink", sink(func(sent []byte) {
		f.doing(func(i *show.Invocation) { i.Result(sent) })
		if isRequest(sent) {
			s.asked(sent)
		}
	}))
	server := serve(listener, mux)

	watch := func(payload []byte) func(lambdalocal.Answer, error) {
		f.turn.Lock()
		i := &show.Invocation{Function: f.name}
		f.set(i)
		return func(a lambdalocal.Answer, err error) {
			f.set(nil)
			if err == nil { // else the sandbox is closing
				i.End(a)
				s.ended(f, payload, i)
			}
			f.turn.Unlock()
		}
	}
	env := maps.Clone(s.env)
	maps.Copy(env, access("http://"+f.door))
	f.Function, err = lambdalocal.New(lambdalocal.Config{
		Name: f.name, Bootstrap: bootstrap, Env: env, Timeout: invocationTime, MemoryMB: 256, Concurrency: 1,
		Log: f, Watch: watch,
	})
	if err != nil {
		server.Close()
		return nil, err
	}
	userData := maps.Clone(env)
	maps.DeleteFunc(userData, func(name, _ string) bool { return strings.HasPrefix(name, "HUAWEICLOUD_") })
	f.graph, err = functiongraphlocal.New(functiongraphlocal.Config{
		Name: f.name, Bootstrap: bootstrap, Env: userData, Timeout: invocationTime, MemoryMB: 256, Concurrency: 1,
		Headers: s.agency, Log: f, Watch: watch,
	})
	if err != nil {
		server.Close()
	}
	return f, err
}

// agency is what an invocation on FunctionGraph gets: credentials of its own, for as long as it may
// take.
func (s *sandbox) agency() http.Header {
	given := s.cloud.IssueTemporary(invocationTime)
	h := http.Header{}
	h.Set("X-CFF-Access-Key", given.AccessKey)
	h.Set("X-CFF-Secret-Key", given.SecretKey)
	h.Set("X-CFF-Security-Token", given.SecurityToken)
	return h
}

func (f *function) set(i *show.Invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = i
}

// doing hands the invocation under way to do.
func (f *function) doing(do func(*show.Invocation)) {
	f.mu.Lock()
	i := f.now
	f.mu.Unlock()
	if i != nil {
		do(i)
	}
}

// Write takes a line that the function logged.
func (f *function) Write(line []byte) (int, error) {
	f.doing(func(i *show.Invocation) { _, _ = i.Write(line) })
	return len(line), nil
}

// isRequest reports whether the event asks for something.
func isRequest(event []byte) bool {
	var e struct{ Type string }
	return json.Unmarshal(event, &e) == nil && events.IsRequest(e.Type)
}

// sink takes results, and requests.
func sink(take func(result []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		take(body)
		w.WriteHeader(http.StatusAccepted)
	}
}

// serve serves h until the program ends.
func serve(listener net.Listener, h http.Handler) *http.Server {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return server
}
