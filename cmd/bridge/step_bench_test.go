package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// placements returns the places in which the benchmarks below run frozen models: in this
// process, and in their own with tensors in shared memory and in gRPC's streams.
func placements() []recipes.Backbone {
	return []recipes.Backbone{
		{Isolation: "none"},
		{Isolation: "process", Transport: string(host.TransportShared)},
		{Isolation: "process", Transport: string(host.TransportGRPC)},
	}
}

func placementName(b recipes.Backbone) string {
	return strings.TrimSuffix(b.Isolation+"/"+b.Transport, "/")
}

// BenchmarkStage2Step measures one step of stage 2 on the kit (64 pictures, cached features,
// tiny-opt) with each placement.
//
//	go test -run '^$' -bench Stage2Step -benchtime 40x ./cmd/bridge
func BenchmarkStage2Step(b *testing.B) {
	testenv.Cache(b)
	for _, place := range placements() {
		b.Run(placementName(place), func(b *testing.B) { runSteps(b, place, stopwatch{b}) })
	}
}

// BenchmarkStage2Isolation measures the cost of isolation for such a step. The placements take
// turns, one step each, so that other load on the machine affects all of them equally.
//
//	go test -run '^$' -bench Stage2Isolation -benchtime 40x ./cmd/bridge
func BenchmarkStage2Isolation(b *testing.B) {
	testenv.Cache(b)
	turns := newTurns(len(placements()))
	var all sync.WaitGroup
	prompts := make([]int, len(placements()))
	for i, placement := range placements() {
		all.Go(func() {
			if prompts[i] = runSteps(b, placement, &turn{turns: turns, index: i}); b.Failed() {
				turns.end()
			}
		})
	}
	all.Wait()
	if !b.Failed() {
		turns.times.report(b)
		b.ReportMetric(4*float64(prompts[0]), "copied-B/op") // soft prompts and gradient, each into and out of shared memory
	}
}

// times are the durations of the rounds with each placement.
type times [][]time.Duration

// report reports medians, and the median ratio of a round to the same round in this process.
func (t times) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // the time of a round of all placements has no meaning
	for i, placement := range placements() {
		name := strings.ReplaceAll(placementName(placement), "/", "-")
		b.ReportMetric(median(t[i]).Seconds()*1e3, name+"-ms")
		if i == 0 {
			continue
		}
		ratios := make([]float64, len(t[i]))
		for n := range ratios {
			ratios[n] = t[i][n].Seconds() / t[0][n].Seconds()
		}
		b.ReportMetric(median(ratios), name+"/none")
	}
}

func median[T time.Duration | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// checkpointVariable is the variable with the folder of a language model for
// BenchmarkLanguageIsolation.
const checkpointVariable = "BRIDGE_BENCH_CHECKPOINT"

// BenchmarkLanguageIsolation measures the cost of isolation for the language model's part of a
// step: loss and gradient of 8 examples with 32 soft prompts each. The model should be larger
// than the kit's, for example a random OPT-125M of tools/bench/checkpoints.py. The placements
// take turns.
//
//	BRIDGE_BENCH_CHECKPOINT=/path/to/opt-125m go test -run '^$' -bench LanguageIsolation -benchtime 30x ./cmd/bridge
func BenchmarkLanguageIsolation(b *testing.B) {
	dir := os.Getenv(checkpointVariable)
	if dir == "" {
		b.Skip("no " + checkpointVariable)
	}
	w := benchWorkspace(b, nil)
	reg, err := w.Registry()
	if err != nil {
		b.Fatal(err)
	}
	found, err := reg.FolderKind(dir, adapters.KindLanguage)
	if err != nil {
		b.Fatal(err)
	}
	var models []adapters.LanguageModel
	for _, placement := range placements() {
		placement.DType = "float32"
		m, err := w.OpenLanguage(b.Context(), workspace.SpecForRecipe(found, placement, os.Getenv("BRIDGE_TEST_BACKEND")))
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close()
		models = append(models, m)
	}
	req := lossOf8(models[0].Spec())
	took := make(times, len(models))
	round := func(measured bool) {
		for i, m := range models {
			began := time.Now()
			if _, err := m.Loss(b.Context(), req); err != nil {
				b.Fatal(err)
			}
			if measured {
				took[i] = append(took[i], time.Since(began))
			}
		}
	}
	for range warmupSteps {
		round(false)
	}
	for b.Loop() {
		round(true)
	}
	took.report(b)
	b.ReportMetric(4*float64(len(req.Prompts.Data)), "copied-B/op")
}

// lossOf8 returns a request for loss and gradient of 8 examples with 32 soft prompts and about
// 32 tokens of text each.
func lossOf8(spec adapters.LanguageSpec) *adapters.LossRequest {
	const batch, queries = 8, 32
	req := &adapters.LossRequest{Prompts: adapters.NewTensor(adapters.Float32, batch, queries, spec.Width), Gradient: true}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range req.Prompts.Float32s() {
		req.Prompts.Float32s()[i] = float32(rng.NormFloat64()) / 10
	}
	for i := range batch {
		req.Examples = append(req.Examples, adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(i)},
			Target: " a dog left of a cat and a red apple"})
	}
	return req
}

