package train_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// withBad are features of a set with bad pictures.
type withBad struct {
	from featurecache.Features
	bad  map[int]bool
	used map[int]bool // rows whose features were given
}

func (f *withBad) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	var bad data.PictureErrors
	for _, row := range rows {
		if f.bad[row] {
			bad = append(bad, &data.PictureError{Row: row, Err: adapters.Errorf(adapters.Corrupt, "picture %d cannot be decoded", row)})
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	for _, row := range rows {
		f.used[row] = true
	}
	return f.from.Features(ctx, rows)
}

// spoil gives a session's sets bad pictures.
func spoil(s *train.Session, trainBad, evalBad map[int]bool) (trained, evaluated *withBad) {
	trained = &withBad{s.Train.Features, trainBad, map[int]bool{}}
	evaluated = &withBad{s.Eval.Features, evalBad, map[int]bool{}}
	s.Train.Features, s.Eval.Features = trained, evaluated
	return trained, evaluated
}

// known gives a session a list of pictures that are left out from the start.
func known(s *train.Session, trainBad, evalBad map[int]bool) {
	for set, bad := range map[*train.Set]map[int]bool{&s.Train: trainBad, &s.Eval: evalBad} {
		set.LeftOut = &data.LeftOutList{Data: set.Data.Name()}
		for row := range bad {
			set.LeftOut.Restore([]data.LeftOut{{Picture: recordOf(set.Data, row).ID}})
		}
	}
}

// badRows draws some of n rows.
func badRows(rng *rand.Rand, n, most int) map[int]bool {
	bad := map[int]bool{}
	for range 1 + rng.IntN(most) {
		bad[rng.IntN(n)] = true
	}
	return bad
}

// plansWithPictures are plans that read pictures in every way: drawn, drawn as similar, in
// micro-batches, and cached for the projector's warm-up.
func plansWithPictures() map[string]train.Plan {
	stage1, accumulated, warmup := onePhase(objective.Representation(), 5), onePhase(objective.PromptCaption(), 5), warmupAndStage2(4)
	stage1.CheckpointEvery, stage1.Phases[0].Mix.Similar = 2, 0.5
	accumulated.CheckpointEvery, accumulated.Phases[0].Accumulate = 2, 2
	warmup.Phases[0].Batch = 4
	for _, plan := range []*train.Plan{&stage1, &accumulated} {
		plan.Evaluation = train.Evaluation{Examples: 3, Every: 3}
	}
	return map[string]train.Plan{"stage 1": stage1, "stage 2": accumulated, "warm-up": warmup}
}

// A run that meets bad pictures is the run that left them out from the start, and a run that
// is stopped anywhere and resumed is that run too, even if the pictures are repaired
// meanwhile.
func TestBadPicturesAreReplacedAndStayLeftOut(t *testing.T) {
	for name, plan := range plansWithPictures() {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(len(name)), 3))
			trainBad, evalBad := badRows(rng, 32, 8), badRows(rng, 6, 2)
			reference := t.TempDir()
			s := newSessionFor(t, plan, reference)
			known(s, trainBad, evalBad)
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := weightsOf(t, reference)

			dir := t.TempDir()
			s = newSessionFor(t, plan, dir)
			trained, evaluated := spoil(s, trainBad, evalBad)
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			sameBits(t, weightsOf(t, dir), want)
			for row := range trainBad {
				if trained.used[row] {
					t.Errorf("bad picture %d was used", row)
				}
			}
			for row := range evalBad {
				if evaluated.used[row] {
					t.Errorf("bad held-out picture %d was used", row)
				}
			}

			stops := []int{3}
			if testenv.Long() {
				stops = []int{1, 2, 3, 4}
			}
			for _, left := range stops {
				dir := t.TempDir()
				ctx, stop := context.WithCancel(t.Context())
				s := newSessionFor(t, plan, dir)
				s.Train.Features = &interrupting{s.Train.Features, left, stop}
				spoil(s, trainBad, evalBad)
				if _, err := s.Run(ctx); err == nil {
					t.Fatalf("the run ended before it was stopped (%d)", left)
				}
				stop()
				again := newSessionFor(t, plan, dir)
				again.Resume = true
				again.Train.LeftOut, again.Eval.LeftOut = resumedList(s.Train), s.Eval.LeftOut
				spoil(again, notMet(s, trainBad), nil) // the others are repaired
				if _, err := again.Run(t.Context()); err != nil {
					t.Fatalf("resumed after %d: %v", left, err)
				}
				sameBits(t, weightsOf(t, dir), want)
			}
		})
	}
}

