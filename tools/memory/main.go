// Command memory compares the estimate of a run's memory (`bridge recipes show`) with what runs of the kit take:
//
//	memory -bridge bin/bridge [-backend xla:cpu] [NAME]...
//
// It trains a few steps of each case and prints a table in Markdown. It exits with 1 if an estimate is more
// than a fifth away from the highest resident size of its process. NAME is a case; by default all run.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/train/memory"
	"github.com/modular-bridging/bridge/workspace"
)

// every is the time between two looks at the processes. The system keeps each one's peak.
const every = 200 * time.Millisecond

func main() {
	bridge := flag.String("bridge", "bin/bridge", "the program")
	backend := flag.String("backend", "xla:cpu", "backend of all processes")
	flag.Parse()
	off, err := compareAll(*bridge, *backend, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
	if off > 0 {
		fmt.Fprintf(os.Stderr, "memory: %d estimates are more than %.0f %% away: fit the constants of train/memory\n", off, 100*memory.Tolerance)
		os.Exit(1)
	}
}

// testCase is a run of the kit.
type testCase struct {
	name, recipe string
	settings     []string // in addition to those that make the run short
}

func cases() []testCase {
	return []testCase{
		{"stage1", "tiny-stage1", nil},
		{"stage1-128", "tiny-stage1", []string{"optimizer.batch=128"}},
		{"stage2", "tiny-stage2-opt", nil},
		{"stage2-256", "tiny-stage2-opt", []string{"optimizer.batch=256"}},
		{"stage2-one-process", "tiny-stage2-opt", []string{"vision.isolation=none", "language.isolation=none"}},
		{"retrain", "tiny-retrain", nil},
		{"retrain-tokens", "tiny-retrain", []string{`swap.projection="shared-tokens"`, "swap.warmup_steps=2", "swap.warmup_images=1024"}},
		{"retrain-encoder", "tiny-retrain", []string{"vision.id=tiny-vit-wide", "language.id=tiny-opt", `swap.encoder="least-squares"`, `swap.projection="keep"`}},
	}
}

// short returns the settings that make a run of a stage short. Batches and evaluations stay as large as
// those of whole runs.
func short(stage int) []string {
	settings := []string{"optimizer.steps=3", "optimizer.warmup=1", "evaluation.every=0", "evaluation.examples=64"}
	if stage == 1 {
		return append(settings, "evaluation.rerank=2")
	}
	return append(settings, "evaluation.captions=0", "evaluation.final_captions=64", "evaluation.answers=false")
}

// compareAll prints the table of the cases with these names, of all without, and returns how many estimates are off.
func compareAll(bridge, backend string, names []string) (off int, err error) {
	if err := procfs.Available(); err != nil {
		return 0, fmt.Errorf("peaks are read from /proc, which this system lacks: %w", err)
	}
	dir, err := os.MkdirTemp("", "bridge-memory-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("| Case | Process | Estimated | Measured | |\n|---|---|---|---|---|\n")
	for _, c := range cases() {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		n, err := c.compare(bridge, backend, dir)
		if err != nil {
			return off, fmt.Errorf("%s: %w", c.name, err)
		}
		off += n
	}
	return off, nil
}

// compare runs a case, prints its rows, and returns how many estimates are off.
func (c testCase) compare(bridge, backend, dir string) (off int, err error) {
	settings, err := c.allSettings(backend)
	if err != nil {
		return 0, err
	}
	estimated, err := estimate(c.recipe, settings)
	if err != nil {
		return 0, err
	}
	measured, err := measure(bridge, dir, c, settings)
	if err != nil {
		return 0, err
	}
	for _, p := range estimated.Processes {
		took := measured[p.Name]
		difference := float64(p.Peak())/float64(max(1, took)) - 1
		if math.Abs(difference) > memory.Tolerance {
			off++
		}
		fmt.Printf("| `%s` | %s | %s | %s | %+.0f %% |\n", c.name, p.Name, registry.Size(p.Peak()), registry.Size(took), 100*difference)
	}
	return off, nil
}

// allSettings returns the settings of the case, with those that make it short.
func (c testCase) allSettings(backend string) ([]string, error) {
	r, err := recipes.Load(c.recipe)
	if err != nil {
		return nil, err
	}
	return append(append(short(r.Stage), "run.backend="+backend), c.settings...), nil
}

// estimate returns the estimate of a recipe's run.
func estimate(recipe string, settings []string) (runs.MemoryUse, error) {
	r, err := recipes.Load(recipe, settings...)
	if err != nil {
		return runs.MemoryUse{}, err
	}
	w := workspace.New(workspace.Options{})
	return runs.EstimateMemory(context.Background(), w, r)
}

// measure trains and returns the peak of each process in bytes, by the names of package memory. The features are
// computed anew.
func measure(bridge, dir string, c testCase, settings []string) (map[string]int64, error) {
	args := []string{"train", c.recipe, "--out", filepath.Join(dir, c.name)}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	command := exec.Command(bridge, args...)
	command.Env = append(os.Environ(), "BRIDGE_CACHE="+filepath.Join(dir, c.name+"-cache"))
	said, err := os.Create(filepath.Join(dir, c.name+".log"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	peaks := map[string]int64{}
	for {
		look(command.Process.Pid, peaks)
		select {
		case err := <-ended:
			if err != nil {
				text, _ := os.ReadFile(said.Name())
				return nil, fmt.Errorf("%w\n%s", err, text)
			}
			return peaks, nil
		case <-time.After(every):
		}
	}
}

// look raises the peaks of the processes of a run to what they are now.
func look(pid int, peaks map[string]int64) {
	for _, p := range procfs.Family(pid) {
		if bytes, err := procfs.Peak(p.PID); err == nil {
			name := nameOf(procfs.Arguments(p.PID))
			peaks[name] = max(peaks[name], bytes)
		}
	}
}

// nameOf returns the name of a process by its command line: `bridge adapter serve FAMILY` is a frozen model.
func nameOf(args []string) string {
	if len(args) < 4 || args[1] != "adapter" {
		return memory.Bridge
	}
	if args[3] == "vit" {
		return memory.Vision
	}
	return memory.Language
}
