package torchfile

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

func testFile(name string) string { return filepath.Join("testdata", name) }

// expected returns the tensors of the test files, from a safetensors file.
func expected(t *testing.T) map[string]weights.View {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(testFile("tensors.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"model.safetensors": data, "config.json": []byte("{}")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	out := map[string]weights.View{}
	for _, name := range f.Names() {
		out[name], _ = f.Tensor(name)
	}
	return out
}

func TestTensors(t *testing.T) {
	want := expected(t)
	for _, name := range []string{"zip.pt", "legacy.pt"} {
		f, err := Open(testFile(name))
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors) != len(want) {
			t.Errorf("%s: %d tensors, want %d", name, len(f.Tensors), len(want))
		}
		for key, w := range want {
			g := f.Tensors[key]
			if g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
				t.Errorf("%s: %s is %s %v, want %s %v", name, key, g.Describe(), g.Data, w.Describe(), w.Data)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOtherGlobalsAreRefused(t *testing.T) {
	for name, want := range map[string]string{"evil.pt": "posix.system", "evil-legacy.pt": "posix.system", "numpy.pt": "numpy"} {
		_, err := Open(testFile(name))
		if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names %s", name, err, want)
		}
	}
}

// Opening a damaged file returns an error. It does not panic, and does not return some of the
// tensors.
func TestDamagedFiles(t *testing.T) {
	for _, name := range []string{"zip.pt", "legacy.pt"} {
		whole, err := os.ReadFile(testFile(name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		for n := 0; n < len(whole); n += 1 + n/64 {
			if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if f, err := Open(path); err == nil {
				f.Close()
				t.Fatalf("%s cut at %d of %d bytes was opened", name, n, len(whole))
			}
		}
	}
	if _, err := Open(testFile("absent.pt")); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("a file that does not exist: %v", err)
	}
	if _, err := Open(testFile("tensors.safetensors")); adapters.KindOf(err) != adapters.Corrupt {
		t.Errorf("a file of another kind: %v", err)
	}
}

// With a flipped bit, opening returns an error or other tensors. It does not panic, and does not
// allocate memory for a wrong length.
func TestFlippedBits(t *testing.T) {
	for _, name := range []string{"zip.pt", "legacy.pt"} {
		whole, err := os.ReadFile(testFile(name))
		if err != nil {
			t.Fatal(err)
		}
		refused, tried := 0, 0
		for bit := 0; bit < 8*len(whole); bit += 7 {
			tried++
			data := bytes.Clone(whole)
			data[bit/8] ^= 1 << (bit % 8)
			tensors, err := read(data)
			if err != nil {
				refused++
				continue
			}
			for key, v := range tensors {
				if got, want := len(v.Data), adapters.Elements(v.Shape)*int(v.DType.Size()); got != want {
					t.Errorf("%s, bit %d: %q %s has %d bytes, want %d", name, bit, key, v.Describe(), got, want)
				}
			}
		}
		if refused < tried/8 {
			t.Errorf("%s: only %d of %d damaged files were refused", name, refused, tried)
		}
	}
}

func TestTensorsMustFitTheirStorage(t *testing.T) {
	for _, c := range []struct {
		offset        int
		shape, stride []int
	}{{0, []int{5}, []int{1}}, {3, []int{2}, []int{1}}, {0, []int{2, 2}, []int{3, 1}}, {-1, []int{1}, []int{1}}, {0, []int{2, 2}, []int{1 << 62, 1}},
		{0, []int{1 << 30, 1 << 30}, []int{0, 0}}} {
		x := tensor{&storage{storageTypes()["FloatStorage"], make([]byte, 16)}, c.offset, c.shape, c.stride}
		if v, err := x.view(); err == nil {
			t.Errorf("%v, strides %v from %d: %s", c.shape, c.stride, c.offset, v.Describe())
		}
	}
}
