package app

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheLimitOfMemory(t *testing.T) {
	const none = math.MaxInt64
	for name, c := range map[string]struct {
		lambda, functionGraph, own string
		want                       int64
	}{
		"of Lambda":                 {lambda: "128", want: 96 << 20},
		"of FunctionGraph":          {functionGraph: "256", want: 192 << 20},
		"of a server":               {want: none},
		"of whoever sets another":   {lambda: "128", own: "64MiB", want: none},
		"of whoever wants none":     {lambda: "128", own: "off", want: none},
		"not a number":              {lambda: "128MB", want: none},
		"nothing":                   {lambda: "0", want: none},
		"less than nothing":         {lambda: "-128", want: none},
		"more than anybody has":     {lambda: "9223372036854775807", want: none},
		"as much as can be counted": {lambda: "2147483647", want: 2147483647 << 20 / 4 * 3},
	} {
		t.Run(name, func(t *testing.T) {
			before := debug.SetMemoryLimit(none)
			defer debug.SetMemoryLimit(before)
			t.Setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", c.lambda)
			t.Setenv("RUNTIME_MEMORY", c.functionGraph)
			t.Setenv("GOMEMLIMIT", c.own)
			boundMemory()
			assert.Equal(t, c.want, debug.SetMemoryLimit(-1))
		})
	}
}
