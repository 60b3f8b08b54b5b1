package runs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

func TestWordLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "words.txt")
	for _, c := range []struct {
		text    string
		n       int
		want    []string
		dropped int
	}{
		{"\ufeffdog\r\n\r\n  cat \ndog\nfire engine\nfox", 9, []string{"dog", "cat", "fire engine", "fox"}, 0},
		{"dog\ncat\ndog\nfox\nowl\nfox\n", 2, []string{"dog", "cat"}, 2},
	} {
		write(t, file, []byte(c.text))
		if got, dropped, err := readWords(file, c.n); err != nil || !slices.Equal(got, c.want) || dropped != c.dropped {
			t.Errorf("%q: got %q and %d further words (%v), want %q and %d", c.text, got, dropped, err, c.want, c.dropped)
		}
	}
	for text, want := range map[string]string{"dog\n\ndog": "has 1 words, want at least 2", "d\xffg\ncat": "is not UTF-8 text"} {
		write(t, file, []byte(text))
		if _, _, err := readWords(file, 9); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, _, err := readWords(file+"x", 9); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "projection.list cannot be read") {
		t.Errorf("no file: got %v", err)
	}
}

// Settings that the projection does not use are refused, also if the starting bridge decides its form.
func TestSettingsOfAnotherProjection(t *testing.T) {
	words := bridge.Info{Words: []string{"dog", "cat"}}
	for want, c := range map[string]struct {
		from bridge.Info
		sets []string
	}{
		"optimizer.words_lr is 0.1, but the run's projection is linear":         {bridge.Info{}, []string{"swap.projection=fresh", "optimizer.words_lr=0.1"}},
		"projection.residual is true, but the run's projection is linear":       {bridge.Info{}, []string{"swap.projection=fresh", "projection.residual=true"}},
		"projection.list is given, but the bridge kit:stage2 speaks in 2 words": {words, []string{"projection.kind=words", "projection.list=a"}},
		`swap.projection is "caption-tokens", which fits a linear projection`:   {words, []string{"swap.projection=caption-tokens"}},
		"": {words, []string{"optimizer.words_lr=0.1", "projection.residual=true"}},
	} {
		r := resolve(t, workspace.New(workspace.Options{}), "tiny-retrain", c.sets...)
		err := checkProjection(r, r.InWords() || c.from.Words != nil, c.from)
		if want == "" && err != nil || want != "" && (adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", c.sets, err, want)
		}
	}
}

// small are the settings of runs of a few steps.
var small = []string{"run.backend=go", "run.feature_cache=false", "vision.isolation=none", "language.isolation=none",
	`data.train={id="kit:train", pictures=32}`, `data.eval={id="kit:held-out", pictures=8}`, "optimizer.batch=4", "swap.warmup_steps=2",
	"swap.warmup_images=4", "optimizer.steps=4", "optimizer.warmup=1", "evaluation.every=0", "evaluation.captions=0",
	"evaluation.final_captions=2", "evaluation.examples=2", "run.checkpoint_every=2"}

// swapSmall swaps the language model of a bridge in a few steps.
func swapSmall(t *testing.T, ctx context.Context, w *workspace.Workspace, s Swap, dir string, sets ...string) (Outcome, error) {
	t.Helper()
	if s.From == "kit:stage2" {
		s.Recipe = RetrainRecipe
		sets = append(slices.Clone(small), sets...)
	}
	for _, set := range sets {
		s.Overrides = append(s.Overrides, recipes.Override{Assignment: set})
	}
	return Retrain(ctx, w, s, Options{Dir: dir})
}

