package procfs

import (
	"fmt"
	"os"
	"strings"
)

// Peak returns the highest resident size of a process so far, in bytes.
func Peak(pid int) (int64, error) { return field(pid, "status", "VmHWM") }

// Resident returns the resident size of a process, in bytes.
func Resident(pid int) (int64, error) { return field(pid, "status", "VmRSS") }

// Proportional returns the proportional set size of a process, in bytes: of a page that n processes map, a
// share of 1/n. The kernel walks all pages of the process for it, which takes about 20 ms for each GB.
func Proportional(pid int) (int64, error) { return field(pid, "smaps_rollup", "Pss") }

// field returns the kilobytes that a file of a process has under a name, in bytes.
func field(pid int, file, name string) (int64, error) {
	file = fmt.Sprintf("/proc/%d/%s", pid, file)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut("\n"+string(text), "\n"+name+":")
	var kilobytes int64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		return 0, fmt.Errorf("%s has no %s: %w", file, name, err)
	}
	return kilobytes << 10, nil
}
