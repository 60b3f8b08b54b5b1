package train_test

import (
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/train/checkpoint"
)

func TestAsManyCheckpointsAreKeptAsAreWanted(t *testing.T) {
	for keep, want := range map[int]int{0: 2, 1: 1, 3: 3} {
		plan := stage2(3)
		plan.CheckpointEvery = 1
		s := newSessionFor(t, plan, t.TempDir())
		s.Keep = keep
		if _, err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept, err := checkpoint.List(filepath.Join(s.Dir, "checkpoints"))
		if err != nil || len(kept) != want {
			t.Errorf("keep %d: %d checkpoints are left, %v; want %d", keep, len(kept), err, want)
		}
	}
}
