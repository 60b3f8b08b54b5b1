package qformer

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Model adds a Q-Former's computations to one graph.
type Model struct {
	cfg Config
	p   layers.Params
	rng *layers.RNG
	// turn ends where a pass begins; nil for none.
	turn *layers.Turn
	// recompute is whether a backward pass computes each layer again.
	recompute bool
	residuals *layers.Residuals
}

// New returns the Q-Former whose weights are in store, for graph g. Dropout draws from rng;
// a nil rng turns it off.
func New(cfg Config, store *model.Store, g *Graph, rng *RNG) *Model {
	return &Model{cfg: cfg, p: layers.NewParams(store, g), rng: rng.inner()}
}

// VariablePath returns the path of a weight's variable in a store, by the name of its
// [Param].
func VariablePath(name string) string { return layers.VariablePath(name) }

// Checkpointing returns a copy of m that keeps only the inputs of layers for the backward pass, and
// computes each layer again then. Results and gradients are the same.
func (m *Model) Checkpointing(on bool) *Model {
	c := *m
	c.recompute = on
	return &c
}

// Keeping returns a copy of m for a backward pass in a graph of its own, which gets what r keeps. A nil
// r keeps nothing. It does not go with [Model.Checkpointing].
func (m *Model) Keeping(r *Residuals) *Model {
	c := *m
	c.residuals = r.inner()
	c.rng = m.rng.Keeping(c.residuals)
	return &c
}

// InTurn returns a copy of m whose passes through the layers end turn.
func (m *Model) InTurn(turn *Turn) *Model {
	c := *m
	c.turn = &turn.layers
	return &c
}

// WithDType returns a copy of m that converts its weights to dtype in the graph and computes
// in it. Norms and softmaxes are computed in float32 in any case.
func (m *Model) WithDType(dtype dtypes.DType) *Model {
	c := *m
	c.p = m.p.WithDType(dtype)
	return &c
}

// ImageKV norms a batch of features float[B, N, EncoderWidth], in float32, and projects
// them to the keys and values of every cross-attention. Features are frozen: no gradient by them is computed.
func (m *Model) ImageKV(features *Node) *ImageKV {
	features.AssertDims(-1, -1, m.cfg.EncoderWidth)
	x := layers.Standardize(ConvertDType(features, dtypes.Float32), m.cfg.VisionEps)
	x = ConvertDType(x, m.DType())
	project := func(p layers.Params) *Node {
		return layers.SplitHeads(m.residuals.Keep(layers.LinearOfNorm(p, m.p.At(nameVisionNorm), x)), m.cfg.Heads)
	}
	v := &ImageKV{byLayer: map[int]keyValue{}, batch: features.Shape().Dimensions[0]}
	for i := 0; i < m.cfg.Layers; i += m.cfg.CrossEvery {
		p := m.p.At(nameLayer(i)).At("crossattention.attention")
		v.byLayer[i] = keyValue{project(p.At("key")), project(p.At("value"))}
	}
	return v
}

// QueryStates is the result of [Model.RunQueries] for a batch of pictures.
type QueryStates struct {
	// Hidden holds the last hidden states: float[B, Q, D].
	Hidden *Node
	cache  []keyValue
}

// RunQueries runs the queries over pictures, without text.
func (m *Model) RunQueries(images *ImageKV) QueryStates {
	x := m.embedQueries(images.batch)
	hidden, cache := m.run(x, pass{queries: m.cfg.Queries, images: images})
	hidden.AssertDims(images.batch, m.cfg.Queries, m.cfg.HiddenSize)
	return QueryStates{Hidden: hidden, cache: cache}
}

// Queries returns the queries' last hidden states on features
// float[B, N, EncoderWidth]: float[B, Q, D].
func (m *Model) Queries(features *Node) *Node { return m.RunQueries(m.ImageKV(features)).Hidden }

// Project maps query states float[B, Q, D] to soft prompts
// float32[B, Q, LanguageWidth]. A projection that speaks in words gives their embeddings,
// each times its weight, summed.
func (m *Model) Project(queries *Node) *Node {
	queries.AssertDims(-1, m.cfg.Queries, m.cfg.HiddenSize)
	var prompts *Node
	if m.cfg.Words > 0 {
		prompts = layers.LinearTransposed(m.p.At(nameWordEmbeddings), m.WordWeights(queries))
	}
	if m.cfg.Words == 0 || m.cfg.Residual {
		linear := layers.Linear(m.p.At(nameLanguage), queries)
		if prompts == nil {
			prompts = linear
		} else {
			prompts = Add(prompts, linear)
		}
	}
	prompts.AssertDims(-1, m.cfg.Queries, m.cfg.LanguageWidth)
	return ConvertDType(prompts, dtypes.Float32)
}

