package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// oldFile is the file of a run folder with the quality of the bridge that a swap started from,
// which is measured once.
const oldFile = "old.json"

// oldQuality is the content of that file.
type oldQuality struct {
	From       string  `json:"from"`
	LLM        string  `json:"llm"`
	Encoder    string  `json:"encoder"`
	Data       string  `json:"held_out_data"`
	Captions   int     `json:"captions"`
	ExactMatch float64 `json:"exact_match"`
	CIDErD     float64 `json:"cider_d"`
}

// enoughExact is the exact match below which the captions of data have too many right forms for
// it, so that CIDEr-D is compared instead.
const enoughExact = 0.5

// until returns what a run with the quality as its aim goes on to.
func (q oldQuality) until() *train.Until {
	if q.ExactMatch >= enoughExact {
		return &train.Until{Metric: eval.MetricExactMatch, Value: q.ExactMatch, Patience: recipes.UntilPatience}
	}
	return &train.Until{Metric: eval.MetricCIDErD, Value: q.CIDErD, Patience: recipes.UntilPatience}
}

// measureUntil gives the session's plan its aim if the recipe has "old" for it. The run folder
// keeps the measurement for a resumed run.
func (res *resources) measureUntil(ctx context.Context, s *train.Session, r *recipes.Resolved) error {
	if r.Evaluation.Until != recipes.UntilOld {
		return nil
	}
	path := filepath.Join(s.Dir, oldFile)
	q, err := readOld(path)
	if !s.Resume || errors.Is(err, fs.ErrNotExist) {
		if q, err = res.measureOld(ctx, s, r); err == nil {
			err = writeJSON(path, q)
		}
	}
	if err != nil {
		return err
	}
	s.Plan.Until = q.until()
	metric, _ := eval.MetricNamed(s.Plan.Until.Metric)
	res.workspace.Log().Info("until the old bridge's quality", metric.Column, metric.Text(s.Plan.Until.Value),
		"of", q.From, "with", q.LLM, "captions", q.Captions)
	return nil
}

func readOld(path string) (q oldQuality, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return q, err
	}
	if err := json.Unmarshal(text, &q); err != nil {
		return q, damaged(path, err)
	}
	return q, nil
}

// measureOld measures the captions of the bridge that the run starts from, with its own frozen
// models, on the pictures of the run's evaluations.
func (res *resources) measureOld(ctx context.Context, s *train.Session, r *recipes.Resolved) (q oldQuality, err error) {
	info, err := res.workspace.BridgeInfo(ctx, r.From)
	if err != nil {
		return q, err
	}
	if info.Stage != 2 {
		return q, adapters.Errorf(adapters.Invalid, "evaluation.until is %q, but %s is a stage-1 bridge, which writes no captions", recipes.UntilOld, r.From).
			WithRemedy("give a value, such as --until \"exact match 0.95\"")
	}
	old, err := res.workspace.OpenModel(ctx, r.From, workspace.OpenOptions{
		Backend: r.Run.Backend, Isolation: r.Vision.Isolation, Transport: r.Vision.Transport})
	if err != nil {
		return q, fmt.Errorf("open the old bridge: %w", err)
	}
	defer old.Close()
	set, broken, err := OpenSource(ctx, res.workspace, r.Data.Eval, r.Data, old.Vision.Spec().Image, res.inventory(evalSplit, res.eval.LeftOut))
	if err != nil {
		return q, err
	}
	if bad := pictureErrors(broken); len(bad) > 0 { // since the data was opened
		return q, bad
	}
	rows, err := s.EvalRows()
	if err != nil {
		return q, err
	}
	got, references, err := res.oldCaptions(ctx, old.Model, set, rows[:min(s.Plan.Evaluation.Captions, len(rows))])
	return oldQuality{
		From: r.From, LLM: old.Language.Spec().ID, Encoder: old.Vision.Spec().ID, Data: res.eval.Describe(),
		Captions: len(got), ExactMatch: eval.ExactMatch(got, references), CIDErD: eval.MeanCIDErD(got, references),
	}, err
}

// oldCaptions returns the captions that a model generates for rows of a data set, and the true
// ones.
func (res *resources) oldCaptions(ctx context.Context, m *bridge.Model, set data.Dataset, rows []int) (got []string, references [][]string, err error) {
	task := res.workspace.Progress().Start("captions of the old bridge", len(rows), 0)
	defer task.Done()
	for part := range slices.Chunk(rows, 64) {
		truth := make([]string, len(part))
		for i, row := range part {
			record, err := set.Record(row)
			if err != nil {
				return nil, nil, err
			}
			captions := record.Captions
			if len(captions) == 0 {
				return nil, nil, adapters.Errorf(adapters.Invalid, "evaluation.until is %q, but pictures of %s have no caption", recipes.UntilOld, set.Name())
			}
			truth[i], references = captions[0], append(references, captions)
		}
		features, err := featurecache.NewUncached(m.Vision, set).Features(ctx, part)
		if err != nil {
			return nil, nil, err
		}
		written, err := eval.Captions(ctx, m, features, truth)
		if err != nil {
			return nil, nil, err
		}
		for _, c := range written {
			got = append(got, c.Got)
		}
		task.Step(len(got), len(part), 0)
	}
	return got, references, nil
}

// UntilText says how a run with evaluation.until ended, and what it cost. It is empty if the run
// had none.
func (s Summary) UntilText() string {
	u := s.Until
	if u == nil {
		return ""
	}
	metric, _ := eval.MetricNamed(u.Metric)
	text := fmt.Sprintf("%s %s was not reached by the recipe's last step", metric.Column, metric.Text(u.Want))
	switch u.Reason {
	case train.UntilReached:
		text = fmt.Sprintf("reached %s %s (want %s) after step %d", metric.Column, metric.Text(u.Value), metric.Text(u.Want), u.Step)
	case train.UntilNoNearer:
		text = fmt.Sprintf("%s %s was not reached: after step %d it is %s and no longer comes nearer", metric.Column, metric.Text(u.Want), u.Step, metric.Text(u.Value))
	}
	text += "; " + metric.Text(u.Final)
	if metric.Captions != nil {
		text += fmt.Sprintf(" on %d captions", s.Captions) // the evaluations on the way may have fewer
	}
	text += fmt.Sprintf(" at the end. It cost %d steps, %.0f %% of the recipe's %d", u.Steps, 100*float64(u.Steps)/float64(max(1, u.Of)), u.Of)
	if training := s.Cost.Training(); s.Cost != nil {
		text += fmt.Sprintf(", %d language-model passes forward and backward", training.LanguagePasses)
	}
	text += fmt.Sprintf(", %.0f seconds.", s.Seconds)
	if u.Reason == train.UntilLastStep {
		text += " A run with a higher optimizer.steps may reach it."
	}
	return text
}
