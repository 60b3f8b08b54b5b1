package registry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/nearest"
)

// hfConfig is what the registry reads of a Hugging Face config.json. Families
// name the same thing differently; the zero value means absent.
type hfConfig struct {
	ModelType string `json:"model_type"`

	HiddenSize     int  `json:"hidden_size"`
	DModel         int  `json:"d_model"`
	EmbedWidth     int  `json:"word_embed_proj_dim"` // OPT: the width at which soft prompts enter
	MaxPositions   int  `json:"max_position_embeddings"`
	EncoderDecoder bool `json:"is_encoder_decoder"`
	Embd           int  `json:"n_embd"` // GPT-2
	Positions      int  `json:"n_positions"`
}

// Folder returns the backbone of a Hugging Face checkpoint folder. Its id is
// the folder's name; its family follows from config.json's model_type.
func (r *Registry) Folder(dir string) (Backbone, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return Backbone{}, err
	}
	config, err := readConfig(path)
	if err != nil {
		return Backbone{}, err
	}
	family, err := r.familyOf(path, config.ModelType)
	if err != nil {
		return Backbone{}, err
	}
	m := Manifest{ID: filepath.Base(path), Family: family.Name, Kind: family.Kind, DType: "float32"}
	if family.Kind == adapters.KindLanguage {
		config.describeLanguage(&m)
	} else if err := m.describeVision(family, path); err != nil {
		return Backbone{}, err
	}
	return Backbone{Manifest: m, Source: FromFolder, Path: path}, nil
}

func readConfig(dir string) (c hfConfig, err error) {
	file := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return c, adapters.Errorf(adapters.NotFound, "%s is not a checkpoint folder: %w", dir, err).
			WithRemedy("name a folder that save_pretrained wrote, or one fetched from the hub")
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, adapters.Errorf(adapters.Corrupt, "%s: %w", file, err).WithRemedy("fetch the file again")
	}
	return c, nil
}

func (r *Registry) familyOf(dir, modelType string) (adapters.Family, error) {
	var known []string
	for _, f := range r.options.Families {
		if slices.Contains(f.ModelTypes, modelType) {
			return f, nil
		}
		known = append(known, f.ModelTypes...)
	}
	return adapters.Family{}, adapters.Errorf(adapters.Unsupported, "%s: model_type is %q, this binary reads %s%s",
		filepath.Join(dir, "config.json"), modelType, strings.Join(known, ", "), nearest.Relative(modelType, known)).
		WithRemedy("name an adapter's executable with plugin = \"path\" in the recipe")
}

// describeVision asks the family, which knows its tokens and the defaults of what
// a configuration leaves out.
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

func (c hfConfig) describeLanguage(m *Manifest) {
	m.Width = firstPositive(c.EmbedWidth, c.HiddenSize, c.DModel, c.Embd)
	m.Context = firstPositive(c.MaxPositions, c.Positions)
	m.Architecture = adapters.DecoderOnly
	m.Prompts = DefaultPrompts()
	if c.EncoderDecoder {
		m.Architecture = adapters.EncoderDecoder
		m.Prompts = Prompts{Caption: "a photo of", Question: "Question: {} Short answer:"}
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
