package hostmemory

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Now returns the memory of the machine or, where that is smaller, of this process's control group.
// It is false if the system does not say.
func Now() (Host, bool) { return readHost("/") }

// readHost reads the memory of the system whose folders proc and sys are under root.
func readHost(root string) (Host, bool) {
	info := readNumbers(filepath.Join(root, "proc/meminfo"))
	h := Host{Total: info["MemTotal"] << 10, Free: info["MemAvailable"] << 10, Bound: "the machine"}
	if h.Total == 0 {
		return Host{}, false
	}
	for _, dir := range groups(root) {
		limit, used := readNumber(dir, "memory.max", "memory.limit_in_bytes"), readNumber(dir, "memory.current", "memory.usage_in_bytes")
		if limit <= 0 {
			continue
		}
		stat := readNumbers(filepath.Join(dir, "memory.stat"))
		free := limit - used + stat["inactive_file"] // the system drops such pages first
		if limit < h.Total {
			h.Total, h.Bound = limit, "the control group"
		}
		h.Free = max(0, min(h.Free, free))
	}
	return h, true
}

// groups returns the folders of this process's control group for memory and of those around it.
func groups(root string) (dirs []string) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(part) < 3 {
			continue
		}
		base := filepath.Join(root, "sys/fs/cgroup")
		switch {
		case part[1] == "": // version 2
		case strings.Contains(","+part[1]+",", ",memory,"):
			base = filepath.Join(base, "memory")
		default:
			continue
		}
		for path := filepath.Clean("/" + part[2]); ; path = filepath.Dir(path) {
			dirs = append(dirs, filepath.Join(base, path))
			if path == "/" {
				break
			}
		}
	}
	return dirs
}

// readNumber returns the number in the first of a folder's files that is there, or 0. The word "max" is 0.
func readNumber(dir string, names ...string) int64 {
	for _, name := range names {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			return n
		}
	}
	return 0
}

// readNumbers returns the numbers of a file whose lines are a name, a colon or a space, and a number.
func readNumbers(path string) map[string]int64 {
	all := map[string]int64{}
	f, err := os.Open(path)
	if err != nil {
		return all
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		word := strings.Fields(lines.Text())
		if len(word) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(word[1], 10, 64); err == nil {
			all[strings.TrimSuffix(word[0], ":")] = n
		}
	}
	return all
}
