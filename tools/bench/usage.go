package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// family returns this process and those that it started, and these did, which still run.
func family() []procfs.Process {
	children := map[int][]procfs.Process{}
	for p := range procfs.All() {
		children[p.Parent] = append(children[p.Parent], p)
	}
	self, err := procfs.Of(os.Getpid())
	if err != nil {
		return nil
	}
	all := []procfs.Process{self}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].PID]...)
	}
	return all
}

// processorSeconds returns the processor time of these processes so far, of all threads.
func processorSeconds() (float64, error) {
	var sum float64
	for _, p := range family() {
		sum += p.CPU.Seconds()
	}
	return sum, nil
}

// peak returns the sum of the highest resident sizes of these processes so far, in bytes.
func peak() (sum int64, err error) {
	for _, p := range family() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		if err != nil {
			return 0, err
		}
		_, after, _ := strings.Cut(string(text), "VmHWM:")
		var kilobytes int64
		if _, err := fmt.Sscan(after, &kilobytes); err != nil {
			return 0, fmt.Errorf("/proc/%d/status has no VmHWM: %w", p.PID, err)
		}
		sum += kilobytes * 1024
	}
	return sum, nil
}
