package runs

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// oldProject copies the project that commit 03ee870 wrote (testdata/README.md), and makes it the
// working folder.
func oldProject(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "run-03ee870"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	t.Chdir(dir)
}

func TestOldRunsCaption(t *testing.T) {
	oldProject(t)
	for _, run := range []string{"stage2", "swap"} {
		want, err := os.ReadFile(filepath.Join("runs", run+".captions"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := workspace.OpenModel(t.Context(), filepath.Join("runs", run), workspace.OpenOptions{Backend: "go"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		var got strings.Builder
		for i := range 4 {
			name := fmt.Sprintf("kit:held-out/%d", i)
			picture, err := data.ReadPictures(m.Vision.Spec().Image, name)
			if err != nil {
				t.Fatal(err)
			}
			captions, err := m.Caption(t.Context(), picture, bridge.GenerateOptions{MaxNewTokens: 20})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&got, "%s\t%s\n", name, captions[0])
		}
		if got.String() != string(want) {
			t.Errorf("%s: got\n%swant\n%s", run, got.String(), want)
		}
	}
}

// An interrupted run of the old commit continues and ends with the weights that the old commit
// wrote.
func TestOldRunsResume(t *testing.T) {
	oldProject(t)
	for run, newest := range map[string]string{"stage2": "", "swap": "step-000006"} {
		dir := filepath.Join("runs", run)
		want := bridgeWeights(t, dir)
		for _, gone := range []string{"bridge", summaryFile, resultFile, filepath.Join("checkpoints", newest)} {
			if gone != "checkpoints" {
				if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w := workspace.New(workspace.Options{})
		out, err := Train(t.Context(), w, resolve(t, w, filepath.Join(dir, recipes.RunFile)), Options{Dir: dir, Resume: true})
		if err != nil {
			t.Fatalf("%s: %v", run, err)
		}
		if out.Summary.Steps < 4 || out.Summary.Values[eval.MetricLoss] == 0 {
			t.Errorf("%s: the summary is %+v", run, out.Summary)
		}
		if log, err := os.ReadFile(filepath.Join(dir, logFile)); err != nil || !strings.Contains(string(log), "msg=resuming") {
			t.Errorf("%s did not resume (%v):\n%s", run, err, log)
		}
		got := bridgeWeights(t, dir)
		for name, w := range want {
			for i, v := range got[name] {
				if d := math.Abs(float64(v - w[i])); d > 1e-4 {
					t.Fatalf("%s: %s[%d] is %g, want %g", run, name, i, v, w[i])
				}
			}
		}
	}
}

// resolve loads a recipe and looks up its models.
func resolve(t *testing.T, w *workspace.Workspace, file string, sets ...string) *recipes.Resolved {
	t.Helper()
	r, err := recipes.Load(file, sets...)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := w.Registry()
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := r.Resolve(reg)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

func bridgeWeights(t *testing.T, run string) map[string][]float32 {
	t.Helper()
	found, _, err := weights.ReadFile(filepath.Join(run, "bridge", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float32{}
	for name, tensor := range found {
		values[name] = tensor.Float32s()
	}
	return values
}
