package recipes

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/plugins/lockfile"
)

// lazyRecipe is a stage-2 recipe without its data.
const lazyRecipe = `name = "x"
stage = 2
from = "kit:stage1"
[vision]
id = "tiny-vit"
[language]
id = "tiny-opt"
[optimizer]
lr = 1e-3
steps = 10
batch = 4
[run]
feature_cache = false
`

// parse reads lazyRecipe with a table [data].
func parse(t *testing.T, table string) (*Recipe, error) {
	t.Helper()
	return Parse("r.toml", []byte(lazyRecipe+table))
}

const eval = "[data.eval]\nsource = 'eval.json'\nimages = 'p'\n"

func TestSourcesAreAPathAListOrAMixture(t *testing.T) {
	one, err := parse(t, "[data.train]\nsource = 's/{000..123}.tar'\n"+eval)
	must(t, err)
	list, err := parse(t, "[data.train]\nsource = ['a.tar', 'b.tar']\nformat = 'webdataset'\n"+eval)
	if err == nil || strings.Contains(err.Error(), "format") {
		if err == nil && !reflect.DeepEqual(list.Data.Train.Source, Paths{"a.tar", "b.tar"}) {
			t.Errorf("list %q", list.Data.Train.Source)
		}
	}
	mix, err := parse(t, "[[data.train.mix]]\nsource = 'a.json'\nimages = 'p'\nweight = 2.5\n[[data.train.mix]]\nsource = ['b.json']\nweight = 1\n"+eval)
	must(t, err)
	if got := one.Data.Train.Source; !reflect.DeepEqual(got, Paths{"s/{000..123}.tar"}) || one.Data.Train.mixture() != nil {
		t.Errorf("source %q, mixture %v", got, one.Data.Train.mixture())
	}
	if got := mix.Data.Train.mixture(); !reflect.DeepEqual(got, &data.Mix{Weights: []float64{2.5, 1}}) {
		t.Errorf("mixture %+v", got)
	}
	words, err := parse(t, "[data.train]\nbatches = 'one-source'\n[[data.train.mix]]\nsource = 'a.json'\nweight = 'sqrt-size'\n[[data.train.mix]]\nsource = 'b.json'\nweight = 'sqrt-size'\n"+eval)
	must(t, err)
	if got := words.Data.Train.mixture(); !reflect.DeepEqual(got, &data.Mix{By: data.BySqrtSize, OneSource: true}) {
		t.Errorf("mixture %+v", got)
	}
	for _, r := range []*Recipe{one, mix, words} { // a run's recipe loads to the same
		text, err := r.Encode()
		must(t, err)
		again, err := Parse("r.toml", text)
		must(t, err)
		if !reflect.DeepEqual(again.Data, r.Data) {
			t.Errorf("read back %+v, want %+v", again.Data, r.Data)
		}
	}
}

