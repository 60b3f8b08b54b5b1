package train_test

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// sharpen multiplies the scores of words, so that each picture says few words.
func sharpen(t *testing.T, b *bridge.Bridge, factor float32) {
	t.Helper()
	v := b.Store().GetVariable(qformer.VariablePath("word_projection.scores.weight"))
	old, err := v.Value()
	if err != nil {
		t.Fatal(err)
	}
	values, err := tensors.CopyFlatData[float32](old)
	if err != nil {
		t.Fatal(err)
	}
	for i := range values {
		values[i] *= factor
	}
	if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, old.Shape().Dimensions...)); err != nil {
		t.Fatal(err)
	}
}

// paths returns the names of all variables of a bridge's store.
func paths(b *bridge.Bridge) (all []string) {
	for v := range b.Store().IterVariables() {
		all = append(all, v.Path())
	}
	slices.Sort(all)
	return all
}

// Soft prompts that are sums of words, longer than these and beside them, are put into words again.
func TestFitWordsFindsSumsOfWords(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat", "pig"}}
	donor := transfer(t, tiny(t, 0), fakeLanguage(), train.ProjectionFresh, true, words)
	sharpen(t, donor, 3)
	features := spoken{}.features(150)
	queries, err := donor.Queries(t.Context(), features)
	if err != nil {
		t.Fatal(err)
	}
	prompts, err := donor.SoftPrompts(t.Context(), features)
	if err != nil {
		t.Fatal(err)
	}
	for i := range prompts.Float32s() {
		prompts.Float32s()[i] = 3*prompts.Float32s()[i] + 0.5
	}
	other := words
	other.Fresh = true
	b, err := donor.ForLanguageInWords(fakeLanguage().Spec(), templates(), other, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	table, err := donor.WordEmbeddings()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetWordEmbeddings(table); err != nil {
		t.Fatal(err)
	}
	before := paths(b)
	r2, err := train.FitWords(t.Context(), b, queries, prompts, 1)
	if err != nil || r2 < 0.9 {
		t.Errorf("R² is %.3f (%v), want at least 0.9", r2, err)
	}
	if after := paths(b); !slices.Equal(before, after) {
		t.Errorf("the fit leaves %q, want %q", after, before)
	}
	if fixed, err := b.WordEmbeddings(); err != nil || !slices.Equal(fixed, table) {
		t.Errorf("the fit changes the words' embeddings (%v)", err)
	}
}

// A batch of a fit is smaller for fewer pictures, and never larger than their number.
func TestFewPicturesAreFitInSmallBatches(t *testing.T) {
	for pictures, want := range map[int]int{1: 1, 5: 5, 8: 8, 100: 8, 512: 16, 2048: 64, 9999: 64} {
		if got := train.WordFitBatchOf(pictures); got != want {
			t.Errorf("%d pictures: batches of %d, want %d", pictures, got, want)
		}
	}
}

func TestFitWordsRefusesEqualPromptsAndStops(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat"}}
	b := transfer(t, tiny(t, 0), fakeLanguage(), train.ProjectionFresh, true, words)
	config := b.Config()
	queries := adapters.NewTensor(adapters.Float32, 70, config.Queries, config.HiddenSize)
	prompts := adapters.NewTensor(adapters.Float32, 70, config.Queries, config.LanguageWidth)
	if _, err := train.FitWords(t.Context(), b, queries, prompts, 1); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "the same for all 70 pictures") {
		t.Errorf("equal prompts: got %v, want an error of kind invalid", err)
	}
	prompts.Float32s()[0] = 1
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := paths(b)
	if _, err := train.FitWords(ctx, b, queries, prompts, 1); err == nil || !slices.Equal(before, paths(b)) {
		t.Errorf("cancelled: got %v and the variables %q, want an error and %q", err, paths(b), before)
	}
}

// A swap from a linear bridge says in words what the old soft prompts are, among the old model's
// embeddings of the words.
func TestASwapPutsALinearBridgeIntoWords(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat", "pig", "fox"}}
	old, young := fakeLanguage(), adaptertest.NewFakeLanguage("other", 5)
	donor := transfer(t, tiny(t, 0), old, train.ProjectionFresh, true, words)
	sharpen(t, donor, 4)
	linear := transfer(t, donor, old, train.ProjectionKeep, false, words)
	var log strings.Builder
	p := train.ProjectionTransfer{From: linear, Language: young, OldLanguage: old, Templates: templates(), Init: train.ProjectionWords,
		InWords: true, Words: words, Seed: 3, Features: spoken{}.features(100), Log: slog.New(slog.NewTextHandler(&log, nil))}
	if !p.NeedsOldLanguage() || !p.NeedsWords() || p.Pictures() != 2048 {
		t.Errorf("the transfer needs the old model: %v, words: %v, %d pictures; want true, true, 2048", p.NeedsOldLanguage(), p.NeedsWords(), p.Pictures())
	}
	b, err := p.NewBridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Info.Words == nil || !strings.Contains(log.String(), "R2=0.9") {
		t.Errorf("the bridge speaks in %d words, and the log is\n%s\nwant R2 of at least 0.9", len(b.Info.Words), log.String())
	}
	p.OldLanguage = nil
	if _, err := p.NewBridge(t.Context()); err == nil || !strings.Contains(err.Error(), "old language model fake, which is not open") {
		t.Errorf("without the old model: %v", err)
	}
}

