package registry

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// shape holds the keys of a config.json from which the figures of a manifest follow.
// testdata/configs has the config.json of every id of the hub.
type shape struct {
	ModelType     string `json:"model_type"`
	Stored        string `json:"torch_dtype"`
	Vision        *shape `json:"vision_config"`
	Text          *shape `json:"text_config"`
	QFormer       *shape `json:"qformer_config"`
	Queries       int    `json:"num_query_tokens"`
	Projection    int    `json:"projection_dim"`
	Hidden        int    `json:"hidden_size"`
	Layers        int    `json:"num_hidden_layers"`
	Heads         int    `json:"num_attention_heads"`
	KVHeads       int    `json:"num_key_value_heads"`
	HeadDim       int    `json:"head_dim"`
	Intermediate  int    `json:"intermediate_size"`
	FFN           int    `json:"ffn_dim"`
	EmbedWidth    int    `json:"word_embed_proj_dim"`
	PreNorm       bool   `json:"do_layer_norm_before"`
	MLPRatio      int    `json:"mlp_ratio"`
	DModel        int    `json:"d_model"`
	DKV           int    `json:"d_kv"`
	DFF           int    `json:"d_ff"`
	EncoderLayers int    `json:"num_layers"`
	DecoderLayers int    `json:"num_decoder_layers"`
	T5Heads       int    `json:"num_heads"`
	Buckets       int    `json:"relative_attention_num_buckets"`
	EncoderWidth  int    `json:"encoder_hidden_size"`
	CrossEvery    int    `json:"cross_attention_frequency"`
	Vocabulary    int    `json:"vocab_size"`
	Positions     int    `json:"max_position_embeddings"`
	Tied          bool   `json:"tie_word_embeddings"`
	ImageSize     int    `json:"image_size"`
	PatchSize     int    `json:"patch_size"`
}

func readShape(t *testing.T, id string) shape {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "configs", id+".json"))
	if err != nil {
		t.Fatalf("%v; every id of the hub has its config's figures there", err)
	}
	var s shape
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// block is the number of weights of a transformer block with biases and two
// norms: ViT's, CLIP's, OPT's.
func block(d, f int) int { return 4*(d*d+d) + 2*d*f + f + d + 4*d }

func (s shape) patches() int { return (s.ImageSize / s.PatchSize) * (s.ImageSize / s.PatchSize) }

// clipVision: class token, patches without bias, positions, two norms outside of the blocks.
func (s shape) clipVision() int {
	d := s.Hidden
	return d + 3*s.PatchSize*s.PatchSize*d + (s.patches()+1)*d + 4*d + s.Layers*block(d, s.Intermediate)
}

// clipText: words, positions, the last norm.
func (s shape) clipText() int {
	d := s.Hidden
	return s.Vocabulary*d + s.Positions*d + 2*d + s.Layers*block(d, s.Intermediate)
}

// eva: patches with bias; the bias of keys, which is zero, is stored but not counted as a weight.
func (s shape) eva() int {
	d := s.Hidden
	return d + 3*s.PatchSize*s.PatchSize*d + d + (s.patches()+1)*d + s.Layers*(block(d, s.Intermediate)-d)
}

// siglip: patches with bias, no class token, the last norm; the pooling head is
// not counted, because its output is not used.
func (s shape) siglip() int {
	d := s.Hidden
	return 3*s.PatchSize*s.PatchSize*d + d + s.patches()*d + 2*d + s.Layers*block(d, s.Intermediate)
}

// siglipHead: a probe, attention, a norm and a feed-forward.
func (s shape) siglipHead() int { return s.Hidden + block(s.Hidden, s.Intermediate) - 2*s.Hidden }

// dinov2: class and mask token, LayerScale, the last norm.
func (s shape) dinov2() int {
	d := s.Hidden
	return 2*d + 3*s.PatchSize*s.PatchSize*d + d + (s.patches()+1)*d + 2*d + s.Layers*(block(d, d*s.MLPRatio)+2*d)
}

