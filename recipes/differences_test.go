package recipes

import (
	"reflect"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/internal/stricttoml"
)

func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		recipe string
		sets   []string
		want   []Difference
	}{
		{"tiny-stage2-opt", nil, nil},
		{"tiny-stage2-opt", []string{"run.keep=9", "run.backend=go", "language.memory_limit=8GB", "vision.restarts=0", "vision.transport=grpc", `language.devices="1"`, "language.call_timeout=5m"}, nil},
		{"tiny-stage2-opt", []string{"language.threads=2", "seed=3"}, []Difference{{"language.threads", "", "2"}, {"seed", "1", "3"}}},
		{"tiny-stage2-opt", []string{"optimizer.betas=[0.9, 0.999]", "optimizer.eps=1e-7", "language.id=small-opt", `language.caption_prompt='a "b" = c'`},
			[]Difference{{"language.caption_prompt", "", `"a \"b\" = c"`}, {"language.id", `"tiny-opt"`, `"small-opt"`}, {"optimizer.betas", "[0.9, 0.98]", "[0.9, 0.999]"}, {"optimizer.eps", "0.00000001", "0.0000001"}}},
		{"tiny-stage2-opt", []string{"data.train={id='kit:train',pictures=64}", "vision.feature_layer=-2"}, []Difference{{"data.train.pictures", "", "64"}, {"vision.feature_layer", "", "-2"}}},
		{"tiny-stage2-opt", []string{"swap.projection=fresh"}, []Difference{{"swap.freeze_qformer", "", "false"}, {"swap.projection", "", `"fresh"`},
			{"swap.warmup_images", "", "0"}, {"swap.warmup_lr", "", "0.0"}, {"swap.warmup_steps", "", "0"}}},
		{"tiny-stage1", []string{"qformer.dropout=0.1", "evaluation.rerank=0"}, []Difference{{"evaluation.rerank", "16", ""}, {"qformer.dropout", "0.0", "0.1"}}},
	} {
		if got := Differences(load(t, c.recipe), load(t, c.recipe, c.sets...)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: the differences are\n%q, want\n%q", c.sets, got, c.want)
		}
	}
}

// Differences compares the values that the files of the recipes hold.
func TestValuesAreThoseOfTheFile(t *testing.T) {
	workplace(t)
	for _, name := range Shipped() {
		for _, r := range []*Recipe{load(t, name), &resolve(t, load(t, name)).Recipe} {
			text, err := r.Encode()
			must(t, err)
			want := map[string]any{}
			must(t, toml.Unmarshal(text, &want))
			if got := stricttoml.Values(r); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the values are\n%v, the file has\n%v", name, got, want)
			}
		}
	}
}
