package recipes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/registry"
)

// newRegistry returns a registry without plugins. All tests share it.
func newRegistry(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := plainRegistry()
	must(t, err)
	return r
}

var plainRegistry = sync.OnceValues(func() (*registry.Registry, error) { return registryWith(store.Folders{}) })

// registryWith finds plugins in the given folders.
func registryWith(folders store.Folders) (*registry.Registry, error) {
	openVision := func(context.Context, *adapters.LoadRequest) (adapters.VisionEncoder, error) { return nil, nil }
	openLanguage := func(context.Context, *adapters.LoadRequest) (adapters.LanguageModel, error) { return nil, nil }
	return registry.New(registry.Options{Families: []adapters.Family{
		{Name: "vit", Kind: adapters.KindVision, OpenVision: openVision, ModelTypes: []string{"clip"}},
		{Name: "eva", Kind: adapters.KindVision, OpenVision: openVision},
		{Name: "opt", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"opt"}},
		{Name: "t5", Kind: adapters.KindLanguage, OpenLanguage: openLanguage, ModelTypes: []string{"t5"}},
		{Name: "llama", Kind: adapters.KindLanguage, OpenLanguage: openLanguage},
		{Name: "qwen", Kind: adapters.KindLanguage, OpenLanguage: openLanguage},
	}, Plugins: folders})
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, name string, sets ...string) *Recipe {
	t.Helper()
	r, err := Load(name, sets...)
	must(t, err)
	return r
}

func resolve(t *testing.T, r *Recipe) *Resolved {
	t.Helper()
	resolved, err := r.Resolve(newRegistry(t))
	must(t, err)
	return resolved
}

// problemTest is a recipe with mistakes, and what the error must say.
type problemTest struct {
	name, recipe string
	sets         []string
	want         []string
}

// testProblems loads and resolves recipes with mistakes.
func testProblems(t *testing.T, tests []problemTest) {
	t.Helper()
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			r, err := Load(c.recipe, c.sets...)
			if err == nil {
				_, err = r.Resolve(newRegistry(t))
			}
			wantProblems(t, err, c.want...)
		})
	}
}

// wantProblems checks that an error is of a recipe's problems and holds the texts.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	var problems stricttoml.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, want problems", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in\n%v", w, err)
		}
	}
}