// mute is a language model that shows no token embeddings.
type mute struct{ adapters.LanguageModel }

// A language model without token embeddings gets random soft prompts of its token norm, and a
// warning.
func TestWordsOfAModelWithoutTokenEmbeddings(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat", "pig", "fox"}}
	old, young := fakeLanguage(), adaptertest.NewFakeLanguage("other", 5)
	linear := join(t, tiny(t, 0), old)
	for name, c := range map[string]struct {
		old, young adapters.LanguageModel
		want       string
	}{
		"new": {old, mute{young}, "the soft prompts of words start random"},
		"old": {mute{old}, young, "the weights of words start fresh"},
	} {
		var log strings.Builder
		b, err := train.ProjectionTransfer{From: linear, Language: c.young, OldLanguage: c.old, Templates: templates(), Init: train.ProjectionWords,
			InWords: true, Words: words, Features: spoken{}.features(70), Log: slog.New(slog.NewTextHandler(&log, nil))}.NewBridge(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if strings.Count(log.String(), "WARN") != 1 || !strings.Contains(log.String(), c.want) {
			t.Errorf("%s: the log is\n%s\nwant one warning, %q", name, log.String(), c.want)
		}
		table, err := b.WordEmbeddings()
		if err != nil {
			t.Fatal(err)
		}
		width, mean := young.Spec().Width, 0.0
		for row := range slices.Chunk(table, width) {
			square := 0.0
			for _, v := range row {
				square += float64(v) * float64(v)
			}
			mean += math.Sqrt(square) / float64(len(words.List))
		}
		if norm := float64(young.Spec().TokenNorm); name == "new" && (mean < 0.5*norm || mean > 1.5*norm) {
			t.Errorf("%s: the words' soft prompts have norm %.2f, want about %.2f", name, mean, norm)
		}
	}
}

// A bridge that goes on with its language model keeps its residual. A linear projection is fitted
// to words and residual together.
func TestKeepingTheModelKeepsTheResidual(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat"}, Residual: true}
	donor := transfer(t, tiny(t, 0), fakeLanguage(), train.ProjectionFresh, true, words)
	config := donor.Config()
	w := make([]float32, config.HiddenSize*config.LanguageWidth)
	for i := range w {
		w[i] = float32(i%7) - 3
	}
	if err := donor.SetProjection(w, make([]float32, config.LanguageWidth)); err != nil {
		t.Fatal(err)
	}
	want, _ := spokenBy(t, donor)
	kept, _ := spokenBy(t, transfer(t, donor, fakeLanguage(), train.ProjectionKeep, true, words))
	if !slices.Equal(kept.Float32s(), want.Float32s()) {
		t.Error("the soft prompts change")
	}
	fitted, err := transfer(t, donor, fakeLanguage(), train.ProjectionKeep, false, words).SoftPrompts(t.Context(), spoken{}.features(4))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range want.Float32s() {
		if math.Abs(float64(v-fitted.Float32s()[i])) > 0.3 {
			t.Fatalf("the linear projection's soft prompts are %v, want %v", fitted.Float32s()[:4], want.Float32s()[:4])
		}
	}
}

// A fresh projection keeps nothing, even if the old bridge speaks in the same words.
func TestFreshWordsAreFresh(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat", "pig"}}
	donor := transfer(t, tiny(t, 0), fakeLanguage(), train.ProjectionFresh, true, words)
	sharpen(t, donor, 5)
	_, said := spokenBy(t, donor)
	_, says := spokenBy(t, transfer(t, donor, fakeLanguage(), train.ProjectionFresh, true, words))
	if slices.Equal(said.Float32s(), says.Float32s()) {
		t.Error("the weights of words were kept")
	}
}

// The soft prompts of words have a rate of their own, relative to the model's token embeddings, and
// no decay. With rate 0 they stay as they are.
func TestTheRateOfWords(t *testing.T) {
	for rate, moves := range map[float64]bool{0: false, 0.01: true} {
		lm := fakeLanguage()
		b := transfer(t, tiny(t, 0), lm, train.ProjectionFresh, true, bridge.Words{List: []string{"dog", "cat"}, Residual: true})
		before, err := b.WordEmbeddings()
		if err != nil {
			t.Fatal(err)
		}
		plan := onePhase(objective.PromptCaption(), 1)
		plan.Phases[0].Schedule = optim.Schedule{Steps: 1, MinFactor: 1}
		plan.Phases[0].Optimizer.Words, plan.Phases[0].Optimizer.WeightDecay = rate, 0.9
		if _, err := newSession(t, b, lm, plan, t.TempDir()).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := b.WordEmbeddings()
		if err != nil {
			t.Fatal(err)
		}
		var far float64
		for i, v := range before {
			far = max(far, math.Abs(float64(v-after[i])))
		}
		spec := lm.Spec()
		want := rate * float64(spec.TokenNorm) / math.Sqrt(float64(spec.Width))
		if moves != (far > 0) || math.Abs(far-want) > 0.02*want {
			t.Errorf("rate %g: the first step changes a number by up to %g, want %g", rate, far, want)
		}
	}
}
