package runs

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// ownModels is a project with an encoder and a language model of its own, in the folders enc and
// llm, and a cache of features.
type ownModels struct {
	t    *testing.T
	log  *bytes.Buffer
	work *workspace.Workspace
}

// newOwnModels makes the project, with a stage-1 bridge in the folder start, and makes it the
// working folder.
func newOwnModels(t *testing.T) *ownModels {
	t.Helper()
	cache := testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	models, err := kit.Extract(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, from := range map[string]string{"enc": "tiny-vit", "llm": "tiny-opt", "start": "stage1"} {
		if err := os.CopyFS(name, os.DirFS(filepath.Join(models, from))); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(".", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &ownModels{t: t, log: &bytes.Buffer{}}
	p.work = workspace.New(workspace.Options{Log: slog.New(slog.NewTextHandler(p.log, nil))})
	return p
}

// recipe is a stage-2 run of two steps with the project's models.
func (p *ownModels) recipe(sets ...string) *recipes.Resolved {
	p.t.Helper()
	return resolve(p.t, p.work, "tiny-stage2-opt", append([]string{"run.backend=go", "from=start", `vision={path="enc",isolation="none"}`, `language={path="llm",isolation="none"}`,
		`data.train={id="kit:train",pictures=4}`, `data.eval={id="kit:held-out",pictures=4}`, "optimizer.batch=4", "optimizer.steps=2",
		"optimizer.warmup=0", "run.checkpoint_every=1", "evaluation.examples=4", "evaluation.captions=0", "evaluation.final_captions=2"}, sets...)...)
}

// train trains in a folder, without --resume.
func (p *ownModels) train(name string) Outcome {
	p.t.Helper()
	out, err := Train(p.t.Context(), p.work, p.recipe(), Options{Dir: name})
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// replace edits a file and keeps its time, as cp -p and touch -r do. It returns a function that
// restores the file.
func (p *ownModels) replace(file, old, new string) (restore func()) {
	p.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		p.t.Fatalf("%s does not have %s:\n%s", file, old, text)
	}
	put := func(text string) {
		info, err := os.Stat(file)
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err == nil {
			err = os.Chtimes(file, info.ModTime(), info.ModTime())
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	put(strings.Replace(string(text), old, new, 1))
	return func() { put(string(text)) }
}

// edits are changes of files of the models: two of them, or all in the long tests.
func edits() []struct{ kind, file, old, new string } {
	all := []struct{ kind, file, old, new string }{
		{"vision", "preprocessor_config.json", `"resample": 3`, `"resample": 2`},
		{"language", "tokenizer.json", `"truncation": null`, `"truncation":null `},
		{"language", "config.json", `"relu"`, `"gelu"`},
		{"language", "generation_config.json", `"eos_token_id": 202`, `"eos_token_id": 203`},
		{"vision", "config.json", `"quick_gelu"`, `"gelu"      `},
	}
	if testenv.Long() {
		return all
	}
	return all[:2]
}

func folderOf(kind string) string { return map[string]string{"vision": "enc", "language": "llm"}[kind] }

// features opens the recipe's models and data, and returns the features of the training set as a
// run reads them: from the cache, if it has them.
func (p *ownModels) features(sets ...string) []byte {
	p.t.Helper()
	res, err := openResources(p.t.Context(), p.work, p.recipe(sets...), "")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.close()
	features, err := res.train.Features.Features(p.t.Context(), []int{0, 1})
	if err == nil {
		features, err = features.Convert(adapters.BFloat16) // the type on disk
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return features.Data
}

// A changed file of the encoder is never answered from the cache: a run reads the features that
// it computes without a cache.
func TestFeaturesFollowTheEncodersFiles(t *testing.T) {
	p := newOwnModels(t)
	first := p.features()
	for _, e := range []struct{ file, old, new string }{
		{"preprocessor_config.json", `"do_normalize": true`, `"do_normalize": false`},
		{"preprocessor_config.json", `"resample": 3`, `"resample": 2`},
		{"config.json", `"quick_gelu"`, `"gelu"`}, {"config.json", `1e-05`, `3e-02`}, {"config.json", `"num_attention_heads": 4`, `"num_attention_heads": 2`},
	} {
		restore := p.replace(filepath.Join("enc", e.file), e.old, e.new)
		cached, fresh := p.features(), p.features("run.feature_cache=false")
		changes := e.old != `"resample": 3` // the kit's pictures have the encoder's size
		if !bytes.Equal(cached, fresh) || bytes.Equal(cached, first) == changes {
			t.Errorf("with %s in %s: from the cache %x…, computed %x…, before the change %x…", e.new, e.file, cached[:8], fresh[:8], first[:8])
		}
		restore()
	}
	if again := p.features(); !bytes.Equal(again, first) {
		t.Errorf("with the first files again, the features are %x…, were %x…", again[:8], first[:8])
	}
}

// bridge warns and refuses by the name of the file that changed, wherever a trained bridge or a
// finished run is used again.
func TestChangedFilesAreNamed(t *testing.T) {
	p := newOwnModels(t)
	p.train("run")
	if log := p.caption("run"); strings.Contains(log, "has changed") {
		t.Errorf("nothing has changed, and caption says\n%s", log)
	}
	for _, e := range edits() {
		file := filepath.Join(folderOf(e.kind), e.file)
		restore := p.replace(file, e.old, e.new)
		what := e.kind + " " + e.file
		if log := p.caption("run"); strings.Count(log, "has changed since the bridge was trained") != 1 || !strings.Contains(log, "changed="+e.file) {
			t.Errorf("%s changed, and caption says\n%s", what, log)
		}
		if log := p.start("run"); strings.Count(log, "has changed since the bridge was trained") != 1 || !strings.Contains(log, "changed="+e.file) {
			t.Errorf("%s changed, and a run that starts from the bridge says\n%s", what, log)
		}
		if _, err := Train(t.Context(), p.work, p.recipe(), Options{Dir: "run", Resume: true}); err == nil || !strings.Contains(err.Error(), e.file+" was ") {
			t.Errorf("%s changed, and --resume says %v", what, err)
		}
		if _, err := Complete(t.Context(), p.work, p.recipe(), "run"); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), e.file+" was ") {
			t.Errorf("%s changed, and compare says %v", what, err)
		}
		restore()
	}
	if trained, err := Complete(t.Context(), p.work, p.recipe(), "run"); trained || err != nil {
		t.Errorf("nothing has changed, and compare trains again: %v, %v", trained, err)
	}
	p.mustNotReuse("run", "start")
}

// caption opens a run's bridge, as bridge caption does, and returns what the log says.
func (p *ownModels) caption(run string) string {
	p.t.Helper()
	p.log.Reset()
	m, err := p.work.OpenModel(p.t.Context(), run, workspace.OpenOptions{Backend: "go"})
	if err != nil {
		p.t.Fatal(err)
	}
	m.Close()
	return p.log.String()
}

// start makes the bridge of a run that starts from another run's, and returns what the log says.
func (p *ownModels) start(from string) string {
	p.t.Helper()
	p.log.Reset()
	r := p.recipe("from="+from, "run.feature_cache=false")
	res, err := openResources(p.t.Context(), p.work, r, "")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.close()
	b, _, err := res.start(p.t.Context(), r, false)
	if err != nil {
		p.t.Fatal(err)
	}
	b.Close()
	return p.log.String()
}

// mustNotReuse checks that a finished run is not reused if the bridge that it started from was
// trained again. If that bridge is gone, there is nothing to compare.
func (p *ownModels) mustNotReuse(run, start string) {
	p.t.Helper()
	r := p.recipe()
	weights := filepath.Join(start, "model.safetensors")
	data, err := os.ReadFile(weights)
	if err == nil {
		data[len(data)-1] ^= 1
		err = os.WriteFile(weights, data, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := Complete(p.t.Context(), p.work, r, run); err == nil || !strings.Contains(err.Error(), "the weights that the run started from have changed") {
		p.t.Errorf("another start: %v", err)
	}
	if err := os.RemoveAll(start); err != nil {
		p.t.Fatal(err)
	}
	if trained, err := Complete(p.t.Context(), p.work, r, run); trained || err != nil {
		p.t.Errorf("without the start: trained %v, %v", trained, err)
	}
}

// A run of an older version records the files of its models in its lock alone. bridge compares
// them, and without the lock it says nothing.
func TestOldRunsWarnOfWhatTheyRecord(t *testing.T) {
	oldProject(t)
	var log bytes.Buffer
	w := workspace.New(workspace.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	warnings := func(dir string) string {
		t.Helper()
		log.Reset()
		m, err := w.OpenModel(t.Context(), dir, workspace.OpenOptions{Backend: "go"})
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
		return log.String()
	}
	run := filepath.Join("runs", "swap")
	if got := warnings(run); strings.Contains(got, "level=WARN") {
		t.Errorf("nothing has changed, and the log says\n%s", got)
	}
	lock := filepath.Join(run, "bridge.lock")
	text, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	const config = `"config.json" = "sha256:f2`
	if err := os.WriteFile(lock, []byte(strings.Replace(string(text), config, `"config.json" = "sha256:00`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := warnings(run); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "changed=config.json") {
		t.Errorf("the encoder's config.json is not that of the lock, and the log says\n%s", got)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if got := warnings(run); strings.Contains(got, "level=WARN") {
		t.Errorf("nothing is recorded, and the log says\n%s", got)
	}
}

// --resume names another recipe before it reads other data, a lost file as lost, and the changed
// file of a model that cannot be opened any more. caption names that file, too.
func TestResumeNamesWhatKeepsItFromOpening(t *testing.T) {
	p := newOwnModels(t)
	p.train("run")
	resume := func(r *recipes.Resolved, want string) {
		t.Helper()
		p.log.Reset()
		if _, err := Train(t.Context(), p.work, r, Options{Dir: "run", Resume: true}); err == nil || !strings.Contains(err.Error()+p.log.String(), want) {
			t.Errorf("got %v and\n%s\nwant %q", err, p.log, want)
		}
	}
	if err := os.WriteFile("other.json", []byte(`[{"image": "1.jpg", "caption": "a"}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	resume(p.recipe("data.questions=0", `data.train={annotations="other.json",images="."}`), "was started with ")

	p.replace(filepath.Join("llm", "tokenizer_config.json"), `"add_prefix_space": false`, `"add_prefix_space": true`)
	resume(p.recipe(), "tokenizer_config.json was ")
	p.log.Reset()
	if _, err := p.work.OpenModel(t.Context(), "run", workspace.OpenOptions{Backend: "go"}); err == nil || strings.Count(p.log.String(), "changed=tokenizer_config.json") != 1 {
		t.Errorf("caption says %v and\n%s", err, p.log)
	}
	if err := os.Remove(filepath.Join("llm", "tokenizer_config.json")); err != nil {
		t.Fatal(err)
	}
	resume(p.recipe(), ", and does not exist now")
}
