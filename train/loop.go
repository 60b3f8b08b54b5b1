package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modular-bridging/bridge/internal/hostmemory"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/optim"
)

// stepResult holds the figures of a step.
type stepResult struct {
	Losses   map[string]float64 // mean per token or per pair; "loss" is the one that is minimised
	Images   int
	GradNorm float64
	Cost     cost.Count // of the bridge; the language model's calls are counted as they are made
	Live     bool       // features were computed live
	Waited   float64    // share of the step's time in which it waited for records and features, and could do nothing else
}

// stepper runs the steps of one phase.
type stepper interface {
	// prepare runs the part of step n, counted from 0, that changes nothing: it
	// gathers inputs, compiles graphs and calls the language model. The training
	// state stays that of the step before.
	prepare(ctx context.Context, n int) (*preparedStep, error)
	optimizer() *optim.AdamW
	// waited returns how long steps have waited for records and for features that are computed
	// live, since the last call; ok is false if none are.
	waited() (d time.Duration, ok bool)
	close()
}

// preparedStep is a step that is ready to be applied.
type preparedStep struct {
	// apply applies the step wholly or not at all. It runs while the training state
	// is locked, so it compiles nothing.
	apply func() (stepResult, error)
	free  func() // releases the step's tensors, applied or not
}

// Run trains all phases of the plan in order and returns the results of the last
// evaluation. An error leaves the newest checkpoint intact. With Resume, the next Run
// continues from that checkpoint, bit for bit as if the run had not stopped.
func (s *Session) Run(ctx context.Context) (Result, error) {
	if err := errors.Join(s.Check(), s.keepLists()); err != nil {
		return Result{}, err
	}
	s.startCounting()
	result, err := s.run(ctx)
	return result, checkpoint.ExplainFull(err, fmt.Sprintf("the run stopped after step %d", s.stepsDone), s.checkpoints())
}

// run is Run without the explanation of a full disk.
func (s *Session) run(ctx context.Context) (Result, error) {
	var err error
	if s.texts, err = s.newTextCutter(ctx); err != nil {
		return Result{}, err
	}
	defer s.logCut()
	defer s.logLeftOut()
	from, err := s.restore(ctx)
	if err != nil {
		return Result{}, err
	}
	phaseEnded := from.phase > 0 && from.step == 0
	if !s.finished(from) && s.evalDue(phaseEnded) { // at step 0, or where a run was interrupted
		if _, err := s.evaluate(ctx, s.Plan.Evaluation.Captions, 0); err != nil {
			return Result{}, err
		}
	}
	for i := from.phase; i < len(s.Plan.Phases); i++ {
		if err := s.runPhase(ctx, i, from); err != nil {
			return Result{}, fmt.Errorf("%s: %w", s.Plan.Phases[i].Name, err)
		}
		from = position{phase: i + 1}
	}
	return s.finish(ctx)
}

// position is a place in a run: step counts within the phase.
type position struct {
	phase, step int
	optimizer   string // file of the optimizer's state; empty at the start of a phase
}

// runPhase runs a phase of the plan from a position in it.
func (s *Session) runPhase(ctx context.Context, index int, from position) error {
	phase := s.Plan.Phases[index]
	defer s.Cost.Enter(phase.Name)()
	began := time.Now()
	s.returnMemory()
	steps, err := s.newStepper(ctx, phase)
	if err != nil {
		return err
	}
	defer steps.close()
	hostmemory.Settle() // the weights have moved to the device
	s.settled = false
	s.countCaching(from)
	s.logMixture(phase)
	if from.step == 0 { // cached Q-Former outputs cost time of training; a resumed run has counted it already
		s.clock += time.Since(began)
	}
	if from.optimizer != "" {
		if err := restoreOptimizer(steps.optimizer(), from.optimizer); err != nil {
			return err
		}
	}
	task := s.Progress.Start(phase.Name, phase.Schedule.Steps, from.step)
	defer task.Done()
	for n := from.step; n < s.schedule(phase).Length(); n++ {
		result, err := s.step(ctx, index, n, steps)
		if err != nil {
			return s.interrupted(ctx, index, n, steps, err)
		}
		task.Step(n+1, result.Images, result.Losses["loss"])
		if err := s.record(phase, n, result); err != nil {
			return err
		}
		if err := s.afterStep(ctx, index, n+1, steps); err != nil {
			return s.interrupted(ctx, index, n+1, steps, err)
		}
	}
	return nil
}

