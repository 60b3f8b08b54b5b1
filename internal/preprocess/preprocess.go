package preprocess

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// Default returns the defaults of an image processor class, for square pictures with sides of side
// pixels.
func Default(class string, side int) (adapters.ImageSpec, error) {
	p, err := classOf(class, "", "")
	if err != nil {
		return adapters.ImageSpec{}, err
	}
	spec, err := p.spec()
	return WithSize(spec, adapters.Size{Width: side, Height: side}), err
}

// Read returns how to prepare pictures for the checkpoint in dir. It returns fallback if the folder
// has no processor file. If the file names no class, it uses the defaults of class.
func Read(dir, class string, fallback adapters.ImageSpec) (adapters.ImageSpec, error) {
	path, key, data, err := find(dir)
	if err != nil || data == nil {
		return fallback, err
	}
	var named struct {
		Class string `json:"image_processor_type"`
		Old   string `json:"feature_extractor_type"`
	}
	if err := jsonfile.DecodePart(path, key, data, &named); err != nil {
		return fallback, err
	}
	p, err := classOf(named.Class, named.Old, class)
	if err != nil {
		return fallback, inFile(path, err)
	}
	if err := jsonfile.DecodePart(path, key, data, &p); err != nil {
		return fallback, err
	}
	spec, err := p.spec()
	if err != nil {
		return fallback, inFile(path, err)
	}
	return spec, nil
}

// find returns the file that describes the processor, the key in it, and its text. The text is nil
// if no file describes a processor. The nested form takes precedence, like in transformers.
func find(dir string) (path, key string, data []byte, err error) {
	path = filepath.Join(dir, "processor_config.json")
	if data, err = readFile(path); err != nil {
		return path, "", nil, err
	}
	if data != nil {
		var whole struct {
			Image json.RawMessage `json:"image_processor"`
		}
		if err := jsonfile.Decode(path, data, &whole); err != nil {
			return path, "", nil, err
		}
		if len(whole.Image) > 0 && !bytes.Equal(whole.Image, []byte("null")) {
			return path, "image_processor", whole.Image, nil
		}
	}
	path = filepath.Join(dir, "preprocessor_config.json")
	data, err = readFile(path)
	return path, "", data, err
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
	}
	return data, nil
}

// inFile adds the path of the file to an error, and keeps its kind and remedy.
func inFile(path string, err error) error {
	var e *adapters.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Message = path + ": " + c.Message
	return &c
}

// WithSize returns spec for another picture size. If size is zero, it returns spec unchanged. The
// shortest edge before a crop is scaled in proportion to the crop.
func WithSize(spec adapters.ImageSpec, size adapters.Size) adapters.ImageSpec {
	if size == (adapters.Size{}) || size == spec.Size() {
		return spec
	}
	if spec.ShortestEdge != 0 {
		grown := float64(spec.ShortestEdge) * float64(max(size.Width, size.Height)) / float64(max(spec.Width, spec.Height))
		spec.ShortestEdge = int(math.Round(grown))
	}
	spec.Width, spec.Height = size.Width, size.Height
	return spec
}
