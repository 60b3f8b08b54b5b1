package opt

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// positionOffset is the row of position 0 in OPT's table of learned positions: OPT adds
// the offset to each position before the look-up, because fairseq counts positions from
// padding_idx + 1.
const positionOffset = 2

// addPositions adds the learned embeddings of positions int32[B or 1, T] to
// float[B, T, D].
func addPositions(p layers.Params, x, positions *Node) *Node {
	learned := layers.Embedding(p.At("embed_positions"), AddScalar(positions, positionOffset))
	return Add(x, BroadcastToDims(learned, x.Shape().Dimensions...))
}