func TestSourceProblems(t *testing.T) {
	train := "[data.train]\nsource = 'a.json'\n"
	two := func(first, second string) string {
		return "[[data.train.mix]]\nsource = 'a.json'\n" + first + "\n[[data.train.mix]]\nsource = 'b.json'\n" + second + "\n"
	}
	for name, c := range map[string]struct{ table, want string }{
		"both ways":              {train + "annotations = 'b.json'\n", "data.train: has annotations or questions, and a source"},
		"an id too":              {train + "id = 'kit:train'\n", "data.train: has an id and files"},
		"a number for a source":  {"[data.train]\nsource = 3\n", "data.train.source: is the integer 3, want a path, a brace list"},
		"an empty path":          {"[data.train]\nsource = ''\n", "data.train.source: has an empty path"},
		"a home folder":          {"[data.train]\nsource = '~/a.json'\n", "~ is not expanded"},
		"an unknown format":      {train + "format = 'tfrecord'\n", `data.train.format: is "tfrecord", want one of`},
		"mixed weights":          {two("weight = 1", "weight = 'size'"), `data.train.mix[1]: has the weight "size", but mix[0] has "1"`},
		"a weight of nothing":    {two("weight = 0", "weight = 1"), `data.train.mix[0]: has the weight "0", want a number above 0`},
		"no source in a mixture": {"[[data.train.mix]]\nweight = 1\n", "data.train.mix[0]: has no source"},
		"unknown batches":        {"[data.train]\nbatches = 'all'\n" + two("", ""), `data.train.batches: is "all", want one of mixed, one-source`},
		"batches of one source":  {train + "batches = 'mixed'\n", "data.train.batches: is given, but there is no mixture"},
		"an unknown key":         {"[[data.train.mix]]\nsource = 'a.json'\nweigth = 1\n", "did you mean data.train.mix.weight?"},
		"the same file":          {"[data.train]\nsource = 'eval.json'\n", "data.eval: is the same data as data.train"},
		"the same in a mixture":  {"[[data.train.mix]]\nsource = './eval.json'\n", "data.eval: is the same data as data.train"},
		"texts and no source":    {"[data]\ntext_only = 'train'\ntrain = 'kit:train'\n", "data.text_only: is \"train\", but only a source may have records without a picture"},
		"augmentation's name":    {"[data]\naugment = 'crop'\n" + train, `data.augment: is "crop", want one of none, blip2`},
	} {
		_, err := parse(t, c.table+eval)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	_, err := parse(t, train+"[[data.eval.mix]]\nsource = 'b.json'\n")
	if err == nil || !strings.Contains(err.Error(), "only data.train may be a mixture") {
		t.Errorf("a mixture for evaluations: %v", err)
	}
}

// An augmentation and cached features exclude each other, and each key says so.
func TestAugmentationExcludesCachedFeatures(t *testing.T) {
	text := strings.Replace(lazyRecipe, "feature_cache = false", "feature_cache = true", 1) + "[data]\naugment = 'blip2'\n[data.train]\nsource = 'a.json'\n" + eval
	_, err := Parse("r.toml", []byte(text))
	if err == nil || !strings.Contains(err.Error(), `data.augment: is "blip2", but run.feature_cache`) ||
		!strings.Contains(err.Error(), `run.feature_cache: is true, but data.augment is "blip2"`) {
		t.Errorf("both: %v", err)
	}
	r, err := parse(t, "[data]\naugment = 'blip2'\n[data.train]\nsource = 'a.json'\n"+eval)
	must(t, err)
	if got := (&Resolved{Recipe: *r}).stagePhase().Augment; got != data.AugmentBLIP2 {
		t.Errorf("the plan's augmentation is %q", got)
	}
	if r.Data.Orientation != string(imaging.ByExif) {
		t.Errorf("orientation %q", r.Data.Orientation)
	}
}

// Paths become absolute; words that are no paths stay.
func TestPathsOfSourcesBecomeAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := os.Getwd()
	must(t, err)
	s := Source{Source: Paths{"a/{0..3}.tar::b.tar", "pipe:cat x", "https://h/x.tar", "${D}/x.tar"}, Images: "p", Mix: []MixSource{{Source: Paths{"m.json"}, Images: "q"}}}
	got, err := s.absolute()
	must(t, err)
	join := func(name string) string { return filepath.Join(dir, name) }
	want := Source{Source: Paths{join("a/{0..3}.tar") + "::" + join("b.tar"), "pipe:cat x", "https://h/x.tar", "${D}/x.tar"}, Images: join("p"),
		Mix: []MixSource{{Source: Paths{join("m.json")}, Images: join("q")}}}
	if !got.Equal(want) || s.Source[0] != "a/{0..3}.tar::b.tar" {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The recipe of a run names the sources inside its project relative to it, and they are found where
// the project is now.
func TestSourcesOfMovedProjects(t *testing.T) {
	root := t.TempDir()
	old := filepath.Join(root, "p")
	source := func(dir, outside string) Data {
		d := defaultData()
		d.Train = Source{Mix: []MixSource{
			{Source: Paths{filepath.Join(dir, "shards") + "/{0..3}.tar"}},
			{Source: Paths{filepath.Join(dir, "a.json"), outside}, Images: filepath.Join(dir, "pictures")},
		}}
		d.Eval = Source{Source: Paths{filepath.Join(dir, "splits.json") + "#val"}, Images: filepath.Join(dir, "pictures")}
		return d
	}
	outside := filepath.Join(root, "elsewhere.json")
	run := filepath.Join(old, "runs", "t")
	must(t, os.MkdirAll(filepath.Join(old, "shards"), 0o755))
	must(t, os.MkdirAll(filepath.Join(old, "pictures"), 0o755))
	must(t, os.MkdirAll(run, 0o755))
	for _, name := range []string{"a.json", "splits.json"} {
		must(t, os.WriteFile(filepath.Join(old, name), nil, 0o644))
	}
	must(t, lockfile.Write(filepath.Join(run, lockfile.Name), lockfile.Lock{Vision: lockfile.Entry{ID: "x"}, Project: "../..", ProjectWas: old}))
	r, err := parse(t, "[data.train]\nsource = 'a.json'\n"+eval)
	must(t, err)
	r.Data = source(old, outside)
	resolved := &Resolved{Recipe: *r}
	text, err := resolved.Portable(old).Encode()
	must(t, err)
	if strings.Contains(string(text), old) || !strings.Contains(string(text), outside) {
		t.Errorf("the recipe in the run:\n%s", text)
	}
	if !reflect.DeepEqual(resolved.Data, source(old, outside)) {
		t.Errorf("Portable changed the recipe: %+v", resolved.Data)
	}
	must(t, os.WriteFile(filepath.Join(run, RunFile), text, 0o644))

	moved := filepath.Join(root, "deeper", "q")
	must(t, os.CopyFS(moved, os.DirFS(old)))
	alone := filepath.Join(root, "alone")
	must(t, os.CopyFS(alone, os.DirFS(run)))
	for file, dir := range map[string]string{run: old, filepath.Join(moved, "runs", "t"): moved, alone: old} {
		got, err := Load(filepath.Join(file, RunFile))
		must(t, err)
		if want := source(dir, outside); !reflect.DeepEqual(got.Data.Train, want.Train) || !reflect.DeepEqual(got.Data.Eval, want.Eval) {
			t.Errorf("%s names %+v and %+v, want %+v and %+v", file, got.Data.Train, got.Data.Eval, want.Train, want.Eval)
		}
	}
}
