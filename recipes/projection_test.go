package recipes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/qformer"
)

func TestProjectionProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"stage 1", "tiny-stage1", []string{"projection.kind=words"}, []string{"projection: is given, but stage 1 has no projection to a language model"}},
		{"unknown kind", "tiny-stage2-opt", []string{"projection.kind=word"}, []string{`projection.kind: is "word", want one of linear, words; did you mean words?`}},
		{"one word", "tiny-stage2-opt", []string{"projection.kind=words", "projection.words=1"}, []string{"projection.words: is 1, want at least 2 words"}},
		{"words of a linear one", "tiny-stage2-opt", []string{"projection.words=9", "projection.list=a.txt"},
			[]string{`projection.words: is given, but projection.kind is not "words"`, `projection.list: is given, but projection.kind is not "words"`}},
		{"residual of a linear one", "tiny-stage2-opt", []string{"projection.kind=linear", "projection.residual=true"},
			[]string{`projection.residual: is true, but projection.kind is "linear"`}},
		{"list in a home folder", "tiny-stage2-opt", []string{"projection.kind=words", "projection.list=~/a.txt"}, []string{"projection.list: is \"~/a.txt\", but ~ is not expanded"}},
		{"words from captions", "tiny-retrain", []string{"projection.kind=words", "swap.projection=caption-tokens"},
			[]string{`swap.projection: is "caption-tokens", which fits a linear projection, but projection.kind is "words"`}},
		{"rate of words in stage 1", "tiny-stage1", []string{"optimizer.words_lr=0.1"}, []string{"optimizer.words_lr: is given, but stage 1"}},
		{"rate of words of a linear one", "tiny-stage2-opt", []string{"projection.kind=linear", "optimizer.words_lr=0.1"},
			[]string{`optimizer.words_lr: is 0.1, but projection.kind is "linear"`}},
		{"large rate of words", "tiny-stage2-opt", []string{"optimizer.words_lr=2"}, []string{"optimizer.words_lr: is 2, want a learning rate"}},
	})
}

// A swap trains the embeddings of words and adds a residual; other runs do neither. A cold start is
// no swap.
func TestDefaultsOfWords(t *testing.T) {
	for _, c := range []struct {
		recipe   string
		sets     []string
		cold     bool
		inWords  bool
		residual bool
		rate     float64
	}{
		{"tiny-retrain", []string{"swap.projection=shared-tokens"}, false, false, true, 0},
		{"tiny-retrain", nil, false, true, true, 0.01},
		{"tiny-retrain", []string{"optimizer.batch=16"}, false, true, true, 0.02},
		{"tiny-retrain", []string{"swap.projection=words", "optimizer.batch=64"}, false, true, true, 0.02},
		{"tiny-retrain", []string{"swap.projection=words", "projection.words=9", "projection.residual=false", "optimizer.words_lr=0.2"}, false, true, false, 0.2},
		{"tiny-retrain", []string{"swap.projection=words", "projection.kind=linear"}, false, false, true, 0},
		{"tiny-retrain", []string{"swap.projection=words", "optimizer.words_lr=0.2"}, true, false, false, 0},
		{"tiny-retrain", []string{"projection.kind=words"}, true, true, false, 0},
		{"tiny-retrain", []string{"projection.kind=words", "swap.encoder=fresh"}, true, true, false, 0},
		{"tiny-retrain", []string{"projection.kind=words", "projection.residual=true", "optimizer.words_lr=0.2"}, true, true, true, 0.2},
		{"tiny-stage2-opt", []string{"projection.kind=words"}, false, true, false, 0},
	} {
		r := load(t, c.recipe, c.sets...)
		if c.cold {
			r = r.Cold("kit:stage1")
		}
		rate := resolve(t, r).Plan().Phases[0].Optimizer.Words
		if r.InWords() != c.inWords || r.HasResidual() != c.residual || rate != c.rate {
			t.Errorf("%s %q, cold %v: words %v, residual %v, rate %g; want %v, %v, %g", c.recipe, c.sets, c.cold, r.InWords(), r.HasResidual(), rate,
				c.inWords, c.residual, c.rate)
		}
	}
}

// The swap of a run keeps the words of its bridge, and drops the settings that were meant for the run.
func TestSwapsOfRunsInWords(t *testing.T) {
	for _, c := range []struct {
		sets []string
		want Projection
		rate bool
	}{
		{[]string{"projection.kind=words", "projection.words=9", "projection.residual=false", "optimizer.words_lr=0.1"}, Projection{}, false},
		{[]string{"projection.kind=words", "swap.projection=words", "projection.residual=true"}, Projection{}, false},
		{[]string{"projection.kind=words", "swap.projection=words", "projection.residual=false", "optimizer.words_lr=0.1"}, Projection{Residual: new(bool)}, true},
		{[]string{"projection.kind=linear"}, Projection{Kind: ProjectionLinear}, false},
	} {
		text, err := resolve(t, load(t, "tiny-stage2-opt", c.sets...)).Encode()
		must(t, err)
		run := filepath.Join(t.TempDir(), "run.toml")
		must(t, os.WriteFile(run, text, 0o644))
		models := fullSwap()
		models.Derive = true
		got, err := LoadForSwap(run, models)
		must(t, err)
		p := got.Projection
		if p.Kind != c.want.Kind || p.Words != 0 || p.List != "" || (p.Residual == nil) != (c.want.Residual == nil) || (got.Optimizer.WordsLR != nil) != c.rate {
			t.Errorf("%q: got %+v and the rate %v, want %+v, a rate: %v", c.sets, p, got.Optimizer.WordsLR, c.want, c.rate)
		}
		if _, err := LoadForSwap(run, models, Override{Assignment: "projection.kind=linear"}, Override{Assignment: "optimizer.words_lr=0"}); err != nil {
			t.Errorf("%q: a linear swap: %v", c.sets, err)
		}
	}
}

// Words whose embeddings are fixed are not counted as trained.
func TestTrainedParametersOfWords(t *testing.T) {
	c := qformer.Base()
	c.LanguageWidth = 8
	count := func(sets ...string) int { return load(t, "tiny-retrain", sets...).Count(c).Trainable }
	words := count("projection.kind=words", "projection.words=10", "optimizer.words_lr=0")
	if got := count("projection.kind=words", "projection.words=10"); got != words+10*8 {
		t.Errorf("%d trained parameters, want %d more than %d", got, 10*8, words)
	}
	if got := count("projection.kind=words", "projection.words=10", "projection.residual=false", "optimizer.words_lr=0"); got != words-8*c.HiddenSize-8 {
		t.Errorf("%d trained parameters without the residual, want %d", got, words-8*c.HiddenSize-8)
	}
}
