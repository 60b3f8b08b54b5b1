package train_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/featurecache"
)

// reading keeps which rows' features were read.
type reading struct {
	from featurecache.Features
	rows map[int]bool
}

func (r *reading) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	for _, i := range indices {
		r.rows[i] = true
	}
	return r.from.Features(ctx, indices)
}

// The features that a run reads are known before it begins: they are computed ahead.
func TestRowsAreThoseThatARunReads(t *testing.T) {
	s := newSessionFor(t, stage2(1), t.TempDir())
	train, eval := &reading{s.Train.Features, map[int]bool{}}, &reading{s.Eval.Features, map[int]bool{}}
	s.Train.Features, s.Eval.Features = train, eval
	trainRows := s.TrainRows()
	evalRows, err := s.EvalRows()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		rows []int
		read map[int]bool
		all  int
	}{
		"training":   {trainRows, train.rows, s.Train.Data.Len()},
		"evaluation": {evalRows, eval.rows, s.Eval.Data.Len()},
	} {
		if len(c.rows) != len(c.read) || len(c.rows) == c.all {
			t.Errorf("%s: %d rows are named, %d read, of %d", what, len(c.rows), len(c.read), c.all)
		}
		for _, row := range c.rows {
			if !c.read[row] {
				t.Errorf("%s: row %d is never read", what, row)
			}
		}
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
	s := newSessionFor(t, stage2(1), t.TempDir())
	s.Language = diseased{s.Language}
	_, err := s.Run(t.Context())
	if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "frozen language model") {
		t.Errorf("got %v, want an error about the frozen model", err)
	}
}
