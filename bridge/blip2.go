package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// A whole BLIP-2 as transformers saves it (models/blip_2) is a bridge whose two
// frozen sides lie in the same folder: Blip2ForConditionalGeneration one of
// stage 2, Blip2ForImageTextRetrieval one of stage 1. Its Q-Former has the names
// that a bridge uses anyway.

// blip2Config holds the keys of such a folder's config.json that concern the bridge.
type blip2Config struct {
	ModelType      string `json:"model_type"`
	Queries        int    `json:"num_query_tokens"`
	Projection     int    `json:"image_text_hidden_size"`
	EncoderDecoder bool   `json:"is_encoder_decoder"`
	Vision         struct {
		Width int     `json:"hidden_size"`
		Eps   float64 `json:"layer_norm_eps"`
	} `json:"vision_config"`
	QFormer struct {
		Vocabulary   int     `json:"vocab_size"`
		HiddenSize   int     `json:"hidden_size"`
		Layers       int     `json:"num_hidden_layers"`
		Heads        int     `json:"num_attention_heads"`
		Intermediate int     `json:"intermediate_size"`
		Activation   string  `json:"hidden_act"`
		Dropout      float64 `json:"hidden_dropout_prob"`
		MaxPositions int     `json:"max_position_embeddings"`
		Positions    string  `json:"position_embedding_type"` // of older files
		InitStd      float64 `json:"initializer_range"`
		Eps          float64 `json:"layer_norm_eps"`
		CrossEvery   int     `json:"cross_attention_frequency"`
	} `json:"qformer_config"`
	Text struct {
		ModelType      string `json:"model_type"`
		EncoderDecoder bool   `json:"is_encoder_decoder"`
	} `json:"text_config"`
}

// visionFamily is the name of the family that reads BLIP-2's vision encoder, for [Info].
const visionFamily = "eva"

// defaultBLIP2 returns the defaults of missing keys (transformers,
// configuration_blip_2.py).
func defaultBLIP2() blip2Config {
	c := blip2Config{Queries: 32, Projection: 256}
	c.Vision.Width, c.Vision.Eps = 1408, 1e-6
	q := &c.QFormer
	q.Vocabulary, q.HiddenSize, q.Layers, q.Heads, q.Intermediate, q.Activation = 30522, 768, 12, 12, 3072, "gelu"
	q.Dropout, q.MaxPositions, q.Positions, q.InitStd, q.Eps, q.CrossEvery = 0.1, 512, "absolute", 0.02, 1e-12, 2
	c.Text.ModelType = weights.DefaultBLIP2Text
	return c
}

// config returns the Q-Former's shape in a stage; language is the width of the
// soft prompts.
func (c blip2Config) config(stage qformer.Stage, language int) qformer.Config {
	q := c.QFormer
	out := qformer.Config{
		HiddenSize: q.HiddenSize, Layers: q.Layers, Heads: q.Heads, Intermediate: q.Intermediate, Queries: c.Queries,
		CrossEvery: q.CrossEvery, EncoderWidth: c.Vision.Width, Activation: q.Activation, Dropout: q.Dropout,
		LayerNormEps: q.Eps, VisionEps: c.Vision.Eps, InitStd: q.InitStd, InitTemp: qformer.Base().InitTemp,
	}
	if stage == qformer.Stage2 {
		out.LanguageWidth = language
		return out
	}
	out.Vocabulary, out.MaxPositions, out.ProjectionDim = q.Vocabulary, q.MaxPositions, c.Projection
	return out
}

// templates returns the texts of BLIP-2's model cards. A caption follows the picture
// directly, as transformers generates it without a text.
func (b *blip2) templates() Templates {
	if b.json.EncoderDecoder || b.json.Text.EncoderDecoder || b.hasTextEncoder() {
		return Templates{Question: "Question: {} Short answer:"}
	}
	return Templates{Question: "Question: {} Answer:", TargetPrefix: " "}
}

// hasTextEncoder reports whether the folder's language model has an encoder, by the names
// of its weights: config.json may leave out that it is an encoder-decoder model.
func (b *blip2) hasTextEncoder() bool {
	return slices.ContainsFunc(b.folder.Names(), func(name string) bool {
		return strings.HasPrefix(name, weights.LanguagePrefix+"encoder.") || strings.HasPrefix(name, weights.LanguagePrefix+"model.encoder.")
	})
}

