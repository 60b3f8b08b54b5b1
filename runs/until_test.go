package runs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/workspace"
)

func TestASwapUntilTheOldQuality(t *testing.T) {
	oldProject(t)
	w := workspace.New(workspace.Options{})
	swap := Swap{From: filepath.Join("runs", "stage2"), LLM: "tiny-flan-t5", Until: recipes.UntilOld}
	for _, set := range []string{"run.backend=go", "run.feature_cache=false", "swap.warmup_steps=2", "swap.warmup_images=8",
		"optimizer.steps=4", "optimizer.warmup=1", `evaluation.also=["kit:style"]`} {
		swap.Overrides = append(swap.Overrides, recipes.Override{Assignment: set})
	}
	dir := filepath.Join("runs", "until")
	out, err := Retrain(t.Context(), w, swap, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	u := out.Summary.Until
	if u == nil || u.Reason != train.UntilLastStep || u.Steps != 6 || u.Of != 6 || out.Summary.Steps != 6 {
		t.Fatalf("got %+v, want all 6 steps, because they are too few", u)
	}
	q, err := readOld(filepath.Join(dir, oldFile))
	if err != nil {
		t.Fatal(err)
	}
	if q.LLM != "tiny-opt" || q.Captions != 4 || u.Metric != eval.MetricCIDErD || u.Want != q.CIDErD {
		t.Errorf("got %+v for %+v, want the CIDEr-D of four captions of the bridge for tiny-opt", q, u)
	}
	text := out.Summary.UntilText()
	for _, want := range []string{fmt.Sprintf("CIDEr-D %.2f was not reached by the recipe's last step", q.CIDErD), " on 4 captions at the end. It cost 6 steps, 100 % of the recipe's 6, 24 language-model passes",
		"A run with a higher optimizer.steps may reach it."} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want %q in it", text, want)
		}
	}
	mustKeepSets(t, dir)
}

// mustKeepSets checks that a finished run keeps the results on both of its data sets, and counts.
func mustKeepSets(t *testing.T, dir string) {
	t.Helper()
	s, err := ReadSummary(dir)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := ReadPictures(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Also) != 1 || !strings.HasPrefix(s.Also[0].Data, "kit:style ") || len(sets) != 2 || sets[0].Data != s.EvalData || sets[1].Data != s.Also[0].Data {
		t.Fatalf("got the sets %+v and the results on %d sets, want kit:style after %s", s.Also, len(sets), s.EvalData)
	}
	if v, ok := s.Also[0].Values[eval.MetricLoss]; !ok || v == 0 {
		t.Errorf("got no loss on the further set: %+v", s.Also[0])
	}
	for _, set := range sets {
		if len(set.Pictures) != 4 || set.Pictures[0].Loss == nil || set.Pictures[0].Exact == nil {
			t.Errorf("%s: got %d pictures, want 4 with a loss", set.Data, len(set.Pictures))
		}
	}
	start := s.Cost.Of(cost.Start)
	if start.TokenEmbeddings != 2 || start.QFormerForwards != 64 || start.PicturesEncoded != 64 || start.ProjectionPasses != 800*8 {
		t.Errorf("start: got %+v, want the embeddings of both models, the 64 pictures of the set and 800 steps of 8", start)
	}
	if got := s.Cost.Training(); got.Steps != 6 || got.LanguagePasses != 24 || got.LanguageForwards != 0 || got.GeneratedTexts != 0 {
		t.Errorf("training: got %+v, want 6 steps of 4", got)
	}
}

func TestASwapUntilTheOldQualityNeedsAnOldQuality(t *testing.T) {
	oldProject(t)
	w := workspace.New(workspace.Options{})
	r := resolve(t, w, filepath.Join("runs", "stage2", recipes.RunFile), "evaluation.until=old")
	_, err := Train(t.Context(), w, r, Options{Dir: "new"})
	if err == nil || !strings.Contains(err.Error(), "runs/stage1 is a stage-1 bridge, which writes no captions") {
		t.Errorf("got %v, want an error about the stage-1 bridge", err)
	}
}
