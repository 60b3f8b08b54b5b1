package metrics_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/eval/metrics/ptb"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// near fails the test if two values differ by more than 1e-9.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s: %.17g, want %.17g", what, got, want)
	}
}

// The values are pycocoevalcap's (tools/reference/captions.py), of 80 pictures of COCO and of
// odd texts: empty ones, repeated words, references whose lengths are equally near.
func TestCaptionMetricsEqualPycocoevalcap(t *testing.T) {
	var corpora map[string]struct {
		Got            []string
		References     [][]string
		Bleu           [4]float64
		Bleus          [][4]float64
		Rouge, Cider   float64
		Rouges, Ciders []float64
	}
	testenv.ReadJSON(t, "testdata/captions.json.gz", &corpora)
	if len(corpora["coco"].Got) != 80 || len(corpora["odd"].Got) < 9 {
		t.Fatalf("%d corpora", len(corpora))
	}
	for name, c := range corpora {
		bleu, bleus := metrics.BLEU(c.Got, c.References)
		rouge, rouges := metrics.ROUGEL(c.Got, c.References)
		cider, ciders := metrics.CIDErD(c.Got, c.References)
		near(t, name+" ROUGE-L", rouge, c.Rouge)
		near(t, name+" CIDEr-D", cider, c.Cider)
		for n := range 4 {
			near(t, fmt.Sprintf("%s BLEU-%d", name, n+1), bleu[n], c.Bleu[n])
		}
		for i, text := range c.Got {
			where := fmt.Sprintf("%s %q", name, text)
			near(t, where+" ROUGE-L", rouges[i], c.Rouges[i])
			near(t, where+" CIDEr-D", ciders[i], c.Ciders[i])
			for n := range 4 {
				near(t, fmt.Sprintf("%s BLEU-%d", where, n+1), bleus[i][n], c.Bleus[i][n])
			}
		}
	}
}

// golden is the given file of 300 pictures.
type golden struct {
	Corpus      map[string]float64
	PerImage    map[string]any      `json:"per_image"`
	IDs         []int               `json:"image_ids"`
	References  map[string][]string `json:"tokenized_references"`
	Predictions map[string][]string `json:"tokenized_predictions"`
}

// floats converts a list of numbers of a JSON file.
func floats(list any) []float64 {
	var out []float64
	for _, v := range list.([]any) {
		out = append(out, v.(float64))
	}
	return out
}

func TestCaptionMetricsEqualPycocoevalcapOnTheWholeFile(t *testing.T) {
	var g golden
	testenv.ReadJSON(t, testenv.Data(t, "caption_golden.json.gz"), &g)
	var got []string
	var references [][]string
	for _, id := range g.IDs {
		got, references = append(got, g.Predictions[fmt.Sprint(id)][0]), append(references, g.References[fmt.Sprint(id)])
	}
	bleu, bleus := metrics.BLEU(got, references)
	rouge, rouges := metrics.ROUGEL(got, references)
	cider, ciders := metrics.CIDErD(got, references)
	near(t, "ROUGE-L", rouge, g.Corpus["rouge_l"])
	near(t, "CIDEr-D", cider, g.Corpus["cider_d"])
	each := g.PerImage["['bleu_1', 'bleu_2', 'bleu_3', 'bleu_4']"].([]any)
	for n := range 4 {
		near(t, fmt.Sprintf("BLEU-%d", n+1), bleu[n], g.Corpus[fmt.Sprintf("bleu_%d", n+1)])
		for i, want := range floats(each[n]) {
			near(t, fmt.Sprintf("BLEU-%d of picture %d", n+1, g.IDs[i]), bleus[i][n], want)
		}
	}
	for i := range got {
		near(t, fmt.Sprintf("ROUGE-L of picture %d", g.IDs[i]), rouges[i], floats(g.PerImage["rouge_l"])[i])
		near(t, fmt.Sprintf("CIDEr-D of picture %d", g.IDs[i]), ciders[i], floats(g.PerImage["cider_d"])[i])
	}
}

// The texts and the values were computed with the official code, jar and all.
func TestCaptionMetricsOfRawTexts(t *testing.T) {
	references := [][]string{
		ptb.Words([]string{"A man riding a wave on top of a surfboard.", "A surfer rides a large wave (in the ocean).", "the man's surfing!"}),
		ptb.Words([]string{"Two dogs are playing in the grass", "A pair of dogs play on a lawn.", "two brown dogs chase a red frisbee"}),
		ptb.Words([]string{"A red double-decker bus parked on the street.", "There is a bus at the curb, near a sign.", "a bus"}),
		ptb.Words([]string{"A plate of food on a table", "Plate with 2 eggs & toast", "a breakfast of eggs, toast and coffee"}),
	}
	got := ptb.Words([]string{"a man is riding a wave on a surfboard", "two dogs playing in the grass with a frisbee", "a bus parked on the street",
		"a plate of eggs and toast on a table"})
	bleu, _ := metrics.BLEU(got, references)
	rouge, _ := metrics.ROUGEL(got, references)
	cider, _ := metrics.CIDErD(got, references)
	for n, want := range []float64{0.9393939393370067, 0.7845157708409471, 0.6051113317195167, 0.45324877454716245} {
		near(t, fmt.Sprintf("BLEU-%d", n+1), bleu[n], want)
	}
	near(t, "ROUGE-L", rouge, 0.8421948072891469)
	near(t, "CIDEr-D", cider, 2.233051002255908)
}

func TestCaptionMetricsPanicWithoutReferences(t *testing.T) {
	for name, call := range map[string]func(got []string, references [][]string){
		"BLEU":    func(g []string, r [][]string) { metrics.BLEU(g, r) },
		"ROUGE-L": func(g []string, r [][]string) { metrics.ROUGEL(g, r) },
		"CIDEr-D": func(g []string, r [][]string) { metrics.CIDErD(g, r) },
	} {
		for want, references := range map[string][][]string{"references of 1": {{"a"}}, "caption 1 of 2 has no reference": {{"a"}, {}}} {
			func() {
				defer func() {
					if said, _ := recover().(string); !strings.Contains(said, name) || !strings.Contains(said, want) {
						t.Errorf("panic %q, want %q", said, want)
					}
				}()
				call([]string{"a", "b"}, references)
			}()
		}
	}
}
