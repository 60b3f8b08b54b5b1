package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/jsonfile"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// The files of a bridge's folder.
const (
	infoFile      = "bridge.json"
	weightsFile   = "model.safetensors"
	tokenizerFile = "tokenizer.json" // stage 1 only
)

// formatVersion is written to bridge.json. A newer version is an error when read.
const formatVersion = 1

type infoJSON struct {
	Format  int            `json:"format"`
	QFormer qformer.Config `json:"qformer"`
	Info
}

// Save writes the bridge to a folder: bridge.json, model.safetensors with Hugging Face's
// names, and the text side's tokenizer in stage 1. dtype is Float32, or BFloat16 to halve
// the size of a bridge that is not trained further. Each file is replaced atomically; use
// package train/checkpoint for a folder that appears at once.
func (b *Bridge) Save(dir string, dtype adapters.DType) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("save bridge: %w", err)
	}
	parameters := map[string]weights.Source{}
	for _, p := range b.config.Parameters(b.Stage()) {
		parameters[p.Name] = weights.Source{DType: dtype, Shape: p.Shape, Read: func() (*adapters.Tensor, error) {
			t, err := b.weight(p.Name)
			if err != nil {
				return nil, err
			}
			return t.Convert(dtype)
		}}
	}
	if err := weights.WriteSources(filepath.Join(dir, weightsFile), parameters, map[string]string{"format": "pt"}); err != nil {
		return fmt.Errorf("save bridge: %w", err)
	}
	if b.tokenizer != nil {
		if err := atomicfile.WriteBytes(filepath.Join(dir, tokenizerFile), b.tokenizer.json); err != nil {
			return fmt.Errorf("save bridge: %w", err)
		}
	}
	data, err := json.MarshalIndent(infoJSON{Format: formatVersion, QFormer: b.config, Info: b.Info.withRelPaths(dir)}, "", "  ")
	if err != nil {
		return fmt.Errorf("save bridge: %w", err)
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, infoFile), append(data, '\n')); err != nil {
		return fmt.Errorf("save bridge: %w", err)
	}
	return nil
}

// Digest returns the digest of the weights in a bridge's folder, "sha256:…". The folder may hold
// a whole BLIP-2 as transformers saves it.
func Digest(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, infoFile)); err == nil || !isBLIP2(dir) {
		return weights.FileDigest(filepath.Join(dir, weightsFile))
	}
	f, err := weights.Open(dir)
	if err != nil {
		return "", err
	}
	digest, err := f.Digest()
	return digest, errors.Join(err, f.Close())
}

func (b *Bridge) weight(name string) (*adapters.Tensor, error) {
	v := b.store.GetVariable(qformer.VariablePath(name))
	if v == nil {
		return nil, fmt.Errorf("weight %s is not in the bridge", name)
	}
	t, err := v.Value()
	if err != nil {
		return nil, err
	}
	return hosttensor.Copy(t)
}

// ReadInfo reads the [Info] and the shape of the bridge in a folder, without its weights. The
// folder may hold a whole BLIP-2 as transformers saves it.
func ReadInfo(dir string) (Info, qformer.Config, error) {
	data, err := os.ReadFile(filepath.Join(dir, infoFile))
	if errors.Is(err, fs.ErrNotExist) && isBLIP2(dir) {
		return readBLIP2(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		found := ""
		if kind := modelType(dir); kind != "" {
			found = fmt.Sprintf(", and its config.json is of model_type %q, not %q", kind, weights.TypeBLIP2)
		}
		return Info{}, qformer.Config{}, adapters.Errorf(adapters.NotFound, "%s holds no bridge: there is no %s%s", dir, infoFile, found).
			WithRemedy("name a run folder, its checkpoint folder, a folder with a BLIP-2 that transformers saved, or kit:stage1 or kit:stage2")
	}
	if err != nil {
		return Info{}, qformer.Config{}, err
	}
	var j infoJSON
	if err := jsonfile.Decode(filepath.Join(dir, infoFile), data, &j); err != nil {
		return Info{}, qformer.Config{}, err
	}
	if j.Format > formatVersion {
		return Info{}, qformer.Config{}, adapters.Errorf(adapters.Unsupported, "%s is of format %d, this bridge reads up to %d", dir, j.Format, formatVersion).
			WithRemedy("use a newer bridge")
	}
	return j.Info.resolveRelPaths(dir), j.QFormer, nil
}

// Load reads a bridge that [Bridge.Save] wrote, or the bridge of a whole BLIP-2 as
// transformers saves it (Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval).
func Load(ctx context.Context, backend compute.Backend, dir string) (*Bridge, error) {
	if _, err := os.Stat(filepath.Join(dir, infoFile)); err != nil && isBLIP2(dir) {
		return loadBLIP2(ctx, backend, dir)
	}
	info, config, err := ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	if err := config.Validate(info.parameters()); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", filepath.Join(dir, infoFile), err)
	}
	path := filepath.Join(dir, weightsFile)
	found, _, err := weights.ReadFile(path)
	if err != nil {
		return nil, err
	}
	store := model.NewStore()
	b := newBridge(backend, config, store, nil, info)
	if err := createParameters(store, path, found, config.Parameters(b.Stage())); err != nil {
		return nil, err
	}
	if info.Stage == 1 {
		if b.tokenizer, err = OpenTokenizer(ctx, filepath.Join(dir, tokenizerFile)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// createParameters makes a trainable float32 variable for each parameter. A file that
// lacks one, has another shape, or holds more tensors is an error.
func createParameters(store *model.Store, path string, found map[string]*adapters.Tensor, want []qformer.Param) error {
	for _, p := range want {
		t, ok := found[p.Name]
		if !ok {
			return adapters.Errorf(adapters.Corrupt, "%s lacks %s, want %s", path, p.Name, adapters.ShapeString(p.Shape))
		}
		if err := t.Check(p.Name, p.Shape, adapters.Float32, adapters.BFloat16); err != nil {
			return adapters.Errorf(adapters.Corrupt, "%s: %w", path, err)
		}
		values, err := t.ToFloat32()
		if err != nil {
			return err
		}
		if _, err := store.CreateVariable(qformer.VariablePath(p.Name), tensors.FromFlatDataAndDimensions(values, p.Shape...)); err != nil {
			return err
		}
		delete(found, p.Name)
	}
	for name, t := range found {
		return adapters.Errorf(adapters.Corrupt, "%s holds %s %s, which a bridge of this shape has no place for", path, name, t.Describe())
	}
	return nil
}

func copyVariable(to, from *model.Store, name string) error {
	v := from.GetVariable(qformer.VariablePath(name))
	if v == nil {
		return fmt.Errorf("weight %s is not in the bridge", name)
	}
	t, err := v.Value()
	if err != nil {
		return err
	}
	values, err := tensors.CopyFlatData[float32](t)
	if err != nil {
		return err
	}
	return to.GetVariable(qformer.VariablePath(name)).SetValue(tensors.FromFlatDataAndDimensions(values, t.Shape().Dimensions...))
}

// Reload replaces the weights by those of a folder that holds a bridge of the
// same shape: a checkpoint of the same run.
func (b *Bridge) Reload(ctx context.Context, dir string) error {
	path := filepath.Join(dir, weightsFile)
	found, _, err := weights.ReadFile(path)
	if err != nil {
		return err
	}
	fresh := model.NewStore()
	params := b.config.Parameters(b.Stage())
	if err := createParameters(fresh, path, found, params); err != nil {
		return err
	}
	for _, p := range params {
		if err := copyVariable(b.store, fresh, p.Name); err != nil {
			return err
		}
	}
	return ctx.Err()
}
