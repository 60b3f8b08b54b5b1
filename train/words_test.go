package train_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train"
)

// spoken is a data set of captions and questions without pictures.
type spoken []data.Record

func (s spoken) Name() string                        { return "spoken" }
func (s spoken) Digest() string                      { return "" }
func (s spoken) Len() int                            { return len(s) }
func (s spoken) Record(i int) (data.Record, error)   { return s[i], nil }
func (s spoken) Image(int) (*adapters.Tensor, error) { return nil, nil }
func (s spoken) features(n int) (t *adapters.Tensor) {
	t, _ = rowFeatures{}.Features(context.Background(), rowsTo(n))
	return t
}

func rowsTo(n int) (rows []int) {
	for i := range n {
		rows = append(rows, i)
	}
	return rows
}

// Words that differ by punctuation alone are one word. Questions are not counted, because the
// bridge never says them.
func TestFrequentWordsCountCaptionsAndAnswers(t *testing.T) {
	d := spoken{
		{Captions: []string{"a dog, a cat.", "the dog"}},
		{Questions: []data.QA{{Question: "what what what?", Answer: "dog"}}},
	}
	if got, want := train.FrequentWords(d, 3), []string{"dog", "a", "cat"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := train.FrequentWords(d, 10); len(got) != 4 {
		t.Errorf("got %q, want the 4 words that there are", got)
	}
}

// transfer joins a bridge with a language model; form is true for a projection in words.
func transfer(t *testing.T, from *bridge.Bridge, lm adapters.LanguageModel, init train.ProjectionInit, form bool, words bridge.Words) *bridge.Bridge {
	t.Helper()
	b, err := train.ProjectionTransfer{From: from, Language: lm, Templates: templates(), Init: init, InWords: form, Words: words, Seed: 3,
		Features: spoken{}.features(40), Log: slog.New(slog.DiscardHandler)}.NewBridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// spokenBy returns the soft prompts and the words' weights of some pictures.
func spokenBy(t *testing.T, b *bridge.Bridge) (prompts, weights *adapters.Tensor) {
	t.Helper()
	prompts, err := b.SoftPrompts(t.Context(), spoken{}.features(4))
	if err != nil {
		t.Fatal(err)
	}
	if weights, err = b.WordWeights(t.Context(), spoken{}.features(4)); err != nil {
		t.Fatal(err)
	}
	return prompts, weights
}

// A swap changes the embeddings alone: each picture still says the same words, and its soft
// prompts are their embeddings in the new model, the mean of a word's tokens.
func TestASwapSaysTheSameWords(t *testing.T) {
	list := []string{"dog", "cat", "hippopotamus"}
	old, young := fakeLanguage(), adaptertest.NewFakeLanguage("other", 5)
	donor := transfer(t, tiny(t, 0), old, train.ProjectionFresh, true, bridge.Words{List: list})
	swapped := transfer(t, donor, young, train.ProjectionWords, true, bridge.Words{List: list, Residual: true})
	_, said := spokenBy(t, donor)
	prompts, says := spokenBy(t, swapped)
	if !slices.Equal(said.Float32s(), says.Float32s()) {
		t.Error("the new bridge gives words other weights")
	}
	embedder, _ := adapters.AsTokenEmbedder(young)
	r, err := embedder.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{Texts: []string{" dog", " cat", " hippopotamus"}})
	if err != nil {
		t.Fatal(err)
	}
	table, width := make([][]float64, len(list)), young.Spec().Width
	first := 0
	for w, n := range r.Counts {
		table[w] = make([]float64, width)
		for k := range int(n) {
			for c, v := range r.Embeddings.Row(first + k).Float32s() {
				table[w][c] += float64(v) / float64(n)
			}
		}
		first += int(n)
	}
	for i, got := range prompts.Float32s() {
		q, c := i/width, i%width
		want := 0.0
		for w := range list {
			want += float64(says.Float32s()[q*len(list)+w]) * table[w][c]
		}
		if math.Abs(float64(got)-want) > 1e-5 {
			t.Fatalf("soft prompt %d, %d is %g, want %g", q, c, got, want)
		}
	}
}

// A bridge that goes on with its language model keeps the soft prompts that it has learnt.
func TestKeepingTheModelKeepsTheWordsPrompts(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat"}}
	donor := transfer(t, tiny(t, 0), fakeLanguage(), train.ProjectionFresh, true, words)
	learnt := make([]float32, len(words.List)*donor.Info.Language.Width)
	for i := range learnt {
		learnt[i] = float32(i)
	}
	if err := donor.SetWordEmbeddings(learnt); err != nil {
		t.Fatal(err)
	}
	kept := transfer(t, donor, fakeLanguage(), train.ProjectionKeep, true, words)
	if got, err := kept.WordEmbeddings(); err != nil || !slices.Equal(got, learnt) {
		t.Errorf("got %v (%v), want %v", got, err, learnt)
	}
}

// silentLanguage is a language model whose token embeddings must not be asked for.
type silentLanguage struct{ adapters.LanguageModel }

func (silentLanguage) EmbedTokens(context.Context, *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	return nil, errors.New("token embeddings were asked for")
}

// Soft prompts that a checkpoint replaces are not computed.
func TestReplacedWordsAskForNoEmbeddings(t *testing.T) {
	p := train.ProjectionTransfer{From: tiny(t, 0), Language: silentLanguage{fakeLanguage()}, Templates: templates(), Init: train.ProjectionFresh, InWords: true,
		Words: bridge.Words{List: []string{"dog", "cat"}}, Log: slog.New(slog.DiscardHandler)}
	if _, err := p.NewBridge(t.Context()); err == nil {
		t.Fatal("a new bridge does not ask for embeddings")
	}
	p.Replaced = true
	b, err := p.NewBridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// withoutEmbeddings is a language model that shows no token embeddings.
type withoutEmbeddings struct{ adapters.LanguageModel }

// CheckWords names the model that shows no embeddings, and counts the words that both models know.
func TestCheckWords(t *testing.T) {
	old, young := fakeLanguage(), adaptertest.NewFakeLanguage("other", 5)
	var many []string
	for _, a := range []string{"red", "green", "blue", "two", "three"} {
		for _, b := range []string{"dog", "cat", "pig", "fox"} {
			many = append(many, a+" "+b)
		}
	}
	for want, c := range map[string]struct {
		old, young adapters.LanguageModel
		words      []string
	}{
		"": {old, young, many},
		"the language model other shows no token embeddings": {old, withoutEmbeddings{young}, many},
		"the language model " + old.Spec().ID + " shows no":  {withoutEmbeddings{old}, young, many},
		"both know 2 of the 5 words, want at least 16":       {old, young, []string{"dog", "cat", "same", "same", "same"}},
	} {
		p := train.ProjectionTransfer{From: tiny(t, 0), Language: c.young, OldLanguage: c.old, Templates: templates(), Words: bridge.Words{List: c.words},
			Log: slog.New(slog.DiscardHandler)}
		err := p.CheckWords(t.Context())
		if want == "" && err != nil || want != "" && (adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A linear projection after words is fitted to what the words say.
func TestALinearProjectionFollowsWords(t *testing.T) {
	words := bridge.Words{List: []string{"dog", "cat", "pig", "fox"}}
	donor := transfer(t, tiny(t, 0), fakeLanguage(), train.ProjectionFresh, true, words)
	want, _ := spokenBy(t, donor)
	linear := transfer(t, donor, fakeLanguage(), train.ProjectionWords, false, words)
	got, err := linear.SoftPrompts(t.Context(), spoken{}.features(4))
	if err != nil {
		t.Fatal(err)
	}
	var off, size float64
	for i, v := range want.Float32s() {
		off += math.Pow(float64(v-got.Float32s()[i]), 2)
		size += float64(v) * float64(v)
	}
	if off > 0.05*size {
		t.Errorf("the linear projection is off by %.3f of the words' soft prompts", math.Sqrt(off/size))
	}
}
