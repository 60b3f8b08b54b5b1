package recipes

import (
	"testing"
	"time"

	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/registry"
)

func TestEstimate(t *testing.T) {
	workplace(t)
	r := resolve(t, load(t, "vit-g-opt-2.7b-stage2"))
	shape := r.Shape(nil, r.VisionModel.Width, r.LanguageModel.Width, 0)
	e := r.Estimate(shape)
	if e.Examples != 80000*1920 {
		t.Errorf("%d examples", e.Examples)
	}
	// By hand: 4 P (32 + 32) of the language model, 2 P N of the encoder, 6 P 32 of the bridge.
	each := 4*2_651_596_800.*64 + 2*985_894_528.*257 + 6*107_133_696.*32
	if want := each * float64(e.Examples); e.Operations != want {
		t.Errorf("%g operations, want %g", e.Operations, want)
	}
	if want := r.VisionModel.Memory.Stage2 + r.LanguageModel.Memory.Stage2 + 16*107_133_696; e.Memory != want {
		t.Errorf("memory %d, want %d: micro-batches are of 16", e.Memory, want)
	}
	if smaller := resolve(t, load(t, "vit-g-opt-2.7b-stage2", "optimizer.accumulate=240")).Estimate(shape); smaller.Memory >= e.Memory {
		t.Errorf("half the micro-batch takes %d, the whole %d", smaller.Memory, e.Memory)
	}
	gpu, cpu := e.On(4)
	if ratio := cpu.Seconds() / gpu.Seconds(); ratio < 624 || ratio > 626 {
		t.Errorf("4 cores take %v, a GPU %v", cpu, gpu)
	}
}

func TestCountOfAFrozenQFormer(t *testing.T) {
	r := load(t, "tiny-retrain", "swap.freeze_qformer=true", "swap.projection=shared-tokens")
	got := r.Count(qformer.Base(), registry.Manifest{ID: "a", Parameters: 3}, registry.Manifest{ID: "b"})
	if got.Trainable != 768*2560+2560 {
		t.Errorf("%d trainable, want the projection alone", got.Trainable)
	}
	if len(got.Frozen) != 2 || got.Frozen[0] != (FrozenCount{"a", 3}) || got.Frozen[1] != (FrozenCount{"b", 0}) {
		t.Errorf("frozen: %+v", got.Frozen)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1 second", 1400 * time.Millisecond: "1 second", 1600 * time.Millisecond: "2 seconds", 89 * time.Second: "89 seconds", 2 * time.Minute: "2 minutes",
		100 * time.Minute: "2 hours", 72 * time.Hour: "3 days", 1000 * 24 * time.Hour: "3 years"} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
