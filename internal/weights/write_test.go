package weights

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	want := map[string]*adapters.Tensor{
		"w":      adapters.FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 2, 3),
		"step":   adapters.FromInt32([]int32{7}),
		"pixels": adapters.FromUint8([]byte{1, 2, 3}, 3),
		"half":   {DType: adapters.BFloat16, Shape: []int{1}, Data: []byte{0x80, 0x3f}},
		"none":   {DType: adapters.Float32, Shape: []int{0, 4}, Data: []byte{}},
	}
	want["step"].Shape = []int{} // a scalar
	metadata := map[string]string{"format": "pt", "note": `<"&ü`}
	var files [2][]byte
	for i := range files {
		if err := Write(path, want, metadata); err != nil {
			t.Fatal(err)
		}
		files[i], _ = os.ReadFile(path)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the same tensors gave two different files")
	}
	got, gotMetadata, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotMetadata, metadata) {
		t.Errorf("read %v with %v, want %v with %v", got, gotMetadata, want, metadata)
	}
	wantFiles(t, filepath.Dir(path), "x.safetensors")
}

func TestWriteSources(t *testing.T) {
	dir := t.TempDir()
	tensors := map[string]*adapters.Tensor{
		"w":    adapters.FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 2, 3),
		"step": adapters.FromInt32([]int32{7}, 1),
	}
	sources := map[string]Source{}
	for name, tensor := range tensors {
		sources[name] = Source{DType: tensor.DType, Shape: tensor.Shape, Read: func() (*adapters.Tensor, error) { return tensor, nil }}
	}
	want, got := filepath.Join(dir, "want"), filepath.Join(dir, "got")
	if err := errors.Join(Write(want, tensors, nil), WriteSources(got, sources, nil)); err != nil {
		t.Fatal(err)
	}
	wantBytes, _ := os.ReadFile(want)
	if gotBytes, _ := os.ReadFile(got); !bytes.Equal(gotBytes, wantBytes) {
		t.Error("sources and their tensors gave different files")
	}

	broken := errors.New("broken")
	for name, read := range map[string]func() (*adapters.Tensor, error){
		"broken": func() (*adapters.Tensor, error) { return nil, broken },
		`"w"`:    func() (*adapters.Tensor, error) { return tensors["step"], nil },
	} {
		sources["w"] = Source{DType: adapters.Float32, Shape: []int{2, 3}, Read: read}
		if err := WriteSources(got, sources, nil); err == nil || !strings.Contains(err.Error(), strings.Trim(name, `"`)) {
			t.Errorf("got error %v, want one about %s", err, name)
		}
		if gotBytes, _ := os.ReadFile(got); !bytes.Equal(gotBytes, wantBytes) {
			t.Errorf("%s: a failed write changed the file", name)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for name, tensor := range map[string]*adapters.Tensor{
		"type":  {DType: adapters.InvalidDType, Shape: []int{0}},
		"bytes": {DType: adapters.Float32, Shape: []int{2}, Data: make([]byte, 4)},
	} {
		wantError(t, Write(path, map[string]*adapters.Tensor{name: tensor}, nil), adapters.Invalid, name)
	}
	wantError(t, Write(filepath.Join(path, "absent", "x"), nil, nil), adapters.Unknown, "cannot be written")
}

func TestReadFileTypes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	data := raw(`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, make([]byte, 8))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := ReadFile(path)
	wantError(t, err, adapters.Unsupported, `tensor "a" is I64[1]`)
	_, _, err = ReadFile(path + ".absent")
	wantError(t, err, adapters.NotFound)
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the folder contains %v, want %v", got, want)
	}
}

func TestWriteOnFullDisk(t *testing.T) {
	path := filepath.Join(testenv.SmallDisk(t), "x.safetensors")
	small := map[string]*adapters.Tensor{"w": adapters.FromFloat32([]float32{1, 2}, 2)}
	if err := Write(path, small, nil); err != nil {
		t.Fatal(err)
	}
	large := map[string]*adapters.Tensor{"w": adapters.NewTensor(adapters.Float32, 1<<20)}
	wantError(t, Write(path, large, nil), adapters.Exhausted, "free disk space")
	got, _, err := ReadFile(path)
	if err != nil || !reflect.DeepEqual(got, small) {
		t.Errorf("after a failed write the file contains %v (%v), want the old content", got, err)
	}
	wantFiles(t, filepath.Dir(path), "x.safetensors")
}

func TestWriteFolder(t *testing.T) {
	tensors := map[string]View{}
	for i, name := range []string{"a", "b", "c"} {
		v, err := ViewOf(adapters.FromFloat32([]float32{float32(i), 7}, 1, 2))
		if err != nil {
			t.Fatal(err)
		}
		tensors[name] = v
	}
	for shard, files := range map[int64]int{100: 1, 16: 2, 1: 3} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		var last [2]int64
		if err := WriteFolder(t.Context(), dir, tensors, shard, func(done, total int64) { last = [2]int64{done, total} }); err != nil {
			t.Fatal(err)
		}
		f := mustOpen(t, dir)
		for name, v := range f.tensors {
			v.mapped = false
			f.tensors[name] = v
		}
		if len(f.files) != files || !reflect.DeepEqual(f.tensors, tensors) || last != [2]int64{24, 24} {
			t.Errorf("shards of %d bytes: %d files, want %d; tensors %v, want %v; progress %v", shard, len(f.files), files, f.tensors, tensors, last)
		}
	}
}

func TestWriteFolderCanceled(t *testing.T) {
	v, err := ViewOf(adapters.FromFloat32([]float32{1}, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteFolder(ctx, t.TempDir(), map[string]View{"a": v}, 100, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
