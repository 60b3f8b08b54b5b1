package adapters

// LoadRequest selects a frozen model to open and how to compute it.
type LoadRequest struct {
	ID         string // for the spec; empty means the folder's name
	Checkpoint string // a Hugging Face checkpoint folder; absolute if it crosses a process boundary
	Backend    string // "auto", "go", "xla:cpu", "xla:cuda" or "xla:/abs/plugin.so"; empty is "auto"
	// DType is the type of the computation; InvalidDType lets the adapter choose. The
	// built-in language models then compute in bfloat16 on XLA if the weights are
	// bfloat16, and in float32 otherwise.
	DType DType
	// FeatureLayer is the hidden state that a vision encoder returns, as transformers
	// indexes hidden_states; nil lets the family choose.
	FeatureLayer *int
	// Activation, if not empty, replaces the activation of the feed-forwards that
	// config.json names. LAVIS trained its bridges for FlanT5 with "gelu", although the
	// checkpoints say "gelu_new". A family that cannot replace it returns an error.
	Activation string
	// ImageSize is the size of a vision encoder's pictures; zero means the checkpoint's.
	// Position tables are resized to it.
	ImageSize Size
	// Progress, if not nil, is called in one goroutine during loading.
	Progress func(Progress)
}

// Size is a number of pixels in each direction.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// CheckImageSize verifies that an encoder takes pictures of the requested size: adapters
// older than the field ignore it.
func (r *LoadRequest) CheckImageSize(spec VisionSpec) error {
	if got := spec.Image.Size(); r.ImageSize != (Size{}) && got != r.ImageSize {
		return Errorf(Unsupported, "%s takes pictures of %d by %d pixels, %d by %d were requested",
			spec.ID, got.Width, got.Height, r.ImageSize.Width, r.ImageSize.Height).
			WithRemedy("leave the image size out, or use an adapter that resizes position embeddings")
	}
	return nil
}

// Progress is one message of a long operation.
type Progress struct {
	Stage       string // "weights", "tokenizer", "compile"
	Done, Total int64  // bytes or items; Total is 0 if unknown
}

// Report calls the request's Progress if there is one.
func (r *LoadRequest) Report(stage string, done, total int64) {
	if r.Progress != nil {
		r.Progress(Progress{Stage: stage, Done: done, Total: total})
	}
}
