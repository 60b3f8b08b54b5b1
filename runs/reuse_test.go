package runs

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// counting returns a reuse that lists the annotation files of the data sets that it opens.
func counting(opened *[]string) *reuse {
	u := newReuse(workspace.New(workspace.Options{}))
	open := u.openSource
	u.openSource = func(ctx context.Context, w *workspace.Workspace, s recipes.Source, d recipes.Data, i adapters.ImageSpec, was *data.Inventory) (
		data.Dataset, []error, error) {
		*opened = append(*opened, filepath.Base(s.Annotations))
		return open(ctx, w, s, d, i, was)
	}
	return u
}

// The finished runs of a matrix share data sets: each is opened once for all of them.
func TestAFinishedMatrixOpensEachDataSetOnce(t *testing.T) {
	dir := newProject(t)
	t.Chdir(dir)
	write(t, "matrix.toml", []byte(`
recipe = "recipe.toml"
from = "kit:stage2"
encoders = ["tiny-vit"]
llms = ["tiny-opt"]
seeds = [1, 2]
set = ["optimizer.steps=1", "swap.warmup_steps=0", "run.feature_cache=false"]
`))
	m, err := recipes.LoadMatrix("matrix.toml")
	if err != nil {
		t.Fatal(err)
	}
	var opened []string
	complete := func() []MatrixResult {
		t.Helper()
		opened = nil
		all, err := (&MatrixRunner{matrix: m, out: "runs", finished: counting(&opened)}).completeAll(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%d runs, %v", len(all), err)
		}
		slices.Sort(opened)
		return all
	}
	for _, run := range complete() {
		if run.Err != nil {
			t.Fatal(run.Err)
		}
	}
	for _, run := range complete() {
		if run.Err != nil {
			t.Error(run.Err)
		}
	}
	if want := []string{"captions.json", "eval.json"}; !slices.Equal(opened, want) {
		t.Errorf("two finished runs opened %q, want %q", opened, want)
	}
	editCaptions(t, dir, func(all []caption) []caption { all[7].Caption = "other"; return all })
	for _, run := range complete() {
		if run.Err == nil || !strings.Contains(run.Err.Error(), run.Dir+" cannot be used again") || !strings.Contains(run.Err.Error(), `"7.png", has other captions`) {
			t.Errorf("%s with an edited caption: %v", run.Dir, run.Err)
		}
	}
	if n := len(opened); n > 2 {
		t.Errorf("%d data sets were opened, want at most 2", n)
	}
}

// A plugin is read once, and again after results were forgotten, as after a training.
func TestPluginsAreReadOnce(t *testing.T) {
	u, read := newReuse(nil), 0
	gone := errors.New("gone")
	u.readPlugin = func(path string) (store.Snapshot, error) {
		if read++; path == "b" {
			return store.Snapshot{}, gone
		}
		return store.Snapshot{}, nil
	}
	for range 3 {
		if _, err := u.plugin("a"); err != nil {
			t.Error(err)
		}
		if _, err := u.plugin("b"); !errors.Is(err, gone) {
			t.Error(err)
		}
	}
	if read != 2 {
		t.Errorf("two plugins were read %d times", read)
	}
	u.forget()
	if _, err := u.plugin("a"); err != nil || read != 3 {
		t.Errorf("after forget: %d reads, %v", read, err)
	}
}

// Runs with other rows or other pictures left out, and sets that are prepared otherwise, have
// results of their own.
func TestSourceKeys(t *testing.T) {
	source := recipes.Source{Annotations: "a.json", Images: "pictures"}
	rows := data.Inventory{Entries: []data.Entry{{Picture: "1.png", Bytes: "x"}}}
	seen := map[[32]byte]string{}
	for name, c := range map[string]struct {
		source recipes.Source
		table  recipes.Data
		was    data.Inventory
	}{
		"plain":          {source, recipes.Data{}, rows},
		"another folder": {recipes.Source{Annotations: "a.json", Images: "other"}, recipes.Data{}, rows},
		"prepared":       {source, recipes.Data{CaptionProcessing: "blip"}, rows},
		"not turned":     {source, recipes.Data{Orientation: "ignore"}, rows},
		"other rows":     {source, recipes.Data{}, data.Inventory{Entries: []data.Entry{{Picture: "1.png", Bytes: "y"}}}},
		"left out":       {source, recipes.Data{}, data.Inventory{Entries: rows.Entries, LeftOut: []data.LeftOut{{Picture: "1.png"}}}},
	} {
		key, err := sourceKey(c.source, c.table, &c.was)
		if other, ok := seen[key]; ok || err != nil {
			t.Errorf("%s has the key of %s, %v", name, other, err)
		}
		seen[key] = name
	}
}
