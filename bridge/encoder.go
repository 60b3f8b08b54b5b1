package bridge

import (
	"context"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/affine"
	"github.com/modular-bridging/bridge/qformer"
)

// Names of the norm on the encoder's features (LAVIS: ln_vision).
const (
	normWeight = "vision_model.post_layernorm.weight"
	normBias   = "vision_model.post_layernorm.bias"
)

// ForEncoder returns a bridge of the same stage for another vision encoder: a copy of b
// with fresh values for the weights that depend on the encoder (the norm on features, and
// the keys and values of cross-attention). It does not change b.
func (b *Bridge) ForEncoder(ctx context.Context, spec adapters.VisionSpec, seed uint64) (*Bridge, error) {
	config := b.config
	config.EncoderWidth = spec.Width
	store, err := b.withFreshParts(config, b.Stage(), []qformer.Part{qformer.PartEncoder}, seed)
	if err != nil {
		return nil, err
	}
	tok, err := b.tokenizer.clone(ctx)
	if err != nil {
		return nil, err
	}
	info := b.Info
	info.Vision, info.Retrieval = VisionSide(spec), nil
	return newBridge(b.backend, config, store, tok, info), nil
}

// NormFeatures returns features [B, N, Denc] after the bridge's norm, as cross-attention reads
// them: a row for each of the B·N vectors.
func (b *Bridge) NormFeatures(features *adapters.Tensor) (*mat.Dense, error) {
	weight, err := b.values(normWeight)
	if err != nil {
		return nil, err
	}
	bias, err := b.values(normBias)
	if err != nil {
		return nil, err
	}
	values, err := features.ToFloat32()
	if err != nil {
		return nil, err
	}
	d := len(weight)
	out := mat.NewDense(len(values)/d, d, nil)
	for r := range len(values) / d {
		row := values[r*d : (r+1)*d]
		var mean, square float64
		for _, v := range row {
			mean += float64(v) / float64(d)
		}
		for _, v := range row {
			square += (float64(v) - mean) * (float64(v) - mean) / float64(d)
		}
		scale := 1 / math.Sqrt(square+b.config.VisionEps)
		for c, v := range row {
			out.Set(r, c, (float64(v)-mean)*scale*float64(weight[c])+float64(bias[c]))
		}
	}
	return out, nil
}

// FoldEncoder makes b read its encoder's features as from reads those of its own encoder. The
// affine map m [Denc+1, from's Denc] maps normed features of b's encoder to those of from's;
// FoldEncoder folds it into the keys and values of every cross-attention.
func (b *Bridge) FoldEncoder(from *Bridge, m *mat.Dense) error {
	in, out := m.Dims()
	if in != b.config.EncoderWidth+1 || out != from.config.EncoderWidth {
		return fmt.Errorf("a map [%d, %d] between features of widths %d and %d", in, out, b.config.EncoderWidth, from.config.EncoderWidth)
	}
	linear, constant := m.Slice(0, in-1, 0, out), m.Slice(in-1, in, 0, out)
	for _, p := range from.config.Parameters(from.Stage()) {
		name, ok := strings.CutSuffix(p.Name, ".weight")
		if !ok || p.Part != qformer.PartEncoder || p.Name == normWeight {
			continue
		}
		weight, err := from.values(p.Name)
		if err != nil {
			return err
		}
		bias, err := from.values(name + ".bias")
		if err != nil {
			return err
		}
		w := mat.NewDense(len(bias), out, affine.Float64s(weight))
		var w2, moved mat.Dense
		w2.Mul(w, linear.T())
		moved.Mul(w, constant.T())
		for i := range bias {
			bias[i] += float32(moved.At(i, 0))
		}
		if err := b.setValues(p.Name, affine.Float32s(w2.RawMatrix().Data), len(bias), in-1); err != nil {
			return err
		}
		if err := b.setValues(name+".bias", bias, len(bias)); err != nil {
			return err
		}
	}
	return nil
}
