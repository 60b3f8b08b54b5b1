package hostmemory

import (
	"os"
	"path/filepath"
	"testing"
)

// system writes files of a system under a new folder.
func system(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const meminfo = "MemTotal:       24683584 kB\nMemFree:         3337484 kB\nMemAvailable:   17834252 kB\n"

func TestTheSmallestGroupBoundsTheHost(t *testing.T) {
	machine := Host{Total: 24683584 << 10, Free: 17834252 << 10, Bound: "the machine"}
	for name, c := range map[string]struct {
		files map[string]string
		want  Host
	}{
		"no group": {map[string]string{"proc/meminfo": meminfo}, machine},
		"version 2, without a limit": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "1000\n"}, machine},
		"version 2, the outer group": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "8000000000\n",
			"sys/fs/cgroup/a/memory.current": "5000000000\n", "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 1000000000\n"},
			Host{8000000000, 4000000000, "the control group"}},
		"version 2, as a container sees it": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/elsewhere\n",
			"sys/fs/cgroup/memory.max": "2000000000\n", "sys/fs/cgroup/memory.current": "2100000000\n"},
			Host{2000000000, 0, "the control group"}},
		"version 1": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "5:devices:/\n4:cpu,memory:/job\n0::/\n",
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes": "3000000000\n", "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "1000000000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "7\n"},
			Host{3000000000, 2000000000, "the control group"}},
	} {
		if got, ok := readHost(system(t, c.files)); !ok || got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got, ok := readHost(t.TempDir()); ok {
		t.Errorf("a system without /proc has %+v", got)
	}
}

func TestThisHost(t *testing.T) {
	h, ok := Now()
	if !ok || h.Total < 64<<20 || h.Free <= 0 || h.Free > h.Total {
		t.Errorf("this machine has %+v (%v)", h, ok)
	}
}
