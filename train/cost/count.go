package cost

import (
	"cmp"
	"slices"
)

// Count counts what a phase of a run computes. One example or picture is one pass.
type Count struct {
	Steps int64 `json:"steps,omitempty"` // of the optimizer

	// LanguagePasses are examples scored by the language model with the gradient, forward and
	// backward; LanguageForwards are those scored without it, and candidates that it ranked.
	LanguagePasses   int64 `json:"language_passes,omitempty"`
	LanguageForwards int64 `json:"language_forwards,omitempty"`
	GeneratedTexts   int64 `json:"generated_texts,omitempty"`
	GeneratedTokens  int64 `json:"generated_tokens,omitempty"` // of these texts, end tokens included
	// TokenEmbeddings are calls for the embeddings of the language models' tokens, of the whole
	// vocabulary or of all texts of one request.
	TokenEmbeddings int64 `json:"token_embedding_calls,omitempty"`

	// QFormerPasses are pictures in steps of stage 2, forward and backward. QFormerForwards are rows, of
	// pictures or texts, that go forward only.
	QFormerPasses   int64 `json:"qformer_passes,omitempty"`
	QFormerForwards int64 `json:"qformer_forwards,omitempty"`
	// ProjectionPasses are pictures in steps that train the projection, or fit words to it, on
	// cached outputs of the Q-Former.
	ProjectionPasses int64 `json:"projection_passes,omitempty"`
	// Stage1Passes are pairs in steps of stage 1: ITC, ITM and ITG, forward and backward.
	Stage1Passes int64 `json:"stage1_passes,omitempty"`

	// PicturesEncoded went through a vision encoder. PicturesCached were read from the feature
	// cache instead, when the run collected the features that it needs.
	PicturesEncoded int64 `json:"pictures_encoded,omitempty"`
	PicturesCached  int64 `json:"pictures_cached,omitempty"`
}

// Plus returns the sum of two counts.
func (c Count) Plus(o Count) Count {
	return Count{
		Steps:            c.Steps + o.Steps,
		LanguagePasses:   c.LanguagePasses + o.LanguagePasses,
		LanguageForwards: c.LanguageForwards + o.LanguageForwards,
		GeneratedTexts:   c.GeneratedTexts + o.GeneratedTexts,
		GeneratedTokens:  c.GeneratedTokens + o.GeneratedTokens,
		TokenEmbeddings:  c.TokenEmbeddings + o.TokenEmbeddings,
		QFormerPasses:    c.QFormerPasses + o.QFormerPasses,
		QFormerForwards:  c.QFormerForwards + o.QFormerForwards,
		ProjectionPasses: c.ProjectionPasses + o.ProjectionPasses,
		Stage1Passes:     c.Stage1Passes + o.Stage1Passes,
		PicturesEncoded:  c.PicturesEncoded + o.PicturesEncoded,
		PicturesCached:   c.PicturesCached + o.PicturesCached,
	}
}

// Pictures returns the number of pictures whose features were collected, encoded or cached.
func (c Count) Pictures() int64 { return c.PicturesEncoded + c.PicturesCached }

// The phases of a run that are no phase of its plan.
const (
	Features   = "features"   // of the training pictures, collected before the first step
	Start      = "start"      // of the initialisation: maps between models
	Evaluation = "evaluation" // all evaluations, with the features of their pictures
)

// Phase is the count of one phase of a run.
type Phase struct {
	Name string `json:"phase"`
	Count
}

// Ledger holds the counts of a run by phase, in the order in which the phases began. It is nil
// if the run was not counted.
type Ledger []Phase

// Of returns the count of a phase. It is zero if the run has no such phase.
func (l Ledger) Of(name string) Count {
	for _, p := range l {
		if p.Name == name {
			return p.Count
		}
	}
	return Count{}
}

// Total returns the sum of all phases.
func (l Ledger) Total() Count { return l.Training().Plus(l.Of(Evaluation)) }

// Training returns the sum of all phases except the evaluation, which is no cost of training.
func (l Ledger) Training() Count {
	var sum Count
	for _, p := range l {
		if p.Name != Evaluation {
			sum = sum.Plus(p.Count)
		}
	}
	return sum
}

// Prices are the seconds that one of each count takes on a machine with the run's models. 0 is no
// price. PicturesCached have none.
type Prices struct {
	Step            float64 `json:"step" toml:"step,omitzero"`
	LanguagePass    float64 `json:"language_pass" toml:"language_pass,omitzero"`
	LanguageForward float64 `json:"language_forward" toml:"language_forward,omitzero"`
	GeneratedToken  float64 `json:"generated_token" toml:"generated_token,omitzero"`
	TokenEmbedding  float64 `json:"token_embedding_call" toml:"token_embedding_call,omitzero"`
	QFormerPass     float64 `json:"qformer_pass" toml:"qformer_pass,omitzero"`
	QFormerForward  float64 `json:"qformer_forward" toml:"qformer_forward,omitzero"`
	ProjectionPass  float64 `json:"projection_pass" toml:"projection_pass,omitzero"`
	Stage1Pass      float64 `json:"stage1_pass" toml:"stage1_pass,omitzero"`
	PictureEncoded  float64 `json:"picture_encoded" toml:"picture_encoded,omitzero"`
}

// Lowest returns the smallest price.
func (p Prices) Lowest() float64 {
	return slices.MinFunc(Count{}.terms(p, false), func(a, b term) int { return cmp.Compare(a.price, b.price) }).price
}

// term is a part of a count with its price.
type term struct {
	count int64
	price float64
}

// terms returns the parts of a count that have a price. fresh adds cached pictures to those that
// were encoded.
func (c Count) terms(p Prices, fresh bool) []term {
	encoded := c.PicturesEncoded
	if fresh {
		encoded = c.Pictures()
	}
	return []term{
		{c.Steps, p.Step}, {c.LanguagePasses, p.LanguagePass}, {c.LanguageForwards, p.LanguageForward}, {c.GeneratedTokens, p.GeneratedToken},
		{c.TokenEmbeddings, p.TokenEmbedding}, {c.QFormerPasses, p.QFormerPass}, {c.QFormerForwards, p.QFormerForward},
		{c.ProjectionPasses, p.ProjectionPass}, {c.Stage1Passes, p.Stage1Pass}, {encoded, p.PictureEncoded},
	}
}

// Priced reports whether every part of the count has a price. fresh is that of [Count.Seconds].
func (c Count) Priced(p Prices, fresh bool) bool {
	return !slices.ContainsFunc(c.terms(p, fresh), func(t term) bool { return t.count > 0 && t.price == 0 })
}

// Seconds returns the seconds that the count takes at the prices. fresh adds the price of
// encoding for cached pictures, as if the run had found an empty feature cache.
func (c Count) Seconds(p Prices, fresh bool) (seconds float64) {
	for _, t := range c.terms(p, fresh) {
		seconds += float64(t.count) * t.price
	}
	return seconds
}
