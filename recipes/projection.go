package recipes

import "github.com/modular-bridging/bridge/train"

// Projection is the table [projection], of stage 2 only: the form of the map from the
// Q-Former's outputs to soft prompts. It may be left out.
type Projection struct {
	// Kind is "linear" (BLIP-2's) or "words": each query gives weights over a list of words,
	// and its soft prompt is the sum of their embeddings. Another language model has other
	// embeddings of the same words, so a swap carries the rest over. Default: that of the
	// stage-2 bridge in `from`; otherwise "linear".
	Kind string `toml:"kind,omitempty"`
	// Words is the most words of a new list. Default 2000. Further words of List are dropped with a
	// warning.
	Words int `toml:"words,omitzero"`
	// Residual adds a linear projection, which starts at zero, to the words: for what they
	// cannot say to a language model. Default: true in a swap and if the bridge in `from` has
	// one, otherwise false, because a bridge that speaks in words alone is carried over best.
	Residual *bool `toml:"residual"`
	// List is a file with a word on each line, the new list. A word may have spaces inside.
	// Default: the most frequent words of the training data's captions and answers. A bridge in
	// `from` that speaks in words keeps its words, and takes no list.
	List string `toml:"list,omitempty"`
}

// The kinds of projection.
const (
	ProjectionLinear = "linear"
	ProjectionWords  = "words"
)

// defaultWords is the default of [Projection.Words].
const defaultWords = 2000

// InWords reports whether the recipe makes a projection that speaks in words, whatever bridge it
// starts from. Without a kind, the starting bridge may decide so, too.
func (r *Recipe) InWords() bool {
	if r.Projection.Kind == "" {
		return r.Swap != nil && r.Swap.Projection == train.ProjectionWords
	}
	return r.Projection.Kind == ProjectionWords
}

// HasResidual reports whether a projection into words has a linear one beside it. If the recipe
// leaves it out, the starting bridge may have one, too.
func (r *Recipe) HasResidual() bool {
	if r.Projection.Residual == nil {
		return r.Swap != nil
	}
	return *r.Projection.Residual
}

// MaxWords returns the most words of a new list.
func (p Projection) MaxWords() int {
	if p.Words == 0 {
		return defaultWords
	}
	return p.Words
}

func (r *Recipe) checkProjection() {
	p := r.Projection
	if p == (Projection{}) {
		return
	}
	r.want("projection", r.Stage != 1, "is given, but stage 1 has no projection to a language model")
	if p.Kind != "" {
		r.oneOf("projection.kind", p.Kind, ProjectionLinear, ProjectionWords)
	}
	inWords := r.InWords()
	r.want("projection.words", p.Words == 0 || p.Words >= 2, "is %d, want at least 2 words", p.Words)
	r.want("projection.words", p.Words == 0 || inWords, "is given, but projection.kind is not %q", ProjectionWords)
	r.want("projection.list", p.List == "" || inWords, "is given, but projection.kind is not %q", ProjectionWords)
	r.want("projection.residual", p.Residual == nil || !*p.Residual || p.Kind != ProjectionLinear, "is true, but projection.kind is %q", ProjectionLinear)
	r.want("swap.projection", r.Swap == nil || p.Kind != ProjectionWords || r.Swap.Projection != train.ProjectionCaptionTokens,
		"is %q, which fits a linear projection, but projection.kind is %q", train.ProjectionCaptionTokens, ProjectionWords)
}