// WordWeights returns the weight of each word in each soft prompt for query states
// float[B, Q, D]: float[B, Q, W]. They are the softmax of a layer with GELU and a linear one,
// so the weights of a prompt sum to 1 (LangBridge, arXiv 2503.19404).
func (m *Model) WordWeights(queries *Node) *Node {
	hidden := layers.Activation("gelu", m.linear(m.p.At(nameWordHidden), queries))
	scores := m.linear(m.p.At(nameWordScores), hidden)
	scores.AssertDims(-1, m.cfg.Queries, m.cfg.Words)
	return ConvertDType(Softmax(ConvertDType(scores, dtypes.Float32), -1), m.DType())
}

// Prompts returns the soft prompts of features float[B, N, EncoderWidth]:
// float32[B, Q, LanguageWidth].
func (m *Model) Prompts(features *Node) *Node { return m.Project(m.Queries(features)) }

// Text returns the last hidden state of the first token of texts without pictures: ids
// int32[B, T], visible bool[B, T] (false at padding) → float[B, D].
func (m *Model) Text(ids, visible *Node) *Node {
	hidden, _ := m.run(m.embedText(ids), pass{bias: bias(UnimodalMask(visible)), readout: 1})
	return Squeeze(hidden, 1)
}

// RunWithText runs queries and text together, with attention between them: ids
// int32[B, T], visible bool[B, T] → the queries' last hidden states float[B, Q, D].
func (m *Model) RunWithText(images *ImageKV, ids, visible *Node) *Node {
	ids.AssertDims(images.batch, -1)
	x := Concatenate([]*Node{m.embedQueries(images.batch), m.embedText(ids)}, 1)
	mask := BidirectionalMask(visible, m.cfg.Queries)
	hidden, _ := m.run(x, pass{queries: m.cfg.Queries, images: images, bias: bias(mask), readout: m.cfg.Queries})
	return hidden
}

// Match scores whether texts describe pictures; its arguments are those of
// [Model.RunWithText]. It returns logits float32[B, 2], index 1 for "yes", averaged over the
// queries.
func (m *Model) Match(images *ImageKV, ids, visible *Node) *Node {
	// The head is linear: averaging before it equals averaging after it.
	mean := ReduceMean(ConvertDType(m.RunWithText(images, ids, visible), dtypes.Float32), 1)
	logits := layers.Linear(m.exact(nameMatchHead), mean)
	logits.AssertDims(-1, 2)
	return logits
}

// Decode reads text causally after the queries: ids int32[B, T] that begin with [DEC],
// visible bool[B, T] → last hidden states after the decoder's transform,
// float[B, T, D]. [Model.TokenLogits] turns them into logits.
func (m *Model) Decode(s QueryStates, ids, visible *Node) *Node {
	hidden, _ := m.run(m.embedText(ids), pass{bias: bias(CausalMask(visible, m.cfg.Queries)), past: s.cache})
	p := m.p.At(nameDecoder).At("transform")
	return m.norm(p.At("LayerNorm"), layers.Activation(m.cfg.activation(), layers.Linear(p.At("dense"), hidden)))
}

// TokenLogits scores every token of the vocabulary after decoded states float[..., D]:
// float32[..., V].
func (m *Model) TokenLogits(decoded *Node) *Node {
	embeddings, biases := m.p.At(nameTokenEmbeddings).Get("weight"), m.p.At(nameDecoder).Get("bias")
	return ConvertDType(layers.LinearWith(decoded, embeddings, biases), dtypes.Float32)
}

// LogitsAt returns [Model.TokenLogits] at one token each: decoded float[B, T, D], ids
// int32[B, T] → float32[B, T].
func (m *Model) LogitsAt(decoded, ids *Node) *Node {
	embeddings := ConvertDType(layers.Embedding(m.p.At(nameTokenEmbeddings), ids), dtypes.Float32)
	biases := Gather(m.exact(nameDecoder).Get("bias"), InsertAxes(ids, -1))
	return Add(ReduceSum(Mul(ConvertDType(decoded, dtypes.Float32), embeddings), -1), biases)
}

