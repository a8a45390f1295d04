//go:build race

package racedetector

// Enabled reports whether the program was built with it.
const Enabled = true
