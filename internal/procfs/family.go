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

// Arguments returns the command line of a process, or nil if it has ended.
func Arguments(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}
