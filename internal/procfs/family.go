package procfs

import (
	"fmt"
	"os"
	"strings"
)

// Family returns a process and those that it started, and these did, which still run. It returns none if
// the process does not run.
func Family(pid int) []Process {
	first, err := Of(pid)
	if err != nil {
		return nil
	}
	children := map[int][]Process{}
	for p := range All() {
		children[p.Parent] = append(children[p.Parent], p)
	}
	all := []Process{first}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].PID]...)
	}
	return all
}

// Peak returns the highest resident size of a process so far, in bytes.
func Peak(pid int) (int64, error) { return size(pid, "VmHWM") }

// Resident returns the resident size of a process, in bytes.
func Resident(pid int) (int64, error) { return size(pid, "VmRSS") }

// size returns a size that the status of a process has under a name, in bytes.
func size(pid int, name string) (int64, error) {
	file := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), name+":")
	var kilobytes int64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		return 0, fmt.Errorf("%s has no %s: %w", file, name, err)
	}
	return kilobytes << 10, nil
}

// Arguments returns the command line of a process, or nil if it has ended.
func Arguments(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}
