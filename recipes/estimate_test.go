package recipes

import (
	"slices"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/memory"
)

func TestEstimate(t *testing.T) {
	workplace(t)
	r := resolve(t, load(t, "vit-g-opt-2.7b-stage2"))
	shape := r.Shape(nil, r.VisionModel.Width, r.LanguageModel.Width, 0)
	e := r.Estimate(shape, Machine{})
	if e.Examples != 80000*1920 {
		t.Errorf("%d examples", e.Examples)
	}
	// By hand: 4 P (32 + 32) of the language model, 2 P N of the encoder, 6 P 32 of the bridge.
	each := 4*2_651_596_800.*64 + 2*985_894_528.*257 + 6*107_133_696.*32
	if want := each * float64(e.Examples); e.Operations != want {
		t.Errorf("%g operations, want %g", e.Operations, want)
	}
	if want := memory.Total(r.Processes(shape, r.VisionModel, r.LanguageModel, Machine{})); e.Memory != want {
		t.Errorf("memory %d, the processes take %d", e.Memory, want)
	}
	if smaller := resolve(t, load(t, "vit-g-opt-2.7b-stage2", "optimizer.accumulate=240")).Estimate(shape, Machine{}); smaller.Memory >= e.Memory {
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

func TestProcessesOfARecipe(t *testing.T) {
	workplace(t)
	processes := func(sets ...string) []memory.Process {
		r := resolve(t, load(t, "vit-g-opt-2.7b-stage2", sets...))
		return r.Processes(r.Shape(nil, r.VisionModel.Width, r.LanguageModel.Width, 0), r.VisionModel, r.LanguageModel, Machine{OnGPU: true})
	}
	all := processes()
	var names []string
	for _, p := range all {
		names = append(names, p.Name+" "+p.Model)
		if !p.Known {
			t.Errorf("not all of %s is known", p.Name)
		}
	}
	if want := []string{"run ", "vision eva-vit-g", "language opt-2.7b"}; !slices.Equal(names, want) {
		t.Fatalf("processes %q, want %q", names, want)
	}
	// By hand: 12 bytes a trained parameter, 2 bytes a frozen one.
	for i, want := range []int64{12 * 107_133_696, 2 * 985_894_528, 2 * 2_651_596_800} {
		if got := all[i].Certain(); got != want {
			t.Errorf("%s: %d bytes of weights and moments, want %d", names[i], got, want)
		}
	}
	if wide := processes("language.dtype=float32"); wide[2].Certain() != 2*all[2].Certain() {
		t.Errorf("float32 weights take %d, bfloat16 ones %d", wide[2].Certain(), all[2].Certain())
	}
	if one := processes("vision.isolation=none", "language.isolation=none"); len(one) != 1 || one[0].Peak() >= memory.Total(all) {
		t.Errorf("%d processes with isolation none take %d, 3 take %d", len(one), memory.Total(one), memory.Total(all))
	}
	if p := processes("run.checkpointing=true")[0]; p.Peak() >= all[0].Peak() {
		t.Errorf("%d with checkpointing, %d without", p.Peak(), all[0].Peak())
	}
	if p := processes("run.compute=bfloat16")[0]; p.Peak() >= all[0].Peak() {
		t.Errorf("%d in bfloat16 on a GPU, %d in float32", p.Peak(), all[0].Peak())
	}
}
