package wheels

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// fakeIndex is a pip that downloads wheels from a folder, PACKAGE==VERSION.whl.
type fakeIndex struct {
	t   *testing.T
	dir string
}

func newIndex(t *testing.T) fakeIndex {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake pip is a shell script")
	}
	i := fakeIndex{t, t.TempDir()}
	script := `#!/bin/sh
[ "$1" = --version ] && exit 0
while [ "$1" != --dest ]; do shift; done
cp "` + i.dir + `/$3.whl" "$2/$3-py3-none-any.whl"
`
	if err := os.WriteFile(filepath.Join(i.dir, "pip"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i fakeIndex) pip() Pip {
	return Pip{Command: []string{filepath.Join(i.dir, "pip")}, Log: io.Discard}
}

// add writes a wheel with members.
func (i fakeIndex) add(name string, members map[string]string) Wheel {
	i.t.Helper()
	var data bytes.Buffer
	z := zip.NewWriter(&data)
	for member, content := range members {
		h := &zip.FileHeader{Name: member}
		h.SetMode(0o644)
		if strings.Contains(member, "/bin/") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			i.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, name+"==1.whl"), data.Bytes(), 0o644); err != nil {
		i.t.Fatal(err)
	}
	sum := sha256.Sum256(data.Bytes())
	return Wheel{name, "1", hex.EncodeToString(sum[:])}
}

// cudaWheels returns wheels in the layout of the real ones.
func (i fakeIndex) cudaWheels() []Wheel {
	return []Wheel{
		i.add("jax-cuda13-pjrt", map[string]string{"jax_plugins/xla_cuda13/xla_cuda_plugin.so": "plugin", "jax_plugins/xla_cuda13/__init__.py": ""}),
		i.add("libs", map[string]string{"nvidia/cu13/lib/libcudart.so.13": "", "nvidia/cu13/lib/libcublas.so.13": "blas", "nvidia/__init__.py": "",
			"libs-1.dist-info/METADATA": ""}),
		i.add("tools", map[string]string{"nvidia/cu13/bin/ptxas": "ptxas", "nvidia/cu13/nvvm/libdevice/libdevice.10.bc": "bc"}),
		i.add("others", map[string]string{"nvidia/cudnn/lib/libcudnn.so.9": "dnn", "nvidia/nccl/lib/libnccl.so.2": ""}),
	}
}

func TestInstallCUDA(t *testing.T) {
	i, lib := newIndex(t), filepath.Join(t.TempDir(), "go-xla")
	wheels := i.cudaWheels()
	for range 2 { // the second replaces the first
		plugin, err := installCUDA(t.Context(), i.pip(), wheels, lib)
		if err != nil {
			t.Fatal(err)
		}
		if plugin != filepath.Join(lib, "nvidia", cudaPlugin) {
			t.Errorf("plugin %s", plugin)
		}
		// The plugin's search path and go-xla's data folder are relative to the plugin.
		for name, want := range map[string]string{plugin: "plugin", filepath.Join(plugin, "../../nvidia/cu13/lib/libcublas.so.13"): "blas",
			filepath.Join(plugin, "../../nvidia/cudnn/lib/libcudnn.so.9"): "dnn", filepath.Join(lib, "nvidia/bin/ptxas"): "ptxas",
			filepath.Join(lib, "nvidia/nvvm/libdevice/libdevice.10.bc"): "bc"} {
			if got, err := os.ReadFile(name); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if info, err := os.Stat(filepath.Join(lib, "nvidia", "bin", "ptxas")); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("ptxas cannot be run: %v, %v", info, err)
		}
		if entries, err := os.ReadDir(lib); err != nil || len(entries) != 1 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	}
}

func TestInstallCUDAIsAllOrNothing(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(i fakeIndex, wheels []Wheel) ([]Wheel, Pip)
		want  string
		kind  adapters.Kind
	}{
		"another wheel":       {func(i fakeIndex, w []Wheel) ([]Wheel, Pip) { w[2].SHA256 = w[1].SHA256; return w, i.pip() }, "not the wheel that was checked", adapters.Corrupt},
		"a wheel that is not": {func(i fakeIndex, w []Wheel) ([]Wheel, Pip) { w[2].Package = "none"; return w, i.pip() }, "pip could not fetch none 1", adapters.Unavailable},
		"a missing library":   {func(i fakeIndex, w []Wheel) ([]Wheel, Pip) { return w[:3], i.pip() }, "the wheels do not contain cudnn/lib/libcudnn.so.9", adapters.Corrupt},
		"nothing of CUDA": {func(i fakeIndex, w []Wheel) ([]Wheel, Pip) {
			return append(w, i.add("odd", map[string]string{"odd/x": ""})), i.pip()
		}, "contains no file of CUDA", adapters.Corrupt},
		"a path outside": {func(i fakeIndex, w []Wheel) ([]Wheel, Pip) {
			return append(w, i.add("bad", map[string]string{"nvidia/../../x": ""})), i.pip()
		}, "want a path inside the wheel", adapters.Corrupt},
		"no pip": {func(i fakeIndex, w []Wheel) ([]Wheel, Pip) {
			return w, Pip{Command: []string{filepath.Join(i.dir, "none")}, Log: io.Discard}
		}, "does not run", adapters.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			i, lib := newIndex(t), t.TempDir()
			if err := os.MkdirAll(filepath.Join(lib, "nvidia"), 0o755); err != nil {
				t.Fatal(err)
			}
			before := filepath.Join(lib, "nvidia", "before")
			if err := os.WriteFile(before, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			wheels, pip := c.spoil(i, i.cudaWheels())
			_, err := installCUDA(t.Context(), pip, wheels, lib)
			if adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Stat(before); err != nil {
				t.Errorf("the old installation is gone: %v", err)
			}
			if entries, err := os.ReadDir(lib); err != nil || len(entries) != 1 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

func TestPipCommand(t *testing.T) {
	t.Setenv("PIP", "")
	if got := strings.Join(Pip{}.command(), " "); got != "python3 -m pip" {
		t.Errorf("%s", got)
	}
	t.Setenv("PIP", "python3.12 -m pip")
	if got := strings.Join(Pip{}.command(), " "); got != "python3.12 -m pip" {
		t.Errorf("%s", got)
	}
}

func TestCUDAWheelsArePinned(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range cudaWheels() {
		if raw, err := hex.DecodeString(w.SHA256); err != nil || len(raw) != sha256.Size || seen[w.Package] || seen[w.SHA256] || w.Version == "" {
			t.Errorf("%+v", w)
		}
		seen[w.Package], seen[w.SHA256] = true, true
	}
}