// infoOf returns the record and the recipe of a run.
func infoOf(t *testing.T, dir string) (bridge.Info, *recipes.Recipe) {
	t.Helper()
	info, _, err := bridge.ReadInfo(filepath.Join(dir, "bridge"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := recipes.Load(filepath.Join(dir, recipes.RunFile))
	if err != nil {
		t.Fatal(err)
	}
	return info, r
}

// A swap puts a linear bridge into words by default. Its run is the donor of further swaps: back to the
// first language model, which keeps the words and goes on after an interrupt bit for bit, of the encoder
// alone, and to a linear projection.
func TestSwapsThroughWords(t *testing.T) {
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	t.Chdir(t.TempDir())
	w := workspace.New(workspace.Options{})
	out, err := swapSmall(t, t.Context(), w, Swap{From: "kit:stage2", LLM: "small-opt"}, "words")
	if err != nil {
		t.Fatal(err)
	}
	info, r := infoOf(t, "words")
	if len(info.Words) < 20 || r.Projection.Kind != recipes.ProjectionWords || r.Projection.Residual == nil || !*r.Projection.Residual {
		t.Fatalf("the run speaks in %d words, its recipe has %+v", len(info.Words), r.Projection)
	}
	if len(out.Said) != 2 || len(out.Said[0][0]) != saidWords || out.Said[0][0][0].Weight < out.Said[0][0][1].Weight {
		t.Errorf("the words of the samples are %v", out.Said)
	}
	if page := string(read(t, filepath.Join("words", ReportFile))); strings.Count(page, "words of each query: ") != 2 ||
		!strings.Contains(page, "<li>"+bridge.WordsText(out.Said[1][0])+"</li>") {
		t.Error("the report does not show the words of its pictures")
	}

	further := Swap{From: "words", LLM: "tiny-opt"}
	if _, err := swapSmall(t, t.Context(), w, further, "further"); err != nil {
		t.Fatal(err)
	}
	again, _ := infoOf(t, "further")
	if !slices.Equal(again.Words, info.Words) || again.Language.ID != "tiny-opt" {
		t.Errorf("the further swap to %s speaks in %d words, want the %d of its donor", again.Language.ID, len(again.Words), len(info.Words))
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := workspace.New(workspace.Options{Progress: atStep{3: cancel}})
	if _, err := swapSmall(t, ctx, stopped, further, "stopped"); err == nil {
		t.Fatal("the run was not interrupted")
	}
	resumed := resolve(t, w, filepath.Join("stopped", recipes.RunFile))
	if _, err := Train(t.Context(), w, resumed, Options{Dir: "stopped", Resume: true}); err != nil {
		t.Fatal(err)
	}
	want, got := bridgeWeights(t, "further"), bridgeWeights(t, "stopped")
	for name, values := range want {
		if !slices.Equal(values, got[name]) {
			t.Errorf("%s differs after an interrupt", name)
		}
	}
	if _, ok := want["word_projection.embeddings.weight"]; !ok {
		t.Error("the run has no embeddings of words")
	}

	if _, err := swapSmall(t, t.Context(), w, Swap{From: "words", Encoder: "tiny-vit-wide"}, "wide"); err != nil {
		t.Fatal(err)
	}
	if info, r := infoOf(t, "wide"); !slices.Equal(info.Words, again.Words) || info.Language.ID != "small-opt" || r.Swap.Projection != train.ProjectionKeep {
		t.Errorf("the swap of the encoder speaks in %d words to %s and starts with %s", len(info.Words), info.Language.ID, r.Swap.Projection)
	}

	linear := Swap{From: "words", LLM: "small-opt"}
	if _, err := swapSmall(t, t.Context(), w, linear, "linear", "projection.kind=linear", "optimizer.words_lr=0"); err != nil {
		t.Fatal(err)
	}
	if info, _ := infoOf(t, "linear"); info.Words != nil {
		t.Errorf("the linear bridge speaks in %d words", len(info.Words))
	}
	if log := string(read(t, filepath.Join("linear", logFile))); !strings.Contains(log, "linear projection fitted to the soft prompts of words") {
		t.Errorf("the linear projection does not follow the words:\n%s", log)
	}
}

// Words that both models know are too few in one caption: a swap whose default is words goes through
// shared tokens, also after an interrupt, and says so. Words that the user asks for stay.
func TestSwapsWithoutWords(t *testing.T) {
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	t.Chdir(t.TempDir())
	one := []string{`data.train={id="kit:train", pictures=1}`, "optimizer.batch=1"}
	swap := Swap{From: "kit:stage2", LLM: "small-opt"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := workspace.New(workspace.Options{Progress: atStep{3: cancel}})
	if _, err := swapSmall(t, ctx, stopped, swap, "tokens", one...); err == nil {
		t.Fatal("the run was not interrupted")
	}
	log := string(read(t, filepath.Join("tokens", logFile)))
	for _, want := range []string{"the swap does not go through words", "tiny-opt and small-opt both know", "instead=shared-tokens"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	w := workspace.New(workspace.Options{})
	swap.Recipe = RetrainRecipe
	for _, set := range append(slices.Clone(small), one...) {
		swap.Overrides = append(swap.Overrides, recipes.Override{Assignment: set})
	}
	if _, err := Retrain(t.Context(), w, swap, Options{Dir: "tokens", Resume: true}); err != nil {
		t.Fatal(err)
	}
	if info, r := infoOf(t, "tokens"); info.Words != nil || r.Swap.Projection != train.ProjectionSharedTokens || r.Optimizer.QFormerLR != 1.5e-4 {
		t.Errorf("the bridge speaks in %d words, the recipe has %+v and %+v", len(info.Words), r.Swap, r.Optimizer)
	}

	if _, err := swapSmall(t, t.Context(), w, Swap{From: "kit:stage2", LLM: "small-opt"}, "asked", append(one, "swap.projection=words")...); err != nil {
		t.Fatal(err)
	}
	if info, _ := infoOf(t, "asked"); len(info.Words) < 2 {
		t.Errorf("the bridge speaks in %d words, want those of one caption", len(info.Words))
	}
}

// A cold start in words keeps the embeddings of its list, and a changed list is noticed.
func TestColdStartsInWords(t *testing.T) {
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	t.Chdir(t.TempDir())
	write(t, "words.txt", []byte("two\nred\napples\ngreen\nbackground\n"))
	w := workspace.New(workspace.Options{})
	swap := Swap{From: "kit:stage2", LLM: "small-opt", Cold: true}
	if _, err := swapSmall(t, t.Context(), w, swap, "cold", "projection.kind=words", "projection.list=words.txt", "projection.words=4"); err != nil {
		t.Fatal(err)
	}
	info, r := infoOf(t, "cold")
	if want := []string{"two", "red", "apples", "green"}; !slices.Equal(info.Words, want) || *r.Projection.Residual {
		t.Errorf("the words are %q with %+v, want %q without a residual", info.Words, r.Projection, want)
	}
	if log := string(read(t, filepath.Join("cold", logFile))); !strings.Contains(log, "the list has more words than projection.words") {
		t.Errorf("no warning that words are dropped:\n%s", log)
	}
	b, err := w.LoadBridge(t.Context(), backends.ForTest(t), "cold")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	table, err := b.WordEmbeddings()
	if err != nil {
		t.Fatal(err)
	}
	fresh := embeddingsOf(t, w, "small-opt", info.Words)
	if !slices.Equal(table, fresh) {
		t.Error("the soft prompts of words are not the model's embeddings of them")
	}
	resolved := resolve(t, w, filepath.Join("cold", recipes.RunFile))
	if trained, err := Complete(t.Context(), w, resolved, "cold"); trained || err != nil {
		t.Errorf("the finished run: trained %v, %v", trained, err)
	}
	write(t, "words.txt", []byte("three\nred\napples\ngreen\n"))
	if _, err := Complete(t.Context(), w, resolved, "cold"); err == nil || !strings.Contains(err.Error(), "has other words now than when the run was started") {
		t.Errorf("the finished run with another list: %v", err)
	}
	if _, err := Train(t.Context(), w, resolved, Options{Dir: "cold", Resume: true}); err == nil || !strings.Contains(err.Error(), "has other words now") {
		t.Errorf("the resumed run with another list: %v", err)
	}
}

// embeddingsOf returns a model's embeddings of words that are one token each.
func embeddingsOf(t *testing.T, w *workspace.Workspace, model string, words []string) []float32 {
	t.Helper()
	reg, err := w.Registry()
	if err != nil {
		t.Fatal(err)
	}
	found, err := reg.LookupKind(model, adapters.KindLanguage)
	if err != nil {
		t.Fatal(err)
	}
	lm, err := w.OpenLanguage(t.Context(), workspace.SpecForRecipe(found, recipes.Backbone{Isolation: "none"}, "go"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Closer(lm)()
	r := resolve(t, w, RetrainRecipe, "language={id=\""+model+"\"}")
	var out []float32
	for _, word := range words {
		embedder, _ := adapters.AsTokenEmbedder(lm)
		e, err := embedder.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{Texts: []string{r.Templates().TargetPrefix + word}})
		if err != nil {
			t.Fatal(err)
		}
		n, d := e.Embeddings.Shape[0], e.Embeddings.Shape[1]
		row := make([]float32, d)
		for k := range n {
			for c, v := range e.Embeddings.Row(k).Float32s() {
				row[c] += v / float32(n)
			}
		}
		out = append(out, row...)
	}
	return out
}
