//go:build !race

// Package racedetector says whether the race detector is on, which makes code much slower:
// tests that take long then do less.
package racedetector

// Enabled reports whether the program was built with it.
const Enabled = false
