// Command sandbox runs the built functions on this machine against a fake Huawei Cloud. It reaches no real cloud.
//
//	sandbox run <folder with the built functions> <event file>...
//
// delivers each event twice, as queues do, and shows what went in, what Huawei Cloud saw, and the results.
//
//	sandbox start <folder with the built functions>
//
// serves the functions until it is interrupted: Lambda's Invoke API, a URL and a queue for each, and a sink that shows the results.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch out := newPrinter(os.Stdout); {
	case len(os.Args) > 3 && os.Args[1] == "run":
		err = run(ctx, out, os.Args[2], os.Args[3:])
	case len(os.Args) == 3 && os.Args[1] == "start":
		err = start(ctx, out, os.Args[2])
	default:
		err = errors.New("usage: sandbox run <folder with the built functions> <event files>, or sandbox start <folder>")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// sandbox is an organization in the fake Huawei Cloud, and the functions that work on it.
type sandbox struct {
	cloud     *huaweitest.Cloud
	endpoint  string // of the cloud
	functions []function
}

type function struct {
	name string
	*lambdalocal.Function
}

// newSandbox makes the organization as it is when registrar is needed, nothing registered, an account created, two services with trusted
// access, and the functions in dist. They log to log and send their results to sink, if there is one.
func newSandbox(ctx context.Context, dist string, log io.Writer, sink string) (*sandbox, error) {
	credentials := huaweitest.Credentials{AccessKey: "AK" + rand.Text()[:18], SecretKey: rand.Text()}
	s := &sandbox{cloud: huaweitest.New(credentials)}
	s.cloud.AddAccount("05261f923e80d3890f33c0056e9b3f80", "active")
	s.cloud.TrustService("service.SecMaster", "service.CTS")

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	serve(listener, s.cloud)
	s.endpoint = "http://" + listener.Addr().String()

	bootstraps, err := filepath.Glob(filepath.Join(dist, "*", "bootstrap"))
	if err != nil || len(bootstraps) == 0 {
		return nil, fmt.Errorf("no %s: call it by make, which builds the functions first", filepath.Join(dist, "<function>", "bootstrap"))
	}
	for _, bootstrap := range bootstraps {
		name := filepath.Base(filepath.Dir(bootstrap))
		f, err := lambdalocal.New(lambdalocal.Config{
			Name: name, Bootstrap: bootstrap, Timeout: time.Minute, MemoryMB: 256, Log: log,
			Env: map[string]string{
				"HUAWEICLOUD_SDK_AK": credentials.AccessKey, "HUAWEICLOUD_SDK_SK": credentials.SecretKey,
				"IDENTITYCENTER_ENDPOINT": s.endpoint, "ORGANIZATIONS_ENDPOINT": s.endpoint, "RESULT_SINK": sink,
			},
		})
		if err != nil {
			s.close()
			return nil, err
		}
		s.functions = append(s.functions, function{name, f})
	}
	return s, nil
}

// serve serves h until the program ends.
func serve(listener net.Listener, h http.Handler) *http.Server {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return server
}

func (s *sandbox) close() {
	for _, f := range s.functions {
		f.Close()
	}
}
