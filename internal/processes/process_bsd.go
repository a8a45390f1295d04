//go:build unix && !linux

package processes

import "syscall"

// sysProcAttr gives a process a group of its own.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
