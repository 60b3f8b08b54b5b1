package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/weights"
)

// maxShard is the largest weight file that is written, unless one tensor is
// larger (transformers' own limit).
const maxShard = 5_000_000_000

// Checkpoint is a checkpoint folder of transformers before it is written.
type Checkpoint struct {
	// Config is config.json.
	Config map[string]any
	// Files are the small files beside the weights, by name.
	Files map[string][]byte

	tensors map[string]weights.View // their data may lie in files that Close unmaps
	extra   *bridge.BLIP2           // what transformers has no place for, or nil
	closer  []func() error
}

func newCheckpoint() *Checkpoint {
	return &Checkpoint{Config: map[string]any{}, tensors: map[string]weights.View{}, Files: map[string][]byte{}}
}

// Write makes the folder dir, which appears whole or not at all. progress, if not nil, is
// called with the bytes of weights written so far and in all.
func (c *Checkpoint) Write(ctx context.Context, dir string, progress func(done, total int64)) error {
	config, err := json.MarshalIndent(c.withDType(), "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Dir(dir, func(tmp string) error {
		if err := weights.WriteFolder(ctx, tmp, c.tensors, maxShard, progress); err != nil {
			return err
		}
		for name, data := range c.Files {
			if err := atomicfile.WriteBytes(filepath.Join(tmp, name), data); err != nil {
				return err
			}
		}
		if c.extra != nil {
			if err := c.extra.WriteExtra(tmp); err != nil {
				return err
			}
		}
		return atomicfile.WriteBytes(filepath.Join(tmp, "config.json"), append(config, '\n'))
	})
}

// WeightBytes returns the size of the weights.
func (c *Checkpoint) WeightBytes() int64 {
	var n int64
	for _, v := range c.tensors {
		n += int64(len(v.Data))
	}
	return n
}

// Close unmaps the files of the weights.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.closer {
		errs = append(errs, f())
	}
	c.closer = nil
	return errors.Join(errs...)
}

// withDType returns the configuration with the type in which transformers loads the weights:
// their own if all have the same, float32 otherwise, because narrowing would change the
// trained part.
func (c *Checkpoint) withDType() map[string]any {
	names := map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F16: "float16", safetensors.BF16: "bfloat16"}
	found := map[string]bool{}
	for _, v := range c.tensors {
		if name, ok := names[v.DType]; ok {
			found[name] = true
		}
	}
	dtype := "float32"
	if len(found) == 1 {
		for name := range found {
			dtype = name
		}
	}
	out := maps.Clone(c.Config)
	delete(out, "dtype") // transformers 5 writes this key, and reads both
	out["torch_dtype"] = dtype
	return out
}

// addTensors adds the tensors of f that keep accepts, with a prefix before their names. A
// nil keep accepts all.
func (c *Checkpoint) addTensors(f *weights.Folder, prefix string, keep func(name string) bool) {
	for _, name := range f.Names() {
		if keep == nil || keep(name) {
			v, _ := f.Tensor(name)
			c.tensors[prefix+name] = v
		}
	}
}

// copyFiles adds those of the named files that a folder has.
func (c *Checkpoint) copyFiles(dir string, names []string) error {
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.Files[name] = data
	}
	return nil
}

// Class names the class of transformers that loads the folder.
func (c *Checkpoint) Class() string {
	switch names := c.Config["architectures"].(type) {
	case []string:
		return names[0]
	case []any:
		if len(names) > 0 {
			return fmt.Sprint(names[0])
		}
	}
	return "weights"
}
