package runs

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// Options say where a run is kept.
type Options struct {
	// Dir is the run folder; empty means runs/ and the recipe's name.
	Dir string
	// Resume continues the run in the folder from its newest checkpoint, bit for bit.
	Resume bool
}

// Outcome is a finished run.
type Outcome struct {
	Dir     string
	Summary Summary
	Result  train.Result
}

// Train runs a recipe into a run folder, which no other process may write to meanwhile.
// It loads a bridge, opens the frozen models, computes the features that are not cached,
// trains, evaluates and writes the results. If it is cancelled it writes a checkpoint,
// from which a run with Resume continues.
func Train(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, o Options) (Outcome, error) {
	if o.Dir == "" {
		o.Dir = filepath.Join("runs", r.Name)
	}
	mode := lockNew
	if o.Resume {
		mode = lockResume
	}
	return train1(ctx, w, r, o, mode)
}

// train1 locks a run folder, opens what the recipe names and trains.
func train1(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, o Options, mode lockMode) (out Outcome, err error) {
	err = inRunDir(ctx, w, o.Dir, mode, func() error {
		res, err := openResources(ctx, w, r)
		if err != nil {
			return err
		}
		defer res.close()
		out, err = res.trainInto(ctx, r, o)
		return err
	})
	return out, err
}

// inRunDir does work as the only process that writes into a run folder. Messages, and the
// error that ends the work early, go to the folder's log too.
func inRunDir(ctx context.Context, w *workspace.Workspace, dir string, mode lockMode, work func() error) error {
	release, err := mode.acquire(dir)
	if err != nil {
		return err
	}
	defer release()
	return logged(ctx, w, dir, work)
}

// logged does work with the log of a run folder.
func logged(ctx context.Context, w *workspace.Workspace, dir string, work func() error) error {
	log, stop, err := w.LogTo(filepath.Join(dir, logFile))
	if err != nil {
		return err
	}
	defer stop()
	err = work()
	switch {
	case err != nil && ctx.Err() != nil:
		log.Info("the run was interrupted", "where", err)
	case err != nil:
		log.Error("the run did not finish", "error", err)
	}
	return err
}

// trainInto runs the recipe, which has the models and data of the resources, into a
// locked folder. What fails quickly comes before the features are computed.
func (res *resources) trainInto(ctx context.Context, r *recipes.Resolved, o Options) (out Outcome, err error) {
	out.Dir = o.Dir
	if o.Resume {
		if err := sameRecipe(o.Dir, r); err != nil {
			return out, err
		}
	}
	trained, spent, err := res.start(ctx, r, o.Resume && hasCheckpoint(o.Dir))
	if err != nil {
		return out, err
	}
	defer trained.Close()
	s := &train.Session{Plan: r.Plan(), Bridge: trained, Language: res.language, Train: res.train, Eval: res.eval,
		Dir: o.Dir, Keep: r.Run.Keep, Resume: o.Resume, SetupTime: spent, Progress: res.workspace.Progress(), Log: res.workspace.Log()}
	if err := s.Check(); err != nil {
		return out, err
	}
	if err := res.record(r, o); err != nil {
		return out, err
	}
	defer res.workspace.OnInterrupt(func() error {
		defer res.logHowToResume(o.Dir)
		res.workspace.Log().Info("the run was interrupted", "where", "in a computation that cannot be interrupted")
		return s.Rescue()
	})()
	if out.Result, err = res.run(ctx, s); err != nil {
		res.logHowToResume(o.Dir)
		return out, err
	}
	out.Summary = res.summarize(r, trained, out.Result)
	return out, res.writeResults(r, out)
}

func (res *resources) logHowToResume(dir string) {
	res.workspace.Log().Info("to go on: bridge train " + filepath.Join(dir, recipes.RunFile) + " --out " + dir + " --resume")
}

// record writes into the run folder what the run is made of.
func (res *resources) record(r *recipes.Resolved, o Options) error {
	now, err := res.lock()
	if err != nil {
		return err
	}
	if o.Resume {
		return checkLock(o.Dir, now)
	}
	if err := writeLock(o.Dir, now); err != nil {
		return err
	}
	return writeRecipe(o.Dir, r)
}

// run computes the features that are missing, and trains with metrics.
func (res *resources) run(ctx context.Context, s *train.Session) (train.Result, error) {
	if err := res.prefetch(ctx, res.train, s.TrainRows()); err != nil {
		return train.Result{}, err
	}
	if err := res.prefetch(ctx, res.eval, s.EvalRows()); err != nil {
		return train.Result{}, err
	}
	figures, err := metrics.Open(s.Dir)
	if err != nil {
		return train.Result{}, err
	}
	defer res.workspace.Closer(figures)()
	s.Metrics = figures
	return s.Run(ctx)
}

// writeResults writes result, summary and report.
func (res *resources) writeResults(r *recipes.Resolved, out Outcome) error {
	if err := writeJSON(filepath.Join(out.Dir, resultFile), out.Result); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(out.Dir, summaryFile), out.Summary); err != nil {
		return err
	}
	title := fmt.Sprintf("%s: %s and %s", r.Name, r.VisionModel.ID, out.Summary.LLM)
	page, err := res.report(title, []namedRun{{r.Name, out}})
	if err != nil {
		return err
	}
	return page.WriteFile(filepath.Join(out.Dir, ReportFile))
}

// hasCheckpoint reports whether a run has an intact checkpoint to continue from.
func hasCheckpoint(dir string) bool {
	_, _, err := checkpoint.Latest(filepath.Join(dir, "checkpoints"))
	return err == nil
}