// returnMemory gives memory of loading back, and lets steps return theirs if they allocate large
// blocks: new values of large weights.
func (s *Session) returnMemory() {
	hostmemory.Settle()
	for v := range s.Bridge.Store().IterVariables() {
		if v.Shape().ByteSize() >= hostmemory.LargeBlock {
			hostmemory.ReturnLargeBlocks()
			return
		}
	}
}

// newStepper returns the stepper of a phase.
func (s *Session) newStepper(ctx context.Context, phase Phase) (stepper, error) {
	if phase.Objective.Stage == 1 {
		return newRepresentation(ctx, s, phase)
	}
	return newGenerative(ctx, s, phase)
}

// step runs step n of a phase.
func (s *Session) step(ctx context.Context, index, n int, steps stepper) (stepResult, error) {
	began := time.Now()
	var ready *preparedStep
	err := s.Train.Retry(func() (err error) {
		phase := s.Plan.Phases[index]
		if err = s.checkUsable(phase); err != nil {
			return err
		}
		if err = s.Train.expected(s.order(phase).Indices(n)); err == nil {
			ready, err = steps.prepare(ctx, n)
		}
		return err
	})
	if err != nil {
		return stepResult{}, err
	}
	defer ready.free()
	if !s.settled { // graphs are compiled
		hostmemory.Settle()
		s.settled = true
	}
	s.state.Lock()
	defer s.state.Unlock()
	result, err := ready.apply()
	if err != nil {
		return stepResult{}, err
	}
	took := time.Since(began)
	if waited, ok := steps.waited(); ok && took > 0 {
		result.Waited = min(1, waited.Seconds()/took.Seconds())
		result.Live = true
	}
	s.clock += took
	s.stepsDone++
	s.Cost.Add(result.Cost.Plus(cost.Count{Steps: 1}))
	s.commitCount()
	s.lastStep.phase, s.lastStep.step, s.lastStep.stepper = index, n+1, steps
	s.unsaved.Store(true)
	return result, nil
}

// afterStep evaluates and writes a checkpoint if the plan has one after n steps of a
// phase. Evaluations are counted over all phases, so that runs with and without a
// warm-up are measured at the same steps.
func (s *Session) afterStep(ctx context.Context, index, n int, steps stepper) error {
	last := n == s.schedule(s.Plan.Phases[index]).Length()
	if s.evalDue(last) && !s.isLastStep(index, last) {
		if _, err := s.evaluate(ctx, s.Plan.Evaluation.Captions, 0); err != nil {
			return err
		}
	}
	if every := s.Plan.CheckpointEvery; last || every > 0 && n%every == 0 {
		s.logCut()
		return s.save(index, n, steps)
	}
	return nil
}

// evalDue reports whether the plan has an evaluation here: before the first step,
// every so many steps, and after the last step of a phase.
func (s *Session) evalDue(last bool) bool {
	n := len(s.scores)
	if n > 0 && s.scores[n-1].Step == s.stepsDone {
		return false
	}
	every := s.Plan.Evaluation.Every
	return last || every > 0 && s.stepsDone%every == 0
}

// finished reports whether no phase is left.
func (s *Session) finished(at position) bool { return at.phase == len(s.Plan.Phases) }

// isLastStep reports whether the last step of a phase is the run's last one, too.
// [Session.finish] evaluates after that one.
func (s *Session) isLastStep(index int, last bool) bool {
	return last && index == len(s.Plan.Phases)-1
}

// record writes a step's figures.
func (s *Session) record(phase Phase, n int, result stepResult) error {
	values := map[string]float64{phase.Name + "/grad_norm": result.GradNorm}
	for name, v := range result.Losses {
		values[phase.Name+"/"+name] = v
	}
	for _, m := range phase.Train {
		values[phase.Name+"/lr_"+string(m)] = s.schedule(phase).Rate(phase.Optimizer.LearningRate[m], n+1)
	}
	if result.Live {
		values[phase.Name+"/data_wait"] = result.Waited
	}
	s.addShares(values, phase, n+1)
	return s.Metrics.Write(s.stepsDone, s.clock, values)
}

// interrupted writes a checkpoint after n steps of a phase if the run's context was
// cancelled, so that no step is lost. It returns the cause.
func (s *Session) interrupted(ctx context.Context, index, n int, steps stepper, cause error) error {
	if ctx.Err() == nil || n == 0 {
		return cause
	}
	if err := s.save(index, n, steps); err != nil {
		return errors.Join(cause, err)
	}
	s.logInterrupted()
	return cause
}