// warmupSteps is the number of steps that compile graphs and fill caches.
const warmupSteps = 3

// runSteps runs stage 2 with the frozen models in a placement, for b.N steps after the warm-up.
// It returns the size of a step's soft prompts in bytes.
func runSteps(b *testing.B, placement recipes.Backbone, progress metrics.Progress) int {
	prompts, err := trainStage2(b, placement, progress)
	if err != nil {
		b.Error(err)
	}
	return prompts
}

func trainStage2(b *testing.B, placement recipes.Backbone, progress metrics.Progress) (prompts int, err error) {
	w := benchWorkspace(b, onlyStage2{progress})
	sets := []string{`data.train={id="kit:train",pictures=256}`, `data.eval={id="kit:held-out",pictures=2}`,
		fmt.Sprintf("optimizer.steps=%d", b.N+warmupSteps), "optimizer.warmup=1", "evaluation.every=0",
		"evaluation.examples=1", "evaluation.captions=0", "evaluation.final_captions=0", "run.checkpoint_every=0"}
	for _, side := range []string{"vision", "language"} {
		sets = append(sets, side+".isolation="+placement.Isolation)
		if placement.Transport != "" {
			sets = append(sets, side+".transport="+placement.Transport)
		}
	}
	r, err := recipes.Load("tiny-stage2-opt", sets...)
	if err != nil {
		return 0, err
	}
	reg, err := w.Registry()
	if err != nil {
		return 0, err
	}
	resolved, err := r.Resolve(reg)
	if err != nil {
		return 0, err
	}
	out, err := runs.Train(b.Context(), w, resolved, runs.Options{Dir: filepath.Join(b.TempDir(), "run")})
	if err != nil {
		return 0, err
	}
	_, config, err := bridge.ReadInfo(train.BridgeDir(out.Dir))
	return r.Optimizer.Batch * config.Queries * config.LanguageWidth * adapters.Float32.Size(), err
}

// benchWorkspace returns a workspace that starts this binary to serve built-in adapters.
func benchWorkspace(b *testing.B, progress metrics.Progress) *workspace.Workspace {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return workspace.New(workspace.Options{Progress: progress, AdapterCommand: []string{self, "adapter", "serve"}})
}

// onlyStage2 passes on the steps of stage 2 and no other task.
type onlyStage2 struct{ metrics.Progress }

func (p onlyStage2) Start(name string, total, done int) metrics.Task {
	if name != "stage-2" {
		return metrics.Silent().Start(name, total, done)
	}
	return p.Progress.Start(name, total, done)
}

// stopwatch runs a benchmark's timer from the last warm-up step to the end of the stage.
type stopwatch struct{ b *testing.B }

func (w stopwatch) Start(string, int, int) metrics.Task { return w }

func (w stopwatch) Step(n, _ int, _ float64) {
	if n == warmupSteps {
		w.b.ResetTimer()
	}
}

func (w stopwatch) Done() { w.b.StopTimer() }

// turns lets several trainings do one step each, one after the other.
type turns struct {
	next  []chan struct{} // signals each training that it is its turn
	left  atomic.Int32    // number of trainings that have steps to do
	over  chan struct{}   // closed when none has steps to do, or one failed
	end   func()
	times times
}

func newTurns(n int) *turns {
	t := &turns{over: make(chan struct{}), times: make(times, n)}
	t.end = sync.OnceFunc(func() { close(t.over) })
	t.left.Store(int32(n))
	for range n {
		t.next = append(t.next, make(chan struct{}, 1))
	}
	t.next[0] <- struct{}{}
	return t
}

// turn is one training's part in turns.
type turn struct {
	*turns
	index int
	total int
	began time.Time
}

func (t *turn) Start(_ string, total, _ int) metrics.Task {
	t.total = total
	t.wait()
	return t
}

func (t *turn) wait() {
	select {
	case <-t.next[t.index]:
	case <-t.over:
	}
	t.began = time.Now()
}

func (t *turn) Step(n, _ int, _ float64) {
	if n > warmupSteps {
		t.times[t.index] = append(t.times[t.index], time.Since(t.began))
	}
	select {
	case t.next[(t.index+1)%len(t.next)] <- struct{}{}:
	case <-t.over:
	}
	if n < t.total {
		t.wait()
		return
	}
	if t.left.Add(-1) == 0 {
		t.end()
	}
	<-t.over // work after the last step would disturb the others' measurements
}

func (t *turn) Done() {}
