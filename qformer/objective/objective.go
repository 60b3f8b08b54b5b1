// Package objective owns the three objectives of BLIP-2's first stage on top of a Q-Former:
// image-text contrast (ITC), image-text matching on hard negatives (ITM), and image-grounded
// text generation (ITG), after LAVIS models/blip2_models/blip2_qformer.py. It must not know
// the optimizer, nor where the batch comes from.
//
// [Stage1] adds their weighted sum to a graph. All random numbers come from the caller's
// [qformer.RNG], so that a step can be computed again. The package owns no tensor.
//
// A batch is the whole batch: negatives and contrast reach over all pictures and texts in the
// graph. Axes: B batch, N patches, Q queries, T tokens.
package objective

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/qformer"
)

// Config weighs the objectives.
type Config struct {
	// ITC, ITM and ITG multiply the three losses. One with weight 0 is not
	// computed and reported as 0.
	ITC, ITM, ITG float64
	// Smoothing is the label smoothing of ITC and ITG.
	Smoothing float64
	// Begin is the first token of a generated text ([DEC]).
	Begin int
}

// BLIP2 returns the paper's weights, with [DEC] as bert-base-uncased with one
// added token numbers it.
func BLIP2() Config { return Config{ITC: 1, ITM: 1, ITG: 1, Smoothing: 0.1, Begin: 30522} }

// Batch is the input of a step of stage 1: B pictures with a text each.
type Batch struct {
	Features *Node // float[B, N, EncoderWidth]
	IDs      *Node // int32[B, T]: [CLS] … [SEP], then padding
	Visible  *Node // bool[B, T]: false at padding
	// ImageIDs is int32[B], equal for equal pictures: their texts are positives of each
	// other and never negatives. Nil means that all pictures differ.
	ImageIDs *Node
	// Negatives are used as given; nil draws them.
	Negatives *Negatives
}

// Losses are float32[] each: means over the batch as the paper has them, not
// yet weighted, and their weighted sum.
type Losses struct{ Total, ITC, ITM, ITG *Node }

// Stage1 returns the losses of one step with the Q-Former m. Negatives are
// drawn with rng; without rng the most similar candidates are taken.
func Stage1(m *qformer.Model, c Config, b Batch, rng *qformer.RNG) Losses {
	check(b)
	g := b.Features.Graph()
	images := m.ImageKV(b.Features)
	queries := m.RunQueries(images)
	zero := Scalar(g, dtypes.Float32, 0.0)
	l := Losses{Total: zero, ITC: zero, ITM: zero, ITG: zero}
	positive := positives(b)
	if c.ITC != 0 || c.ITM != 0 && b.Negatives == nil {
		text := m.ProjectText(m.Text(b.IDs, b.Visible))
		scores := Div(qformer.Similarity(m.ProjectVision(queries.Hidden), text), m.Temperature())
		if c.ITC != 0 {
			l.ITC = ContrastiveLoss(scores, positive, c.Smoothing)
		}
		if b.Negatives == nil {
			drawn := DrawNegatives(scores, positive, rng)
			b.Negatives = &drawn
		}
	}
	// The backward pass of ITM is the largest and comes first, therefore ITM is built last.
	var matching, generation qformer.Turn
	l.ITC = generation.Precedes(l.ITC)
	if c.ITG != 0 {
		l.ITG = matching.Precedes(GenerationLoss(m.InTurn(&generation), queries, b.IDs, b.Visible, c))
	}
	if c.ITM != 0 {
		l.ITM = MatchingLoss(m.InTurn(&matching), images, b)
	}
	for _, part := range []struct {
		weight float64
		loss   *Node
	}{{c.ITC, l.ITC}, {c.ITM, l.ITM}, {c.ITG, l.ITG}} {
		if part.weight != 0 {
			l.Total = Add(l.Total, MulScalar(part.loss, part.weight))
		}
	}
	return l
}

// check panics if the batch's shapes do not fit each other.
func check(b Batch) {
	b.Features.AssertRank(3)
	n := b.Features.Shape().Dimensions[0]
	b.IDs.AssertDims(n, -1)
	b.Visible.AssertDims(b.IDs.Shape().Dimensions...)
	if b.Visible.DType() != dtypes.Bool {
		panic(fmt.Errorf("visible tokens are %s, want bool", b.Visible.DType()))
	}
	if b.ImageIDs != nil {
		b.ImageIDs.AssertDims(n)
	}
}

// positives returns which texts (columns) are right for which pictures (rows):
// bool[B, B].
func positives(b Batch) *Node {
	n := b.Features.Shape().Dimensions[0]
	if b.ImageIDs == nil {
		return Diagonal(b.Features.Graph(), n)
	}
	rows := BroadcastToDims(InsertAxes(b.ImageIDs, -1), n, n)
	return Equal(rows, TransposeAllDims(rows, 1, 0))
}
