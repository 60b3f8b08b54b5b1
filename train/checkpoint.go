package train

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/optim"
)

// A checkpoint folder holds the bridge, as package bridge saves it and reads it
// without the rest, and beside it:
const (
	stateFile     = "state.json"
	optimizerFile = "optimizer.safetensors"
)

// state holds what a resumed run needs beside the weights and the moments.
type state struct {
	Phase   int       `json:"stage"` // index into the plan's phases
	Step    int       `json:"step"`  // steps applied in that phase
	Done    int       `json:"done"`  // steps applied in all phases
	Seconds float64   `json:"seconds"`
	Scores  []Scores  `json:"scores"`
	Plan    Plan      `json:"plan"` // must be the same on resume
	Data    [2]string `json:"data"` // digests of the training and the evaluation set; must be the same on resume
	// Content is true if the digests in Data are of content. Older checkpoints have digests
	// of paths and times for data in files.
	Content bool        `json:"content"`
	LeftOut leftOut     `json:"left_out"`
	Cost    cost.Ledger `json:"cost"` // null if a part of the run was not counted
}

func (s *Session) checkpoints() string { return filepath.Join(s.Dir, "checkpoints") }

// Rescue writes a checkpoint of the last applied step of a run that was cancelled but
// has not returned: it is compiling a graph, which cannot be interrupted. If a step is
// being applied, Rescue waits for it. Call it from another goroutine and then end the
// process: Run applies no further step and may never return.
func (s *Session) Rescue() error {
	if !s.unsaved.Load() {
		return nil
	}
	s.state.Lock() // never unlocked, so that no further step is applied
	if !s.unsaved.Load() {
		return nil
	}
	if err := s.saveLocked(s.lastStep.phase, s.lastStep.step, s.lastStep.stepper); err != nil {
		return err
	}
	s.logInterrupted()
	return nil
}

// logInterrupted logs that the run was interrupted and saved.
func (s *Session) logInterrupted() {
	s.Log.Info("interrupted: checkpoint written", "run", s.Dir, "step", s.stepsDone)
}

// save writes a checkpoint after a number of steps of a phase.
func (s *Session) save(phase, step int, steps stepper) error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.saveLocked(phase, step, steps)
}

// saveLocked is save for a caller that holds s.state.
func (s *Session) saveLocked(phase, step int, steps stepper) error {
	_, err := checkpoint.Write(s.checkpoints(), s.stepsDone, cmp.Or(s.Keep, 2), func(tmp string) error {
		if err := s.Bridge.Save(tmp, adapters.Float32); err != nil {
			return err
		}
		if err := steps.optimizer().WriteState(filepath.Join(tmp, optimizerFile)); err != nil {
			return err
		}
		text, err := json.MarshalIndent(state{
			Phase: phase, Step: step, Done: s.stepsDone, Seconds: s.clock.Seconds(), Scores: s.scores, Plan: s.Plan,
			Data: s.digests(), Content: true, LeftOut: leftOut{s.Train.LeftOut.All(), s.Eval.LeftOut.All()}, Cost: s.counted,
		}, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, stateFile), text, 0o644)
	})
	if err != nil {
		return fmt.Errorf("checkpoint after step %d: %w", s.stepsDone, err)
	}
	s.unsaved.Store(false)
	return nil
}

