package t5_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/internal/backends"
)

// exact is a checkpoint whose activation is the exact gelu.
const exact = "testdata/golden-exact-gelu/checkpoint"

// The request's activation goes before the checkpoint's: a checkpoint that says
// gelu_new then computes what the same weights compute that say gelu.
func TestActivationOfTheRequest(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(exact)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tanh := strings.Replace(string(config), `"dense_act_fn": "gelu"`, `"dense_act_fn": "gelu_new"`, 1)
	if tanh == string(config) {
		t.Fatal("the checkpoint does not say gelu")
	}
	if err := os.WriteFile(path, []byte(tanh), 0o644); err != nil {
		t.Fatal(err)
	}
	want := lossOf(t, exact, "")
	if got := lossOf(t, dir, "gelu"); got != want {
		t.Errorf("loss %v with the request's gelu, %v with the checkpoint's", got, want)
	}
	if got := lossOf(t, dir, ""); got == want {
		t.Errorf("loss %v with gelu_new too: the test sees no difference", got)
	}
	if _, err := t5.Open(t.Context(), &adapters.LoadRequest{Checkpoint: exact, Activation: "mish"}); adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("mish: %v", err)
	}
}

func lossOf(t *testing.T, checkpoint, activation string) float32 {
	t.Helper()
	model, err := t5.Open(t.Context(), &adapters.LoadRequest{Checkpoint: checkpoint, Backend: backends.TestName(), DType: adapters.Float32, Activation: activation})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	resp, err := model.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{
		{Segments: []adapters.Segment{adapters.TextSegment("a photo of")}, Target: "two cats"}}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Loss[0]
}
