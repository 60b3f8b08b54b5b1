package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modular-bridging/bridge/train/optim"
)

// outcome is what a step has to say.
type outcome struct {
	Losses   map[string]float64 // mean per token or per pair; "loss" is what is minimised
	Images   int
	GradNorm float64
}

// stepper does the steps of one stage.
type stepper interface {
	// prepare does of step n, counted from 0, all that changes nothing, the
	// compilation of graphs included: the state stays that of the step before.
	prepare(ctx context.Context, n int) (*prepared, error)
	optimizer() *optim.AdamW
	close()
}

// prepared is a step that is ready. apply does it, wholly or not at all; free gives
// back what it holds, whether it was done or not.
type prepared struct {
	apply func() (outcome, error)
	free  func()
}

// Run trains all stages of the plan, in order, and returns what the last
// evaluation measured. An error leaves the newest checkpoint intact; with Resume
// the next Run goes on from there, bit for bit as if it had not ended.
func (s *Session) Run(ctx context.Context) (Result, error) {
	if err := s.Check(); err != nil {
		return Result{}, err
	}
	from, err := s.restore(ctx)
	if err != nil {
		return Result{}, err
	}
	if !s.over(from) && s.due(false) { // where the curves begin, or where a run was interrupted
		if _, err := s.evaluate(ctx, s.Plan.Evaluation.Captions, 0); err != nil {
			return Result{}, err
		}
	}
	for i := from.stage; i < len(s.Plan.Stages); i++ {
		if err := s.runStage(ctx, i, from); err != nil {
			return Result{}, fmt.Errorf("stage %s: %w", s.Plan.Stages[i].Name, err)
		}
		from = position{stage: i + 1}
	}
	return s.finish(ctx)
}

// position is a place in a run: step counts within the stage.
type position struct {
	stage, step int
	optimizer   string // file of the optimizer's state, empty at a stage's start
}

func (s *Session) runStage(ctx context.Context, index int, from position) error {
	st := s.Plan.Stages[index]
	began := time.Now()
	steps, err := s.stepper(ctx, st)
	if err != nil {
		return err
	}
	defer steps.close()
	if from.step == 0 { // a warm-up's cache belongs to its time; a resumed run has paid for it
		s.clock += time.Since(began)
	}
	if from.optimizer != "" {
		if err := restoreOptimizer(steps.optimizer(), from.optimizer); err != nil {
			return err
		}
	}
	task := s.Progress.Start(st.Name, st.Schedule.Steps, from.step)
	defer task.Done()
	for n := from.step; n < st.Schedule.Steps; n++ {
		out, err := s.step(ctx, index, n, steps)
		if err != nil {
			return s.interrupted(ctx, index, n, steps, err)
		}
		task.Step(n+1, out.Images, out.Losses["loss"])
		if err := s.record(st, n, out); err != nil {
			return err
		}
		if err := s.pause(ctx, index, n+1, steps); err != nil {
			return s.interrupted(ctx, index, n+1, steps, err)
		}
	}
	return nil
}

// step does step n of a stage.
func (s *Session) step(ctx context.Context, index, n int, steps stepper) (outcome, error) {
	began := time.Now()
	ready, err := steps.prepare(ctx, n)
	if err != nil {
		return outcome{}, err
	}
	defer ready.free()
	s.state.Lock()
	defer s.state.Unlock()
	out, err := ready.apply()
	if err != nil {
		return outcome{}, err
	}
	s.clock += time.Since(began)
	s.done++
	s.place.stage, s.place.step, s.place.stepper = index, n+1, steps
	s.unsaved.Store(true)
	return out, nil
}

// pause evaluates and writes a checkpoint where the plan wants it after `done`
// steps of a stage. Evaluations are counted over all stages, so that runs with
// and without a warm-up are measured at the same steps.
func (s *Session) pause(ctx context.Context, index, done int, steps stepper) error {
	last := done == s.Plan.Stages[index].Schedule.Steps
	if s.due(last) && !s.ends(index, last) {
		if _, err := s.evaluate(ctx, s.Plan.Evaluation.Captions, 0); err != nil {
			return err
		}
	}
	if every := s.Plan.CheckpointEvery; last || every > 0 && done%every == 0 {
		return s.save(index, done, steps)
	}
	return nil
}

// due reports whether an evaluation belongs here: every so many steps, the first
// before any, and at the end of a stage.
func (s *Session) due(last bool) bool {
	n := len(s.scores)
	if n > 0 && s.scores[n-1].Step == s.done {
		return false
	}
	every := s.Plan.Evaluation.Every
	return last || every > 0 && s.done%every == 0
}

// over reports whether no stage is left.
func (s *Session) over(at position) bool { return at.stage == len(s.Plan.Stages) }

// ends reports whether the run is over after the last step of a stage: [Session.finish]
// evaluates then.
func (s *Session) ends(index int, last bool) bool { return last && index == len(s.Plan.Stages)-1 }

// record writes a step's figures.
func (s *Session) record(st Stage, n int, out outcome) error {
	values := map[string]float64{st.Name + "/grad_norm": out.GradNorm}
	for name, v := range out.Losses {
		values[st.Name+"/"+name] = v
	}
	for _, m := range st.Train {
		values[st.Name+"/lr_"+string(m)] = schedule(st, m).Rate(n + 1)
	}
	return s.Metrics.Write(s.done, s.clock, values)
}

// interrupted writes a checkpoint of the steps done so far where the run was
// stopped, so that nothing is lost, and returns why it stopped.
func (s *Session) interrupted(ctx context.Context, index, done int, steps stepper, cause error) error {
	if ctx.Err() == nil || done == 0 {
		return cause
	}
	if err := s.save(index, done, steps); err != nil {
		return errors.Join(cause, err)
	}
	s.sayInterrupted()
	return cause
}
