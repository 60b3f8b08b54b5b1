package runs

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// MatrixResult is a run of a matrix with its folder and, if it failed, its error.
type MatrixResult struct {
	recipes.MatrixRun
	Dir string
	Err error // nil if the run finished
}

// MatrixRunner completes runs of a matrix, each in its own folder. Finished runs are used again
// if their models and data are still those that they used. The runs share plugins and data sets,
// which a MatrixRunner reads once.
type MatrixRunner struct {
	matrix    *recipes.Matrix
	out       string
	overrides []recipes.Override
	finished  *reuse
}

// NewMatrixRunner returns a MatrixRunner for the folders in out.
func NewMatrixRunner(w *workspace.Workspace, m *recipes.Matrix, out string, overrides []recipes.Override) *MatrixRunner {
	return &MatrixRunner{matrix: m, out: out, overrides: overrides, finished: newReuse(w)}
}

// Complete trains one run of the matrix, or continues it, as [Complete] does. It reports whether
// it trained.
func (r *MatrixRunner) Complete(ctx context.Context, run recipes.MatrixRun) (trained bool, err error) {
	recipe, err := matrixRecipe(ctx, r.finished.workspace, r.matrix, run, r.overrides)
	if err != nil {
		return false, err
	}
	return r.finished.complete(ctx, recipe, filepath.Join(r.out, run.Name()))
}

// TrainMatrix trains the runs of a matrix without a ladder that are not finished, each in its own
// folder in out. It logs the error of a failed run and goes on with the next. An interrupted run
// continues from its newest checkpoint.
func TrainMatrix(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, out string,
	overrides []recipes.Override) ([]MatrixResult, error) {
	return NewMatrixRunner(w, m, out, overrides).completeAll(ctx)
}

// completeAll does the work of [TrainMatrix].
func (r *MatrixRunner) completeAll(ctx context.Context) ([]MatrixResult, error) {
	log, planned := r.finished.workspace.Log(), r.matrix.Runs()
	var all []MatrixResult
	var spent time.Duration
	trained := 0
	for i, each := range planned {
		run := MatrixResult{MatrixRun: each, Dir: filepath.Join(r.out, each.Name())}
		left := ""
		if trained > 0 {
			left = fmt.Sprintf(", about %v left", (spent / time.Duration(trained) * time.Duration(len(planned)-i)).Round(time.Second))
		}
		log.Info(fmt.Sprintf("%s: run %d of %d, %s%s", r.matrix.Name, i+1, len(planned), run.Name(), left))
		began := time.Now()
		new, err := r.Complete(ctx, each)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		if err != nil {
			log.Error("this run failed; the next one starts", "run", run.Name(), "error", err)
			run.Err = err
		}
		if new {
			trained, spent = trained+1, spent+time.Since(began)
		}
		all = append(all, run)
	}
	return all, nil
}

// matrixRecipe returns the recipe of a run of a matrix. With a budget, it takes as many steps as see
// the examples of the budget at the baseline's batch.
func matrixRecipe(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, run recipes.MatrixRun,
	overrides []recipes.Override) (*recipes.Resolved, error) {
	r, err := matrixSwap(m, run, overrides).Resolve(ctx, w)
	if err != nil {
		return nil, err
	}
	if run.Budget > 0 {
		if r.Evaluation.Until != "" {
			return nil, adapters.Errorf(adapters.Invalid, "evaluation.until is %q, but the runs of a ladder train their whole budget", r.Evaluation.Until).
				WithRemedy("leave it out of the matrix and of its recipe")
		}
		baseline := run
		baseline.Option = m.Ladder.Baseline
		first, err := matrixSwap(m, baseline, overrides).Resolve(ctx, w)
		if err != nil {
			return nil, err
		}
		steps := recipes.StepsFor(run.Budget, first.Optimizer.Batch, r.Optimizer.Batch)
		r = r.WithSteps(steps, m.Options[run.Option].KeepWarmup)
	}
	r.Name = run.Name()
	if r.Otherwise != nil {
		r.Otherwise.Name = r.Name
	}
	return r, nil
}

// matrixSwap returns the swap of a run of a matrix.
func matrixSwap(m *recipes.Matrix, run recipes.MatrixRun, overrides []recipes.Override) Swap {
	option := m.Options[run.Option]
	s := Swap{From: cmp.Or(option.From, m.From), LLM: run.LLM, Encoder: run.Encoder, Recipe: m.Recipe, Cold: option.Cold,
		Overrides: append(m.Overrides(run), overrides...)}
	if option.Unswapped {
		s.LLM, s.Encoder = "", ""
	}
	return s
}

// Complete trains a recipe in a folder, or continues its interrupted run there. If the run is
// finished, Complete does nothing, or returns an error if the run used other models or other data
// than the recipe would use now. It reports whether it trained.
func Complete(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, dir string) (trained bool, err error) {
	return newReuse(w).complete(ctx, r, dir)
}

// complete does the work of [Complete].
func (u *reuse) complete(ctx context.Context, r *recipes.Resolved, dir string) (trained bool, err error) {
	w := u.workspace
	r, err = withProjection(ctx, w, WithMovedData(w, r))
	if err != nil {
		return false, err
	}
	found, err := hasRun(dir)
	if err != nil {
		return false, err
	}
	if found {
		r = asStarted(w, dir, r)
		if err := sameRecipe(w, dir, r); err != nil {
			return false, err
		}
		if _, err := ReadSummary(dir); err == nil {
			return false, u.check(ctx, r, dir)
		}
	}
	defer u.forget()
	_, err = trainRun(ctx, w, r, Options{Dir: dir, Resume: found})
	return true, err
}
