//go:build unix && !linux

package bootstrap

import "syscall"

// sysProcAttr gives a process a group of its own.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
