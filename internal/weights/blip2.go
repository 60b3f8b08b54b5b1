package weights

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// TypeBLIP2 is the model_type of a folder that holds a whole BLIP-2: vision encoder,
// Q-Former and, in Blip2ForConditionalGeneration, language model.
const TypeBLIP2 = "blip-2"

// TypeBLIP2Vision is the model_type of its vision encoder.
const TypeBLIP2Vision = "blip_2_vision_model"

// DefaultBLIP2Text is the model_type of its language model if text_config names none
// (transformers' Blip2Config).
const DefaultBLIP2Text = "opt"

// blip2Part says where the folder of a whole BLIP-2 keeps one of its frozen models.
type blip2Part struct {
	config    string // key of config.json
	prefix    string // of the weights' names
	modelType string // the default
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

// OpenPart opens dir as [Open] does. If dir holds a whole BLIP-2, the result contains only
// the frozen model of the given kind, as if it were saved alone: its own configuration
// and model_type, and its tensors without their prefix.
func OpenPart(dir string, kind adapters.ModelKind) (*Folder, error) {
	f, err := Open(dir)
	if err != nil || f.modelType != TypeBLIP2 {
		return f, err
	}
	if err := f.restrictTo(blip2PartOf(kind)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenConfig is like [OpenPart], without weights: the folder need not hold any.
func OpenConfig(dir string, kind adapters.ModelKind) (*Folder, error) {
	f := &Folder{dir: dir, tensors: map[string]View{}}
	err := f.readConfig()
	if err == nil && f.modelType == TypeBLIP2 {
		err = f.restrictConfigTo(blip2PartOf(kind))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// restrictConfigTo keeps only a part's configuration.
func (f *Folder) restrictConfigTo(p blip2Part) error {
	var whole map[string]json.RawMessage
	if err := f.DecodeConfig(&whole); err != nil {
		return err
	}
	config := whole[p.config]
	if len(config) == 0 || string(config) == "null" { // transformers' defaults
		config = json.RawMessage("{}")
	}
	f.config, f.key = config, p.config
	err := f.readModelType()
	f.modelType = cmp.Or(f.modelType, p.modelType)
	return err
}

// restrictTo keeps only a part's configuration and tensors.
func (f *Folder) restrictTo(p blip2Part) error {
	if err := f.restrictConfigTo(p); err != nil {
		return err
	}
	inner := map[string]View{}
	for name, view := range f.tensors {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok {
			inner[rest] = view
		}
	}
	if len(inner) == 0 {
		return adapters.Errorf(adapters.NotFound, "%s: no weight is named %s…: this %s folder lacks that model", f.dir, p.prefix, TypeBLIP2).
			WithRemedy("name the model's own folder beside the bridge")
	}
	f.tensors = inner
	return nil
}
