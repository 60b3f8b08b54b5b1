package registry

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/jsonfile"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/weights"
)

// hfConfig holds the keys of a Hugging Face config.json that the registry reads. Families
// use different keys for the same size; zero means that the key is absent.
type hfConfig struct {
	ModelType  string    `json:"model_type"`
	TextConfig *hfConfig `json:"text_config"`
	key        string    // of ModelType

	HiddenSize   int `json:"hidden_size"`
	DModel       int `json:"d_model"`
	EmbedWidth   int `json:"word_embed_proj_dim"` // OPT: the width at which soft prompts enter
	MaxPositions int `json:"max_position_embeddings"`
	Embd         int `json:"n_embd"` // GPT-2
	Positions    int `json:"n_positions"`

	// The keys that [Sizes] follow from.
	VisionConfig   *hfConfig `json:"vision_config"`
	HiddenLayers   int       `json:"num_hidden_layers"`
	EncoderLayers  int       `json:"num_layers"` // T5
	DecoderLayers  int       `json:"num_decoder_layers"`
	GPTLayers      int       `json:"n_layer"`
	Intermediate   int       `json:"intermediate_size"`
	FFN            int       `json:"ffn_dim"` // OPT
	DFF            int       `json:"d_ff"`    // T5
	Inner          int       `json:"n_inner"` // GPT-2; absent: four widths
	MLPRatio       int       `json:"mlp_ratio"`
	Projection     string    `json:"feed_forward_proj"`   // T5: "gated-gelu"
	KVHeads        int       `json:"num_key_value_heads"` // only decoders with gated feed-forwards have the key
	AttentionHeads int       `json:"num_attention_heads"`
	T5Heads        int       `json:"num_heads"`
	GPTHeads       int       `json:"n_head"`
	Vocabulary     int       `json:"vocab_size"`
}

// Folder returns the backbone of a Hugging Face checkpoint folder. Its id is the folder's
// name ([FolderName]); its family follows from config.json's model_type. A folder with a
// whole BLIP-2 is an error because it holds two models: [Registry.FolderKind] selects one.
func (r *Registry) Folder(dir string) (Backbone, error) { return r.FolderKind(dir, "") }

// FolderKind is like [Registry.Folder], for a model of the given kind: of a folder with a
// whole BLIP-2 it returns that part.
func (r *Registry) FolderKind(dir string, kind adapters.ModelKind) (Backbone, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return Backbone{}, err
	}
	config, err := readConfig(path)
	if err != nil {
		return Backbone{}, err
	}
	if config, err = config.frozenPart(path, kind); err != nil {
		return Backbone{}, err
	}
	family, err := r.familyOf(path, config.key, config.ModelType)
	if err != nil {
		return Backbone{}, err
	}
	m := Manifest{ID: FolderName(path), Family: family.Name, Kind: family.Kind, DType: "float32", Sizes: config.sizes()}
	if family.Kind == adapters.KindLanguage {
		config.describeLanguage(&m, family)
	} else if err := m.describeVision(family, path); err != nil {
		return Backbone{}, err
	}
	return Backbone{Manifest: m, Source: FromFolder, Path: path}, nil
}

// FolderName returns the name of the model in a folder: the folder's name or, if that is
// "checkpoint", the name of its parent.
func FolderName(path string) string {
	name := filepath.Base(path)
	if above := filepath.Dir(path); name == "checkpoint" && above != "." && above != filepath.Dir(above) {
		return filepath.Base(above)
	}
	return name
}

func readConfig(dir string) (c hfConfig, err error) {
	c.key = "model_type"
	file := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return c, adapters.Errorf(adapters.NotFound, "%s is not a checkpoint folder: %w", dir, err).
			WithRemedy("name a folder that save_pretrained wrote, or one fetched from the hub")
	}
	return c, jsonfile.Decode(file, data, &c)
}

// frozenPart returns the configuration of a whole BLIP-2's frozen model of the given kind,
// and c itself for any other folder.
func (c hfConfig) frozenPart(dir string, kind adapters.ModelKind) (hfConfig, error) {
	if c.ModelType != weights.TypeBLIP2 {
		return c, nil
	}
	switch kind {
	case adapters.KindVision: // its family describes it
		return hfConfig{ModelType: weights.TypeBLIP2Vision, key: "vision_config.model_type", VisionConfig: c.VisionConfig}, nil
	case adapters.KindLanguage:
		inner := hfConfig{}
		if c.TextConfig != nil {
			inner = *c.TextConfig
		}
		inner.ModelType, inner.key = cmp.Or(inner.ModelType, weights.DefaultBLIP2Text), "text_config.model_type"
		return inner, nil
	}
	return c, adapters.Errorf(adapters.Invalid, "%s holds a whole BLIP-2, not one model", dir).
		WithRemedy("use it as a MODEL (bridge caption %s IMAGE), or where an encoder or a language model alone is wanted", shell.Path(dir))
}

// familyOf finds the family of a folder by its model_type, the value of key.
func (r *Registry) familyOf(dir, key, modelType string) (adapters.Family, error) {
	if f, ok := adapters.FamilyOf(r.options.Families, modelType); ok {
		return f, nil
	}
	var known []string
	for _, f := range r.options.Families {
		known = append(known, f.ModelTypes...)
	}
	found := fmt.Sprintf("%s is %q", key, modelType)
	if modelType == "" {
		found = "there is no " + key
	}
	return adapters.Family{}, adapters.Errorf(adapters.Unsupported, "%s: %s, this binary reads %s%s",
		filepath.Join(dir, "config.json"), found, strings.Join(known, ", "), didyoumean.Relative(modelType, known)).
		WithRemedy("name a plugin that reads it with plugin = \"NAME\" in the recipe (bridge plugin list)")
}

// describeVision fills in what the family says about a folder: the family knows its
// tokens and its configuration's defaults.
func (m *Manifest) describeVision(family adapters.Family, path string) error {
	if family.DescribeVision == nil {
		return nil
	}
	spec, err := family.DescribeVision(path)
	if err != nil {
		return err
	}
	m.Width, m.Tokens, m.PatchSize, m.Parameters = spec.Width, spec.Tokens, spec.Patch, spec.Parameters
	if spec.Image.Width == spec.Image.Height {
		m.ImageSize = spec.Image.Width
	}
	return nil
}

func (c hfConfig) describeLanguage(m *Manifest, family adapters.Family) {
	m.Width = firstPositive(c.EmbedWidth, c.HiddenSize, c.DModel, c.Embd)
	m.Context = firstPositive(c.MaxPositions, c.Positions)
	m.Architecture = cmp.Or(family.Architecture, adapters.DecoderOnly)
	m.Templates = DefaultTemplates()
	if m.Architecture == adapters.EncoderDecoder {
		m.Templates = Templates{Caption: "a photo of", Question: "Question: {} Short answer:"}
	}
}

func firstPositive(values ...int) int {
	for _, v := range values {
		if v > 0 {
			return v
		}
	}
	return 0
}