// opt: the head is the word embedding; two positions more than it says.
func (s shape) opt() int {
	d := s.Hidden
	n := s.Vocabulary*s.EmbedWidth + (s.Positions+2)*d + s.Layers*block(d, s.FFN)
	if s.EmbedWidth != d {
		n += 2 * s.EmbedWidth * d
	}
	if s.PreNorm {
		n += 2 * d
	}
	return n
}

// t5 is version 1.1: gated feed-forward, a head of its own, no bias.
func (s shape) t5() int {
	d, inner := s.DModel, s.T5Heads*s.DKV
	encoder := s.EncoderLayers * (4*d*inner + 3*d*s.DFF + 2*d)
	decoder := s.DecoderLayers * (8*d*inner + 3*d*s.DFF + 3*d)
	return 2*s.Vocabulary*d + encoder + decoder + 2*s.Buckets*s.T5Heads + 2*d
}

func (s shape) headDim() int {
	if s.HeadDim > 0 {
		return s.HeadDim
	}
	return s.Hidden / s.Heads
}

// llama covers Qwen: 2 and 2.5 have biases of query, key and value, 3 has norms
// of query and key.
func (s shape) llama() int {
	d, q, kv := s.Hidden, s.Heads*s.headDim(), s.KVHeads*s.headDim()
	layer := 2*d*q + 2*d*kv + 3*d*s.Intermediate + 2*d
	switch s.ModelType {
	case "qwen2":
		layer += q + 2*kv
	case "qwen3":
		layer += 2 * s.headDim()
	}
	n := s.Vocabulary*d + s.Layers*layer + d
	if !s.Tied {
		n += s.Vocabulary * d
	}
	return n
}

// qformer returns the number of weights of the bridge in a whole BLIP-2: all that stage 2
// trains, except the norm on the features, which counts with the encoder.
func (s shape) qformer(width int) int {
	q, d := s.QFormer, s.QFormer.Hidden
	n := s.Queries*d + 2*d + q.Layers*block(d, q.Intermediate) + d*width + width
	for i := 0; i < q.Layers; i += q.CrossEvery {
		n += 2*(d*d+d) + 2*(q.EncoderWidth*d+d) + 2*d
	}
	return n
}

// derived holds the figures that follow from a config.
type derived struct {
	parameters int64 // of the frozen model
	stored     int64 // of the checkpoint that holds it
	width      int
	tokens     int
	context    int
}

func derive(s shape, kind adapters.ModelKind, size int) derived {
	if kind == adapters.KindVision {
		return s.deriveVision(size)
	}
	switch s.ModelType {
	case "opt":
		n := int64(s.opt())
		return derived{parameters: n, stored: n, width: s.EmbedWidth, context: s.Positions}
	case "t5":
		n := int64(s.t5())
		return derived{parameters: n, stored: n, width: s.DModel}
	default:
		n := int64(s.llama())
		return derived{parameters: n, stored: n, width: s.Hidden, context: s.Positions}
	}
}

func (s shape) deriveVision(size int) derived {
	v := s
	if s.Vision != nil {
		v = *s.Vision
	}
	at := v
	at.ImageSize = size
	d := derived{width: v.Hidden, tokens: at.patches() + 1}
	switch s.ModelType {
	case "clip":
		d.parameters = int64(v.clipVision())
		d.stored = d.parameters + int64(s.Text.clipText()+s.Projection*(v.Hidden+s.Text.Hidden)+1)
	case "blip-2":
		d.parameters = int64(v.eva())
		d.stored = d.parameters + int64(v.Layers*v.Hidden+2*v.Hidden+s.qformer(s.Text.EmbedWidth)+s.Text.opt())
	case "siglip":
		d.tokens--
		d.parameters = int64(v.siglip())
		d.stored = d.parameters + int64(v.siglipHead()+s.Text.clipText()+s.Text.Hidden*s.Text.Hidden+s.Text.Hidden+2)
	case "dinov2":
		d.parameters = int64(v.dinov2())
		d.stored = d.parameters
	}
	return d
}

