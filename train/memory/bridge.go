package memory

const (
	// keptPerParameter counts the bytes of a trained parameter between steps: weight and two moments, in float32.
	keptPerParameter = 12
	// gradientBytes counts those of its gradient, from the backward pass to the update.
	gradientBytes = 4
	// updated is how much of the parameters package train/optim updates together on a GPU. Their new values
	// and moments stand beside the old ones. CPUs update in place.
	updated = 64 << 20
	// reused is the share of the gradients' memory that XLA uses for activations before there are
	// gradients in it. XLA's statistics of graphs of several sizes give 0.28 to 0.31.
	reused = 0.3
	// atOnce is the share of stage 1's activations that are in memory at the same time: the three losses
	// have their backward passes one after the other. XLA's statistics of graphs with 2 and 4 layers give
	// 0.90 to 0.94.
	atOnce = 0.91
	// widened is how much more activations take if a CPU computes bfloat16: XLA computes in float32
	// there, and keeps both. XLA's statistics give 1.33.
	widened = 4. / 3
)

// bridge returns the load of the Q-Former: of its training or, if that takes more, of its start.
func (r Run) bridge() load {
	training, start := r.training(), r.begin()
	if start.sum() > training.sum() {
		start.rest = training.rest
		return start
	}
	return training
}

// training returns the load of training the Q-Former. An evaluation needs no gradients, so the
// larger of a step and an evaluation counts.
func (r Run) training() load {
	gradients := gradientBytes * r.Trained
	step := gradients + max(r.activations()-int64(reused*float64(gradients)), r.update())
	if r.Accumulate {
		step += gradients // the sum up to here, beside the new one
	}
	run := Part{Holds: "gradients and activations of a step", Bytes: step}
	if e := r.evaluation(); e > step {
		run = Part{Holds: "an evaluation", Bytes: e}
	}
	held := []Part{
		{Holds: "weights and moments", Bytes: keptPerParameter*r.Trained + 4*r.Kept, Certain: true},
		{Holds: "features", Bytes: r.features()},
		{Holds: "outputs of the Q-Former", Bytes: r.outputs()},
	}
	return r.phases(held, int64(r.QFormer.Layers)*r.passes(), qformerGraph(r.Stage), run)
}

// update returns the memory of new values and moments while the old ones are there.
func (r Run) update() int64 {
	if !r.OnGPU {
		return 0
	}
	return min(3*updated, 3*gradientBytes*r.Trained)
}

// keepsResiduals reports whether the backward pass reads residuals of the forward pass, which is a graph
// of its own in stage 2. Package train computes the forward pass again where memory is to be saved.
func (r Run) keepsResiduals() bool { return r.Stage == 2 && !r.Accumulate && !r.Checkpointing }

// passes returns how often a step's graph passes the Q-Former: in stage 1 with queries, with text, with both,
// and with text after queries.
func (r Run) passes() int64 {
	if r.Stage == 1 {
		return 4
	}
	return 1
}

// features returns the memory of the features that are on the host: those of a micro-batch and the next
// one and, during an evaluation, those of all its pictures. On a GPU only a micro-batch's are there.
func (r Run) features() int64 {
	if r.OnGPU {
		return int64(r.Pictures) * r.picture()
	}
	return int64(max(2*r.Pictures, r.Evaluated)) * r.picture()
}

// picture returns the bytes of a picture's features.
func (r Run) picture() int64 {
	return int64(r.Tokens) * int64(r.QFormer.EncoderWidth) * r.FeatureNumber
}

// outputs returns the memory of the Q-Former's outputs that are computed once for training the projection alone.
// They are on the host.
func (r Run) outputs() int64 {
	if r.OnGPU {
		return 0
	}
	return 4 * int64(r.CachedOutputs) * int64(r.QFormer.Queries) * int64(r.QFormer.HiddenSize)
}

// activations returns the memory of what a step's graph computes, without its gradients.
func (r Run) activations() int64 {
	numbers := r.stage2()
	if r.Stage == 1 {
		numbers = r.stage1()
	}
	if r.keepsResiduals() {
		numbers += r.residuals()
	}
	bytes := int64(r.Pictures) * numbers * 4
	switch {
	case r.Narrow && r.OnGPU:
		bytes /= 2
	case r.Narrow:
		bytes = int64(widened * float64(bytes))
	}
	if r.Stage == 1 { // logits, their softmax and their gradient, in float32
		bytes += 3 * 4 * int64(r.Pictures) * int64(r.Text) * int64(r.QFormer.Vocabulary)
	}
	return bytes
}

