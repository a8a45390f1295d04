package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// share is a control group of Linux with as much of a CPU as a Lambda function gets.
type share struct{ folder string }

// Lambda gives a function one CPU for so many megabytes, of which it takes account every 20 ms.
const (
	wholeCPU = 1769
	period   = 20_000 // microseconds
)

// newShare makes a group with the CPU time of a function of so many megabytes.
func newShare(megabytes int) (*share, error) {
	const root, name = "/sys/fs/cgroup", "registrar-bench"
	quota := strconv.Itoa(period * megabytes / wholeCPU)
	limits := map[string]string{"cpu.max": quota + " " + strconv.Itoa(period)}
	folder := filepath.Join(root, name)
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0o644); err != nil {
			return nil, err
		}
	} else { // version 1
		folder = filepath.Join(root, "cpu", name)
		limits = map[string]string{"cpu.cfs_period_us": strconv.Itoa(period), "cpu.cfs_quota_us": quota}
	}
	folder += fmt.Sprintf("-%d-%d", os.Getpid(), megabytes)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	s := &share{folder}
	for file, limit := range limits {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(limit), 0o644); err != nil {
			s.remove()
			return nil, err
		}
	}
	return s, nil
}

// take puts a process into the group.
func (s *share) take(pid int) error {
	return os.WriteFile(filepath.Join(s.folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

// remove removes the group, whose processes are gone.
func (s *share) remove() { _ = os.Remove(s.folder) }
