package train

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/affine"
	"github.com/modular-bridging/bridge/train/cost"
)

// wordRecords is the most records that [FrequentWords] reads.
const wordRecords = 200_000

// FrequentWords returns the words of a data set's captions and answers, at most n of them:
// the most frequent ones, and of equally frequent ones those that come first in the alphabet.
// A word ends at white space, and the punctuation around it does not count. FrequentWords
// reads the first 200,000 records.
func FrequentWords(d data.Dataset, n int) []string {
	counts := map[string]int{}
	count := func(text string) {
		for _, w := range strings.Fields(text) {
			if w = strings.Trim(w, `.,;:!?"'()[]`); w != "" {
				counts[w]++
			}
		}
	}
	for i := range min(d.Len(), wordRecords) {
		r, err := d.Record(i)
		if err != nil {
			continue // bad records are counted when they are drawn
		}
		for _, p := range r.Sequence {
			for _, t := range p.Texts {
				if p.Target {
					count(t.Text)
				}
			}
		}
		for _, caption := range r.Captions {
			count(caption)
		}
		for _, q := range r.Questions {
			count(q.Answer)
		}
	}
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	return words[:min(n, len(words))]
}

// inWords returns the stage-2 bridge of a transfer whose projection speaks in words. Their
// soft prompts are the language model's own embeddings of them: a word of several tokens has
// the mean. If the language model stays, the soft prompts and the residual of the old bridge
// stay, too.
func (p ProjectionTransfer) inWords(ctx context.Context) (*bridge.Bridge, error) {
	from := p.From
	if p.Init == ProjectionWords && from.Info.Stage == 2 && from.Info.Words == nil {
		said, err := p.saidInWords(ctx)
		if err != nil {
			return nil, err
		}
		defer said.Close()
		from = said
	}
	words := p.Words
	words.Fresh = p.Init == ProjectionFresh
	b, err := from.ForLanguageInWords(p.Language.Spec(), p.Templates, words, p.Seed)
	if err != nil {
		return nil, err
	}
	kept := !words.Fresh && slices.Equal(words.List, from.Info.Words)
	if p.Replaced {
		return b, nil
	}
	if kept && p.Init == ProjectionKeep {
		if from.Config().Residual && !words.Residual {
			p.Log.Warn("the old projection's residual is dropped: what it added to the words is lost")
		}
		err = b.KeepPrompts(from)
	} else {
		err = p.setEmbeddings(ctx, b, newModel)
	}
	if err == nil {
		p.Log.Info("the projection speaks in words", "words", len(words.List), "residual", words.Residual, "weights kept", kept)
	}
	return closeIf(b, err)
}

// The two language models of a transfer, as embedWords takes them.
const (
	newModel = iota
	oldModel
)

// setEmbeddings makes the words' soft prompts of b a language model's embeddings of them. If the
// model shows none, it logs a warning and they stay random.
func (p ProjectionTransfer) setEmbeddings(ctx context.Context, b *bridge.Bridge, which int) error {
	values, err := p.embedWords(ctx, which)
	if err != nil || values == nil {
		return err
	}
	return b.SetWordEmbeddings(values)
}

// linearFromWords fits b's linear projection to what the old bridge says in words: to its own soft
// prompts if the language model stays, otherwise to the sums of the new model's embeddings of the
// words.
func (p ProjectionTransfer) linearFromWords(ctx context.Context, b *bridge.Bridge) error {
	spoken := p.From
	if p.Init != ProjectionKeep {
		var err error
		if spoken, err = p.inWords(ctx); err != nil {
			return err
		}
		defer spoken.Close()
	}
	prompts, err := spoken.SoftPrompts(ctx, p.Features)
	if err != nil {
		return err
	}
	if p.Init != ProjectionKeep {
		p.count(cost.Count{QFormerForwards: int64(p.Features.Shape[0])})
	}
	queries, err := b.Queries(ctx, p.Features)
	if err != nil {
		return err
	}
	stats, err := fitProjection(b, vectorsOf(queries), vectorsOf(prompts), p.Seed)
	return p.logTransfer("linear projection fitted to the soft prompts of words", stats, err)
}

// vectorsOf returns the vectors along the last axis of a float32 tensor.
func vectorsOf(t *adapters.Tensor) *mat.Dense {
	d := t.Shape[len(t.Shape)-1]
	values := affine.Float64s(t.Float32s())
	return mat.NewDense(len(values)/d, d, values)
}

// projected returns the soft prompts that a linear projection makes of Q-Former outputs,
// float32[B, Q, Dllm]. It saves a second pass of the Q-Former.
func projected(b *bridge.Bridge, queries *adapters.Tensor) (*adapters.Tensor, error) {
	w, bias, err := b.Projection()
	if err != nil {
		return nil, err
	}
	x := vectorsOf(queries)
	_, width := x.Dims()
	var y mat.Dense
	y.Mul(x, mat.NewDense(len(bias), width, affine.Float64s(w)).T())
	values := affine.Float32s(y.RawMatrix().Data)
	for i := range values {
		values[i] += bias[i%len(bias)]
	}
	return adapters.FromFloat32(values, queries.Shape[0], queries.Shape[1], len(bias)), nil
}

