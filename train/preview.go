package train

import (
	"context"
	"math/rand/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train/objective"
)

// Preview is a record as the last phase of a run sees it in one of its draws.
type Preview struct {
	Row      int
	ID       string
	Pictures []*adapters.Tensor // prepared, uint8[H, W, 3]
	Examples []PreviewExample
}

// PreviewExample is an example of the language model, or a caption of stage 1.
type PreviewExample struct {
	adapters.Example     // soft prompt k stands for picture k
	Tokens           int // of the target, its end not counted; -1 if they cannot be counted
}

// Preview returns what the run's last phase makes of some rows of the training set: one draw of
// each, whose texts are cut. The error for records and pictures that cannot be used is a
// [data.PictureErrors].
func (s *Session) Preview(ctx context.Context, rows []int) ([]Preview, error) {
	phase := s.Plan.Phases[len(s.Plan.Phases)-1]
	cutter, err := s.newTextCutter(ctx)
	if err != nil {
		return nil, err
	}
	records, err := readRecords(s.Train.Data, rows, phase)
	if err != nil {
		return nil, err
	}
	samples := make([]data.Sample, len(rows))
	for i, row := range rows {
		rng := rand.New(rand.NewPCG(seedAt(s.Plan.Seed, phase.Name, 0, row), 0))
		samples[i] = draw(rng, records[i], phase)
		samples[i].Index = row
	}
	if samples, err = cutter.samples(ctx, samples); err != nil {
		return nil, err
	}
	previews := make([]Preview, len(rows))
	for i, sample := range samples {
		if previews[i], err = s.preview(ctx, cutter, phase, sample); err != nil {
			return nil, err
		}
		previews[i].ID = records[i].ID
	}
	return previews, nil
}

// preview returns the preview of a sample.
func (s *Session) preview(ctx context.Context, cutter *textCutter, phase Phase, sample data.Sample) (p Preview, err error) {
	p.Row = sample.Index
	for k := range picturesOf(sample) {
		picture, err := s.Train.Data.Image(data.PictureAt(s.Train.Data, sample.Index, k))
		if err != nil {
			return p, err
		}
		p.Pictures = append(p.Pictures, picture)
	}
	var examples []adapters.Example
	switch {
	case phase.Objective.Stage == 1:
		examples = []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: sample.Caption}}
	case sample.Turns != nil:
		examples, err = cutter.fitting(ctx, objective.Sequence(s.Plan.Templates, 0, sample.Turns))
	default:
		examples = []adapters.Example{phase.Objective.Example(s.Plan.Templates, 0, sample)}
	}
	if err != nil {
		return p, err
	}
	for _, e := range examples {
		tokens := -1
		if cutter.counter != nil {
			counts, err := cutter.counter.CountTokens(ctx, []string{e.Target})
			if err != nil {
				return p, err
			}
			tokens = int(counts[0])
		}
		p.Examples = append(p.Examples, PreviewExample{e, tokens})
	}
	return p, nil
}
