package plugins

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// memoryGroup is a plugin's processes, whose memory is counted.
type memoryGroup struct {
	leader  int
	folder  string // of the plugin
	members []int
}

// list finds the members.
func (g *memoryGroup) list() {
	g.members = g.members[:0]
	for p := range procfs.All() {
		if p.Group == g.leader {
			g.members = append(g.members, p.PID)
		}
	}
	for pid := range procfs.Marked(groupKey, g.folder) { // who has left the group
		if !slices.Contains(g.members, pid) {
			g.members = append(g.members, pid)
		}
	}
}

// used is what the members hold, in bytes. What two of them share counts twice.
func (g *memoryGroup) used() (int64, error) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		return 0, fmt.Errorf("this system has no /proc to see it in: %w", err)
	}
	var sum int64
	for _, pid := range g.members {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil { // else it has ended
			sum += heldBytes(string(status))
		}
	}
	return sum, nil
}

// heldBytes reads the memory of a process that is no file's.
func heldBytes(status string) int64 {
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