// resumedList returns the list with which a run folder's run is continued.
func resumedList(s train.Set) *data.LeftOutList {
	l := &data.LeftOutList{Data: s.Data.Name()}
	l.Expect(s.LeftOut.All())
	return l
}

// notMet returns the bad pictures that a run did not meet.
func notMet(s *train.Session, bad map[int]bool) map[int]bool {
	rows := map[int]bool{}
	for row := range bad {
		if !s.Train.LeftOut.Names()[recordOf(s.Train.Data, row).ID] {
			rows[row] = true
		}
	}
	return rows
}

// damagedLater are features of pictures that become bad after some calls.
type damagedLater struct {
	*withBad
	from featurecache.Features
	left int
}

func (d *damagedLater) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	if d.left--; d.left >= 0 {
		return d.from.Features(ctx, rows)
	}
	return d.withBad.Features(ctx, rows)
}

// Pictures that become bad while the run trains, after it has drawn some of them, change
// nothing of that either: a run that is stopped later and resumed is the undisturbed one.
func TestPicturesThatBreakWhileTraining(t *testing.T) {
	const steps, breaks = 12, 3
	plan := stage2(steps)
	plan.CheckpointEvery = 3
	bad := badRows(rand.New(rand.NewPCG(5, 5)), 32, 9)
	later := func(s *train.Session) {
		f := &withBad{s.Train.Features, bad, map[int]bool{}}
		s.Train.Features = &damagedLater{f, s.Train.Features, breaks}
	}
	whole := t.TempDir()
	s := newSessionFor(t, plan, whole)
	later(s)
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := weightsOf(t, whole)
	stops := []int{8}
	if testenv.Long() {
		stops = []int{3, 4, 5, 6, 7, 8, 9, 10, 11}
	}
	for _, left := range stops {
		dir := t.TempDir()
		s := newSessionFor(t, plan, dir)
		later(s)
		s.Language = &failing{LanguageModel: s.Language, left: left, err: errors.New("killed")}
		if _, err := s.Run(t.Context()); err == nil {
			t.Fatal("the run was not stopped")
		}
		again := newSessionFor(t, plan, dir)
		again.Resume = true
		again.Train.LeftOut = resumedList(s.Train)
		spoil(again, notMet(s, bad), nil)
		if _, err := again.Run(t.Context()); err != nil {
			t.Fatalf("resumed after %d: %v", left, err)
		}
		sameBits(t, weightsOf(t, dir), want)
	}
}

// A checkpoint holds the list, so that its run resumes with the same order from the
// checkpoint alone.
func TestACheckpointHoldsWhatIsLeftOut(t *testing.T) {
	plan, dir := stage2(6), t.TempDir()
	plan.CheckpointEvery = 1
	bad := map[int]bool{1: true, 8: true, 20: true, 30: true}
	reference := t.TempDir()
	s := newSessionFor(t, plan, reference)
	spoil(s, bad, nil)
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = newSessionFor(t, plan, dir)
	spoil(s, bad, nil)
	s.Language = &failing{LanguageModel: s.Language, left: 6, err: errors.New("the plugin is gone")}
	if _, err := s.Run(t.Context()); err == nil {
		t.Fatal("the run did not fail")
	}
	met := s.Train.LeftOut.Len()
	if met == 0 {
		t.Fatal("no bad picture was met")
	}
	again := newSessionFor(t, plan, dir)
	again.Resume = true
	spoil(again, notMet(s, bad), nil)
	if _, err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameBits(t, weightsOf(t, dir), weightsOf(t, reference))
}

