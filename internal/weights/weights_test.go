package weights

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
)

// raw returns a safetensors file with a header and data, which may be wrong.
func raw(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// folder writes a checkpoint folder and returns its path.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small writes a checkpoint of three tensors, one of each float type.
func small(t *testing.T) string {
	t.Helper()
	header := `{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},` +
		`"b.half":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},` +
		`"c":{"dtype":"BF16","shape":[],"data_offsets":[20,22]},` +
		`"ids":{"dtype":"I64","shape":[1],"data_offsets":[22,30]}}`
	var data []byte
	for _, v := range []float32{1, -2, 0.1, 3e-39} {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	data = binary.LittleEndian.AppendUint16(data, 0x3e00) // 1.5
	data = binary.LittleEndian.AppendUint16(data, 0x8001) // −2⁻²⁴, subnormal
	data = binary.LittleEndian.AppendUint16(data, 0x4049) // 3.140625
	data = append(data, make([]byte, 8)...)
	return folder(t, map[string]string{
		"config.json":       `{"model_type": "test", "width": 2}`,
		"model.safetensors": string(raw(header, data)),
	})
}

var smallSpecs = []TensorSpec{{Name: "a", Shape: []int{2, 2}}, {Name: "half", Shape: []int{2}, Aliases: []string{"b.half"}}, {Name: "c", Shape: []int{}}}

func ignoreIDs(name string) bool { return name == "ids" }

func mustOpen(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLoad(t *testing.T) {
	f := mustOpen(t, small(t))
	if got, want := f.Names(), []string{"a", "b.half", "c", "ids"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Names() = %v, want %v", got, want)
	}
	if f.ModelType() != "test" || f.Bytes() != 30 || f.Parameters() != 8 {
		t.Errorf("ModelType, Bytes, Parameters = %q, %d, %d, want test, 30, 8", f.ModelType(), f.Bytes(), f.Parameters())
	}
	want := map[string][]float32{"/a": {1, -2, 0.1, 3e-39}, "/half": {1.5, float32(-math.Pow(2, -24))}, "/c": {3.140625}}
	var last [2]int64
	store, err := f.Load(context.Background(), backends.ForTest(t), smallSpecs,
		Options{Ignore: ignoreIDs, Progress: func(done, total int64) { last = [2]int64{done, total} }})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float32{}
	for v := range store.IterVariables() {
		if v.Trainable {
			t.Errorf("%s is trainable", v.Path())
		}
		value, err := v.Value()
		if err != nil {
			t.Fatal(err)
		}
		got[v.Path()] = tensors.MustCopyFlatData[float32](value)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("variables are %v, want %v", got, want)
	}
	if last != [2]int64{22, 22} {
		t.Errorf("last progress %v, want 22 of 22 bytes", last)
	}
}

func TestLoadBFloat16(t *testing.T) {
	f := mustOpen(t, small(t))
	store, err := f.Load(context.Background(), backends.ForTest(t), smallSpecs, Options{DType: adapters.BFloat16, Ignore: ignoreIDs})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]uint16{"/a": {0x3f80, 0xc000, 0x3dcd, 0x0021}, "/half": {0x3fc0, 0xb380}, "/c": {0x4049}}
	for path, bits := range want {
		value, err := store.GetVariable(path).Value()
		if err != nil {
			t.Fatal(err)
		}
		var got []uint16
		value.ConstBytes(func(b []byte) {
			for i := 0; i < len(b); i += 2 {
				got = append(got, binary.LittleEndian.Uint16(b[i:]))
			}
		})
		if !reflect.DeepEqual(got, bits) {
			t.Errorf("%s = %#x, want %#x", path, got, bits)
		}
	}
}

func TestFloat16Widening(t *testing.T) {
	data := make([]byte, 0, 2<<16)
	for i := range 1 << 16 {
		data = binary.LittleEndian.AppendUint16(data, uint16(i))
	}
	got, err := View{DType: safetensors.F16, Shape: []int{1 << 16}, Data: data}.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		exponent, mantissa := i>>10&31, float64(i&1023)
		want := math.Ldexp(1024+mantissa, exponent-25)
		switch {
		case exponent == 31 && mantissa == 0:
			want = math.Inf(1)
		case exponent == 31:
			want = math.NaN()
		case exponent == 0:
			want = math.Ldexp(mantissa, -24)
		}
		if i&0x8000 != 0 {
			want = -want
		}
		if math.Float32bits(g) != math.Float32bits(float32(want)) && !(g != g && want != want) {
			t.Fatalf("float16 %#04x is %v, want %v", i, g, want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	tests := []struct {
		name  string
		specs []TensorSpec
		has   []string
	}{
		{"missing", append([]TensorSpec{{Name: "x.weight", Shape: []int{3}}}, smallSpecs...), []string{"in 1 places", "x.weight is missing, want [3]"}},
		{"shape", []TensorSpec{{Name: "a", Shape: []int{4}}, smallSpecs[1], smallSpecs[2]}, []string{"a is F32[2, 2], want [4]"}},
		{"surplus", smallSpecs[:2], []string{"c BF16[] is not part of the model"}},
		{"type", append([]TensorSpec{{Name: "ids", Shape: []int{1}}}, smallSpecs...), []string{"ids is I64[1], want F32, F16 or BF16"}},
		{"all", []TensorSpec{{Name: "x", Shape: []int{1}}, {Name: "y", Shape: []int{1}}, {Name: "z", Shape: []int{1}}},
			[]string{"in 6 places", "x is missing", "y is missing", "z is missing", "a F32[2, 2]", "and 1 more"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := mustOpen(t, small(t))
			_, err := f.Load(context.Background(), backends.ForTest(t), test.specs, Options{Ignore: ignoreIDs})
			wantError(t, err, adapters.Corrupt, test.has...)
		})
	}
}

// The errors for a file that is not a safetensors file, or has tensors of other types, name the
// file and the cause.
func TestOpenErrorsForOtherFiles(t *testing.T) {
	header := `{"x":{"dtype":"F8_E9M9","shape":[1],"data_offsets":[0,1]}}`
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	for name, test := range map[string]struct {
		data string
		kind adapters.Kind
		has  []string
	}{
		"git-lfs": {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", adapters.NotFound, []string{"pointer of git-lfs", "git lfs pull"}},
		"type":    {string(length) + header + "x", adapters.Unsupported, []string{"F8_E9M9", "want tensors of F32, F16 or BF16"}},
		"half":    {string(length) + header[:10], adapters.Corrupt, []string{"not a whole safetensors file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"config.json": `{"model_type": "opt"}`, "model.safetensors": test.data} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(dir)
			wantError(t, err, test.kind, test.has...)
		})
	}
}

func TestCheckSize(t *testing.T) {
	for key, value := range map[string]int{"hidden_size": 0, "n_layer": 100_000_000, "num_hidden_layers": 10_001, "num_layers": -1} {
		if err := CheckSize(key, value); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s %d: %v", key, value, err)
		}
	}
	for key, value := range map[string]int{"vocab_size": 100_000_000, "num_hidden_layers": 200} {
		if err := CheckSize(key, value); err != nil {
			t.Error(err)
		}
	}
}

func TestLoadCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := mustOpen(t, small(t)).Load(ctx, backends.ForTest(t), smallSpecs, Options{Ignore: ignoreIDs})
	wantError(t, err, adapters.Canceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
}

func wantError(t *testing.T, err error, kind adapters.Kind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if adapters.KindOf(err) != kind {
		t.Errorf("kind of %v is %s, want %s", err, adapters.KindOf(err), kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
}

// TestTruncated truncates a valid file at every length. Opening must return an error and not panic.
func TestTruncated(t *testing.T) {
	dir := small(t)
	path := filepath.Join(dir, "model.safetensors")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(dir)
		if err == nil {
			f.Close()
			t.Fatalf("a file cut at %d of %d bytes was opened", n, len(whole))
		}
		wantError(t, err, adapters.Corrupt, path, "download or write the file again")
	}
}

// TestFlippedHeader flips every bit of the header. Opening must return an error, or views inside
// the file, and not panic.
func TestFlippedHeader(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(small(t), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	header := 8 + int(binary.LittleEndian.Uint64(whole))
	refused := 0
	for bit := range 8 * header {
		data := bytes.Clone(whole)
		data[bit/8] ^= 1 << (bit % 8)
		_, views, err := parse("file", data)
		if err != nil {
			refused++
			continue
		}
		for name, v := range views {
			if got, want := len(v.Data), adapters.Elements(v.Shape)*int(v.DType.Size()); got != want {
				t.Errorf("bit %d: %q %s has %d bytes, want %d", bit, name, v.Describe(), got, want)
			}
		}
	}
	if refused < 4*header {
		t.Errorf("only %d of %d damaged headers were refused", refused, 8*header)
	}
}

func TestWrongHeaders(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"dtype":%q,"shape":%s,"data_offsets":%s}`, dtype, shape, offsets)
	}
	tests := map[string]string{
		"overlap":         `{"a":` + entry("F32", "[2]", "[0,8]") + `,"b":` + entry("F32", "[2]", "[4,12]") + `}`,
		"gap":             `{"a":` + entry("F32", "[1]", "[0,4]") + `,"b":` + entry("F32", "[1]", "[8,12]") + `}`,
		"beyond":          `{"a":` + entry("F32", "[4]", "[0,16]") + `}`,
		"short":           `{"a":` + entry("F32", "[1]", "[0,4]") + `}`,
		"shape":           `{"a":` + entry("F32", "[4]", "[0,12]") + `}`,
		"overflow":        `{"a":` + entry("F32", "[4611686018427387907]", "[0,12]") + `}`,
		"huge empty":      `{"a":` + entry("F32", "[0,9223372036854775807]", "[0,0]") + `,"b":` + entry("F32", "[3]", "[0,12]") + `}`,
		"negative":        `{"a":` + entry("F32", "[-3]", "[0,12]") + `}`,
		"backwards":       `{"a":` + entry("F32", "[3]", "[12,0]") + `}`,
		"fraction":        `{"a":` + entry("F32", "[1.5,2]", "[0,12]") + `}`,
		"null":            `{"a":null}`,
		"not an object":   `[1,2,3]`,
		"not JSON":        `{"a":`,
		"empty":           ``,
		"metadata number": `{"__metadata__":{"x":1},"a":` + entry("F32", "[3]", "[0,12]") + `}`,
	}
	for name, header := range tests {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"config.json": "{}", "model.safetensors": string(raw(header, make([]byte, 12)))})
			_, err := Open(dir)
			wantError(t, err, adapters.Corrupt, "model.safetensors")
		})
	}
	t.Run("header length", func(t *testing.T) {
		data := raw(`{}`, nil)
		binary.LittleEndian.PutUint64(data, math.MaxUint64)
		_, err := Open(folder(t, map[string]string{"config.json": "{}", "model.safetensors": string(data)}))
		wantError(t, err, adapters.Corrupt, "model.safetensors")
	})
}

func TestShards(t *testing.T) {
	shard := func(name string, v float32) string {
		header := fmt.Sprintf(`{%q:{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, name)
		return string(raw(header, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))))
	}
	index := func(m map[string]string) string {
		b, _ := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 8}, "weight_map": m})
		return string(b)
	}
	good := map[string]string{
		"config.json": `{}`, "one.safetensors": shard("a", 1), "two.safetensors": shard("b", 2),
		"model.safetensors.index.json": index(map[string]string{"a": "one.safetensors", "b": "two.safetensors"}),
	}
	f := mustOpen(t, folder(t, good))
	for name, want := range map[string]float32{"a": 1, "b": 2} {
		v, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %q", name)
		}
		if got, err := v.Float32s(); err != nil || !reflect.DeepEqual(got, []float32{want}) {
			t.Errorf("tensor %q = %v, %v, want [%v]", name, got, err, want)
		}
	}
	tests := []struct {
		name, file, content string
		kind                adapters.Kind
		part                string
	}{
		{"missing shard", "model.safetensors.index.json", index(map[string]string{"a": "three.safetensors"}), adapters.NotFound, "three.safetensors"},
		{"tensor elsewhere", "model.safetensors.index.json", index(map[string]string{"a": "two.safetensors"}), adapters.Corrupt, `tensor "a" is not in two.safetensors`},
		{"outside", "model.safetensors.index.json", index(map[string]string{"a": "../one.safetensors"}), adapters.Corrupt, "want a file in the same folder"},
		{"twice", "two.safetensors", shard("a", 2), adapters.Corrupt, `tensor "a" is also in another shard`},
		{"no map", "model.safetensors.index.json", `{}`, adapters.Corrupt, "weight_map is empty"},
		{"not JSON", "model.safetensors.index.json", `{`, adapters.Corrupt, "not valid JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, good)
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.content), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			wantError(t, err, test.kind, test.part)
		})
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		kind  adapters.Kind
		part  string
	}{
		{"no config", map[string]string{}, adapters.NotFound, "is not a checkpoint folder"},
		{"broken config", map[string]string{"config.json": `{"model_type": `}, adapters.Corrupt, "config.json: not valid JSON"},
		{"config type", map[string]string{"config.json": `{"model_type": 3}`}, adapters.Corrupt, "model_type is 3, want text"},
		{"no weights", map[string]string{"config.json": `{}`}, adapters.NotFound, "neither model.safetensors nor"},
		{"pickle", map[string]string{"config.json": `{}`, "pytorch_model.bin": "x"}, adapters.Unsupported, "save_pretrained"},
		{"empty weights", map[string]string{"config.json": `{}`, "model.safetensors": ""}, adapters.Corrupt, "0 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(folder(t, test.files))
			wantError(t, err, test.kind, test.part)
		})
	}
	_, err := Open(filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestDecodeConfig(t *testing.T) {
	f := mustOpen(t, small(t))
	var good struct{ Width int }
	if err := f.DecodeConfig(&good); err != nil || good.Width != 2 {
		t.Errorf("width is %d, error %v, want 2", good.Width, err)
	}
	var bad struct {
		Width string `json:"width"`
	}
	wantError(t, f.DecodeConfig(&bad), adapters.Corrupt, "config.json: width is 2, want text")
	if ok, err := f.DecodeFile("absent.json", &good); ok || err != nil {
		t.Errorf("DecodeFile of an absent file: %v, %v, want false and no error", ok, err)
	}
}

func TestDigest(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := small(t)
	digest := func() string {
		t.Helper()
		d, err := mustOpen(t, dir).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := digest()
	if !strings.HasPrefix(first, "sha256:") || len(first) != len("sha256:")+64 || digest() != first {
		t.Errorf("digests %q and %q, want one sha256", first, digest())
	}
	path := filepath.Join(dir, "model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1]++
	if err := os.WriteFile(path, append(data, 0), 0o644); err != nil { // another size, so the test does not depend on the clock
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime().Add(1e9), info.ModTime().Add(1e9)); err != nil {
		t.Fatal(err)
	}
	if digest() == first {
		t.Error("the digest did not change with the weights")
	}
}

// A matrix is transposed under another name; blocks at the edges are smaller.
func TestLoadTransposed(t *testing.T) {
	const rows, columns = 33, 70
	var data []byte
	for i := range rows * columns {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	header := fmt.Sprintf(`{"m":{"dtype":"F32","shape":[%d,%d],"data_offsets":[0,%d]}}`, rows, columns, len(data))
	f := mustOpen(t, folder(t, map[string]string{"config.json": `{"model_type": "test"}`, "model.safetensors": string(raw(header, data))}))
	for _, dtype := range []adapters.DType{adapters.Float32, adapters.BFloat16} {
		store, err := f.Load(t.Context(), backends.ForTest(t), []TensorSpec{{Name: "m", Shape: []int{rows, columns}, Linear: true}},
			Options{DType: dtype, TransposedSuffix: "ᵀ"})
		if err != nil {
			t.Fatal(err)
		}
		value, err := store.GetVariable("/mᵀ").Value()
		if err != nil || value.Shape().Dimensions[0] != columns {
			t.Fatalf("%v, %v", value, err)
		}
		var got []float32
		if dtype == adapters.Float32 {
			got = tensors.MustCopyFlatData[float32](value)
		} else {
			for _, x := range tensors.MustCopyFlatData[bfloat16.BFloat16](value) {
				got = append(got, x.Float32())
			}
		}
		if len(got) != rows*columns {
			t.Fatalf("%d elements", len(got))
		}
		for i, x := range got {
			r, c := i%rows, i/rows
			want := float32(r*columns + c)
			if dtype == adapters.BFloat16 {
				want = bfloat16.FromFloat32(want).Float32()
			}
			if x != want {
				t.Fatalf("%s, element %d, %d is %v, want %v", dtype, c, r, x, want)
			}
		}
	}
}
