package main

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
)

// BenchmarkStage2Step is one step of stage 2 on the kit (64 pictures, features
// cached, tiny-opt) with the frozen models in this process and in their own:
// what isolation costs.
//
//	go test -run '^$' -bench Stage2Step -benchtime 40x ./cmd/bridge
func BenchmarkStage2Step(b *testing.B) {
	b.Setenv("BRIDGE_CACHE", b.TempDir())
	for _, isolation := range []string{"none", "process"} {
		b.Run(isolation, func(b *testing.B) { benchmarkStep(b, isolation) })
	}
}

// settling is how many steps compile graphs and warm caches up.
const settling = 3

func benchmarkStep(b *testing.B, isolation string) {
	p := &program{stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)}
	r, err := recipes.Load("tiny-stage2-opt", `data.train={id="kit:train",pictures=256}`, `data.eval={id="kit:held-out",pictures=2}`,
		"vision.isolation="+isolation, "language.isolation="+isolation, fmt.Sprintf("optimizer.steps=%d", b.N+settling), "optimizer.warmup=1", "evaluation.every=0",
		"evaluation.examples=1", "evaluation.captions=0", "evaluation.final_captions=0", "run.checkpoint_every=0")
	if err != nil {
		b.Fatal(err)
	}
	reg, err := p.registry(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	resolved, err := r.Resolve(reg)
	if err != nil {
		b.Fatal(err)
	}
	bench, err := p.openBench(b.Context(), resolved)
	if err != nil {
		b.Fatal(err)
	}
	defer bench.close()
	trained, _, err := bench.start(b.Context(), resolved, false)
	if err != nil {
		b.Fatal(err)
	}
	defer trained.Close()
	dir := b.TempDir()
	figures, err := metrics.Open(filepath.Join(dir, "run"))
	if err != nil {
		b.Fatal(err)
	}
	defer figures.Close()
	s := &train.Session{Plan: resolved.Plan(), Bridge: trained, Language: bench.language, Train: bench.train, Held: bench.held,
		Dir: dir, Metrics: figures, Progress: stopwatch{b}, Log: p.log}
	if err := bench.fill(b.Context(), bench.train, s.Needs()); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// stopwatch makes a benchmark's timer run from the last settling step to the
// end of the stage.
type stopwatch struct{ b *testing.B }

func (w stopwatch) Start(string, int, int) metrics.Task { return w }

func (w stopwatch) Step(n, _ int, _ float64) {
	if n == settling {
		w.b.ResetTimer()
	}
}

func (w stopwatch) Done() { w.b.StopTimer() }
