package t5

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// bucket maps the distance of a key from a query (key − query) to a row of the
// bias table, as _relative_position_bucket in modeling_t5.py does, in float32
// because the bounds of the logarithmic buckets are rounded there.
func bucket(distance, buckets, maxDistance int, bidirectional bool) int {
	first := 0
	if bidirectional {
		buckets /= 2
		if distance > 0 {
			first = buckets
		}
		distance = max(distance, -distance)
	} else {
		distance = max(-distance, 0)
	}
	exact := buckets / 2
	if distance < exact {
		return first + distance
	}
	log := float32(math.Log(float64(float32(distance) / float32(exact))))
	scale := float32(math.Log(float64(maxDistance) / float64(exact)))
	large := exact + int(log/scale*float32(buckets-exact))
	return first + min(large, buckets-1)
}

// positionBias returns the relative position bias of a stack for queries and keys at
// positions 0 … T−1: float[1, H, T, T].
func (n network) positionBias(p layers.Params, stack string, t int) *Node {
	table := make([][]int32, t)
	for q := range table {
		table[q] = make([]int32, t)
		for k := range table[q] {
			table[q][k] = int32(bucket(k-q, n.NumBuckets, n.MaxDistance, stack == encoder))
		}
	}
	rows := layers.Embedding(p.At(relativeBias(stack)), Const(p.Graph(), table)) // [T, T, H]
	return InsertAxes(TransposeAllDims(rows, 2, 0, 1), 0)
}

// stepPositionBias returns the decoder's bias for a query at position step int32[] and
// keys at positions 0 … C−1: float[1, H, 1, C]. Later keys get that of distance
// 0; a mask must hide them.
func (n network) stepPositionBias(p layers.Params, step *Node, c int) *Node {
	table := make([]int32, c)
	for d := range table {
		table[d] = int32(bucket(-d, n.NumBuckets, n.MaxDistance, false))
	}
	at := Iota(p.Graph(), shapes.Make(dtypes.Int32, c), 0)
	distance := Sub(BroadcastToDims(step, c), at)
	distance = Max(distance, ZerosLike(distance))
	buckets := Gather(Const(p.Graph(), table), InsertAxes(distance, -1))
	rows := layers.Embedding(p.At(relativeBias(decoder)), buckets) // [C, H]
	return Reshape(Transpose(rows, 0, 1), 1, n.NumHeads, 1, c)
}
