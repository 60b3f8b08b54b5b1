package torchfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// File is an open file of torch.save.
type File struct {
	// Tensors are the tensors of the file's dictionary by name, or of the dictionary under its key
	// "model", "state_dict" or "module".
	Tensors map[string]weights.View

	unmap func() error
}

// Open maps a file into memory and reads its tensors.
func Open(path string) (*File, error) {
	data, unmap, err := weights.MapFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, adapters.Errorf(adapters.NotFound, "%w", err).WithRemedy("name a .pth or .pt file")
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "cannot open %s: %w", path, err)
	}
	f := &File{unmap: unmap}
	if f.Tensors, err = read(data); err != nil {
		var known *adapters.Error
		if !errors.As(err, &known) {
			err = adapters.Errorf(adapters.Corrupt, "%s: not a whole file of torch.save: %w", path, err).WithRemedy("download the file again")
		} else {
			err = adapters.Errorf(known.Kind, "%s: %w", path, err)
		}
		return nil, errors.Join(err, unmap())
	}
	for name, v := range f.Tensors {
		f.Tensors[name] = v.MappedIn(data)
	}
	return f, nil
}

// Close unmaps the file.
func (f *File) Close() error { return f.unmap() }

// read returns the state of a mapped file.
func read(data []byte) (tensors map[string]weights.View, err error) {
	defer func() { // the pickle reader panics for some wrong lengths
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot read its pickle: %v", p)
		}
	}()
	var top any
	if bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		top, err = readZip(data)
	} else {
		top, err = readLegacy(data)
	}
	if err != nil {
		return nil, err
	}
	return findStateDict(top)
}

// readZip reads the current form: a pickle data.pkl, and each storage in its own file, data/KEY.
func readZip(data []byte) (any, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	files := map[string]*zip.File{}
	var root string
	for _, f := range archive.File {
		files[f.Name] = f
		if dir, ok := strings.CutSuffix(f.Name, "data.pkl"); ok && path.Base(f.Name) == "data.pkl" {
			root = dir
		}
	}
	if _, script := files[root+"constants.pkl"]; script {
		return nil, adapters.Errorf(adapters.Unsupported, "it is a TorchScript program, want a file of weights")
	}
	pickled, err := content(data, files, root+"data.pkl")
	if err != nil {
		return nil, err
	}
	if order, err := content(data, files, root+"byteorder"); err == nil && string(order) != "little" {
		return nil, adapters.Errorf(adapters.Unsupported, "its byte order is %q, want little", order)
	}
	object, _, err := unpickle(pickled, func(s storageRef) (*storage, error) {
		bytes, err := content(data, files, root+"data/"+s.key)
		if err != nil {
			return nil, err
		}
		return s.storageIn(bytes)
	})
	return object, err
}

// content returns a file of the archive: a part of the mapping if it is not compressed.
func content(data []byte, files map[string]*zip.File, name string) ([]byte, error) {
	f, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("the archive has no %s", name)
	}
	if f.Method == zip.Store {
		at, err := f.DataOffset()
		if err != nil {
			return nil, err
		}
		end := at + int64(f.UncompressedSize64)
		if end < at || end > int64(len(data)) || f.CompressedSize64 != f.UncompressedSize64 {
			return nil, fmt.Errorf("%s extends beyond the end of the file", name)
		}
		return data[at:end:end], nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// findStateDict returns the tensors of the file's dictionary.
func findStateDict(top any) (map[string]weights.View, error) {
	entries, ok := dict(top)
	if !ok {
		return nil, adapters.Errorf(adapters.Unsupported, "it contains a %T, want a dictionary of tensors", top)
	}
	for _, key := range []string{"model", "state_dict", "module"} {
		if inner, ok := dict(entries[key]); ok {
			entries = inner
			break
		}
	}
	out := map[string]weights.View{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		t, ok := entries[name].(*tensor)
		if !ok {
			continue
		}
		v, err := t.view()
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		out[name] = v
	}
	if len(out) == 0 {
		return nil, adapters.Errorf(adapters.Unsupported, "it contains no tensors, neither at the top level nor under model, state_dict or module")
	}
	return out, nil
}
