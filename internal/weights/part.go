package weights

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// TypeBLIP2 is the model_type of a folder that holds a whole bridge: vision
// encoder, Q-Former and, in Blip2ForConditionalGeneration, language model.
const TypeBLIP2 = "blip-2"

// TypeBLIP2Vision is the model_type of its vision encoder.
const TypeBLIP2Vision = "blip_2_vision_model"

// part says where a whole bridge keeps one of its frozen models.
type part struct {
	config    string // key of config.json
	prefix    string // of the weights' names
	modelType string // where the configuration does not say
}

func partOf(kind adapters.ModelKind) part {
	if kind == adapters.KindVision {
		return part{"vision_config", VisionPrefix, TypeBLIP2Vision}
	}
	return part{"text_config", LanguagePrefix, "opt"}
}

// What the names of a frozen model's weights begin with in a whole BLIP-2.
const (
	VisionPrefix   = "vision_model."
	LanguagePrefix = "language_model."
)

// OpenPart opens dir as [Open] does. Where it holds a whole bridge, the result
// shows only the frozen model of the given kind, as if it were saved alone: its
// own configuration and model_type, and its weights without their prefix.
func OpenPart(dir string, kind adapters.ModelKind) (*Folder, error) {
	f, err := Open(dir)
	if err != nil || f.modelType != TypeBLIP2 {
		return f, err
	}
	if err := f.narrow(partOf(kind)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenConfig is [OpenPart] of the configuration alone: the folder need not hold
// weights, and shows none.
func OpenConfig(dir string, kind adapters.ModelKind) (*Folder, error) {
	f := &Folder{dir: dir, tensors: map[string]View{}}
	err := f.readConfig()
	if err == nil && f.modelType == TypeBLIP2 {
		err = f.narrowConfig(partOf(kind))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// narrowConfig leaves only a part's configuration.
func (f *Folder) narrowConfig(p part) error {
	var whole map[string]json.RawMessage
	if err := f.DecodeConfig(&whole); err != nil {
		return err
	}
	config := whole[p.config]
	if len(config) == 0 || string(config) == "null" { // all of it as transformers' defaults
		config = json.RawMessage("{}")
	}
	f.config, f.key = config, p.config
	err := f.readModelType()
	f.modelType = cmp.Or(f.modelType, p.modelType)
	return err
}

// narrow leaves only a part's configuration and weights.
func (f *Folder) narrow(p part) error {
	if err := f.narrowConfig(p); err != nil {
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
