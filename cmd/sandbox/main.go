// Command sandbox runs the built functions on this machine against a fake Huawei Cloud. It delivers each event twice, as queues do, and
// shows what went in, what Huawei Cloud saw, and the results. It reaches no real cloud.
//
//	sandbox <folder with the built functions> <event file>...
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
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
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout *os.File, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: sandbox <folder with the built functions> <event files>")
	}
	out := newPrinter(stdout)
	credentials := huaweitest.Credentials{AccessKey: "AK" + rand.Text()[:18], SecretKey: rand.Text()}
	cloud := newCloud(credentials)
	cloud.OnRequest(out.call)
	endpoint, err := serve(ctx, cloud)
	if err != nil {
		return err
	}

	bootstraps, err := filepath.Glob(filepath.Join(args[0], "*", "bootstrap"))
	if err != nil || len(bootstraps) == 0 {
		return fmt.Errorf("no %s: call make run, which builds the functions first", filepath.Join(args[0], "<function>", "bootstrap"))
	}
	var functions []function
	for _, bootstrap := range bootstraps {
		name := filepath.Base(filepath.Dir(bootstrap))
		f, err := lambdalocal.New(lambdalocal.Config{
			Name: name, Bootstrap: bootstrap, Timeout: 15 * time.Second,
			Env: map[string]string{
				"HUAWEICLOUD_SDK_AK": credentials.AccessKey, "HUAWEICLOUD_SDK_SK": credentials.SecretKey,
				"IDENTITYCENTER_ENDPOINT": endpoint, "ORGANIZATIONS_ENDPOINT": endpoint,
			},
		})
		if err != nil {
			return err
		}
		defer f.Close()
		functions = append(functions, function{name, f})
	}
	out.title(len(functions), endpoint)

	for _, file := range args[1:] {
		payload, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for delivery := 1; delivery <= 2; delivery++ {
			out.event(file, payload, delivery)
			if err := deliver(ctx, functions, payload, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// newCloud is an organization as it is when registrar is needed: nothing is registered, an account was created, and two services have trusted access.
func newCloud(credentials huaweitest.Credentials) *huaweitest.Cloud {
	cloud := huaweitest.New(credentials)
	cloud.AddAccount("05261f923e80d3890f33c0056e9b3f80", "active")
	cloud.TrustService("service.SecMaster", "service.CTS")
	return cloud
}

// serve serves h on a free port of this machine until the program ends.
func serve(ctx context.Context, h http.Handler) (endpoint string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = (&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}).Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

type function struct {
	name string
	*lambdalocal.Function
}

// deliver finds the function that takes the event, as a bus does by its rules: the others answer that it isn't for them.
func deliver(ctx context.Context, functions []function, payload []byte, out *printer) error {
	var answer lambdalocal.Answer
	for _, f := range functions {
		var err error
		if answer, err = f.Invoke(ctx, payload); err != nil {
			return err
		}
		if errorType(answer) != "InvalidEventError" {
			return out.answer(f.name, answer)
		}
	}
	return fmt.Errorf("no function takes it: %s", answer.Payload)
}

func errorType(a lambdalocal.Answer) string {
	var failure struct{ ErrorType string }
	if a.FunctionError == "" || json.NewDecoder(bytes.NewReader(a.Payload)).Decode(&failure) != nil {
		return ""
	}
	return failure.ErrorType
}
