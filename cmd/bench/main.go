// Command bench measures the built functions on this machine, and prints how they compare with the
// least that a Lambda function in Go can be.
//
//	bench <folder to build in>
//
// ROUNDS says how many cold starts of each program (40), BLOCKS how many blocks of 250 warm
// invocations (20). The tables go to <folder>.txt, too.
//
// In each round every program has its turn once, in a new random order, so that whatever else the
// machine does meets all of them; a figure is the median of the ratios within the rounds. A copy of
// the bare program runs along as a control. If it comes out otherwise than the program itself, the
// run is void, and bench fails. No other figure makes it fail. It reaches nothing but loopback
// addresses.
package main

import (
	"context"
	"errors"
	"fmt"
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
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) != 2 {
		return errors.New("usage: bench <folder to build in>")
	}
	rounds, wrongRounds := setting.Read("ROUNDS", 40, fromOne)
	blocks, wrongBlocks := setting.Read("BLOCKS", 20, fromOne)
	if err := errors.Join(wrongRounds, wrongBlocks); err != nil {
		return err
	}
	b := bench{
		root: ".", folder: os.Args[1], rounds: rounds, blocks: blocks, latency: 50 * time.Millisecond,
		say: func(line string) { fmt.Fprintln(os.Stderr, line) },
	}
	r, err := b.run(ctx)
	if err != nil {
		return err
	}
	text := r.text()
	fmt.Print(text)
	if err := os.WriteFile(b.folder+".txt", []byte(text), 0o644); err != nil {
		return err
	}
	return r.void()
}

// fromOne parses a number of things that there must be.
func fromOne(text string) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		return 0, errors.New("must be a number from 1 on")
	}
	return value, nil
}
