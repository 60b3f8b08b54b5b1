package runs

import (
	"context"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train/memory"
	"github.com/modular-bridging/bridge/workspace"
)

func TestStartsThatAnEstimateCounts(t *testing.T) {
	testenv.Cache(t)
	w := workspace.New(workspace.Options{})
	for name, c := range map[string]struct {
		recipe string
		sets   []string
		want   *memory.Start
	}{
		"stage 1":       {"tiny-stage1", nil, nil},
		"stage 2":       {"tiny-stage2-opt", nil, nil},
		"words":         {"tiny-retrain", nil, &memory.Start{Pictures: 2048, Words: 2000, OldWidth: 128}},
		"fewer":         {"tiny-retrain", []string{"projection.words=50", "data.train={id=\"kit:train\", pictures=100}"}, &memory.Start{Pictures: 100, Words: 50, OldWidth: 128}},
		"shared tokens": {"tiny-retrain", []string{"swap.projection=shared-tokens"}, &memory.Start{Pictures: 128, Tokens: 248, OldWidth: 128, OldVocabulary: 616}},
		"captions":      {"tiny-retrain", []string{"swap.projection=caption-tokens"}, &memory.Start{Pictures: 2048, Outputs: true, OldWidth: 128}},
		"the old model": {"tiny-retrain", []string{"language.id=tiny-opt", "swap.projection=shared-tokens"}, nil},
		"an encoder": {"tiny-retrain", []string{"language.id=tiny-opt", "swap.projection=keep", "vision.id=tiny-vit-wide", "swap.encoder=least-squares"},
			&memory.Start{OldEncoder: &memory.Encoder{Tokens: 65, Width: 128, Number: 4, Picture: 3 * 64 * 64}, Mapped: 384}},
		"a random encoder": {"tiny-retrain", []string{"language.id=tiny-opt", "swap.projection=keep", "vision.id=tiny-vit-wide", "swap.encoder=fresh"}, nil},
		"no bridge yet":    {"vit-l-opt-2.7b-stage2", nil, nil},
	} {
		r, err := recipes.Load(c.recipe, c.sets...)
		if err != nil {
			t.Fatal(err)
		}
		m, err := modelsOf(w, r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.startOf(context.Background(), w, r)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v (%v)", name, got, c.want, err)
		}
	}
}
