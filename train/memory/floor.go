package memory

// What a process takes on the host before it holds a model: Go's runtime, XLA's plugin, threads,
// tokenizers. It was measured with the kit's models, which are small, and XLA for the CPU. That of the
// encoder includes its graphs, which are small.
const (
	bridgeFloor   = 210 << 20
	visionFloor   = 298 << 20
	languageFloor = 230 << 20
	// evaluationFloor is added for a language model's process if there is an evaluation, whose losses
	// and captions have graphs of their own. The kit's process takes 310 MiB with one.
	evaluationFloor = 80 << 20
)

// graph holds the host memory for each layer of a graph that computes forward and backward.
type graph struct{ compiling, compiled int64 }

// The sizes of layers in graphs. Compiling takes more than what stays, but at another time than the steps.
// They were fitted to runs of Q-Formers with 4 and 12 layers, and of language models with 4, 12, 16 and 24.
// Stage 2 has the forward pass in a graph of its own.
func qformerGraph(stage int) graph {
	if stage == 2 {
		return graph{56 << 20, 40 << 20}
	}
	return graph{48 << 20, 24 << 20}
}

// languageGraph returns the size of a layer in the graphs of a language model. Training alone has one graph,
// and gives back what its compilation leaves: OPT-125M's process takes 1.00 GB in `stage2-base`. An
// encoder-decoder's layers, which are T5's, have fewer operations than a decoder's: no biases, and norms
// without a mean.
func languageGraph(decodes, evaluates bool) graph {
	switch {
	case decodes && evaluates:
		return graph{28 << 20, 11 << 20}
	case decodes:
		return graph{13 << 20, 3 << 20}
	case evaluates:
		return graph{36 << 20, 16 << 20}
	}
	return graph{20 << 20, 4 << 20}
}

// cardFloor counts the bytes of a GPU for the context of CUDA and its libraries in a process: about half a
// gigabyte. It was not measured.
const cardFloor = 500 << 20

// floor returns the part of a process without a model.
func (r Run) floor(process string) Part {
	bytes := map[string]int64{Bridge: bridgeFloor, Vision: visionFloor, Language: languageFloor}[process]
	if process == Language && r.Evaluated > 0 {
		bytes += evaluationFloor
	}
	if r.OnGPU {
		bytes = cardFloor
	}
	return Part{Holds: "the process itself", Bytes: bytes}
}

// phases returns the load of graphs that pass layers: of compiling them or of running them, whichever is
// more. A layer takes as much as the two sizes say.
func (r Run) phases(held []Part, layers int64, g graph, run Part) load {
	if r.OnGPU { // graphs are compiled on the host
		return load{held: held, work: []Part{run}}
	}
	rest := []Part{{Holds: "compiled graphs", Bytes: g.compiled * layers}}
	if g.compiling*layers > g.compiled*layers+run.Bytes {
		return load{held, []Part{{Holds: "compiling graphs", Bytes: g.compiling * layers}}, rest}
	}
	return load{held, []Part{run, rest[0]}, rest}
}
