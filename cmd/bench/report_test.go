package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMedians(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{
		0: nil, 7: {7}, 1.5: {2, 1}, 3: {9, 1, 3}, 5: {100, 4, 1, 6},
	} {
		assert.InDelta(t, want, median(values), 0, "%v", values)
	}
	unsorted := []float64{3, 1, 2}
	median(unsorted)
	assert.Equal(t, []float64{3, 1, 2}, unsorted, "the rounds keep their order")
}

// made is a table of made-up data: in each round the machine was slower, by far more than the
// programs differ.
func made(controlled float64) report {
	s := samples{}
	for round, slower := range []float64{1, 10, 100} {
		s.add("t", "time", "bare", slower)
		s.add("t", "time", control, slower*[]float64{1, controlled, 2}[round])
		s.add("t", "time", "ours", slower*[]float64{3, 1.5, 1.2}[round])
		s.add("t", "time", "theirs", slower*1.3)
	}
	s.add("t", "bytes", "bare", 1e6)
	s.add("t", "bytes", "ours", 3.5e6)
	goals := func(most float64) goal { return goal{most, []string{"ours", "theirs"}} }
	return report{head: "made up", samples: s, notes: []string{"a note"}, tables: []table{{
		"t", "bare",
		[]string{"bare", control, "ours", "theirs"},
		[]figure{
			{name: "time", unit: seconds, controlled: true, goal: goals(1.5)},
			{name: "same time", of: "time", goal: goals(1.4)},
			{name: "bytes", unit: megabytes, goal: goals(2)},
			{name: "more", of: "bytes", as: beyond, unit: megabytes, goal: goals(2.5e6)},
			{name: "all", of: "bytes", as: plain, unit: megabytes, goal: goals(3e6)},
			{name: "unknown", as: plain, unit: count, goal: goals(1)},
		},
	}}}
}

// What is compared is what was measured in the same round, and not the medians of all rounds.
func TestTheReportOfMadeUpData(t *testing.T) {
	t.Parallel()
	r := made(1.07)
	require.NoError(t, r.void())
	assert.Equal(t, `made up

t
              time      same time  bytes   more    all     unknown
  bare        10.000 s             1.0 MB  1.0 MB  1.0 MB  -
  bare again  1.07      1.07       -       -       -       -
  ours        1.50      1.50       3.50    2.5 MB  3.5 MB  -
  theirs      1.30      1.30       -       -       -       -

Goals
                at most  the highest is
  t: time       1.50     1.50    met
  t: same time  1.40     1.50    NOT MET by ours
  t: bytes      2.00     3.50    NOT MET by ours
  t: more       2.5 MB   2.5 MB  met
  t: all        3.0 MB   3.5 MB  NOT MET by ours
  t: unknown    1        -       not measured

a note
`, r.text())
}

func TestARunWhoseControlIsOffIsVoid(t *testing.T) {
	t.Parallel()
	for controlled, void := range map[float64]bool{1: false, 1.069: false, 1.071: true, 2: true} {
		assert.Equal(t, void, made(controlled).void() != nil, controlled)
	}
	r := made(1)
	for i, slower := range []float64{1, 10, 100} {
		r.samples[key{"t", "time", control}][i] = 0.92 * slower
	}
	require.EqualError(t, r.void(), "VOID, since the machine was busy with something else:\n"+
		"  t: time: the copy of bare came to 0.92 of it")
	assert.Contains(t, r.text(), "\nVOID, ")
	r.tables[0].figures[0].controlled = false
	assert.NoError(t, r.void(), "other figures may be off")
}

func TestNothingIsLessThanZero(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "0", count(-0.2))
	assert.Equal(t, "-1", count(-0.7))
}
