package bridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/qformer"
)

// Texts are texts as the Q-Former reads them: [Bridge.Tokenize] makes them.
type Texts struct {
	ids     *adapters.Tensor // int32[B, T], padded on the right
	lengths []int            // of the rows, in tokens
}

// Len returns the number of texts.
func (t *Texts) Len() int { return len(t.lengths) }

// Slice returns the texts from lo to hi, less one.
func (t *Texts) Slice(lo, hi int) *Texts {
	return &Texts{ids: t.ids.Slice(lo, hi), lengths: t.lengths[lo:hi]}
}

// pick returns texts[rows], padded with empty rows to size, at the given width.
func (t *Texts) pick(rows []int, size, width int, pad int32) *adapters.Tensor {
	out := adapters.NewTensor(adapters.Int32, size, width)
	ids, all, stride := out.Int32s(), t.ids.Int32s(), t.ids.Shape[1]
	for i := range ids {
		ids[i] = pad
	}
	for i, row := range rows {
		copy(ids[i*width:(i+1)*width], all[row*stride:row*stride+t.lengths[row]])
	}
	return out
}

// Tokenize encodes texts for [Bridge.EmbedTokens] and [Bridge.MatchPicture]. It cuts texts that
// are longer than limit, with [CLS] and [SEP], or than the Q-Former's positions.
func (b *Bridge) Tokenize(texts []string, limit int) (*Texts, error) {
	if b.tokenizer == nil {
		return nil, errNoTextSide
	}
	ids, _, err := b.tokenizer.BatchUpTo(texts, min(limit, b.config.MaxPositions))
	if err != nil {
		return nil, err
	}
	t := &Texts{ids: ids, lengths: make([]int, len(texts))}
	width := ids.Shape[1]
	for i, id := range ids.Int32s() {
		if int(id) >= b.config.Vocabulary {
			return nil, adapters.Errorf(adapters.Invalid, "text %q holds a token of id %d, and the Q-Former has %d words", texts[i/width], id, b.config.Vocabulary).
				WithRemedy("leave out special tokens")
		}
		if id != b.tokenizer.pad {
			t.lengths[i/width] = i%width + 1
		}
	}
	return t, nil
}

// visible returns bool[B, T], false at padding.
func (b *Bridge) visible(ids *Node) *Node {
	return NotEqual(ids, Scalar(ids.Graph(), dtypes.Int32, b.tokenizer.pad))
}

// EmbedTokens is [Bridge.EmbedTexts] for texts that are tokenized already.
func (b *Bridge) EmbedTokens(ctx context.Context, texts *Texts) (*adapters.Tensor, error) {
	return b.inBuckets(ctx, "embed-texts", texts.ids, func(m *qformer.Model, ids *Node) *Node {
		return m.ProjectText(m.Text(ids, b.visible(ids)))
	})
}

// MatchPicture returns ITM's logit for "yes" of one picture, features [1, N, Denc], with each of
// texts[rows]. The picture's keys and values are computed once in each batch, so this is much
// cheaper than [Bridge.Match].
func (b *Bridge) MatchPicture(ctx context.Context, features *adapters.Tensor, texts *Texts, rows []int) ([]float32, error) {
	if features.Shape[0] != 1 {
		return nil, fmt.Errorf("features of %d pictures, want 1", features.Shape[0])
	}
	if b.tokenizer == nil {
		return nil, errNoTextSide
	}
	order := make([]int, len(rows)) // texts of similar lengths share a batch
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(texts.lengths[rows[i]], texts.lengths[rows[j]]) })
	logits := make([]float32, len(rows))
	for part := range slices.Chunk(order, maxBucket) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		picked := make([]int, len(part))
		for i, at := range part {
			picked[i] = rows[at]
		}
		size, width := matchShape(len(part), texts.lengths[picked[len(picked)-1]], texts.ids.Shape[1])
		out, err := b.run("match-picture", func(m *qformer.Model, in []*Node) []*Node {
			return []*Node{m.Match(m.ImageKV(in[0]).For(in[1].Shape().Dimensions[0]), in[1], b.visible(in[1]))}
		}, features, texts.pick(picked, size, width, b.tokenizer.pad))
		if err != nil {
			return nil, err
		}
		b.forwards.Add(int64(len(part)))
		for i, at := range part {
			logits[at] = out[0].Float32s()[2*i+1]
		}
	}
	return logits, nil
}

// matchShape returns the batch and the width that are computed for n texts of up to length
// tokens. There are few shapes, because each is a graph.
func matchShape(n, length, most int) (size, width int) {
	size = maxBucket
	if n <= maxBucket/4 {
		size = maxBucket / 4
	}
	return size, min((length+7)/8*8, most)
}