// MeanLogits returns the mean of [Model.TokenLogits] over the vocabulary:
// float[B, T, D] → float32[B, T].
func (m *Model) MeanLogits(decoded *Node) *Node {
	embeddings := ReduceMean(m.exact(nameTokenEmbeddings).Get("weight"), 0)
	product := Mul(ConvertDType(decoded, dtypes.Float32), ExpandLeftToRank(embeddings, decoded.Rank()))
	return Add(ReduceSum(product, -1), ReduceAllMean(m.exact(nameDecoder).Get("bias")))
}

// ProjectVision maps query states float[B, Q, D] to unit vectors
// float32[B, Q, P] that are compared with [Model.ProjectText]'s.
func (m *Model) ProjectVision(queries *Node) *Node {
	return unit(layers.Linear(m.exact(nameVisionProj), ConvertDType(queries, dtypes.Float32)))
}

// ProjectText maps text states float[B, D] to unit vectors float32[B, P].
func (m *Model) ProjectText(text *Node) *Node {
	return unit(layers.Linear(m.exact(nameTextProj), ConvertDType(text, dtypes.Float32)))
}

// Temperature returns the divisor of contrastive similarities: float32[].
func (m *Model) Temperature() *Node { return m.p.WithDType(dtypes.Float32).Get(nameTemperature) }

// Similarity returns the cosine of the query that fits a text best: unit vectors
// float32[B, Q, P] and float32[T, P] → float32[B, T], pictures by texts.
func Similarity(vision, text *Node) *Node {
	perQuery := EinsumAxes(vision, text, [][2]int{{2, 1}}, nil)
	perQuery.AssertDims(vision.Shape().Dimensions[0], vision.Shape().Dimensions[1], text.Shape().Dimensions[0])
	return ReduceMax(perQuery, 1)
}

// Gradients returns ∂loss/∂param for each of params, with the param's shape and type. It is
// zero if the loss does not depend on the param.
func (m *Model) Gradients(loss *Node, params []Param) []*Node {
	p := m.p.WithDType(dtypes.InvalidDType)
	nodes := make([]*Node, len(params))
	for i, param := range params {
		nodes[i] = p.Get(param.Name)
	}
	return Gradient(loss, nodes...)
}

// WithCotangent returns the scalar whose gradient is y's vector-Jacobian
// product with cotangent: both float32 of one shape.
func WithCotangent(y, cotangent *Node) *Node {
	cotangent.AssertDims(y.Shape().Dimensions...)
	return ReduceAllSum(Mul(y, StopGradient(cotangent)))
}

// embedQueries returns the normed query tokens for a batch: float[B, Q, D].
func (m *Model) embedQueries(batch int) *Node {
	tokens := m.p.Get(nameQueryTokens)
	tokens.AssertDims(1, m.cfg.Queries, m.cfg.HiddenSize)
	x := BroadcastToDims(m.norm(m.p.At(nameLayerNorm), tokens), batch, m.cfg.Queries, m.cfg.HiddenSize)
	return layers.Dropout(x, m.cfg.Dropout, m.rng)
}

// embedText returns the normed embeddings of ids int32[B, T]: float[B, T, D].
// Positions count from 0 whatever stands before the text. The norm is over the
// last axis, so that of [queries; text] is that of each.
func (m *Model) embedText(ids *Node) *Node {
	ids.AssertRank(2)
	d := ids.Shape().Dimensions
	positions := Slice(m.p.At(namePositions).Get("weight"), AxisRangeFromStart(d[1]))
	x := Add(layers.Embedding(m.p.At(nameTokenEmbeddings), ids), InsertAxes(positions, 0))
	x = m.norm(m.p.At(nameLayerNorm), x)
	x.AssertDims(d[0], d[1], m.cfg.HiddenSize)
	return layers.Dropout(x, m.cfg.Dropout, m.rng)
}

// norm applies a layer norm with the Q-Former's epsilon.
func (m *Model) norm(p layers.Params, x *Node) *Node {
	return layers.LayerNorm(p.WithDType(dtypes.Float32), x, m.cfg.LayerNormEps)
}

// exact returns the weights under name in float32.
func (m *Model) exact(name string) layers.Params { return m.p.WithDType(dtypes.Float32).At(name) }

// DType returns the type that the layers compute in.
func (m *Model) DType() dtypes.DType { return m.p.Get(nameQueryTokens).DType() }

// unit divides by the length of the last axis, as torch's normalize does.
func unit(x *Node) *Node {
	square := ReduceAndKeep(Square(x), ReduceSum, -1)
	return Div(x, Sqrt(MaxScalar(square, 1e-24)))
}
