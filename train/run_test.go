package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

func TestPhasesLowerTheirLosses(t *testing.T) {
	ends := func(dir, key string) (head, tail float64) {
		values := readMetric(t, dir, key)
		n := len(values) / 3
		return mean(values[:n]), mean(values[len(values)-n:])
	}
	t.Run("stage 1", func(t *testing.T) {
		plan, dir := onePhase(objective.Representation(), 12), t.TempDir()
		plan.Evaluation.Examples = 6
		phase := &plan.Phases[0]
		phase.Batch, phase.Mix.Similar = 16, 0.5
		phase.Optimizer.LearningRate[train.QFormer] = 3e-3
		result, err := newSessionFor(t, plan, dir).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if result.Final.Retrieval == nil {
			t.Error("no retrieval was measured")
		}
		for _, part := range []string{"loss", "itc", "itg"} {
			if head, tail := ends(dir, "only/"+part); !(tail < head) {
				t.Errorf("%s went from %.3f to %.3f", part, head, tail)
			}
		}
	})
	t.Run("stage 2", func(t *testing.T) {
		plan, dir := warmupAndStage2(12), t.TempDir()
		plan.Phases[1].Batch = 32 // all pictures, so that the steps' losses can be compared
		result, err := newSessionFor(t, plan, dir).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if g := result.Final.Grounding; g == nil || g.Right <= 0 || g.None <= 0 {
			t.Errorf("grounding %+v", g)
		}
		if head, tail := ends(dir, "stage-2/loss"); !(tail < head) {
			t.Errorf("loss went from %.3f to %.3f", head, tail)
		}
	})
}

func TestWarmupTrainsTheProjectionAlone(t *testing.T) {
	plan, dir := warmupAndStage2(1), t.TempDir()
	plan.Phases = plan.Phases[:1]
	s := newSessionFor(t, plan, dir)
	old := weightsNow(t, s.Bridge)
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, w := range weightsOf(t, dir) {
		changed := string(w.Data) != string(old[name].Data)
		if projection := name == "language_projection.weight" || name == "language_projection.bias"; changed != projection {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
}

// failing fails after some calls of the language model.
type failing struct {
	adapters.LanguageModel
	left int
	err  error
}

func (f *failing) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if f.left--; f.left < 0 {
		return nil, f.err
	}
	return f.LanguageModel.Loss(ctx, req)
}

func TestFailedStepAppliesNothing(t *testing.T) {
	plan, dir := stage2(3), t.TempDir()
	plan.CheckpointEvery = 1
	s := newSessionFor(t, plan, dir)
	broken := errors.New("the plugin is gone")
	s.Language = &failing{LanguageModel: s.Language, left: 1, err: broken}
	if _, err := s.Run(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoints", "step-000001")); err != nil {
		t.Errorf("the checkpoint before the failure: %v", err)
	}
	again := newSessionFor(t, plan, dir)
	again.Resume = true
	if _, err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameBits(t, weightsOf(t, dir), uninterrupted(t, plan))
}

// An objective of one stage would meet a bridge of another deep in a graph.
func TestCheckRefusesAnObjectiveOfAnotherStage(t *testing.T) {
	lm := fakeLanguage()
	if err := newSession(t, tinyFor(t, lm, 0), lm, onePhase(objective.Representation(), 1), t.TempDir()).Check(); err == nil {
		t.Error("stage 1 is trained with a bridge of stage 2")
	}
	if err := newSession(t, tiny(t, 0), lm, onePhase(objective.PromptCaption(), 1), t.TempDir()).Check(); err == nil {
		t.Error("stage 2 is trained with a bridge of stage 1")
	}
	plan := onePhase(objective.Objective{Name: "half", Stage: 2, Draw: objective.CaptionOrQuestion}, 1)
	if err := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir()).Check(); err == nil {
		t.Error("an objective without examples is trained")
	}
}
