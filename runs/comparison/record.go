package comparison

import (
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/train"
)

// readRecord returns the record of a finished run of a ladder, from its folder.
func readRecord(dir string, run recipes.MatrixRun) (ladder.Record, error) {
	summary, err := runs.ReadSummary(dir)
	if err != nil {
		return ladder.Record{}, err
	}
	result, err := runs.ReadResult(dir)
	if err != nil {
		return ladder.Record{}, err
	}
	recipe, err := recipes.Load(filepath.Join(dir, recipes.RunFile))
	if err != nil {
		return ladder.Record{}, err
	}
	sets, err := setsOf(dir, summary, result)
	if err != nil {
		return ladder.Record{}, err
	}
	record := ladder.Record{MatrixRun: run, Steps: result.Steps, Batch: recipe.Optimizer.Batch, Sets: sets, Before: before(result),
		Cost: ladder.Cost{Measured: result.Seconds}}
	if summary.Cost != nil {
		counts := summary.Cost.Training()
		record.Counts = &counts
	}
	return record, nil
}

// setsOf returns the results of a run on its held-out data, data.eval first.
func setsOf(dir string, summary runs.Summary, result train.Result) ([]ladder.Set, error) {
	pictures, err := runs.ReadPictures(dir)
	if adapters.KindOf(err) == adapters.NotFound { // an older version of bridge wrote none
		return olderSets(dir, summary, result)
	}
	if err != nil {
		return nil, err
	}
	var sets []ladder.Set
	for _, p := range pictures {
		set := setOf(p)
		if set.Loss == 0 || len(set.Exact) == 0 {
			return nil, errIncomplete(dir, p.Data)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// setOf returns the results on the pictures of one set: the loss of all tokens, and which captions
// are exact.
func setOf(p runs.PictureSet) ladder.Set {
	set := ladder.Set{Name: p.Data}
	nats, tokens := 0.0, 0
	for _, picture := range p.Pictures {
		if picture.Loss != nil {
			nats, tokens = nats+picture.Loss.Nats, tokens+picture.Loss.Tokens
		}
		if picture.Exact != nil {
			set.Exact = append(set.Exact, *picture.Exact)
		}
	}
	if tokens > 0 {
		set.Loss = nats / float64(tokens)
	}
	return set
}

// olderSets returns the results on data.eval of a run without results on pictures.
func olderSets(dir string, summary runs.Summary, result train.Result) ([]ladder.Set, error) {
	loss, ok := summary.Value(lossMetric())
	if !ok || len(result.Samples) == 0 {
		return nil, errIncomplete(dir, summary.EvalData)
	}
	set := ladder.Set{Name: summary.EvalData, Loss: loss}
	for _, c := range result.Samples {
		set.Exact = append(set.Exact, c.Right())
	}
	return []ladder.Set{set}, nil
}

func errIncomplete(dir, data string) error {
	return adapters.Errorf(adapters.Invalid, "%s has no held-out loss or no captions of %s, and a ladder compares both", dir, data).
		WithRemedy("set evaluation.examples and evaluation.final_captions in the matrix")
}

func lossMetric() eval.Metric {
	m, _ := eval.MetricNamed(eval.MetricLoss)
	return m
}

// before returns what a run measured before its first step.
func before(result train.Result) *ladder.Before {
	if len(result.Curve) == 0 || result.Curve[0].Step != 0 {
		return nil
	}
	loss, ok := result.Curve[0].Value(eval.MetricLoss)
	if !ok {
		return nil
	}
	b := &ladder.Before{Loss: loss}
	if exact, ok := result.Curve[0].Value(eval.MetricExactMatch); ok {
		b.Exact = &exact
	}
	return b
}
