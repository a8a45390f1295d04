// Command sandbox runs the built functions on this machine against a fake Huawei Cloud. It reaches
// no real cloud.
//
//	sandbox run <folder with the built functions> [<event file>...]
//
// delivers each event twice to every function, as a bus and queues do, and shows what came of it.
// Without files it tells of an organization from nothing to registered, and how an audit heals it.
//
//	sandbox start <folder with the built functions>
//
// serves until it is interrupted: Lambda's Invoke API, a URL and a queue with dead letters for each
// function, FunctionGraph's invocation API, a sink that shows results and hands on what audits ask
// for, and the fake, also for functions that run outside of it.
//
// The functions get the environment of the sandbox but for credentials, endpoints and sinks, which
// are its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"registrar/cmd/internal/show"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch out := show.NewPrinter(os.Stdout); {
	case len(os.Args) > 2 && os.Args[1] == "run":
		err = run(ctx, out, os.Args[2], os.Args[3:])
	case len(os.Args) == 3 && os.Args[1] == "start":
		err = start(ctx, out, os.Args[2])
	default:
		err = errors.New("usage: sandbox run <folder with the built functions> [<event files>], " +
			"or sandbox start <folder>")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}
