package weights

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// TypeBLIP2 is the model_type of a folder with a whole BLIP-2: vision encoder, Q-Former and, in
// Blip2ForConditionalGeneration, language model.
const TypeBLIP2 = "blip-2"

// TypeBLIP2Vision is the model_type of a BLIP-2's vision encoder.
const TypeBLIP2Vision = "blip_2_vision_model"

// DefaultBLIP2Text is the model_type of a BLIP-2's language model if text_config has none (see
// transformers' Blip2Config).
const DefaultBLIP2Text = "opt"

// blip2Part describes one of the frozen models in the folder of a whole BLIP-2.
type blip2Part struct {
	config    string // its key in config.json
	prefix    string // prefix of the names of its weights
	modelType string // default model_type
}

func blip2PartOf(kind adapters.ModelKind) blip2Part {
	if kind == adapters.KindVision {
		return blip2Part{"vision_config", VisionPrefix, TypeBLIP2Vision}
	}
	return blip2Part{"text_config", LanguagePrefix, DefaultBLIP2Text}
}

// The prefixes of a frozen model's tensors in a whole BLIP-2.
const (
	VisionPrefix   = "vision_model."
	LanguagePrefix = "language_model."
)

// OpenPart is like [Open]. If dir has a whole BLIP-2, the result contains only the frozen model of
// the given kind, as if it were saved alone: its own configuration and model_type, and its tensors
// without their prefix.
func OpenPart(dir string, kind adapters.ModelKind) (*Folder, error) {
	f, err := Open(dir)
	if err != nil || f.modelType != TypeBLIP2 {
		return f, err
	}
	if err := f.keepPart(blip2PartOf(kind)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenConfig is like [OpenPart], but does not open weights. The folder may have none.
func OpenConfig(dir string, kind adapters.ModelKind) (*Folder, error) {
	f := &Folder{dir: dir, tensors: map[string]View{}}
	err := f.readConfig()
	if err == nil && f.modelType == TypeBLIP2 {
		err = f.keepPartConfig(blip2PartOf(kind))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// keepPartConfig keeps only the configuration of a part.
func (f *Folder) keepPartConfig(p blip2Part) error {
	var whole map[string]json.RawMessage
	if err := f.DecodeConfig(&whole); err != nil {
		return err
	}
	config := whole[p.config]
	if len(config) == 0 || string(config) == "null" { // transformers omits its default configuration
		config = json.RawMessage("{}")
	}
	f.config, f.key = config, p.config
	err := f.readModelType()
	f.modelType = cmp.Or(f.modelType, p.modelType)
	return err
}

// keepPart keeps only the configuration and the tensors of a part.
func (f *Folder) keepPart(p blip2Part) error {
	if err := f.keepPartConfig(p); err != nil {
		return err
	}
	inner := map[string]View{}
	for name, view := range f.tensors {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok {
			inner[rest] = view
		}
	}
	if len(inner) == 0 {
		return adapters.Errorf(adapters.NotFound, "%s: no weight is named %s…: this %s folder does not contain that model", f.dir, p.prefix, TypeBLIP2).
			WithRemedy("name the folder of the model too, in addition to the bridge")
	}
	f.tensors, f.prefix = inner, p.prefix
	return nil
}
