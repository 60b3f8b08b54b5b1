package adapters

import "context"

// VisionEncoder is a frozen vision encoder.
type VisionEncoder interface {
	// Spec describes the model. It never changes while the encoder is open.
	Spec() VisionSpec

	// Encode returns one row of features per picture. The same picture gives
	// the same features in every batch.
	Encode(ctx context.Context, req *EncodeRequest) (*EncodeResponse, error)

	// Close frees the model. Calls after Close fail.
	Close() error
}

// EncodeRequest is a request for features.
type EncodeRequest struct {
	// Images is uint8[B, H, W, 3], RGB, prepared as [ImageSpec] says. The encoder
	// normalises.
	Images *Tensor
}

// EncodeResponse holds features.
type EncodeResponse struct {
	// Features is float32[B, N, D] or bfloat16[B, N, D].
	Features *Tensor
}

// Check verifies a request against the encoder's spec.
func (r *EncodeRequest) Check(spec VisionSpec) error {
	err := r.Images.Check("images", []int{-1, spec.Image.Height, spec.Image.Width, 3}, Uint8)
	if err != nil {
		return err
	}
	if r.Images.Shape[0] == 0 {
		return Errorf(Invalid, "images is %s, want at least one picture", r.Images.Describe()).WithField("images")
	}
	return nil
}

// Check verifies a response to req against the encoder's spec.
func (r *EncodeResponse) Check(spec VisionSpec, req *EncodeRequest) error {
	return r.Features.Check("features", []int{req.Images.Shape[0], spec.Tokens, spec.Width}, Float32, BFloat16)
}
