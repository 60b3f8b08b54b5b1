package convert

import (
	"context"
	"errors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/weights"
)

// FromFolder returns a folder of transformers as it is. If a generative model lacks the
// token of pictures, which transformers needs since version 4.46, and the language model
// has an unused embedding for it, FromFolder adds the token. families describe the
// tokenizers of language models.
func FromFolder(ctx context.Context, dir string, families []adapters.Family) (*Checkpoint, error) {
	f, err := weights.Open(dir)
	if err != nil {
		return nil, err
	}
	c := newCheckpoint()
	c.closer = append(c.closer, f.Close)
	if err := c.fromFolder(ctx, f, families); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) fromFolder(ctx context.Context, f *weights.Folder, families []adapters.Family) error {
	if f.ModelType() != weights.TypeBLIP2 && f.ModelType() != weights.TypeBLIP2Vision {
		return adapters.Errorf(adapters.Unsupported, "%s: model_type is %q, want %q or %q: frozen models need no conversion",
			f.Path("config.json"), f.ModelType(), weights.TypeBLIP2, weights.TypeBLIP2Vision).
			WithRemedy("use the folder itself where an encoder or a language model is wanted")
	}
	var err error
	if c.Config, err = object(f); err != nil {
		return err
	}
	c.addTensors(f, "", nil)
	names := append(append(append([]string{}, tokenizerFiles...), processorFiles...), bridge.ExtraFiles()...)
	if err := c.copyFiles(f.Dir(), append(names, generationFile)); err != nil {
		return err
	}
	if _, generative := f.Tensor("language_projection.weight"); !generative || c.Config["image_token_index"] != nil {
		return nil
	}
	modelType, _ := c.textConfig()["model_type"].(string)
	family, _ := adapters.FamilyOf(families, modelType)
	tok, err := openLanguageTokenizer(ctx, f, family.TokenizerFor(modelType))
	if err != nil {
		return err
	}
	defer tok.Close()
	if tok.image >= tok.vocabulary {
		return nil // the older form, unchanged
	}
	c.Config["image_token_index"] = tok.image
	return errors.Join(c.addTokenizer(tok), c.countQueries())
}

// countQueries sets how often transformers' processor repeats the token.
func (c *Checkpoint) countQueries() error {
	processor := map[string]any{}
	if data, ok := c.Files["processor_config.json"]; ok {
		var err error
		if processor, err = decode(data); err != nil {
			return adapters.Errorf(adapters.Corrupt, "processor_config.json is not a JSON object: %w", err).
				WithRemedy("download the file again")
		}
	}
	processor["processor_class"], processor["num_query_tokens"] = "Blip2Processor", number(c.Config, 32, "num_query_tokens")
	return c.putJSON("processor_config.json", processor)
}

func (c *Checkpoint) textConfig() map[string]any {
	text, _ := c.Config["text_config"].(map[string]any)
	if text == nil {
		text = defaultText()
	}
	return text
}

// defaultText returns the text_config that transformers' Blip2Config assumes.
func defaultText() map[string]any {
	return map[string]any{"model_type": weights.DefaultBLIP2Text}
}