// blip2 is an open folder with a whole BLIP-2.
type blip2 struct {
	folder *weights.Folder
	json   blip2Config
	info   Info
	config qformer.Config
}

// isBLIP2 reports whether a folder's config.json is a whole BLIP-2's.
func isBLIP2(dir string) bool { return modelType(dir) == weights.TypeBLIP2 }

// modelType returns the model_type of a folder's config.json, empty if there is no readable
// one.
func modelType(dir string) string {
	var c struct {
		ModelType string `json:"model_type"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || json.Unmarshal(data, &c) != nil {
		return ""
	}
	return c.ModelType
}

// openBLIP2 reads the folder's configuration and maps its weights.
func openBLIP2(dir string) (*blip2, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	folder, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	b := &blip2{folder: folder, json: defaultBLIP2()}
	if err := b.read(); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return b, nil
}

func (b *blip2) read() error {
	if err := b.folder.DecodeConfig(&b.json); err != nil {
		return err
	}
	dir, c := b.folder.Dir(), b.json
	if c.QFormer.Positions != "absolute" {
		return adapters.Errorf(adapters.Unsupported, "%s: qformer_config.position_embedding_type is %q, want \"absolute\"", b.folder.Path("config.json"), c.QFormer.Positions)
	}
	side := Side{ID: filepath.Base(dir), Path: dir, Family: visionFamily, Width: c.Vision.Width, Layer: -1}
	b.info = Info{Stage: 1, Vision: side}
	width := 0
	if w, ok := b.folder.Tensor(projectionWeight); ok && len(w.Shape) == 2 {
		width = w.Shape[0]
		templates := b.templates()
		b.info.Stage, b.info.Templates = 2, &templates
		b.info.Language = &Side{ID: filepath.Base(dir), Path: dir, Family: c.Text.ModelType, Width: width}
	} else if _, ok := b.folder.Tensor("itm_head.weight"); !ok {
		return adapters.Errorf(adapters.Unsupported, "%s has neither language_projection.weight nor itm_head.weight: it is no Blip2ForConditionalGeneration and no Blip2ForImageTextRetrieval", dir).
			WithRemedy("save one of the two classes with save_pretrained")
	}
	b.config = c.config(b.info.parameters(), width)
	if err := b.config.Validate(b.info.parameters()); err != nil {
		return adapters.Errorf(adapters.Corrupt, "%s: %w", b.folder.Path("config.json"), err)
	}
	return b.readExtra()
}

// tensorSpecs lists the bridge's tensors. Those that transformers' retrieval class lacks
// are optional.
func (b *blip2) tensorSpecs() []weights.TensorSpec {
	var specs []weights.TensorSpec
	for _, p := range b.config.Parameters(b.info.parameters()) {
		specs = append(specs, weights.TensorSpec{Name: p.Name, Shape: p.Shape, Optional: !inHuggingFace(p)})
	}
	return specs
}

// inHuggingFace reports whether transformers' classes have a weight: they lack
// stage 1's temperature and language modeling head.
func inHuggingFace(p qformer.Param) bool { return p.Part != qformer.PartDecoder && p.Name != "temp" }

// unused lists the tensors that the file may hold and the bridge does not read.
func (b *blip2) unused() weights.UnusedList {
	const encoder = "the vision encoder's, which family eva reads"
	list := weights.UnusedList{
		{Name: weights.VisionPrefix + "embeddings.*", Reason: encoder},
		{Name: weights.VisionPrefix + "encoder.*", Reason: encoder},
		{Name: "embeddings.position_ids", Reason: "the numbers 0, 1, 2, …; older files hold them"},
	}
	if b.info.Stage == 2 {
		const text = "the text side of the Q-Former, which stage 2 does not use"
		list = append(list,
			weights.Unused{Name: weights.LanguagePrefix + "*", Reason: "the language model's, which its family reads"},
			weights.Unused{Name: "qformer.encoder.layer.N.intermediate.dense.*", Reason: text},
			weights.Unused{Name: "qformer.encoder.layer.N.output.*", Reason: text})
	}
	return list
}

// load makes the bridge. The folder stays open.
func (b *blip2) load(ctx context.Context, backend compute.Backend) (*Bridge, error) {
	digest, err := b.folder.Digest()
	if err != nil {
		return nil, err
	}
	b.info.Vision.Digest = digest
	if b.info.Language != nil {
		b.info.Language.Digest = digest
	}
	store, err := b.folder.Load(ctx, backend, b.tensorSpecs(), weights.Options{Ignore: b.unused().Has})
	if err != nil {
		return nil, err
	}
	out := newBridge(backend, b.config, store, nil, b.info)
	if err := b.complete(ctx, out); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// complete adds what the folder's weights lack: the text side's tokenizer, and fresh values
// of weights that transformers does not keep.
func (b *blip2) complete(ctx context.Context, out *Bridge) error {
	for v := range out.store.IterVariables() {
		v.SetTrainable(true)
	}
	if b.info.Stage == 2 {
		return nil
	}
	if err := b.loadExtra(out.store); err != nil {
		return err
	}
	var fresh []qformer.Param
	for _, p := range b.config.Parameters(qformer.Stage1) {
		if out.store.GetVariable(qformer.VariablePath(p.Name)) == nil {
			fresh = append(fresh, p)
		}
	}
	if err := qformer.Init(out.store, b.config, fresh, 0); err != nil {
		return err
	}
	var err error
	out.tokenizer, err = OpenTokenizer(ctx, b.folder.Path(tokenizerFile))
	return err
}

// readBLIP2 is [ReadInfo] for a whole BLIP-2.
func readBLIP2(dir string) (Info, qformer.Config, error) {
	b, err := openBLIP2(dir)
	if err != nil {
		return Info{}, qformer.Config{}, err
	}
	return b.info, b.config, b.folder.Close()
}

// loadBLIP2 is [Load] for a whole BLIP-2.
func loadBLIP2(ctx context.Context, backend compute.Backend, dir string) (*Bridge, error) {
	b, err := openBLIP2(dir)
	if err != nil {
		return nil, err
	}
	out, err := b.load(ctx, backend)
	return out, errors.Join(err, b.folder.Close())
}

// extraJSON holds the properties of a bridge that transformers has no place for. It is saved
// beside config.json, where transformers ignores it, so that a conversion to a Hugging Face
// folder and back loses nothing.
type extraJSON struct {
	Format    int     `json:"format"`
	VisionEps float64 `json:"vision_layer_norm_eps"`
	InitTemp  float64 `json:"initial_temperature"`
	Info
}

// The files of what transformers has no place for.
const (
	extraFile    = "bridge_info.json"
	extraWeights = "bridge_extra.safetensors" // of stage 1: the temperature and the language modeling head
)

// readExtra reads the properties of a converted bridge that transformers' configuration
// lacks. The frozen sides stay those of the folder.
func (b *blip2) readExtra() error {
	var e extraJSON
	found, err := b.folder.DecodeFile(extraFile, &e)
	if err != nil || !found {
		return err
	}
	if e.Format > formatVersion {
		return adapters.Errorf(adapters.Unsupported, "%s is of format %d, this bridge reads up to %d", b.folder.Path(extraFile), e.Format, formatVersion).
			WithRemedy("use a newer bridge, or remove the file")
	}
	if e.Info.Stage != b.info.Stage {
		return adapters.Errorf(adapters.Corrupt, "%s is of stage %d, the weights beside it are of stage %d", b.folder.Path(extraFile), e.Info.Stage, b.info.Stage).
			WithRemedy("remove the file, or convert again")
	}
	b.config.VisionEps, b.config.InitTemp = e.VisionEps, e.InitTemp
	kept := b.info
	b.info = e.Info
	b.info.Vision = kept.Vision
	b.info.Language = kept.Language
	if kept.Language != nil && e.Info.Language != nil {
		b.info.Language.TokenNorm = e.Info.Language.TokenNorm
	}
	if b.info.Templates == nil {
		b.info.Templates = kept.Templates
	}
	return nil
}

// loadExtra reads the stage-1 weights that transformers lacks, if a conversion kept them.
func (b *blip2) loadExtra(store *model.Store) error {
	path := b.folder.Path(extraWeights)
	found, _, err := weights.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("what %s keeps of stage 1: %w", b.folder.Dir(), err)
	}
	var params []qformer.Param
	for _, p := range b.config.Parameters(qformer.Stage1) {
		if !inHuggingFace(p) {
			params = append(params, p)
		}
	}
	return createParameters(store, path, found, params)
}
