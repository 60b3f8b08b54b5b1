package train_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/train"
)

// edited is a data set some of whose examples say something else.
type edited struct {
	data.Dataset
	edit func(i int, e *data.Record)
}

func (d edited) Record(i int) data.Record {
	e := d.Dataset.Record(i)
	d.edit(i, &e)
	return e
}

func edit(s train.Set, f func(i int, e *data.Record)) train.Set {
	return train.Set{Data: edited{s.Data, f}, Features: s.Features}
}

// hearing keeps what the language model is asked.
type hearing struct {
	adapters.LanguageModel
	heard []adapters.Example
}

func (l *hearing) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	l.heard = append(l.heard, req.Examples...)
	return l.LanguageModel.Loss(ctx, req)
}

func (l *hearing) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	return l.LanguageModel.(adapters.TokenCounter).CountTokens(ctx, texts)
}

// A caption that is longer than a language model reads is cut at a word; the
// run goes on.
func TestLongTextsAreCut(t *testing.T) {
	s := newStand(t)
	long := strings.TrimSpace(strings.Repeat("a dog left of an apple ", 60))
	s.train = edit(s.train, func(_ int, e *data.Record) { e.Captions = []string{long} })
	s.held = edit(s.held, func(_ int, e *data.Record) { e.Captions = []string{long} })
	plan := generativePlan(1)
	plan.Phases, plan.MaxTextTokens = plan.Phases[1:], 12
	plan.Phases[0].Mix.Questions = 0
	session := s.session(t, s.stage2(t), plan, t.TempDir())
	model := &hearing{LanguageModel: s.language}
	session.Language = model
	if _, err := session.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range model.heard {
		counts, err := model.CountTokens(t.Context(), []string{strings.TrimSpace(e.Target)})
		if err != nil {
			t.Fatal(err)
		}
		if n := counts[0] + 1; n > 12 || n < 9 || !strings.HasPrefix(" "+long, e.Target) {
			t.Fatalf("the target %q has %d tokens with its end, want the beginning of the caption in at most 12", e.Target, n)
		}
	}
}

// Pictures of which only questions are asked take part where questions are
// asked, and are measured by their answers where there is nothing else.
func TestQuestionsWithoutCaptions(t *testing.T) {
	s := newStand(t)
	bare := func(_ int, e *data.Record) { e.Captions = nil }
	whole := s.train
	s.train, s.held = edit(s.train, func(i int, e *data.Record) {
		if i%2 == 0 {
			e.Captions = nil
		}
	}), edit(s.held, bare)
	plan := generativePlan(2)
	plan.Phases = plan.Phases[1:]
	result, err := s.session(t, s.stage2(t), plan, t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if g := result.Final.Grounding; g == nil || g.Right <= 0 || len(result.Final.Values) > 0 {
		t.Errorf("grounding %+v, captions' metrics %v; want the loss of the answers and no captions", g, result.Final.Values)
	}
	plan.Phases[0].Mix.Questions = 0
	if _, err := s.session(t, s.stage2(t), plan, t.TempDir()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "24 pictures of kit:train have no caption") {
		t.Errorf("without questions: %v", err)
	}
	captioned, left := train.WithCaptions(s.train)
	if left != 24 || captioned.Data.Len() != 24 || captioned.Data.Digest() == s.train.Data.Digest() {
		t.Fatalf("%d left out of %d, digest the same: %v", left, captioned.Data.Len(), captioned.Data.Digest() == s.train.Data.Digest())
	}
	got, err := captioned.Features.Features(t.Context(), []int{3})
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.Features.Features(t.Context(), []int{7})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Data) != string(want.Data) || captioned.Data.Record(3).ID != whole.Data.Record(7).ID {
		t.Error("row 3 of the captioned pictures is not row 7 of all")
	}
}

// diseased gives losses that are not numbers.
type diseased struct{ adapters.LanguageModel }

func (d diseased) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp, err := d.LanguageModel.Loss(ctx, req)
	if err == nil {
		resp.Loss[0] = float32(math.NaN())
	}
	return resp, err
}

func TestLossThatIsNoNumberIsTheLanguageModels(t *testing.T) {
	s := newStand(t)
	plan := generativePlan(1)
	plan.Phases = plan.Phases[1:]
	session := s.session(t, s.stage2(t), plan, t.TempDir())
	session.Language = diseased{s.language}
	_, err := session.Run(t.Context())
	if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "frozen language model") {
		t.Errorf("got %v, want an error about the frozen model", err)
	}
}

// What a run reads of its features is known before it begins.
func TestNeedsAreTheRowsThatARunReads(t *testing.T) {
	s := newStand(t)
	plan := generativePlan(2)
	plan.Phases = plan.Phases[1:]
	reader := &reading{all: s.train.Features, rows: map[int]bool{}}
	s.train.Features = reader
	session := s.session(t, s.stage2(t), plan, t.TempDir())
	needs := session.TrainRows()
	if _, err := session.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(needs) != len(reader.rows) || len(needs) == s.train.Data.Len() {
		t.Errorf("%d rows needed, %d read, of %d", len(needs), len(reader.rows), s.train.Data.Len())
	}
	for _, row := range needs {
		if !reader.rows[row] {
			t.Errorf("row %d is never read", row)
		}
	}
}

type reading struct {
	all  featurecache.Features
	rows map[int]bool
}

func (r *reading) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	for _, i := range indices {
		r.rows[i] = true
	}
	return r.all.Features(ctx, indices)
}
