package gated

import (
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
)

// RoPE holds the keys of config.json about rotary positions, in the form of
// transformers 4 (rope_theta, rope_scaling) or 5 (rope_parameters).
type RoPE struct {
	Theta           *float64    `json:"rope_theta"`
	Scaling         *parameters `json:"rope_scaling"`
	Parameters      *parameters `json:"rope_parameters"`
	Partial         *float64    `json:"partial_rotary_factor"`
	OriginalContext *float64    `json:"original_max_position_embeddings"`
}

// parameters is the object rope_scaling or rope_parameters.
type parameters struct {
	RopeType        *string        `json:"rope_type"`
	OldType         *string        `json:"type"`
	Theta           *float64       `json:"rope_theta"`
	Partial         *float64       `json:"partial_rotary_factor"`
	Factor          *float64       `json:"factor"`
	LowFactor       *float64       `json:"low_freq_factor"`
	HighFactor      *float64       `json:"high_freq_factor"`
	OriginalContext *float64       `json:"original_max_position_embeddings"`
	Full            map[string]any `json:"full_attention"`
	Sliding         map[string]any `json:"sliding_attention"`
}

// effective merges the two forms as transformers does
// (convert_rope_params_to_dict and standardize_rope_params in
// modeling_rope_utils.py): the object's values, then those beside it.
func (r RoPE) effective(context int) parameters {
	var p parameters
	switch {
	case r.Scaling != nil && !r.Scaling.empty():
		p = *r.Scaling
	case r.Parameters != nil:
		p = *r.Parameters
	}
	p.Theta = first(p.Theta, r.Theta, new(10000.0))
	p.Partial = first(p.Partial, r.Partial, new(1.0))
	p.RopeType = first(p.RopeType, p.OldType, new("default"))
	p.OriginalContext = first(r.OriginalContext, p.OriginalContext, new(float64(context)))
	return p
}

// empty reports whether the object has no key, in which case it counts as missing.
func (p parameters) empty() bool {
	return p.RopeType == nil && p.OldType == nil && p.Theta == nil && p.Partial == nil && p.Factor == nil &&
		p.LowFactor == nil && p.HighFactor == nil && p.OriginalContext == nil && p.Full == nil && p.Sliding == nil
}

// first returns the first pointer that is not nil.
func first[T any](pointers ...*T) *T {
	for _, p := range pointers {
		if p != nil {
			return p
		}
	}
	return nil
}

// rotary returns the rotary embedding of heads of the given width.
func (r RoPE) rotary(folder *weights.Folder, headDim, context int) (*decoder.Rotary, error) {
	p := r.effective(context)
	switch {
	case p.Full != nil || p.Sliding != nil:
		return nil, decoder.Unsupported(folder, "rope_parameters differ by layer type, only one rotary embedding for all layers is supported")
	case *p.Partial != 1:
		return nil, decoder.Unsupported(folder, "partial_rotary_factor is %v, only 1 is supported", *p.Partial)
	case *p.Theta <= 0:
		return nil, decoder.Corrupt(folder, "rope_theta is %v, want a positive number", *p.Theta)
	}
	rotary := decoder.NewRotary(headDim, *p.Theta)
	switch *p.RopeType {
	case "default":
		return rotary, nil
	case "linear":
		if p.Factor == nil || *p.Factor <= 0 {
			return nil, decoder.Corrupt(folder, "rope type linear needs a positive factor")
		}
		rotary.Linear(*p.Factor)
		return rotary, nil
	case "llama3":
		if p.Factor == nil || p.LowFactor == nil || p.HighFactor == nil || *p.Factor <= 0 || *p.LowFactor <= 0 || *p.HighFactor <= *p.LowFactor {
			return nil, decoder.Corrupt(folder, "rope type llama3 needs factor, low_freq_factor and a larger high_freq_factor")
		}
		rotary.Llama3(*p.Factor, *p.LowFactor, *p.HighFactor, *p.OriginalContext)
		return rotary, nil
	}
	return nil, decoder.Unsupported(folder, "rope type %q, want one of default, linear, llama3", *p.RopeType)
}
