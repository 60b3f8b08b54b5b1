package recipes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
)

func newRegistry(t *testing.T) *registry.Registry { return registryWith(t, store.Folders{}) }

// registryWith finds plugins in the given folders.
func registryWith(t *testing.T, folders store.Folders) *registry.Registry {
	t.Helper()
	openVision := func(context.Context, *adapters.LoadRequest) (adapters.VisionEncoder, error) { return nil, nil }
	openLanguage := func(context.Context, *adapters.LoadRequest) (adapters.LanguageModel, error) { return nil, nil }
	r, err := registry.New(registry.Options{Families: []adapters.Family{
		{Name: "vit", Kind: adapters.KindVision, OpenVision: openVision, ModelTypes: []string{"clip"}},
		{Name: "eva", Kind: adapters.KindVision, OpenVision: openVision},
		{Name: "opt", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"opt"}},
		{Name: "t5", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"t5"}},
		{Name: "llama", Kind: adapters.KindLanguage, OpenLanguage: openLanguage},
		{Name: "qwen", Kind: adapters.KindLanguage, OpenLanguage: openLanguage},
	}, Plugins: folders})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// workplace makes a folder with the bridges that the larger recipes begin from the
// working directory.
func workplace(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"vit-l-stage1", "vit-g-stage1"} {
		if err := os.MkdirAll(filepath.Join("runs", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func load(t *testing.T, name string, sets ...string) *Recipe {
	t.Helper()
	r, err := Load(name, sets...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func resolve(t *testing.T, r *Recipe) *Resolved {
	t.Helper()
	resolved, err := r.Resolve(newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

func TestShippedRecipes(t *testing.T) {
	workplace(t)
	for _, name := range Shipped() {
		t.Run(name, func(t *testing.T) {
			text, err := Text(name)
			if err != nil {
				t.Fatal(err)
			}
			header := strings.Join(Header(text), "\n")
			for _, mark := range []string{"\nCommand:  bridge ", "\nHardware: ", "\nTime:     ", "\nResult:   "} {
				if !strings.Contains(header, mark) {
					t.Errorf("the header has no line %q", strings.TrimSpace(mark))
				}
			}
			if !strings.Contains(header, "bridge train "+name+" ") && !strings.Contains(header, "--recipe "+name+" ") {
				t.Errorf("the header's command runs another recipe:\n%s", header)
			}
			r := load(t, name)
			if r.Name != name {
				t.Errorf("name = %q, want %q, the file's", r.Name, name)
			}
			plan := resolve(t, r).Plan()
			if len(plan.Phases) == 0 || plan.Seed == 0 {
				t.Errorf("plan %+v", plan)
			}
		})
	}
}

// planText is a recipe's plan as a checkpoint holds it, and as resumed runs compare it.
func planText(t *testing.T, r *Resolved) string {
	t.Helper()
	text, err := json.Marshal(r.Plan())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A recipe in a run folder means what the run was.
func TestResolvedRecipesLoadAgain(t *testing.T) {
	workplace(t)
	for _, name := range Shipped() {
		first := resolve(t, load(t, name, "optimizer.betas=[0.9, 0.999]"))
		file := filepath.Join(t.TempDir(), "recipe.toml")
		encoded, err := first.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, encoded, 0o644); err != nil {
			t.Fatal(err)
		}
		loaded := load(t, file)
		second := resolve(t, loaded)
		first.doc, loaded.doc, second.doc = nil, nil, nil
		if !reflect.DeepEqual(&first.Recipe, loaded) {
			t.Errorf("%s: loaded %+v, want %+v", name, loaded, first.Recipe)
		}
		if !reflect.DeepEqual(first.Recipe, second.Recipe) || planText(t, first) != planText(t, second) {
			t.Errorf("%s: resolved again %+v, want %+v", name, second.Recipe, first.Recipe)
		}
	}
}

func TestLimits(t *testing.T) {
	workplace(t)
	sets := []string{"language.memory_limit=1.5GiB", `language.devices=""`, "language.threads=3", "language.call_timeout=90s", "language.restarts=0"}
	first := resolve(t, load(t, "tiny-stage2-opt", sets...))
	file := filepath.Join(t.TempDir(), "recipe.toml")
	encoded, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, encoded, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, l := range []Limits{first.Language.Limits, load(t, file).Language.Limits} {
		if l.Memory() != 3<<29 || *l.Devices != "" || l.Threads != 3 || l.Call() != 90*time.Second || *l.Restarts != 0 {
			t.Errorf("the limits are %+v", l)
		}
	}
	if l := first.Vision.Limits; l != (Limits{}) || l.Memory() != 0 || l.Call() != 0 {
		t.Errorf("without limits they are %+v", l)
	}
	for key, want := range map[string]bool{"run.keep": true, "language.memory_limit": true, "vision.restarts": true, "language.threads": false, "vision.transport": true,
		"language.id": false, "optimizer.devices": false, "seed": false} {
		if KeepsResults(key) != want {
			t.Errorf("KeepsResults(%q) is %v", key, !want)
		}
	}
}

func TestSwapPlan(t *testing.T) {
	r := resolve(t, load(t, "tiny-retrain", "optimizer.projection_lr=3e-3", "swap.warmup_steps=50", "swap.cold_lr=1e-3"))
	plan := r.Plan()
	if plan.ProjectionInit != train.ProjectionSharedTokens || len(plan.Phases) != 2 {
		t.Fatalf("plan %+v", plan)
	}
	warmup, tune := plan.Phases[0], plan.Phases[1]
	if !slices.Equal(warmup.Train, []train.Module{train.Projection}) || warmup.Schedule.Steps != 50 || warmup.CachedQueries != 6400 ||
		warmup.Optimizer.WeightDecay != 0 || warmup.Optimizer.LearningRate[train.Projection] != 4e-3 {
		t.Errorf("warm-up %+v", warmup)
	}
	if tune.Optimizer.LearningRate[train.QFormer] != 1e-3 || tune.Optimizer.LearningRate[train.Projection] != 3e-3 || tune.Mix.Questions != 0.35 {
		t.Errorf("tuning %+v", tune)
	}
	if plan.Templates.Question != "Question: {} Short answer:" || plan.Templates.TargetPrefix != "" {
		t.Errorf("prompts %+v", plan.Templates)
	}
	cold := resolve(t, r.Cold("kit:stage1")).Plan()
	if len(cold.Phases) != 1 || cold.ProjectionInit != train.ProjectionFresh || cold.Phases[0].Schedule.Steps != 350 ||
		cold.Phases[0].Optimizer.LearningRate[train.Projection] != 1e-3 {
		t.Errorf("cold %+v", cold)
	}
}

func TestStage1Plan(t *testing.T) {
	r := resolve(t, load(t, "vit-l-stage1", "qformer.query_tokens=16"))
	s := r.Plan().Phases[0]
	if s.ITC != 1 || s.ITM != 1 || s.ITG != 1 || s.Objective.Name != "representation" || len(s.Optimizer.LearningRate) != 1 {
		t.Errorf("stage %+v", s)
	}
	want := qformer.Base()
	want.Queries, want.EncoderWidth, want.LanguageWidth, want.Vocabulary = 16, 1024, 0, 0
	if got := r.QFormerConfig(); got != want {
		t.Errorf("Q-Former %+v, want %+v", got, want)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, recipe string
		sets         []string
		want         []string
	}{
		{"several at once, with lines", "tiny-stage2-opt", []string{"optimizer.lr=2", "optimizer.accumulate=7", "evaluation.captions=-1"},
			[]string{"--set optimizer.lr=2: optimizer.lr: is 2, want a learning rate", "accumulate: is 7, want a divisor of optimizer.batch, 64", "captions: is -1"}},
		{"unknown key", "tiny-stage1", []string{"optimiser.lr=1"}, []string{"optimiser: unknown key; did you mean optimizer?"}},
		{"unknown keys and types", "tiny-stage1", []string{"vision.layers=fast", "seed=x"}, []string{"vision.layers: unknown key", `seed: is the string "x"`}},
		{"wrong kind", "tiny-stage2-opt", []string{"vision.id=tiny-opt", "language.id=tiny-vit"},
			[]string{`vision.id: is "tiny-opt", a language-model, want a vision-encoder`, `language.id: is "tiny-vit", a vision-encoder, want a language-model`, "tiny-vit", "tiny-opt"}},
		{"unknown id", "tiny-stage2-opt", []string{"language.id=tiny-opr"}, []string{"language.id: no model", "did you mean tiny-opt"}},
		{"image size", "tiny-stage1", []string{"vision.image_size=225"}, []string{"image_size: is 225, want a multiple of the 8 pixels of a patch of tiny-vit"}},
		{"prefix-lm for a decoder", "tiny-stage2-opt", []string{"objective.name=prefix-lm"}, []string{"objective.name", "encoder-decoder", `want "prompt-caption" or "lm"`}},
		{"lm for an encoder-decoder", "tiny-stage2-flan-t5", []string{"objective.name=lm"}, []string{"objective.name", `"prompt-caption" or "prefix-lm"`}},
		{"stage 1 with a language model", "tiny-stage2-opt", []string{"stage=1"}, []string{"language: is given, but stage 1", "questions: is 0.35, but stage 1", "objective.name", "captions"}},
		{"stage 2 without", "tiny-stage1", []string{"stage=2"}, []string{"language: is missing", "similar: is 0.5"}},
		{"both names", "tiny-stage1", []string{"vision.path=x"}, []string{"vision.path: is given beside vision.id"}},
		{"limits", "tiny-stage2-opt", []string{`language.memory_limit="8"`, "language.threads=-1", "language.call_timeout=soon", "language.restarts=-2", "vision.devices=0, 1", "vision.call_timeout=0s"},
			[]string{`memory_limit: is "8", no amount of memory; want a positive number with a unit, as 8GB`, "threads: is -1", `call_timeout: is "soon", want a time with a unit`,
				"restarts: is -2", `vision.devices: is "0, 1"`, `vision.call_timeout: is "0s"`}},
		{"limits without a process", "tiny-stage1", []string{"vision.isolation=none", "vision.memory_limit=8GB", `vision.devices="0"`},
			[]string{`vision.memory_limit: is given, but vision.isolation is "none"`, "vision.devices: is given"}},
		{"plugin in process", "tiny-stage1", []string{"vision.plugin=x", "vision.isolation=none"}, []string{"vision.isolation", "an executable cannot run"}},
		{"transport", "tiny-stage1", []string{"vision.transport=grcp"}, []string{"vision.transport", "want one of auto, shared-memory, grpc", "did you mean grpc?"}},
		{"shape beside from", "tiny-stage2-opt", []string{"qformer.layers=3"}, []string{"qformer.layers: is given, but the Q-Former has the shape"}},
		{"heads", "tiny-stage1", []string{"qformer.heads=3"}, []string{"qformer.heads: is 3, want a divisor of hidden_size, 128"}},
		{"preset", "tiny-stage1", []string{"qformer.preset=tinny"}, []string{`did you mean tiny?`}},
		{"data set", "tiny-stage1", []string{"data.train=train", "data.eval={images='x'}"}, []string{`data.train: is "train", want one of kit:train, kit:held-out, kit:fresh, or a table`, "data.eval.annotations: is missing"}},
		{"split of the kit", "tiny-stage1", []string{"data.train=kit:trian"}, []string{`data.train: is "kit:trian"`, "did you mean kit:train?"}},
		{"fewer pictures than a batch", "tiny-stage1", []string{"data.train={id='kit:train', pictures=8}"}, []string{"data.train.pictures: is 8, want at least optimizer.batch, 64"}},
		{"a split smaller than a batch", "tiny-stage1", []string{"data.train=kit:fresh", "optimizer.batch=512"}, []string{"optimizer.batch: is 512, want at most 400, the pictures of kit:fresh"}},
		{"more pictures than there are", "tiny-stage1", []string{"data.eval={id='kit:held-out', pictures=601}"}, []string{"data.eval.pictures: is 601, want between 1 and the 600 of kit:held-out"}},
		{"evaluated on what it learns", "tiny-stage1", []string{"data.eval={id='kit:train', pictures=100}"}, []string{"data.eval: is what data.train is"}},
		{"evaluated on the same file", "vit-l-stage1", []string{"data.eval={annotations='./data/train.json', images='x'}"}, []string{"data.eval: is what data.train is"}},
		{"no captions in stage 1", "vit-l-stage1", []string{"data.train={questions='q.json', images='x'}", "data.eval={questions='e.json', images='x'}"},
			[]string{"data.train.annotations: is missing, but without", "data.eval.annotations: is missing, but stage 1"}},
		{"neither captions nor questions asked", "vit-l-opt-2.7b-stage2", []string{"data.train={questions='q.json', images='x'}"}, []string{"data.train.annotations: is missing, but without data.questions"}},
		{"all similar", "tiny-stage1", []string{"data.similar=0.995"}, []string{"data.similar: is 0.995 of optimizer.batch, 64, which is all of it; want at most 63 of 64"}},
		{"short texts", "tiny-stage1", []string{"qformer.max_position_embeddings=16"}, []string{"qformer.max_position_embeddings: is 16, want at least 32"}},
		{"tokenizer of the kit", "tiny-stage1", []string{"qformer.tokenizer=kit:qformr"}, []string{`qformer.tokenizer: is "kit:qformr"`, "did you mean kit:qformer?"}},
		{"a BERT beside a bridge", "tiny-stage2-opt", []string{"qformer.init=bert-base-uncased"}, []string{"qformer.init: is given, but the Q-Former has the shape of the bridge"}},
		{"few warm-up images", "tiny-retrain", []string{"swap.warmup_images=16"}, []string{"swap.warmup_images: is 16", "at least optimizer.batch, 64"}},
		{"bridge of the kit", "tiny-stage2-opt", []string{"from=kit:stag1"}, []string{`from: is "kit:stag1", want one of kit:stage1, kit:stage2`, "did you mean kit:stage1?"}},
		{"bridge that is not there", "tiny-stage2-opt", []string{"from=runs/none"}, []string{"from: is ", "which is no folder"}},
		{"plugin that is not there", "tiny-stage2-opt", []string{"language.plugin=bin/none"}, []string{"language.plugin: no plugin: ", "no such file", "name a plugin's folder, or its executable"}},
		{"plugin that is no program", "tiny-stage2-opt", []string{"language.plugin=./doc.go"}, []string{"language.plugin: ", "is not executable", "chmod +x"}},
		{"plugin of no such name", "tiny-stage2-opt", []string{"language.plugin=mine"}, []string{`language.plugin: no plugin "mine"`, "bridge plugin list"}},
		{"sandbox", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', sandbox='onn'}"}, []string{`language.sandbox: is "onn", want one of none, on`}},
		{"environment", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', environment=['BRIDGE_X']}"}, []string{`language.environment: holds "BRIDGE_X"`}},
		{"locked without a plugin", "tiny-stage2-opt", []string{"language.locked=true", "vision.sandbox=on"},
			[]string{"language.locked: is given, but it is about a plugin", "vision.sandbox: is given, but it is about a plugin"}},
		{"folder of a plugin", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', path='none'}"}, []string{"language.path: is ", "which is no folder; want the one that the plugin reads"}},
		{"unknown id of a plugin", "tiny-stage2-opt", []string{"language={plugin='/bin/sh', id='tiny-opr'}"}, []string{"language.id: no model", "did you mean tiny-opt"}},
		{"name that is a path", "tiny-stage1", []string{"name=../../x"}, []string{`name: is "../../x", want a name without folders`}},
		{"name that is the folder above", "tiny-stage1", []string{"name=.."}, []string{`name: is "..", want a name without folders`}},
		{"family that is not built in", "tiny-stage1", []string{"vision.id=dinov2-large"}, []string{`vision.id: dinov2-large needs the adapter family "dinov2", this binary has vit, eva, opt, t5`}},
		{"no question prompt", "tiny-stage2-opt", []string{"language.question_prompt="}, []string{"data.questions: is 0.35, but language.question_prompt is empty"}},
		{"rate that is no number", "tiny-stage1", []string{"optimizer.lr=nan"}, []string{"optimizer.lr: is NaN, want a finite number"}},
		{"questions without a file", "vit-l-opt-2.7b-stage2", []string{"data.questions=0.5"}, []string{"data.questions: is 0.5, but data.train has no file"}},
		{"swap in stage 1", "tiny-stage1", []string{"swap.projection=shared"}, []string{"swap: is given", "swap.projection: is \"shared\", want one of shared-tokens", "from: is empty"}},
		{"backend", "tiny-stage1", []string{"run.backend=cuda"}, []string{"run.backend: backend \"cuda\""}},
		{"question prompt", "tiny-stage2-opt", []string{"language.question_prompt=Q"}, []string{"language.question_prompt: is \"Q\", want {} once"}},
		{"accumulated ITC", "tiny-stage1", []string{"optimizer.accumulate=2"}, []string{"ITC compares"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Load(c.recipe, c.sets...)
			if err == nil {
				_, err = r.Resolve(newRegistry(t))
			}
			var problems stricttoml.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no %q in\n%v", w, err)
				}
			}
		})
	}
}

func TestProblemsNameTheLine(t *testing.T) {
	text, err := Text("tiny-stage1")
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), "lr = 1.2e-3", "lr = \"high\"", 1)
	line := 1 + strings.Count(broken[:strings.Index(broken, "lr = \"high\"")], "\n")
	_, err = Parse("my.toml", []byte(broken))
	var problems stricttoml.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Key != "optimizer.lr" {
		t.Fatalf("got %v", err)
	}
	if want := "my.toml:" + strconv.Itoa(line); problems[0].Place != want {
		t.Errorf("reported at %s, want %s", problems[0].Place, want)
	}
}

func TestUnknownRecipe(t *testing.T) {
	for got, want := range map[string]string{"tiny-stage": "tiny-stage1", "none/such.toml": "no such file", "x.toml": "no such file"} {
		if _, err := Load(got); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", got, err, want)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "opt", "hidden_size": 64}`), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := Text("tiny-stage2-opt")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(text), `id = "tiny-opt"`, `path = "`+filepath.ToSlash(dir)+`"`, 1)
	r, err := Parse("own.toml", []byte(own))
	if err != nil {
		t.Fatal(err)
	}
	if got := resolve(t, r); got.LanguageModel.Width != 64 || got.LanguageModel.ID != "mine" || got.Templates().TargetPrefix != " " {
		t.Errorf("folder resolved to %+v", got.LanguageModel)
	}
}

// program is an executable that no test starts.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my-llm")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A model that only a plugin knows gets the prompts of BLIP-2, so that questions
// are not dropped.
func TestModelsOfPlugins(t *testing.T) {
	plugin, dir := program(t), t.TempDir() // without a config.json
	want := bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}
	for name, c := range map[string]struct{ table, id, path string }{
		"its own":         {`plugin = "` + plugin + `"`, "my-llm", ""},
		"path":            {`plugin = "` + plugin + `", path = "` + dir + `"`, filepath.Base(dir), dir},
		"id of a folder":  {`plugin = "` + plugin + `", id = "` + dir + `"`, filepath.Base(dir), dir},
		"id of the kit's": {`plugin = "` + plugin + `", id = "tiny-opt"`, "tiny-opt", ""},
	} {
		got := resolve(t, load(t, "tiny-stage2-opt", "language={"+c.table+"}"))
		if got.LanguageModel.ID != c.id || got.LanguageModel.Path != c.path || got.Language.Path != c.path || got.Language.Plugin != plugin {
			t.Errorf("%s: resolved to %+v, %+v", name, got.LanguageModel, got.Language)
		}
		if got.Templates() != want {
			t.Errorf("%s: prompts %+v, want %+v", name, got.Templates(), want)
		}
	}
	own := resolve(t, load(t, "tiny-stage2-opt", `language={plugin="`+plugin+`", question_prompt="Q: {}"}`))
	if got := own.Templates().Question; got != "Q: {}" {
		t.Errorf("question prompt %q, want the recipe's", got)
	}
}

// A plugin that is installed is named, and what it is is known without running it.
func TestInstalledPlugins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins", "mine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plugin.toml": "name = 'mine'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n", "bridge-adapter-mine": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	reg := registryWith(t, store.Folders{Project: filepath.Dir(dir)})
	got, err := load(t, "tiny-stage2-opt", "language={plugin='mine', locked=true, sandbox='on', environment=['TOKEN']}").Resolve(reg)
	if err != nil || got.Language.Plugin != dir || got.LanguageModel.ID != "mine" || !got.Language.Locked || got.Language.Sandbox != "on" {
		t.Errorf("resolved to %+v, %v", got.Language, err)
	}
	text, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.toml", text)
	if err != nil || !again.Language.Locked || again.Language.Environment[0] != "TOKEN" {
		t.Errorf("read again %+v, %v", again, err)
	}
	if _, err := load(t, "tiny-stage2-opt", "vision={plugin='mine'}").Resolve(reg); err == nil || !strings.Contains(err.Error(), `vision.plugin: is "mine", a language-model, want a vision-encoder`) {
		t.Errorf("a plugin of the other kind: %v", err)
	}
}

// Models of plugins have names that tell them apart in tables: "checkpoint" is the
// folder of every project.
func TestModelsOfPluginsAreNamed(t *testing.T) {
	root := t.TempDir()
	project := filepath.Join(root, "words")
	for _, dir := range []string{"words/checkpoint", "words/large/checkpoint", "words/small", "elsewhere/checkpoint", "llama-3b"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"words/plugin.toml":                  "name = 'mine'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n",
		"words/bridge-adapter-mine":          "#!/bin/sh\n",
		"words/large/checkpoint/config.json": `{"model_type": "opt"}`, // which a built-in family reads, too
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"words": "mine", "words/checkpoint": "mine", "words/large/checkpoint": "mine-large", "words/small": "mine-small",
		"elsewhere/checkpoint": "elsewhere", "llama-3b": "llama-3b",
	} {
		for _, plugin := range []string{project, filepath.Join(project, "bridge-adapter-mine")} {
			got := resolve(t, load(t, "tiny-stage2-opt", fmt.Sprintf("language={plugin=%q, path=%q}", plugin, filepath.Join(root, path))))
			if got.LanguageModel.ID != want {
				t.Errorf("%s of %s is called %q, want %q", path, plugin, got.LanguageModel.ID, want)
			}
		}
	}
}

func TestQuestionsAlone(t *testing.T) {
	r := load(t, "vit-l-opt-2.7b-stage2", "data.train={questions='q.json', images='x'}", "data.questions=1")
	if r.Data.Train.Questions != "q.json" || r.Data.Train.Annotations != "" {
		t.Errorf("data %+v", r.Data.Train)
	}
}

func TestDropoutOfAnOwnShape(t *testing.T) {
	for preset, want := range map[string]float64{"": 0.1, "base": 0.1, "tiny": 0} {
		r := load(t, "tiny-stage1", "qformer={preset='"+preset+"', hidden_size=64, layers=2, heads=2, intermediate_size=128, query_tokens=4, projection_dim=16, tokenizer='kit:qformer'}")
		if got := *r.QFormer.Dropout; got != want {
			t.Errorf("preset %q: dropout %v, want %v", preset, got, want)
		}
	}
}
