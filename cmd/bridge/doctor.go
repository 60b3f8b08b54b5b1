package main

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/writable"
	"github.com/modular-bridging/bridge/internal/xlaflags"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/workspace"
)

// finding is a line of the doctor's report.
type finding struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Warning string `json:"warning,omitempty"`
}

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "show which backends, devices, plugins and folders bridge uses, and why",
		UsageText:   "bridge doctor [--json] [--install xla-cpu|xla-cuda|caption-metrics]",
		Description: "Example: bridge doctor --json",
		Flags:       []cli.Flag{jsonFlag(), installFlag()},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.IsSet("install") {
				if err := p.install(c.Context, c.String("install")); err != nil {
					return err
				}
			}
			found := append(backendFindings(backends.Probe(), backends.Cards(c.Context)), captionFinding())
			found = append(found, p.pluginFindings()...)
			for _, f := range found {
				if c.Bool("json") {
					if err := p.printJSON(f); err != nil {
						return err
					}
					continue
				}
				p.printf("%-14s %s\n", f.Name, f.Value)
				if f.Warning != "" {
					p.printf("%-14s warning: %s\n", "", f.Warning)
				}
			}
			return nil
		},
	}
}

// backendFindings describes the backends, devices and folders of this machine.
func backendFindings(r backends.Report, cards []backends.Card) []finding {
	simd := finding{Name: "simd", Value: "yes"}
	if !r.SIMD {
		simd.Value = "no"
		simd.Warning = "this binary computes several times slower than it could; build it with GOEXPERIMENT=simd (make build does)"
	}
	if !backends.FastScalars() {
		simd.Warning = "exponentials of the Go backend take up to 400 times as long as they could; start bridge with GODEBUG=cpu.fma=off"
	}
	xla := finding{Name: "xla", Value: "this binary can load PJRT plugins"}
	if !r.XLA {
		xla.Value = "this binary cannot load PJRT plugins (built without cgo)"
	}
	found := []finding{
		{Name: "backend", Value: fmt.Sprintf("%s: %s", r.Auto.Name, r.Auto.Why)},
		{Name: "processor", Value: fmt.Sprintf("%s/%s, %d cores in use", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))},
		simd, xla,
		{Name: "xla flags", Value: cmp.Or(xlaflags.User(), "none from XLA_FLAGS")},
		{Name: "gpus", Value: joinOrNone(r.GPUs)},
	}
	for _, card := range cards {
		found = append(found, finding{"gpu", card.String(), card.Lacks()})
	}
	if len(r.GPUs) > 0 && !slices.ContainsFunc(r.Plugins, func(p backends.Plugin) bool { return p.Kind == "cuda" }) {
		found[len(found)-1].Warning = cmp.Or(found[len(found)-1].Warning,
			"no CUDA plugin is installed, so the GPU is not used: `bridge doctor --install xla-cuda` installs one")
	}
	for _, plugin := range r.Plugins {
		found = append(found, finding{Name: "pjrt plugin", Value: plugin.Kind + ": " + plugin.Path}, cacheFinding(plugin))
	}
	if len(r.Plugins) == 0 {
		none := "none in " + joinOrNone(r.Folders)
		if r.XLA && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
			none += "; `bridge doctor --install xla-cpu` installs XLA for the CPU"
		}
		found = append(found, finding{Name: "pjrt plugin", Value: none})
	}
	var families []string
	for _, f := range builtin.Families() {
		families = append(families, f.Name)
	}
	tensors := "sent between processes through shared memory"
	if err := host.SharedMemory(); err != nil {
		tensors = "sent over gRPC (no shared memory: " + err.Error() + ")"
	}
	return append(found,
		finding{Name: "adapters", Value: joinOrNone(families)},
		finding{Name: "tensors", Value: tensors},
		folderFinding("configuration", registry.ConfigDir(), "BRIDGE_CONFIG"),
		folderFinding("cache", workspace.CacheDir(), "BRIDGE_CACHE"),
		folderFinding("user's plugins", store.Default().User, "BRIDGE_DATA"),
		folderFinding("hub cache", registry.Default().Hub, "HF_HUB_CACHE"))
}

// cacheFinding describes XLA's own caches on disk for a plugin.
func cacheFinding(p backends.Plugin) finding {
	caches, err := backends.DescribeXLACaches(p)
	if err != nil {
		return finding{"xla caches", p.Kind + ": unknown", err.Error()}
	}
	return finding{Name: "xla caches", Value: p.Kind + ": " + caches.String()}
}

// captionFinding describes which programs of caption metrics are installed.
func captionFinding() finding {
	f := finding{Name: "captions"}
	var there, missing []string
	for _, part := range []jars.Part{jars.METEOR, jars.SPICE, jars.Tokenizer} {
		if runs.CaptionJars().Missing(part) == nil {
			there = append(there, string(part))
		} else {
			missing = append(missing, string(part))
		}
	}
	f.Value = "installed: " + joinOrNone(there)
	if len(missing) > 0 {
		f.Value += "; `bridge doctor --install caption-metrics` installs " + joinOrNone(missing)
	}
	return f
}

// folderFinding describes a folder that bridge writes to, and the variable that moves it.
func folderFinding(name, dir, variable string) finding {
	f := finding{Name: name, Value: dir}
	if dir == "" {
		f.Value, f.Warning = "none", "this system has no such folder for the user; set "+variable+" to one"
	} else if err := writable.Explain(writable.Check(dir), dir, variable); err != nil {
		f.Warning = err.Error()
	}
	return f
}

// joinOrNone joins strings with commas; it returns "none" if there are none.
func joinOrNone(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}
