package registry

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/dinov2"
	"github.com/modular-bridging/bridge/adapters/siglip"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/plugins/lockfile"
)

// families stand for the built-in ones: of language models the registry reads
// names and model types alone, vision encoders describe folders themselves.
func families() []adapters.Family {
	openLanguage := func(context.Context, *adapters.LoadRequest) (adapters.LanguageModel, error) { return nil, nil }
	return []adapters.Family{
		vit.Family(), siglip.Family(), dinov2.Family(),
		{Name: "opt", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"opt"}},
		{Name: "t5", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"t5"}, Architecture: adapters.EncoderDecoder},
		{Name: "gpt2", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"gpt2"}},
	}
}

func newRegistry(t *testing.T, o Options) *Registry {
	t.Helper()
	o.Families = families()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func folder(t *testing.T, dir, config string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "config.json"), config)
	return dir
}

// checkpointOf is a folder with weights.
func checkpointOf(t *testing.T, dir, config string) string {
	t.Helper()
	folder(t, dir, config)
	tensors := map[string]*adapters.Tensor{"w": adapters.NewTensor(adapters.Float32, 1)}
	if err := weights.Write(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestShippedManifests(t *testing.T) {
	r := newRegistry(t, Options{})
	ids := r.IDs()
	for _, id := range []string{"tiny-vit", "tiny-opt", "tiny-flan-t5", "clip-vit-l-14", "clip-vit-l-14-336",
		"eva-vit-g", "siglip-so400m-14", "siglip-so400m-14-384", "siglip2-so400m-16", "dinov2-large", "opt-125m", "opt-2.7b", "opt-6.7b",
		"flant5-base", "flant5-xl", "flant5-xxl", "vicuna-7b", "llama-3.1-8b", "qwen2.5-7b", "qwen3-8b", "smollm2-135m"} {
		if !slices.Contains(ids, id) {
			t.Errorf("no manifest %s", id)
		}
		b, err := r.Lookup(id)
		if err != nil {
			t.Fatal(err)
		}
		if b.About == "" || b.Source != Missing {
			t.Errorf("%s: about %q, source %s", id, b.About, b.Source)
		}
		if b.Kind == adapters.KindVision && b.TokensAt(b.ImageSize) != b.Tokens {
			t.Errorf("%s: %d tokens at its own size, want %d", id, b.TokensAt(b.ImageSize), b.Tokens)
		}
		if b.Kind == adapters.KindLanguage && (b.EndOfAnswer == "" || b.Templates.Caption == "" || b.Templates.Question == "") {
			t.Errorf("%s: end of answer %q, prompts %+v", id, b.EndOfAnswer, b.Templates)
		}
		if b.Repository != "" && (b.Download == 0 || b.Parameters == 0 || !b.Sizes.Known()) {
			t.Errorf("%s: download %d, parameters %d, sizes %+v", id, b.Download, b.Parameters, b.Sizes)
		}
	}
	if strings.Join(ids[:5], " ") != "tiny-vit tiny-vit-wide small-opt tiny-flan-t5 tiny-opt" {
		t.Errorf("the kit's ids are not first: %v", ids)
	}
	b, _ := r.Lookup("clip-vit-l-14")
	if b.TokensAt(336) != 577 || b.TokensAt(300) != 0 {
		t.Errorf("tokens at 336 %d, at 300 %d; want 577 and 0", b.TokensAt(336), b.TokensAt(300))
	}
}

func TestMissingWeightsSayWhatToFetch(t *testing.T) {
	r := newRegistry(t, Options{})
	b, err := r.Lookup("flant5-xl")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Folder()
	if adapters.KindOf(err) != adapters.NotFound {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"flant5-xl", "2.8B parameters", "download 11.4 GB",
		"google/flan-t5-xl", "`bridge models pull flant5-xl`", "bridge models add flant5-xl --path DIR"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	kit, _ := r.Lookup("tiny-opt")
	if _, err := kit.Folder(); err == nil || !strings.Contains(err.Error(), "make kit") {
		t.Errorf("kit model in a binary without one: %v", err)
	}
}

func TestLookupNamesTheNearest(t *testing.T) {
	r := newRegistry(t, Options{})
	for got, want := range map[string]string{"tiny-optt": "tiny-opt", "flan-t5-xl": "flant5-xl", "opt2.7b": "opt-2.7b", "zebra": "models list"} {
		_, err := r.Lookup(got)
		if adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", got, err, want)
		}
	}
}

func TestFoldersDescribeThemselves(t *testing.T) {
	r := newRegistry(t, Options{})
	for _, c := range []struct {
		config string
		want   Manifest
	}{
		{`{"model_type": "clip", "vision_config": {"hidden_size": 1024, "num_attention_heads": 16, "image_size": 224, "patch_size": 14}}`,
			Manifest{Family: "vit", Kind: adapters.KindVision, Width: 1024, ImageSize: 224, PatchSize: 14, Tokens: 257, Parameters: 126_844_928}},
		{`{"model_type": "siglip_vision_model"}`,
			Manifest{Family: "siglip", Kind: adapters.KindVision, Width: 768, ImageSize: 224, PatchSize: 16, Tokens: 196, Parameters: 85_795_584}},
		{`{"model_type": "dinov2_with_registers"}`,
			Manifest{Family: "dinov2", Kind: adapters.KindVision, Width: 768, ImageSize: 224, PatchSize: 16, Tokens: 201, Parameters: 85_818_624}},
		{`{"model_type": "opt", "hidden_size": 1024, "word_embed_proj_dim": 512, "max_position_embeddings": 2048}`,
			Manifest{Family: "opt", Kind: adapters.KindLanguage, Width: 512, Context: 2048, Architecture: adapters.DecoderOnly,
				Templates: Templates{"a photo of", "Question: {} Answer:", " "}}},
		{`{"model_type": "t5", "d_model": 768}`,
			Manifest{Family: "t5", Kind: adapters.KindLanguage, Width: 768, Architecture: adapters.EncoderDecoder,
				Templates: Templates{"a photo of", "Question: {} Short answer:", ""}}},
		{`{"model_type": "gpt2", "n_embd": 768, "n_positions": 1024}`,
			Manifest{Family: "gpt2", Kind: adapters.KindLanguage, Width: 768, Context: 1024, Architecture: adapters.DecoderOnly,
				Templates: Templates{"a photo of", "Question: {} Answer:", " "}}},
	} {
		dir := folder(t, filepath.Join(t.TempDir(), "my-model"), c.config)
		b, err := r.Lookup(dir)
		if err != nil {
			t.Fatal(err)
		}
		c.want.ID, c.want.DType = "my-model", "float32"
		if !reflect.DeepEqual(b.Manifest, c.want) || b.Source != FromFolder {
			t.Errorf("got %+v, want %+v", b, c.want)
		}
		if folder, err := b.Folder(); err != nil || folder != dir {
			t.Errorf("folder %q, %v", folder, err)
		}
	}
}

func TestFolderName(t *testing.T) {
	for path, want := range map[string]string{
		"/models/llama": "llama", "/models/llama/checkpoint": "llama", "words/checkpoint": "words", "opt-125m": "opt-125m",
		"checkpoint": "checkpoint", "/checkpoint": "checkpoint",
	} {
		if got := FolderName(path); got != want {
			t.Errorf("%s is called %q, want %q", path, got, want)
		}
	}
}

func TestWholeBLIP2HoldsTwoModels(t *testing.T) {
	dir := folder(t, t.TempDir(), `{"model_type": "blip-2", "vision_config": {"patch_size": 16}, "text_config": {"model_type": "t5", "d_model": 24}}`)
	describe := func(path string) (adapters.VisionSpec, error) {
		return adapters.VisionSpec{Spec: adapters.Spec{Width: 1408, Source: path}, Tokens: 197}, nil
	}
	families := append(families(), adapters.Family{Name: "eva", Kind: adapters.KindVision, ModelTypes: []string{"blip_2_vision_model"}, DescribeVision: describe})
	r, err := New(Options{Families: families})
	if err != nil {
		t.Fatal(err)
	}
	vision, err := r.LookupKind(dir, adapters.KindVision)
	if err != nil || vision.Manifest.Family != "eva" || vision.Width != 1408 || vision.Tokens != 197 || vision.Path != dir {
		t.Errorf("vision %+v, %v", vision.Manifest, err)
	}
	language, err := r.FolderKind(dir, adapters.KindLanguage)
	if err != nil || language.Manifest.Family != "t5" || language.Width != 24 || language.Architecture != adapters.EncoderDecoder {
		t.Errorf("language %+v, %v", language.Manifest, err)
	}
	if _, err := r.Lookup(dir); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "whole BLIP-2") {
		t.Errorf("of no kind: %v", err)
	}
}

func TestFolderErrors(t *testing.T) {
	r := newRegistry(t, Options{})
	for _, c := range []struct {
		config, want string
		kind         adapters.Kind
	}{
		{`{"model_type": "op"}`, "did you mean opt?", adapters.Unsupported},
		{`{"hidden_size": 8}`, "config.json: there is no model_type, this binary reads", adapters.Unsupported},
		{`{"model_type": "gpt_neox"}`, "the nearest that is supported is gpt2", adapters.Unsupported},
		{`{"model_type": `, "config.json", adapters.Corrupt},
		{`{"model_type": "siglip2"}`, "NaFlex", adapters.Unsupported},
		{`{"model_type": "opt", "hidden_size": "24"}`, `config.json: hidden_size is "24", want a whole number`, adapters.Corrupt},
	} {
		_, err := r.Folder(folder(t, t.TempDir(), c.config))
		if adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.config, err)
		}
	}
	dir := folder(t, t.TempDir(), `{"model_type": "blip-2", "text_config": {"model_type": "gpt_neox"}}`)
	_, err := r.FolderKind(dir, adapters.KindLanguage)
	if want := `text_config.model_type is "gpt_neox", this binary reads`; adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), want) {
		t.Errorf("the language model of a whole BLIP-2: %v, want %q", err, want)
	}
	if _, err := r.Folder(t.TempDir()); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("empty folder: %v", err)
	}
}

