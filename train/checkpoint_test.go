package train_test

import (
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/train/checkpoint"
)

func TestAsManyCheckpointsAreKeptAsAreWanted(t *testing.T) {
	s := newStand(t)
	for keep, want := range map[int]int{0: 2, 1: 1, 3: 3} {
		plan := generativePlan(3)
		plan.Phases, plan.CheckpointEvery = plan.Phases[1:], 1
		session := s.session(t, s.stage2(t), plan, t.TempDir())
		session.Keep = keep
		if _, err := session.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept, err := checkpoint.List(filepath.Join(session.Dir, "checkpoints"))
		if err != nil || len(kept) != want {
			t.Errorf("keep %d: %d checkpoints are left, %v; want %d", keep, len(kept), err, want)
		}
	}
}
