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
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/train/optim"

	folders "github.com/modular-bridging/bridge/train/checkpoint"
)

// A checkpoint folder holds the bridge (as package bridge saves it, readable on
// its own) and beside it:
const (
	stateFile     = "state.json"
	optimizerFile = "optimizer.safetensors"
)

// state is what a resumed run needs beside the weights and the moments.
type state struct {
	Stage   int       `json:"stage"` // index into the plan's
	Step    int       `json:"step"`  // done in that stage
	Done    int       `json:"done"`  // in all stages
	Seconds float64   `json:"seconds"`
	Scores  []Scores  `json:"scores"`
	Plan    Plan      `json:"plan"` // must be the same on resume
	Data    [2]string `json:"data"` // digests of what is trained and evaluated on; must be the same too
}

func (s *Session) checkpoints() string { return filepath.Join(s.Dir, "checkpoints") }

// Rescue writes the checkpoint of a run that was told to stop and does not come
// back, because it compiles a graph, which nothing interrupts: that changes nothing
// of the last step's state. It waits for a step that is just being applied. Call it
// from another goroutine, and then end the process: Run does no step any more, and
// may not return.
func (s *Session) Rescue() error {
	if !s.unsaved.Load() {
		return nil
	}
	s.state.Lock() // for ever
	if !s.unsaved.Load() {
		return nil
	}
	if err := s.write(s.place.stage, s.place.step, s.place.stepper); err != nil {
		return err
	}
	s.sayInterrupted()
	return nil
}

// sayInterrupted is for whoever has interrupted the run.
func (s *Session) sayInterrupted() {
	s.Log.Info("interrupted: checkpoint written", "run", s.Dir, "step", s.done)
}

// save writes a checkpoint after `step` steps of a stage.
func (s *Session) save(stage, step int, steps stepper) error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.write(stage, step, steps)
}

// write is save for whoever holds the state.
func (s *Session) write(stage, step int, steps stepper) error {
	_, err := folders.Write(s.checkpoints(), s.done, cmp.Or(s.Keep, 2), func(tmp string) error {
		if err := s.Bridge.Save(tmp, adapters.Float32); err != nil {
			return err
		}
		moments, err := steps.optimizer().State()
		if err != nil {
			return err
		}
		if err := weights.Write(filepath.Join(tmp, optimizerFile), moments, nil); err != nil {
			return err
		}
		data, err := json.MarshalIndent(state{Stage: stage, Step: step, Done: s.done, Seconds: s.clock.Seconds(), Scores: s.scores, Plan: s.Plan, Data: s.digests()}, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, stateFile), data, 0o644)
	})
	if err != nil {
		return fmt.Errorf("checkpoint after step %d: %w", s.done, err)
	}
	s.unsaved.Store(false)
	return nil
}

// restore goes to the newest intact checkpoint where the session resumes and
// there is one, to the start otherwise.
func (s *Session) restore(ctx context.Context) (position, error) {
	s.clock = s.Spent
	if !s.Resume {
		if err := s.untouched(); err != nil {
			return position{}, err
		}
		return position{}, s.Metrics.Truncate(-1)
	}
	dir, passed, err := folders.Latest(s.checkpoints())
	for _, problem := range passed {
		s.Log.Warn("checkpoint passed over", "reason", problem)
	}
	if adapters.KindOf(err) == adapters.NotFound {
		s.Log.Info("no checkpoint yet: starting from the beginning", "run", s.Dir)
		return position{}, s.Metrics.Truncate(-1)
	}
	if err != nil {
		return position{}, err
	}
	var st state
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return position{}, err
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return position{}, adapters.Errorf(adapters.Corrupt, "%s: %w", filepath.Join(dir, stateFile), err)
	}
	if err := samePlan(st.Plan, s.Plan); err != nil {
		return position{}, err
	}
	for i, name := range []string{s.Train.Data.Name(), s.Held.Data.Name()} {
		if st.Data[i] != s.digests()[i] {
			return position{}, adapters.Errorf(adapters.Invalid, "%s holds other pictures now than when the run was started", name).
				WithRemedy("bring the data back as it was, or start a new run with --out")
		}
	}
	if err := s.Bridge.Reload(ctx, dir); err != nil {
		return position{}, err
	}
	s.done, s.scores = st.Done, st.Scores
	s.clock = time.Duration(st.Seconds * float64(time.Second))
	s.Log.Info("resuming", "checkpoint", dir, "stage", s.Plan.Stages[st.Stage].Name, "step", st.Step)
	if st.Step == s.Plan.Stages[st.Stage].Schedule.Steps {
		next := position{stage: st.Stage + 1}
		if s.over(next) { // all that is left is the last evaluation
			return next, s.Metrics.Truncate(s.done, heldOut)
		}
		return next, s.Metrics.Truncate(s.done)
	}
	return position{stage: st.Stage, step: st.Step, optimizer: filepath.Join(dir, optimizerFile)}, s.Metrics.Truncate(s.done)
}

// untouched refuses to begin a run in a folder that holds another's checkpoints:
// they would be taken for this one's when it is resumed.
func (s *Session) untouched() error {
	old, err := folders.List(s.checkpoints())
	if err != nil || len(old) == 0 {
		return err
	}
	return adapters.Errorf(adapters.Invalid, "%s holds %d checkpoints of an earlier run", s.Dir, len(old)).
		WithRemedy("resume that run, or train into another folder")
}

func (s *Session) digests() [2]string { return [2]string{s.Train.Data.Digest(), s.Held.Data.Digest()} }

// samePlan refuses to go on with other settings: the result would be neither
// run's.
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

// trained describes the session's data and objectives for [bridge.Info].
func (s *Session) trained(st Stage) string {
	text := fmt.Sprintf("%s: %s on %s, %d steps of %d", st.Name, st.Objective, s.Train.Data.Name(), st.Schedule.Steps, st.Batch)
	if st.Mix.Questions > 0 {
		text += fmt.Sprintf(", %.0f %% questions", 100*st.Mix.Questions)
	}
	return text
}

// BridgeDir is where a run keeps its trained bridge.
func BridgeDir(run string) string { return filepath.Join(run, "bridge") }

// saveBridge writes the trained bridge to the run folder.
func (s *Session) saveBridge(b *bridge.Bridge) error {
	for _, st := range s.Plan.Stages {
		b.Info.TrainedOn = append(b.Info.TrainedOn, s.trained(st))
	}
	b.Info.Steps += s.done
	return b.Save(BridgeDir(s.Dir), adapters.Float32)
}