func TestWhereWeightsAre(t *testing.T) {
	config, hub := t.TempDir(), t.TempDir()
	snapshot := checkpointOf(t, filepath.Join(hub, "models--facebook--opt-2.7b", "snapshots", "abc"), `{"model_type": "opt"}`)
	refs := filepath.Join(hub, "models--facebook--opt-2.7b", "refs")
	if err := os.Mkdir(refs, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(refs, "main"), "abc\n")
	kit := folder(t, filepath.Join(t.TempDir(), "tiny-opt"), `{"model_type": "opt"}`)
	o := Options{Config: config, Hub: hub, KitModels: []string{"tiny-opt"}, KitFolder: func(id string) (string, error) {
		if id != "tiny-opt" {
			return "", errors.New("asked for " + id)
		}
		return kit, nil
	}}
	r := newRegistry(t, o)
	assertFolder(t, r, "opt-2.7b", FromHub, snapshot)
	assertFolder(t, r, "tiny-opt", FromKit, kit)

	own := checkpointOf(t, filepath.Join(t.TempDir(), "copy"), `{"model_type": "opt", "hidden_size": 2560}`)
	if _, err := r.AddPath("opt-2.7b", own); err != nil {
		t.Fatal(err)
	}
	assertFolder(t, newRegistry(t, o), "opt-2.7b", FromPath, own)

	if err := os.RemoveAll(own); err != nil {
		t.Fatal(err)
	}
	b, err := newRegistry(t, o).Lookup("opt-2.7b")
	if err != nil || b.Source != Missing || b.Path != own {
		t.Errorf("recorded folder that is gone: %s %q, %v; want it missing, with its path", b.Source, b.Path, err)
	}
	if _, err := b.Folder(); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "bridge models add opt-2.7b --path DIR") {
		t.Errorf("recorded folder that is gone: %v", err)
	}
}

