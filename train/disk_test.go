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

// A disk that fills up in mid-run must cost neither the checkpoint before nor a
// guess at what to do, whichever file met the end of the disk: figures, a
// checkpoint or the trained bridge.
func TestFullDiskLeavesTheNewestCheckpointAndSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		steps, every, full int
		newest             string
	}{
		"at a checkpoint": {5, 2, 4, "step-000002"},
		"at figures":      {40, 20, 21, "step-000020"}, // those of 20 steps do not fit into what is left of a block
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
			if err == nil || adapters.KindOf(err) != adapters.Exhausted || !strings.Contains(err.Error(), "free disk space") || !strings.Contains(err.Error(), "--resume") {
				t.Errorf("got %v, want an error of kind exhausted that says what to do", err)
			}
			newest, skipped, err := checkpoint.Latest(filepath.Join(dir, "checkpoints"))
			if err != nil || len(skipped) > 0 || filepath.Base(newest) != c.newest {
				t.Fatalf("the newest checkpoint is %s, skipped %v: %v", newest, skipped, err)
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
