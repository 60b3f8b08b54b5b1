package memory

import "github.com/modular-bridging/bridge/qformer"

// What package train and package runs fit at the start of a swap.
const (
	fitBatch  = 64  // pictures of a step that fits words
	penalties = 5   // of a least-squares map, of which the best is taken
	heldOut   = 0.2 // share of its rows on which they are compared
)

// The memory of graphs that compute forward alone, for each layer, and of the graphs of a fit of words. They
// were measured with the kit's Q-Former.
const (
	forwardGraph = 17 << 20
	fitGraph     = 20 << 20
)

// Start says what the run fits before its first step, because its bridge was trained with other frozen models.
// Go's heap has the features and vectors. What is fitted first is gone when the next fit begins, and all of it
// before the first step.
type Start struct {
	Pictures int  // whose features are read to fit the projection
	Words    int  // into which the old linear projection is put; 0 if it is not
	Outputs  bool // a linear projection is fitted to the Q-Former's outputs
	Tokens   int  // that both language models may share, whose embeddings are mapped; 0 for no such map

	OldWidth      int // of the old language model's soft prompts
	OldVocabulary int // of the old language model

	OldEncoder *Encoder // whose features are mapped to the new one's; nil for no such map
	Mapped     int      // pictures whose features are mapped
}

// Encoder holds the sizes of an encoder's features and pictures.
type Encoder struct {
	Tokens, Width int
	Number        int64 // bytes of a number of the features
	Picture       int64 // bytes of a picture
}

// features returns the bytes of a picture's features.
func (e Encoder) features() int64 { return int64(e.Tokens) * int64(e.Width) * e.Number }

// heap is memory of Go's heap.
type heap struct {
	live    int64 // in use at the same time
	garbage int64 // of what was in use before, in all
}

// bytes returns how large the heap gets. Go collects garbage when the heap is twice as large as what was in
// use at the last collection.
func (h heap) bytes() int64 { return h.live + min(h.live, h.garbage) }

// begin returns the load of the start: of the fit that takes most.
func (r Run) begin() load {
	if r.Start == nil || r.OnGPU {
		return load{}
	}
	most := r.fitEncoder()
	if other := r.fitProjection(); other.sum() > most.sum() {
		most = other
	}
	return most
}

func (l load) sum() int64 { return sum(l.held) + sum(l.work) }

// fitEncoder returns the load of the map between the features of two encoders. No graph is compiled yet.
func (r Run) fitEncoder() load {
	old := r.Start.OldEncoder
	if old == nil {
		return load{}
	}
	rows := int64(r.Start.Mapped) * int64(r.Tokens)
	vectors := leastSquares(rows, r.QFormer.EncoderWidth, old.Width)
	return load{
		held: []Part{r.bridges(2)},
		work: []Part{
			{Holds: "features of two encoders and the map between them", Bytes: vectors.bytes()},
			{Holds: "pictures and features that processes share", Bytes: r.requests(*old) + r.requests(r.encoderSizes())},
		},
	}
}

// requests returns the memory that bridge's process shares with an encoder's for the pictures of a map.
func (r Run) requests(e Encoder) int64 { return int64(r.Start.Mapped) * (e.Picture + e.features()) }

// encoderSizes returns the sizes of the run's encoder.
func (r Run) encoderSizes() Encoder {
	e := Encoder{Tokens: r.Tokens, Width: r.QFormer.EncoderWidth, Number: r.FeatureNumber}
	if r.Vision != nil {
		e.Number, e.Picture = r.Vision.Number, r.Vision.Picture
	}
	return e
}

// fitProjection returns the load of the fit of the projection.
func (r Run) fitProjection() load {
	s, c := r.Start, r.QFormer
	rows := int64(s.Pictures) * int64(c.Queries)
	features := int64(s.Pictures) * r.picture()
	outputs, old, prompts := 4*rows*int64(c.HiddenSize), 4*rows*int64(s.OldWidth), 4*rows*int64(c.LanguageWidth)
	var vectors heap
	var steps int64
	graphs := forwardGraph * int64(c.Layers)
	switch {
	case s.Words > 0:
		// The Q-Former's outputs and the old soft prompts, each in float32 and float64. The fit has many
		// steps, and all leave garbage.
		vectors.live = 3*outputs + 3*old
		vectors.garbage = vectors.live + features
		steps, graphs = r.wordsStep(), graphs+fitGraph
	case s.Outputs:
		vectors = leastSquares(rows, c.HiddenSize, c.LanguageWidth)
		vectors.live += outputs + prompts
		graphs *= 2 // the outputs, and the soft prompts
	case s.Tokens > 0:
		vectors = leastSquares(int64(s.Tokens), s.OldWidth, c.LanguageWidth)
		vectors.live += 4*int64(s.OldVocabulary)*int64(s.OldWidth) + prompts
		if r.Language != nil {
			vectors.live += 4 * int64(r.Language.Vocabulary) * int64(c.LanguageWidth)
		}
	default:
		return load{}
	}
	vectors.live += features
	return load{
		held: []Part{r.bridges(3)},
		work: []Part{
			{Holds: "features and vectors of the projection's start", Bytes: vectors.bytes() + steps},
			{Holds: "compiling graphs", Bytes: graphs},
		},
	}
}

// bridges returns the part of the weights of so many bridges: the old one, the new one and those between.
func (r Run) bridges(many int64) Part {
	return Part{Holds: "weights of bridges", Bytes: many * 4 * (r.Trained + r.Kept)}
}

// wordsStep returns the memory of a step that fits words: the layer before the scores, forward and backward;
// scores, weights and their gradients; soft prompts and their differences; and what is fitted, with its
// moments and gradients.
func (r Run) wordsStep() int64 {
	s, c := r.Start, r.QFormer
	c.Words, c.LanguageWidth, c.Residual = s.Words, s.OldWidth, false
	var fitted int64
	for _, p := range c.Parameters(qformer.Stage2) {
		if p.Part == qformer.PartLanguage {
			fitted += int64(p.Size())
		}
	}
	vector := 6*int64(c.HiddenSize) + 4*int64(s.Words) + 4*int64(s.OldWidth)
	return 4*min(fitBatch, int64(s.Pictures))*int64(c.Queries)*vector + (keptPerParameter+gradientBytes)*fitted
}

// leastSquares returns the memory of a least-squares map from rows of a width to others in float64
// (internal/affine): the rows, a copy of them in two parts, and a third of the inputs with ones, and what
// each penalty leaves.
func leastSquares(rows int64, in, out int) heap {
	a, b := 8*rows*int64(in+1), 8*rows*int64(out)
	inputs := int64((1 - heldOut) * float64(a))
	return heap{
		live:    2*(a+b) + inputs,
		garbage: penalties * (inputs + int64(3*heldOut*float64(b))),
	}
}