// restore returns the position to run from. If the session resumes and there is an
// intact checkpoint, restore loads the newest one; otherwise it returns the start.
func (s *Session) restore(ctx context.Context) (position, error) {
	s.clock = s.SetupTime
	if !s.Resume {
		if err := s.checkNoCheckpoints(); err != nil {
			return position{}, err
		}
		return position{}, s.Metrics.Truncate(-1)
	}
	dir, skipped, err := checkpoint.Latest(s.checkpoints())
	for _, problem := range skipped {
		s.Log.Warn("checkpoint skipped", "reason", problem)
	}
	if adapters.KindOf(err) == adapters.NotFound {
		s.Log.Info("no checkpoint yet: starting from the beginning", "run", s.Dir)
		return position{}, s.Metrics.Truncate(-1)
	}
	if err != nil {
		return position{}, err
	}
	saved, err := s.readState(dir)
	if err != nil {
		return position{}, err
	}
	if err := s.Bridge.Reload(ctx, dir); err != nil {
		return position{}, err
	}
	s.stepsDone, s.scores = saved.Done, saved.Scores
	s.restoreCount(saved.Cost)
	s.warnOfForgotten(saved.LeftOut.Train)
	s.Train.LeftOut.Restore(saved.LeftOut.Train)
	s.Eval.LeftOut.Restore(saved.LeftOut.Eval)
	s.clock = time.Duration(saved.Seconds * float64(time.Second))
	phase := s.Plan.Phases[saved.Phase]
	s.Log.Info("resuming", "checkpoint", dir, "phase", phase.Name, "step", saved.Step)
	if saved.Step < s.schedule(phase).Length() {
		return position{phase: saved.Phase, step: saved.Step, optimizer: filepath.Join(dir, optimizerFile)}, s.Metrics.Truncate(s.stepsDone)
	}
	next := position{phase: saved.Phase + 1}
	if s.finished(next) { // only the last evaluation is left: its figures are written again
		return next, s.Metrics.Truncate(s.stepsDone, s.evalSeries()...)
	}
	return next, s.Metrics.Truncate(s.stepsDone)
}

// readState reads the state in a checkpoint and returns an error if it is of another
// plan or of other data than the session's.
func (s *Session) readState(dir string) (saved state, err error) {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return saved, err
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		return saved, adapters.Errorf(adapters.Corrupt, "%s: %w", path, err)
	}
	if err := samePlan(saved.Plan, s.Plan); err != nil {
		return saved, err
	}
	return saved, s.checkData(saved)
}

// checkData returns an error if the data is not that of a checkpoint.
func (s *Session) checkData(saved state) error {
	for i, set := range []Set{s.Train, s.Eval} {
		now, old := s.digests()[i], data.OldDigest(set.Data)
		switch {
		case saved.Data[i] == now || !saved.Content && saved.Data[i] == old:
		case !saved.Content && now != old:
			return adapters.Errorf(adapters.Invalid, "%s: an older version of bridge started the run and recorded paths and times of the "+
				"pictures instead of their content; these are other ones now, so bridge cannot tell whether the data is the same", set.Data.Name()).
				WithRemedy("bring the pictures back to their old folder with their old times (cp -a), or start a new run with --out")
		default:
			return adapters.Errorf(adapters.Invalid, "%s holds other data now than when the run was started", set.Data.Name()).
				WithRemedy("bring the data back as it was, or start a new run with --out")
		}
	}
	return nil
}

// CheckResume returns an error if the newest checkpoint cannot be continued with the
// session's plan and data. Without a checkpoint it returns nil.
func (s *Session) CheckResume() error {
	dir, _, err := checkpoint.Latest(s.checkpoints())
	if adapters.KindOf(err) == adapters.NotFound {
		return nil
	}
	if err == nil {
		_, err = s.readState(dir)
	}
	return err
}

// checkNoCheckpoints returns an error if the run folder holds the checkpoints of an
// earlier run: on resume they would be taken for this run's.
func (s *Session) checkNoCheckpoints() error {
	old, err := checkpoint.List(s.checkpoints())
	if err != nil || len(old) == 0 {
		return err
	}
	return adapters.Errorf(adapters.Invalid, "%s holds %d checkpoints of an earlier run", s.Dir, len(old)).
		WithRemedy("resume that run, or train into another folder")
}

func (s *Session) digests() [2]string {
	return [2]string{data.ContentDigest(s.Train.Data), data.ContentDigest(s.Eval.Data)}
}

// samePlan returns an error if two plans differ. A run that continued with another
// plan would be neither plan's run.
func samePlan(old, now Plan) error {
	a, err := json.Marshal(old)
	if err != nil {
		return err
	}
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if string(a) != string(b) {
		return adapters.Errorf(adapters.Invalid, "the run was started with other settings than it is resumed with").
			WithRemedy("resume with the recipe in the run folder, or start a new run with --out")
	}
	return nil
}

func restoreOptimizer(o *optim.AdamW, path string) error {
	moments, _, err := weights.ReadFile(path)
	if err != nil {
		return err
	}
	return o.SetState(moments)
}
