package runs

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// MatrixResult is a run of a matrix with its folder and, if it failed, its error.
type MatrixResult struct {
	recipes.MatrixRun
	Dir string
	Err error // nil if the run finished
}

// TrainMatrix trains the runs of a matrix that are not finished, each in its own folder in out.
// It logs the error of a failed run and goes on with the next. An interrupted run continues from
// its newest checkpoint.
func TrainMatrix(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, out string,
	overrides []recipes.Override) ([]MatrixResult, error) {
	planned := m.Runs()
	var all []MatrixResult
	var spent time.Duration
	trained := 0
	for i, each := range planned {
		run := MatrixResult{MatrixRun: each, Dir: filepath.Join(out, each.Name())}
		left := ""
		if trained > 0 {
			left = fmt.Sprintf(", about %v left", (spent / time.Duration(trained) * time.Duration(len(planned)-i)).Round(time.Second))
		}
		w.Log().Info(fmt.Sprintf("%s: run %d of %d, %s%s", m.Name, i+1, len(planned), run.Name(), left))
		began := time.Now()
		new, err := trainMatrixRun(ctx, w, m, run, overrides)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		if err != nil {
			w.Log().Error("this run failed; the next one starts", "run", run.Name(), "error", err)
			run.Err = err
		}
		if new {
			trained, spent = trained+1, spent+time.Since(began)
		}
		all = append(all, run)
	}
	return all, nil
}

// trainMatrixRun completes one run of a matrix and reports whether it trained.
func trainMatrixRun(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, run MatrixResult,
	overrides []recipes.Override) (trained bool, err error) {
	option := m.Options[run.Option]
	from := m.From
	if option.From != "" {
		from = option.From
	}
	s := Swap{From: from, LLM: run.LLM, Encoder: run.Encoder, Recipe: m.Recipe, Cold: option.Cold,
		Overrides: append(m.Overrides(run.MatrixRun), overrides...)}
	r, err := s.Resolve(ctx, w)
	if err != nil {
		return false, err
	}
	r.Name = run.Name()
	return Complete(ctx, w, r, run.Dir)
}

// Complete trains a recipe in a folder, or continues its interrupted run there. If the run is
// finished, Complete does nothing, or returns an error if the run used other models or other data
// than the recipe would use now. It reports whether it trained.
func Complete(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, dir string) (trained bool, err error) {
	r = withMovedData(w, r)
	found, err := hasRun(dir)
	if err != nil {
		return false, err
	}
	if found {
		if err := sameRecipe(w, dir, r); err != nil {
			return false, err
		}
		if _, err := ReadSummary(dir); err == nil {
			if err := checkReusable(ctx, w, r, dir); err != nil {
				return false, err
			}
			return false, sameData(ctx, w, dir, r)
		}
	}
	_, err = trainRun(ctx, w, r, Options{Dir: dir, Resume: found})
	return true, err
}