// saidInWords returns a copy of the old bridge that says the same in words to the old language
// model. The old bridge's projection is linear.
func (p ProjectionTransfer) saidInWords(ctx context.Context) (*bridge.Bridge, error) {
	if p.OldLanguage == nil {
		return nil, fmt.Errorf("the old projection is put into words of the old language model %s, which is not open", p.From.Info.Language.ID)
	}
	templates := p.oldTemplates()
	b, err := p.From.ForLanguageInWords(p.OldLanguage.Spec(), templates, bridge.Words{List: p.Words.List}, p.Seed)
	if err != nil {
		return nil, err
	}
	if _, ok := adapters.AsTokenEmbedder(p.OldLanguage); !ok {
		p.Log.Warn("the old language model shows no token embeddings: the weights of words start fresh", "model", p.OldLanguage.Spec().ID)
		return b, nil
	}
	if err := p.setEmbeddings(ctx, b, oldModel); err != nil {
		return closeIf(b, err)
	}
	queries, err := p.From.Queries(ctx, p.Features)
	if err != nil {
		return closeIf(b, err)
	}
	prompts, err := projected(p.From, queries)
	if err != nil {
		return closeIf(b, err)
	}
	pictures := queries.Shape[0]
	r2, err := fitWords(ctx, b, queries, prompts, p.Seed)
	if err == nil {
		p.count(cost.Count{QFormerForwards: int64(pictures), ProjectionPasses: int64(wordFitSteps * wordFitBatchOf(pictures))})
		p.Log.Info("old projection put into words", "pictures", pictures, "R2", fmt.Sprintf("%.3f", r2))
	}
	return closeIf(b, err)
}

// minWords is the fewest words that both language models must know, so that a swap goes through words
// by default.
const minWords = 16

// CheckWords returns an Unsupported error if the old projection cannot be carried over through words: a
// language model shows no token embeddings, or both know fewer than 16 of the words. A model
// knows a word if it makes tokens of it whose mean embedding no other word has.
func (p *ProjectionTransfer) CheckWords(ctx context.Context) error {
	known := make([]int, len(p.Words.List)) // how many of the models know a word
	for which, m := range []adapters.LanguageModel{p.Language, p.OldLanguage} {
		if _, ok := adapters.AsTokenEmbedder(m); !ok {
			return adapters.Errorf(adapters.Unsupported, "the language model %s shows no token embeddings", m.Spec().ID)
		}
		values, err := p.embedWords(ctx, which)
		if err != nil {
			return err
		}
		p.embedded[which] = values
		for _, i := range ownRows(values, m.Spec().Width) {
			known[i]++
		}
	}
	both := 0
	for _, n := range known {
		if n == 2 {
			both++
		}
	}
	if both < minWords {
		return adapters.Errorf(adapters.Unsupported, "%s and %s both know %d of the %d words, want at least %d",
			p.OldLanguage.Spec().ID, p.Language.Spec().ID, both, len(p.Words.List), minWords)
	}
	return nil
}

// ownRows returns the rows of a matrix with d columns that are not zero and that no other row equals.
func ownRows(values []float32, d int) (own []int) {
	text := func(row []float32) string { return fmt.Sprint(row) }
	seen := map[string]int{text(make([]float32, d)): 2}
	for row := range slices.Chunk(values, d) {
		seen[text(row)]++
	}
	for i := range len(values) / d {
		if seen[text(values[i*d:(i+1)*d])] == 1 {
			own = append(own, i)
		}
	}
	return own
}

// oldTemplates returns the texts that the old bridge was trained with.
func (p ProjectionTransfer) oldTemplates() bridge.Templates {
	if p.From.Info.Templates != nil {
		return *p.From.Info.Templates
	}
	return p.Templates
}

// embedWords returns a language model's embeddings of the words, float32[W, Dllm], or nil and a
// warning if it shows none.
func (p ProjectionTransfer) embedWords(ctx context.Context, which int) ([]float32, error) {
	if values := p.embedded[which]; values != nil {
		return values, nil
	}
	m, templates := p.Language, p.Templates
	if which == oldModel {
		m, templates = p.OldLanguage, p.oldTemplates()
	}
	embedder, ok := adapters.AsTokenEmbedder(m)
	if !ok {
		p.Log.Warn("the language model shows no token embeddings: the soft prompts of words start random", "model", m.Spec().ID)
		return nil, nil
	}
	texts := make([]string, len(p.Words.List))
	for i, w := range p.Words.List {
		texts[i] = templates.TargetPrefix + w
	}
	r, err := embedder.EmbedTokens(ctx, &adapters.EmbedTokensRequest{Texts: texts})
	if err != nil {
		return nil, fmt.Errorf("token embeddings of words: %w", err)
	}
	if silent := slices.Index(r.Counts, 0); silent >= 0 {
		p.Log.Warn("the language model's tokenizer makes no token of a word: its soft prompt starts at zero", "model", m.Spec().ID, "word", p.Words.List[silent])
	}
	return meanRows(r), nil
}

// meanRows returns the mean embedding of each text, float32[len(Counts), D]. It is zero for a
// text without a token.
func meanRows(r *adapters.EmbedTokensResponse) []float32 {
	d := r.Embeddings.Shape[1]
	out := make([]float32, len(r.Counts)*d)
	first := 0
	for i, count := range r.Counts {
		row := out[i*d : (i+1)*d]
		for k := range int(count) {
			for c, v := range r.Embeddings.Row(first + k).Float32s() {
				row[c] += v / float32(count)
			}
		}
		first += int(count)
	}
	return out
}