func bytesOf(dtype string) int64 {
	if dtype == "float32" {
		return 4
	}
	return 2
}

func TestManifestsFollowFromConfigs(t *testing.T) {
	r := newRegistry(t, Options{})
	n := 0
	for _, id := range r.IDs() {
		b, err := r.Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		if b.Repository == "" {
			continue
		}
		n++
		s := readShape(t, id)
		d := derive(s, b.Kind, b.ImageSize)
		if b.Parameters != d.parameters || b.Width != d.width || b.Tokens != d.tokens || b.Context != d.context {
			t.Errorf("%s: parameters %d, width %d, tokens %d, context %d; its config gives %+v", id, b.Parameters, b.Width, b.Tokens, b.Context, d)
		}
		if want := d.stored * bytesOf(s.Stored); math.Abs(float64(b.Download-want)) > 0.002*float64(want)+100_000 {
			t.Errorf("%s: download %d, its config gives %d", id, b.Download, want)
		}
		if b.Memory != (Memory{}) {
			t.Errorf("%s: memory %+v, which follows from its sizes", id, b.Memory)
		}
		if b.ImageSize > 0 && s.Vision != nil && (b.ImageSize != s.Vision.ImageSize || b.PatchSize != s.Vision.PatchSize) {
			t.Errorf("%s: pictures of %d in patches of %d, its config says %d and %d", id, b.ImageSize, b.PatchSize, s.Vision.ImageSize, s.Vision.PatchSize)
		}
		if encoderDecoder := s.ModelType == "t5"; b.Kind == adapters.KindLanguage && encoderDecoder != (b.Architecture == adapters.EncoderDecoder) {
			t.Errorf("%s: architecture %s", id, b.Architecture)
		}
		if want := sizesOf(t, id, b.Kind); b.Sizes != want {
			t.Errorf("%s: sizes %+v, its config gives %+v", id, b.Sizes, want)
		}
		if want := map[bool]string{true: "gelu"}[strings.HasPrefix(id, "flant5-")]; b.Activation != want {
			t.Errorf("%s: activation %q, want %q", id, b.Activation, want)
		}
	}
	if n < 17 {
		t.Errorf("%d ids of the hub", n)
	}
}

// sizesOf returns the sizes that a folder with the id's config.json has.
func sizesOf(t *testing.T, id string, kind adapters.ModelKind) Sizes {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "configs", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c hfConfig
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c, err = c.frozenPart(id, kind); err != nil {
		t.Fatal(err)
	}
	return c.sizes()
}

// The formulas give the counts that are published.
func TestPublishedParameterCounts(t *testing.T) {
	for id, want := range map[string]int64{
		"opt-125m": 125_239_296, "opt-2.7b": 2_651_596_800, "opt-6.7b": 6_658_473_984,
		"flant5-base": 247_577_856, "flant5-xl": 2_849_757_184, "flant5-xxl": 11_135_332_352,
		"vicuna-7b": 6_738_415_616, "llama-3.1-8b": 8_030_261_248, "smollm2-135m": 134_515_008,
		"qwen2.5-7b": 7_615_616_512, "qwen3-8b": 8_190_735_360,
	} {
		if got := derive(readShape(t, id), adapters.KindLanguage, 0).parameters; got != want {
			t.Errorf("%s: %d, want %d", id, got, want)
		}
	}
	for id, want := range map[string]struct{ tower, whole int64 }{
		"clip-vit-l-14":        {303_179_776, 427_616_513},
		"clip-vit-l-14-336":    {303_507_456, 427_944_193},
		"siglip-so400m-14-384": {0, 877_960_498},
		"dinov2-large":         {304_368_640, 304_368_640},
	} {
		s := readShape(t, id)
		size := s.ImageSize
		if s.Vision != nil {
			size = s.Vision.ImageSize
		}
		got := derive(s, adapters.KindVision, size)
		if want.tower > 0 && got.parameters != want.tower || got.stored != want.whole {
			t.Errorf("%s: %d of %d, want %+v", id, got.parameters, got.stored, want)
		}
	}
}
