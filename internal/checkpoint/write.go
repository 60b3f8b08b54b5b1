package checkpoint

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
)

// Write writes tensors and metadata as a safetensors file: into a temporary
// file beside path, synced, then renamed, so that path holds the old content or
// the new, whatever happens in between. The same tensors give the same bytes.
func Write(path string, tensors map[string]*adapters.Tensor, metadata map[string]string) error {
	views := make(map[string]hostView, len(tensors))
	for name, t := range tensors {
		dtype, ok := fileType(t.DType)
		if !ok {
			return adapters.Errorf(adapters.Invalid, "tensor %q is %s, which safetensors files do not hold here", name, t.Describe())
		}
		if err := t.Check(name, t.Shape, t.DType); err != nil {
			return err
		}
		views[name] = hostView{t, dtype}
	}
	err := writeAtomic(path, func(w io.Writer) error {
		return safetensors.SerializeToWriter(views, metadata, w)
	})
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return adapters.Errorf(adapters.Exhausted, "%s cannot be written: %w", path, err).
			WithRemedy("make room on the disk; what the file held before is unchanged")
	}
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	return nil
}

// hostView shows a tensor to the serializer.
type hostView struct {
	tensor *adapters.Tensor
	dtype  safetensors.DType
}

var _ safetensors.View = hostView{}

func (v hostView) DType() safetensors.DType { return v.dtype }
func (v hostView) Data() []byte             { return v.tensor.Data }
func (v hostView) DataLen() uint64          { return uint64(len(v.tensor.Data)) }

func (v hostView) Shape() []uint64 {
	shape := make([]uint64, len(v.tensor.Shape))
	for i, d := range v.tensor.Shape {
		shape[i] = uint64(d)
	}
	return shape
}

// writeAtomic replaces path by what write writes, or leaves it as it was.
func writeAtomic(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(f.Close()), os.Remove(f.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes a rename durable where the system lets folders be synced; the
// file is whole either way.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
