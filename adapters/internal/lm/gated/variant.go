package gated

import (
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Variant is a configuration with the ways in which a family's blocks differ from
// Llama's. With only Config set it is Llama without biases.
type Variant struct {
	Config
	QKVBias    bool    // queries, keys and values have biases
	OutputBias bool    // attention's output has a bias
	MLPBias    bool    // the feed-forward's maps have biases
	QKNorm     bool    // heads of queries and keys are normed
	NormPlus1  bool    // norms scale by 1 + weight
	Sandwich   bool    // attention and feed-forward are normed before and after
	EmbedScale float64 // of the token embeddings; 0 means 1
	Scale      float64 // of the scores; 0 means 1/√Dh
	Cap        float64 // soft-caps the scores; 0 for none
	FinalCap   float64 // soft-caps the logits; 0 for none
	Windows    []int   // sliding window of each block, 0 for none; nil if no block has one
}

// Read checks the configuration and returns the model that decoder.Open opens.
func (m Variant) Read(folder *weights.Folder) (decoder.Definition, error) {
	if err := m.check(folder); err != nil {
		return decoder.Definition{}, err
	}
	if err := decoder.CheckActivation(folder, "hidden_act", m.HiddenAct); err != nil {
		return decoder.Definition{}, err
	}
	rotary, err := m.rotary(folder, m.headDim(), m.MaxPositionEmbeddings)
	if err != nil {
		return decoder.Definition{}, err
	}
	b := body{m, decoder.FindWeights(folder, prefix, "embed_tokens", m.TieWordEmbeddings)}
	return decoder.Definition{
		Width: m.HiddenSize, Vocabulary: m.VocabSize, Context: m.MaxPositionEmbeddings, End: m.EOSTokenID,
		Network: decoder.Network{
			Body: b, Heads: m.NumAttentionHeads, KVHeads: m.kvHeads(), HeadDim: m.headDim(),
			Blocks: m.blocks(), Cap: m.Cap, Rotary: rotary,
		},
		Embedding: b.EmbeddingName(), EmbeddingScale: m.EmbedScale,
		Tensors: b.tensorSpecs(), Unused: b.unused(),
	}, nil
}

func (m Variant) blocks() []decoder.BlockAttention {
	scale := m.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(m.headDim()))
	}
	blocks := decoder.Repeat(m.NumHiddenLayers, decoder.BlockAttention{Scale: scale})
	for i, w := range m.Windows {
		blocks[i].Window = w
	}
	return blocks
}

// The norms of a block.
const (
	inputNorm     = "input_layernorm"
	attentionNorm = "post_attention_layernorm" // Llama: before the feed-forward; Gemma 2: after attention
	beforeMLPNorm = "pre_feedforward_layernorm"
	afterMLPNorm  = "post_feedforward_layernorm"
)

// norms returns the names of a block's norms before and after attention and
// feed-forward; "" for none.
func (m Variant) norms() (beforeAttention, afterAttention, beforeMLP, afterMLP string) {
	if m.Sandwich {
		return inputNorm, attentionNorm, beforeMLPNorm, afterMLPNorm
	}
	return inputNorm, "", attentionNorm, ""
}

// tensorSpecs lists the tensors of the model.
func (b body) tensorSpecs() []weights.TensorSpec {
	d, dh := b.HiddenSize, b.headDim()
	w := append(b.Outer(b.VocabSize, d), b.Spec("norm.weight", d))
	for i := range b.NumHiddenLayers {
		layer := fmt.Sprintf("layers.%d.", i)
		linear := func(name string, out, in int, bias bool) {
			weight := b.Spec(layer+name+".weight", out, in)
			weight.Linear = true
			w = append(w, weight)
			if bias {
				w = append(w, b.Spec(layer+name+".bias", out))
			}
		}
		norm := func(name string, width int) { w = append(w, b.Spec(layer+name+".weight", width)) }
		linear("self_attn.q_proj", b.NumAttentionHeads*dh, d, b.QKVBias)
		linear("self_attn.k_proj", b.kvHeads()*dh, d, b.QKVBias)
		linear("self_attn.v_proj", b.kvHeads()*dh, d, b.QKVBias)
		linear("self_attn.o_proj", d, b.NumAttentionHeads*dh, b.OutputBias)
		linear("mlp.gate_proj", b.IntermediateSize, d, b.MLPBias)
		linear("mlp.up_proj", b.IntermediateSize, d, b.MLPBias)
		linear("mlp.down_proj", d, b.IntermediateSize, b.MLPBias)
		if b.QKNorm {
			norm("self_attn.q_norm", dh)
			norm("self_attn.k_norm", dh)
		}
		norm(inputNorm, d)
		norm(attentionNorm, d)
		if b.Sandwich {
			norm(beforeMLPNorm, d)
			norm(afterMLPNorm, d)
		}
	}
	return w
}

// unused lists the tensors that the file may hold and the model does not read.
func (b body) unused() weights.UnusedList {
	const reason = "the rotary frequencies, which follow from config.json; old files hold them"
	return b.Unused(weights.Unused{Name: rotaryConstant, Reason: reason}, weights.Unused{Name: "layers.N.self_attn." + rotaryConstant, Reason: reason})
}

// rotaryConstant is the suffix of the rotary frequencies that old files contain.
const rotaryConstant = "rotary_emb.inv_freq"

// TensorName returns the function adapters.Family.TensorName of these families.
func TensorName() func(name string) string { return lm.TensorName(prefix, rotaryConstant) }

// prefix stands before the tensors of the base model.
const prefix = "model."