// A folder that only a plugin reads need not hold a config.json, and has no id
// that `bridge models add` could record.
func TestFoldersOfPlugins(t *testing.T) {
	dir := t.TempDir()
	b := Backbone{Manifest: Manifest{ID: "mine"}, Source: FromFolder, Path: dir}
	if got, err := b.Folder(); err != nil || got != dir {
		t.Errorf("folder %q, %v", got, err)
	}
	b.Path = filepath.Join(dir, "none")
	if _, err := b.Folder(); adapters.KindOf(err) != adapters.NotFound || strings.Contains(err.Error(), "models add") {
		t.Errorf("missing folder: %v", err)
	}
}

func TestRecordedPathsAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"[pths]\n\"opt-2.7b\" = \"/x\"\n":    "models.toml:1: pths: unknown key; did you mean paths?",
		"[paths]\n\"opt-2.7\" = \"/x\"\n":    `models.toml:2: paths.opt-2.7: no model has the id "opt-2.7", mend or remove the line; did you mean opt-2.7b?`,
		"[paths]\n\"opt-2.7b\" = [\"/x\"]\n": "models.toml:2: paths.opt-2.7b: is an array, want a string",
		"[paths\n":                           "not valid TOML",
	} {
		config := t.TempDir()
		write(t, filepath.Join(config, "models.toml"), text)
		if _, err := New(Options{Config: config}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func TestAddPathWantsWeights(t *testing.T) {
	r := newRegistry(t, Options{Config: t.TempDir()})
	dir := folder(t, t.TempDir(), `{"model_type": "opt", "hidden_size": 2560}`)
	if _, err := r.AddPath("opt-2.7b", dir); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "neither model.safetensors nor") {
		t.Errorf("no weights: %v", err)
	}
	write(t, filepath.Join(dir, "pytorch_model.bin"), "pickle")
	if _, err := r.AddPath("opt-2.7b", dir); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "pytorch_model.bin is a pickle") {
		t.Errorf("a pickle: %v", err)
	}
	if _, err := r.AddPath("opt-2.7b", checkpointOf(t, dir, `{"model_type": "opt", "hidden_size": 2560}`)); err != nil {
		t.Errorf("weights beside a pickle: %v", err)
	}
}

