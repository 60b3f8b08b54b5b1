package recipes

// Vision is the table [vision]: the frozen vision encoder.
type Vision struct {
	Backbone
	// FeatureLayer is the layer whose features the bridge reads, numbered as
	// transformers numbers hidden_states: negative from the end. Default: that of the
	// model's manifest.
	FeatureLayer *int `toml:"feature_layer"`
	// ImageSize is the width and height of the pictures in pixels. Position embeddings
	// are resized to it. Default 0: the encoder's own size.
	ImageSize int `toml:"image_size,omitzero"`
}

func defaultVision() Vision { return Vision{Backbone: defaultBackbone()} }

func (r *Recipe) checkVision() {
	r.checkBackbone("vision", r.Vision.Backbone)
	r.want("vision.image_size", r.Vision.ImageSize >= 0, "is %d, want pixels a side", r.Vision.ImageSize)
}

// resolveVision fills in what the encoder's manifest says.
func (r *Resolved) resolveVision() {
	m, v := r.VisionModel, &r.Vision
	if v.DType == "" {
		v.DType = m.DType
	}
	if v.FeatureLayer == nil {
		v.FeatureLayer = m.FeatureLayer
	}
	if v.ImageSize == 0 {
		v.ImageSize = m.ImageSize
	}
	r.want("vision.image_size", m.ImageSize == 0 || v.ImageSize == m.ImageSize || m.TokensAt(v.ImageSize) > 0,
		"is %d, want a multiple of the %d pixels of a patch of %s", v.ImageSize, m.PatchSize, m.ID)
}
