package train_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// made is a source whose records a function makes of the kit's.
type made struct {
	record.Reader
	n    int
	make func(i int, r record.Record) (record.Record, error)
}

func (m made) Len() int { return m.n }

func (m made) Record(i int) (record.Record, error) {
	r, err := m.Reader.Record(i)
	if err != nil {
		return r, err
	}
	return m.make(i, r)
}

func kitRecords(t *testing.T, n int, make func(i int, r record.Record) (record.Record, error)) record.Reader {
	t.Helper()
	r, err := data.OpenKitRecords(kit.Train, 0)
	if err != nil {
		t.Fatal(err)
	}
	return made{r, n, make}
}

// captions keeps the picture and its caption; some records are bad in each way.
func captions(i int, r record.Record) (record.Record, error) {
	r.Parts = r.Parts[:2]
	switch i % 10 {
	case 3:
		return r, r.Bad(i, record.Tags, errors.New("tags"))
	case 5:
		p := *r.Parts[0].Picture
		p.Open = func() (io.ReadCloser, error) { return nil, fs.ErrNotExist }
		r.Parts[0].Picture = &p
	case 7:
		p := *r.Parts[0].Picture
		p.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("no picture"))), nil }
		r.Parts[0].Picture = &p
	}
	return r, nil
}

// conversations drops the caption: a picture and two turns or more. Some have two pictures,
// some have none.
func conversations(i int, r record.Record) (record.Record, error) {
	turns := r.Parts[2:6]
	switch i % 4 {
	case 1:
		r.Parts = slices.Concat(r.Parts[:1], r.Parts[:1], turns)
	case 2:
		r.Parts = turns
	default:
		r.Parts = slices.Concat(r.Parts[:1], turns)
	}
	return r, nil
}

// mixed returns a data set of captions, of which 4 of 10 are bad or end so, and conversations.
func mixed(t *testing.T, first func(int, record.Record) (record.Record, error)) *data.Sources {
	t.Helper()
	d, err := data.OpenSources([]data.Source{{Name: "captions", Records: kitRecords(t, 40, first)}, {Name: "chats", Records: kitRecords(t, 20, conversations)}},
		data.SourceOptions{TextOnly: true}, adapters.ImageSpec{Width: 8, Height: 8, Resample: adapters.Bicubic, Mode: adapters.Squash})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// mixturePlan trains on both sources in two micro-batches.
func mixturePlan(oneSource bool) train.Plan {
	plan := onePhase(objective.PromptCaption(), 5)
	plan.CheckpointEvery, plan.Phases[0].Accumulate, plan.Phases[0].Mix.Questions = 2, 2, 0.5
	plan.Mixture = &data.Mix{Weights: []float64{2, 1}, OneSource: oneSource}
	return plan
}

// newMixed returns a run on a mixture whose features are computed live.
func newMixed(t *testing.T, plan train.Plan, dir string) *train.Session {
	t.Helper()
	s := newSessionFor(t, plan, dir)
	d := mixed(t, captions)
	s.Train = train.Set{Data: d, Features: featurecache.NewUncached(pixelEncoder{}, d), LeftOut: &data.LeftOutList{Data: d.Name()}}
	return s
}

// pixelEncoder has features that depend on each picture's pixels alone.
type pixelEncoder struct{ adapters.VisionEncoder }

func (pixelEncoder) Encode(_ context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	n := req.Images.Shape[0]
	t := adapters.NewTensor(adapters.Float32, n, 3, 8)
	for i := range n {
		picture := req.Images.Row(i).Data
		for j := range t.Row(i).Float32s() {
			t.Row(i).Float32s()[j] = float32(picture[j*7%len(picture)])/128 - 1
		}
	}
	return &adapters.EncodeResponse{Features: t}, nil
}

// A run on a mixture with bad records of every kind, conversations, several pictures and texts
// alone is the same run if it is stopped anywhere and resumed, with and without augmentation.
func TestRunsOnMixturesResumeBitForBit(t *testing.T) {
	for name, plan := range map[string]train.Plan{"mixed": mixturePlan(false), "one source": mixturePlan(true), "augmented": mixturePlan(false)} {
		if name == "augmented" {
			plan.Phases[0].Augment = data.AugmentBLIP2
		}
		t.Run(name, func(t *testing.T) {
			whole := t.TempDir()
			s := newMixed(t, plan, whole)
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if counts := s.Train.LeftOut.Counts(); name != "one source" && (counts[record.Tags] == 0 || counts[record.MissingPicture] == 0 || counts[record.BadPicture] == 0) {
				t.Errorf("left out %v, want some for each reason", counts)
			}
			for _, l := range s.Train.LeftOut.All() {
				if l.Why == "" || l.Key == "" || l.File == "" || l.Reason == "" {
					t.Errorf("left out without a place or a reason: %+v", l)
				}
			}
			for _, left := range []int{3, 6} {
				dir := t.TempDir()
				ctx, stop := context.WithCancel(t.Context())
				s := newMixed(t, plan, dir)
				s.Language = &stopping{s.Language, left, stop}
				if _, err := s.Run(ctx); !errors.Is(err, context.Canceled) {
					t.Fatalf("stopped after %d: %v", left, err)
				}
				again := newMixed(t, plan, dir)
				again.Resume = true
				again.Train.LeftOut = resumedList(s.Train)
				if _, err := again.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				sameBits(t, weightsOf(t, dir), weightsOf(t, whole))
			}
		})
	}
}

// unahead hides that features are computed live.
type unahead struct{ from featurecache.Features }

func (u unahead) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	return u.from.Features(ctx, rows)
}

