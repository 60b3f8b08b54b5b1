package host

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// memoryGroup measures the memory of a plugin's processes.
type memoryGroup struct {
	leader  int
	folder  string // the plugin's private folder
	members []int
}

// refresh lists the members anew.
func (g *memoryGroup) refresh() {
	g.members = g.members[:0]
	for p := range procfs.All() {
		if p.Group == g.leader {
			g.members = append(g.members, p.PID)
		}
	}
	for pid := range procfs.Marked(wire.GroupKey, g.folder) { // also those that have left the group
		if !slices.Contains(g.members, pid) {
			g.members = append(g.members, pid)
		}
	}
}

// used returns the members' memory in bytes. Memory that two of them share counts twice.
func (g *memoryGroup) used() (int64, error) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		return 0, fmt.Errorf("this system has no /proc to see it in: %w", err)
	}
	var sum int64
	for _, pid := range g.members {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil { // otherwise the process has ended
			sum += memoryBytes(string(status))
		}
	}
	return sum, nil
}

// memoryBytes returns the memory of a process, without mapped files, from its status file.
func memoryBytes(status string) int64 {
	var sum int64
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "RssAnon", "RssShmem", "VmSwap":
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err == nil {
				sum += kilobytes << 10
			}
		}
	}
	return sum
}
