package train_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/objective"
)

// filling takes all that is left of a disk at a batch of features.
type filling struct {
	from    featurecache.Features
	left    int
	ballast string
}

func (f *filling) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	if f.left--; f.left == 0 {
		file, err := os.Create(f.ballast)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(file, zeros{}); err == nil {
			return nil, errors.New("the disk is not full")
		}
		if err := file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			return nil, err
		}
	}
	return f.from.Features(ctx, rows)
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// wantFullDisk checks the error of a full disk: its kind, and that it has one remedy, which says
// what is left.
func wantFullDisk(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || adapters.KindOf(err) != adapters.Exhausted {
		t.Fatalf("got %v, want an error of kind exhausted", err)
	}
	for _, part := range []string{"free disk space", "with --resume", says} {
		if strings.Count(err.Error(), part) != 1 {
			t.Errorf("got %v, want %q once", err, part)
		}
	}
	if says == "no checkpoint yet" && strings.Contains(err.Error(), "intact") {
		t.Errorf("got %v, but there is no checkpoint", err)
	}
}

// A disk that fills up costs no checkpoint, whichever file met the end of the disk: figures, a
// checkpoint or the trained bridge. The error says which checkpoint is intact, if there is one.
func TestFullDiskLeavesTheNewestCheckpointAndSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		steps, every, full int
		newest, says       string
	}{
		"at the first checkpoint": {5, 4, 3, "", "no checkpoint yet"},
		"at a checkpoint":         {5, 2, 4, "step-000002", "the checkpoint of step 2 is intact"},
		"at figures":              {40, 20, 21, "step-000020", "the checkpoint of step 20 is intact"}, // those of 20 steps do not fit into what is left of a block
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.SmallDisk(t)
			lm := fakeLanguage()
			plan := onePhase(objective.PromptCaption(), c.steps)
			plan.CheckpointEvery = c.every
			s := newSession(t, tinyFor(t, lm, 0), lm, plan, dir)
			ballast := filepath.Join(dir, "ballast")
			s.Train.Features = &filling{s.Train.Features, c.full, ballast}
			_, err := s.Run(t.Context())
			wantFullDisk(t, err, c.says)
			all, err := checkpoint.List(filepath.Join(dir, "checkpoints"))
			if c.newest == "" && len(all) > 0 || c.newest != "" && (len(all) == 0 || filepath.Base(all[len(all)-1]) != c.newest) {
				t.Fatalf("the checkpoints are %v (%v), want %q as the newest", all, err, c.newest)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			again := newSession(t, tinyFor(t, lm, 0), lm, plan, dir)
			again.Resume = true
			if _, err := again.Run(t.Context()); err != nil {
				t.Fatalf("resumed with space: %v", err)
			}
			whole := t.TempDir()
			if _, err := newSession(t, tinyFor(t, lm, 0), lm, plan, whole).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			sameBits(t, weightsOf(t, dir), weightsOf(t, whole))
		})
	}
}
