package bridge

import (
	"context"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/qformer"
)

// maxBucket is the largest batch that is computed at once.
const maxBucket = 64

// inBuckets maps rows of in through a graph in batches whose sizes are powers
// of two, so that few graphs are compiled. Rows beyond the input are zero and
// are cut off again; rows do not influence each other.
func (b *Bridge) inBuckets(ctx context.Context, name string, in *adapters.Tensor, build func(*qformer.Model, *Node) *Node) (*adapters.Tensor, error) {
	var out *adapters.Tensor
	for lo := 0; lo < in.Shape[0]; lo += maxBucket {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		hi := min(lo+maxBucket, in.Shape[0])
		part, err := b.run(name, func(m *qformer.Model, in []*Node) []*Node {
			return []*Node{build(m, in[0])}
		}, padRows(in.Slice(lo, hi), bucket(hi-lo)))
		if err != nil {
			return nil, err
		}
		if out == nil {
			shape := slices.Clone(part[0].Shape)
			shape[0] = in.Shape[0]
			out = adapters.NewTensor(part[0].DType, shape...)
		}
		rows := part[0].Slice(0, hi-lo)
		copy(out.Slice(lo, hi).Data, rows.Data)
		b.forwards.Add(int64(hi - lo))
	}
	return out, nil
}

// bucket returns the smallest power of two that holds n.
func bucket(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

// padRows appends zero rows up to n.
func padRows(t *adapters.Tensor, n int) *adapters.Tensor {
	if t.Shape[0] == n {
		return t
	}
	shape := slices.Clone(t.Shape)
	shape[0] = n
	out := adapters.NewTensor(t.DType, shape...)
	copy(out.Data, t.Data)
	return out
}
