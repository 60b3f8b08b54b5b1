package adapters

// LoadRequest says which frozen model to open and how to compute it.
type LoadRequest struct {
	ID         string // for the spec; empty means the folder's name
	Checkpoint string // a Hugging Face checkpoint folder; absolute where it crosses a process boundary
	Backend    string // "auto", "go", "xla:cpu", "xla:cuda" or "xla:/abs/plugin.so"; empty is "auto"
	// DType is that of the computation; InvalidDType lets the adapter choose. The
	// built-in language models then keep bfloat16 weights as they are, and compute
	// in it, on XLA; on the Go backend, and with other weights, they take float32.
	DType DType
	// FeatureLayer indexes hidden_states as transformers does, for vision
	// encoders; nil lets the family choose.
	FeatureLayer *int
	// Activation, where not empty, is the activation of the feed-forwards in place
	// of the one that config.json names. LAVIS trained its bridges for FlanT5 with
	// "gelu" where the checkpoints say "gelu_new". A family that cannot do it
	// refuses it.
	Activation string
	// ImageSize is the size of the pictures that a vision encoder is to take;
	// zero leaves it to the checkpoint. Position tables are resized to it.
	ImageSize Size
	// Progress, where not nil, is called in one goroutine as loading goes on.
	Progress func(Progress)
}

// Size is a number of pixels in each direction.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// CheckImageSize verifies that an encoder takes pictures of the size that was
// asked for, which adapters older than the field do not know of.
func (r *LoadRequest) CheckImageSize(spec VisionSpec) error {
	if got := spec.Image.Size(); r.ImageSize != (Size{}) && got != r.ImageSize {
		return Errorf(Unsupported, "%s takes pictures of %d by %d pixels, %d by %d are asked for",
			spec.ID, got.Width, got.Height, r.ImageSize.Width, r.ImageSize.Height).
			WithRemedy("leave the image size out, or use an adapter that resizes position embeddings")
	}
	return nil
}

// Progress is one message of a long operation.
type Progress struct {
	Stage       string // "weights", "tokenizer", "compile"
	Done, Total int64  // bytes or items; Total 0 where unknown
}

// Report calls the request's Progress if there is one.
func (r *LoadRequest) Report(stage string, done, total int64) {
	if r.Progress != nil {
		r.Progress(Progress{Stage: stage, Done: done, Total: total})
	}
}
