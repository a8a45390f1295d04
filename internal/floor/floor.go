// Package floor compares what a benchmark measures with the least that its work could cost. Times
// of a machine say little; ratios within a run do.
package floor

import (
	"testing"
	"time"
)

// Report runs least as often as the benchmark ran what it measures, and reports how many times as
// long that took, as the unit. It is called behind b.Loop.
func Report(b *testing.B, unit string, least func()) {
	b.Helper()
	start := time.Now()
	for range b.N {
		least()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(time.Since(start)), unit)
}
