package train_test

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train"
)

// edited is a data set with other records.
type edited struct {
	data.Dataset
	edit func(i int, r *data.Record)
}

func (d edited) Record(i int) (data.Record, error) {
	r := recordOf(d.Dataset, i)
	d.edit(i, &r)
	return r, nil
}

func edit(s train.Set, f func(i int, r *data.Record)) train.Set {
	return train.Set{Data: edited{s.Data, f}, Features: s.Features}
}

// Pictures of which only questions are asked take part where questions are
// asked, and are measured by their answers where there is nothing else.
func TestQuestionsWithoutCaptions(t *testing.T) {
	plan := stage2(2)
	half := func(s *train.Session) {
		s.Train = edit(s.Train, func(i int, r *data.Record) {
			if i%2 == 0 {
				r.Captions = nil
			}
		})
		s.Eval = edit(s.Eval, func(_ int, r *data.Record) { r.Captions = nil })
	}
	s := newSessionFor(t, plan, t.TempDir())
	whole := s.Train
	half(s)
	result, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if g := result.Final.Grounding; g == nil || g.Right <= 0 || len(result.Final.Values) > 0 {
		t.Errorf("grounding %+v, captions' metrics %v; want the loss of the answers and no captions", g, result.Final.Values)
	}
	captioned, without := train.WithCaptions(s.Train)
	if without != 16 || captioned.Data.Len() != 16 || captioned.Data.Digest() == s.Train.Data.Digest() {
		t.Fatalf("%d left out of %d, digest the same: %v", without, captioned.Data.Len(), captioned.Data.Digest() == s.Train.Data.Digest())
	}
	got, err := captioned.Features.Features(t.Context(), []int{3})
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.Features.Features(t.Context(), []int{7})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Data) != string(want.Data) || recordOf(captioned.Data, 3).ID != recordOf(whole.Data, 7).ID {
		t.Error("row 3 of the captioned pictures is not row 7 of all")
	}
	plan.Phases[0].Mix.Questions = 0
	s = newSessionFor(t, plan, t.TempDir())
	half(s)
	if _, err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "16 pictures of kit:train have no caption") {
		t.Errorf("without questions: %v", err)
	}
}
