package jars_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/eval/metrics/ptb"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// jarsVariable names the folder that `bridge doctor --install caption-metrics` filled.
const jarsVariable = "BRIDGE_TEST_JARS"

// installed returns the folder with a part, or skips the test.
func installed(t *testing.T, part jars.Part) jars.Folder {
	t.Helper()
	dir := os.Getenv(jarsVariable)
	if dir == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(cache, "bridge", "caption-metrics")
		}
	}
	if err := jars.Folder(dir).Missing(part); err != nil {
		t.Skipf("set %s: %v", jarsVariable, err)
	}
	return jars.Folder(dir)
}

var references = [][]string{
	{"A man riding a wave on top of a surfboard.", "A surfer rides a large wave (in the ocean).", "the man's surfing!"},
	{"Two dogs are playing in the grass", "A pair of dogs play on a lawn.", "two brown dogs chase a red frisbee"},
	{"A red double-decker bus parked on the street.", "There is a bus at the curb, near a sign.", "a bus"},
	{"A plate of food on a table", "Plate with 2 eggs & toast", "a breakfast of eggs, toast and coffee"},
}

var captions = []string{"a man is riding a wave on a surfboard", "two dogs playing in the grass with a frisbee", "a bus parked on the street",
	"a plate of eggs and toast on a table"}

func tokenized() [][]string {
	var out [][]string
	for _, texts := range references {
		out = append(out, ptb.Words(texts))
	}
	return out
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s: %.17g, want %.17g", what, got, want)
	}
}

func TestMETEOREqualsPycocoevalcap(t *testing.T) {
	corpus, each, counts, err := installed(t, jars.METEOR).METEOR(t.Context(), captions, tokenized())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "corpus", corpus, 0.4122386827421232)
	var sum jars.MeteorCounts
	for i, want := range []float64{0.41483331039986276, 0.4573721143622308, 0.367438201555635, 0.38114342863519235} {
		near(t, captions[i], each[i], want)
		near(t, captions[i]+" from counts", counts[i].Score(), want)
		sum.Add(&counts[i])
	}
	near(t, "corpus from counts", sum.Score(), corpus)
}

func TestMETEOREqualsPycocoevalcapOnTheWholeFile(t *testing.T) {
	var g struct {
		Corpus      map[string]float64
		PerImage    map[string]any      `json:"per_image"`
		IDs         []int               `json:"image_ids"`
		References  map[string][]string `json:"tokenized_references"`
		Predictions map[string][]string `json:"tokenized_predictions"`
	}
	testenv.ReadJSON(t, testenv.Data(t, "caption_golden.json.gz"), &g)
	folder := installed(t, jars.METEOR)
	var got []string
	var want [][]string
	for _, id := range g.IDs {
		got, want = append(got, g.Predictions[fmt.Sprint(id)][0]), append(want, g.References[fmt.Sprint(id)])
	}
	corpus, each, counts, err := folder.METEOR(t.Context(), got, want)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "corpus", corpus, g.Corpus["meteor"])
	var sum jars.MeteorCounts
	for i, score := range g.PerImage["meteor"].([]any) {
		near(t, got[i], each[i], score.(float64))
		near(t, got[i]+" from counts", counts[i].Score(), score.(float64))
		sum.Add(&counts[i])
	}
	near(t, "corpus from counts", sum.Score(), corpus)
}

// Captions without words, and with the signs that separate texts, keep questions and answers in step.
func TestMETEOROfOddTexts(t *testing.T) {
	_, each, counts, err := installed(t, jars.METEOR).METEOR(t.Context(), []string{"", "a ||| b", "a\nb", "a dog"},
		[][]string{{"a dog"}, {"a b"}, {"ab"}, {"", "a dog"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0, 1, 1, 1} {
		near(t, fmt.Sprint(i), each[i], want)
		near(t, fmt.Sprint(i, " from counts"), counts[i].Score(), want)
	}
}

func TestSPICEEqualsPycocoevalcap(t *testing.T) {
	each, err := installed(t, jars.SPICE).SPICE(t.Context(), captions, tokenized())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0.3, 4.0 / 9, 0.5, 0.5} {
		near(t, captions[i], each[i], want)
	}
}

func TestTokenizeEqualsTheNativeTokenizer(t *testing.T) {
	lines := []string{"A man (left) rides; \"Stop!\" -- isn't it...?", "", "café U.S. "}
	got, err := installed(t, jars.Tokenizer).Tokenize(t.Context(), lines)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range ptb.Tokenize(lines) {
		if got[i] != want {
			t.Errorf("%q, want %q", got[i], want)
		}
	}
}

func TestMissingPartsAreNamed(t *testing.T) {
	folder := jars.Folder(t.TempDir())
	for part, call := range map[jars.Part]func() error{
		jars.METEOR:    func() error { _, _, _, err := folder.METEOR(context.Background(), nil, nil); return err },
		jars.SPICE:     func() error { _, err := folder.SPICE(context.Background(), nil, nil); return err },
		jars.Tokenizer: func() error { _, err := folder.Tokenize(context.Background(), nil); return err },
	} {
		if err := call(); adapters.KindOf(err) != adapters.NotFound || !contains(err, string(part)+" is not installed", "bridge doctor --install caption-metrics") {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// contains reports whether an error's text has all parts.
func contains(err error, parts ...string) bool {
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			return false
		}
	}
	return true
}
