package runs

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// A swap that is derived from a run goes through words today. If words are not possible, or if a run was
// started with the old default, its recipe is byte for byte the one that commit 03ee870 wrote, with the
// orientation that its pictures had. The old commit dropped the isolation of the encoder.
func TestOldSwapsResolveToTheSameRecipe(t *testing.T) {
	oldProject(t)
	dir := filepath.Join("runs", "swap")
	want, err := os.ReadFile(filepath.Join(dir, recipes.RunFile))
	if err != nil {
		t.Fatal(err)
	}
	swap := Swap{From: filepath.Join("runs", "stage2"), LLM: "tiny-flan-t5"}
	for _, set := range []string{"run.backend=go", "run.feature_cache=false", "swap.warmup_steps=2", "swap.warmup_images=8",
		"optimizer.steps=4", "optimizer.warmup=1", "vision.isolation=process"} {
		swap.Overrides = append(swap.Overrides, recipes.Override{Assignment: set})
	}
	words, err := swap.Resolve(t.Context(), workspace.New(workspace.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if words.Swap.Projection != train.ProjectionWords {
		t.Errorf("the swap starts with %s, want words", words.Swap.Projection)
	}
	r := asStarted(workspace.New(workspace.Options{}), dir, words)
	if r != words.Otherwise {
		t.Fatal("the old run is not recognised")
	}
	if err := sameRecipe(workspace.New(workspace.Options{}), dir, r); err != nil {
		t.Error(err)
	}
	if err := writeRecipe(dir, r); err != nil {
		t.Fatal(err)
	}
	// The old commit knew no orientation of pictures, and ignored it. The new recipe says so.
	const last = "max_text_tokens = 32\n"
	want = bytes.Replace(want, []byte(last), []byte(last+"orientation = \"ignore\"\n"), 1)
	if got, err := os.ReadFile(filepath.Join(dir, recipes.RunFile)); err != nil || string(got) != string(want) {
		t.Errorf("the recipe is (%v)\n%s\nwant\n%s", err, got, want)
	}
}

// Error messages about a swap name the flags of the user. For other settings they name the
// bridge.
func TestProblemsOfSwaps(t *testing.T) {
	oldProject(t)
	larger := []recipes.Override{{Assignment: "optimizer.batch=64"}, {Assignment: "swap.warmup_steps=1"}}
	for want, swap := range map[string]Swap{
		"--llm small-opt: swap.warmup_images: is ":           {LLM: "small-opt", Overrides: larger},
		"the bridge runs/stage2: swap.warmup_images: is ":    {Encoder: "tiny-vit-wide", Overrides: larger},
		`--encoder none: vision.id: no model "none"`:         {Encoder: "none"},
		"runs/stage1 is a stage-1 bridge, which has no lang": {From: "runs/stage1", Encoder: "tiny-vit-wide"},
	} {
		swap.From = cmp.Or(swap.From, "runs/stage2")
		if _, err := swap.Resolve(t.Context(), workspace.New(workspace.Options{})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", swap, err, want)
		}
	}
}
