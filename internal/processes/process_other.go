//go:build !unix

package processes

import "syscall"

// runsHere tells that functions don't run on this system, which has neither SIGTERM nor process
// groups.
const runsHere = false

func sysProcAttr() *syscall.SysProcAttr { return nil }

func killGroup(int) {}
