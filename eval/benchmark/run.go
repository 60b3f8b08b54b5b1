package benchmark

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/imaging"
)

// Options say how a task is run.
type Options struct {
	// Dir is the task's own folder. If it has answers of the same plan, the run continues.
	Dir string
	// Fresh discards what is in Dir.
	Fresh bool
	// Limit draws that many samples with Seed; 0 means all.
	Limit int
	Seed  uint64
	// Batch is the number of samples that are asked at once; 0 means [DefaultBatch]. It changes the
	// answers in the last bits.
	Batch int
	// Model names the model: see [Describe].
	Model Model
	// Backend is the name of what computes, for the settings.
	Backend string
	// Orientation says how pictures are turned.
	Orientation imaging.Orientation
	// Jars is the folder with METEOR and SPICE.
	Jars jars.Folder
	// Trained has the digests of the pictures that the model was trained on ([data.PictureDigest]); nil
	// if they are not known.
	Trained map[string]bool
	// Encoded, if not nil, keeps features for later tasks of the same model.
	Encoded *Encoded
	// Progress, if not nil, is called with the numbers of samples that are done and of all. The first call is
	// before the first sample.
	Progress func(done, total int)
	Log      *slog.Logger // gets warnings; nil discards them
}

// runner is a run of a task.
type runner struct {
	model   *bridge.Model
	set     *tasks.Set
	task    *tasks.Task
	kind    tasks.Architecture
	options Options
	plan    Plan
	samples []int // numbers in the set
	scorer  *score.Scorer
	lines   *lines
	reader  data.Reader
	failed  int
}

// Run asks a model all samples of a task, or continues doing so, and returns the result, which it also
// writes. A batch that was answered is on the disk before the next one is asked.
func Run(ctx context.Context, m *bridge.Model, set *tasks.Set, o Options) (*Result, error) {
	r, err := newRunner(m, set, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", set.Task.Name, err)
	}
	defer r.lines.close()
	if err := r.checkFailures(); err != nil { // of an earlier run, which this error ended
		return nil, fmt.Errorf("%s: %w", set.Task.Name, err)
	}
	o.Encoded.next()
	switch {
	case r.task.Metric.Name == score.Winoground:
		err = r.matchExamples(ctx)
	case r.task.How() == tasks.Retrieves:
		err = r.retrieve(ctx)
	default:
		err = r.ask(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", set.Task.Name, err)
	}
	return r.finish(ctx)
}

func newRunner(m *bridge.Model, set *tasks.Set, o Options) (*runner, error) {
	if o.Batch == 0 {
		o.Batch = DefaultBatch
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	r := &runner{model: m, set: set, task: set.Task, options: o, samples: subset(set.Len(), o.Limit, o.Seed),
		reader: data.Reader{Spec: m.Vision.Spec().Image, Orientation: o.Orientation}}
	if err := r.checkModel(); err != nil {
		return nil, err
	}
	if m.Language != nil {
		r.kind = m.Language.Spec().Architecture
	}
	r.plan = r.newPlan()
	if err := r.plan.enter(o.Dir, o.Fresh); err != nil {
		return nil, err
	}
	if err := r.openScorer(); err != nil {
		return nil, err
	}
	var err error
	if r.lines, err = openLines(o.Dir); err != nil {
		return nil, err
	}
	r.failed = len(failuresOf(r.lines.done))
	return r, nil
}

// checkModel returns an error if the model lacks what the task needs.
func (r *runner) checkModel() error {
	switch retrieves := r.task.How() == tasks.Retrieves; {
	case retrieves && r.model.Tokenizer() == nil && !r.byLanguage():
		first := "the stage-1 bridge that it was trained from"
		if r.model.Info.Stage1 != "" {
			first += ", " + r.model.Info.Stage1
		}
		return adapters.Errorf(adapters.Unsupported, "the model is a bridge of stage 2 and has no text side, which the task compares pictures with").
			WithRemedy("name %s, or a BLIP-2 for retrieval", first)
	case !retrieves && r.model.Language == nil:
		return adapters.Errorf(adapters.Unsupported, "the model is a bridge of stage 1 and has no language model, which the task asks").
			WithRemedy("name a bridge of stage 2")
	}
	return nil
}

// openScorer makes the scorer. Captions are scored with words weighed by all references.
func (r *runner) openScorer() error {
	o := score.ScorerOptions{Variant: r.task.Metric.Variant, By: r.task.Metric.By, Jars: r.options.Jars}
	if r.task.Metric.Name == score.Captions {
		o.References = make([][]string, len(r.samples))
		for i, n := range r.samples {
			s, err := r.set.Sample(n)
			if err != nil {
				return err
			}
			o.References[i] = s.Targets
		}
	}
	var err error
	r.scorer, err = score.NewScorer(r.task.Metric.Name, o)
	return err
}
