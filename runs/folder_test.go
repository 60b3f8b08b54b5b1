package runs

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

func TestResumedRunsMayHaveOtherLimits(t *testing.T) {
	reg, err := workspace.New(workspace.Options{}).Registry()
	if err != nil {
		t.Fatal(err)
	}
	resolved := func(sets ...string) *recipes.Resolved {
		r, err := recipes.Load("tiny-stage2-opt", sets...)
		if err != nil {
			t.Fatal(err)
		}
		all, err := r.Resolve(reg)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	dir := t.TempDir()
	if err := writeRecipe(dir, resolved("language.memory_limit=1GB", "language.restarts=1")); err != nil {
		t.Fatal(err)
	}
	if err := sameRecipe(workspace.New(workspace.Options{}), dir, resolved("language.memory_limit=2GB", "language.call_timeout=5m", `vision.devices="1"`)); err != nil {
		t.Errorf("other limits were refused: %v", err)
	}
	want := `was started with language.dtype = "float32", now it has language.dtype = "bfloat16"`
	if err := sameRecipe(workspace.New(workspace.Options{}), dir, resolved("language.dtype=bfloat16")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with another dtype: got %v, want %q", err, want)
	}
}
