package measure

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func usage(pid int) (u Usage, err error) {
	if u.CPU, err = cpu(pid); err != nil {
		return u, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// proc_pid_stat(5) counts from 1, and the second field, the name, may have spaces.
	_, rest, _ := strings.Cut(string(stat), ") ")
	const minor, major, named = 10, 12, 3
	fields := strings.Fields(rest)
	if len(fields) < major {
		return u, fmt.Errorf("/proc/%d/stat: %s", pid, stat)
	}
	u.MinorFaults, _ = strconv.Atoi(fields[minor-named])
	u.MajorFaults, _ = strconv.Atoi(fields[major-named])
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	_, rest, _ = strings.Cut(string(status), "\nVmHWM:")
	if fields = strings.Fields(rest); len(fields) == 0 {
		return u, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
	}
	kib, err := strconv.Atoi(fields[0])
	u.Peak = kib << 10
	return u, err
}

// cpu reads the CPU clock of another process, which counts nanoseconds where /proc counts ticks of
// 10 ms. clock_getcpuclockid(3) makes its number in the same way.
func cpu(pid int) (time.Duration, error) {
	const ofTheProcess = 2 // and not of one thread
	clock := int32(^pid<<3 | ofTheProcess)
	var now syscall.Timespec
	_, _, errno := syscall.Syscall(
		syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&now)), 0,
	)
	if errno != 0 {
		return 0, fmt.Errorf("the CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(now.Nano()), nil
}
