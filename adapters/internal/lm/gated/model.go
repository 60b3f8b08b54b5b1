package gated

import (
	"fmt"
	"math"
	"strings"

	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Model is a configuration and how the family's blocks differ from Llama's. The
// zero value of all but Config is Llama without biases.
type Model struct {
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
	Windows    []int   // of each block, 0 for none; nil where none has one
}

// Read checks the configuration and makes of it what decoder.Open wants.
func (m Model) Read(folder *weights.Folder) (decoder.Model, error) {
	if err := m.check(folder); err != nil {
		return decoder.Model{}, err
	}
	if err := decoder.CheckActivation(folder, "hidden_act", m.HiddenAct); err != nil {
		return decoder.Model{}, err
	}
	rotary, err := m.rotary(folder, m.headDim(), m.MaxPositionEmbeddings)
	if err != nil {
		return decoder.Model{}, err
	}
	b := body{m, decoder.FindWeights(folder, "model.", "embed_tokens", m.TieWordEmbeddings)}
	return decoder.Model{
		Width: m.HiddenSize, Vocabulary: m.VocabSize, Context: m.MaxPositionEmbeddings, End: m.EOSTokenID,
		Network: decoder.Network{
			Body: b, Heads: m.NumAttentionHeads, KVHeads: m.kvHeads(), HeadDim: m.headDim(),
			Blocks: m.blocks(), Cap: m.Cap, Rotary: rotary,
		},
		Embedding: b.EmbeddingName(), EmbeddingScale: m.EmbedScale,
		Wants: b.wants(), Ignore: b.ignore,
	}, nil
}

func (m Model) blocks() []decoder.Block {
	scale := m.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(m.headDim()))
	}
	blocks := decoder.Repeat(m.NumHiddenLayers, decoder.Block{Scale: scale})
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

// norms names a block's norms in front of and after attention and feed-forward;
// "" for none.
func (m Model) norms() (beforeAttention, afterAttention, beforeMLP, afterMLP string) {
	if m.Sandwich {
		return inputNorm, attentionNorm, beforeMLPNorm, afterMLPNorm
	}
	return inputNorm, "", attentionNorm, ""
}

// wants lists the weights of the model.
func (b body) wants() []weights.Want {
	d, dh := b.HiddenSize, b.headDim()
	w := append(b.Outer(b.VocabSize, d), b.Want("norm.weight", d))
	for i := range b.NumHiddenLayers {
		layer := fmt.Sprintf("layers.%d.", i)
		linear := func(name string, out, in int, bias bool) {
			w = append(w, b.Want(layer+name+".weight", out, in))
			if bias {
				w = append(w, b.Want(layer+name+".bias", out))
			}
		}
		norm := func(name string, width int) { w = append(w, b.Want(layer+name+".weight", width)) }
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

// ignore reports weights that repeat others, and the angles that old files keep.
func (b body) ignore(name string) bool {
	return b.Ignore(name) || strings.HasSuffix(name, "rotary_emb.inv_freq")
}
