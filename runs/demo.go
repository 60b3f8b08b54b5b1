package runs

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// DemoRecipe is the recipe of the demo's swap.
const DemoRecipe = "tiny-demo"

// Demo swaps the language model of a bridge on the built-in kit. It retrains stage 2 twice: once
// from that bridge (warm) and once from stage 1 (cold).
type Demo struct {
	Warm, Cold *recipes.Resolved
	OldLLM     string // ID of the old language model

	workspace *workspace.Workspace
}

// DemoResult is the result of [Demo.Run].
type DemoResult struct {
	Warm, Cold Outcome
	Samples    []DemoSample // captions of the warm bridge
}

// DemoSample is a caption of the warm bridge and the name of its picture.
type DemoSample struct {
	Picture string
	eval.Caption
}

// demoSummary is the content of the demo's summary.json.
type demoSummary struct {
	Warm    Summary `json:"warm"`
	Cold    Summary `json:"cold"`
	Encoder string  `json:"encoder"`
	From    string  `json:"from"`
	LLM     string  `json:"llm"`
}

// NewDemo resolves the demo's two recipes.
func NewDemo(ctx context.Context, w *workspace.Workspace, overrides []recipes.Override) (*Demo, error) {
	warm, err := recipes.LoadWith(DemoRecipe, overrides...)
	if err != nil {
		return nil, err
	}
	cold, err := coldRecipe(ctx, w, warm)
	if err != nil {
		return nil, err
	}
	cold.Name = "cold"
	reg, err := w.Registry()
	if err != nil {
		return nil, err
	}
	d := &Demo{workspace: w}
	if d.Warm, err = warm.Resolve(reg); err != nil {
		return nil, err
	}
	if d.Cold, err = cold.Resolve(reg); err != nil {
		return nil, err
	}
	for _, r := range []**recipes.Resolved{&d.Warm, &d.Cold} {
		if *r, err = withProjection(ctx, w, *r); err != nil {
			return nil, err
		}
	}
	info, err := w.BridgeInfo(ctx, warm.From)
	if err != nil {
		return nil, err
	}
	d.OldLLM = info.Language.ID
	return d, nil
}

// Run trains both recipes in folders in out, and writes one report and one summary of both. It
// replaces an earlier demo. The two runs share models, data and features.
func (d *Demo) Run(ctx context.Context, out string) (DemoResult, error) {
	release, err := LockRunDir(out)
	if err != nil {
		return DemoResult{}, err
	}
	defer release()
	var result DemoResult
	err = withRunLog(ctx, d.workspace, out, func() error {
		res, err := openToTrain(ctx, d.workspace, d.Warm, "")
		if err != nil {
			return err
		}
		defer res.close()
		result, err = d.run(ctx, res, out)
		return err
	})
	return result, err
}

func (d *Demo) run(ctx context.Context, res *resources, out string) (result DemoResult, err error) {
	for _, both := range []struct {
		recipe  *recipes.Resolved
		outcome *Outcome
	}{{d.Warm, &result.Warm}, {d.Cold, &result.Cold}} {
		dir := filepath.Join(out, both.recipe.Name)
		err := inRunDir(ctx, d.workspace, dir, lockReplace, func() (err error) {
			*both.outcome, err = res.trainInto(ctx, both.recipe, Options{Dir: dir})
			return err
		})
		if err != nil {
			return result, fmt.Errorf("%s: %w", both.recipe.Name, err)
		}
	}
	page, err := res.report("A swapped language model: warm start and cold start",
		[]namedRun{{d.Warm.Name, result.Warm}, {d.Cold.Name, result.Cold}})
	if err != nil {
		return result, err
	}
	page.Footer = "Made by bridge demo on the built-in kit."
	if err := page.WriteFile(filepath.Join(out, ReportFile)); err != nil {
		return result, err
	}
	for _, c := range result.Warm.Result.Samples {
		record, err := res.eval.Data.Record(c.Index)
		if err != nil {
			return result, err
		}
		result.Samples = append(result.Samples, DemoSample{record.ID, c})
	}
	return result, writeJSON(filepath.Join(out, summaryFile), demoSummary{Warm: result.Warm.Summary, Cold: result.Cold.Summary,
		Encoder: d.Warm.VisionModel.ID, From: d.Warm.From, LLM: d.Warm.LanguageModel.ID})
}
