package convert

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/torchfile"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// LAVIS is an open checkpoint of LAVIS (.pth): the trained part of a BLIP-2, with or without
// its EVA-CLIP encoder, or that encoder alone (eva_vit_g.pth).
type LAVIS struct {
	path    string
	file    *torchfile.File
	trained map[string]weights.View // under transformers' names
	encoder map[string]weights.View // under LAVIS's, without their prefix
	stage   int                     // 0 for an encoder alone
	project string                  // a key of lavisLanguages in stage 2

	// Frozen weights that bridge reads from the folders of their models.
	language map[string]weights.View // of the language model, under LAVIS's names
	clip     map[string]weights.View // of a CLIP, as encoder has them
}

// OpenLAVIS reads a file without executing anything of it, and assigns its weights to the
// trained part or the encoder. Other weights are an error that names one.
func OpenLAVIS(path string) (*LAVIS, error) {
	f, err := torchfile.Open(path)
	if err != nil {
		return nil, err
	}
	l := newLAVIS(path, f)
	if err := l.classify(); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func newLAVIS(path string, f *torchfile.File) *LAVIS {
	return &LAVIS{path: path, file: f, trained: map[string]weights.View{}, encoder: map[string]weights.View{}, language: map[string]weights.View{}}
}

// Close unmaps the file.
func (l *LAVIS) Close() error { return l.file.Close() }

// Stage returns 1 or 2, or 0 for an encoder alone.
func (l *LAVIS) Stage() int { return l.stage }

// HasEncoder reports whether the file holds the EVA-CLIP encoder.
func (l *LAVIS) HasEncoder() bool { return len(l.encoder) > 0 }

// lavisLanguage describes one of LAVIS's classes of BLIP-2 by its language model.
type lavisLanguage struct {
	module     string // LAVIS's name of the language model
	modelType  string // of the checkpoint that it loads; empty if it loads several
	activation string // that it computes the checkpoint with, if not the checkpoint's own
}

// lavisLanguages returns LAVIS's classes by their name of the projection to the language
// model (blip2_opt.py, blip2_t5.py, blip2_vicuna_instruct.py).
func lavisLanguages() map[string]lavisLanguage {
	return map[string]lavisLanguage{
		"opt_proj": {module: "opt_model", modelType: "opt"},
		"t5_proj":  {module: "t5_model", modelType: "t5", activation: "gelu"},
		"llm_proj": {module: "llm_model"},
	}
}

func (l *LAVIS) classify() error {
	if _, ok := l.file.Tensors["query_tokens"]; !ok {
		return l.classifyEncoder()
	}
	var unknown []string
	for name, v := range l.file.Tensors {
		if rest, ok := strings.CutPrefix(name, "visual_encoder."); ok {
			l.encoder[rest] = v
			continue
		}
		if isLanguage(name) {
			l.language[name] = v
			continue
		}
		to, ok := l.rename(name)
		switch {
		case !ok:
			unknown = append(unknown, name+" "+v.Describe())
		case to != "":
			l.trained[to] = v
		}
	}
	if err := l.checkTied(); err != nil {
		return err
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return adapters.Errorf(adapters.Unsupported, "%s: %d weights are not a BLIP-2's, such as %s", l.path, len(unknown), unknown[0]).
			WithRemedy("bridge reads the checkpoints of LAVIS's blip2_pretrain, blip2_opt, blip2_t5 and of models tuned from them")
	}
	if _, clip := l.encoder["class_embedding"]; clip { // LAVIS's CLIP ViT-L
		l.clip, l.encoder = l.encoder, nil
	}
	return l.findStage()
}

// checkTied compares the weights that LAVIS saves twice (Qformer.py, BertLMHeadModel).
func (l *LAVIS) checkTied() error {
	for name, as := range map[string]string{
		"Qformer.cls.predictions.decoder.weight": "Qformer.bert.embeddings.word_embeddings.weight",
		"Qformer.cls.predictions.decoder.bias":   "Qformer.cls.predictions.bias",
	} {
		v, ok := l.file.Tensors[name]
		if other, too := l.file.Tensors[as]; ok && too && !v.Same(other) {
			return adapters.Errorf(adapters.Unsupported, "%s: %s differs from %s, and a Q-Former has one tensor for both", l.path, name, as).
				WithRemedy("save the file with LAVIS, which ties the two")
		}
	}
	return nil
}

func (l *LAVIS) findStage() error {
	_, text := l.trained["embeddings.word_embeddings.weight"]
	if l.project == "" {
		l.stage = 1
		return nil
	}
	if l.stage = 2; text {
		return adapters.Errorf(adapters.Unsupported, "%s: it has %s and a text side in its Q-Former: it is an InstructBLIP, whose Q-Former reads the question too", l.path, l.project).
			WithRemedy("use a BLIP-2: its stage-2 checkpoints have no Qformer.bert.embeddings.word_embeddings")
	}
	return nil
}

// classifyEncoder reads the file as eva_vit_g.pth.
func (l *LAVIS) classifyEncoder() error {
	if _, ok := l.file.Tensors["blocks.0.attn.qkv.weight"]; !ok {
		names := slices.Sorted(maps.Keys(l.file.Tensors))
		return adapters.Errorf(adapters.Unsupported, "%s has neither query_tokens nor blocks.0.attn.qkv.weight: it is neither a BLIP-2 nor an EVA-CLIP of LAVIS (its first weight is %s)", l.path, names[0])
	}
	l.encoder = l.file.Tensors
	return nil
}

// layerName matches a layer of LAVIS's Q-Former.
var layerName = regexp.MustCompile(`^encoder\.layer\.(\d+)\.(.*)$`)

// rename returns transformers' name of a weight, empty for one that is not
// needed. ok is false for a weight that is unknown.
func (l *LAVIS) rename(name string) (to string, ok bool) {
	module, parameter, _ := strings.Cut(name, ".")
	switch {
	case name == "query_tokens" || name == "temp" || module == "itm_head":
		return name, true
	case module == "ln_vision":
		return weights.VisionPrefix + "post_layernorm." + parameter, true
	case module == "vision_proj" || module == "text_proj":
		return strings.TrimSuffix(module, "_proj") + "_projection." + parameter, true
	case module == "Qformer":
		return renameQFormer(parameter)
	}
	if _, ok := lavisLanguages()[module]; ok {
		l.project = module
		return "language_projection." + parameter, true
	}
	return "", false
}

// isLanguage reports whether a weight is one of a frozen language model.
func isLanguage(name string) bool {
	module, _, _ := strings.Cut(name, ".")
	for _, language := range lavisLanguages() {
		if module == language.module {
			return true
		}
	}
	return false
}

func renameQFormer(name string) (to string, ok bool) {
	if rest, ok := strings.CutPrefix(name, "cls."); ok {
		if rest == "predictions.decoder.weight" || rest == "predictions.decoder.bias" {
			return "", true // the word embedding and predictions.bias again
		}
		return "cls." + rest, strings.HasPrefix(rest, "predictions.")
	}
	rest, ok := strings.CutPrefix(name, "bert.")
	if !ok {
		return "", false
	}
	switch {
	case rest == "embeddings.position_ids":
		return "", true
	case strings.HasPrefix(rest, "embeddings.LayerNorm."):
		return "qformer.layernorm." + strings.TrimPrefix(rest, "embeddings.LayerNorm."), true
	case strings.HasPrefix(rest, "embeddings."):
		return rest, true
	}
	m := layerName.FindStringSubmatch(rest)
	if m == nil {
		return "", false
	}
	inner := strings.Replace(m[2], "attention.self.", "attention.attention.", 1) // crossattention.self too
	return "qformer.encoder.layer." + m[1] + "." + inner, true
}

// Config returns the Q-Former's shape. The weights do not determine the number of heads; 0
// means heads of width 64, as BERT has.
func (l *LAVIS) Config(heads int) (qformer.Config, error) {
	c := qformer.Base()
	shape := func(name string, axis int) int {
		v, ok := l.trained[name]
		if !ok || len(v.Shape) <= axis {
			return 0
		}
		return v.Shape[axis]
	}
	c.Queries, c.HiddenSize = shape("query_tokens", 1), shape("query_tokens", 2)
	c.EncoderWidth = shape(weights.VisionPrefix+"post_layernorm.weight", 0)
	c.Intermediate = shape("qformer.encoder.layer.0.intermediate_query.dense.weight", 0)
	c.LanguageWidth = shape("language_projection.weight", 0)
	c.Vocabulary, c.MaxPositions = shape("embeddings.word_embeddings.weight", 0), shape("embeddings.position_embeddings.weight", 0)
	c.ProjectionDim = shape("vision_projection.weight", 0)
	c.Layers, c.CrossEvery = l.layers()
	if c.Heads = heads; heads == 0 {
		c.Heads = c.HiddenSize / 64
	}
	if heads == 0 && c.HiddenSize%64 != 0 {
		return c, adapters.Errorf(adapters.Invalid, "%s: the number of attention heads is not known: the weights do not record it, and the Q-Former's width, %d, is not a multiple of 64, the width of BERT's heads", l.path, c.HiddenSize).
			WithRemedy("pass --heads")
	}
	return c, nil
}

// layers returns the number of the Q-Former's layers, and the distance between layers with
// cross-attention.
func (l *LAVIS) layers() (layers, every int) {
	for l.has(layers, "attention") {
		layers++
	}
	for every = 1; every < layers && !l.has(every, "crossattention"); every++ {
	}
	return layers, every
}

func (l *LAVIS) has(layer int, block string) bool {
	_, ok := l.trained["qformer.encoder.layer."+strconv.Itoa(layer)+"."+block+".attention.query.weight"]
	return ok
}

// Bridge makes a bridge of the trained part. It takes over tok, the text side's tokenizer,
// which a stage-1 checkpoint needs.
func (l *LAVIS) Bridge(backend compute.Backend, config qformer.Config, tok *bridge.Tokenizer, info bridge.Info) (*bridge.Bridge, error) {
	weights := make(map[string]*adapters.Tensor, len(l.trained))
	for name, v := range l.trained {
		values, err := v.Float32s()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", l.path, name, err)
		}
		shape := v.Shape
		if name == "temp" { // a scalar, or a vector of one
			shape = []int{}
		}
		weights[name] = adapters.FromFloat32(values, shape...)
	}
	info.Stage = l.stage
	b, err := bridge.FromWeights(backend, config, weights, tok, info)
	if err != nil {
		return nil, adapters.Errorf(adapters.KindOf(err), "%s: %w", l.path, err)
	}
	return b, nil
}

// Projection returns LAVIS's name of the projection to the language model, empty if the
// file has none.
func (l *LAVIS) Projection() string { return l.project }

// LanguageType returns the model_type of the language model that the file was trained
// with, empty if the file does not tell.
func (l *LAVIS) LanguageType() string { return lavisLanguages()[l.project].modelType }

// Activation returns the activation with which LAVIS computes the language model, empty for
// that of its checkpoint.
func (l *LAVIS) Activation() string { return lavisLanguages()[l.project].activation }
