package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
)

// interrupting ends a run's context after some batches of features.
type interrupting struct {
	from featurecache.Features
	left int
	stop context.CancelFunc
}

func (f *interrupting) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	if f.left--; f.left < 0 {
		f.stop()
		return nil, ctx.Err()
	}
	return f.from.Features(ctx, rows)
}

// stopping ends a run's context after some calls of the language model.
type stopping struct {
	adapters.LanguageModel
	left int
	stop context.CancelFunc
}

func (s *stopping) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if s.left--; s.left < 0 {
		s.stop()
		return nil, ctx.Err()
	}
	return s.LanguageModel.Loss(ctx, req)
}

// A moment, a random draw or half of an accumulated gradient that did not survive would
// make a resumed run another run.
func TestResumedRunsGiveTheSameBits(t *testing.T) {
	stage1, accumulated := onePhase(objective.Representation(), 5), onePhase(objective.PromptCaption(), 5)
	for _, plan := range []*train.Plan{&stage1, &accumulated} {
		plan.CheckpointEvery, plan.Phases[0].Mix.Similar = 2, 0.5
	}
	accumulated.Phases[0].Accumulate = 2
	halfStage1, halfAccumulated := stage1, accumulated
	halfStage1.Compute, halfAccumulated.Compute = adapters.BFloat16, adapters.BFloat16
	byFeatures := func(s *train.Session, left int, stop context.CancelFunc) {
		s.Train.Features = &interrupting{s.Train.Features, left, stop}
	}
	byCalls := func(s *train.Session, left int, stop context.CancelFunc) {
		s.Language = &stopping{s.Language, left, stop}
	}
	for name, c := range map[string]struct {
		plan      train.Plan
		steps     int
		interrupt func(s *train.Session, left int, stop context.CancelFunc)
		after     []int
	}{
		"stage 1":                     {stage1, 5, byFeatures, []int{1, 3}},
		"in two portions":             {accumulated, 5, byFeatures, []int{3, 6, 7}}, // within a step, between steps
		"stage 1 in bfloat16":         {halfStage1, 5, byFeatures, []int{3}},
		"in two portions in bfloat16": {halfAccumulated, 5, byFeatures, []int{6}},
		"two phases":                  {warmupAndStage2(5), 7, byCalls, []int{1, 3, 4, 6}}, // in the warm-up, after it, between checkpoints
	} {
		t.Run(name, func(t *testing.T) {
			whole := uninterrupted(t, c.plan)
			for _, left := range c.after {
				dir := t.TempDir()
				first := newSessionFor(t, c.plan, dir)
				ctx, stop := context.WithCancel(t.Context())
				c.interrupt(first, left, stop)
				if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
					t.Fatalf("stopped after %d: %v", left, err)
				}
				again := newSessionFor(t, c.plan, dir)
				again.Resume = true
				result, err := again.Run(t.Context())
				if err != nil {
					t.Fatalf("resumed after %d: %v", left, err)
				}
				if result.Steps != c.steps {
					t.Errorf("resumed after %d: %d steps, want %d", left, result.Steps, c.steps)
				}
				sameBits(t, weightsOf(t, dir), whole)
			}
		})
	}
}

// A run that has ended is evaluated once more where it is resumed, and its figures
// stand once.
func TestResumingWhatHasEndedRepeatsNoFigure(t *testing.T) {
	dir := t.TempDir()
	var figures [2]string
	for i := range figures {
		s := newSessionFor(t, warmupAndStage2(5), dir)
		s.Resume = i > 0
		if _, err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, metrics.File))
		if err != nil {
			t.Fatal(err)
		}
		figures[i] = regexp.MustCompile(`"seconds":[0-9.]+`).ReplaceAllString(string(data), "")
	}
	if figures[0] != figures[1] {
		t.Errorf("figures of the run\n%sresumed\n%s", figures[0], figures[1])
	}
}

func TestResumeRefusesOtherSettings(t *testing.T) {
	dir := t.TempDir()
	if _, err := newSessionFor(t, warmupAndStage2(2), dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := newSessionFor(t, warmupAndStage2(2), dir).Run(t.Context()); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("begun anew over checkpoints: %v, want an error of kind invalid", err)
	}
	other := newSessionFor(t, warmupAndStage2(3), dir)
	other.Resume = true
	if _, err := other.Run(t.Context()); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("got %v, want an error of kind invalid", err)
	}
}
