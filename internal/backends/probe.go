package backends

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
)

// Plugin is a PJRT plugin file.
type Plugin struct {
	Kind string // "cpu", "cuda" or another name from the file's name
	Path string // absolute
}

// Choice is the backend for a name on this machine.
type Choice struct {
	Name   string // "go", "xla:cpu", "xla:cuda" or "xla:/abs/plugin.so"
	Plugin string // path of the plugin; empty for the Go backend
	Why    string // reason, in a clause for people
}

// OnGPU reports whether the backend computes on a GPU.
func (c Choice) OnGPU() bool { return pluginKind(filepath.Base(c.Plugin)) == "cuda" }

func (c Choice) key() string { return c.Name + "\x00" + c.Plugin }

// Report lists the backends that [Open] finds on this machine, for bridge doctor. No plugin is
// loaded.
type Report struct {
	Auto    Choice   // the backend for "auto"
	Plugins []Plugin // in the order of the search
	Folders []string // folders that are searched for plugins
	GPUs    []string // device files
	XLA     bool     // the binary can load plugins, because it was built with cgo
	SIMD    bool     // the binary was built with GOEXPERIMENT=simd
}

// Compiled returns the names of the backends that the binary has or can load. It does not search
// for plugins.
func Compiled() []string {
	names := []string{Go}
	if hasSIMD {
		names[0] += " (simd)"
	}
	if hasXLA {
		names = append(names, "xla")
	}
	return names
}

// Probe searches for backends.
func Probe() Report { return thisMachine().report() }

// Choose returns the backend for a name, with the reason. It returns an error if the name is
// unknown or its plugin is missing.
func Choose(name string) (Choice, error) {
	if err := Check(name); err != nil {
		return Choice{}, err
	}
	return thisMachine().choose(name)
}

// TestName returns the name of the backend for tests.
func TestName() string {
	if name := os.Getenv("BRIDGE_TEST_BACKEND"); name != "" {
		return name
	}
	return Go
}

// machine has the properties of a machine that the choice depends on.
type machine struct {
	folders []string
	gpus    []string
	xla     bool
}

func thisMachine() machine {
	home, _ := os.UserHomeDir()
	return machine{
		folders: searchFolders(os.Getenv, home),
		gpus:    gpuDevices(),
		xla:     hasXLA,
	}
}

// searchFolders returns the folders that go-xla searches for plugins, except those in ld.so.conf.
// Unlike go-xla, bridge opens no file during the search, so a broken plugin does no harm until it
// is chosen.
func searchFolders(env func(string) string, home string) []string {
	if paths := env("PJRT_PLUGIN_LIBRARY_PATH"); paths != "" {
		return absolute(filepath.SplitList(paths))
	}
	var folders []string
	if home != "" {
		folders = append(folders, filepath.Join(home, ".local", "lib", "go-xla"))
	}
	folders = append(folders, "/usr/local/lib/go-xla")
	for _, f := range slices.Clone(folders) {
		folders = append(folders, filepath.Join(f, "nvidia"))
	}
	return absolute(append(folders, filepath.SplitList(env("LD_LIBRARY_PATH"))...))
}

func absolute(paths []string) []string {
	return slices.DeleteFunc(paths, func(p string) bool { return !filepath.IsAbs(p) })
}

func gpuDevices() []string {
	devices, err := filepath.Glob("/dev/nvidia[0-9]*")
	if err != nil {
		return nil
	}
	return devices
}

func (m machine) plugins() []Plugin {
	var found []Plugin
	for _, folder := range m.folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if kind := pluginKind(e.Name()); kind != "" && !e.IsDir() {
				found = append(found, Plugin{Kind: kind, Path: filepath.Join(folder, e.Name())})
			}
		}
	}
	return found
}

// pluginKind returns the kind of a plugin from its file name, like go-xla:
// pjrt_c_api_cpu_plugin.so, pjrt-plugin-cuda.so. It returns "" if the file is not a plugin.
func pluginKind(file string) string {
	match := regexp.MustCompile(`^pjrt(?:_c_api_(.+)_plugin|[-_]plugin[-_](.+))\.(?:so|dylib|dll)$`).FindStringSubmatch(file)
	if match == nil {
		return ""
	}
	name := strings.ToLower(match[1] + match[2])
	for _, kind := range []struct{ part, kind string }{{"cuda", "cuda"}, {"nvidia", "cuda"}, {"cpu", "cpu"}} {
		if strings.Contains(name, kind.part) {
			return kind.kind
		}
	}
	return name
}

func (m machine) find(kind string) (Plugin, bool) {
	plugins := m.plugins()
	i := slices.IndexFunc(plugins, func(p Plugin) bool { return p.Kind == kind })
	if i < 0 {
		return Plugin{}, false
	}
	return plugins[i], true
}

func (m machine) choose(name string) (Choice, error) {
	switch name {
	case "", Auto:
		return m.auto(), nil
	case Go:
		return Choice{Name: Go, Why: "requested"}, nil
	}
	if !m.xla {
		return Choice{}, adapters.Errorf(adapters.Unsupported, "backend %s: this binary was built without XLA", name).
			WithRemedy("use --backend go, or build with CGO_ENABLED=1 on Linux, macOS (arm64) or Windows")
	}
	kind := strings.TrimPrefix(name, xlaPath)
	if filepath.IsAbs(kind) {
		if _, err := os.Stat(kind); err != nil {
			return Choice{}, adapters.Errorf(adapters.NotFound, "backend %s: cannot read the plugin: %w", name, err)
		}
		return Choice{Name: name, Plugin: kind, Why: "requested"}, nil
	}
	plugin, ok := m.find(kind)
	if !ok {
		how := "put one there"
		if kind == "cpu" || kind == "cuda" {
			how = "install it with `bridge doctor --install " + shell.Word("xla-"+kind) + "`"
		}
		return Choice{}, adapters.Errorf(adapters.NotFound, "backend %s: no plugin pjrt_c_api_%s_plugin.so in %s",
			name, kind, strings.Join(m.folders, ", ")).
			WithRemedy("use --backend go, %s, or name the plugin's file: xla:/absolute/path.so", how)
	}
	return Choice{Name: name, Plugin: plugin.Path, Why: "requested"}, nil
}

func (m machine) auto() Choice {
	if !m.xla {
		return Choice{Name: Go, Why: "this binary was built without XLA"}
	}
	cuda, hasCuda := m.find("cuda")
	if hasCuda && len(m.gpus) > 0 {
		return Choice{Name: XLACUDA, Plugin: cuda.Path, Why: "a GPU and a CUDA plugin were found"}
	}
	lack := "no GPU was found"
	if len(m.gpus) > 0 {
		lack = "a GPU was found but no CUDA plugin"
	}
	if cpu, ok := m.find("cpu"); ok {
		return Choice{Name: XLACPU, Plugin: cpu.Path, Why: lack + ", a CPU plugin was found"}
	}
	return Choice{Name: Go, Why: lack + ", and no CPU plugin"}
}

func (m machine) report() Report {
	return Report{Auto: m.auto(), Plugins: m.plugins(), Folders: m.folders, GPUs: m.gpus, XLA: m.xla, SIMD: hasSIMD}
}
