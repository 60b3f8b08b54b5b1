package weights

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
)

func openRandom(t *testing.T, numbers string) *Folder {
	t.Helper()
	f, err := Open(folder(t, map[string]string{"config.json": `{"model_type": "test"}`, "random_weights.json": numbers}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Random weights have the shapes of the model, ones and zeros where a trained model starts with
// them, and else a normal distribution. The same numbers give the same weights.
func TestRandomWeights(t *testing.T) {
	specs := []TensorSpec{{Name: "a.weight", Shape: []int{40, 50}}, {Name: "b.weight", Shape: []int{40, 50}},
		{Name: "norm.weight", Shape: []int{7}}, {Name: "norm.bias", Shape: []int{7}}, {Name: "extra", Shape: []int{3}, Optional: true}}
	load := func(numbers string) map[string][]float32 {
		store, err := openRandom(t, numbers).Load(context.Background(), backends.ForTest(t), specs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Finalize()
		values := map[string][]float32{}
		for _, s := range specs {
			if v := store.GetVariable("/" + s.Name); v != nil {
				values[s.Name] = tensors.MustCopyFlatData[float32](v.MustValue())
			}
		}
		return values
	}
	got := load(`{"seed": 3, "std": 0.1}`)
	if _, there := got["extra"]; there || len(got) != 4 {
		t.Errorf("got %d tensors, want all but the optional one", len(got))
	}
	sum, squares := 0.0, 0.0
	for _, x := range got["a.weight"] {
		sum, squares = sum+float64(x), squares+float64(x)*float64(x)
	}
	n := float64(len(got["a.weight"]))
	if mean, std := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.01 || math.Abs(std-0.1) > 0.01 || n != 2000 {
		t.Errorf("a.weight has %v values of mean %v and deviation %v, want 2000 of 0 and 0.1", n, mean, std)
	}
	if got["a.weight"][0] == got["b.weight"][0] {
		t.Error("two tensors of one shape are equal")
	}
	for i := range 7 {
		if got["norm.weight"][i] != 1 || got["norm.bias"][i] != 0 {
			t.Errorf("the norm is %v and %v, want ones and zeros", got["norm.weight"], got["norm.bias"])
		}
	}
	if again := load(`{"seed": 3, "std": 0.1}`); again["b.weight"][5] != got["b.weight"][5] {
		t.Error("the same seed gives other weights")
	}
	if other := load(`{"seed": 4, "std": 0.1}`); other["b.weight"][5] == got["b.weight"][5] {
		t.Error("another seed gives the same weights")
	}
}

func TestRandomWeightsHaveTheirDigest(t *testing.T) {
	digests := map[string]bool{}
	for _, numbers := range []string{`{"seed": 1}`, `{"seed": 2}`, `{"seed": 1, "std": 0.5}`} {
		digest, err := openRandom(t, numbers).Digest()
		if err != nil || !strings.HasPrefix(digest, "sha256:") || digests[digest] {
			t.Errorf("%s: digest %q, error %v, want a new digest", numbers, digest, err)
		}
		digests[digest] = true
	}
}

func TestRandomWeightsAreRefusedBesideOthers(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"both":      {"config.json": "{}", "random_weights.json": "{}", "model.safetensors": "x"},
		"deviation": {"config.json": "{}", "random_weights.json": `{"std": -1}`},
		"key":       {"config.json": "{}", "random_weights.json": `{"sed": 1}`},
	} {
		_, err := Open(folder(t, files))
		if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "random_weights.json") {
			t.Errorf("%s: got %v, want an error of kind corrupt that names the file", name, err)
		}
	}
}
