package qformer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/qformer"
)

// The figures of BLIP-2's public training logs, and those that follow from
// shapes for other widths.
func TestTrainableParameterCounts(t *testing.T) {
	for _, c := range []struct {
		name              string
		stage             qformer.Stage
		encoder, language int
		want              int
	}{
		{"stage 1, ViT-g", qformer.Stage1, 1408, 0, 186_705_470},
		{"stage 1, ViT-L", qformer.Stage1, 1024, 0, 183_165_758},
		{"stage 2, ViT-g and OPT-2.7B", qformer.Stage2, 1408, 2560, 107_133_696},
		{"stage 2, ViT-g and FlanT5-XL", qformer.Stage2, 1408, 2048, 106_739_968},
		{"stage 2, ViT-g and a 4096-wide model", qformer.Stage2, 1408, 4096, 108_314_880},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := qformer.Base()
			cfg.EncoderWidth, cfg.LanguageWidth = c.encoder, c.language
			if err := cfg.Validate(c.stage); err != nil {
				t.Fatal(err)
			}
			if got := qformer.Count(cfg.Parameters(c.stage)); got != c.want {
				t.Errorf("got %d parameters, want %d", got, c.want)
			}
		})
	}
}

func TestParametersAreNamedOnce(t *testing.T) {
	for _, stage := range []qformer.Stage{qformer.Stage1, qformer.Stage2} {
		seen := map[string]bool{}
		for _, p := range qformer.Base().Parameters(stage) {
			if seen[p.Name] {
				t.Errorf("stage %d: %s stands twice", stage, p.Name)
			}
			seen[p.Name] = true
		}
	}
}

func TestStage2IsStage1WithoutTextAndHeads(t *testing.T) {
	first := map[string]qformer.Param{}
	for _, p := range qformer.Base().Parameters(qformer.Stage1) {
		first[p.Name] = p
	}
	shared := 0
	for _, p := range qformer.Base().Parameters(qformer.Stage2) {
		other, ok := first[p.Name]
		if p.Part == qformer.PartLanguage {
			if ok || !strings.HasPrefix(p.Name, "language_projection.") {
				t.Errorf("%s belongs to the language model's side and stage 1 has it: %v", p.Name, ok)
			}
			continue
		}
		if !ok || other.Part != p.Part || !slices.Equal(other.Shape, p.Shape) {
			t.Errorf("%s is %+v in stage 2 and %+v in stage 1", p.Name, p, other)
		}
		shared++
	}
	for _, p := range first {
		if p.Part == qformer.PartQueries || p.Part == qformer.PartEncoder {
			shared--
		}
	}
	if shared != 0 {
		t.Errorf("stage 2 has %+d weights of the query side beside stage 1's", shared)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name   string
		stage  qformer.Stage
		change func(*qformer.Config)
		want   string // part of the error, "" for none
	}{
		{"base, stage 1", qformer.Stage1, func(*qformer.Config) {}, ""},
		{"heads", qformer.Stage1, func(c *qformer.Config) { c.Heads = 7 }, "768 is not a multiple of its 7 heads"},
		{"no queries", qformer.Stage2, func(c *qformer.Config) { c.Queries = 0 }, "queries is 0"},
		{"no language model in stage 2", qformer.Stage2, func(c *qformer.Config) { c.LanguageWidth = 0 }, "language width is 0"},
		{"no language model in stage 1", qformer.Stage1, func(c *qformer.Config) { c.LanguageWidth = 0 }, ""},
		{"no text in stage 2", qformer.Stage2, func(c *qformer.Config) { c.Vocabulary = 0 }, ""},
		{"dropout", qformer.Stage2, func(c *qformer.Config) { c.Dropout = 1 }, "dropout is 1"},
		{"epsilon", qformer.Stage2, func(c *qformer.Config) { c.VisionEps = 0 }, "epsilons"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := qformer.Base()
			c.change(&cfg)
			err := cfg.Validate(c.stage)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
