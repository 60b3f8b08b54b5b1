package memory

// atMost is the largest number of pictures or examples that a frozen model, or an evaluation,
// computes at once.
const atMost = 64

// maxLogits bounds the numbers of the logits that a language model computes at once.
const maxLogits = 1 << 28

// On a CPU a language model computes a gradient for as many positions at once as have maxActivations
// bytes of activations, and for at least fewPositions. The values are those of adapters/internal/lm.
const (
	maxActivations = 1 << 28
	fewPositions   = 256
)

// templateTokens are the tokens around a caption: a prefix, a question, the bos.
const templateTokens = 8

// newTokens is the length of captions that an evaluation generates.
const newTokens = 32

// encoder returns the load of the vision encoder. It keeps nothing for a backward pass: one block's
// numbers are in memory at a time.
func (r Run) encoder() load {
	f := r.Vision
	n := int64(r.Tokens)
	token := int64(3*f.Width+2*f.FeedForward) + 2*int64(f.Heads)*n
	pictures := int64(min(atMost, max(r.Pictures, r.Evaluated)))
	work := pictures * n * token * r.activation(f)
	if f.Layers == 0 {
		work = pictures * f.Example
	}
	return load{held: f.weights(), work: []Part{{Holds: "pictures in " + f.ID, Bytes: work + r.mapped()}}}
}

// mapped returns the memory of pictures and features in the encoder's process if its features are mapped to
// another one's: bridge asks for all of them at once. They are in memory that the processes share, and in Go's heap.
func (r Run) mapped() int64 {
	if r.Start == nil || r.Start.OldEncoder == nil || r.OnGPU {
		return 0
	}
	return 2 * r.requests(r.encoderSizes())
}

// language returns the load of the language model: the most of a micro-batch's gradient, an
// evaluation's losses and its captions.
func (r Run) language() load {
	f := r.Language
	queries, number, evaluated := r.QFormer.Queries, r.activation(f), min(atMost, r.Evaluated)
	work := max(f.gradient(queries, r.Text, r.gradientRows(f), number), f.losses(queries, r.Text, evaluated, number),
		f.captions(queries, evaluated, number))
	if f.Layers == 0 {
		work = int64(r.Pictures) * f.Example
	}
	g := languageGraph(f.Decodes, evaluated > 0)
	return r.phases(f.weights(), int64(f.Layers), g, Part{Holds: "examples in " + f.ID, Bytes: work})
}

// weights returns the part of the model's weights.
func (f *Frozen) weights() []Part {
	return []Part{{Holds: "weights of " + f.ID, Bytes: f.Parameters * f.Number, Certain: true}}
}

// activation returns the bytes of a number of a frozen model's activations. CPUs compute in float32, whatever
// type the weights have.
func (r Run) activation(f *Frozen) int64 {
	if r.OnGPU {
		return f.Number
	}
	return 4
}

// positions returns how many positions of how many layers an example passes, together: those of its
// soft prompts and texts. In an encoder-decoder the target passes the decoder, and all else the encoder.
func (f *Frozen) positions(queries, text int) (passed, target, length int64) {
	input, target := int64(queries+templateTokens), int64(text)
	if f.Decodes {
		return (input + target) * int64(f.Layers) / 2, target, input
	}
	return (input + target) * int64(f.Layers), target, input + target
}

// gradient returns the memory of a loss and its gradient by the soft prompts. For each position, a
// layer keeps queries, keys, values and the inputs of two norms (5 widths), its feed-forward before
// and in part after the activation, and attention's probabilities. The weights are frozen, so the
// inputs of their maps are not kept. Logits, their softmax and their gradient are float32.
func (f *Frozen) gradient(queries, text int, rows, number int64) int64 {
	passed, target, length := f.positions(queries, text)
	kept := int64(5*f.Width+f.FeedForward+f.FeedForward/2) + int64(f.Heads)*length
	return rows * (passed*kept*number + 3*4*target*int64(f.Vocabulary))
}

// losses returns the memory of losses without a gradient: one layer's numbers, and logits twice.
func (f *Frozen) losses(queries, text, examples int, number int64) int64 {
	_, target, length := f.positions(queries, text)
	layer := int64(4*f.Width+f.FeedForward) + 2*int64(f.Heads)*length
	rows := f.rows(examples, target)
	return rows * (length*layer*number + 2*4*target*int64(f.Vocabulary))
}

// rows returns how many examples are computed at once: at most 64, and half as many until their logits are
// few enough.
func (f *Frozen) rows(examples int, target int64) int64 {
	rows := int64(atMost)
	for rows > 1 && rows*target*int64(f.Vocabulary) > maxLogits {
		rows /= 2
	}
	return min(rows, int64(examples))
}

// gradientRows returns for how many examples of a micro-batch a gradient is computed at once. On a CPU it
// is half as many until their positions are few enough. Of these, a layer of width w has 14·w
// activations, and 12·w² parameters. The positions are counted without a template, so that the estimate
// is not too low.
func (r Run) gradientRows(f *Frozen) int64 {
	_, target, length := f.positions(r.QFormer.Queries, r.Text)
	rows := int64(atMost)
	if !r.OnGPU {
		activations := 4 * 14 * f.Parameters / int64(12*max(1, f.Width))
		for rows > 1 && rows*(length-templateTokens) > max(fewPositions, maxActivations/max(1, activations)) {
			rows /= 2
		}
	}
	return min(rows, f.rows(r.Pictures, target))
}

// captions returns the memory of generating captions: keys and values of the input, those of the new
// tokens before and after a step, and the logits of a step.
func (f *Frozen) captions(queries, examples int, number int64) int64 {
	layers := int64(f.Layers)
	if f.Decodes {
		layers /= 2
	}
	input := int64(queries + templateTokens)
	return int64(examples) * (2*int64(f.Width)*layers*(input+2*newTokens)*number + 2*4*int64(f.Vocabulary))
}
