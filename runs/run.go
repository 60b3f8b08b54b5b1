package runs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// Options are the folder of a run and how to start it.
type Options struct {
	// Dir is the run folder; empty means runs/ and the recipe's name.
	Dir string
	// Resume continues the run in the folder from its newest checkpoint, bit for bit.
	Resume bool
}

// Outcome describes a finished run.
type Outcome struct {
	Dir     string
	Summary Summary
	Result  train.Result
	// Said are the words with the largest weights of each query, for each of the report's samples.
	// It is nil if the projection is linear.
	Said [][][]bridge.WordWeight
}

// Train trains a recipe in a run folder. It locks the folder, loads a bridge, opens the frozen
// models, computes the features that are not cached, trains, evaluates and writes the results.
// If ctx is cancelled, Train writes a checkpoint, and a call with Options.Resume continues from
// it.
func Train(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, o Options) (Outcome, error) {
	r, err := withProjection(ctx, w, WithMovedData(w, r))
	if err != nil {
		return Outcome{}, err
	}
	return trainRun(ctx, w, r, o)
}

// trainRun is [Train] of a recipe with current paths.
func trainRun(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, o Options) (Outcome, error) {
	if o.Dir == "" {
		o.Dir = filepath.Join("runs", r.Name)
	}
	mode := lockNew
	if o.Resume {
		mode = lockResume
	}
	return lockAndTrain(ctx, w, r, o, mode)
}

// lockAndTrain locks a run folder, opens the recipe's models and data, and trains.
func lockAndTrain(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, o Options, mode lockMode) (
	out Outcome, err error,
) {
	err = inRunDir(ctx, w, o.Dir, mode, func() error {
		resumed := ""
		if o.Resume {
			resumed, r = o.Dir, asStarted(w, o.Dir, r)
			if err := sameRecipe(w, o.Dir, r); err != nil { // another recipe may name other data
				return err
			}
		}
		res, err := openToTrain(ctx, w, r, resumed)
		if err != nil {
			if o.Resume && ctx.Err() == nil {
				warnChangedModels(ctx, w, r, o.Dir)
			}
			return err
		}
		defer res.close()
		out, err = res.trainInto(ctx, r, o)
		return err
	})
	return out, err
}

// inRunDir calls work while it holds the lock of a run folder. The folder's log gets all
// messages and the error of work.
func inRunDir(ctx context.Context, w *workspace.Workspace, dir string, mode lockMode, work func() error) error {
	release, err := mode.acquire(dir)
	if err != nil {
		return err
	}
	defer release()
	return withRunLog(ctx, w, dir, work)
}

// withRunLog calls work while all messages also go to the log of a run folder. It logs the
// error of work there.
func withRunLog(ctx context.Context, w *workspace.Workspace, dir string, work func() error) error {
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
		log.Error("the run failed", "error", err)
	}
	return err
}

