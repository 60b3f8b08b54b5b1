package memory

// What a process takes on the host before it holds a model: Go's runtime, XLA's plugin, threads,
// tokenizers. It was measured with the kit's models, which are small, and XLA for the CPU. That of the
// encoder includes its graphs, which are small.
const (
	bridgeFloor   = 210 << 20
	visionFloor   = 298 << 20
	languageFloor = 310 << 20
)

// graph is what a layer of a graph, which is passed forward and back, takes on the host.
type graph struct{ compiling, compiled int64 }

// The sizes of layers in graphs. Compiling takes more than what stays, but at another time than the steps.
// They were fitted to runs of Q-Formers with 4 and 12 layers, and of language models with 4, 12, 16 and 24.
func qformerGraph() graph  { return graph{48 << 20, 24 << 20} }
func languageGraph() graph { return graph{36 << 20, 16 << 20} }

// An encoder-decoder's layers, which are T5's, have fewer operations than a decoder's: no biases, and norms
// without a mean.
func encoderDecoderGraph() graph { return graph{24 << 20, 11 << 20} }

// cardFloor is what a process takes of a GPU for the context of CUDA and its libraries: about half a
// gigabyte. It was not measured.
const cardFloor = 500 << 20

// floor returns the part of a process without a model.
func (r Run) floor(process string) Part {
	bytes := map[string]int64{Bridge: bridgeFloor, Vision: visionFloor, Language: languageFloor}[process]
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
