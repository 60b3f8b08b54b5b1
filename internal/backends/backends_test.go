package backends

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// TestMain lets the test binary only open a backend and compute, so that a test can check its
// stdout.
func TestMain(m *testing.M) {
	AnswerTrial()
	if name := os.Getenv("BRIDGE_OPEN_BACKEND"); name != "" {
		b, err := Open(name)
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		sum := graph.MustExecOnce(b, func(x *graph.Node) *graph.Node { return graph.ReduceAllSum(x) }, []float32{1, 2, 3})
		os.Stderr.WriteString(Summary(b))
		if tensors.ToScalar[float32](sum) != 6 {
			os.Exit(2)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openInChild(t *testing.T, name string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BRIDGE_OPEN_BACKEND="+name)
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil {
		t.Fatalf("%v: %s", e, err.String())
	}
	return out.String(), err.String()
}

func TestGo(t *testing.T) {
	stdout, stderr := openInChild(t, "go")
	if stdout != "" {
		t.Errorf("stdout is %q, want nothing", stdout)
	}
	if !strings.Contains(stderr, "go: ") || !strings.Contains(stderr, "parallelism=-1") {
		t.Errorf("the backend is %q, want the Go backend with parallelism=-1", stderr)
	}
}

func TestXLACPU(t *testing.T) {
	if _, err := Choose(XLACPU); err != nil {
		testenv.Lacking(t, "an XLA CPU plugin (install it with tools/xla/install-cpu.sh)", err)
	}
	stdout, stderr := openInChild(t, XLACPU)
	if stdout != "" || !strings.Contains(stderr, "xla:cpu: ") {
		t.Errorf("stdout is %q and the backend %q, want nothing and xla:cpu", stdout, stderr)
	}
}

func TestOpenIsShared(t *testing.T) {
	a, b := ForTest(t), ForTest(t)
	if a != b {
		t.Error("opening twice gave two backends")
	}
}

func TestCheck(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, "auto": true, "go": true, "xla:cpu": true, "xla:cuda": true, "xla:/x/y.so": true,
		"xla": false, "xla:": false, "xla:y.so": false, "xla:tpu": false, "go:parallelism=-1": false, "GO": false,
	} {
		if err := Check(name); (err == nil) != ok {
			t.Errorf("Check(%q) = %v, want ok %v", name, err, ok)
		}
	}
	_, err := Open("tpu")
	if adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("Open(tpu) = %v, want an error of kind invalid", err)
	}
}

func TestChoose(t *testing.T) {
	dir := t.TempDir()
	touch := func(elem ...string) string {
		t.Helper()
		path := filepath.Join(append([]string{dir}, elem...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("not a plugin"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cpu := touch("cpu", "pjrt_c_api_cpu_plugin.so")
	cuda := touch("gpu", "pjrt-plugin-cuda_v13.so")
	touch("none", "libpjrt.so")
	folder := func(names ...string) (folders []string) {
		for _, n := range names {
			folders = append(folders, filepath.Join(dir, n))
		}
		return folders
	}
	gpu := []string{"/dev/nvidia0"}
	tests := []struct {
		name    string
		machine machine
		setting string
		want    string
		plugin  string
		kind    adapters.Kind
	}{
		{"gpu", machine{folder("cpu", "gpu"), gpu, true}, "auto", XLACUDA, cuda, 0},
		{"plugin without gpu", machine{folder("cpu", "gpu"), nil, true}, "", XLACPU, cpu, 0},
		{"gpu without plugin", machine{folder("cpu"), gpu, true}, "auto", XLACPU, cpu, 0},
		{"nothing", machine{folder("none", "absent"), gpu, true}, "auto", Go, "", 0},
		{"no cgo", machine{folder("cpu", "gpu"), gpu, false}, "auto", Go, "", 0},
		{"go", machine{folder("cpu", "gpu"), gpu, true}, "go", Go, "", 0},
		{"cpu", machine{folder("none", "cpu"), nil, true}, "xla:cpu", XLACPU, cpu, 0},
		{"cuda asked for", machine{folder("gpu"), nil, true}, "xla:cuda", XLACUDA, cuda, 0},
		{"path", machine{nil, nil, true}, "xla:" + cpu, "xla:" + cpu, cpu, 0},
		{"no such path", machine{nil, nil, true}, "xla:" + cpu + "x", "", "", adapters.NotFound},
		{"no cpu plugin", machine{folder("gpu"), nil, true}, "xla:cpu", "", "", adapters.NotFound},
		{"cpu without cgo", machine{folder("cpu"), nil, false}, "xla:cpu", "", "", adapters.Unsupported},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.machine.choose(test.setting)
			if adapters.KindOf(err) != test.kind {
				t.Fatalf("error %v, want kind %s", err, test.kind)
			}
			if got.Name != test.want || got.Plugin != test.plugin {
				t.Errorf("choice %+v, want %s with %q", got, test.want, test.plugin)
			}
		})
	}
	t.Run("corrupt plugin", func(t *testing.T) {
		if !hasXLA {
			t.Skip("built without XLA")
		}
		_, err := Open("xla:" + cpu)
		if adapters.KindOf(err) != adapters.Unavailable || !strings.Contains(err.Error(), cpu) {
			t.Errorf("error %v, want kind unavailable and the plugin's path", err)
		}
	})
}

func TestSearchFolders(t *testing.T) {
	env := map[string]string{"LD_LIBRARY_PATH": "/opt/lib:relative:"}
	got := strings.Join(searchFolders(func(k string) string { return env[k] }, "/home/u"), " ")
	want := "/home/u/.local/lib/go-xla /usr/local/lib/go-xla /home/u/.local/lib/go-xla/nvidia /usr/local/lib/go-xla/nvidia /opt/lib"
	if got != want {
		t.Errorf("folders %s, want %s", got, want)
	}
	env["PJRT_PLUGIN_LIBRARY_PATH"] = "/a:/b"
	if got := strings.Join(searchFolders(func(k string) string { return env[k] }, "/home/u"), " "); got != "/a /b" {
		t.Errorf("folders %s, want /a /b", got)
	}
}
