package runs

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// MatrixRun is a run of a matrix: finished, or failed with Err.
type MatrixRun struct {
	recipes.Cell
	Dir string
	Err error
}

// TrainMatrix trains what is not trained yet of a matrix, each run into a folder below
// out. A run that fails is reported and does not end the rest; one that was interrupted
// continues from its newest checkpoint.
func TrainMatrix(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, out string, overrides []recipes.Override) ([]MatrixRun, error) {
	cells := m.Cells()
	var all []MatrixRun
	var spent time.Duration
	trained := 0
	for i, cell := range cells {
		run := MatrixRun{Cell: cell, Dir: filepath.Join(out, cell.Name())}
		left := ""
		if trained > 0 {
			left = fmt.Sprintf(", about %v left", (spent / time.Duration(trained) * time.Duration(len(cells)-i)).Round(time.Second))
		}
		w.Log().Info(fmt.Sprintf("%s: run %d of %d, %s%s", m.Name, i+1, len(cells), cell.Name(), left))
		began := time.Now()
		fresh, err := trainCell(ctx, w, m, run, overrides)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		if err != nil {
			w.Log().Error("this run failed; the others go on", "run", cell.Name(), "error", err)
			run.Err = err
		}
		if fresh {
			trained, spent = trained+1, spent+time.Since(began)
		}
		all = append(all, run)
	}
	return all, nil
}

// trainCell does one run of a matrix and reports whether there was anything to do.
func trainCell(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, run MatrixRun, overrides []recipes.Override) (fresh bool, err error) {
	option := m.Options[run.Option]
	from := m.From
	if option.From != "" {
		from = option.From
	}
	s := Swap{From: from, LLM: run.LLM, Encoder: run.Encoder, Recipe: m.Recipe, Cold: option.Cold, Overrides: append(m.Overrides(run.Cell), overrides...)}
	r, err := s.Resolve(ctx, w)
	if err != nil {
		return false, err
	}
	r.Name = run.Name()
	return Complete(ctx, w, r, run.Dir)
}

// Complete brings a run to its end, wherever it is: not started, interrupted, or
// finished, which leaves nothing to do. It reports whether it trained.
func Complete(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, dir string) (trained bool, err error) {
	found, err := hasRun(dir)
	if err != nil {
		return false, err
	}
	if found {
		if err := sameRecipe(dir, r); err != nil {
			return false, err
		}
		if _, err := ReadSummary(dir); err == nil {
			return false, nil
		}
	}
	_, err = Train(ctx, w, r, Options{Dir: dir, Resume: found})
	return true, err
}
