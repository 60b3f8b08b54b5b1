package convert

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// What eva_vit_g.pth holds beside the blocks that BLIP-2 runs: a head and norms
// of its own training.
var evaIgnored = []string{"norm.", "fc_norm.", "head.", "lm_head.", "mask_token", "rel_pos_bias."}

// Encoder returns the EVA-CLIP encoder as transformers' Blip2VisionModel. heads 0 means heads
// of width 88, as ViT-g has. For an encoder alone it leaves out the last block, as LAVIS does
// (39 of 40), and the norm on the features is the identity that training starts with.
func (l *LAVIS) Encoder(heads int) (*Checkpoint, error) {
	e := evaReader{l: l, out: newCheckpoint(), used: map[string]bool{}}
	return e.out, e.read(heads)
}

// evaReader takes an encoder apart.
type evaReader struct {
	l    *LAVIS
	out  *Checkpoint
	used map[string]bool
}

func (e *evaReader) get(name string) (weights.View, error) {
	v, ok := e.l.encoder[name]
	if !ok {
		return v, adapters.Errorf(adapters.Corrupt, "%s: the encoder has no %s", e.l.path, name).
			WithRemedy("fetch the file again; bridge reads LAVIS's EVA-CLIP ViT-g")
	}
	e.used[name] = true
	return v, nil
}

// move copies a weight and, with its bias, a layer.
func (e *evaReader) move(to, from string) error {
	v, err := e.get(from)
	e.out.tensors[to] = v
	return err
}

func (e *evaReader) affine(to, from string) error {
	if err := e.move(to+".weight", from+".weight"); err != nil {
		return err
	}
	return e.move(to+".bias", from+".bias")
}

func (e *evaReader) read(heads int) error {
	blocks, err := e.readTensors()
	if err != nil {
		return err
	}
	return e.configure(blocks, heads)
}

// readTensors takes the tensors of the embeddings and blocks, and returns the number of blocks.
func (e *evaReader) readTensors() (blocks int, err error) {
	if err := e.embeddings(); err != nil {
		return 0, err
	}
	for e.l.hasBlock(blocks) {
		blocks++
	}
	if e.l.stage == 0 { // BLIP-2 reads what the last block is given
		blocks--
	}
	for i := range blocks {
		if err := e.block(i); err != nil {
			return 0, err
		}
	}
	return blocks, e.checkRest(blocks)
}

func (l *LAVIS) hasBlock(i int) bool {
	_, ok := l.encoder[fmt.Sprintf("blocks.%d.attn.qkv.weight", i)]
	return ok
}

func (e *evaReader) embeddings() error {
	for to, from := range map[string]string{
		"embeddings.class_embedding": "cls_token", "embeddings.position_embedding": "pos_embed",
		"embeddings.patch_embedding.weight": "patch_embed.proj.weight", "embeddings.patch_embedding.bias": "patch_embed.proj.bias",
	} {
		if err := e.move(to, from); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaReader) block(i int) error {
	from, to := fmt.Sprintf("blocks.%d.", i), fmt.Sprintf("encoder.layers.%d.", i)
	for t, f := range map[string]string{"layer_norm1": "norm1", "layer_norm2": "norm2", "self_attn.projection": "attn.proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"} {
		if err := e.affine(to+t, from+f); err != nil {
			return err
		}
	}
	if err := e.move(to+"self_attn.qkv.weight", from+"attn.qkv.weight"); err != nil {
		return err
	}
	q, err := e.get(from + "attn.q_bias")
	if err != nil {
		return err
	}
	v, err := e.get(from + "attn.v_bias")
	if err != nil {
		return err
	}
	// transformers keeps one bias; the keys have none.
	bias := append(append(append([]byte{}, q.Data...), make([]byte, len(q.Data))...), v.Data...)
	e.out.tensors[to+"self_attn.qkv.bias"] = weights.View{DType: q.DType, Shape: []int{3 * q.Shape[0]}, Data: bias}
	return nil
}

// checkRest refuses weights that neither the blocks nor EVA's own head have.
func (e *evaReader) checkRest(blocks int) error {
	for name := range e.l.encoder {
		known := e.used[name] || e.l.stage == 0 && strings.HasPrefix(name, fmt.Sprintf("blocks.%d.", blocks))
		for _, prefix := range evaIgnored {
			known = known || strings.HasPrefix(name, prefix)
		}
		if !known {
			return adapters.Errorf(adapters.Unsupported, "%s: the encoder has %s, which is not a weight of EVA-CLIP ViT-g", e.l.path, name)
		}
	}
	return nil
}

func (e *evaReader) configure(blocks, heads int) error {
	kernel, positions := e.out.tensors["embeddings.patch_embedding.weight"], e.out.tensors["embeddings.position_embedding"]
	if len(kernel.Shape) != 4 || len(positions.Shape) != 3 {
		return adapters.Errorf(adapters.Corrupt, "%s: the encoder's kernel is %s and its positions are %s, want four and three axes", e.l.path, kernel.Describe(), positions.Describe())
	}
	width, patch := kernel.Shape[0], kernel.Shape[3]
	side := int(math.Sqrt(float64(positions.Shape[1] - 1)))
	if side*side != positions.Shape[1]-1 {
		return adapters.Errorf(adapters.Unsupported, "%s: the encoder has %d positions, want a square number of patches and one for the class", e.l.path, positions.Shape[1])
	}
	if heads == 0 {
		if width%88 != 0 {
			return adapters.Errorf(adapters.Invalid, "%s: the number of attention heads is not known: the weights do not record it, and the encoder's width, %d, is not a multiple of 88, the width of ViT-g's heads", e.l.path, width).
				WithRemedy("pass --encoder-heads")
		}
		heads = width / 88
	}
	inner := e.out.tensors["encoder.layers.0.mlp.fc1.bias"]
	if blocks < 1 || len(inner.Shape) != 1 {
		return adapters.Errorf(adapters.Corrupt, "%s: the encoder has %d blocks to run", e.l.path, blocks)
	}
	e.out.Config = map[string]any{
		"model_type": weights.TypeBLIP2Vision, "architectures": []string{"Blip2VisionModel"}, "hidden_size": width, "intermediate_size": inner.Shape[0],
		"num_hidden_layers": blocks, "num_attention_heads": heads, "image_size": side * patch, "patch_size": patch,
		"hidden_act": "gelu", "layer_norm_eps": 1e-6, "qkv_bias": true,
	}
	e.out.tensors["post_layernorm.weight"], e.out.tensors["post_layernorm.bias"] = vector(kernel.DType, width, 1), vector(kernel.DType, width, 0)
	return e.out.putJSON("preprocessor_config.json", blipProcessor(side*patch))
}

// vector holds n times 1 or 0.
func vector(dtype safetensors.DType, n, value int) weights.View {
	one := map[safetensors.DType][]byte{safetensors.F32: {0, 0, 0x80, 0x3f}, safetensors.F16: {0, 0x3c}, safetensors.BF16: {0x80, 0x3f}}[dtype]
	if value == 0 {
		one = make([]byte, len(one))
	}
	return weights.View{DType: dtype, Shape: []int{n}, Data: bytes.Repeat(one, n)}
}
