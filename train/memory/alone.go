package memory

import (
	"cmp"

	"github.com/modular-bridging/bridge/qformer"
)

// Beams is the number of beams of a caption in [Alone].
const Beams = 5

// AlonePictures is the number of pictures of a micro-batch in [Alone].
const AlonePictures = 16

// Use holds the estimates of the process of one frozen model.
type Use struct {
	Inference Process // the caption of one picture, with a search with [Beams]
	Stage2    Process // steps of stage 2 with micro-batches of [AlonePictures] and texts of 32 tokens
}

// Alone estimates the process of a frozen model beside a Q-Former of the paper's size. tokens is the number of a
// picture's feature tokens for an encoder, and 0 for a language model.
func Alone(f Frozen, tokens int, onGPU bool) Use {
	f.Inside = false
	r := Run{Stage: 2, QFormer: qformer.Base(), Pictures: AlonePictures, Text: 32, Tokens: tokens, OnGPU: onGPU}
	if tokens > 0 {
		one := r
		r.Vision, one.Vision, one.Pictures = &f, &f, 1
		return Use{one.process(Vision, &f, one.encoder()), r.process(Vision, &f, r.encoder())}
	}
	r.Language = &f
	return Use{r.process(Language, &f, r.caption()), r.process(Language, &f, r.language())}
}

// caption returns the load of the language model for the caption of one picture. The graphs of a generation
// have no backward pass, and take no more than that of a gradient.
func (r Run) caption() load {
	f := r.Language
	work := f.captions(r.QFormer.Queries, Beams, r.activation(f))
	if f.Layers == 0 {
		work = f.Example
	}
	return r.phases(f.weights(), int64(f.Layers), languageGraph(f.Decodes, false), Part{Holds: "a caption in " + f.ID, Bytes: work})
}

// process returns the process of a frozen model with its load.
func (r Run) process(name string, f *Frozen, l load) Process {
	parts := append([]Part{r.floor(name)}, together(l)...)
	return Process{Name: name, Model: f.ID, Known: f.known(), Parts: parts}
}

// ExampleOf returns the bytes of an example's activations of a model without sizes, from the peak of its process
// in stage 2 as [Use] has it. It is 0 if the peak is not known.
func ExampleOf(peak, weights int64, encodes bool) int64 {
	floor := int64(languageFloor)
	if encodes {
		floor = visionFloor
	}
	if peak == 0 {
		return 0
	}
	return cmp.Or(max(0, peak-weights-floor)/AlonePictures, 1)
}
