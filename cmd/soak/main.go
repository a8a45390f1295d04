// Command soak puts the built functions under load on this machine, with faults, for a chosen time,
// and then balances the books: is anything lost, false or leaked, and does anything grow?
//
//	soak <folder with the built functions>
//
// TIME says how long (1m), RATE how many events a second (15), SEED repeats the choices of a run,
// though not their timing. It ends with an error if anything is wrong. It reaches nothing but
// loopback addresses.
//
// All functions run as Lambda, behind queues with dead letters, the audit by schedule; two also as
// HTTP servers, whose clients try again. Each runs twice: one is killed or restarted again and
// again, the other is watched for what grows. A gate before the fake Huawei Cloud, and the sink,
// fail in all the ways that networks and services do, more in some phases than in others. Other
// administrators change the organization meanwhile. Then the faults stop, dead letters are put
// back, and everything must come to its end.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"registrar/cmd/internal/setting"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) != 2 {
		return errors.New("usage: soak <folder with the built functions>")
	}
	total, wrongTime := setting.Read("TIME", time.Minute, time.ParseDuration)
	rate, wrongRate := setting.Read("RATE", 15, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
	seed, wrongSeed := setting.Read("SEED", rand.Uint64N(1_000_000), func(s string) (uint64, error) {
		return strconv.ParseUint(s, 10, 64)
	})
	if err := errors.Join(wrongTime, wrongRate, wrongSeed); err != nil {
		return err
	}
	if total < 5*time.Second || rate < 0.1 || rate > 1000 {
		return errors.New("TIME is at least 5s, and RATE from 0.1 to 1000")
	}
	fmt.Printf("The built functions under load for %s, %g events a second; SEED=%d repeats it\n", total, rate, seed)
	r, err := newSoak(os.Args[1], seed).run(ctx, total, rate, func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	if !r.print(os.Stdout) {
		return errors.New("something is wrong, see above")
	}
	return nil
}