func assertFolder(t *testing.T, r *Registry, id string, source Source, dir string) {
	t.Helper()
	b, err := r.Lookup(id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Folder()
	if err != nil || got != dir || b.Source != source {
		t.Errorf("%s: %s %q (%v), want %s %q", id, b.Source, got, err, source, dir)
	}
}

func TestAddPathRefusesOtherModels(t *testing.T) {
	r := newRegistry(t, Options{Config: t.TempDir()})
	opt := folder(t, t.TempDir(), `{"model_type": "opt", "hidden_size": 768}`)
	for _, c := range []struct{ id, dir, want string }{
		{"opt-2.7b", opt, "width 768"},
		{"flant5-xl", opt, "family opt"},
		{"opt-2.7", opt, "opt-2.7b"},
		{"opt-2.7b", t.TempDir(), "config.json"},
		{opt, opt, "is a folder"},
	} {
		if _, err := r.AddPath(c.id, c.dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("add %s %s: %v, want %q in it", c.id, c.dir, err, c.want)
		}
	}
}

func TestUserManifests(t *testing.T) {
	config := t.TempDir()
	dir := filepath.Join(config, "models.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "mine.toml")
	write(t, file, "id = \"mine\"\nkind = \"language-model\"\nfamily = \"opt\"\nwidth = 8\narchitecture = \"decoder-only\"\ndtype = \"float32\"\n")
	b, err := newRegistry(t, Options{Config: config}).Lookup("mine")
	if err != nil || b.Width != 8 {
		t.Fatalf("%+v, %v", b, err)
	}
	write(t, file, "id = \"Mine\"\nkind = \"vision-encoder\"\nfamly = \"opt\"\nwidth = 8\nimage_size = 30\npatch_size = 70\ncontext = 5\ndtype = \"f8\"\n")
	_, err = New(Options{Config: config})
	if err == nil {
		t.Fatal("a wrong manifest was read")
	}
	for _, want := range []string{`id: is "Mine"`, "mine.toml:3: famly: unknown key; did you mean family?", "image_size: is 30", "context: belongs to", "dtype: is", "tokens: is 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestFamily(t *testing.T) {
	r := newRegistry(t, Options{})
	opt, _ := r.Lookup("opt-2.7b")
	if f, err := r.Family(opt); err != nil || f.Name != "opt" {
		t.Errorf("family %v, %v", f.Name, err)
	}
	eva, _ := r.Lookup("eva-vit-g")
	if _, err := r.Family(eva); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "vit, siglip, dinov2, opt, t5") {
		t.Errorf("family that is not built in: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	plugin := filepath.Join(dir, "plugin")
	write(t, plugin, "binary")
	if err := os.Chmod(plugin, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := adapters.Spec{Family: "opt", Digest: "sha256:1"}
	language, err := Backbone{Manifest: Manifest{ID: "tiny-opt"}, Source: FromKit}.Entry(spec, plugin)
	if err != nil {
		t.Fatal(err)
	}
	lock := lockfile.Lock{Vision: lockfile.Entry{ID: "tiny-vit", Source: string(FromKit), Digest: "sha256:2", Family: "vit"}, Language: &language}
	path := filepath.Join(dir, lockfile.Name)
	if err := lockfile.Write(path, lock); err != nil {
		t.Fatal(err)
	}
	back, err := lockfile.Read(path)
	if err != nil || !reflect.DeepEqual(back, lock) {
		t.Fatalf("read %+v, %v; wrote %+v", back, err, lock)
	}
	if err := back.Check(lock); err != nil {
		t.Error(err)
	}
	write(t, plugin, "another")
	changed, err := Backbone{Manifest: Manifest{ID: "tiny-opt"}, Source: FromKit}.Entry(adapters.Spec{Family: "opt", Digest: "sha256:3"}, plugin)
	if err != nil {
		t.Fatal(err)
	}
	err = back.Check(lockfile.Lock{Vision: lock.Vision, Language: &changed})
	if err == nil || !strings.Contains(err.Error(), `weights was "sha256:1", is "sha256:3"`) || !strings.Contains(err.Error(), "language model: the plugin has changed: the digest was sha256:") ||
		!strings.Contains(err.Error(), "restore the language model tiny-opt, restore its plugin, "+plugin+", or start a new run") {
		t.Errorf("changed weights and plugin: %v", err)
	}
	if err := back.Check(lockfile.Lock{Vision: lock.Vision}); err == nil || !strings.Contains(err.Error(), "(use the models that bridge.lock names, or start") {
		t.Errorf("a lost language model: %v", err)
	}
	if _, err := (Backbone{}).Entry(spec, filepath.Join(dir, "none")); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("missing plugin: %v", err)
	}
}

func TestPeopleNumbers(t *testing.T) {
	for n, want := range map[int64]string{12: "12", 826624: "826.6k", 2651596800: "2.7B", 1_000_000: "1M", 999_999: "1M"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{12: "12 B", 11_400_000_000: "11.4 GB", 45_000_000_000: "45 GB", 123_456_000: "123 MB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %s, want %s", n, got, want)
		}
	}
}

// A lock pins every file that a model needs, and the commit of one from the hub.
func TestLockPinsFiles(t *testing.T) {
	dir := checkpointOf(t, filepath.Join(t.TempDir(), "odd [name]"), `{"model_type": "opt"}`)
	write(t, filepath.Join(dir, "tokenizer.json"), "{}")
	write(t, filepath.Join(dir, "README.md"), "not needed")
	b := Backbone{Manifest: Manifest{ID: "opt-2.7b", Repository: "facebook/opt-2.7b"}, Source: FromHub, Path: dir, Commit: "abc"}
	entry := func() lockfile.Entry {
		t.Helper()
		e, err := b.Entry(adapters.Spec{Family: "opt", Digest: "sha256:1"}, "")
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	was := entry()
	if got := slices.Sorted(maps.Keys(was.Files)); !slices.Equal(got, []string{"config.json", "model.safetensors", "tokenizer.json"}) {
		t.Errorf("files %v", got)
	}
	if was.Revision != "abc" || was.Repository != "facebook/opt-2.7b" || was.Files["tokenizer.json"] != "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" {
		t.Errorf("%+v", was)
	}
	path := filepath.Join(t.TempDir(), lockfile.Name)
	if err := lockfile.Write(path, lockfile.Lock{Vision: was}); err != nil {
		t.Fatal(err)
	}
	lock, err := lockfile.Read(path)
	if err != nil || !reflect.DeepEqual(lock.Vision, was) {
		t.Fatalf("read %+v, %v", lock, err)
	}
	if err := lock.Check(lockfile.Lock{Vision: entry()}); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "tokenizer.json"), "{ }")
	write(t, filepath.Join(dir, "vocab.json"), "{}")
	err = lock.Check(lockfile.Lock{Vision: entry()})
	for _, want := range []string{"tokenizer.json was \"sha256:4413", "vocab.json did not exist", "bridge models pull opt-2.7b --revision abc", "bridge models add opt-2.7b --path"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	if err := lock.Check(lockfile.Lock{Vision: entry()}); err == nil || !strings.Contains(err.Error(), "tokenizer.json was \"sha256:4413") || !strings.Contains(err.Error(), ", and does not exist now") {
		t.Errorf("a lost file: %v", err)
	}
	lock.Vision.Files, lock.Vision.AllFiles = nil, false // of an older version
	if err := lock.Check(lockfile.Lock{Vision: entry()}); err != nil {
		t.Error(err)
	}
}

// What was begun to be fetched is still missing; a tokenizer alone is found as
// that.
func TestPartOfARepository(t *testing.T) {
	hub := t.TempDir()
	snapshot := func(repository string) string {
		t.Helper()
		root := filepath.Join(hub, "models--"+strings.ReplaceAll(repository, "/", "--"))
		for _, dir := range []string{"refs", filepath.Join("snapshots", "abc")} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(root, "refs", "main"), "abc")
		return filepath.Join(root, "snapshots", "abc")
	}
	write(t, filepath.Join(snapshot("facebook/opt-2.7b"), "config.json"), `{"model_type": "opt"}`)
	bert := snapshot("google-bert/bert-base-uncased")
	write(t, filepath.Join(bert, "tokenizer.json"), "{}")
	r := newRegistry(t, Options{Hub: hub})
	b, err := r.Lookup("opt-2.7b")
	if err != nil || b.Source != Missing {
		t.Errorf("a config alone: %s, %v", b.Source, err)
	}
	if dir, ok := r.Snapshot("bert-base-uncased", "tokenizer.json"); !ok || dir != bert {
		t.Errorf("found %q, %v", dir, ok)
	}
	if _, ok := r.Snapshot("bert-base-uncased", "vocab.txt"); ok {
		t.Error("found what is not there")
	}
}
