package weights

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// The files of a checkpoint folder.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
)

// Folder is an open Hugging Face checkpoint folder. Its methods, except Close, are safe for
// concurrent use.
type Folder struct {
	dir       string
	config    []byte
	key       string // key in config.json whose value is config; empty if config is the whole file
	prefix    string // of the tensors' names in the file, if the folder is a part
	modelType string
	files     []*file         // sorted by name
	random    *Random         // if the folder has no weights, but says how to draw them
	tensors   map[string]View // tensors of all files
}

// Open opens a checkpoint folder: config.json, and the weights in model.safetensors or in the
// shards listed in model.safetensors.index.json. A folder without weights may have
// random_weights.json ([Random]).
func Open(dir string) (*Folder, error) {
	f := &Folder{dir: dir, tensors: map[string]View{}}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Folder) open() error {
	if err := f.readConfig(); err != nil {
		return err
	}
	names, index, err := f.weightFiles()
	if err != nil {
		return err
	}
	for _, name := range names {
		file, err := openFile(filepath.Join(f.dir, name))
		if err != nil {
			return err
		}
		f.files = append(f.files, file)
		for tensor, view := range file.tensors {
			if _, twice := f.tensors[tensor]; twice {
				return corrupt(file.path, "tensor %q is also in another shard", tensor)
			}
			f.tensors[tensor] = view
		}
	}
	return f.checkIndex(index)
}

func (f *Folder) readConfig() error {
	path := filepath.Join(f.dir, configFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return adapters.Errorf(adapters.NotFound, "%s is not a checkpoint folder: %w", f.dir, err).
			WithRemedy("name a folder with config.json and model.safetensors, in the form of Hugging Face")
	}
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "cannot read config.json: %w", err)
	}
	f.config = data
	return f.readModelType()
}

func (f *Folder) readModelType() error {
	var head struct {
		ModelType string `json:"model_type"`
	}
	if err := f.DecodeConfig(&head); err != nil {
		return err
	}
	f.modelType = head.ModelType
	return nil
}

// weightFiles returns the names of the weight files. If the folder has an index, it also returns
// the index: the file of each tensor.
func (f *Folder) weightFiles() ([]string, map[string]string, error) {
	random, err := f.readRandom()
	if err != nil {
		return nil, nil, err
	}
	if random {
		return nil, nil, f.checkNoWeights()
	}
	if exists(filepath.Join(f.dir, weightsFile)) {
		return []string{weightsFile}, nil, nil
	}
	path := filepath.Join(f.dir, indexFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, f.missingWeights()
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := jsonfile.Decode(path, data, &index); err != nil {
		return nil, nil, err
	}
	if len(index.WeightMap) == 0 {
		return nil, nil, corrupt(path, "weight_map is empty, want the file of each tensor")
	}
	var names []string
	for tensor, name := range index.WeightMap {
		if name != filepath.Base(name) || !filepath.IsLocal(name) {
			return nil, nil, corrupt(path, "tensor %q is in %q, want a file in the same folder", tensor, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), index.WeightMap, nil
}

func (f *Folder) missingWeights() error {
	err := adapters.Errorf(adapters.NotFound, "%s has neither %s nor %s", f.dir, weightsFile, indexFile)
	if exists(filepath.Join(f.dir, "pytorch_model.bin")) || exists(filepath.Join(f.dir, "pytorch_model.bin.index.json")) {
		err.Kind = adapters.Unsupported
		return err.WithRemedy("pytorch_model.bin is a pickle, which bridge does not read: " +
			"load the model in transformers and save it with save_pretrained")
	}
	return err.WithRemedy("download the folder again, with the weights")
}

func (f *Folder) checkIndex(index map[string]string) error {
	for tensor, name := range index {
		if _, ok := f.tensors[tensor]; !ok {
			return corrupt(filepath.Join(f.dir, indexFile), "tensor %q is not in %s, although the index lists it there", tensor, name)
		}
	}
	return nil
}

// Dir returns the folder's path.
func (f *Folder) Dir() string { return f.dir }

// Path returns the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// ModelType returns the model_type in config.json, or "" if it has none.
func (f *Folder) ModelType() string { return f.modelType }

// DecodeConfig decodes config.json into v, a pointer to a struct with json tags. It ignores keys
// without a field.
func (f *Folder) DecodeConfig(v any) error {
	return jsonfile.DecodePart(filepath.Join(f.dir, configFile), f.key, f.config, v)
}

// ConfigKey returns the full name of a configuration key in config.json. For a part of a whole
// BLIP-2 this is, for example, "text_config.model_type".
func (f *Folder) ConfigKey(name string) string {
	if f.key == "" {
		return name
	}
	return f.key + "." + name
}

// DecodeFile decodes another JSON file of the folder into v. It returns false if the file does not
// exist.
func (f *Folder) DecodeFile(name string, v any) (bool, error) {
	path := filepath.Join(f.dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
	}
	return true, jsonfile.Decode(path, data, v)
}

// Config returns the text of config.json, or of a part of a whole BLIP-2.
func (f *Folder) Config() []byte { return f.config }

// Names returns the names of all tensors, sorted.
func (f *Folder) Names() []string {
	names := make([]string, 0, len(f.tensors))
	for name := range f.tensors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Tensor returns a tensor by name. The folder owns its data.
func (f *Folder) Tensor(name string) (View, bool) {
	v, ok := f.tensors[name]
	return v, ok
}

// Bytes returns the size of all tensors in the files.
func (f *Folder) Bytes() int64 {
	var n int64
	for _, v := range f.tensors {
		n += int64(len(v.Data))
	}
	return n
}

// Parameters returns the number of elements of all tensors in the files.
func (f *Folder) Parameters() int64 {
	var n int64
	for _, v := range f.tensors {
		n += int64(adapters.Elements(v.Shape))
	}
	return n
}

// Close unmaps the weights. After that, views are invalid.
func (f *Folder) Close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.close())
	}
	f.files, f.tensors = nil, nil
	return errors.Join(errs...)
}

func corrupt(path, format string, args ...any) error {
	err := adapters.Errorf(adapters.Corrupt, format, args...)
	err.Message = path + ": " + err.Message
	return err.WithRemedy("download or write the file again")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
