// This file is laid over the package of a subject's main, whose allocations are then told to
// whoever asks. It is in no binary that is deployed.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func init() {
	asked, told := os.NewFile(3, "asked"), os.NewFile(4, "told")
	go func() {
		var m runtime.MemStats
		for one := make([]byte, 1); ; {
			if _, err := asked.Read(one); err != nil {
				return
			}
			runtime.ReadMemStats(&m)
			fmt.Fprintln(told, m.Mallocs, m.TotalAlloc)
		}
	}()
}
