package processes

import "syscall"

// sysProcAttr gives a process a group of its own, and the end of this program, however hard.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
