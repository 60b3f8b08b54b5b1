// Command bench runs a row of `make bench-torch` with bridge: it opens a checkpoint
// folder with its adapter, in process, and times calls.
//
//	bench -backend go [-profile FILE] JOB.json
//
// It loads the model, makes one call and prints a line of JSON. Then it reads commands
// from stdin, one per line, and answers each with a line of JSON. torchside.py does the
// same with PyTorch.
//
//	repeat   makes one more call: {"seconds": …, "cpu": …}, wall-clock and processor time
//	end      ends: {"peak": bytes}
//
// A row of training has a process for the language model, too. Its figures are sums over both
// processes.
//
//	bench -watch PID
//
// samples the memory of a process and those that it starts, from outside, until stdin ends. Then it prints the
// largest sum of proportional set sizes, {"pss": bytes, "pss_samples": …}, whatever program runs there.
//
// The profile covers only the first call, which is not part of the figures.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

func main() {
	backend := flag.String("backend", "go", "backend: go, xla:cpu")
	profile := flag.String("profile", "", "file for the CPU profile of the first call")
	watched := flag.Int("watch", 0, "process to sample, in place of a job")
	flag.Parse()
	if err := command(*watched, flag.Arg(0), *backend, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command watches a process, if there is one, or runs a job.
func command(watched int, path, backend, profile string) error {
	if watched > 0 {
		return watch(watched)
	}
	return run(path, backend, profile)
}

// ready is the line after the first call.
type ready struct {
	Hash     float64 `json:"hash"` // seconds for the weights' digest, which bridge keeps: 0 from the second time on
	Load     float64 `json:"load"`
	LoadPeak int64   `json:"load_peak"`
	First    float64 `json:"first"`
	result
}

func run(path, backend, profile string) error {
	j, err := readJob(path)
	if err != nil {
		return err
	}
	var r ready
	if j.Checkpoint != "" {
		if r.Hash, err = seconds(func() error {
			_, err := weights.FileDigest(filepath.Join(j.Checkpoint, "model.safetensors"))
			return err
		}); err != nil {
			return err
		}
	}
	var side side
	if r.Load, err = seconds(func() error { side, err = j.open(backend); return err }); err != nil {
		return err
	}
	defer side.Close()
	if r.LoadPeak, err = peak(); err != nil {
		return err
	}
	first := func() error { r.result, err = side.call(context.Background()); return err }
	if r.First, err = seconds(func() error { return profiled(profile, first) }); err != nil {
		return err
	}
	if r.tensor != nil {
		if err := os.WriteFile(j.Out, r.tensor.Data, 0o644); err != nil {
			return err
		}
	}
	say(r)
	return serve(side)
}

// serve answers commands until "end" or the end of stdin.
func serve(s side) error {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch command := lines.Text(); command {
		case "repeat":
			cpu, err := processorSeconds()
			if err != nil {
				return err
			}
			var called result
			took, err := seconds(func() error { called, err = s.call(context.Background()); return err })
			if err != nil {
				return err
			}
			after, err := processorSeconds()
			if err != nil {
				return err
			}
			say(map[string]float64{"seconds": took, "cpu": after - cpu, "loss": called.Loss})
		case "end":
			bytes, err := peak()
			if err != nil {
				return err
			}
			say(map[string]int64{"peak": bytes})
			return nil
		default:
			return fmt.Errorf("command %q, want repeat or end", command)
		}
	}
	return nil
}

// profiled writes the CPU profile of a call, if there is a file for it.
func profiled(path string, call func() error) error {
	if path == "" {
		return call()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return call()
}

func seconds(f func() error) (float64, error) {
	began := time.Now()
	err := f()
	return time.Since(began).Seconds(), err
}

func say(answer any) {
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// result is the result of a call, to compare with PyTorch's.
type result struct {
	Loss   float64  `json:"loss"` // per token
	Tokens int      `json:"tokens"`
	Texts  []string `json:"texts,omitempty"`
	tensor *adapters.Tensor
}
