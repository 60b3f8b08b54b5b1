package tensortest

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// entry is a tensor in the header of a safetensors file.
type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// file is a safetensors file.
type file struct {
	path   string
	header map[string]json.RawMessage
	data   []byte
}

func readFile(t *testing.T, path string) *file {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 8 + binary.LittleEndian.Uint64(data)
	f := &file{path: path, data: data[n:]}
	if err := json.Unmarshal(data[8:n], &f.header); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *file) entry(t *testing.T, name string) (e entry, ok bool) {
	t.Helper()
	raw, ok := f.header[name]
	if ok && json.Unmarshal(raw, &e) != nil {
		t.Fatalf("%s: tensor %s is %s", f.path, name, raw)
	}
	return e, ok
}

func (f *file) write(t *testing.T) {
	t.Helper()
	header, err := json.Marshal(f.header)
	if err != nil {
		t.Fatal(err)
	}
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	if err := os.WriteFile(f.path, slices.Concat(out, header, f.data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// files returns the safetensors files of a folder.
func files(t *testing.T, dir string) []*file {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "model*.safetensors"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("weights in %s: %v, %v", dir, paths, err)
	}
	var out []*file
	for _, path := range paths {
		out = append(out, readFile(t, path))
	}
	return out
}

// Names returns the names of a folder's tensors, sorted.
func Names(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, f := range files(t, dir) {
		for name := range f.header {
			if name != "__metadata__" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Copy returns a copy of a folder.
func Copy(t *testing.T, dir string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return copied
}

// Change changes the values of a tensor: every second element changes its sign, or becomes 0.5
// if it is zero.
func Change(t *testing.T, dir, name string) {
	t.Helper()
	for _, f := range files(t, dir) {
		e, ok := f.entry(t, name)
		if !ok {
			continue
		}
		half, size := uint32(1), 1 // of a type that is no float
		switch e.DType {
		case "F32":
			half, size = 0x3f000000, 4
		case "F16":
			half, size = 0x3800, 2
		case "BF16":
			half, size = 0x3f00, 2
		}
		data := f.data[e.Offsets[0]:e.Offsets[1]]
		for at := 0; at < len(data); at += 2 * size {
			flip(data[at:at+size], half)
		}
		f.write(t)
		return
	}
	t.Fatalf("%s has no tensor %s", dir, name)
}

// flip changes the sign of a number, or replaces zero by half.
func flip(number []byte, half uint32) {
	if !slices.ContainsFunc(number, func(b byte) bool { return b != 0 }) {
		for i := range number {
			number[i] = byte(half >> (8 * i))
		}
		return
	}
	number[len(number)-1] ^= 0x80
}

// Add adds a tensor that is a copy of another one.
func Add(t *testing.T, dir, name, like string) {
	t.Helper()
	for _, f := range files(t, dir) {
		e, ok := f.entry(t, like)
		if !ok {
			continue
		}
		f.data = slices.Concat(f.data, f.data[e.Offsets[0]:e.Offsets[1]])
		e.Offsets = [2]int{len(f.data) - (e.Offsets[1] - e.Offsets[0]), len(f.data)}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		f.header[name] = raw
		f.write(t)
		return
	}
	t.Fatalf("%s has no tensor %s", dir, like)
}

// Drop removes a tensor.
func Drop(t *testing.T, dir, name string) {
	t.Helper()
	for _, f := range files(t, dir) {
		e, ok := f.entry(t, name)
		if !ok {
			continue
		}
		delete(f.header, name)
		f.data = slices.Concat(f.data[:e.Offsets[0]], f.data[e.Offsets[1]:])
		for other := range f.header {
			if o, _ := f.entry(t, other); other != "__metadata__" && o.Offsets[0] >= e.Offsets[1] {
				size := e.Offsets[1] - e.Offsets[0]
				o.Offsets = [2]int{o.Offsets[0] - size, o.Offsets[1] - size}
				f.header[other], _ = json.Marshal(o)
			}
		}
		f.write(t)
		return
	}
	t.Fatalf("%s has no tensor %s", dir, name)
}
