package workspace

import (
	"testing"

	"github.com/modular-bridging/bridge/internal/weights"
)

func TestOnlyModel(t *testing.T) {
	reg, err := New(Options{}).Registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		modelType string
		width     int
		want      string
	}{
		{"opt", 2560, "opt-2.7b"}, {"opt", 4096, "opt-6.7b"}, {"t5", 2048, "flant5-xl"}, {"t5", 4096, "flant5-xxl"},
		{weights.TypeBLIP2Vision, 1408, "eva-vit-g"}, {weights.TypeBLIP2Vision, 1024, ""}, {"llama", 4096, ""}, {"", 4096, ""},
	} {
		if got := onlyModel(reg, c.modelType, c.width); got != c.want {
			t.Errorf("%s of width %d: %q, want %q", c.modelType, c.width, got, c.want)
		}
	}
}
