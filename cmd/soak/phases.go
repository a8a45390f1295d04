package main

import (
	"math/rand/v2"
	"sync"
	"time"
)

// phase is how much is asked for and how much goes wrong for a while. All but the load are
// probabilities.
type phase struct {
	name      string
	load      float64 // how much of the chosen rate
	faults    float64 // for a request to Huawei Cloud
	throttled float64 // likewise
	sink      float64 // for a result on its way to the sink
}

var quiet = phase{name: "quiet"}

// seasons follow each other, again and again.
var seasons = []phase{
	{"calm", 1, 0.02, 0, 0.02},
	{"busy", 2, 0.05, 0.01, 0.05},
	{"faults", 1, 0.25, 0.02, 0.2},
	{"throttled", 1, 0.05, 0.3, 0.1},
	{"sink away", 1, 0.05, 0, 0.95},
	{"away", 0.5, 0.8, 0.05, 0.1},
}

// phases tells which phase it is.
type phases struct {
	mu      sync.Mutex
	start   time.Time
	each    time.Duration
	stopped bool // all is quiet from now on
}

func (p *phases) now() phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.each == 0 {
		return quiet
	}
	return seasons[int(time.Since(p.start)/p.each)%len(seasons)]
}

// begin begins the seasons. A run has each of them twice, or more often if it is long.
func (p *phases) begin(total time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start = time.Now()
	p.each = min(total/time.Duration(2*len(seasons)), 10*time.Second)
}

func (p *phases) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

// dice are random choices that a seed repeats. Each part of the program has its own, since their
// turns depend on time.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(seed, part uint64) *dice { return &dice{r: rand.New(rand.NewPCG(seed, part))} }

func (d *dice) chance(p float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Float64() < p
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

func (d *dice) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.n(int(most-least)))
}