// What is computed ahead changes no bit, and the wait for it is measured.
func TestReadingAheadChangesNothing(t *testing.T) {
	plan := mixturePlan(false)
	ahead, plain := t.TempDir(), t.TempDir()
	if _, err := newMixed(t, plan, ahead).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newMixed(t, plan, plain)
	s.Train.Features = unahead{s.Train.Features}
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameBits(t, weightsOf(t, ahead), weightsOf(t, plain))
	if waits := readMetric(t, ahead, "only/data_wait"); len(waits) != 5 || slices.Min(waits) < 0 || slices.Max(waits) > 1 {
		t.Errorf("waits %v, want a share for each of 5 steps", waits)
	}
	if shares := readMetric(t, ahead, "only/share/chats"); len(shares) != 5 || shares[4] < 0.1 || shares[4] > 0.6 {
		t.Errorf("shares of the second source %v, want about a third", shares)
	}
}

// Augmented pictures differ from step to step, and without live features they are refused.
func TestAugmentationNeedsLiveFeatures(t *testing.T) {
	plan := mixturePlan(false)
	plan.Phases[0].Augment = data.AugmentBLIP2
	s := newMixed(t, plan, t.TempDir())
	s.Train.Features = unahead{s.Train.Features}
	if _, err := s.Run(t.Context()); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "feature_cache") {
		t.Errorf("augmentation of cached features: %v, want an error that names feature_cache", err)
	}
	d := mixed(t, captions)
	first, err := data.AugmentBLIP2.Image(d, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := data.AugmentBLIP2.Image(d, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	same, err := data.AugmentBLIP2.Image(d, 0, 1)
	if err != nil || string(first.Data) == string(other.Data) || string(first.Data) != string(same.Data) {
		t.Errorf("a picture is not a function of the seed of its step (%v)", err)
	}
}

// A conversation's examples are its answers, each with everything before it, and its pictures
// are soft prompts of the batch.
func TestConversationsBecomeAnExampleForEachAnswer(t *testing.T) {
	lm := &listening{LanguageModel: fakeLanguage()}
	plan := onePhase(objective.PromptCaption(), 1)
	plan.Phases[0].Batch, plan.Phases[0].Mix.Questions = 4, 1
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	d, err := data.OpenSources([]data.Source{{Name: "chats", Records: kitRecords(t, 4, conversations)}}, data.SourceOptions{TextOnly: true},
		adapters.ImageSpec{Width: 8, Height: 8, Resample: adapters.Bicubic, Mode: adapters.Squash})
	if err != nil {
		t.Fatal(err)
	}
	s.Train = train.Set{Data: d, Features: featurecache.NewUncached(pixelEncoder{}, d)}
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	req := lm.asked[0]
	if len(req.Examples) != 8 || req.Prompts.Shape[0] != 4 {
		t.Fatalf("%d examples about %d soft prompts, want 8 about 4", len(req.Examples), req.Prompts.Shape[0])
	}
	pictures := map[int]int{} // prompts of an example → how many examples
	for i, e := range req.Examples {
		n := 0
		var text strings.Builder
		for _, seg := range e.Segments {
			if seg.IsPrompt {
				n++
				continue
			}
			text.WriteString(seg.Text)
		}
		pictures[n]++
		questions := strings.Count(text.String(), "Question: ")
		if want := 1 + i%2; questions != want || strings.Count(text.String(), " Answer:") != want || !strings.HasPrefix(e.Target, " ") {
			t.Errorf("example %d reads %q before %q, want %d questions", i, text.String(), e.Target, want)
		}
	}
	if fmt.Sprint(pictures) != "map[0:2 1:4 2:2]" {
		t.Errorf("examples by number of pictures: %v, want 2 without, 4 with one, 2 with two", pictures)
	}
}

// A batch of texts alone trains nothing, so it is refused.
func TestBatchesWithoutPicturesAreRefused(t *testing.T) {
	plan := onePhase(objective.PromptCaption(), 1)
	plan.Phases[0].Mix.Questions = 1
	s := newSessionFor(t, plan, t.TempDir())
	texts := func(i int, r record.Record) (record.Record, error) {
		r.Parts = r.Parts[2:4]
		return r, nil
	}
	d, err := data.OpenSources([]data.Source{{Name: "texts", Records: kitRecords(t, 20, texts)}}, data.SourceOptions{TextOnly: true}, adapters.ImageSpec{Width: 8, Height: 8})
	if err != nil {
		t.Fatal(err)
	}
	s.Train = train.Set{Data: d, Features: featurecache.NewUncached(pixelEncoder{}, d)}
	if _, err := s.Run(t.Context()); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "picture") {
		t.Errorf("texts alone: %v, want an error of kind unsupported", err)
	}
}
