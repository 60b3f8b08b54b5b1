package main

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
)

// The recipes of BLIP-2 have BLIP-2's exact numbers of trainable parameters. Two of these
// numbers are in public training logs.
func TestRecipesShowCounts(t *testing.T) {
	for name, counts := range map[string]string{
		"vit-g-stage1":            "186,705,470 trainable; frozen: 985,894,528 (eva-vit-g)",
		"vit-g-opt-2.7b-stage2":   "107,133,696 trainable; frozen: 985,894,528 (eva-vit-g), 2,651,596,800 (opt-2.7b)",
		"vit-l-stage1":            "183,165,758 trainable; frozen: 303,179,776 (clip-vit-l-14)",
		"vit-g-flant5-xl-stage2":  "106,739,968 trainable; frozen: 985,894,528 (eva-vit-g), 2,849,757,184 (flant5-xl)",
		"vit-g-vicuna-7b-stage2":  "108,314,880 trainable; frozen: 985,894,528 (eva-vit-g), 6,738,415,616 (vicuna-7b)",
		"vit-g-qwen2.5-7b-stage2": "107,921,152 trainable; frozen: 985,894,528 (eva-vit-g), 7,615,616,512 (qwen2.5-7b)",
		"tiny-stage2-opt":         "944,000 trainable; frozen: 826,368 (tiny-vit), 888,832 (tiny-opt)",
		"vit-l-flant5-xl-stage2":  "103,200,256 trainable",
		"vit-l-opt-2.7b-stage2":   "103,593,984 trainable",
	} {
		stdout, _ := mustExit(t, exitDone, "recipes", "show", name)
		if !strings.Contains(stdout, "\n# Parameters: "+counts) {
			t.Errorf("%s: no %q in\n%s", name, counts, stdout)
		}
		if _, err := recipes.Parse(name, []byte(stdout)); err != nil {
			t.Errorf("the output is not a valid recipe: %v", err)
		}
	}
}
