//go:build !linux

package measure

import (
	"errors"
	"runtime"
)

func usage(int) (Usage, error) {
	return Usage{}, errors.New("what a process uses can't be read on " + runtime.GOOS)
}
