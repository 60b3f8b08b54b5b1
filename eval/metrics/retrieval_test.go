package metrics_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// scoresReference is testdata/scores.json (tools/reference/scores.py).
type scoresReference struct {
	Retrieval []struct {
		K             int
		OwnTexts      [][]int `json:"own_texts"`
		OwnImages     [][]int `json:"own_images"`
		ITC, ITM      [][]float32
		Text, Image   [3]float64
		TextRanks     []int      `json:"text_ranks"`
		ImageRanks    []int      `json:"image_ranks"`
		TextReranked  [3]float64 `json:"text_reranked"`
		ImageReranked [3]float64 `json:"image_reranked"`
	}
	Binary []struct {
		Scores                          []float64
		Truth, Decisions                []bool
		Accuracy, Precision, Recall, F1 float64
		Positive                        float64
		ROCAUC                          float64 `json:"roc_auc"`
		AveragePrecision                float64 `json:"average_precision"`
	}
	Distribution struct {
		Answers, Predictions, Groups []string
		Value                        float64
	}
	Winoground struct {
		Scores             [][2][2]float64
		Text, Image, Group float64
	}
}

func readScores(t *testing.T) scoresReference {
	t.Helper()
	var r scoresReference
	testenv.ReadJSON(t, "testdata/scores.json", &r)
	if len(r.Retrieval) != 3 || len(r.Binary) != 3 {
		t.Fatalf("%d matrices and %d lists", len(r.Retrieval), len(r.Binary))
	}
	return r
}

// mustRecall compares R@1, R@5 and R@10.
func mustRecall(t *testing.T, what string, got metrics.Recall, want [3]float64) {
	t.Helper()
	near(t, what+" R@1", got.At1, want[0])
	near(t, what+" R@5", got.At5, want[1])
	near(t, what+" R@10", got.At10, want[2])
	near(t, what+" mean", got.Mean(), (want[0]+want[1]+want[2])/3)
}

// rerank ranks each query's best candidates again by logits.
func rerank(itc, itm [][]float32, own [][]int, k int) [][]float32 {
	out := make([][]float32, len(itc))
	for q, row := range itc {
		chosen := metrics.Best(row, own[q], k)
		logits := make([]float32, len(chosen))
		for i, c := range chosen {
			logits[i] = itm[q][c]
		}
		out[q] = metrics.Reranked(row, chosen, logits)
	}
	return out
}

func TestRetrievalEqualsTheReadingInNumPy(t *testing.T) {
	for n, r := range readScores(t).Retrieval {
		what := fmt.Sprintf("matrix %d, ", n)
		if got := metrics.Ranks(r.ITC, r.OwnTexts); !slices.Equal(got, r.TextRanks) {
			t.Errorf("%sranks of texts %v, want %v", what, got, r.TextRanks)
		}
		byText, itm := metrics.Transposed(r.ITC), metrics.Transposed(r.ITM)
		if got := metrics.Ranks(byText, r.OwnImages); !slices.Equal(got, r.ImageRanks) {
			t.Errorf("%sranks of pictures %v, want %v", what, got, r.ImageRanks)
		}
		mustRecall(t, what+"text", metrics.RecallOf(r.TextRanks), r.Text)
		mustRecall(t, what+"image", metrics.RecallOf(r.ImageRanks), r.Image)
		mustRecall(t, what+"text, reranked", metrics.RecallOf(metrics.Ranks(rerank(r.ITC, r.ITM, r.OwnTexts, r.K), r.OwnTexts)), r.TextReranked)
		mustRecall(t, what+"image, reranked", metrics.RecallOf(metrics.Ranks(rerank(byText, itm, r.OwnImages, r.K), r.OwnImages)), r.ImageReranked)
	}
}

// Two pictures with two captions each, by hand. The second picture's best caption ties with one
// of the first picture's, which counts against the model.
func TestRanksByHand(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		scores [][]float32
		own    [][]int
		want   []int
	}{
		"several captions": {[][]float32{{.1, .9, .8, .7}, {.5, .2, .5, .1}}, [][]int{{0, 1}, {2, 3}}, []int{0, 1}},
		"all equal":        {[][]float32{{0, 0, 0, 0}, {0, 0, 0, 0}}, [][]int{{0, 1}, {2, 3}}, []int{2, 2}},
		"one candidate":    {[][]float32{{0}}, [][]int{{0}}, []int{0}},
		"NaN":              {[][]float32{{nan, .5, .1, nan}, {nan, .1, .2, nan}}, [][]int{{0, 1}, {0}}, []int{1, 3}},
	} {
		if got := metrics.Ranks(c.scores, c.own); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	mustRecall(t, "by hand", metrics.RecallOf([]int{0, 3, 5, 9, 10}), [3]float64{20, 40, 80})
	mustRecall(t, "nothing", metrics.RecallOf(nil), [3]float64{})
}

// k is at most the number of candidates. ITM decides among the chosen ones; an own candidate that
// is not chosen is as bad as all others that are not.
func TestRerankedByHand(t *testing.T) {
	itc := []float32{.9, .8, .7, .1}
	if got := metrics.Best(itc, []int{3}, 128); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("best %v", got)
	}
	if got := metrics.Best([]float32{.5, .5, .5}, []int{0}, 2); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("best among equals %v", got)
	}
	row := metrics.Reranked(itc, []int{0, 1}, []float32{-3, 2})
	if want := []float32{-2.1, 2.8, -100, -100}; !slices.EqualFunc(row, want, func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }) {
		t.Errorf("%v, want %v", row, want)
	}
	if got := metrics.Ranks([][]float32{row, row}, [][]int{{1}, {3}}); !slices.Equal(got, []int{0, 3}) {
		t.Errorf("ranks %v", got)
	}
}

func TestWinoground(t *testing.T) {
	r := readScores(t).Winoground
	got := metrics.WinogroundOf(r.Scores)
	near(t, "text", got.Text, r.Text)
	near(t, "image", got.Image, r.Image)
	near(t, "group", got.Group, r.Group)
	// Scores of caption c with picture i: the first example is right, the second ties.
	got = metrics.WinogroundOf([][2][2]float64{{{1, 0}, {0, 1}}, {{1, 1}, {0, 1}}})
	if got != (metrics.Winoground{Text: 50, Image: 50, Group: 50}) {
		t.Errorf("%+v", got)
	}
}