// position returns how many numbers a layer of the Q-Former keeps for a position, without those of
// attention: self-attention, cross-attention, norms and dropout (8 widths), and the feed-forward
// before, in and after the activation, with dropout (4 of its widths).
func (r Run) position() int64 { return 8*int64(r.QFormer.HiddenSize) + 4*int64(r.QFormer.Intermediate) }

// crossLayers returns the number of layers with cross-attention.
func (r Run) crossLayers() int64 {
	every := max(1, r.QFormer.CrossEvery)
	return int64((r.QFormer.Layers + every - 1) / every)
}

// stage2 returns the numbers that a picture takes in a step of stage 2.
func (r Run) stage2() int64 {
	c := r.QFormer
	queries := int64(c.Queries)
	attention := 2 * int64(c.Heads) * queries // scores and probabilities of a key
	words := 3 * queries * int64(c.Words)     // scores, weights and their gradients
	return words + r.pass(queries*int64(c.Layers), attention*queries*int64(c.Layers), 1, queries*r.position()+attention*queries)
}

// residuals returns the numbers of a picture that the forward pass of stage 2 returns: the results of all
// matrix products, and what dropout drops, of which four choices take as much as a number. They come on top
// of the activations: runs with residuals take about as much more as the residuals (base size, batch 8:
// 201 of 220 MB).
func (r Run) residuals() int64 {
	c := r.QFormer
	queries, width, tokens := int64(c.Queries), int64(c.HiddenSize), int64(r.Tokens)
	scores := int64(c.Heads) * queries
	layer := queries * (6*width + int64(c.Intermediate) + scores)
	cross := 3*queries*width + tokens*(2*width+scores)
	dropped, droppedCross := queries*(scores+2*width), tokens*scores+queries*width
	return int64(c.Layers)*(layer+dropped/4) + r.crossLayers()*(cross+droppedCross/4)
}

// stage1 returns the numbers that a pair takes in a step of stage 1: the queries, the text alone, the
// text after the queries, and three pairs of queries with text.
func (r Run) stage1() int64 {
	c := r.QFormer
	q, t, layers := int64(c.Queries), int64(r.Text), int64(c.Layers)
	both := q + t
	scores := 2 * int64(c.Heads) * (q*q + t*t + t*both + 3*both*both)
	sum := r.pass((q+t+t+3*both)*layers, scores*layers, 4, 3*both*r.position()+2*int64(c.Heads)*3*both*both)
	return int64(atOnce * float64(sum))
}

// pass returns the numbers of a picture's passes through the layers: of so many positions times layers, with
// so many numbers of self-attention, and with cross-attention to the picture in so many of the passes.
// layer counts the numbers that the largest pass keeps in one layer. The keys and values of the picture are computed once.
func (r Run) pass(positions, self, crossing, layer int64) int64 {
	c := r.QFormer
	width, cross := int64(c.HiddenSize), 2*int64(c.Heads)*int64(c.Queries)*crossing
	features := 2 * int64(c.EncoderWidth) // as they are, and normed
	if !r.Checkpointing {
		return int64(r.Tokens)*(2*width*r.crossLayers()+cross*r.crossLayers()+features) + positions*r.position() + self
	}
	// The inputs of layers, their own keys and values, and the gradients of these; those of the picture
	// with their gradients; and the layer that is computed again.
	return int64(r.Tokens)*(4*width*r.crossLayers()+cross+features) + positions*6*width + layer
}

// evaluation returns the memory of an evaluation's pictures in the Q-Former: the keys and values of all
// layers, normed features, and one layer's numbers. Stage 1 also has an evaluation's texts, which are fewer.
func (r Run) evaluation() int64 {
	c := r.QFormer
	pictures := int64(min(atMost, r.Evaluated))
	return pictures * 4 * (int64(r.Tokens)*(2*int64(c.HiddenSize)*r.crossLayers()+int64(c.EncoderWidth)) +
		int64(c.Queries)*int64(c.HiddenSize+c.Intermediate))
}