// trainInto trains a recipe with the models and data of the resources, in a locked folder. It
// makes cheap checks before it computes features.
func (res *resources) trainInto(ctx context.Context, r *recipes.Resolved, o Options) (out Outcome, err error) {
	out.Dir = o.Dir
	done, err := res.keepLeftOut(o.Dir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	stop, err := res.recordSeen(o.Dir, o.Resume)
	if err != nil {
		return out, err
	}
	defer stop()
	trained, spent, err := res.metered(ctx, r, o)
	if no := (*noWords)(nil); errors.As(err, &no) {
		res.workspace.Log().Warn("the swap does not go through words, which are the default", "reason", no.reason,
			"instead", r.Otherwise.Swap.Projection)
		r = r.Otherwise
		res.recipe = r
		trained, spent, err = res.metered(ctx, r, o)
	}
	if err != nil {
		return out, err
	}
	defer trained.Close()
	s := &train.Session{
		Plan: r.Plan(), Bridge: trained, Language: res.language, Train: res.train, Eval: res.eval, Also: res.also,
		Dir: o.Dir, Keep: r.Run.Keep, Checkpointing: r.Run.Checkpointing, Resume: o.Resume, SetupTime: spent, Cost: res.meter,
		Progress: res.workspace.Progress(), Log: res.workspace.Log(),
	}
	if err := res.measureUntil(ctx, s, r); err != nil {
		return out, err
	}
	if err := s.Check(); err != nil {
		return out, err
	}
	if err := res.record(ctx, s, r, o); err != nil {
		return out, err
	}
	howToResume := sync.OnceFunc(func() { res.logHowToResume(o.Dir) }) // an interrupt may get to both places
	defer res.workspace.OnInterrupt(func() error {
		defer howToResume()
		res.workspace.Log().Info("the run was interrupted", "where", "in a computation that cannot be interrupted")
		return s.Rescue()
	})()
	if out.Result, err = res.run(ctx, s); err != nil {
		howToResume()
		return out, err
	}
	out.Summary = res.summarize(r, trained, out.Result)
	out.Said = res.said(ctx, trained, out.Result.Samples)
	return out, checkpoint.ExplainFull(res.writeResults(r, out), "the results of the run are not written", checkpoints(o.Dir))
}

// metered is [resources.start] with a new meter, which counts what it computes.
func (res *resources) metered(ctx context.Context, r *recipes.Resolved, o Options) (*bridge.Bridge, time.Duration, error) {
	res.meter = &cost.Meter{}
	defer res.enter(cost.Start)()
	return res.start(ctx, r, o.Resume && hasCheckpoint(o.Dir))
}

// logHowToResume logs the command that continues a run.
func (res *resources) logHowToResume(dir string) {
	res.workspace.Log().Info("to continue:", shell.Logged(resumeCommand(dir)))
}

// record writes the recipe, the lock and the entries of the data into the run folder. For a
// resumed run it compares the lock instead; the data was compared when it was opened.
func (res *resources) record(ctx context.Context, s *train.Session, r *recipes.Resolved, o Options) error {
	now, err := res.lock()
	if err != nil {
		return err
	}
	if now.Start, err = startDigest(ctx, res.workspace, r); err != nil {
		return err
	}
	if o.Resume {
		if err := checkLock(o.Dir, now); err != nil {
			return err
		}
		if err := s.CheckResume(); err != nil {
			return err
		}
		return res.writeEntries(o.Dir) // an older version of bridge wrote none
	}
	if err := res.writeEntries(o.Dir); err != nil {
		return err
	}
	if err := writeLock(o.Dir, now); err != nil {
		return err
	}
	return writeRecipe(o.Dir, r)
}

// run computes the missing features, and trains.
func (res *resources) run(ctx context.Context, s *train.Session) (train.Result, error) {
	if err := res.prefetchAll(ctx, s); err != nil {
		return train.Result{}, err
	}
	files, err := metrics.Open(s.Dir)
	if err != nil {
		return train.Result{}, checkpoint.ExplainFull(err, "the run did not start", checkpoints(s.Dir))
	}
	defer res.workspace.Closer(files)()
	s.Metrics = files
	return s.Run(ctx)
}

// prefetchAll computes the features that a run reads and that are not cached. It does nothing if
// features are computed live.
func (res *resources) prefetchAll(ctx context.Context, s *train.Session) error {
	if !res.recipe.Run.FeatureCache {
		return nil
	}
	leave := res.enter(cost.Features)
	err := res.prefetch(ctx, res.train, s.TrainRows())
	leave()
	if err != nil {
		return err
	}
	defer res.enter(cost.Evaluation)()
	rows, err := s.EvalRows()
	if err != nil {
		return err
	}
	if err := res.prefetch(ctx, res.eval, rows); err != nil {
		return err
	}
	for _, set := range res.also {
		if rows, err = s.AlsoRows(set); err != nil {
			return err
		}
		if err := res.prefetch(ctx, set, rows); err != nil {
			return err
		}
	}
	return nil
}

// writeResults writes the result, the summary and the report of a run.
func (res *resources) writeResults(r *recipes.Resolved, out Outcome) error {
	if err := writeJSON(filepath.Join(out.Dir, resultFile), out.Result); err != nil {
		return err
	}
	if err := writePictures(out.Dir, out.Summary.EvalData, out.Result); err != nil {
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

// checkpoints returns the folder of a run's checkpoints.
func checkpoints(dir string) string { return filepath.Join(dir, "checkpoints") }

// hasCheckpoint reports whether a run has an intact checkpoint to continue from.
func hasCheckpoint(dir string) bool {
	_, _, err := checkpoint.Latest(checkpoints(dir))
	return err == nil
}