// A picture that fails in an evaluation is left out of the measured examples, and the next
// one is measured.
func TestEvaluationLeavesOutBadPictures(t *testing.T) {
	plan := warmupAndStage2(1)
	plan.Evaluation.FinalCaptions = 4
	var log bytes.Buffer
	s := newSessionFor(t, plan, t.TempDir())
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	spoil(s, nil, map[int]bool{1: true, 4: true})
	result, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var rows []int
	for _, c := range result.Samples {
		rows = append(rows, c.Index)
	}
	if fmt.Sprint(rows) != "[0 2 3 5]" || result.Final.Captions != 4 {
		t.Errorf("captions of %v (%d), want of 0, 2, 3 and 5", rows, result.Final.Captions)
	}
	for _, part := range []string{"picture left out", "held-out-000001", "held-out-000004", "picture 1 cannot be decoded"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log does not say %q:\n%s", part, log.String())
		}
	}
}

func TestARunEndsIfTooManyPicturesAreBad(t *testing.T) {
	bad := map[int]bool{}
	for row := range 26 {
		bad[row] = true
	}
	s := newSessionFor(t, stage2(8), t.TempDir())
	spoil(s, bad, nil)
	_, err := s.Run(t.Context())
	if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "of 32 pictures cannot be used, and data.max_bad allows 10") {
		t.Errorf("got %v, want the number, the limit and data.max_bad", err)
	}
	s = newSessionFor(t, stage2(8), t.TempDir())
	s.Train.LeftOut = &data.LeftOutList{Data: s.Train.Data.Name(), Pictures: 34, Max: "100%"}
	s.Train.LeftOut.Restore([]data.LeftOut{{Picture: "x"}, {Picture: "y"}}) // when the data was opened: they have no row
	spoil(s, bad, nil)
	_, err = s.Run(t.Context())
	want := fmt.Sprintf("a batch of 8 from %d pictures (%s): pictures left out: %d", 34-s.Train.LeftOut.Len(), s.Train.Data.Name(), s.Train.LeftOut.Len())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	s = newSessionFor(t, stage2(8), t.TempDir())
	s.Train.LeftOut = &data.LeftOutList{Data: s.Train.Data.Name()}
	s.Train.LeftOut.Restore([]data.LeftOut{{Picture: "x"}})
	s.Plan.Phases[0].Batch = 33
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "a batch of 33 from 32 examples ("+s.Train.Data.Name()+"): pictures left out: 1") {
		t.Errorf("got %v, want the number of pictures that are left out", err)
	}
}

// Another error than that of a picture, such as a dying plugin's, ends the run as it is.
func TestOtherErrorsOfFeaturesEndTheRun(t *testing.T) {
	s := newSessionFor(t, stage2(2), t.TempDir())
	died := adapters.Errorf(adapters.Unavailable, "the plugin died")
	s.Train.Features = failingFeatures{died}
	if _, err := s.Run(t.Context()); !errors.Is(err, error(died)) || s.Train.LeftOut.Len() > 0 {
		t.Errorf("got %v, %d pictures left out", err, s.Train.LeftOut.Len())
	}
}

type failingFeatures struct{ err error }

func (f failingFeatures) Features(context.Context, []int) (*adapters.Tensor, error) {
	return nil, f.err
}

// The rows of a subset's bad pictures are the subset's.
func TestBadPicturesOfASubset(t *testing.T) {
	d, err := data.OpenKit(kit.Train, 8, adapters.ImageSpec{Width: 64, Height: 64})
	if err != nil {
		t.Fatal(err)
	}
	whole := train.Set{Data: uncaptioned{d}, Features: &withBad{rowFeatures{}, map[int]bool{5: true}, map[int]bool{}},
		LeftOut: &data.LeftOutList{Data: "kit"}}
	captioned, _ := train.WithCaptions(whole)
	rows, _, err := captioned.Read(t.Context(), func() ([]int, error) { return captioned.Usable([]int{0, 1, 2, 3}), nil })
	if err != nil || fmt.Sprint(rows) != "[0 1 3]" || !captioned.LeftOut.Names()[recordOf(d, 5).ID] {
		t.Errorf("rows %v, left out %v (%v), want row 2 of the subset, which is picture 5", rows, captioned.LeftOut.Names(), err)
	}
}

// uncaptioned has captions at odd rows only.
type uncaptioned struct{ data.Dataset }

func (u uncaptioned) Record(i int) (data.Record, error) {
	r := recordOf(u.Dataset, i)
	if i%2 == 0 {
		r.Captions = nil
	}
	return r, nil
}
